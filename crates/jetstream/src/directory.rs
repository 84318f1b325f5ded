//! A copy of the meta machine for the API: fed with the same entries as the replica here, read by any thread. Reads of
//! names, members and configurations so never wait for a shard.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use flotilla_host::MetaFeed;
use flotilla_meta::Meta;
use tokio::sync::watch;

/// The copy.
pub struct Directory {
    meta: RwLock<Option<Meta>>,
    applied: watch::Sender<u64>,
}

impl Default for Directory {
    fn default() -> Self {
        Self { meta: RwLock::new(None), applied: watch::Sender::new(0) }
    }
}

impl Directory {
    /// Applies what the replica applied.
    pub(crate) fn feed(&self, feed: Vec<MetaFeed>) {
        let Some(last) = feed.last() else { return };
        let index = match last {
            MetaFeed::Base { index, .. }
            | MetaFeed::Entry { index, .. }
            | MetaFeed::Reached { index } => *index,
        };
        let mut meta = self.meta.write().unwrap_or_else(PoisonError::into_inner);
        for part in feed {
            match part {
                MetaFeed::Base { state, .. } => match Meta::restore(&state) {
                    Ok(restored) => *meta = Some(restored),
                    Err(error) => log::error!("The copy of the meta machine is lost: {error}"),
                },
                MetaFeed::Entry { command, .. } => {
                    // The replica's machine has reported it, if it cannot be read.
                    if let Some(meta) = meta.as_mut() {
                        drop(meta.apply(&command));
                    }
                }
                MetaFeed::Reached { .. } => {}
            }
        }
        drop(meta);
        self.applied.send_replace(index);
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Meta>> {
        self.meta.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks something up. `None` before this server belongs to a cluster.
    pub fn with<T>(&self, look: impl FnOnce(&Meta) -> T) -> Option<T> {
        self.read().as_ref().map(look)
    }

    /// The index of the meta log that the copy contains.
    #[must_use]
    pub fn applied(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Waits until the copy contains `index`.
    pub async fn reaches(&self, index: u64) {
        let mut applied = self.applied.subscribe();
        // The sender lives as long as `self`.
        drop(applied.wait_for(|at| *at >= index).await);
    }
}
