//! Accounts: isolated subject spaces with users of their own.

use super::authorization::{User, read_users};
use super::fields::Fields;
use super::section::{Key, Section};
use crate::findings::{Findings, Reason};
use crate::syntax::{Entry, Map, Value, ValueKind};
use std::collections::BTreeMap;

/// An account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Its users.
    pub users: Vec<User>,
    /// Its share of JetStream; `None` if it has none.
    pub jetstream: Option<AccountJetStream>,
}

/// What an account may use of JetStream. `None` is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountJetStream {
    /// Streams.
    pub max_streams: Option<u32>,
    /// Consumers of one stream.
    pub max_consumers: Option<u32>,
}

pub(super) const ACCOUNT: Section = Section {
    path: "accounts.*",
    keys: &[
        Key {
            name: "users",
            aliases: &[],
            kind: "array of maps",
            default: "none",
            reload: true,
            meaning: "The account's users, each as in `authorization.users[]`.",
        },
        Key {
            name: "jetstream",
            aliases: &[],
            kind: "boolean, `enabled`, `disabled` or map",
            default: "`disabled`",
            reload: true,
            meaning: "Whether the account may use JetStream, with limits if it is a map.",
        },
    ],
    unsupported: &[
        "nkey",
        "imports",
        "exports",
        "default_permissions",
        "permissions",
        "mappings",
        "maps",
        "limits",
        "msg_trace",
        "trace_dest",
    ],
};

pub(super) const ACCOUNT_JETSTREAM: Section = Section {
    path: "accounts.*.jetstream",
    keys: &[
        Key {
            name: "max_streams",
            aliases: &["streams"],
            kind: "integer",
            default: "`-1`",
            reload: true,
            meaning: "Streams that the account may have; `-1` is no limit.",
        },
        Key {
            name: "max_consumers",
            aliases: &["consumers"],
            kind: "integer",
            default: "`-1`",
            reload: true,
            meaning: "Consumers that each stream of the account may have; `-1` is no limit.",
        },
    ],
    unsupported: &[
        "max_memory",
        "max_mem",
        "mem",
        "max_store",
        "max_file",
        "max_disk",
        "store",
        "disk",
        "max_bytes_required",
        "max_stream_bytes",
        "mem_max_stream_bytes",
        "disk_max_stream_bytes",
        "max_ack_pending",
        "cluster_traffic",
    ],
};

/// Reads `accounts`: a map of accounts, or an array of names.
pub(super) fn read(value: &Value, findings: &mut Findings) -> BTreeMap<String, Account> {
    let mut accounts = BTreeMap::new();
    match &value.kind {
        ValueKind::Map(map) => {
            for (name, entry) in map.iter() {
                read_account(name, entry, &mut accounts, findings);
            }
        }
        ValueKind::Array(items) => {
            for item in items {
                match &item.kind {
                    ValueKind::Text(name) => {
                        accounts.insert(name.clone(), Account::default());
                    }
                    _ => wrong_kind("strings", item, findings),
                }
            }
        }
        _ => wrong_kind("a map", value, findings),
    }
    if let Some(name) = accounts.keys().find(|name| !is_account_name(name)) {
        let reason = if name.is_empty() {
            Reason::Invalid { name: "accounts", why: "must have names" }
        } else {
            Reason::Spaces("account name")
        };
        findings.fail(Some(value.at.clone()), reason);
    }
    accounts
}

fn is_account_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::is_whitespace)
}

fn wrong_kind(expected: &'static str, value: &Value, findings: &mut Findings) {
    let reason = Reason::Kind { name: "accounts", expected, found: value.describe() };
    findings.fail(Some(value.at.clone()), reason);
}

fn read_account(
    name: &str,
    entry: &Entry,
    accounts: &mut BTreeMap<String, Account>,
    findings: &mut Findings,
) {
    match &entry.value.kind {
        ValueKind::Map(map) => {
            let mut fields = Fields::new(map, &ACCOUNT, findings);
            let users = read_users(&mut fields);
            let jetstream = fields.value("jetstream");
            let jetstream = jetstream.and_then(|value| read_jetstream(value, findings));
            accounts.insert(name.to_owned(), Account { users, jetstream });
        }
        // A scalar that exists to be referred to is no account.
        _ if entry.used => {}
        _ => wrong_kind("maps", &entry.value, findings),
    }
}

fn read_jetstream(value: &Value, findings: &mut Findings) -> Option<AccountJetStream> {
    match &value.kind {
        ValueKind::Bool(enabled) => enabled.then(AccountJetStream::default),
        ValueKind::Text(text) if text.eq_ignore_ascii_case("enabled") => {
            Some(AccountJetStream::default())
        }
        ValueKind::Text(text) if text.eq_ignore_ascii_case("disabled") => None,
        ValueKind::Map(map) => Some(read_limits(map, findings)),
        _ => {
            let why = "must be true, false, 'enabled', 'disabled' or a map";
            findings.fail(Some(value.at.clone()), Reason::Invalid { name: "jetstream", why });
            None
        }
    }
}

/// Limits, where `-1` and absence are no limit.
fn read_limits(map: &Map, findings: &mut Findings) -> AccountJetStream {
    let mut fields = Fields::new(map, &ACCOUNT_JETSTREAM, findings);
    let mut count =
        |name| fields.integer(name, -1..=i64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok());
    let (max_streams, max_consumers) = (count("max_streams"), count("max_consumers"));
    AccountJetStream { max_streams, max_consumers }
}
