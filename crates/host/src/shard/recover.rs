//! How a shard comes back: from the WAL's groups and the segments.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use flotilla_disk::{Disk, RecoveredGroup, Recovery, StoreFile, StoreRecord};
use flotilla_jsapi::ErrorKind;
use flotilla_meta::{ClusterId, Meta};
use flotilla_raft::{Base, EntryKind, Group, GroupId, HardState, Options, ReplicaId, Start};
use flotilla_stream::{Consumer, Stream};

use super::disown::{WHOLE_LOG, disown_all};
use super::{Ended, Join, Left, Shard, ShardOptions};
use crate::asset::{AssetKind, AssetRecord};
use crate::consumer::ConsumerMachine;
use crate::mend::Fragments;
use crate::meta::MetaMachine;
use crate::notice::Notice;
use crate::replica::{Machine, Replica};
use crate::request::{Answer, CallId};
use crate::share::{Share, shard_of};
use crate::stream::{OpenError, StreamMachine};
use crate::time::Now;
use crate::turn::{After, Cx};

impl Shard {
    /// The shards of a server, as many as `shards`: they take up everything that the WAL gave back. A replica that is
    /// damaged takes no part before its peers made it whole again; one that has forgotten what it promised never does, and
    /// meta is asked for a successor. `taken_up` is called behind each group of the log.
    #[must_use]
    pub fn recover(
        options: &ShardOptions,
        shards: usize,
        disk: &Arc<dyn Disk>,
        mut store_file: StoreFile,
        mut recovery: Recovery,
        now: Now,
        taken_up: &mut dyn FnMut(),
    ) -> Vec<Self> {
        let StoreRecord { cluster_id: cluster, mut disowned, .. } = *store_file.record();
        if disowned == WHOLE_LOG {
            disowned =
                recovery.groups.values().map(|group| group.replica).max().unwrap_or_default();
        }
        // A store that belongs to a cluster had a log.
        let gone = recovery.fresh && cluster.is_some();
        let lost = gone || !recovery.lost.is_empty();
        let forgetful = lost || store_file.record().forgetful;
        // The next life must know it, too: the log that it finds may be whole.
        let is_known = store_file.record().forgetful == forgetful;
        let kept = if is_known && store_file.record().disowned == disowned {
            Ok(())
        } else {
            let keep = |record: &mut StoreRecord| {
                (record.forgetful, record.disowned) = (forgetful, disowned);
            };
            store_file.update(&**disk, keep)
        };
        let store_file = Arc::new(Mutex::new(store_file));
        let shard = |share: Share| {
            Self::empty(options.clone(), share, Arc::clone(disk), Arc::clone(&store_file), now)
        };
        let mut all: Vec<Self> = Share::split(shards).map(shard).collect();
        if let Some(torn) = &recovery.torn {
            let text = format!(
                "the log's last write did not complete before the stop (generation {}, offset {}); it was never \
                 acknowledged and is cut off",
                torn.generation, torn.offset
            );
            all[0].cx.notice(Notice::Text(text));
        }
        if let Err(error) = kept {
            all[0].cx.out.fatal = Some(format!("the store's record cannot be written: {error}"));
        }
        if lost {
            let what = if gone { "all of it".to_owned() } else { format!("{:?}", recovery.lost) };
            let text = format!("the log of this store lost what it had synced: {what}");
            all[0].cx.notice(Notice::Text(text));
        }
        disown_all(&mut recovery, disowned);
        all.iter_mut().for_each(|shard| shard.disowned = disowned);
        if forgetful {
            let shards_left = Arc::new(AtomicUsize::new(shards));
            for shard in &mut all {
                shard.forgetful = Some(Arc::clone(&shards_left));
            }
            if cluster.is_some() && !recovery.groups.contains_key(&GroupId::META) {
                let meta = &mut all[shard_of(GroupId::META, shards)];
                let reason = "it is not in the log any more";
                meta.lose(GroupId::META, ReplicaId::NONE, reason, Left::Nothing);
            }
        }
        let aside = recovery.groups.iter().filter(|(_, recovered)| recovered.aside);
        let aside: Vec<_> = aside.map(|(group, recovered)| (*group, recovered.replica)).collect();
        super::aside::tidy(&**disk, &aside);
        let left = crate::stream::folders(&**disk).filter(|g| !recovery.groups.contains_key(g));
        for group in left {
            all[shard_of(group, shards)].files.left_behind(group);
        }
        for (group, recovered) in recovery.groups {
            all[shard_of(group, shards)].take_up(group, recovered);
            taken_up();
        }
        for shard in &mut all {
            shard.durable.clone_from(&shard.created);
            shard.beginning = std::mem::take(&mut shard.dirty);
        }
        all
    }

