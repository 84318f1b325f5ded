//! Who may connect, and into which account.

use std::collections::BTreeMap;
use std::fmt;

use flotilla_config::{Options, Secret as ConfiguredSecret};
use flotilla_proto::Connect;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::account::GLOBAL_ACCOUNT;

/// A user who connects with a name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name in `CONNECT`'s `user`.
    pub name: String,
    /// The password in `CONNECT`'s `pass`, in plain text.
    pub password: String,
    /// The account the user belongs to.
    pub account: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password stays out of every log.
        let Self { name, account, .. } = self;
        f.debug_struct("User").field("name", name).field("account", account).finish_non_exhaustive()
    }
}

/// The `authorization` and `accounts` of a configuration, as far as they decide who a client is.
#[derive(Clone, Default)]
pub struct AuthOptions {
    /// Users by name and password. A single `user`/`password` pair is a list of one, in `$G`.
    pub users: Vec<User>,
    /// The shared token, for the account `$G`.
    pub token: Option<String>,
    /// Who a client is that gives no credentials: the name of one of `users`.
    pub no_auth_user: Option<String>,
    /// The account of operators. Where only it has users, everybody else is in `$G` without credentials, as with the
    /// reference server.
    pub system_account: Option<String>,
}

/// A secret is kept as a bcrypt hash, which this server cannot check.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{owner} is a bcrypt hash, which is not supported: write the secret itself")]
pub struct UnsupportedSecret {
    /// Whose secret it is.
    pub owner: String,
}

impl AuthOptions {
    /// Who may connect by a server's configuration.
    ///
    /// # Errors
    /// A secret is a hash. Taken for the secret itself, it would let in everyone who has read the configuration.
    pub fn from_config(options: &Options) -> Result<Self, UnsupportedSecret> {
        let user = |account: &str, user: &flotilla_config::User| {
            let owner = || format!("the password of user {:?}", user.name);
            Ok(User {
                name: user.name.clone(),
                password: plain(&user.password, owner)?,
                account: account.to_owned(),
            })
        };
        let authorization = &options.authorization;
        let global = authorization.user.iter().chain(&authorization.users);
        let global = global.map(|it| user(GLOBAL_ACCOUNT, it));
        let others = options
            .accounts
            .iter()
            .flat_map(|(name, account)| account.users.iter().map(|it| user(name, it)));
        let token = authorization.token.as_ref();
        Ok(Self {
            users: global.chain(others).collect::<Result<_, _>>()?,
            token: token.map(|token| plain(token, || "the token".to_owned())).transpose()?,
            no_auth_user: options.no_auth_user.clone(),
            system_account: Some(options.system_account.clone()),
        })
    }
}

fn plain(
    secret: &ConfiguredSecret,
    owner: impl FnOnce() -> String,
) -> Result<String, UnsupportedSecret> {
    if secret.is_bcrypt() {
        return Err(UnsupportedSecret { owner: owner() });
    }
    Ok(secret.expose().to_owned())
}

impl fmt::Debug for AuthOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { users, token, no_auth_user, system_account } = self;
        f.debug_struct("AuthOptions")
            .field("users", users)
            .field("token", &token.is_some())
            .field("no_auth_user", no_auth_user)
            .field("system_account", system_account)
            .finish()
    }
}

/// Who a client turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The account's name.
    pub account: String,
    /// The user's name, if there are users.
    pub user: Option<String>,
}

/// Judges credentials. Secrets are compared in a time that does not depend on where they differ.
#[derive(Debug, Clone)]
pub struct Authenticator {
    users: BTreeMap<String, (Secret, Admission)>,
    token: Option<Secret>,
    without_credentials: Option<Admission>,
    is_open: bool,
}

impl Authenticator {
    /// The judge of `options`. Of two users with one name the later counts.
    pub fn new(options: &AuthOptions) -> Self {
        let admission = |user: &User| Admission {
            account: user.account.clone(),
            user: Some(user.name.clone()),
        };
        let users: BTreeMap<_, _> = options
            .users
            .iter()
            .map(|user| (user.name.clone(), (Secret::new(&user.password), admission(user))))
            .collect();
        let operator = |account: &str| options.system_account.as_deref() == Some(account);
        let only_operators = users.values().all(|(_, admission)| operator(&admission.account));
        let is_open = only_operators && options.token.is_none() && options.no_auth_user.is_none();
        let without_credentials = match &options.no_auth_user {
            Some(name) => users.get(name).map(|(_, admission)| admission.clone()),
            None if is_open => Some(Admission::anonymous()),
            None => None,
        };
        let token = options.token.as_deref().map(Secret::new);
        Self { users, token, without_credentials, is_open }
    }

    /// Must a client give credentials? This is `INFO`'s `auth_required`.
    pub fn is_required(&self) -> bool {
        !self.is_open
    }

    /// Who a client is before, or without, giving credentials; `None` if it must give some.
    pub fn without_credentials(&self) -> Option<&Admission> {
        self.without_credentials.as_ref()
    }

