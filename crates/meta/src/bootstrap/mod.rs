//! Choosing the very first configuration of a cluster, exactly once.
//!
//! Stores without a cluster find each other over the routes. Two of them must never both believe to
//! have founded one, whatever is lost, late or restarted: so they decide by single-decree Paxos who
//! founds, and under which cluster id. The lowest store proposes first; others step in, staggered,
//! when it does not get through. A store that meets a cluster joins it, and never founds one.
//!
//! A majority is one of the largest number of stores that anybody involved expects or sees. That
//! holds as long as no more stores start than that; servers that list each other in `routes`, as
//! the samples do, have it right.

mod acceptor;
mod interface;
mod message;
mod proposal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use flotilla_raft::StoreId;

use crate::codec::{self, DamagedCommand};
use crate::quorum::quorum;
use crate::server::ClusterId;
use crate::spread::spread;

use acceptor::{Acceptor, Answer, Chosen};
pub use interface::{BootstrapOptions, Effect, Input, Ticket};
pub use message::{Ballot, Decision, Message};
use proposal::Proposal;

/// What waits for a state to be persisted.
#[derive(Clone, Copy, Debug)]
enum Held {
    Send(StoreId, Message),
    /// An answer of this store's own acceptor to its own proposal.
    Own(Message),
    Announce(Chosen),
}

/// One store's part in choosing the first configuration.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    options: BootstrapOptions,
    acceptor: Acceptor,
    proposal: Option<Proposal>,
    /// Peers without a cluster.
    seen: BTreeSet<StoreId>,
    held: VecDeque<(Ticket, Held)>,
    issued: Ticket,
    persisted: Ticket,
    /// The highest round that anybody was heard to use.
    round: u64,
    attempts: u32,
    deadline: Option<Duration>,
    announced: bool,
}

impl Bootstrap {
    /// For a store that has never persisted a state.
    #[must_use]
    pub fn new(options: BootstrapOptions) -> Self {
        Self {
            options,
            acceptor: Acceptor::default(),
            proposal: None,
            seen: BTreeSet::new(),
            held: VecDeque::new(),
            issued: Ticket::default(),
            persisted: Ticket::default(),
            round: 0,
            attempts: 0,
            deadline: None,
            announced: false,
        }
    }

    /// For a store that has: `state` is the last one persisted.
    ///
    /// # Errors
    /// [`DamagedCommand`] when it does not decode. The store has forgotten what it promised and
    /// must not take part; an operator decides.
    pub fn restore(options: BootstrapOptions, state: &[u8]) -> Result<Self, DamagedCommand> {
        let acceptor = codec::decode("bootstrap state", state)?;
        Ok(Self { acceptor, ..Self::new(options) })
    }

