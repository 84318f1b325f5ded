//! The room on the store's disk: told to the shards, to the log, and to whoever listens to advisories.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flotilla_disk::{Room, RoomReport};
use flotilla_host::Input;
use flotilla_jsapi::advisory::{AdvisoryEvent, StoreDisk};
use flotilla_raft::StoreId;

use crate::advisories::Advisories;
use crate::inboxes::Inboxes;

/// Who hears of it.
pub(crate) struct RoomNews {
    pub(crate) store: StoreId,
    pub(crate) store_dir: PathBuf,
    pub(crate) inboxes: Arc<Inboxes>,
    pub(crate) advisories: Arc<Advisories>,
    /// What was said last.
    pub(crate) said: Mutex<Room>,
}

impl RoomNews {
    /// The log looked at its disk.
    pub(crate) fn report(&self, report: RoomReport) {
        self.inboxes.tell(Input::Room { store: self.store, room: report.room });
        let before = {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *said, report.room)
        };
        let disk = || StoreDisk {
            store_dir: self.store_dir.display().to_string(),
            free: report.free,
            enough: report.enough,
        };
        match (before, report.room) {
            (Room::Enough, Room::Short | Room::Out) => {
                log::error!("{}", complaint(&self.store_dir, report));
                if report.is_disk_full() {
                    self.advisories.tell(None, AdvisoryEvent::DiskFull(disk()));
                    self.advisories.tell(None, AdvisoryEvent::OutOfStorage {});
                }
            }
            (Room::Short, Room::Out) => log::error!("{}", complaint(&self.store_dir, report)),
            (Room::Short | Room::Out, Room::Enough) => {
                let dir = self.store_dir.display();
                log::warn!("There is room again in {dir}: {} bytes are free", report.free);
                self.advisories.tell(None, AdvisoryEvent::DiskRoom(disk()));
            }
            _ => {}
        }
    }
}

/// What is wrong with the disk or the log, and what to do.
pub(crate) fn complaint(store_dir: &Path, report: RoomReport) -> String {
    let dir = store_dir.display();
    if !report.is_disk_full() {
        return format!(
            "the log in {dir} is full: {report}; streams take no messages here until groups let go of it: start the \
             servers that they lack for a majority, or give the log more room"
        );
    }
    let left = match report.room {
        Room::Out => "and little of the log is left for votes",
        _ => "and what is left is kept for votes and for what makes room",
    };
    format!(
        "the disk of {dir} is full: {report}, {left}; streams take no messages here until there is more: purge or \
         delete some, limit them, or free other space on that disk"
    )
}
