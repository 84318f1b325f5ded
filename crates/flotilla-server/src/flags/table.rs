//! Every flag: its names, what it takes, what it sets, and what the help says of it.

use flotilla_config::{Port, Secret};

use super::Draft;

/// A flag.
pub(super) struct Flag {
    /// Its names without dashes, the shortest first.
    pub(super) names: &'static [&'static str],
    /// The part of the help it belongs to.
    pub(super) group: Group,
    /// What it takes and sets.
    pub(super) takes: Takes,
    /// Whether its value must not be repeated in a message.
    pub(super) secret: bool,
    /// What the help says.
    pub(super) help: &'static str,
}

/// A part of the help.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Server,
    Logging,
    JetStream,
    Authorization,
    Cluster,
    Common,
}

/// What a flag takes, with the name of its value, and what becomes of it.
pub(super) enum Takes {
    Switch(fn(&mut Draft, bool)),
    Text(&'static str, fn(&mut Draft, String)),
    Number(&'static str, fn(&mut Draft, i64) -> Result<(), &'static str>),
}

/// Flags of nats-server that this version does not have.
pub(super) const UNSUPPORTED: &[&str] = &[
    "ms",
    "https_port",
    "s",
    "syslog",
    "r",
    "remote_syslog",
    "logtime_utc",
    "log_size_limit",
    "max_traced_msg_len",
    "tls",
    "tlscert",
    "tlskey",
    "tlsverify",
    "tlscacert",
    "profile",
    "help_tls",
];

/// A port from a flag: zero leaves what the file says, as in nats-server.
fn port(number: i64) -> Result<Option<Port>, &'static str> {
    match number {
        0 => Ok(None),
        _ => match Port::from_number(number) {
            Some(port) => Ok(Some(port)),
            None => Err("a port is 1 to 65535, or -1 for any"),
        },
    }
}

const fn text(
    names: &'static [&'static str],
    group: Group,
    value: &'static str,
    help: &'static str,
    set: fn(&mut Draft, String),
) -> Flag {
    Flag { names, group, takes: Takes::Text(value, set), secret: false, help }
}

const fn secret(
    names: &'static [&'static str],
    group: Group,
    value: &'static str,
    help: &'static str,
    set: fn(&mut Draft, String),
) -> Flag {
    Flag { names, group, takes: Takes::Text(value, set), secret: true, help }
}

const fn number(
    names: &'static [&'static str],
    group: Group,
    value: &'static str,
    help: &'static str,
    set: fn(&mut Draft, i64) -> Result<(), &'static str>,
) -> Flag {
    Flag { names, group, takes: Takes::Number(value, set), secret: false, help }
}

const fn switch(
    names: &'static [&'static str],
    group: Group,
    help: &'static str,
    set: fn(&mut Draft, bool),
) -> Flag {
    Flag { names, group, takes: Takes::Switch(set), secret: false, help }
}