    fn take_up(&mut self, group: GroupId, recovered: RecoveredGroup) {
        let (replica, incarnation) = (recovered.replica, recovered.incarnation);
        // The meta group's own replica is no asset: it has no place in their order.
        if group != GroupId::META {
            self.created.raise(group.slot(), replica);
        }
        if recovered.aside && recovered.damage.is_none() {
            return self.take_up_aside(group, replica);
        }
        let record = AssetRecord::decode(&recovered.asset);
        let founding = record.as_ref().ok();
        let founding = founding.map(|r| Base { membership: r.founding.clone(), ..Base::default() });
        if let Some(damage) = &recovered.damage {
            let reason = damage.to_string();
            return match Fragments::of(recovered.clone(), founding) {
                Some(fragments) => self.begin_mending(group, fragments, reason, false),
                None => {
                    self.lose(group, replica, &reason, Left::Known(Box::new(recovered)));
                }
            };
        }
        let opened = record.map_err(|error| OpenError::Hopeless(error.to_string()));
        let base = recovered.base.as_ref().or(founding.as_ref()).cloned().unwrap_or_default();
        let opened = opened.and_then(|record| self.open_machine(group, &record, &base));
        let taken = match opened {
            Ok(machine) => {
                let RecoveredGroup { asset, hard_state, entries, .. } = recovered;
                let entries = entries.into_iter().filter(|e| e.index > base.index).collect();
                let seat = Seat { group, replica, incarnation, asset };
                self.take_seat(seat, machine, Start { base, hard_state, entries })
            }
            Err(OpenError::Hopeless(reason)) => Err(reason),
            Err(damage) => {
                let reason = damage.to_string();
                let Some(fragments) = Fragments::of(recovered, founding) else { return };
                return self.begin_mending(group, fragments, reason, false);
            }
        };
        if let Err(reason) = taken {
            self.end_recovered(group, replica, incarnation, reason);
        }
    }

    /// A replica that the log has and that cannot take part.
    pub(super) fn end_recovered(
        &mut self,
        group: GroupId,
        replica: ReplicaId,
        incarnation: u64,
        reason: String,
    ) {
        let left = Left::InLog(incarnation);
        let ended = Ended { reason: reason.clone(), replica, lost: false, left };
        self.ended.insert(group, ended);
        let asset = format!("group {group}");
        self.cx.notice(Notice::Ended { asset, replica, reason });
    }

    /// A replica has forgotten what it promised: it never takes part again.
    pub(super) fn lose(&mut self, group: GroupId, replica: ReplicaId, reason: &str, left: Left) {
        let reason = format!("it is lost: {reason}");
        self.damages += 1;
        self.ended.insert(group, Ended { reason: reason.clone(), replica, lost: true, left });
        let asset = format!("group {group}");
        self.cx.notice(Notice::Ended { asset, replica, reason });
    }

    /// Opens what `record` describes, at `base`.
    pub(super) fn open_machine(
        &self,
        group: GroupId,
        record: &AssetRecord,
        base: &Base,
    ) -> Result<Opened, OpenError> {
        let damaged = |error: &dyn std::fmt::Display| OpenError::State(error.to_string());
        let state = &base.state;
        Ok(match &record.kind {
            AssetKind::Meta { cluster, founder } => {
                let meta = if base.index == 0 {
                    Meta::found(ClusterId(*cluster), *founder)
                } else {
                    Meta::restore(state).map_err(|e| damaged(&e))?
                };
                let mut machine = MetaMachine::new(meta, record.founding.clone(), base.index);
                machine.unique_tag.clone_from(&self.options.unique_tag);
                Opened::Meta(Box::new(machine))
            }
            AssetKind::Stream { account, created, config } => {
                let (disk, options) = (&*self.cx.disk, self.cx.thresholds.segments);
                let (stream, segments) = if base.index == 0 {
                    let segments = crate::stream::open_empty(disk, group, options)?;
                    (Stream::new((**config).clone(), *created), segments)
                } else {
                    crate::stream::open(disk, group, base.index, state, options)?
                };
                let account = account.as_str().into();
                Opened::Stream(Box::new(StreamMachine::new(account, group, stream, segments)))
            }
            AssetKind::Consumer { stream_group, .. } if stream_group.slot() != group.slot() => {
                let text = format!("its stream is group {stream_group}, in another slot");
                return Err(OpenError::Hopeless(text));
            }
            AssetKind::Consumer { account, stream, stream_group, created, config } => {
                let consumer = if base.index == 0 {
                    Consumer::new((**config).clone(), *created)
                } else {
                    Consumer::restore(state).map_err(|e| damaged(&e))?
                };
                let machine = ConsumerMachine::new(account, stream, *stream_group, consumer);
                Opened::Consumer(Box::new(machine))
            }
        })
    }

