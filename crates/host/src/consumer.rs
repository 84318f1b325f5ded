//! A consumer on this server: its machine, and while it leads, what only the leader knows.
//!
//! The leader reads the stream's replica beside it: every message there is committed, so what it
//! plans from may lag and is never wrong.

mod answer;
mod effects;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use flotilla_jsapi::ErrorKind;
use flotilla_raft::{Entry, GroupId, Poisoned};
use flotilla_stream::{
    Ack, Closing, Consumer, ConsumerApplied, ConsumerConfig, ConsumerEffect, Leader, PullRequest,
    SequenceRange, Timestamp, encode_consumer_update,
};

use crate::notice::Notice;
use crate::replica::{Machine, Replica};
use crate::request::{Answer, ConsumerRequest, Request};
use crate::stream::StreamMachine;
use crate::time::{GroupTime, MILLISECOND, TICK};
use crate::turn::Cx;

/// The most inputs that wait while the leader is being made, each of a control line's length at most. What comes beyond
/// gets lost: who pulls asks again, and what is not acknowledged is delivered again.
const INBOX: usize = 16 << 10;

/// What comes for a consumer's leader from clients.
#[derive(Clone, Debug, PartialEq)]
pub enum ConsumerInput {
    /// A request for messages.
    Pull(PullRequest),
    /// An answer to a delivery.
    Ack(Ack),
    /// Nobody listens to this reply subject any more.
    Gone(Arc<str>),
}

/// Whether a consumer may resolve where it begins: the stream's replica here must have applied all that was committed
/// when the consumer was made, else "new" could begin too early and "last" with the wrong message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// The stream's leader is to be asked how far the stream is.
    Closed,
    /// It is being asked.
    Asked,
    /// Once the replica here has applied this index.
    Behind(u64),
    /// It may.
    Open,
}

/// The machine of a consumer's group.
pub(crate) struct ConsumerMachine {
    pub(crate) account: Arc<str>,
    pub(crate) stream_name: String,
    pub(crate) stream_group: GroupId,
    pub(crate) consumer: Consumer,
    leader: Option<Box<Leader>>,
    /// The term to lead in, until the leader is made.
    lead_term: Option<u64>,
    gate: Gate,
    inbox: VecDeque<ConsumerInput>,
    /// What was applied and not yet shown to the leader.
    commits: VecDeque<ConsumerApplied>,
    /// What the stream lost and the leader has not heard of.
    shrank: Vec<SequenceRange>,
    updating: bool,
    /// Whether nobody has used it for as long as its configuration says: it is to be deleted.
    pub(crate) inactive: bool,
    pub(crate) led_since: Option<Timestamp>,
    effects: Vec<ConsumerEffect>,
    time: GroupTime,
}

impl ConsumerMachine {
    pub(crate) fn new(
        account: &str,
        stream: &str,
        stream_group: GroupId,
        consumer: Consumer,
    ) -> Self {
        Self {
            account: account.into(),
            stream_name: stream.to_owned(),
            stream_group,
            consumer,
            leader: None,
            lead_term: None,
            gate: Gate::Open,
            inbox: VecDeque::new(),
            commits: VecDeque::new(),
            shrank: Vec::new(),
            updating: false,
            inactive: false,
            led_since: None,
            effects: Vec::new(),
            time: GroupTime::default(),
        }
    }

    /// The time in this group.
    fn now(&mut self, cx: &Cx) -> Timestamp {
        self.time.now(cx.now, self.consumer.applied_time())
    }

    fn close(&mut self, why: Closing, cx: &mut Cx) {
        self.lead_term = None;
        if let Some(leader) = self.leader.take() {
            let mut effects = Vec::new();
            leader.close(why, &mut effects);
            for effect in effects {
                if let ConsumerEffect::Status(status) = effect {
                    self.status(&status, cx);
                }
            }
        }
        self.inbox.clear();
        self.commits.clear();
        self.shrank.clear();
    }
}

impl Machine for ConsumerMachine {
    fn name(&self) -> String {
        let name = &self.consumer.config().name;
        format!("consumer '{} > {} > {name}'", self.account, self.stream_name)
    }

