//! Reads that only a leader may answer.

use std::collections::VecDeque;

use flotilla_mutation::{Mutation, is_on};
use flotilla_raft::Poisoned;

use super::{Machine, Replica};
use crate::request::{Answer, Call};
use crate::time::MILLISECOND;
use crate::turn::Cx;

/// How long a read index is waited for before it is asked for again.
const READ_RETRY: u64 = 300 * MILLISECOND;

/// Reads that wait for the leader to be sure that it still is one: one question for all that wait.
#[derive(Default)]
pub(crate) struct Reads {
    waiting: Vec<Call>,
    /// Under way: the token of each question, and who waits for it. An answer confirms all that were asked before.
    asked: VecDeque<(u64, Vec<Call>)>,
    token: u64,
    asked_at: u64,
    /// Confirmed, and waiting for this index to be applied.
    confirmed: VecDeque<(u64, Vec<Call>)>,
}

impl Reads {
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.asked.is_empty() && self.confirmed.is_empty()
    }

    fn wants_asking(&self, now: u64) -> bool {
        let overdue = now.saturating_sub(self.asked_at) > READ_RETRY;
        if self.asked.is_empty() { !self.waiting.is_empty() } else { overdue }
    }

    fn ask(&mut self, now: u64) -> u64 {
        self.token += 1;
        self.asked.push_back((self.token, std::mem::take(&mut self.waiting)));
        self.asked_at = now;
        self.token
    }

    pub(super) fn confirm(&mut self, token: u64, index: u64) {
        // A question's answer confirms less than those who asked later need, and enough for those before.
        while let Some((_, calls)) = self.asked.pop_front_if(|(t, _)| *t <= token) {
            self.confirmed.push_back((index, calls));
        }
    }

    pub(super) fn fail(&mut self, cx: &mut Cx) {
        let confirmed =
            std::mem::take(&mut self.confirmed).into_iter().flat_map(|(_, calls)| calls);
        let asked = self.asked.drain(..).flat_map(|(_, calls)| calls);
        let calls = confirmed.chain(asked).chain(self.waiting.drain(..));
        cx.out.answers.extend(calls.map(|call| (call.id, Answer::NotLeader)));
    }
}

impl<M: Machine> Replica<M> {
    /// A read that only the leader may answer. It is answered by [`take_confirmed`](Self::take_confirmed)'s caller
    /// once leadership is confirmed.
    pub(crate) fn read(&mut self, call: Call) {
        self.wake();
        self.reads.waiting.push(call);
    }

    /// Asks for one read index for all reads that wait.
    pub(crate) fn ask_read_index(&mut self, cx: &mut Cx) -> Result<(), Poisoned> {
        if !self.serves() {
            self.reads.fail(cx);
            return Ok(());
        }
        if self.reads.wants_asking(cx.now.mono) {
            let token = self.reads.ask(cx.now.mono);
            if is_on(Mutation::ReadWithoutIndex) {
                self.reads.confirm(token, 0);
                return Ok(());
            }
            self.raft.read_index(token)?;
            self.drive(cx)?;
        }
        Ok(())
    }

    /// The reads that may be answered from what is applied now.
    pub(crate) fn take_confirmed(&mut self) -> Vec<Call> {
        let applied = self.raft.applied();
        let mut calls = Vec::new();
        while let Some((_, some)) =
            self.reads.confirmed.pop_front_if(|(index, _)| *index <= applied)
        {
            calls.extend(some);
        }
        calls
    }
}
