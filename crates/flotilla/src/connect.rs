//! The connection: where to, as whom, and what the server said about it.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerError};
use clap::Args;
use tokio::sync::watch;

use crate::context::{Context, ContextError};
use crate::output::duration;

/// Where and how to connect. A flag goes before its environment variable, that before the context.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// Server URLs, comma-separated [default: nats://127.0.0.1:4222]
    #[arg(long, short = 's', global = true, env = "NATS_URL", value_name = "URLS")]
    server: Option<String>,

    /// User name
    #[arg(long, global = true, env = "NATS_USER", value_name = "USER")]
    user: Option<String>,

    /// Password; better given by the environment, which other users cannot read
    #[arg(
        long,
        global = true,
        env = "NATS_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    password: Option<String>,

    /// Token; better given by the environment
    #[arg(long, global = true, env = "NATS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,

    /// TLS certificate of the client, a PEM file
    #[arg(long, global = true, env = "NATS_CERT", value_name = "FILE")]
    tlscert: Option<PathBuf>,

    /// TLS private key of the client, a PEM file
    #[arg(long, global = true, env = "NATS_KEY", value_name = "FILE")]
    tlskey: Option<PathBuf>,

    /// Certificate authority to verify the server with, a PEM file
    #[arg(long, global = true, env = "NATS_CA", value_name = "FILE")]
    tlsca: Option<PathBuf>,

    /// Context of the nats tool to take settings from [default: the selected one]
    #[arg(long, global = true, env = "NATS_CONTEXT", value_name = "NAME")]
    context: Option<String>,

    /// JetStream domain to address
    #[arg(long, global = true, value_name = "DOMAIN")]
    js_domain: Option<String>,

    /// How long to wait for a connection, and for each answer
    #[arg(
        long,
        global = true,
        env = "NATS_TIMEOUT",
        default_value = "5s",
        value_name = "DURATION",
        value_parser = duration::parse
    )]
    timeout: Duration,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("cannot connect to {servers}: {source}")]
    Refused { servers: String, source: async_nats::ConnectError },
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Context(#[from] ContextError),
}

impl ConnectError {
    /// Whether the server knows us and will not have us.
    pub(crate) fn is_denied(&self) -> bool {
        let Self::Refused { source, .. } = self else { return false };
        matches!(
            source.kind(),
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation
        )
    }
}

/// An open connection, with what the commands need to know about it.
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// How long one request may take.
    pub(crate) timeout: Duration,
    /// What JetStream API subjects start with, without the last dot.
    pub(crate) api_prefix: String,
    /// The last "permissions violation" the server reported: it does not answer such requests.
    denied: watch::Receiver<Option<String>>,
}

impl Connection {
    /// Connects as the arguments, the environment and the context say.
    ///
    /// # Errors
    /// No server could be reached in time, or it refused us; or the settings contradict each other.
    pub(crate) async fn open(args: &ConnectionArgs) -> Result<Self, ConnectError> {
        let context = Context::load(args.context.as_deref())?;
        let servers = servers(args, &context);
        let (refusals, denied) = watch::channel(None);
        let options = options(args, &context)?
            .connection_timeout(args.timeout)
            .request_timeout(Some(args.timeout))
            .event_callback(move |event| {
                note(&event, &refusals);
                std::future::ready(())
            });
        let addresses: Vec<&str> = servers.split(',').map(str::trim).collect();
        let client = options
            .connect(addresses)
            .await
            .map_err(|source| ConnectError::Refused { servers: servers.to_owned(), source })?;
        let api_prefix = api_prefix(args.js_domain.as_deref(), &context);
        Ok(Self { client, timeout: args.timeout, api_prefix, denied })
    }

    /// Resolves when the server refuses something this connection sent, with the server's words.
    pub(crate) async fn denied(&self) -> String {
        let mut denied = self.denied.clone();
        match denied.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            // The connection is gone, and with it the news: the request itself will say so.
            Err(_) => std::future::pending().await,
        }
    }

    /// Sends what is still buffered. Errors do not matter any more: the command has its outcome.
    pub(crate) async fn close(&self) {
        let _ = tokio::time::timeout(self.timeout, self.client.flush()).await;
    }
}

