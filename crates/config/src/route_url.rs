//! The address of another server of the cluster, as `routes` lists it.

use std::fmt;
use std::num::NonZeroU16;

use crate::address::{AddressError, Port, parse_port_number, split_host_port, write_host_port};
use crate::secret::Secret;

/// The port of a route whose URL names none.
pub const DEFAULT_ROUTE_PORT: NonZeroU16 = NonZeroU16::new(6222).expect("not zero");

/// The URL of a route: `nats-route://host:6222`, or with our own scheme `quic://host:6222`.
///
/// All schemes mean the same QUIC transport; the names of NATS are accepted so that its files work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteUrl {
    /// The scheme as it was written.
    pub scheme: RouteScheme,
    /// Credentials for the other server's `cluster.authorization`.
    pub user: Option<(String, Secret)>,
    /// A name or an address, without brackets.
    pub host: String,
    /// The UDP port.
    pub port: NonZeroU16,
}

/// How a route's URL begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteScheme {
    /// `nats-route://`, as NATS documents it.
    NatsRoute,
    /// `nats://`, which NATS accepts too.
    Nats,
    /// `tls://`, which NATS accepts too; routes are always encrypted here.
    Tls,
    /// `quic://`, our own name for what all of them are.
    Quic,
}

const SCHEMES: [(&str, RouteScheme); 4] = [
    ("nats-route", RouteScheme::NatsRoute),
    ("nats", RouteScheme::Nats),
    ("tls", RouteScheme::Tls),
    ("quic", RouteScheme::Quic),
];

/// Why a text is no route. The text is not repeated: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteUrlError {
    /// Another scheme, or none.
    #[error("a route begins with nats-route://, nats://, tls:// or quic://")]
    Scheme,
    /// Something behind host and port.
    #[error("a route has no path behind its host and port")]
    Path,
    /// A bad `%` escape, or a user without a password.
    #[error("the credentials must be `user:password@`, with %XX for special characters")]
    Credentials,
    /// No host.
    #[error("the route has no host")]
    NoHost,
    /// A host or a port that is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A port that no server can be reached at.
    #[error("a route needs the port of its server, and -1 is none")]
    AnyPort,
}

impl RouteUrl {
    /// Parses a route's URL.
    ///
    /// # Errors
    /// If the scheme is unknown, the host absent, the port no port, or something follows them.
    pub fn parse(text: &str) -> Result<Self, RouteUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(RouteUrlError::Scheme)?;
        let (_, scheme) = SCHEMES
            .iter()
            .find(|(name, _)| scheme.eq_ignore_ascii_case(name))
            .ok_or(RouteUrlError::Scheme)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(RouteUrlError::Path);
        }
        let (user, address) = match rest.rsplit_once('@') {
            Some((credentials, address)) => (Some(parse_credentials(credentials)?), address),
            None => (None, rest),
        };
        let (host, port) = split_host_port(address)?;
        if host.is_empty() {
            return Err(RouteUrlError::NoHost);
        }
        let port = match port.map(parse_port_number).transpose()? {
            None => DEFAULT_ROUTE_PORT,
            Some(Port::Number(port)) => port,
            Some(Port::Any) => return Err(RouteUrlError::AnyPort),
        };
        Ok(Self { scheme: *scheme, user, host: host.to_owned(), port })
    }

    /// Host and port, as a resolver wants them.
    pub fn address(&self) -> String {
        struct Address<'a>(&'a RouteUrl);
        impl fmt::Display for Address<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_host_port(f, &self.0.host, &self.0.port)
            }
        }
        Address(self).to_string()
    }
}

/// Writes the URL without its password.
impl fmt::Display for RouteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = SCHEMES
            .iter()
            .find(|(_, scheme)| *scheme == self.scheme)
            .unwrap_or(&("nats-route", RouteScheme::NatsRoute));
        write!(f, "{name}://")?;
        if let Some((user, _)) = &self.user {
            write!(f, "{user}:[hidden]@")?;
        }
        write_host_port(f, &self.host, &self.port)
    }
}

/// `user:password`, percent-decoded.
pub(crate) fn parse_credentials(text: &str) -> Result<(String, Secret), RouteUrlError> {
    let (user, password) = text.split_once(':').ok_or(RouteUrlError::Credentials)?;
    let user = percent_decode(user).filter(|user| !user.is_empty());
    let user = user.ok_or(RouteUrlError::Credentials)?;
    let password = percent_decode(password).ok_or(RouteUrlError::Credentials)?;
    Ok((user, Secret::new(password)))
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = digit().zip(digit())?;
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_nats_and_our_own_are_read() {
        for (text, shown) in [
            ("nats-route://host_b:6222", "nats-route://host_b:6222"),
            ("nats://10.0.0.1", "nats://10.0.0.1:6222"),
            ("quic://[::1]:7000/", "quic://[::1]:7000"),
            ("TLS://a.b:1", "tls://a.b:1"),
        ] {
            assert_eq!(RouteUrl::parse(text).map(|url| url.to_string()), Ok(shown.to_owned()));
        }
    }

    #[test]
    fn credentials_are_decoded_and_hidden() {
        let url = RouteUrl::parse("nats-route://r%40x:p%3Aw@a:1").unwrap();
        let (user, password) = url.user.clone().unwrap();
        assert_eq!((user.as_str(), password.expose()), ("r@x", "p:w"));
        assert!(!format!("{url} {url:?}").contains("p:w"));
        assert_eq!(url.address(), "a:1");
    }

    #[test]
    fn what_is_no_route_is_refused() {
        use RouteUrlError::{AnyPort, Credentials, NoHost, Path, Scheme};
        for (text, error) in [
            ("host:6222", Scheme),
            ("http://a:1", Scheme),
            ("nats://a:1/x", Path),
            ("nats://:1", NoHost),
            ("nats://", NoHost),
            ("nats://u@a:1", Credentials),
            ("nats://u:%zz@a:1", Credentials),
            ("nats://a:-1", AnyPort),
        ] {
            assert_eq!(RouteUrl::parse(text), Err(error), "{text}");
        }
        assert!(RouteUrl::parse("nats://a:b").is_err());
    }
}
