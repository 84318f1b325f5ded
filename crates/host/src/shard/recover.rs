//! How a shard comes back: from the WAL's groups and the segments.

use std::sync::{Arc, Mutex};

use flotilla_disk::{Disk, RecoveredGroup, Recovery, StoreFile};
use flotilla_jsapi::ErrorKind;
use flotilla_meta::{ClusterId, Incarnation, LocalReplica, Meta};
use flotilla_raft::{Base, EntryKind, Group, GroupId, HardState, ReplicaId, Start};
use flotilla_stream::{Consumer, Stream};

use super::{Ended, Join, Shard, ShardOptions};
use crate::asset::{AssetKind, AssetRecord};
use crate::consumer::ConsumerMachine;
use crate::meta::MetaMachine;
use crate::notice::Notice;
use crate::replica::{Machine, Replica};
use crate::request::{Answer, CallId};
use crate::share::{Share, shard_of};
use crate::stream::StreamMachine;
use crate::time::Now;
use crate::turn::{After, Cx};

/// Why a shard cannot come back at all.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The store's log lost more than single groups.
    #[error("the log of this store lost {0} synced ranges; see the report above")]
    Lost(usize),
    /// The whole log is gone, of a store that belongs to a cluster: its replicas have forgotten their votes.
    #[error(
        "the log of this store is gone, but the store belongs to cluster {0:016x}; restore the directory, or start with \
         an empty one, which is a new server"
    )]
    LogGone(u64),
}

impl Shard {
    /// The shards of a server, as many as `shards`: they take up everything that the WAL gave back. A replica that is
    /// damaged does not start: it does not vote, and says why.
    ///
    /// # Errors
    /// When nothing that the log says can be relied on.
    pub fn recover(
        options: &ShardOptions,
        shards: usize,
        disk: &Arc<dyn Disk>,
        store_file: StoreFile,
        recovery: Recovery,
        now: Now,
    ) -> Result<Vec<Self>, RecoverError> {
        if let Some(cluster) = store_file.record().cluster_id.filter(|_| recovery.fresh) {
            return Err(RecoverError::LogGone(cluster));
        }
        if !recovery.lost.is_empty() {
            return Err(RecoverError::Lost(recovery.lost.len()));
        }
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
        let left = crate::stream::folders(&**disk).filter(|g| !recovery.groups.contains_key(g));
        for group in left {
            all[shard_of(group, shards)].files.left_behind(group);
        }
        for (group, recovered) in recovery.groups {
            all[shard_of(group, shards)].take_up(group, recovered);
        }
        all.iter_mut().for_each(|shard| shard.durable.clone_from(&shard.created));
        Ok(all)
    }

    fn take_up(&mut self, group: GroupId, recovered: RecoveredGroup) {
        let (replica, incarnation) = (recovered.replica, Incarnation(recovered.incarnation));
        let here = Some(LocalReplica { group, replica, incarnation });
        // The meta group's own replica is no asset: it has no place in their order.
        if group != GroupId::META {
            self.created.raise(group.slot(), replica);
        }
        if let Err(reason) = self.recover_group(group, recovered) {
            self.ended.insert(group, Ended { reason: reason.clone(), here });
            let asset = format!("group {group}");
            self.cx.notice(Notice::Ended { asset, replica, reason });
        }
    }

    fn recover_group(&mut self, group: GroupId, recovered: RecoveredGroup) -> Result<(), String> {
        if let Some(damage) = recovered.damage {
            return Err(format!("its log is damaged: {damage:?}"));
        }
        let record = AssetRecord::decode(&recovered.asset).map_err(|e| e.to_string())?;
        let founding = Base { membership: record.founding.clone(), ..Base::default() };
        let base = recovered.base.unwrap_or(founding);
        let entries = recovered.entries.into_iter().filter(|e| e.index > base.index).collect();
        let seat = Seat {
            group,
            replica: recovered.replica,
            incarnation: recovered.incarnation,
            asset: recovered.asset,
        };
        let start = Start { base, hard_state: recovered.hard_state, entries };
        self.take_seat(seat, record, start)
    }

