//! The envelope of every JSON reply: its type, then either an error or the payload's own fields.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// How many names a page of a names reply holds.
pub const NAMES_PER_PAGE: u64 = 1024;
/// How many descriptions a page of a list reply holds.
pub const DESCRIPTIONS_PER_PAGE: u64 = 256;
/// How many subjects a page of a stream's description holds.
pub const SUBJECTS_PER_PAGE: u64 = 100_000;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $type:literal;)*) => {
        /// Which reply it is: clients check the type before they look at anything else.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ReplyKind { $($(#[$doc])* $name,)* }

        impl ReplyKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The text of the `type` field.
            #[must_use]
            pub const fn type_name(self) -> &'static str {
                match self { $(Self::$name => concat!("io.nats.jetstream.api.v1.", $type),)* }
            }
        }
    };
}

kinds! {
    /// Any request that could not be told apart.
    System = "system_response";
    /// [`crate::AccountInfo`]
    AccountInfo = "account_info_response";
    /// Success only.
    AccountPurge = "account_purge_response";
    /// [`crate::stream::StreamCreated`]
    StreamCreate = "stream_create_response";
    /// [`crate::stream::StreamInfo`]
    StreamUpdate = "stream_update_response";
    /// [`crate::stream::StreamNames`]
    StreamNames = "stream_names_response";
    /// [`crate::stream::StreamList`]
    StreamList = "stream_list_response";
    /// [`crate::stream::StreamDescription`]
    StreamInfo = "stream_info_response";
    /// [`Success`]
    StreamDelete = "stream_delete_response";
    /// [`crate::stream::Purged`]
    StreamPurge = "stream_purge_response";
    /// Not carried out yet.
    StreamSnapshot = "stream_snapshot_response";
    /// Not carried out yet.
    StreamRestore = "stream_restore_response";
    /// [`crate::message::MessageFound`]
    MessageGet = "stream_msg_get_response";
    /// [`Success`]
    MessageDelete = "stream_msg_delete_response";
    /// [`Success`]
    StreamPeerRemove = "stream_remove_peer_response";
    /// [`Success`]
    StreamLeaderStepDown = "stream_leader_stepdown_response";
    /// [`crate::consumer::ConsumerInfo`]
    ConsumerCreate = "consumer_create_response";
    /// [`crate::consumer::ConsumerNames`]
    ConsumerNames = "consumer_names_response";
    /// [`crate::consumer::ConsumerList`]
    ConsumerList = "consumer_list_response";
    /// [`crate::consumer::ConsumerInfo`]
    ConsumerInfo = "consumer_info_response";
    /// [`Success`]
    ConsumerDelete = "consumer_delete_response";
    /// Not carried out yet.
    ConsumerPause = "consumer_pause_response";
    /// Not carried out yet.
    ConsumerUnpin = "consumer_unpin_response";
    /// Not carried out yet.
    ConsumerReset = "consumer_reset_response";
    /// [`Success`]
    ConsumerLeaderStepDown = "consumer_leader_stepdown_response";
    /// [`Success`]
    MetaLeaderStepDown = "meta_leader_stepdown_response";
    /// Not carried out yet.
    MetaRescue = "meta_rescue_response";
    /// [`Success`]
    ServerRemove = "meta_server_remove_response";
}

/// The payload of replies that say nothing but that it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Success {
    success: bool,
}

impl Success {
    /// It was done.
    pub const DONE: Self = Self { success: true };
}

/// Which part of a longer answer this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paging {
    /// How many there are in all.
    pub total: u64,
    /// How many come before this page.
    pub offset: u64,
    /// How many a page holds.
    pub limit: u64,
}

impl Paging {
    /// The page that begins with number `offset` of `total`, and which of them are on it. An offset
    /// behind the end is taken as the end.
    #[must_use]
    pub fn of(total: usize, offset: u64, limit: u64) -> (Self, std::ops::Range<usize>) {
        let start = usize::try_from(offset).map_or(total, |offset| offset.min(total));
        let length = usize::try_from(limit).map_or(total - start, |limit| limit.min(total - start));
        let paging = Self { total: total as u64, offset: start as u64, limit };
        (paging, start..start + length)
    }
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    #[serde(rename = "type")]
    type_name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a ApiError>,
    #[serde(flatten)]
    payload: Option<&'a T>,
}

impl ReplyKind {
    /// The JSON of a reply that says it worked. `payload` serializes as an object.
    #[must_use]
    pub fn success<T: Serialize>(self, payload: &T) -> Vec<u8> {
        let type_name = self.type_name();
        encode(&Envelope { type_name, error: None, payload: Some(payload) })
    }

    /// The JSON of a reply that says why it did not work.
    #[must_use]
    pub fn failure(self, error: &ApiError) -> Vec<u8> {
        let type_name = self.type_name();
        // Clients' schemas ask for paging in paged replies, even where there is nothing to page.
        let paging = Paging::default();
        let payload = self.is_paged().then_some(&paging);
        encode(&Envelope { type_name, error: Some(error), payload })
    }

