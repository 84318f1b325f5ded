//! Where a server listens: a host and a port.

use std::fmt;
use std::num::NonZeroU16;

/// A port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// This port.
    Number(NonZeroU16),
    /// Whatever port the system picks, written `-1`.
    Any,
}

impl Port {
    /// A port from its number in a configuration: `-1` is any, and zero is none of them.
    pub fn from_number(number: i64) -> Option<Self> {
        match number {
            -1 => Some(Self::Any),
            _ => u16::try_from(number).ok().and_then(NonZeroU16::new).map(Self::Number),
        }
    }

    /// What to bind: zero lets the system pick.
    pub fn to_bind(self) -> u16 {
        match self {
            Self::Number(number) => number.get(),
            Self::Any => 0,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Any => f.write_str("-1"),
        }
    }
}

/// A host and a port to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// A name or an address, without brackets; `None` is the default of whoever listens.
    pub host: Option<String>,
    /// The port.
    pub port: Port,
}

/// Why a text is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No colon.
    #[error("expected `host:port`")]
    NoPort,
    /// More than one colon outside brackets.
    #[error("an IPv6 address needs brackets, `[::1]:4222`")]
    Brackets,
    /// A port that is no number, or none of 1 to 65535.
    #[error("could not parse port {0:?}: it must be 1 to 65535, or -1 for any")]
    Port(String),
    /// Something that is no host.
    #[error("{0:?} is no host name or address")]
    Host(String),
}

impl Listen {
    /// Parses `host:port`, `:port` or `[v6]:port`.
    ///
    /// # Errors
    /// If there is no port, or it or the host is none.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (host, port) = split_host_port(text)?;
        let port = port.ok_or(AddressError::NoPort)?;
        let number = parse_port_number(port)?;
        let host = (!host.is_empty()).then(|| host.to_owned());
        Ok(Self { host, port: number })
    }

    /// The host, or what stands for it when none was given.
    pub fn host_or<'a>(&'a self, default: &'a str) -> &'a str {
        self.host.as_deref().unwrap_or(default)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_host_port(f, self.host_or(""), &self.port)
    }
}

/// Splits an address at its port, and takes the brackets off; checks the host but for being empty.
pub(crate) fn split_host_port(text: &str) -> Result<(&str, Option<&str>), AddressError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or(AddressError::Brackets)?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(AddressError::Host(host.to_owned()));
            }
            match behind.strip_prefix(':') {
                Some(port) => return Ok((host, Some(port))),
                None if behind.is_empty() => return Ok((host, None)),
                None => return Err(AddressError::Brackets),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if port.is_some_and(|port| port.contains(':')) {
        return Err(AddressError::Brackets);
    }
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !host.chars().all(plain) {
        return Err(AddressError::Host(host.to_owned()));
    }
    Ok((host, port))
}

pub(crate) fn parse_port_number(text: &str) -> Result<Port, AddressError> {
    let number = text.parse::<i64>().ok();
    number.and_then(Port::from_number).ok_or_else(|| AddressError::Port(text.to_owned()))
}

pub(crate) fn write_host_port(
    f: &mut fmt::Formatter<'_>,
    host: &str,
    port: &dyn fmt::Display,
) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in ["localhost:6222", "[::1]:4222", "0.0.0.0:-1", ":4222", "n1.example.com:65535"]
        {
            assert_eq!(Listen::parse(text).map(|listen| listen.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["", "4222", "localhost", "a:b", "a:0", "a:65536", "a:-2", "::1:4222", "[x]:1", "a b:1"]
        {
            assert!(Listen::parse(text).is_err(), "{text}");
        }
    }
}
