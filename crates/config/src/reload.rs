//! What a reload changes, and what it cannot.
//!
//! A reload is all or nothing: one option that cannot change while the server runs refuses it whole, so
//! that a running server is always what one configuration says.

use std::fmt::{self, Debug};

use crate::duration::format_duration;
use crate::options::{Options, SECTIONS};

/// An option that a reload changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The option's path in the configuration, such as `cluster.routes`.
    pub option: &'static str,
    /// The old value as text; empty for secrets.
    pub old: String,
    /// The new value as text; empty for secrets.
    pub new: String,
}

/// An option that cannot change while the server runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("config reload not supported for {}: old={}, new={}; restart the server for it", .0.option, .0.old, .0.new)]
pub struct NotReloadable(pub Change);

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.old.is_empty() && self.new.is_empty() {
            return write!(f, "{}", self.option);
        }
        write!(f, "{}: old={}, new={}", self.option, self.old, self.new)
    }
}

/// Compares what runs with what should.
///
/// Files that options name are not compared: a reload reads the certificates of `cluster.tls` again
/// whether or not a change names them.
///
/// # Errors
/// Every option that differs and cannot change while the server runs.
pub fn reload_diff(old: &Options, new: &Options) -> Result<Vec<Change>, Vec<NotReloadable>> {
    let mut diff = Diff::default();
    compare_server(&mut diff, old, new);
    compare_connection(&mut diff, old, new);
    compare_accounts(&mut diff, old, new);
    compare_cluster(&mut diff, old, new);
    compare_jetstream(&mut diff, old, new);
    if diff.refused.is_empty() { Ok(diff.changes) } else { Err(diff.refused) }
}

#[derive(Default)]
struct Diff {
    changes: Vec<Change>,
    refused: Vec<NotReloadable>,
}

impl Diff {
    /// Compares an option whose values may be shown.
    fn shown<T: PartialEq>(
        &mut self,
        option: &'static str,
        old: &T,
        new: &T,
        show: impl Fn(&T) -> String,
    ) {
        if old != new {
            self.push(Change { option, old: show(old), new: show(new) });
        }
    }

    fn debug<T: PartialEq + Debug>(&mut self, option: &'static str, old: &T, new: &T) {
        self.shown(option, old, new, |value| format!("{value:?}"));
    }

    /// Compares an option that holds secrets.
    fn hidden<T: PartialEq>(&mut self, option: &'static str, old: &T, new: &T) {
        self.shown(option, old, new, |_| String::new());
    }

    fn push(&mut self, change: Change) {
        if is_reloadable(change.option) {
            self.changes.push(change);
        } else {
            self.refused.push(NotReloadable(change));
        }
    }
}

/// What the table says of an option.
fn is_reloadable(path: &str) -> bool {
    let mut keys = SECTIONS.iter().flat_map(|section| {
        section.keys.iter().map(move |key| (section.path_of(key.name), key.reload))
    });
    keys.any(|(known, reload)| known == path && reload)
}

fn compare_server(diff: &mut Diff, old: &Options, new: &Options) {
    diff.debug("server_name", &old.server_name, &new.server_name);
    diff.debug("host", &old.host, &new.host);
    diff.shown("port", &old.port, &new.port, ToString::to_string);
    diff.debug("client_advertise", &old.client_advertise, &new.client_advertise);
    diff.debug("http", &old.monitor, &new.monitor);
    diff.debug("debug", &old.logging.debug, &new.logging.debug);
    diff.debug("trace", &old.logging.trace, &new.logging.trace);
    diff.debug("trace_verbose", &old.logging.trace_verbose, &new.logging.trace_verbose);
    diff.debug("logtime", &old.logging.logtime, &new.logging.logtime);
    diff.debug("log_file", &old.logging.file, &new.logging.file);
    diff.debug("pid_file", &old.pid_file, &new.pid_file);
    diff.debug("ports_file_dir", &old.ports_file_dir, &new.ports_file_dir);
    diff.debug("server_tags", &old.server_tags, &new.server_tags);
    let (before, after) = (&old.lame_duck, &new.lame_duck);
    let show = |duration: &_| format_duration(*duration);
    diff.shown("lame_duck_duration", &before.duration, &after.duration, show);
    diff.shown("lame_duck_grace_period", &before.grace_period, &after.grace_period, show);
    diff.debug("flotilla", &old.tuning, &new.tuning);
}

fn compare_connection(diff: &mut Diff, old: &Options, new: &Options) {
    let (old, new) = (&old.connection, &new.connection);
    diff.debug("max_payload", &old.max_payload, &new.max_payload);
    diff.debug("max_control_line", &old.max_control_line, &new.max_control_line);
    diff.debug("max_pending", &old.max_pending, &new.max_pending);
    diff.debug("max_connections", &old.max_connections, &new.max_connections);
    let show = |duration: &_| format_duration(*duration);
    diff.shown("ping_interval", &old.ping_interval, &new.ping_interval, show);
    diff.debug("ping_max", &old.ping_max, &new.ping_max);
    diff.shown("write_deadline", &old.write_deadline, &new.write_deadline, show);
}

fn compare_accounts(diff: &mut Diff, old: &Options, new: &Options) {
    diff.hidden("authorization", &old.authorization, &new.authorization);
    diff.hidden("accounts", &old.accounts, &new.accounts);
    diff.debug("system_account", &old.system_account, &new.system_account);
    diff.debug("no_auth_user", &old.no_auth_user, &new.no_auth_user);
}

fn compare_cluster(diff: &mut Diff, old: &Options, new: &Options) {
    let (old, new) = (&old.cluster, &new.cluster);
    diff.debug("cluster.name", &old.name, &new.name);
    diff.debug("cluster.listen", &old.listen, &new.listen);
    diff.shown("cluster.routes", &old.routes, &new.routes, |routes| {
        routes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    });
    diff.hidden("cluster.authorization", &old.authorization, &new.authorization);
    diff.debug("cluster.tls", &old.tls, &new.tls);
    diff.debug("cluster.advertise", &old.advertise, &new.advertise);
    diff.debug("cluster.no_advertise", &old.no_advertise, &new.no_advertise);
    diff.debug("cluster.connect_retries", &old.connect_retries, &new.connect_retries);
}

fn compare_jetstream(diff: &mut Diff, old: &Options, new: &Options) {
    let directory = |options: &Options| options.store_dir().map(ToOwned::to_owned);
    diff.debug("store_dir", &directory(old), &directory(new));
    let (Some(before), Some(after)) = (&old.jetstream, &new.jetstream) else {
        diff.debug("jetstream", &old.jetstream.is_some(), &new.jetstream.is_some());
        return;
    };
    diff.debug("jetstream.max_memory_store", &before.max_memory_store, &after.max_memory_store);
    diff.debug("jetstream.max_file_store", &before.max_file_store, &after.max_file_store);
    diff.debug("jetstream.sync_interval", &before.sync, &after.sync);
    diff.debug("jetstream.unique_tag", &before.unique_tag, &after.unique_tag);
    let (size, messages) = ("jetstream.max_buffered_size", "jetstream.max_buffered_msgs");
    diff.debug(size, &before.max_buffered_size, &after.max_buffered_size);
    diff.debug(messages, &before.max_buffered_messages, &after.max_buffered_messages);
    diff.debug("jetstream.limits", &before.limits, &after.limits);
}
