//! JetStream on this server, in service: what the server asks it and tells it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_disk::{Disk, Room};
use flotilla_host::{Answer, Input, Join, Totals};
use flotilla_meta::ServerInfo;
use flotilla_storage::{WalStats, WalStatus, WalWriter};

use crate::api::Api;
use crate::calls::Calls;
use crate::directory::Directory;
use crate::inboxes::Inboxes;
use crate::ingest::Ingest;
use crate::leaders::Leaders;
use crate::room::complaint;
use crate::shards::Shards;

/// How long a turn or a write may take before the server stops to beat.
const HUNG: Duration = Duration::from_secs(1);

/// JetStream in service.
pub struct JetStream {
    pub(crate) info: ServerInfo,
    pub(crate) boot: u64,
    pub(crate) store_dir: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) inboxes: Arc<Inboxes>,
    pub(crate) writer: WalWriter,
    pub(crate) shards: Shards,
    pub(crate) calls: Arc<Calls>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) leaders: Arc<Leaders>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) api: Arc<Api>,
}

impl JetStream {
    /// What this server says about itself to the meta group.
    #[must_use]
    pub fn info(&self) -> &ServerInfo {
        &self.info
    }

    /// This life of the process.
    #[must_use]
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// Tells the shards that it is for something. Returns whether it was taken. Bundles are looked at with
    /// [`settle`](Self::settle).
    pub fn tell(&self, input: Input) -> bool {
        if let Input::LinkReset(store) | Input::Died(store) = &input {
            self.calls.link_lost(*store);
        }
        self.inboxes.tell(input)
    }

    /// Has what was told in bundles dealt with: called behind the last of several.
    pub fn settle(&self) {
        self.inboxes.offer();
    }

    /// This store belongs to a cluster now.
    pub fn join(&self, join: Join) {
        self.inboxes.tell(Input::Join(join));
    }

    /// Keeps what the bootstrap's acceptor promises; returns when it is on stable storage. It blocks for a disk
    /// write: not to be called on a runtime's thread.
    ///
    /// # Errors
    /// When it is not.
    pub fn keep_bootstrap(&self, state: Bytes) -> Result<(), String> {
        match self.calls.keep_bootstrap(state) {
            Some(Answer::Done) => Ok(()),
            Some(Answer::Error(error)) => Err(error.to_string()),
            _ => Err("JetStream has ended".to_owned()),
        }
    }

    /// Whether this server may beat: its shards turn and its disk writes.
    #[must_use]
    pub fn is_lively(&self) -> bool {
        // A slow disk moves: what waits in the log waits for what came before.
        let waits = self.writer.oldest_queued_since().map_or(Duration::ZERO, |at| at.elapsed());
        let stands = waits.min(self.writer.last_finished().elapsed());
        self.shards.busy_for() < HUNG && stands < HUNG && self.failure().is_none()
    }

    /// What this server holds; counted once a second at most.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.shards.totals()
    }

    /// Why JetStream serves nothing any more, if so.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let why = self.inboxes.why_closed().map(str::to_owned);
        why.or_else(|| self.log_ended())
            .or_else(|| self.shards.have_ended().then(|| "a shard has ended".to_owned()))
    }

    /// Requests to the leaders of groups.
    #[must_use]
    pub fn calls(&self) -> &Arc<Calls> {
        &self.calls
    }

    /// What the meta group decided.
    #[must_use]
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Who leads what.
    #[must_use]
    pub fn leaders(&self) -> &Arc<Leaders> {
        &self.leaders
    }

    /// What clients send to streams and consumers.
    #[must_use]
    pub fn ingest(&self) -> &Arc<Ingest> {
        &self.ingest
    }

    /// The API.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// How the log stands, and how much room its disk had when it last looked.
    #[must_use]
    pub fn log_status(&self) -> WalStatus {
        self.writer.status()
    }

    /// How much room there is on the store's disk, as other servers are told.
    #[must_use]
    pub fn room(&self) -> Room {
        self.writer.status().room.room
    }

    /// How far the store's log is on stable storage, as of a moment ago.
    #[must_use]
    pub fn synced(&self) -> u64 {
        self.writer.status().synced
    }

    /// What is wrong with the room on the store's disk, and what to do; `None` when there is enough.
    #[must_use]
    pub fn lacks_room(&self) -> Option<String> {
        let report = self.writer.status().room;
        (report.room != Room::Enough).then(|| complaint(&self.store_dir, report))
    }

    /// Bytes that are free on the store's disk now; `None` if the system does not say.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        self.disk.free_space().ok()
    }

    /// Why the log takes no writes any more, if so.
    #[must_use]
    pub fn log_ended(&self) -> Option<String> {
        self.writer.ended().map(|error| error.to_string())
    }

    /// What the log's writer has done.
    #[must_use]
    pub fn log_stats(&self) -> WalStats {
        self.writer.stats()
    }

    /// Hands over what is led here, so that nobody waits for a leader that is gone.
    pub fn hand_over(&self) {
        self.inboxes.tell(Input::HandOver);
    }

    /// Ends the shards. What is written is on stable storage when this returns.
    pub fn stop(&self) {
        self.shards.stop();
    }
}