    /// When to say [`Input::Tick`] at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Takes one input. `now` counts from any fixed point and does not go back.
    pub fn step(&mut self, now: Duration, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::PeerSeen { store, cluster_id: Some(cluster_id) } => {
                self.seen.remove(&store);
                self.learn(cluster_id, None, effects);
            }
            Input::PeerSeen { store, cluster_id: None } => {
                if store != self.options.store {
                    self.seen.insert(store);
                }
            }
            Input::PeerGone { store } => {
                self.seen.remove(&store);
            }
            Input::Message { from, message } => self.receive(now, from, message, effects),
            Input::Persisted(ticket) => {
                self.persisted = self.persisted.max(ticket.min(self.issued));
                self.release(effects);
            }
            Input::Tick => {}
        }
        self.proceed(now, effects);
    }

    /// Does what is due: announces what is known, or attempts to decide.
    fn proceed(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if let Some(chosen) = self.acceptor.chosen {
            self.deadline = None;
            self.proposal = None;
            if !self.announced {
                self.announced = true;
                self.hold(Held::Announce(chosen), effects);
            }
            return;
        }
        if self.options.expected <= 1 {
            let decision = self.own_decision();
            self.choose(decision.cluster_id, Some(decision.founder), effects);
            return self.proceed(now, effects);
        }
        if self.seen.len() + 1 < quorum(self.stores()) {
            self.deadline = None;
            return;
        }
        let deadline = *self.deadline.get_or_insert(now + self.first_delay());
        if now >= deadline {
            self.propose(now, effects);
        }
    }

    /// How many stores there may be.
    fn stores(&self) -> usize {
        self.options.expected.max(self.seen.len() + 1)
    }

    fn own_decision(&self) -> Decision {
        Decision { cluster_id: self.options.candidate, founder: self.options.store }
    }

    /// How many lower stores are there, each of which gets its time first.
    fn rank(&self) -> u32 {
        u32::try_from(self.seen.range(..self.options.store).count()).unwrap_or(u32::MAX)
    }

    fn first_delay(&self) -> Duration {
        match self.rank() {
            0 => Duration::ZERO,
            rank => self.options.patience.saturating_mul(rank) + self.jitter(),
        }
    }

    /// Up to one patience, different for every store and attempt, so that rivals come apart.
    fn jitter(&self) -> Duration {
        let chance = spread(self.options.seed ^ self.options.store.0, u64::from(self.attempts));
        self.options.patience.mul_f64((chance >> 40) as f64 / f64::from(1_u32 << 24))
    }

    /// Phase 1a. Nothing leaves before this store's own promise is persisted: a restart so never
    /// repeats a ballot.
    fn propose(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let round = self.round.max(self.acceptor.promised.round).saturating_add(1);
        let ballot = Ballot { round, store: self.options.store };
        self.round = round;
        self.attempts = self.attempts.saturating_add(1);
        let patience = self.options.patience.saturating_mul(1 << self.attempts.min(4));
        self.deadline = Some(now + patience + self.jitter());
        self.proposal = Some(Proposal::new(ballot, self.stores()));
        let Answer { message, .. } = self.acceptor.prepare(ballot, self.expected());
        self.persist(effects);
        self.hold(Held::Own(message), effects);
        self.tell_all(Message::Prepare { ballot }, effects);
    }

    fn expected(&self) -> u32 {
        u32::try_from(self.stores()).unwrap_or(u32::MAX)
    }

    fn tell_all(&mut self, message: Message, effects: &mut Vec<Effect>) {
        for store in self.seen.clone() {
            self.hold(Held::Send(store, message), effects);
        }
    }

    fn receive(
        &mut self,
        now: Duration,
        from: StoreId,
        message: Message,
        effects: &mut Vec<Effect>,
    ) {
        if let Message::Chosen { cluster_id, founder } = message {
            return self.learn(cluster_id, founder, effects);
        }
        if let Some(Chosen { cluster_id, founder }) = self.acceptor.chosen {
            if matches!(message, Message::Prepare { .. } | Message::Accept { .. }) {
                self.hold(Held::Send(from, Message::Chosen { cluster_id, founder }), effects);
            }
            return;
        }
        match message {
            Message::Prepare { ballot } if ballot.store == from => {
                let answer = self.acceptor.prepare(ballot, self.expected());
                self.answer(from, &answer, effects);
            }
            Message::Accept { ballot, decision } if ballot.store == from => {
                let answer = self.acceptor.accept(ballot, decision);
                self.answer(from, &answer, effects);
            }
            Message::Promise { ballot, accepted, expected } => {
                self.take_promise(from, ballot, accepted, expected, effects);
            }
            Message::Accepted { ballot } => self.take_accepted(from, ballot, effects),
            Message::Reject { ballot, promised } => self.take_reject(now, ballot, promised),
            // Somebody else's ballot: no store sends that.
            Message::Prepare { .. } | Message::Accept { .. } | Message::Chosen { .. } => {}
        }
    }

    fn answer(&mut self, to: StoreId, answer: &Answer, effects: &mut Vec<Effect>) {
        self.round = self.round.max(self.acceptor.promised.round);
        if answer.changed {
            self.persist(effects);
        }
        self.hold(Held::Send(to, answer.message), effects);
    }

    /// Phase 2a, when a majority promised. The proposal leaves only after this store itself
    /// accepted it durably: a founder so always finds in its own state what others may know as
    /// decided.
    fn take_promise(
        &mut self,
        from: StoreId,
        ballot: Ballot,
        accepted: Option<(Ballot, Decision)>,
        expected: u32,
        effects: &mut Vec<Effect>,
    ) {
        let own = self.own_decision();
        let Some(proposal) = self.proposal.as_mut().filter(|p| p.ballot == ballot) else { return };
        let Some(decision) = proposal.promise(from, accepted, expected, own) else { return };
        let Answer { message, .. } = self.acceptor.accept(ballot, decision);
        if !matches!(message, Message::Accepted { .. }) {
            // This store promised a higher ballot meanwhile: the attempt has failed.
            self.proposal = None;
            return;
        }
        self.persist(effects);
        self.hold(Held::Own(message), effects);
        self.tell_all(Message::Accept { ballot, decision }, effects);
    }

    fn take_accepted(&mut self, from: StoreId, ballot: Ballot, effects: &mut Vec<Effect>) {
        let Some(proposal) = self.proposal.as_mut().filter(|p| p.ballot == ballot) else { return };
        let Some(Decision { cluster_id, founder }) = proposal.accepted(from) else { return };
        self.choose(cluster_id, Some(founder), effects);
        self.tell_all(Message::Chosen { cluster_id, founder: Some(founder) }, effects);
    }

    fn take_reject(&mut self, now: Duration, ballot: Ballot, promised: Ballot) {
        if self.proposal.as_ref().is_some_and(|p| p.ballot == ballot) {
            self.round = self.round.max(promised.round);
            self.proposal = None;
            // The rival gets its time, and every lower store too.
            let wait = self.options.patience.saturating_mul(1 + self.rank()) + self.jitter();
            self.deadline = Some(now + wait);
        }
    }

    /// A cluster exists. Whoever says so has it from a decision; if this store accepted that
    /// decision and is its founder, it has to found, for nobody else will.
    fn learn(
        &mut self,
        cluster_id: ClusterId,
        founder: Option<StoreId>,
        effects: &mut Vec<Effect>,
    ) {
        let accepted = self.acceptor.accepted.map(|(_, decision)| decision);
        let accepted = accepted.filter(|decision| decision.cluster_id == cluster_id);
        self.choose(cluster_id, founder.or(accepted.map(|decision| decision.founder)), effects);
    }

    /// Final; the first one counts. A peer of another cluster is refused by the routes.
    fn choose(
        &mut self,
        cluster_id: ClusterId,
        founder: Option<StoreId>,
        effects: &mut Vec<Effect>,
    ) {
        if self.acceptor.chosen.is_none() {
            self.acceptor.chosen = Some(Chosen { cluster_id, founder });
            self.persist(effects);
        }
    }

    fn persist(&mut self, effects: &mut Vec<Effect>) {
        self.issued.0 += 1;
        effects.push(Effect::Persist { ticket: self.issued, state: codec::encode(&self.acceptor) });
    }

    /// Does this once everything up to now is persisted.
    fn hold(&mut self, held: Held, effects: &mut Vec<Effect>) {
        self.held.push_back((self.issued, held));
        self.release(effects);
    }

    fn release(&mut self, effects: &mut Vec<Effect>) {
        while let Some((_, held)) = self.held.pop_front_if(|(ticket, _)| *ticket <= self.persisted)
        {
            match held {
                Held::Send(to, message) => effects.push(Effect::Send { to, message }),
                Held::Own(Message::Promise { ballot, accepted, expected }) => {
                    self.take_promise(self.options.store, ballot, accepted, expected, effects);
                }
                Held::Own(Message::Accepted { ballot }) => {
                    self.take_accepted(self.options.store, ballot, effects);
                }
                Held::Own(_) => {}
                Held::Announce(Chosen { cluster_id, founder }) => {
                    effects.push(self.announcement(cluster_id, founder));
                }
            }
        }
    }

    fn announcement(&self, cluster_id: ClusterId, founder: Option<StoreId>) -> Effect {
        if founder == Some(self.options.store) {
            Effect::Found { cluster_id }
        } else {
            Effect::Join { cluster_id, founder }
        }
    }
}