    /// Who the client behind `connect` is; `None` if it may not connect.
    pub fn admit(&self, connect: &Connect) -> Option<Admission> {
        if self.users.is_empty() && self.token.is_none() {
            // As with the reference server, credentials nobody asked for do no harm.
            return self.without_credentials.clone();
        }
        if let Some(name) = connect.user.as_deref().filter(|_| !self.users.is_empty()) {
            let given = connect.pass.as_deref().unwrap_or_default();
            let Some((secret, admission)) = self.users.get(name) else {
                // Takes as long as a wrong password, so that names cannot be found by the clock.
                Secret::new(given).is(name);
                return None;
            };
            return secret.is(given).then(|| admission.clone());
        }
        if let (Some(token), Some(given)) = (&self.token, &connect.auth_token) {
            return token.is(given).then(Admission::anonymous);
        }
        let gives_any = connect.user.is_some() || connect.auth_token.is_some();
        self.without_credentials.clone().filter(|_| !gives_any)
    }
}

impl Admission {
    fn anonymous() -> Self {
        Self { account: GLOBAL_ACCOUNT.to_owned(), user: None }
    }
}

/// A secret that is kept, and compared, as its hash: equal length, and nothing to be learned from the first
/// difference.
#[derive(Clone)]
struct Secret([u8; 32]);

impl Secret {
    fn new(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    fn is(&self, given: &str) -> bool {
        let Self(given) = Self::new(given);
        let difference = self.0.iter().zip(given).fold(0, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(difference) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, password: &str, account: &str) -> User {
        User { name: name.into(), password: password.into(), account: account.into() }
    }

    fn connect(user: Option<&str>, pass: Option<&str>, token: Option<&str>) -> Connect {
        Connect {
            user: user.map(Into::into),
            pass: pass.map(Into::into),
            auth_token: token.map(Into::into),
            ..Connect::default()
        }
    }

    #[test]
    fn without_authorization_everybody_is_in_the_global_account() {
        let judge = Authenticator::new(&AuthOptions::default());
        assert!(!judge.is_required());
        let expected = Some(Admission { account: "$G".into(), user: None });
        assert_eq!(judge.admit(&connect(None, None, None)), expected);
        assert_eq!(judge.admit(&connect(Some("any"), Some("thing"), None)), expected);
    }

    #[test]
    fn users_are_put_into_their_accounts_and_nobody_else_comes_in() {
        let users = vec![user("a", "1", "A"), user("b", "2", "B")];
        let judge = Authenticator::new(&AuthOptions { users, ..AuthOptions::default() });
        assert!(judge.is_required());
        assert_eq!(judge.without_credentials(), None);
        let admitted = judge.admit(&connect(Some("b"), Some("2"), None));
        assert_eq!(admitted, Some(Admission { account: "B".into(), user: Some("b".into()) }));
        for (name, pass) in
            [(Some("a"), Some("2")), (Some("a"), None), (Some("x"), Some("1")), (None, None)]
        {
            assert_eq!(judge.admit(&connect(name, pass, None)), None, "{name:?} {pass:?}");
        }
    }

    #[test]
    fn a_token_opens_the_global_account() {
        let options = AuthOptions { token: Some("secret".into()), ..AuthOptions::default() };
        let judge = Authenticator::new(&options);
        assert_eq!(judge.admit(&connect(None, None, Some("secret"))).unwrap().account, "$G");
        assert_eq!(judge.admit(&connect(None, None, Some("secret "))), None);
        assert_eq!(judge.admit(&connect(None, None, None)), None);
    }

    #[test]
    fn the_no_auth_user_is_for_those_who_give_nothing() {
        let users = vec![user("a", "1", "A")];
        let options =
            AuthOptions { users, no_auth_user: Some("a".into()), ..AuthOptions::default() };
        let judge = Authenticator::new(&options);
        assert_eq!(judge.admit(&connect(None, None, None)).unwrap().account, "A");
        assert_eq!(judge.admit(&connect(Some("a"), Some("wrong"), None)), None);
        assert!(judge.without_credentials().is_some());
    }

    #[test]
    fn where_only_operators_have_users_everybody_else_needs_no_credentials() {
        let users = vec![user("admin", "s3cret", "$SYS")];
        let options =
            AuthOptions { users, system_account: Some("$SYS".into()), ..AuthOptions::default() };
        let judge = Authenticator::new(&options);
        assert!(!judge.is_required());
        let account = |connect: &Connect| judge.admit(connect).map(|a| a.account);
        assert_eq!(account(&connect(None, None, None)).as_deref(), Some(GLOBAL_ACCOUNT));
        let operator = connect(Some("admin"), Some("s3cret"), None);
        assert_eq!(account(&operator).as_deref(), Some("$SYS"));
        assert_eq!(account(&connect(Some("admin"), Some("guess"), None)), None);
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let users = vec![user("a", "hunter2", "A")];
        let options =
            AuthOptions { users, token: Some("hunter2".into()), ..AuthOptions::default() };
        let shown = format!("{options:?} {:?}", Authenticator::new(&options));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