/// All flags, in the order of the help.
pub(super) const FLAGS: &[Flag] = &[
    text(
        &["a", "addr", "net"],
        Group::Server,
        "host",
        "Serve clients at this address (default 0.0.0.0)",
        |draft, host| draft.flags.overrides.host = Some(host),
    ),
    number(
        &["p", "port"],
        Group::Server,
        "port",
        "Serve clients on this port (default 4222), -1 for any",
        |draft, number| {
            draft.flags.overrides.port = port(number)?;
            Ok(())
        },
    ),
    text(
        &["n", "name", "server_name"],
        Group::Server,
        "name",
        "The server's name, unique in its cluster",
        |draft, name| draft.flags.overrides.server_name = Some(name),
    ),
    text(
        &["P", "pid"],
        Group::Server,
        "file",
        "Write the process id to this file",
        |draft, file| draft.flags.overrides.pid_file = Some(file.into()),
    ),
    number(
        &["m", "http_port"],
        Group::Server,
        "port",
        "Serve the monitoring pages on this port, -1 for any",
        |draft, number| {
            draft.flags.overrides.monitor_port = port(number)?;
            Ok(())
        },
    ),
    text(&["c", "config"], Group::Server, "file", "Read this configuration", |draft, file| {
        draft.flags.config = Some(file.into());
    }),
    switch(&["t"], Group::Server, "Check the configuration and exit", |draft, on| {
        draft.flags.test = on;
    }),
    text(
        &["sl", "signal"],
        Group::Server,
        "signal[=pid]",
        "Tell a running server to reload, reopen (its log), stop, quit, term or ldm (lame duck mode); it is found by process id or pid file, or by name if it is the only one",
        |draft, signal| draft.signal = Some(signal),
    ),
    text(
        &["client_advertise"],
        Group::Server,
        "host:port",
        "What clients are told to connect to",
        |draft, address| draft.flags.overrides.client_advertise = Some(address),
    ),
    text(
        &["ports_file_dir"],
        Group::Server,
        "dir",
        "Write the ports in use to <program>_<pid>.ports in this directory",
        |draft, directory| draft.flags.overrides.ports_file_dir = Some(directory.into()),
    ),
    text(
        &["l", "log"],
        Group::Logging,
        "file",
        "Append the log to this file instead of standard error",
        |draft, file| draft.flags.overrides.log_file = Some(file.into()),
    ),
    switch(
        &["T", "logtime"],
        Group::Logging,
        "Begin log lines with date and time (default true)",
        |draft, on| draft.flags.overrides.logtime = Some(on),
    ),
    switch(&["D", "debug"], Group::Logging, "Log what helps to find faults", |draft, on| {
        draft.flags.overrides.debug = Some(on);
    }),
    switch(&["V", "trace"], Group::Logging, "Log the clients' protocol", |draft, on| {
        draft.flags.overrides.trace = Some(on);
    }),
    switch(&["VV"], Group::Logging, "Log the clients' protocol, the system account's too", verbose),
    switch(&["DV"], Group::Logging, "Both -D and -V", |draft, on| {
        draft.flags.overrides.debug = Some(on);
        draft.flags.overrides.trace = Some(on);
    }),
    switch(&["DVV"], Group::Logging, "Both -D and -VV", |draft, on| {
        draft.flags.overrides.debug = Some(on);
        verbose(draft, on);
    }),
    switch(&["js", "jetstream"], Group::JetStream, "Turn JetStream on", |draft, on| {
        draft.flags.overrides.jetstream = Some(on);
    }),
    text(
        &["sd", "store_dir"],
        Group::JetStream,
        "dir",
        "Store streams in this directory",
        |draft, directory| draft.flags.overrides.store_dir = Some(directory.into()),
    ),
    text(
        &["user"],
        Group::Authorization,
        "user",
        "The user that clients must be",
        |draft, user| {
            draft.flags.overrides.user = Some(user);
        },
    ),
    secret(
        &["pass"],
        Group::Authorization,
        "password",
        "The password of that user",
        |draft, password| draft.flags.overrides.password = Some(Secret::new(password)),
    ),
    secret(
        &["auth"],
        Group::Authorization,
        "token",
        "The token that clients must have, instead of a user",
        |draft, token| draft.flags.overrides.token = Some(Secret::new(token)),
    ),
    secret(
        &["routes"],
        Group::Cluster,
        "url,url",
        "Other servers of the cluster: nats-route://host:6222 or quic://host:6222",
        |draft, routes| draft.flags.overrides.routes = Some(Secret::new(routes)),
    ),
    secret(
        &["cluster", "cluster_listen"],
        Group::Cluster,
        "url",
        "Where routes of other servers come in: nats://host:6222",
        |draft, url| draft.flags.overrides.cluster_listen = Some(Secret::new(url)),
    ),
    text(
        &["cluster_name"],
        Group::Cluster,
        "name",
        "The cluster's name, the same on all its servers",
        |draft, name| draft.flags.overrides.cluster_name = Some(name),
    ),
    switch(
        &["no_advertise"],
        Group::Cluster,
        "Do not tell clients of the other servers",
        |draft, on| draft.flags.overrides.no_advertise = Some(on),
    ),
    text(
        &["cluster_advertise"],
        Group::Cluster,
        "host:port",
        "What other servers are told to dial",
        |draft, address| draft.flags.overrides.cluster_advertise = Some(address),
    ),
    number(
        &["connect_retries"],
        Group::Cluster,
        "number",
        "Further dials to servers that were heard of but not configured",
        |draft, number| {
            let retries = u32::try_from(number).map_err(|_| "must be zero or more")?;
            draft.flags.overrides.connect_retries = Some(retries);
            Ok(())
        },
    ),
    switch(&["h", "help"], Group::Common, "Show this help", |draft, on| draft.help = on),
    switch(&["v", "version"], Group::Common, "Show the version", |draft, on| draft.version = on),
];

fn verbose(draft: &mut Draft, on: bool) {
    draft.flags.overrides.trace = Some(on);
    draft.flags.overrides.trace_verbose = Some(on);
}
