//! What a turn left, carried out: the log, the links, the router, the callers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_disk::{SegmentJob, WalBatch};
use flotilla_host::{
    Bundle, CallId, Input, Leading, MetaFeed, Notice, Output, Publish, Request, Standings,
    WalTicket,
};
use flotilla_raft::{GroupId, StoreId};
use flotilla_server_core::{Account, Message, Origin, RouterHandle};
use flotilla_storage::{FlushDone, SegmentFlusher, Submitter};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::advisories::Advisories;
use crate::calls::{Calls, Remote};
use crate::directory::Directory;
use crate::inbox::Inbox;
use crate::inboxes::Inboxes;
use crate::ingest::Ingest;
use crate::leaders::{Claim, Leaders};

/// How long a call of the shard itself may take.
const OWN_CALL: Duration = Duration::from_secs(5);

/// What the hands of all shards work with.
pub(crate) struct Tools {
    pub(crate) store: StoreId,
    pub(crate) inboxes: Arc<Inboxes>,
    pub(crate) flusher: SegmentFlusher,
    pub(crate) router: RouterHandle,
    pub(crate) calls: Arc<Calls>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) leaders: Arc<Leaders>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) advisories: Arc<Advisories>,
    pub(crate) remote: Arc<dyn Remote>,
    pub(crate) runtime: Handle,
}

/// The hands of one shard.
pub(crate) struct Hands {
    pub(crate) tools: Arc<Tools>,
    /// The shard's number.
    pub(crate) shard: u8,
    /// Its way into the log.
    pub(crate) log: Submitter,
    /// Its own inbox.
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) accounts: BTreeMap<Arc<str>, Arc<Account>>,
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
        self.decide(output.meta, &output.reconfigured, output.standings);
        self.lead(&output.leading);
        self.publish(&output.publishes);
        for (call, answer) in output.answers {
            self.tools.calls.answer(call, answer);
        }
        for (id, group, request) in output.calls {
            self.call(id, group, request);
        }
        for job in output.jobs {
            self.flush(job);
        }
        for notice in &output.notices {
            note(notice);
            self.tools.advisories.notice(notice);
        }
        if let Some(why) = output.fatal {
            log::error!("JetStream ends on this server: {why}");
            self.tools.inboxes.close_because(why);
        }
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
            self.tools.inboxes.close();
        }
    }

    fn send(&self, to: StoreId, bundle: Bundle, bulk: bool) {
        if !self.tools.remote.bundle(to, self.shard, bundle.into_parts(), bulk) {
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
            self.tools.leaders.claim(self.tools.store, *claim);
        }
        self.tools.remote.claims(&claims);
        for Leading { group, leads, .. } in leading.iter().filter(|l| l.group != GroupId::META) {
            if *leads {
                self.tools.ingest.lead(*group);
            } else {
                self.tools.ingest.cede(*group);
            }
        }
    }

    /// What the meta group decided, from the shard that has its replica: into the directory first, from where streams
    /// that are led here learn what they are to listen to now, and to all shards. A state as a whole does not say what
    /// is new in it.
    fn decide(
        &self,
        feed: Vec<MetaFeed>,
        reconfigured: &[GroupId],
        standings: Option<Arc<Standings>>,
    ) {
        if !feed.is_empty() {
            let replaced = feed.iter().any(|feed| matches!(feed, MetaFeed::Base { .. }));
            self.tools.directory.feed(feed);
            self.tools.ingest.refresh((!replaced).then_some(reconfigured));
        }
        if let Some(standings) = standings {
            self.tools.inboxes.tell(Input::Standings(standings));
        }
    }

    fn publish(&mut self, publishes: &[Publish]) {
        if publishes.is_empty() {
            return;
        }
        let mut batch = self.tools.router.batch();
        for publish in publishes {
            let account = self
                .accounts
                .entry(publish.account.clone())
                .or_insert_with(|| self.tools.router.account(&publish.account));
            // Reply subjects and subjects of stored messages came through the parser as text.
            let Ok(to) = std::str::from_utf8(&publish.to) else { continue };
            let shown = publish.subject.as_ref().and_then(|s| std::str::from_utf8(s).ok());
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
        let (calls, inbox) = (Arc::clone(&self.tools.calls), Arc::clone(&self.inbox));
        self.tools.runtime.spawn(async move {
            let answer = calls.call(group, &request, Instant::now() + OWN_CALL).await;
            inbox.push(Input::Answered(id, answer));
        });
    }

    fn flush(&self, job: SegmentJob) {
        let inbox = Arc::clone(&self.inbox);
        let done = Arc::new(move |FlushDone { job, result }: FlushDone| {
            inbox.push(Input::Flushed { group: job.group(), job: job.id(), result });
        });
        if let Err(refused) = self.tools.flusher.submit(job, done) {
            log::error!("A stream is not flushed: {refused}");
        }
    }
}

fn note(notice: &Notice) {
    match notice {
        Notice::Leads { .. } | Notice::StepsDown { .. } | Notice::Repaired { .. } => {
            log::info!("{notice}");
        }
        Notice::Refused { .. } | Notice::Text(_) => log::warn!("{notice}"),
        Notice::Ended { .. }
        | Notice::Diverged { .. }
        | Notice::Quarantined { .. }
        | Notice::Damaged { .. } => log::error!("{notice}"),
    }
}
