//! What a turn left, carried out: the log, the links, the router, the callers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flotilla_disk::{SegmentJob, WalBatch};
use flotilla_host::{
    Bundle, CallId, Input, Leading, MetaFeed, Notice, Output, Publish, Request, WalTicket,
};
use flotilla_raft::{GroupId, StoreId};
use flotilla_server_core::{Account, Message, Origin, RouterHandle};
use flotilla_storage::{FlushDone, SegmentFlusher, Submitter};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::calls::{Calls, Remote};
use crate::directory::Directory;
use crate::inbox::Inbox;
use crate::ingest::Ingest;
use crate::leaders::{Claim, Leaders};

/// How long a call of the shard itself may take.
const OWN_CALL: Duration = Duration::from_secs(5);

/// Everything a shard's turn acts on.
pub(crate) struct Hands {
    pub(crate) store: StoreId,
    pub(crate) log: Submitter,
    pub(crate) flusher: SegmentFlusher,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) router: RouterHandle,
    pub(crate) accounts: BTreeMap<Arc<str>, Arc<Account>>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) leaders: Arc<Leaders>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) remote: Arc<dyn Remote>,
    pub(crate) runtime: Handle,
    /// Groups that are led here and that the directory does not know yet.
    pub(crate) unknown: BTreeSet<GroupId>,
}

impl Hands {
    pub(crate) fn carry_out(&mut self, output: Output) {
        // The log first: its sync and the peers' run at the same time.
        if let Some((ticket, batch)) = output.wal {
            self.write(ticket, batch);
        }
        for (to, bundle) in output.bundles {
            self.send(to, bundle, false);
        }
        for (to, bundle) in output.bulk {
            self.send(to, bundle, true);
        }
        let fed = !output.meta.is_empty();
        let replaced = output.meta.iter().any(|feed| matches!(feed, MetaFeed::Base { .. }));
        self.directory.feed(output.meta);
        self.lead(&output.leading);
        if fed {
            self.unknown.retain(|group| !self.ingest.leading(*group, true));
        }
        self.listen(&output.reconfigured, replaced);
        self.publish(&output.publishes);
        for (call, answer) in output.answers {
            self.calls.answer(call, answer);
        }
        for (id, group, request) in output.calls {
            self.call(id, group, request);
        }
        for job in output.jobs {
            self.flush(job);
        }
        output.notices.iter().for_each(note);
    }

    /// Whether the log has more to write than it should: the shard takes nothing from clients and peers until it has
    /// written. This is how a slow disk slows publishers down.
    pub(crate) fn log_is_full(&self) -> bool {
        self.log.is_full()
    }

    fn write(&self, ticket: WalTicket, batch: WalBatch) {
        if let Err(error) = self.log.submit(batch, ticket.0) {
            // Nothing that waits for this batch will ever leave: this server leads nothing any more.
            log::error!("JetStream writes nothing any more: {error}");
            self.inbox.close();
        }
    }

    fn send(&self, to: StoreId, bundle: Bundle, bulk: bool) {
        if !self.remote.bundle(to, bundle.into_parts(), bulk) {
            self.inbox.push(Input::LinkReset(to));
        }
    }

    fn lead(&mut self, leading: &[Leading]) {
        if leading.is_empty() {
            return;
        }
        let claim = |l: &Leading| Claim { group: l.group, term: l.term, leads: l.leads };
        let claims: Vec<Claim> = leading.iter().map(claim).collect();
        for claim in &claims {
            self.leaders.claim(self.store, *claim);
        }
        self.remote.claims(&claims);
        for Leading { group, leads, .. } in leading {
            if self.ingest.leading(*group, *leads) || !leads {
                self.unknown.remove(group);
            } else if *group != GroupId::META {
                self.unknown.insert(*group);
            }
        }
    }

    /// Streams that are led here listen to what they are to listen to now. A state of the meta group as a whole does not
    /// say what is new in it.
    fn listen(&self, reconfigured: &[GroupId], all: bool) {
        let led_here = |group: &&GroupId| self.leaders.of(**group) == Some(self.store);
        if all {
            for claim in self.leaders.claims_of(self.store) {
                self.ingest.leading(claim.group, true);
            }
        } else {
            for group in reconfigured.iter().filter(led_here) {
                self.ingest.leading(*group, true);
            }
        }
    }

    fn publish(&mut self, publishes: &[Publish]) {
        if publishes.is_empty() {
            return;
        }
        let mut batch = self.router.batch();
        for publish in publishes {
            let account = self
                .accounts
                .entry(publish.account.clone())
                .or_insert_with(|| self.router.account(&publish.account));
            // Reply subjects and subjects of stored messages came through the parser as text.
            let Ok(to) = std::str::from_utf8(&publish.to) else { continue };
            let shown = (publish.subject != publish.to)
                .then(|| std::str::from_utf8(&publish.subject).ok())
                .flatten();
            let reply = publish.reply.as_ref().and_then(|r| std::str::from_utf8(r).ok());
            batch.publish(&Message {
                account,
                subject: to,
                shown,
                reply,
                headers: (!publish.headers.is_empty()).then_some(&publish.headers),
                payload: &publish.payload,
                origin: Origin::Server,
            });
        }
    }

    fn call(&self, id: CallId, group: GroupId, request: Request) {
        let (calls, inbox) = (Arc::clone(&self.calls), Arc::clone(&self.inbox));
        self.runtime.spawn(async move {
            let answer = calls.call(group, &request, Instant::now() + OWN_CALL).await;
            inbox.push(Input::Answered(id, answer));
        });
    }

    fn flush(&self, job: SegmentJob) {
        let inbox = Arc::clone(&self.inbox);
        let done = Arc::new(move |FlushDone { job, result }: FlushDone| {
            inbox.push(Input::Flushed { group: job.group(), job: job.id(), result });
        });
        if let Err(refused) = self.flusher.submit(job, done) {
            log::error!("A stream is not flushed: {refused}");
        }
    }
}

fn note(notice: &Notice) {
    match notice {
        Notice::Leads { .. } | Notice::StepsDown { .. } => log::info!("{notice}"),
        Notice::Refused { .. } | Notice::Text(_) => log::warn!("{notice}"),
        Notice::Ended { .. } | Notice::Diverged { .. } | Notice::Quarantined { .. } => {
            log::error!("{notice}");
        }
    }
}
