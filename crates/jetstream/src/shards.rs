//! The threads of this server's shards, as one: they are asked together, and they end together.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use flotilla_host::{Shard, Totals};
use flotilla_raft::StoreId;

use crate::api::Api;
use crate::calls::Calls;
use crate::clock::{Clock, Pulse};
use crate::driver::Driver;
use crate::hands::Hands;
use crate::inboxes::Inboxes;
use crate::ingest::Ingest;
use crate::leaders::Leaders;

/// The running shards.
pub(crate) struct Shards {
    inboxes: Arc<Inboxes>,
    clock: Clock,
    running: Vec<Running>,
}

struct Running {
    thread: Mutex<Option<JoinHandle<()>>>,
    pulse: Arc<Pulse>,
    totals: Arc<Mutex<Totals>>,
}

/// What ends with the shards. The end of any shard's thread, by whatever cause, is the end of all: what was led here is
/// led by nobody here any more, and nothing is taken for it. Other servers hear no beats of this one from now on.
pub(crate) struct Ending {
    pub(crate) store: StoreId,
    pub(crate) inboxes: Arc<Inboxes>,
    pub(crate) leaders: Arc<Leaders>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) api: Arc<Api>,
    pub(crate) calls: Arc<Calls>,
}

impl Ending {
    fn end(&self) {
        self.inboxes.close();
        self.api.close();
        self.ingest.leave();
        self.leaders.forget(self.store);
        self.calls.end();
    }
}

/// Lives as long as a shard's thread.
struct Lifetime(Arc<Ending>);

impl Drop for Lifetime {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Shards {
    /// Starts a thread for each shard, which acts with the hands beside it.
    ///
    /// # Errors
    /// A thread cannot be started; those that were end.
    pub(crate) fn start(
        shards: Vec<(Shard, Hands)>,
        clock: Clock,
        ending: Ending,
    ) -> std::io::Result<Self> {
        let inboxes = Arc::clone(&ending.inboxes);
        let ending = Arc::new(ending);
        let start =
            |(shard, hands)| Running::start(shard, hands, clock, Lifetime(Arc::clone(&ending)));
        let running = shards.into_iter().map(start).collect::<Result<_, _>>();
        Ok(Self { inboxes, clock, running: running.inspect_err(|_| ending.end())? })
    }

    /// For how long the longest of the present turns has lasted.
    pub(crate) fn busy_for(&self) -> Duration {
        let turns = self.running.iter().map(|running| running.pulse.busy_for(self.clock));
        turns.max().unwrap_or_default()
    }

    /// What they hold; counted once a second at most.
    pub(crate) fn totals(&self) -> Totals {
        let lock =
            |totals: &Mutex<Totals>| totals.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.running.iter().map(|running| lock(&running.totals)).sum()
    }

    /// Whether they take nothing any more.
    pub(crate) fn have_ended(&self) -> bool {
        self.inboxes.is_closed()
    }

    /// Ends them, after what waits for them, and waits until they have ended.
    pub(crate) fn stop(&self) {
        self.inboxes.close();
        for running in &self.running {
            let thread = running.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if thread.is_some_and(|thread| thread.join().is_err()) {
                log::error!("A shard's thread panicked");
            }
        }
    }
}

impl Running {
    fn start(
        shard: Shard,
        hands: Hands,
        clock: Clock,
        lifetime: Lifetime,
    ) -> std::io::Result<Self> {
        let (pulse, totals) = (Arc::<Pulse>::default(), Arc::<Mutex<Totals>>::default());
        let name = format!("shard-{}", shard.share().shard());
        let inbox = Arc::clone(&hands.inbox);
        let driver = Driver::new(shard, hands, clock, Arc::clone(&pulse), Arc::clone(&totals));
        let driver = Arc::new(driver);
        inbox.set_driver(&driver);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let _lifetime = lifetime;
            driver.run();
        })?;
        Ok(Self { thread: Mutex::new(Some(thread)), pulse, totals })
    }
}
