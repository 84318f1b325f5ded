//! What applying one command came to.

use crate::{Record, SequenceRange};

/// All that one applied command did. The same on every replica; only the leader answers clients.
///
/// A record may be in `stored` and, limits being what they are, in `removed` too: carry out `stored`
/// first. Sequences are never used again, so no other order matters.
#[derive(Debug, Default)]
pub struct Applied {
    /// For a publish batch: what became of each message, in the order they were pushed.
    pub outcomes: Vec<PublishOutcome>,
    /// The records to write, in the order of their sequences.
    pub stored: Vec<Record>,
    /// The sequences whose messages are gone, in the order they went.
    pub removed: Vec<SequenceRange>,
    /// For any other command: what became of it.
    pub change: Option<ChangeOutcome>,
}

impl Applied {
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.outcomes.clear();
        self.stored.clear();
        self.removed.clear();
        self.change = None;
    }
}

/// What became of one published message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    /// It is stored; or, on an interest stream, nobody asks for it, and it only has its sequence.
    Stored {
        /// Its sequence.
        seq: u64,
    },
    /// Its `Nats-Msg-Id` was stored before, within the window.
    Duplicate {
        /// The sequence it was stored under then.
        seq: u64,
    },
    /// It is refused, and nothing changed.
    Refused(PublishError),
}

/// Why a publish is refused. The text is NATS's; the number is its `err_code`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The stream is sealed (10109).
    #[error("invalid operation on sealed stream")]
    Sealed,
    /// Headers and payload are larger than the stream takes (10054).
    #[error("message size exceeds maximum allowed")]
    MessageTooLarge,
    /// `Nats-Expected-Stream` names another stream (10060).
    #[error("expected stream does not match")]
    StreamMismatch,
    /// The expected last sequence, of the stream or of a subject, is not `last` (10071).
    #[error("wrong last sequence: {last}")]
    WrongLastSequence {
        /// The last sequence there is.
        last: u64,
    },
    /// `Nats-Expected-Last-Msg-Id` is not `last` (10070).
    #[error("wrong last msg ID: {last}")]
    WrongLastMsgId {
        /// The id of the last message stored, empty if it had none.
        last: String,
    },
    /// A subject for the expected sequence is given without the sequence (10193).
    #[error("missing sequence for expected last sequence per subject")]
    ExpectedSubjectWithoutSequence,
    /// `Nats-Rollup` on a stream that does not allow it (10111).
    #[error("rollup not permitted")]
    RollupNotPermitted,
    /// `Nats-Rollup` is neither `sub` nor `all` (10111).
    #[error("rollup value invalid: {value:?}")]
    RollupInvalid {
        /// The value given, in lower case.
        value: String,
    },
    /// The stream is full, counting messages (10077).
    #[error("maximum messages exceeded")]
    MaxMessages,
    /// The stream is full, counting bytes (10077).
    #[error("maximum bytes exceeded")]
    MaxBytes,
    /// The stream is full for this subject (10077).
    #[error("maximum messages per subject exceeded")]
    MaxMessagesPerSubject,
}

impl PublishError {
    /// NATS's `err_code`.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Sealed => 10109,
            Self::MessageTooLarge => 10054,
            Self::StreamMismatch => 10060,
            Self::WrongLastSequence { .. } => 10071,
            Self::WrongLastMsgId { .. } => 10070,
            Self::ExpectedSubjectWithoutSequence => 10193,
            Self::RollupNotPermitted | Self::RollupInvalid { .. } => 10111,
            Self::MaxMessages | Self::MaxBytes | Self::MaxMessagesPerSubject => 10077,
        }
    }
}

/// What became of a [`StreamChange`](crate::StreamChange).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// The message is gone.
    Deleted {
        /// Its sequence.
        seq: u64,
        /// Whether its bytes are to be overwritten.
        erase: bool,
    },
    /// There is no such message.
    NotFound {
        /// The sequence asked for.
        seq: u64,
    },
    /// Messages are gone.
    Purged {
        /// How many.
        messages: u64,
    },
    /// What was said is obeyed from now on: a new configuration with its limits, a consumer's interest,
    /// or what a consumer is done with.
    Updated,
    /// Time moved.
    Expired,
    /// The change is not permitted, and nothing changed but the applied time.
    Refused(ChangeError),
}

/// Why a change is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The stream is sealed.
    #[error("invalid operation on sealed stream")]
    Sealed,
    /// The stream's configuration denies deleting.
    #[error("message delete not permitted")]
    DeleteDenied,
    /// The stream's configuration denies purging.
    #[error("stream purge not permitted")]
    PurgeDenied,
    /// The name or the storage would change.
    #[error("the {0} of a stream cannot be changed")]
    Immutable(&'static str),
}
