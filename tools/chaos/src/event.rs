//! What a history is made of. One line of JSON per event; times are microseconds since the run began, on one clock.

use serde::{Deserialize, Serialize};

/// Microseconds since the run began.
pub type Micros = u64;

/// One line of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line: what is needed to do it again.
    Run {
        /// The seed of the plan.
        seed: u64,
        /// How many servers.
        servers: usize,
        /// How long faults were begun, in seconds.
        seconds: u64,
    },
    /// A client begins an operation.
    Invoke {
        /// The operation's number.
        op: u64,
        /// When.
        at: Micros,
        /// What is asked.
        #[serde(flatten)]
        call: Call,
    },
    /// It was answered with success.
    Ok {
        /// The operation's number.
        op: u64,
        /// When.
        at: Micros,
        /// What was answered.
        #[serde(flatten)]
        answer: Answer,
    },
    /// It was refused, and was not done.
    Fail {
        /// The operation's number.
        op: u64,
        /// When.
        at: Micros,
        /// The refusal.
        error: String,
        /// The stream's last sequence, which the refusal of an expected one names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<u64>,
    },
    /// Nobody answered, or not so that anything follows from it: it may be done, or be done later, or never.
    Unknown {
        /// The operation's number.
        op: u64,
        /// When.
        at: Micros,
        /// What the client saw.
        error: String,
    },
    /// A consumer's message reached a client.
    Delivery(Delivery),
    /// Something about a fault.
    Fault {
        /// When.
        at: Micros,
        /// The fault's number in the run, from 1.
        number: usize,
        /// What happened.
        phase: Phase,
        /// More, for people.
        text: String,
    },
    /// In the end: a reading of a stream begins. What is held, unreadable and dumped follows.
    Reading {
        /// The stream.
        stream: String,
        /// Whether a server leads it whose files were damaged.
        damaged: bool,
    },
    /// In the end: a message that the stream's leader gave when asked for the sequence.
    Held {
        /// The stream.
        stream: String,
        /// The sequence.
        sequence: u64,
        /// The message's name.
        name: String,
        /// Whether its bytes are those that were sent.
        intact: bool,
    },
    /// In the end: a sequence that the leader could not or would not read.
    Unreadable {
        /// The stream.
        stream: String,
        /// The sequence.
        sequence: u64,
        /// What it said.
        error: String,
    },
    /// In the end: all sequences of a stream were asked for.
    Dumped {
        /// The stream.
        stream: String,
        /// The last sequence, as the leader's information names it.
        last: u64,
        /// How many messages it says there are.
        messages: u64,
    },
    /// In the end: whether a consumer handed out, and saw acknowledged, all that its stream holds.
    Drained {
        /// The consumer.
        consumer: String,
        /// Whether nothing was left.
        complete: bool,
        /// What was left.
        text: String,
    },
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Call {
    /// A publish. Sent again under the same id it is another operation of the same name.
    Publish {
        /// The stream.
        stream: String,
        /// The message's name.
        name: String,
        /// Whether the name is sent as message id.
        id: bool,
        /// The expected last sequence, if one is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect: Option<u64>,
    },
    /// The deletion of one message.
    Delete {
        /// The stream.
        stream: String,
        /// The sequence.
        sequence: u64,
    },
    /// A read of the last message, or of the last sequence, from the leader.
    Last {
        /// The stream.
        stream: String,
    },
    /// An acknowledgment that asks to be confirmed.
    Ack {
        /// The consumer.
        consumer: String,
        /// The stream's sequence.
        sequence: u64,
    },
    /// A read of a consumer's acknowledgment floor.
    Floor {
        /// The consumer.
        consumer: String,
    },
}

/// What a client was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To a publish.
    Stored {
        /// The sequence.
        sequence: u64,
        /// Whether it had been stored before.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        duplicate: bool,
    },
    /// To a deletion.
    Deleted,
    /// To a read of the last message; sequence 0 of an empty stream.
    Last {
        /// The sequence.
        sequence: u64,
        /// The message's name, if the message was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// To an acknowledgment.
    Confirmed,
    /// To a read of the floor.
    Floor {
        /// The stream's sequence up to which everything is acknowledged.
        sequence: u64,
    },
}

/// A message on its way out of a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The consumer.
    pub consumer: String,
    /// When the pull request was sent that it answers: it was not sent before.
    pub pulled: Micros,
    /// When it arrived.
    pub at: Micros,
    /// The stream's sequence.
    pub sequence: u64,
    /// The consumer's sequence: it numbers deliveries.
    pub number: u64,
    /// The message's name.
    pub name: String,
    /// Whether its bytes are those that were sent.
    pub intact: bool,
}

/// A step in a fault's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is there, and this is the proof.
    Injected,
    /// It was taken away.
    Removed,
    /// Everything is whole again.
    Healed,
    /// Not everything is whole again, and nobody waits any longer.
    NotHealed,
    /// It did not fire, or could not be taken away.
    Failed,
    /// Something else.
    Remark,
}
