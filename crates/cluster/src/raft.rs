//! Raft bundles: what one turn of a shard has for one server.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flotilla_raft::StoreId;
use flotilla_routes::{Lane, Parts};

use crate::links::{Links, Sent};
use crate::lock::lock;

/// The lane of catch-up, of all shards. A transfer that never ends: pieces are asked for one by one, by their place,
/// and so need no lane of their own. With the next link it begins anew.
const PIECES: Lane = Lane::Bulk(0);

/// Shorter frames are copied out of the read buffer that they arrive in. An entry is kept for long, and would
/// otherwise keep 64 KiB alive with it.
const COPIED: usize = 16 * 1024;

/// Bundles on their way out.
pub(crate) struct Bundles {
    links: Arc<Links>,
    refused: AtomicU64,
    /// Stores for which a bundle was refused, not yet reported.
    lost: Mutex<BTreeSet<StoreId>>,
}

impl Bundles {
    pub(crate) fn new(links: Arc<Links>) -> Self {
        Self { links, refused: AtomicU64::new(0), lost: Mutex::default() }
    }

    /// Sends a bundle of a shard. One that a full lane refuses is lost; Raft is told, and sends again.
    pub(crate) fn send(&self, to: StoreId, shard: u8, parts: Vec<Bytes>, is_bulk: bool) {
        let lane = if is_bulk { PIECES } else { Lane::Raft(shard) };
        if self.links.send_to(to, lane, Parts::from_vec(parts)) == Sent::Refused {
            self.refused.fetch_add(1, Ordering::Relaxed);
            // Reported with the next tick and not at once: Raft answers with further messages, for which there is no
            // more room than for these.
            lock(&self.lost).insert(to);
        }
    }

    /// The stores for which bundles were refused since the last call.
    pub(crate) fn take_lost(&self) -> BTreeSet<StoreId> {
        std::mem::take(&mut lock(&self.lost))
    }

    /// How many bundles were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// A bundle that arrived, fit to be kept.
pub(crate) fn arrived(frame: Bytes) -> Bytes {
    if frame.len() < COPIED { Bytes::copy_from_slice(&frame) } else { frame }
}
