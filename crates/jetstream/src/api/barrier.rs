//! Makes the directory current: what it says after a barrier is not older than the request that waited for it.
//!
//! The meta leader is asked, with its leadership confirmed, how far its log is; this server waits until it applied as
//! much. One question is under way at a time, for all requests that came before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flotilla_host::{Answer, MetaRequest, Request};
use flotilla_raft::GroupId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::calls::Calls;
use crate::directory::Directory;
use crate::leaders::Leaders;

/// How long a meta leader is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many requests wait to be waited for; those beyond wait before that.
const WAITING: usize = 1024;

pub(super) struct Barrier {
    waiting: mpsc::Sender<oneshot::Sender<bool>>,
    leaders: Arc<Leaders>,
    /// Whether the last one was not passed: no request waits again until there is a meta leader.
    down: Arc<AtomicBool>,
}

impl Barrier {
    pub(super) fn start(
        calls: Arc<Calls>,
        directory: Arc<Directory>,
        leaders: Arc<Leaders>,
    ) -> Self {
        let (waiting, waits) = mpsc::channel(WAITING);
        let down = Arc::new(AtomicBool::new(false));
        tokio::spawn(serve(calls, directory, waits, Arc::clone(&down)));
        Self { waiting, leaders, down }
    }

    /// Waits until the directory is current. Returns whether it is; not while the meta group has no leader.
    pub(super) async fn pass(&self) -> bool {
        if self.down.load(Ordering::Relaxed) && self.leaders.of(GroupId::META).is_none() {
            return false;
        }
        let (passed, waits) = oneshot::channel();
        self.waiting.send(passed).await.is_ok() && waits.await.unwrap_or(false)
    }
}

async fn serve(
    calls: Arc<Calls>,
    directory: Arc<Directory>,
    mut waits: mpsc::Receiver<oneshot::Sender<bool>>,
    down: Arc<AtomicBool>,
) {
    while let Some(first) = waits.recv().await {
        let mut all = vec![first];
        while let Ok(another) = waits.try_recv() {
            all.push(another);
        }
        let passed = cross(&calls, &directory).await;
        down.store(!passed, Ordering::Relaxed);
        for one in all {
            // Who asked may have given up.
            let _ = one.send(passed);
        }
    }
}

async fn cross(calls: &Calls, directory: &Directory) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let request = Request::Meta(MetaRequest::Barrier);
    match calls.call(GroupId::META, &request, deadline).await {
        Some(Answer::Applied(index)) => {
            timeout_at(deadline, directory.reaches(index)).await.is_ok()
        }
        _ => false,
    }
}
