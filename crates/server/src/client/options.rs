//! What the client listener can be told.

use std::time::Duration;

use flotilla_config::{AddressError, Listen, Options};
use flotilla_proto::{Info, Limits};
use thiserror::Error;

use crate::account::SYSTEM_ACCOUNT;
use crate::auth::{AuthOptions, UnsupportedSecret};

/// Options of the client listener; the defaults are the reference server's.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The address or name to listen on.
    pub host: String,
    /// The port to listen on; 0 lets the system choose.
    pub port: u16,
    /// Host and port that clients are told instead of the listener's.
    pub advertise: Option<(String, u16)>,
    /// What every client is told. The listener fills in its own address, the limits below, whether credentials are
    /// required, and what is the client's own.
    pub info: Info,
    /// Who may connect.
    pub auth: AuthOptions,
    /// The name of the system account; `INFO` tells its clients that they are in it.
    pub system_account: String,
    /// How long a client may take to show who it is.
    pub auth_timeout: Duration,
    /// How many clients may be connected; further ones are turned away.
    pub max_connections: usize,
    /// How many subscriptions a client may have; `None`: any number.
    pub max_subscriptions: Option<usize>,
    /// The largest message, headers and payload together, in bytes.
    pub max_payload: usize,
    /// The longest protocol line, in bytes.
    pub max_control_line: usize,
    /// How much may wait for a client before it is a slow consumer, in bytes.
    pub max_pending: usize,
    /// How long a write to a client may make no progress.
    pub write_deadline: Duration,
    /// How often an idle client is asked whether it is there.
    pub ping_interval: Duration,
    /// How many pings a client may leave unanswered.
    pub ping_max: u32,
    /// Do not slow publishers down when a client they publish to falls behind.
    pub no_fast_producer_stall: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            host: "0.0.0.0".to_owned(),
            port: 4222,
            advertise: None,
            info: Info::default(),
            auth: AuthOptions::default(),
            system_account: SYSTEM_ACCOUNT.to_owned(),
            auth_timeout: Duration::from_secs(2),
            max_connections: 64 * 1024,
            max_subscriptions: None,
            max_payload: limits.max_payload,
            max_control_line: limits.max_control_line,
            max_pending: 64 * 1024 * 1024,
            write_deadline: Duration::from_secs(10),
            ping_interval: Duration::from_secs(120),
            ping_max: 2,
            no_fast_producer_stall: false,
        }
    }
}

/// A configuration that is valid and yet not one for this listener.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientOptionsError {
    /// A password or token is kept in a form that cannot be checked.
    #[error(transparent)]
    Secret(#[from] UnsupportedSecret),
    /// What clients are to be told is no address.
    #[error("client_advertise: {0}")]
    Advertise(#[from] AddressError),
}

impl ClientOptions {
    /// The listener's part of a server's configuration. `info` is what the server says about itself.
    ///
    /// # Errors
    /// The configuration asks for something the listener cannot do; ignoring it would be unsafe.
    pub fn from_config(options: &Options, info: Info) -> Result<Self, ClientOptionsError> {
        let connection = &options.connection;
        let advertise = options.client_advertise.as_deref().map(Listen::parse).transpose()?;
        Ok(Self {
            host: options.host.clone(),
            port: options.port.to_bind(),
            advertise: advertise
                .map(|told| (told.host_or(&options.host).to_owned(), told.port.to_bind())),
            info,
            auth: AuthOptions::from_config(options)?,
            system_account: options.system_account.clone(),
            auth_timeout: options.authorization.timeout,
            max_connections: connection.max_connections.map_or(usize::MAX, |max| max as usize),
            max_subscriptions: None,
            max_payload: connection.max_payload as usize,
            max_control_line: connection.max_control_line as usize,
            max_pending: usize::try_from(connection.max_pending).unwrap_or(usize::MAX),
            write_deadline: connection.write_deadline,
            ping_interval: connection.ping_interval,
            ping_max: connection.ping_max,
            no_fast_producer_stall: false,
        })
    }

    pub(super) fn limits(&self) -> Limits {
        Limits { max_control_line: self.max_control_line, max_payload: self.max_payload }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_config::{Authorization, Secret, User};

    #[test]
    fn a_configuration_becomes_options() {
        let mut options =
            Options { client_advertise: Some("example.org:5222".into()), ..Options::default() };
        options.connection.max_connections = None;
        options.connection.max_payload = 7;
        let user = User { name: "a".into(), password: Secret::new("pw") };
        options.authorization = Authorization { user: Some(user), ..Authorization::default() };
        let ours = ClientOptions::from_config(&options, Info::default()).unwrap();
        assert_eq!((ours.max_connections, ours.max_payload), (usize::MAX, 7));
        assert_eq!(ours.advertise, Some(("example.org".into(), 5222)));
        assert_eq!(ours.auth.users.len(), 1);
        assert_eq!(ours.auth.users[0].account, "$G");
        // What nobody configured is as our own defaults have it.
        let defaults = ClientOptions::default();
        assert_eq!(
            (ours.ping_interval, ours.ping_max),
            (defaults.ping_interval, defaults.ping_max)
        );
        assert_eq!((ours.max_pending, ours.port), (defaults.max_pending, defaults.port));
    }

    #[test]
    fn a_hash_is_not_taken_for_the_password() {
        let hash = "$2a$11$abcdefghijklmnopqrstuvabcdefghijklmnopqrstuvabcdefghi";
        let mut options = Options::default();
        options.authorization.token = Some(Secret::new(hash));
        let refused = ClientOptions::from_config(&options, Info::default());
        assert!(matches!(refused, Err(ClientOptionsError::Secret(_))), "{refused:?}");
    }
}
