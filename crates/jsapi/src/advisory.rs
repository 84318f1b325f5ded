//! Advisories: what happens on a server, told to whoever listens below `$JS.EVENT.ADVISORY`.
//!
//! The envelope is the reference's, so that tools which show its advisories show these. What only Flotilla has stands
//! below `FLOTILLA`, with types in a name space of its own.

use serde::Serialize;

use crate::Time;

/// Below which subject all advisories are.
pub const ADVISORY_PREFIX: &str = "$JS.EVENT.ADVISORY";

/// The length of an id, as the reference's.
pub const ADVISORY_ID_LEN: usize = 22;

/// One advisory. The fields stand in the reference's order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advisory {
    /// What kind it is, for whoever reads the body.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its own; no other advisory has it.
    pub id: String,
    /// When it was sent.
    pub timestamp: Time,
    /// The name of the server that it is about.
    pub server: String,
    /// That server's id.
    pub server_id: String,
    /// That server's cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Its domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub event: AdvisoryEvent,
}

/// Where it happened: a replica of an asset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AssetReplica {
    /// The asset's account; left out of what concerns no account, such as the meta group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The consumer, if it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// The Raft group.
    pub group: String,
    /// The replica's number.
    pub replica: u64,
}

/// A store's disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StoreDisk {
    /// The store's directory.
    pub store_dir: String,
    /// Bytes that are free on its file system.
    pub free: u64,
    /// Bytes from which on there is enough again.
    pub enough: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum AdvisoryEvent {
    /// Something that a replica holds is damaged.
    Damaged {
        /// Where.
        #[serde(flatten)]
        at: AssetReplica,
        /// What.
        reason: String,
    },
    /// What was damaged is whole again.
    Repaired {
        /// Where.
        #[serde(flatten)]
        at: AssetReplica,
        /// What.
        reason: String,
    },
    /// A store takes no messages any more, for want of room.
    DiskFull(StoreDisk),
    /// It has room again.
    DiskRoom(StoreDisk),
    /// The reference's word for a store without room.
    OutOfStorage {},
}

impl AdvisoryEvent {
    /// The subject that it is told on.
    #[must_use]
    pub fn subject(&self) -> String {
        let name = match self {
            Self::Damaged { .. } => "FLOTILLA.DAMAGE",
            Self::Repaired { .. } => "FLOTILLA.REPAIR",
            Self::DiskFull(_) => "FLOTILLA.DISK_FULL",
            Self::DiskRoom(_) => "FLOTILLA.DISK_ROOM",
            Self::OutOfStorage {} => "SERVER.OUT_OF_STORAGE",
        };
        format!("{ADVISORY_PREFIX}.{name}")
    }

    /// What its body is called.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Damaged { .. } => "io.flotilla.jetstream.advisory.v1.damaged",
            Self::Repaired { .. } => "io.flotilla.jetstream.advisory.v1.repaired",
            Self::DiskFull(_) => "io.flotilla.jetstream.advisory.v1.disk_full",
            Self::DiskRoom(_) => "io.flotilla.jetstream.advisory.v1.disk_room",
            Self::OutOfStorage {} => "io.nats.jetstream.advisory.v1.server_out_of_space",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advisory(event: AdvisoryEvent) -> String {
        let advisory = Advisory {
            kind: event.kind(),
            id: "x".repeat(ADVISORY_ID_LEN),
            timestamp: Time::parse("2026-01-02T03:04:05Z").unwrap(),
            server: "n1".to_owned(),
            server_id: "NABC".to_owned(),
            cluster: Some("C1".to_owned()),
            domain: None,
            event,
        };
        serde_json::to_string(&advisory).unwrap()
    }

    #[test]
    fn damage_says_where_it_is() {
        let at = AssetReplica {
            account: Some("A".to_owned()),
            stream: Some("ORDERS".to_owned()),
            consumer: None,
            group: "00000000000002aa".to_owned(),
            replica: 7,
        };
        let event = AdvisoryEvent::Damaged { at, reason: "message 5 of segment 1".to_owned() };
        assert_eq!(event.subject(), "$JS.EVENT.ADVISORY.FLOTILLA.DAMAGE");
        assert_eq!(
            advisory(event),
            concat!(
                r#"{"type":"io.flotilla.jetstream.advisory.v1.damaged","id":"xxxxxxxxxxxxxxxxxxxxxx","#,
                r#""timestamp":"2026-01-02T03:04:05Z","server":"n1","server_id":"NABC","cluster":"C1","#,
                r#""account":"A","stream":"ORDERS","group":"00000000000002aa","replica":7,"#,
                r#""reason":"message 5 of segment 1"}"#
            )
        );
    }

    #[test]
    fn a_full_disk_is_told_in_the_reference_s_words_too() {
        let event = AdvisoryEvent::OutOfStorage {};
        assert_eq!(event.subject(), "$JS.EVENT.ADVISORY.SERVER.OUT_OF_STORAGE");
        assert_eq!(
            advisory(event),
            concat!(
                r#"{"type":"io.nats.jetstream.advisory.v1.server_out_of_space","#,
                r#""id":"xxxxxxxxxxxxxxxxxxxxxx","timestamp":"2026-01-02T03:04:05Z","#,
                r#""server":"n1","server_id":"NABC","cluster":"C1"}"#
            )
        );
    }
}