    /// Makes the replica that `start` describes, and lets it take part.
    pub(super) fn take_seat(
        &mut self,
        seat: Seat,
        machine: Opened,
        start: Start,
    ) -> Result<(), String> {
        let group = seat.group;
        self.dirty.insert(group);
        match machine {
            Opened::Meta(machine) => {
                self.replicas.meta = Some(seat.replica(*machine, start, &mut self.cx)?);
            }
            Opened::Stream(machine) => {
                let replica = seat.replica(*machine, start, &mut self.cx)?;
                self.replicas.streams.insert(group, Box::new(replica));
            }
            Opened::Consumer(machine) => {
                self.replicas.add_consumer(seat.replica(*machine, start, &mut self.cx)?);
            }
        }
        Ok(())
    }

    /// Creates a replica that never was: an empty log that starts from the founding configuration. The WAL record
    /// is in this turn's batch; nothing the replica says leaves before it is synced.
    pub(super) fn create(
        &mut self,
        group: GroupId,
        replica: ReplicaId,
        incarnation: u64,
        record: &AssetRecord,
    ) -> Result<(), String> {
        let asset = record.encode();
        self.cx
            .wal
            .create(group, replica, incarnation, asset.clone())
            .map_err(|e| e.to_string())?;
        if group != GroupId::META {
            self.created.raise(group.slot(), replica);
            self.cx.after.push(After::Create { group, replica });
        }
        // What was being repaired was another one, which is out of the group.
        self.mending.remove(&group);
        self.repairs_of.remove(&group);
        let base = Base { membership: record.founding.clone(), ..Base::default() };
        let start = Start { base, hard_state: HardState::default(), entries: Vec::new() };
        let seat = Seat { group, replica, incarnation, asset };
        let machine = self.open_machine(group, record, &start.base).map_err(|e| e.to_string())?;
        self.take_seat(seat, machine, start)
    }

    pub(super) fn keep_bootstrap(&mut self, id: CallId, state: bytes::Bytes) {
        let kept = self.update_store(|store| store.bootstrap = state);
        let answer = match kept {
            Ok(()) => Answer::Done,
            Err(error) => Answer::Error(ErrorKind::TempStorageFailed.because(error)),
        };
        self.cx.out.answers.push((id, answer));
    }

    /// This store belongs to a cluster from now on.
    pub(super) fn join(&mut self, join: &Join) {
        // A replica that ended is never begun anew under its id: it has forgotten what it promised.
        let was_here = self.mending.contains_key(&GroupId::META)
            || self.ended.contains_key(&GroupId::META)
            || self.replicas.meta.is_some();
        if was_here || self.cluster().is_some_and(|c| c != join.cluster) {
            return;
        }
        let founder = join.founding.stores.values().next().copied().unwrap_or_default();
        let kind = AssetKind::Meta { cluster: join.cluster, founder };
        let record = AssetRecord { founding: join.founding.clone(), kind };
        let updated = self.update_store(|store| store.cluster_id = Some(join.cluster));
        if let Err(error) = updated {
            self.cx.notice(Notice::Text(format!("the store cannot join a cluster: {error}")));
            return;
        }
        if let Err(reason) = self.create(GroupId::META, join.replica, 0, &record) {
            self.cx.notice(Notice::Text(format!("the meta group cannot start here: {reason}")));
        }
        self.dirty.insert(GroupId::META);
    }
}

/// A machine that is open, and not yet joined with its Raft group.
pub(super) enum Opened {
    Meta(Box<MetaMachine>),
    Stream(Box<StreamMachine>),
    Consumer(Box<ConsumerMachine>),
}

/// Which replica it is, and how the WAL calls it.
pub(super) struct Seat {
    pub(super) group: GroupId,
    pub(super) replica: ReplicaId,
    pub(super) incarnation: u64,
    pub(super) asset: bytes::Bytes,
}

impl Seat {
    fn replica<M: Machine>(
        self,
        machine: M,
        start: Start,
        cx: &mut Cx,
    ) -> Result<Replica<M>, String> {
        let Self { group, replica, incarnation, asset } = self;
        let base = start.base.clone();
        let single = base.membership.voters == [replica]
            && start.entries.iter().all(|e| e.kind != EntryKind::Change);
        let max_message_bytes = cx.thresholds.message;
        let options = Options { max_message_bytes, ..crate::replica::OPTIONS };
        let raft = Group::start(replica, options, start).map_err(|e| e.to_string())?;
        let mut replica = Replica::new(group, incarnation, asset, raft, machine, base);
        replica.draw_patience(cx);
        if single {
            replica.be_eager(1, cx);
        }
        Ok(replica)
    }
}
