//! Acknowledgements on their way into a proposal.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use flotilla_mutation::{Mutation, is_on};

use super::{PullRequest, command::Turn, machine::Consumer, runs::Runs};
use crate::AckPolicy;

/// A client's answer to a delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct Ack {
    /// The message's sequence, from the ack subject.
    pub stream_seq: u64,
    /// The delivery's sequence, from the ack subject.
    pub consumer_seq: u64,
    /// The delivery's count, from the ack subject.
    pub deliveries: u64,
    /// What the client says.
    pub kind: AckKind,
    /// Where the client wants to hear that it is committed.
    pub reply: Option<Arc<str>>,
}

/// What a client says of a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum AckKind {
    /// It is done.
    Ack,
    /// It is to be delivered again, after this many nanoseconds.
    Nak {
        /// The delay; 0 is at once.
        delay: u64,
    },
    /// It takes longer: its wait begins anew.
    Progress,
    /// It is done, and more is asked for.
    Next(PullRequest),
    /// It is never to be delivered again.
    Term {
        /// The client's words.
        reason: String,
    },
}

/// The numbers of a delivery that was refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) consumer_seq: u64,
    pub(super) deliveries: u64,
    delay: u64,
}

/// What is to be recorded in the next proposal, and who waits for it to commit.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// Sorted when they are recorded: mostly they come so.
    acked: Vec<u64>,
    up_to: Option<u64>,
    pub(super) terminated: BTreeMap<u64, String>,
    progress: BTreeSet<u64>,
    pub(super) refused: BTreeMap<u64, Refusal>,
    removed: BTreeSet<u64>,
    given_up: BTreeSet<u64>,
    pub(super) answers: Vec<Arc<str>>,
}

impl Acks {
    /// Whether there is nothing to record.
    pub(super) fn is_empty(&self) -> bool {
        self.acked.is_empty()
            && self.up_to.is_none()
            && self.terminated.is_empty()
            && self.progress.is_empty()
            && self.refused.is_empty()
            && self.removed.is_empty()
            && self.given_up.is_empty()
    }

    /// Takes in `ack`. What needs no commit, since it is committed or says nothing new, is answered by
    /// the reply that comes back.
    pub(super) fn take_in(&mut self, ack: Ack, state: &Consumer) -> Option<Arc<str>> {
        let seq = ack.stream_seq;
        // Beyond the cursor nothing was delivered: that is no answer to any delivery.
        if seq == 0 || seq >= state.cursor() || state.config().ack == AckPolicy::None {
            return None;
        }
        let changes = match ack.kind {
            AckKind::Ack | AckKind::Next(_) => self.acknowledge(seq, state),
            AckKind::Term { reason } => {
                let covered = state.config().ack == AckPolicy::All && self.acknowledge(seq, state);
                let known = is_unsettled(seq, state);
                if known {
                    self.terminated.insert(seq, reason);
                }
                covered || known
            }
            AckKind::Progress => {
                state.pending_message(seq).is_some() && {
                    self.progress.insert(seq);
                    true
                }
            }
            AckKind::Nak { delay } => {
                let floor = state.ack_floor().consumer_seq;
                let known = (floor + 1..=state.delivered().consumer_seq)
                    .contains(&ack.consumer_seq)
                    && state.pending_message(seq).is_some();
                if known {
                    let (consumer_seq, deliveries) = (ack.consumer_seq, ack.deliveries);
                    self.refused.insert(seq, Refusal { consumer_seq, deliveries, delay });
                }
                known
            }
        };
        if changes && !is_on(Mutation::AckAnsweredBeforeCommit) {
            self.answers.extend(ack.reply);
            None
        } else {
            ack.reply
        }
    }

    fn acknowledge(&mut self, seq: u64, state: &Consumer) -> bool {
        if state.config().ack == AckPolicy::All {
            let changes = seq > state.ack_floor().stream_seq;
            if changes {
                self.up_to = self.up_to.max(Some(seq));
            }
            return changes;
        }
        let known = is_unsettled(seq, state);
        if known {
            self.acked.push(seq);
        }
        known
    }

    /// Records that the stream no longer has `seq`.
    pub(super) fn remove(&mut self, seq: u64) {
        self.removed.insert(seq);
    }

    /// Records that `seq` was delivered as often as it may be.
    pub(super) fn give_up(&mut self, seq: u64) {
        self.given_up.insert(seq);
    }

    /// Takes back what was in a proposal that is lost.
    pub(super) fn take_back(&mut self, lost: Self) {
        self.acked.extend(lost.acked);
        self.up_to = self.up_to.max(lost.up_to);
        self.terminated.extend(lost.terminated);
        self.progress.extend(lost.progress);
        for (seq, refusal) in lost.refused {
            self.refused.entry(seq).or_insert(refusal);
        }
        self.removed.extend(lost.removed);
        self.given_up.extend(lost.given_up);
        self.answers.extend(lost.answers);
    }

    /// Writes everything into `turn`, and gives what to remember until it commits.
    pub(super) fn record(&mut self, turn: &mut Turn) -> Self {
        let mut taken = std::mem::take(self);
        taken.acked.sort_unstable();
        taken.acked.dedup();
        turn.acks = Runs::new(0, taken.acked.iter().copied());
        turn.ack_up_to = taken.up_to;
        turn.terms = Runs::new(0, taken.terminated.keys().copied());
        turn.removed = Runs::new(0, taken.removed.iter().copied());
        turn.progress = Runs::new(0, taken.progress.iter().copied());
        turn.naks = taken.refused.iter().map(|(seq, refusal)| (*seq, refusal.delay)).collect();
        turn.give_up = Runs::new(0, taken.given_up.iter().copied());
        taken
    }
}

/// Whether `seq` waits for an acknowledgement, or would still take one.
fn is_unsettled(seq: u64, state: &Consumer) -> bool {
    state.pending_message(seq).is_some() || state.is_given_up(seq)
}
