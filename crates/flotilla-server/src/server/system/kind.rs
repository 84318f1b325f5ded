//! What servers are asked for, and on which subjects.

/// What every server answers on.
pub(super) const PING: &str = "$SYS.REQ.SERVER.PING";
/// What begins the subjects of one server; its id follows.
const SERVER: &str = "$SYS.REQ.SERVER.";

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Idz,
    Statsz,
    Varz,
    Jsz,
    Healthz,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Idz, Self::Statsz, Self::Varz, Self::Jsz, Self::Healthz];

    fn token(self) -> &'static str {
        match self {
            Self::Idz => "IDZ",
            Self::Statsz => "STATSZ",
            Self::Varz => "VARZ",
            Self::Jsz => "JSZ",
            Self::Healthz => "HEALTHZ",
        }
    }

    /// Every subject that the server with this id listens on, and what it asks for. There are no wildcards: whoever
    /// asks for something else is told at once that nobody answers it.
    pub(super) fn subjects(server_id: &str) -> Vec<(String, Self)> {
        let of = |kind: Self| {
            let token = kind.token();
            [(format!("{PING}.{token}"), kind), (format!("{SERVER}{server_id}.{token}"), kind)]
        };
        let bare = (PING.to_owned(), Self::Statsz);
        std::iter::once(bare).chain(Self::ALL.into_iter().flat_map(of)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_servers_are_asked_by_ping_and_one_by_its_id() {
        let subjects = Kind::subjects("NABC");
        let kind = |subject: &str| subjects.iter().find(|(s, _)| s == subject).map(|(_, k)| *k);
        assert_eq!(kind("$SYS.REQ.SERVER.PING"), Some(Kind::Statsz));
        assert_eq!(kind("$SYS.REQ.SERVER.PING.JSZ"), Some(Kind::Jsz));
        assert_eq!(kind("$SYS.REQ.SERVER.NABC.VARZ"), Some(Kind::Varz));
        assert_eq!(subjects.len(), 1 + 2 * Kind::ALL.len());
    }
}