/// The URLs that the arguments, the environment and the context name, with user and password, for a client that speaks
/// plain TCP.
///
/// # Errors
/// The settings ask for what such a client cannot do.
pub(crate) fn plain_urls(args: &ConnectionArgs) -> Result<Vec<String>, ConnectError> {
    let context = Context::load(args.context.as_deref())?;
    if args.token.is_some()
        || [&args.tlscert, &args.tlskey, &args.tlsca].iter().any(|f| f.is_some())
    {
        let why = "this command speaks plain TCP, with a user and a password or without";
        return Err(ConnectError::Usage(why.to_owned()));
    }
    let user = first(args.user.as_deref(), &context.user);
    let password = first(args.password.as_deref(), &context.password);
    let whole = |url: &str| {
        let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
        match (user, password) {
            (Some(user), Some(password)) if !rest.contains('@') => {
                format!("{scheme}://{user}:{password}@{rest}")
            }
            _ => url.to_owned(),
        }
    };
    Ok(servers(args, &context).split(',').map(str::trim).map(whole).collect())
}

/// Where to connect to.
fn servers<'a>(args: &'a ConnectionArgs, context: &'a Context) -> &'a str {
    first(args.server.as_deref(), &context.url).unwrap_or("nats://127.0.0.1:4222")
}

/// The first of flag-or-environment and context that says anything.
fn first<'a>(given: Option<&'a str>, context: &'a str) -> Option<&'a str> {
    given.or(Some(context)).filter(|text| !text.is_empty())
}

fn options(args: &ConnectionArgs, context: &Context) -> Result<ConnectOptions, ConnectError> {
    let mut options = ConnectOptions::new().name("flotilla");
    let user = first(args.user.as_deref(), &context.user);
    let password = first(args.password.as_deref(), &context.password);
    let token = first(args.token.as_deref(), &context.token);
    match (user, token) {
        (Some(user), _) => {
            let password = password.unwrap_or_default();
            options = options.user_and_password(user.to_owned(), password.to_owned());
        }
        (None, Some(token)) => options = options.token(token.to_owned()),
        (None, None) if args.password.is_some() => {
            return Err(ConnectError::Usage("--password needs --user".into()));
        }
        (None, None) => {}
    }
    let path = |given: &Option<PathBuf>, context: &str| {
        given.clone().or_else(|| (!context.is_empty()).then(|| PathBuf::from(context)))
    };
    match (path(&args.tlscert, &context.cert), path(&args.tlskey, &context.key)) {
        (Some(cert), Some(key)) => options = options.add_client_certificate(cert, key),
        (None, None) => {}
        _ => return Err(ConnectError::Usage("--tlscert and --tlskey go together".into())),
    }
    if let Some(ca) = path(&args.tlsca, &context.ca) {
        options = options.add_root_certificates(ca);
    }
    if context.tls_first {
        options = options.tls_first();
    }
    if !context.inbox_prefix.is_empty() {
        options = options.custom_inbox_prefix(&context.inbox_prefix);
    }
    Ok(options)
}

fn api_prefix(domain: Option<&str>, context: &Context) -> String {
    if let Some(domain) = domain {
        return format!("$JS.{domain}.API");
    }
    if !context.jetstream_api_prefix.is_empty() {
        return context.jetstream_api_prefix.trim_end_matches('.').to_owned();
    }
    match context.jetstream_domain.as_str() {
        "" => "$JS.API".to_owned(),
        domain => format!("$JS.{domain}.API"),
    }
}

/// Tells the user what the connection goes through, and the command what it must not wait for.
fn note(event: &Event, refusals: &watch::Sender<Option<String>>) {
    match event {
        Event::Disconnected => eprintln!("flotilla: disconnected, connecting again"),
        Event::LameDuckMode => eprintln!("flotilla: the server is about to shut down"),
        Event::SlowConsumer(_) => {
            eprintln!("flotilla: messages were dropped: too slow to read them");
        }
        Event::ServerError(ServerError::Other(text))
            if text.to_lowercase().starts_with("permissions violation") =>
        {
            refusals.send_replace(Some(text.clone()));
        }
        Event::ServerError(error) => eprintln!("flotilla: the server says: {error}"),
        Event::Connected | Event::Draining | Event::Closed | Event::ClientError(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_prefix_follows_flag_then_context() {
        let context = |text| serde_json::from_str::<Context>(text).unwrap();
        let hub = context(r#"{"jetstream_domain":"hub"}"#);
        assert_eq!(api_prefix(None, &Context::default()), "$JS.API");
        assert_eq!(api_prefix(None, &hub), "$JS.hub.API");
        assert_eq!(api_prefix(Some("leaf"), &hub), "$JS.leaf.API");
        let prefixed = context(r#"{"jetstream_domain":"hub","jetstream_api_prefix":"JS.acc."}"#);
        assert_eq!(api_prefix(None, &prefixed), "JS.acc");
    }

    #[test]
    fn a_flag_goes_before_the_context_and_an_empty_setting_is_none() {
        assert_eq!(first(Some("flag"), "context"), Some("flag"));
        assert_eq!(first(None, "context"), Some("context"));
        assert_eq!(first(None, ""), None);
    }
}