    /// The JSON of whichever it was.
    #[must_use]
    pub fn encode<T: Serialize>(self, outcome: &Result<T, ApiError>) -> Vec<u8> {
        match outcome {
            Ok(payload) => self.success(payload),
            Err(error) => self.failure(error),
        }
    }

    /// Reads a reply of this kind, as a client does. Fields that this build does not know are
    /// passed over.
    ///
    /// # Errors
    /// [`ReplyError::Api`] is the server's answer; everything else is not a reply of this kind.
    pub fn decode<T: DeserializeOwned>(self, json: &[u8]) -> Result<T, ReplyError> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(rename = "type", default)]
            type_name: String,
            error: Option<ApiError>,
        }

        let head: Head = serde_json::from_slice(json)?;
        // An error of a server that could not tell requests apart has the system's type.
        if let Some(error) = head.error {
            return Err(ReplyError::Api(error));
        }
        if head.type_name != self.type_name() {
            return Err(ReplyError::Type { expected: self.type_name(), found: head.type_name });
        }
        Ok(serde_json::from_slice(json)?)
    }

    const fn is_paged(self) -> bool {
        matches!(
            self,
            Self::StreamNames
                | Self::StreamList
                | Self::StreamInfo
                | Self::ConsumerNames
                | Self::ConsumerList
        )
    }
}

/// Our own reply types hold nothing that JSON cannot, such as maps with keys that are not text.
fn encode<T: Serialize>(envelope: &Envelope<'_, T>) -> Vec<u8> {
    serde_json::to_vec(envelope).unwrap_or_else(|_| {
        let failed = crate::ErrorKind::StreamGeneralError.because("the reply could not be encoded");
        let (type_name, error) = (envelope.type_name, Some(&failed));
        serde_json::to_vec(&Envelope::<()> { type_name, error, payload: None }).unwrap_or_default()
    })
}

/// Why a reply holds no payload.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// The server refused or failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// It is another reply.
    #[error("expected a reply of type {expected}, got {found:?}")]
    Type {
        /// The type asked for.
        expected: &'static str,
        /// The type in the reply.
        found: String,
    },
    /// It is not what such a reply looks like.
    #[error("malformed reply: {0}")]
    Json(#[from] serde_json::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn text(json: Vec<u8>) -> String {
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn replies_carry_their_type_first() {
        assert_eq!(
            text(ReplyKind::StreamDelete.success(&Success::DONE)),
            r#"{"type":"io.nats.jetstream.api.v1.stream_delete_response","success":true}"#
        );
        assert_eq!(
            text(ReplyKind::ConsumerInfo.failure(&ErrorKind::ConsumerNotFound.error())),
            concat!(
                r#"{"type":"io.nats.jetstream.api.v1.consumer_info_response","error":"#,
                r#"{"code":404,"err_code":10014,"description":"consumer not found"}}"#
            )
        );
        assert_eq!(
            text(ReplyKind::StreamInfo.failure(&ErrorKind::StreamNotFound.error())),
            concat!(
                r#"{"type":"io.nats.jetstream.api.v1.stream_info_response","error":"#,
                r#"{"code":404,"err_code":10059,"description":"stream not found"},"#,
                r#""total":0,"offset":0,"limit":0}"#
            )
        );
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let done: Result<Success, ApiError> = Ok(Success::DONE);
        let json = ReplyKind::ServerRemove.encode(&done);
        let decoded: Success = ReplyKind::ServerRemove.decode(&json).unwrap();
        assert_eq!(decoded, Success::DONE);

        let refused: Result<Success, ApiError> = Err(ErrorKind::ClusterServerNotMember.error());
        let json = ReplyKind::ServerRemove.encode(&refused);
        let error = ReplyKind::ServerRemove.decode::<Success>(&json).unwrap_err();
        assert!(matches!(error, ReplyError::Api(error) if error.err_code == 10044));
    }

    #[test]
    fn another_reply_is_not_taken_for_this_one() {
        let json = ReplyKind::StreamDelete.success(&Success::DONE);
        let error = ReplyKind::ConsumerDelete.decode::<Success>(&json).unwrap_err();
        assert!(matches!(error, ReplyError::Type { .. }), "{error}");
        let error = ReplyKind::ConsumerDelete.decode::<Success>(b"{").unwrap_err();
        assert!(matches!(error, ReplyError::Json(_)), "{error}");
    }

    #[test]
    fn what_a_newer_server_adds_is_passed_over() {
        let json = br#"{"type":"io.nats.jetstream.api.v1.stream_create_response","new":{"a":1},
            "config":{"name":"S","newer":true,"placement":{"newest":1}},
            "created":"2026-11-20T12:23:10Z","state":{}}"#;
        let created: crate::stream::StreamCreated = ReplyKind::StreamCreate.decode(json).unwrap();
        assert_eq!(created.info.config.name, "S");
    }

    #[test]
    fn pages_stay_inside() {
        assert_eq!(Paging::of(5, 0, 2).1, 0..2);
        assert_eq!(Paging::of(5, 4, 2).1, 4..5);
        let (paging, range) = Paging::of(5, u64::MAX, 2);
        assert_eq!(range, 5..5);
        assert_eq!(paging, Paging { total: 5, offset: 5, limit: 2 });
    }
}
