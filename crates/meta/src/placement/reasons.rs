//! Why no placement was found, in the words that NATS operators know.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Why servers were passed over. Which server it was does not matter to the reader, what to change
/// does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// Fewer than a majority of the replicas would be on servers that are online.
    Offline,
    /// A server has a tag that the placement excludes, or takes no assets by its own tag.
    ExcludeTag,
    /// A server has too little room for `max_bytes`.
    NoStorage,
    /// A server shares its zone, or has none.
    UniqueTag,
    /// A server has as many replicated assets as its limit allows.
    MaxHaAssets,
    /// A server is in the right cluster and has no JetStream.
    NoJetStream,
    /// A server is in another cluster.
    OtherCluster(String),
    /// The server that was to be left out.
    Excluded(String),
    /// A server lacks this tag.
    TagsNotMatched(String),
}

/// No set of servers fits: `err_code` 10005.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct NoPeers {
    /// Each reason once.
    pub reasons: BTreeSet<Reason>,
}

impl NoPeers {
    pub(super) fn add(&mut self, reason: Reason) {
        self.reasons.insert(reason);
    }

    pub(super) fn extend(&mut self, reasons: Vec<Reason>) {
        self.reasons.extend(reasons);
    }
}

impl std::fmt::Display for NoPeers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no suitable peers for placement")?;
        let mut unmatched = Vec::new();
        for reason in &self.reasons {
            match reason {
                Reason::Offline => f.write_str(", peer offline")?,
                Reason::ExcludeTag => f.write_str(", exclude tag set")?,
                Reason::NoStorage => f.write_str(", insufficient storage")?,
                Reason::UniqueTag => f.write_str(", server tag not unique")?,
                Reason::MaxHaAssets => f.write_str(", limit of HA assets reached")?,
                Reason::NoJetStream => f.write_str(", jetstream not enabled in cluster")?,
                Reason::TagsNotMatched(tag) => unmatched.push(format!("'{tag}'")),
                // The reference server says nothing of these; a client that parses its text sees no
                // more here.
                Reason::OtherCluster(_) | Reason::Excluded(_) => {}
            }
        }
        if unmatched.is_empty() {
            Ok(())
        } else {
            write!(f, ", tags not matched [{}]", unmatched.join(", "))
        }
    }
}
