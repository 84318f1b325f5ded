//! Which servers there are.

use crate::error::LoadError;
use crate::wire::Connection;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `server_name`.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// User and password, if the URL names them.
    pub user: Option<(String, String)>,
}

/// The servers of a cluster.
#[derive(Clone, Debug)]
pub struct Servers(Vec<Address>);

impl Servers {
    /// Asks each URL for the server's name.
    ///
    /// # Errors
    /// A URL cannot be read, or a server not be reached.
    pub async fn find(urls: &[String]) -> Result<Self, LoadError> {
        let mut servers = Vec::new();
        for url in urls {
            let mut server = parse(url)?;
            let connection = Connection::open(&server).await?;
            server.name = connection.server_name().to_owned();
            servers.push(server);
        }
        if servers.is_empty() {
            return Err(LoadError::Unfit("no server is named".to_owned()));
        }
        Ok(Self(servers))
    }

    /// Any of them, the same one each time.
    #[must_use]
    pub fn first(&self) -> &Address {
        &self.0[0]
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: there is one at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn all(&self) -> &[Address] {
        &self.0
    }

    /// The one with this name.
    pub(crate) fn named(&self, name: &str) -> Result<&Address, LoadError> {
        let found = self.0.iter().find(|server| server.name == name);
        found.ok_or_else(|| {
            LoadError::Unfit(format!(
                "server {name} leads, and its URL is not known: name all servers"
            ))
        })
    }
}

fn parse(url: &str) -> Result<Address, LoadError> {
    let bad = |why| LoadError::Url { url: url.to_owned(), why };
    let rest = match url.split_once("://") {
        Some(("nats", rest)) => rest,
        Some(_) => return Err(bad("only nats:// is spoken here, without TLS")),
        None => url,
    };
    let (user, address) = match rest.rsplit_once('@') {
        Some((user, address)) => {
            let (user, password) =
                user.split_once(':').ok_or_else(|| bad("a user has a password"))?;
            (Some((user.to_owned(), password.to_owned())), address)
        }
        None => (None, rest),
    };
    let address = address.trim_end_matches('/');
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { address.to_owned() } else { format!("{address}:4222") };
    Ok(Address { name: String::new(), address, user })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_host_port_and_perhaps_a_user() {
        let address = |url: &str| parse(url).map(|a| (a.address, a.user)).unwrap();
        assert_eq!(address("nats://h:1"), ("h:1".to_owned(), None));
        assert_eq!(address("h"), ("h:4222".to_owned(), None));
        let user = Some(("u".to_owned(), "p@q".to_owned()));
        assert_eq!(address("nats://u:p@q@h:7/"), ("h:7".to_owned(), user));
        assert!(parse("tls://h:1").is_err());
        assert!(parse("nats://token@h:1").is_err());
    }
}
