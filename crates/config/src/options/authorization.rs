//! Who may connect: a token, one user, or several.

use std::time::Duration;

use super::fields::Fields;
use super::section::{Key, Section};
use crate::findings::{Findings, Reason};
use crate::secret::Secret;
use crate::syntax::Map;

/// The `authorization` block: users of the global account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The one user, of `user` and `pass`.
    pub user: Option<User>,
    /// The token that stands for a user.
    pub token: Option<Secret>,
    /// Several users.
    pub users: Vec<User>,
    /// Time that a client has to say who it is.
    pub timeout: Duration,
}

impl Default for Authorization {
    fn default() -> Self {
        Self { user: None, token: None, users: Vec::new(), timeout: Duration::from_secs(2) }
    }
}

impl Authorization {
    /// Whether anyone at all may connect to the global account.
    pub fn is_open(&self) -> bool {
        self.user.is_none() && self.token.is_none() && self.users.is_empty()
    }
}

/// A user's name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password or its bcrypt hash; empty if none was given.
    pub password: Secret,
}

pub(super) const AUTHORIZATION: Section = Section {
    path: "authorization",
    keys: &[
        Key {
            name: "user",
            aliases: &["username"],
            kind: "string",
            default: "none",
            reload: true,
            meaning: "The name of the one user.",
        },
        Key {
            name: "password",
            aliases: &["pass"],
            kind: "string",
            default: "none",
            reload: true,
            meaning: "The password of the one user, or its bcrypt hash.",
        },
        Key {
            name: "token",
            aliases: &[],
            kind: "string",
            default: "none",
            reload: true,
            meaning: "A token instead of a user, or its bcrypt hash.",
        },
        Key {
            name: "users",
            aliases: &[],
            kind: "array of maps",
            default: "none",
            reload: true,
            meaning: "Several users, each `{ user, password }`, instead of one.",
        },
        Key {
            name: "timeout",
            aliases: &[],
            kind: "seconds or duration",
            default: "`2`",
            reload: true,
            meaning: "Time that a client has to say who it is.",
        },
    ],
    unsupported: &["default_permissions", "permissions", "auth_callout", "proxy_required"],
};

pub(super) const USER: Section = Section {
    path: "authorization.users[]",
    keys: &[
        Key {
            name: "user",
            aliases: &["username"],
            kind: "string",
            default: "required",
            reload: true,
            meaning: "The user's name, unique among all accounts.",
        },
        Key {
            name: "password",
            aliases: &["pass"],
            kind: "string",
            default: "none",
            reload: true,
            meaning: "The user's password, or its bcrypt hash.",
        },
    ],
    unsupported: &[
        "nkey",
        "permissions",
        "permission",
        "authorization",
        "allowed_connection_types",
        "connection_types",
        "clients",
        "proxy_required",
    ],
};

pub(super) fn read(map: &Map, findings: &mut Findings) -> Authorization {
    let mut fields = Fields::new(map, &AUTHORIZATION, findings);
    let defaults = Authorization::default();
    let token = fields.secret("token");
    let timeout = fields.timeout("timeout").unwrap_or(defaults.timeout);
    Authorization { user: read_one(&mut fields), token, users: read_users(&mut fields), timeout }
}

/// The user of `user` and `password`.
fn read_one(fields: &mut Fields<'_, '_>) -> Option<User> {
    let name = fields.some_text("user");
    let password = fields.secret("password");
    match (name, password) {
        (Some(name), password) => {
            Some(User { name, password: password.unwrap_or_else(|| Secret::new("")) })
        }
        (None, Some(_)) => {
            fields.fail("password", Reason::Conflict("a password needs a `user`"));
            None
        }
        (None, None) => None,
    }
}

/// The users of an array, here or in an account.
pub(super) fn read_users(fields: &mut Fields<'_, '_>) -> Vec<User> {
    let mut users = Vec::new();
    for item in fields.array("users").unwrap_or_default() {
        let Some(map) = fields.as_map("users", item) else { continue };
        let mut user = Fields::new(map, &USER, fields.findings);
        let missing = user.value("user").is_none();
        match read_one(&mut user) {
            Some(user) => users.push(user),
            None if missing => {
                let reason = Reason::Required { context: "a user", option: "user" };
                user.findings.fail(Some(item.at.clone()), reason);
            }
            None => {}
        }
    }
    users
}