    /// Makes the replica that `start` describes, and lets it take part.
    fn take_seat(&mut self, seat: Seat, record: AssetRecord, start: Start) -> Result<(), String> {
        let base = start.base.clone();
        let state = &base.state;
        match record.kind {
            AssetKind::Meta { cluster, founder } => {
                let meta = if base.index == 0 {
                    Meta::found(ClusterId(cluster), founder)
                } else {
                    Meta::restore(state).map_err(|e| e.to_string())?
                };
                let mut machine = MetaMachine::new(meta, record.founding, base.index);
                machine.unique_tag.clone_from(&self.options.unique_tag);
                self.replicas.meta = Some(seat.replica(machine, start, &mut self.cx)?);
            }
            AssetKind::Stream { account, created, config } => {
                let machine = self.stream_machine(seat.group, &account, *config, created, &base)?;
                let replica = seat.replica(machine, start, &mut self.cx)?;
                self.replicas.streams.insert(replica.group, replica);
            }
            AssetKind::Consumer { stream_group, .. }
                if stream_group.slot() != seat.group.slot() =>
            {
                return Err(format!("its stream is group {stream_group}, in another slot"));
            }
            AssetKind::Consumer { account, stream, stream_group, created, config } => {
                let consumer = if base.index == 0 {
                    Consumer::new(*config, created)
                } else {
                    Consumer::restore(state).map_err(|e| e.to_string())?
                };
                let machine = ConsumerMachine::new(&account, &stream, stream_group, consumer);
                let replica = seat.replica(machine, start, &mut self.cx)?;
                self.replicas.add_consumer(replica);
            }
        }
        Ok(())
    }

    fn stream_machine(
        &mut self,
        group: GroupId,
        account: &str,
        config: flotilla_stream::StreamConfig,
        created: flotilla_stream::Timestamp,
        base: &Base,
    ) -> Result<StreamMachine, String> {
        let (disk, options) = (&*self.cx.disk, self.cx.thresholds.segments);
        let (stream, segments) = if base.index == 0 {
            (Stream::new(config, created), crate::stream::open_empty(disk, group, options)?)
        } else {
            crate::stream::open(disk, group, base.index, &base.state, options)?
        };
        Ok(StreamMachine::new(account.into(), group, stream, segments))
    }

    /// Creates a replica that never was: an empty log that starts from the founding configuration. The WAL record
    /// is in this turn's batch; nothing the replica says leaves before it is synced.
    pub(super) fn create(
        &mut self,
        group: GroupId,
        replica: ReplicaId,
        incarnation: u64,
        record: AssetRecord,
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
        let base = Base { membership: record.founding.clone(), ..Base::default() };
        let start = Start { base, hard_state: HardState::default(), entries: Vec::new() };
        let seat = Seat { group, replica, incarnation, asset };
        self.take_seat(seat, record, start)
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
        let was_here = self.ended.contains_key(&GroupId::META) || self.replicas.meta.is_some();
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
        if let Err(reason) = self.create(GroupId::META, join.replica, 0, record) {
            self.cx.notice(Notice::Text(format!("the meta group cannot start here: {reason}")));
        }
        self.dirty.insert(GroupId::META);
    }
}

/// Which replica it is, and how the WAL calls it.
struct Seat {
    group: GroupId,
    replica: ReplicaId,
    incarnation: u64,
    asset: bytes::Bytes,
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
        let raft =
            Group::start(replica, crate::replica::OPTIONS, start).map_err(|e| e.to_string())?;
        let mut replica = Replica::new(group, incarnation, asset, raft, machine, base);
        replica.draw_patience(cx);
        if single {
            replica.be_eager(1, cx);
        }
        Ok(replica)
    }
}