    fn apply(&mut self, entry: &Entry, leads: bool, cx: &mut Cx) {
        let applied = &mut cx.consumer_applied;
        if let Err(error) = self.consumer.apply(&entry.data, applied) {
            let text = format!("{}: entry {}: {error}", self.name(), entry.index);
            cx.notice(Notice::Text(text));
            return;
        }
        if applied.updated {
            self.updating = false;
        }
        if leads && self.leader.is_some() {
            self.commits.push_back(std::mem::take(applied));
        }
    }

    fn state_hash(&self) -> u64 {
        self.consumer.hash()
    }

    fn rest(&mut self) {
        self.consumer.rest();
        self.inbox.shrink_to_fit();
        self.commits.shrink_to_fit();
        self.shrank.shrink_to_fit();
        self.effects.shrink_to_fit();
    }

    fn take_lead(&mut self, term: u64, cx: &mut Cx) {
        self.led_since = Some(cx.now.wall);
        self.updating = false;
        self.lead_term = Some(term);
        self.gate = if self.consumer.is_started() { Gate::Open } else { Gate::Closed };
    }

    fn lose_lead(&mut self, cx: &mut Cx) {
        self.led_since = None;
        self.close(Closing::LeadershipChange, cx);
    }

    fn restore(&mut self, state: &Bytes, _index: u64, cx: &mut Cx) -> Result<(), String> {
        self.close(Closing::LeadershipChange, cx);
        self.consumer = Consumer::restore(state).map_err(|e| e.to_string())?;
        Ok(())
    }
}

impl Replica<ConsumerMachine> {
    /// Takes what came from clients. A replica that does not serve answers nothing: the client's retry finds the
    /// leader.
    pub(crate) fn take(&mut self, inputs: Vec<ConsumerInput>, _cx: &mut Cx) {
        if self.serves() {
            self.wake();
            // A leader that is made takes all of them in this turn.
            let room = match self.machine.leader {
                Some(_) => usize::MAX,
                None => INBOX.saturating_sub(self.machine.inbox.len()),
            };
            self.machine.inbox.extend(inputs.into_iter().take(room));
        }
    }

    /// Does all that a leader has to do now, beside the replica of its stream. Returns when to look again.
    pub(crate) fn settle(
        &mut self,
        stream: Option<&mut Replica<StreamMachine>>,
        cx: &mut Cx,
    ) -> Result<Option<u64>, Poisoned> {
        self.drive(cx)?;
        self.ask_read_index(cx)?;
        let Some(stream) = stream else {
            // Its own members may need a base all the same: it moves to where its stream is.
            self.checkpoint_if_due(cx);
            self.give_way(cx);
            for call in self.take_confirmed() {
                cx.out.answers.push((call.id, Answer::Error(ErrorKind::StreamNotFound.error())));
            }
            return Ok(None);
        };
        if stream.machine.unreadable {
            self.give_way(cx);
        }
        self.open(stream, cx);
        // What is to come is known to the leader; it is made as soon as the stream's replica here is far enough.
        let confirmed =
            if self.machine.lead_term.is_none() { self.take_confirmed() } else { vec![] };
        for call in confirmed {
            let answer = match call.request {
                Request::Consumer(ConsumerRequest::Barrier) => Answer::Applied(self.raft.applied()),
                _ => self.info(Some(&stream.machine), cx),
            };
            cx.out.answers.push((call.id, answer));
        }
        // Each proposal may commit at once (a single voter), and so lead to more work.
        while self.serves() && self.lead(&mut stream.machine, cx) {
            self.drive(cx)?;
        }
        self.checkpoint_if_due(cx);
        let now = self.machine.now(cx);
        let machine = &self.machine;
        let deadline = machine.leader.as_ref().and_then(|l| l.next_deadline(&machine.consumer));
        // What is due and was not done has to wait for something, such as the end of a transfer of leadership; and time in
        // a group may be slow.
        let wait = |at: Timestamp| if at <= now { TICK } else { at.since(now).max(MILLISECOND) };
        Ok(deadline.map(|at| cx.now.mono + wait(at)))
    }

