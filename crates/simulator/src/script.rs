//! Small workloads as data: one thing is done after the other, and each is waited for. Where a plan draws what happens, a
//! script says it, so that one call to a disk can be pointed at (`crash_points`).

mod scripts;

use flotilla_host::{MILLISECOND, SECOND, StreamRequest};
use flotilla_raft::{GroupId, StoreId};

pub use scripts::scripts;

use crate::history::Outcome as Told;
use crate::invariant::Violation;
use crate::plan::Plan;
use crate::run::{Outcome, Run};
use crate::world::Server;

/// How often it is looked whether a step is done.
const LOOK: u64 = 10 * MILLISECOND;
/// After how long a step is begun again.
const AGAIN: u64 = 6 * SECOND;
/// After how long it is let be: whether the cluster is well is what the end of the run shows.
const PATIENCE: u64 = 20 * SECOND;

/// A workload.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its name.
    pub name: &'static str,
    /// How many servers, what clients send, and sizes; nothing else of it is used.
    pub plan: Plan,
    /// What is done.
    pub steps: Vec<Step>,
    /// The server that crashes.
    pub victim: StoreId,
    /// The step from which on it may.
    pub from: usize,
}

/// One thing to do. Streams go by their names.
#[derive(Clone, Debug)]
pub enum Step {
    /// Create a stream of so many replicas.
    Create(&'static str, u8),
    /// Delete it.
    Delete(&'static str),
    /// Publish so many messages, so many times.
    Publish(&'static str, u64, u64),
    /// Publish so many messages and do not wait for them.
    Send(&'static str, u64),
    /// Pull and acknowledge all that is there, with the stream's only consumer.
    Consume(&'static str),
    /// Remove messages.
    Remove(&'static str, StreamRequest),
    /// Another number of replicas.
    Scale(&'static str, u8),
    /// Let this server lead.
    Lead(&'static str, StoreId),
    /// Kill a server.
    Kill(StoreId),
    /// Take its power away.
    PowerLoss(StoreId),
    /// Start it again.
    Start(StoreId),
    /// Wait until all replicas are the same, and the disks have nothing to do.
    Rest,
}

/// A crash in a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashAt {
    /// At which call to the victim's disk that changes it, from 1.
    pub call: u64,
    /// At which call of the next life once more: the first ones are those of recovery.
    pub again: Option<u64>,
    /// With the power, and what is left then; without, the process alone ends.
    pub power: Option<u64>,
}

/// How a script went.
#[derive(Clone, Debug)]
pub struct Played {
    /// What is known of any run.
    pub outcome: Outcome,
    /// How many calls changed the victim's disk.
    pub calls: u64,
    /// Whether the crash came, and came again.
    pub crashed: bool,
}

/// Plays a script to its end.
#[must_use]
pub fn play(script: &Script, crash: Option<CrashAt>, aloud: bool) -> Played {
    let mut run = Run::new(&script.plan, aloud);
    run.clients.finishing = true;
    let mut calls = 0;
    let played = run.play_script(script, crash, &mut calls);
    let crashed = run.faults.came();
    Played { outcome: run.end(played), calls, crashed }
}

impl Run {
    fn play_script(
        &mut self,
        script: &Script,
        crash: Option<CrashAt>,
        calls: &mut u64,
    ) -> Result<(), Violation> {
        let disk = self.world.servers.get(&script.victim).map(|s| s.disk.clone());
        let changes = || disk.as_ref().map_or(0, |disk| disk.changes());
        let mut before = 0;
        for (n, step) in script.steps.iter().enumerate() {
            if n == script.from {
                before = changes();
                if let Some(at) = crash {
                    self.faults.crash(script.victim, at, &self.world);
                }
            }
            if n == 0 {
                self.world.found();
                let registered = |run: &Self| run.world.servers.values().all(Server::is_registered);
                self.attempt(|_| (), registered)?;
            }
            let now = self.world.now;
            self.world.trace.note(now, || format!("step: {step:?}"));
            self.take_step(step)?;
        }
        *calls = changes() - before;
        self.heal_and_rest()
    }

    fn take_step(&mut self, step: &Step) -> Result<(), Violation> {
        match step {
            Step::Create(name, replicas) => {
                self.led(GroupId::META)?;
                self.attempt(
                    |run| run.clients.create_stream((*name).to_owned(), *replicas, &mut run.world),
                    |run| run.clients.streams.contains_key(*name),
                )
            }
            Step::Delete(name) => {
                let Some(group) = self.named(name) else { return Ok(()) };
                self.attempt(
                    |run| run.clients.delete_stream(group, &mut run.world),
                    |run| run.meta().is_some_and(|meta| meta.asset(group).is_none()),
                )
            }
            Step::Publish(name, times, count) => {
                (0..*times).try_for_each(|_| self.publish(name, *count))
            }
            Step::Send(name, count) => {
                let Some(group) = self.named(name) else { return Ok(()) };
                self.clients.publish_to(group, *count, &mut self.world);
                self.until(self.world.now + MILLISECOND)
            }
            Step::Consume(name) => self.consume(name),
            Step::Remove(name, request) => self.remove(name, request),
            Step::Scale(name, replicas) => {
                let Some(group) = self.named(name) else { return Ok(()) };
                self.attempt(
                    |run| run.clients.scale_to(group, *replicas, &mut run.world),
                    |run| run.members(group) == usize::from(*replicas) && run.not_whole().is_none(),
                )
            }
            Step::Lead(name, to) => {
                let Some(group) = self.named(name) else { return Ok(()) };
                self.attempt(
                    |run| run.clients.hand_over(group, Some(*to), &mut run.world),
                    |run| run.world.leader(group) == Some(*to),
                )
            }
            Step::Kill(who) => {
                self.world.kill(*who);
                self.until(self.world.now + SECOND)
            }
            Step::PowerLoss(who) => {
                self.world.power_loss(*who);
                self.until(self.world.now + SECOND)
            }
            Step::Start(who) => self.attempt(
                |run| run.faults.restart_after(*who, 0, &mut run.world),
                |run| run.world.runs(*who),
            ),
            Step::Rest => {
                self.attempt(|_| (), |run| run.not_whole().is_none() && run.not_equal().is_none())?;
                // The log says that it is synced when nothing was written for a while.
                self.until(self.world.now + SECOND / 5)
            }
        }
    }

    /// Does something until it has the effect.
    fn attempt(
        &mut self,
        mut does: impl FnMut(&mut Self),
        done: impl Fn(&Self) -> bool,
    ) -> Result<(), Violation> {
        let end = self.world.now + PATIENCE;
        let mut again = self.world.now;
        while !done(self) && self.world.now < end {
            if self.world.now >= again {
                again += AGAIN;
                does(self);
            }
            self.until(self.world.now + LOOK)?;
        }
        Ok(())
    }

    fn named(&self, name: &str) -> Option<GroupId> {
        self.clients.streams.get(name).copied()
    }

    fn members(&self, group: GroupId) -> usize {
        let meta = self.meta();
        meta.and_then(|meta| meta.asset(group)).map_or(0, |asset| asset.group().desired.len())
    }

    /// Waits until a group has a leader, for as long as anything is waited for.
    fn led(&mut self, group: GroupId) -> Result<(), Violation> {
        self.attempt(|_| (), |run| run.world.leader(group).is_some())
    }

    /// Publishes once: what is not answered may be stored or not.
    fn publish(&mut self, name: &str, count: u64) -> Result<(), Violation> {
        let Some(group) = self.named(name) else { return Ok(()) };
        self.led(group)?;
        let first = self.clients.history.publications.len();
        self.clients.publish_to(group, count, &mut self.world);
        let end = self.world.now + SECOND;
        let open = |run: &Self| {
            let sent = run.clients.history.publications.iter().skip(first);
            sent.into_iter().any(|publication| publication.outcome == Told::Unknown)
        };
        while open(self) && self.world.now < end {
            self.until(self.world.now + LOOK)?;
        }
        Ok(())
    }

    fn consume(&mut self, name: &str) -> Result<(), Violation> {
        let Some(stream) = self.named(name) else { return Ok(()) };
        let key = (stream, "C".to_owned());
        self.attempt(
            |run| run.clients.create_consumer(stream, key.1.clone(), &mut run.world),
            |run| run.clients.consumers.contains_key(&key),
        )?;
        let Some(consumer) = self.clients.consumers.get(&key).copied() else { return Ok(()) };
        self.drain_consumer(consumer, self.world.now + 3 * PATIENCE)
    }

    /// Asks once: what is not answered may yet happen.
    fn remove(&mut self, name: &str, request: &StreamRequest) -> Result<(), Violation> {
        let Some(group) = self.named(name) else { return Ok(()) };
        self.led(group)?;
        self.clients.remove_by(group, request.clone(), &mut self.world);
        let end = self.world.now + AGAIN;
        while !self.clients.asked.is_empty() && self.world.now < end {
            self.until(self.world.now + LOOK)?;
        }
        Ok(())
    }
}
