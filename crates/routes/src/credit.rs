//! What was read and is not dealt with yet, by the byte.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Belongs to frames that were reported. While any clone of it lives, their bytes count as not dealt with, and when a
/// lane has too many of them nothing more is read from it: what is slow to be dealt with on one lane so holds up its
/// sender, and no other lane.
#[derive(Clone)]
pub struct Credit {
    permit: Arc<OwnedSemaphorePermit>,
}

impl fmt::Debug for Credit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credit({} bytes)", self.permit.num_permits())
    }
}

/// The credit of one lane.
pub(crate) struct Credits {
    all: Arc<Semaphore>,
    limit: u32,
}

impl Credits {
    pub(crate) fn new(limit: u32) -> Self {
        Self { all: Arc::new(Semaphore::new(limit as usize)), limit }
    }

    /// Waits until there is credit for so many bytes. Frames that are longer than all of it wait for all of it.
    pub(crate) async fn take(&self, bytes: usize) -> Option<Credit> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.limit);
        // Fails when it is closed, which it never is.
        let permit = Arc::clone(&self.all).acquire_many_owned(bytes).await.ok()?;
        Some(Credit { permit: Arc::new(permit) })
    }
}
