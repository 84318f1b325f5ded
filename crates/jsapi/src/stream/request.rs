//! Requests about streams that carry something other than a configuration.

use serde::{Deserialize, Serialize};

use crate::error::{ApiError, ErrorKind};
use crate::omission::is_default;
use crate::request::page_start;

/// The body of `STREAM.INFO`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InfoRequest {
    /// How many subjects to pass over.
    pub offset: i64,
    /// Whether sequences that are gone are listed.
    pub deleted_details: bool,
    /// The subjects to count, by a pattern; empty for none.
    pub subjects_filter: String,
}

impl InfoRequest {
    /// How many subjects to pass over.
    #[must_use]
    pub fn start(&self) -> u64 {
        page_start(self.offset)
    }
}

/// The body of `STREAM.NAMES` and `STREAM.LIST`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListRequest {
    /// How many streams to pass over.
    pub offset: i64,
    /// Only streams that capture something of this pattern; empty for all.
    #[serde(skip_serializing_if = "is_default")]
    pub subject: String,
}

impl ListRequest {
    /// How many streams to pass over.
    #[must_use]
    pub fn start(&self) -> u64 {
        page_start(self.offset)
    }

    /// Whether a stream that captures `subjects` is asked for.
    #[must_use]
    pub fn wants(&self, subjects: &[String]) -> bool {
        let overlaps = |subject: &String| flotilla_subject::overlap(subject, &self.subject);
        self.subject.is_empty() || subjects.iter().any(overlaps)
    }
}

/// The body of `STREAM.PURGE`. Nothing set purges everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PurgeRequest {
    /// Messages below this sequence; 0 is no bound.
    pub seq: u64,
    /// Messages of this subject or pattern; empty is all.
    pub filter: String,
    /// All but so many of the last; 0 is none of them.
    pub keep: u64,
}

impl PurgeRequest {
    /// Checks that the bounds do not contradict each other.
    ///
    /// # Errors
    /// 10003 when both a sequence and a number to keep are given.
    pub fn check(&self) -> Result<(), ApiError> {
        if self.seq > 0 && self.keep > 0 {
            return Err(ErrorKind::BadRequest.error());
        }
        Ok(())
    }
}

/// The payload of the reply to `STREAM.PURGE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// That it worked.
    pub success: bool,
    /// How many messages are gone.
    pub purged: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_be_narrowed() {
        let subjects = ["orders.*".to_owned(), "returns.>".to_owned()];
        let wants =
            |subject: &str| ListRequest { offset: 0, subject: subject.to_owned() }.wants(&subjects);
        assert!(wants(""));
        assert!(wants("orders.new"));
        assert!(wants("*.a.b"));
        assert!(!wants("orders.new.eu"));
    }

    #[test]
    fn a_purge_is_bounded_in_one_way() {
        assert_eq!(PurgeRequest::default().check(), Ok(()));
        assert_eq!(PurgeRequest { seq: 5, ..Default::default() }.check(), Ok(()));
        let both = PurgeRequest { seq: 5, keep: 1, filter: "a".to_owned() };
        assert_eq!(both.check(), Err(ErrorKind::BadRequest.error()));
    }
}
