//! Whether replicas hold the same on their disks. The leader says what the segment that it has just checked holds, after the
//! entry that it applied last; a member compares when it has applied exactly as much.
//!
//! The sleep of a group compares states; this compares messages, also of a stream that never sleeps.

use std::collections::BTreeMap;

use flotilla_disk::ReadError;

use super::StreamMachine;
use crate::bundle::{Compare, Say};
use crate::notice::Notice;
use crate::replica::Replica;
use crate::turn::Cx;

/// What a replica knows of it.
#[derive(Default)]
pub(super) struct Comparison {
    /// What the leader has; to be compared before a command behind its index is applied.
    asked: Option<Compare>,
    /// The last command that was applied.
    commanded: u64,
    /// What differed: first and last messages.
    differing: BTreeMap<u64, u64>,
}

impl Comparison {
    pub(super) fn differs(&self) -> bool {
        !self.differing.is_empty()
    }
}

impl Replica<StreamMachine> {
    /// Has the members compare a range of messages, which was found good here, with what they have.
    pub(crate) fn have_compared(&mut self, first_seq: u64, last_seq: u64, cx: &mut Cx) {
        let Ok(hash) = self.machine.content(first_seq, last_seq, cx) else { return };
        let index = self.raft.applied();
        let members = self.raft.membership().stores.iter();
        for (to, store) in members.filter(|(to, _)| **to != self.raft.id()) {
            let compare = Compare { to: *to, index, first_seq, last_seq, hash };
            cx.say(*store, self.group, &Say::Compare(compare));
        }
    }

    /// The leader has told what it has. If this replica is further by now, the leader will tell again.
    pub(crate) fn ask_to_compare(&mut self, compare: Compare) {
        let begins = self.base.index.max(self.machine.comparison.commanded);
        if compare.to == self.raft.id() && compare.index >= begins {
            self.machine.comparison.asked = Some(compare);
        }
    }

    /// Compares if everything is applied that the leader had applied. More cannot be, but what changes no message.
    pub(crate) fn compare(&mut self, cx: &mut Cx) {
        let applied = self.raft.applied();
        let asked = &mut self.machine.comparison.asked;
        if let Some(asked) = asked.take_if(|asked| asked.index <= applied) {
            self.machine.compare(&asked, cx);
        }
    }
}

impl StreamMachine {
    /// A command at `index` is about to be applied.
    pub(super) fn pass(&mut self, index: u64, cx: &mut Cx) {
        if let Some(asked) = self.comparison.asked.take_if(|asked| asked.index < index) {
            self.compare(&asked, cx);
        }
        self.comparison.commanded = index;
    }

    fn content(&mut self, first_seq: u64, last_seq: u64, cx: &Cx) -> Result<u64, ReadError> {
        let Self { stream, segments, .. } = self;
        let content = segments.content(&*cx.disk, first_seq, last_seq, &|seq| stream.contains(seq));
        // What cannot be read is repaired, and compared another time.
        self.unreadable |= content.is_err() && self.segments.damaged().is_some();
        content
    }

    fn compare(&mut self, asked: &Compare, cx: &mut Cx) {
        let Compare { index, first_seq, last_seq, hash, .. } = *asked;
        let Ok(here) = self.content(first_seq, last_seq, cx) else { return };
        let first_live = self.stream.first_seq();
        let differing = &mut self.comparison.differing;
        differing.retain(|_, last| *last >= first_live);
        if here == hash {
            differing.remove(&first_seq);
        } else if differing.insert(first_seq, last_seq).is_none() {
            let what = format!("its messages {first_seq} to {last_seq}");
            cx.notice(Notice::Diverged { group: self.group, index, what });
        }
    }
}