    /// The stream lost messages. A leader that is not made yet sees for itself.
    pub(crate) fn stream_shrank(&mut self, removed: &[SequenceRange]) {
        if self.machine.leader.is_some() {
            self.machine.shrank.extend_from_slice(removed);
        }
    }

    /// Whether the stream's leader is to be asked now how far the stream is; said once.
    pub(crate) fn wants_barrier(&mut self) -> bool {
        let wants = self.serves() && self.machine.gate == Gate::Closed;
        if wants {
            self.machine.gate = Gate::Asked;
        }
        wants
    }

    /// What the stream's leader said; `None` if nobody answered.
    pub(crate) fn take_barrier(&mut self, index: Option<u64>) {
        if self.machine.gate == Gate::Asked {
            self.machine.gate = index.map_or(Gate::Closed, Gate::Behind);
        }
    }

    /// Makes the leader, once it may look at the stream.
    fn open(&mut self, stream: &Replica<StreamMachine>, cx: &Cx) {
        if let Gate::Behind(index) = self.machine.gate
            && stream.raft.applied() >= index
        {
            self.machine.gate = Gate::Open;
        }
        if self.machine.gate == Gate::Open
            && self.serves()
            && let Some(term) = self.machine.lead_term.take()
        {
            let now = self.machine.now(cx);
            let state = &self.machine.consumer;
            let leader = Leader::new(term, now, &stream.machine.stream, state);
            self.machine.leader = Some(Box::new(leader));
        }
    }

    /// Lets the leader look at everything new. Returns whether something was proposed.
    fn lead(&mut self, stream: &mut StreamMachine, cx: &mut Cx) -> bool {
        let now = self.machine.now(cx);
        let machine = &mut self.machine;
        let Some(leader) = &mut machine.leader else { return false };
        let mut effects = std::mem::take(&mut machine.effects);
        let state = &machine.consumer;
        let mut step = |input: flotilla_stream::ConsumerInput<'_>| {
            leader.step(now, input, &stream.stream, state, &mut effects);
        };
        for applied in machine.commits.drain(..) {
            step(flotilla_stream::ConsumerInput::Committed(&applied));
        }
        if !machine.shrank.is_empty() {
            step(flotilla_stream::ConsumerInput::Shrank(&machine.shrank));
            machine.shrank.clear();
        }
        for input in machine.inbox.drain(..) {
            match input {
                ConsumerInput::Pull(pull) => step(flotilla_stream::ConsumerInput::Pull(pull)),
                ConsumerInput::Ack(ack) => step(flotilla_stream::ConsumerInput::Ack(ack)),
                ConsumerInput::Gone(reply) => step(flotilla_stream::ConsumerInput::Gone(&reply)),
            }
        }
        step(flotilla_stream::ConsumerInput::Tick);
        let proposed = self.carry_out_effects(&mut effects, stream, cx);
        self.machine.effects = effects;
        proposed
    }

    /// The consumer is deleted: whoever waits is told.
    pub(crate) fn deleted(&mut self, cx: &mut Cx) {
        self.machine.close(Closing::Deleted, cx);
    }

    /// Proposes the configuration that meta has, if it is another one. Returns whether it did.
    pub(crate) fn update_config(&mut self, wanted: &ConsumerConfig, cx: &mut Cx) -> bool {
        if self.machine.consumer.config() == wanted || self.machine.updating {
            return false;
        }
        let data = encode_consumer_update(self.machine.now(cx), wanted.clone());
        self.machine.updating = self.raft.propose(data).is_ok();
        self.machine.updating
    }

    fn checkpoint_if_due(&mut self, cx: &mut Cx) {
        let wanted = std::mem::take(&mut self.wants_base);
        if wanted || self.raft.log_bytes() > cx.thresholds.consumer_base {
            self.checkpoint(false, cx);
        }
    }

    pub(crate) fn checkpoint(&mut self, forward: bool, cx: &mut Cx) {
        if self.raft.applied() > self.durable_base || forward {
            let base = self.base_at_applied(self.machine.consumer.base());
            self.write_base(base, forward, cx);
        }
    }
}
