//! Beats: the sign of life of a server with a store.
//!
//! They leave a thread of their own, so that nothing else this server does delays them, and only while its shards
//! turn and its disk writes: a server that hangs must not keep its groups hostage.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use flotilla_host::Room;
use flotilla_raft::StoreId;

use crate::links::Links;
use crate::store::LocalStore;

/// Time from one beat to the next.
const INTERVAL: Duration = Duration::from_millis(100);

/// The version that a beat begins with.
const VERSION: u8 = 3;

/// One beat: `version 3 (u8) | boot id (u64) | store id (u64) | number (u64) | synced (u64) | room (u8)`, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beat {
    /// Which life of the process.
    pub(crate) boot: u64,
    /// Which store.
    pub(crate) store: StoreId,
    /// Counts the beats of a life, from 1.
    pub(crate) number: u64,
    /// How far its log is on stable storage.
    pub(crate) synced: u64,
    /// How much room the store has on its disk.
    pub(crate) room: Room,
}

impl Beat {
    pub(crate) fn encode(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(34);
        bytes.put_u8(VERSION);
        bytes.put_u64_le(self.boot);
        bytes.put_u64_le(self.store.0);
        bytes.put_u64_le(self.number);
        bytes.put_u64_le(self.synced);
        bytes.put_u8(self.room as u8);
        bytes.freeze()
    }

    /// `None` for anything that is no beat of this version.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        let (fields, rest) = rest.as_chunks::<8>();
        let (&[boot, store, number, synced], &[room]) = (fields, rest) else { return None };
        let room = Room::from_number(room).filter(|_| version == VERSION)?;
        let [boot, store, number, synced] = [boot, store, number, synced].map(u64::from_le_bytes);
        Some(Self { boot, store: StoreId(store), number, synced, room })
    }
}

/// Ends the thread when it is dropped.
pub(crate) struct Beating {
    _stop: Sender<()>,
}

/// Begins to beat.
pub(crate) fn start(
    links: Arc<Links>,
    jetstream: Arc<dyn LocalStore>,
    store: StoreId,
    boot: u64,
) -> io::Result<Beating> {
    let (stop, stopped) = channel();
    thread::Builder::new().name("beats".to_owned()).spawn(move || {
        let mut beat = Beat { boot, store, number: 0, synced: 0, room: Room::Enough };
        while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
            if jetstream.is_well() {
                beat.number += 1;
                (beat.synced, beat.room) = (jetstream.synced(), jetstream.room());
                links.handle.beat(&beat.encode());
            }
        }
    })?;
    Ok(Beating { _stop: stop })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn beats_survive_the_wire(
            boot: u64, store: u64, number: u64, synced: u64, room in 0..3_u8
        ) {
            let room = Room::from_number(room).unwrap();
            let beat = Beat { boot, store: StoreId(store), number, synced, room };
            prop_assert_eq!(Beat::decode(&beat.encode()), Some(beat));
        }

        #[test]
        fn anything_else_is_no_beat(bytes in prop::collection::vec(any::<u8>(), 0..48)) {
            if let Some(beat) = Beat::decode(&bytes) {
                prop_assert_eq!(&beat.encode()[..], &bytes[..]);
            }
        }
    }
}
