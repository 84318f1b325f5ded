//! What follows from all assets together. It is kept up to date with each change, so that no command and no request has to
//! look at all of them.

use std::collections::BTreeMap;

use flotilla_raft::{GroupId, Slot, StoreId};
use flotilla_stream::{StorageKind, StreamConfig};
use flotilla_subject::PatternIndex;

use super::Meta;
use crate::asset::{Asset, AssetGroup, AssetName};

/// What desired members put on one store. With what the server itself says of its disk and of the
/// groups that it leads, it makes a [`Peer`](crate::Peer).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreLoad {
    /// Replicas.
    pub assets: u32,
    /// Of these, the replicas of assets with more than one.
    pub ha_assets: u32,
    /// Of these, the groups that should be led from here.
    pub preferred: u32,
    /// Bytes that streams in files reserve by their `max_bytes`.
    pub reserved_file: u64,
    /// Bytes that streams in memory reserve by their `max_bytes`.
    pub reserved_memory: u64,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    stores: BTreeMap<StoreId, Tally>,
    /// How many streams each store should lead, in each slot.
    led: BTreeMap<StoreId, Box<[u32; Slot::COUNT]>>,
    /// What the streams of each account capture, with their names.
    captured: BTreeMap<String, PatternIndex<String>>,
}

/// What is on one store. The sums of reserved bytes hold whatever is added to them, so that all of it can be taken away again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    load: StoreLoad,
    reserved_file: u128,
    reserved_memory: u128,
}

/// Whether an asset is about to be changed or gone, or was changed or made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Leaves,
    Enters,
}

impl Step {
    fn add(self, to: &mut u32, count: u32) {
        *to = match self {
            Self::Leaves => to.saturating_sub(count),
            Self::Enters => to.saturating_add(count),
        };
    }

    fn reserve(self, of: &mut u128, bytes: u64) {
        *of = match self {
            Self::Leaves => of.saturating_sub(u128::from(bytes)),
            Self::Enters => of.saturating_add(u128::from(bytes)),
        };
    }
}

impl Meta {
    /// The load of a store.
    #[must_use]
    pub fn load(&self, store: StoreId) -> StoreLoad {
        let Some(tally) = self.census.stores.get(&store) else { return StoreLoad::default() };
        let bytes = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
        let (reserved_file, reserved_memory) =
            (bytes(tally.reserved_file), bytes(tally.reserved_memory));
        StoreLoad { reserved_file, reserved_memory, ..tally.load }
    }

    /// The slot for a new stream that is to be led by `leader`: the one with the fewest of the streams led there, the
    /// lowest of several. So the streams that a server leads are spread evenly over its shards, however many these are.
    pub(super) fn freest_slot(&self, leader: StoreId) -> Slot {
        let slots = self.census.led.get(&leader).into_iter();
        let slots = slots.flat_map(|slots| (0..=u8::MAX).map(Slot).zip(slots.iter()));
        slots.min_by_key(|(_, led)| **led).map_or_else(Slot::default, |(slot, _)| slot)
    }

    /// A stream of the account other than that of `config` that captures a subject of it too: its name, its subject and
    /// that of `config`. The first one by name.
    pub(super) fn captured_twice<'a>(
        &'a self,
        account: &str,
        config: &'a StreamConfig,
    ) -> Option<(&'a str, &'a str, &'a str)> {
        let captured = self.census.captured.get(account)?;
        let twice = |subject: &'a String| {
            let others = captured.overlapping(subject).filter(|(_, of)| **of != config.name);
            others.map(move |(existing, of)| (of.as_str(), existing, subject.as_str()))
        };
        config.subjects.iter().flat_map(twice).min()
    }

    /// An asset is about to be changed or deleted.
    pub(super) fn leaves_census(&mut self, group: GroupId) {
        self.count(group, Step::Leaves);
    }

    /// An asset was changed or created.
    pub(super) fn enters_census(&mut self, group: GroupId) {
        self.count(group, Step::Enters);
    }

    fn count(&mut self, group: GroupId, step: Step) {
        let mut census = std::mem::take(&mut self.census);
        match (self.asset(group), self.name_of(group)) {
            (Some(Asset::Stream(stream)), Some(AssetName::Stream { account, .. })) => {
                census.count_stream(account, &stream.config, &stream.group, step);
                census.count_group(&stream.group, step);
            }
            (Some(asset), _) => census.count_group(asset.group(), step),
            (None, _) => {}
        }
        self.census = census;
    }
}

impl Census {
    fn count_stream(
        &mut self,
        account: &str,
        config: &StreamConfig,
        group: &AssetGroup,
        step: Step,
    ) {
        let captured = self.captured.entry(account.to_owned()).or_default();
        for subject in &config.subjects {
            match step {
                Step::Enters => captured.insert(subject, config.name.clone()),
                Step::Leaves => drop(captured.remove(subject, &config.name)),
            }
        }
        if captured.is_empty() {
            self.captured.remove(account);
        }
        let led = self.led.entry(group.preferred).or_insert_with(|| Box::new([0; Slot::COUNT]));
        step.add(&mut led[usize::from(group.id.slot().0)], 1);
        if step == Step::Leaves && led.iter().all(|led| *led == 0) {
            self.led.remove(&group.preferred);
        }
        let bytes = config.max_bytes.unwrap_or(0);
        for store in group.stores() {
            let tally = self.stores.entry(store).or_default();
            let reserved = match config.storage {
                StorageKind::File => &mut tally.reserved_file,
                StorageKind::Memory => &mut tally.reserved_memory,
            };
            step.reserve(reserved, bytes);
        }
    }

    fn count_group(&mut self, group: &AssetGroup, step: Step) {
        for store in group.stores() {
            let tally = self.stores.entry(store).or_default();
            let load = &mut tally.load;
            step.add(&mut load.assets, 1);
            step.add(&mut load.ha_assets, u32::from(group.desired.len() > 1));
            step.add(&mut load.preferred, u32::from(group.preferred == store));
            if *tally == Tally::default() {
                self.stores.remove(&store);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use crate::fixture::*;

    #[test]
    fn streams_of_one_leader_take_slot_after_slot_and_consumers_follow_them() {
        let mut log = Log::new(2);
        let mut create = |n: u64, leader: u64| {
            let config = stream_config(&format!("S{n}"), &[&format!("s{n}")], 2);
            log.ok(create_stream(config, &[leader, 3 - leader]));
            let consumer = log.consumer(&format!("S{n}"), consumer_config("c", 0), &[1, 2]).group;
            let stream = log.asset(&format!("S{n}")).group.id;
            assert_eq!(consumer.slot(), stream.slot());
            assert!(consumer > stream, "later groups have higher ids");
            stream.slot().0
        };
        let slots: Vec<u8> = (0..6).map(|n| create(n, 1)).collect();
        assert_eq!(slots, [0, 1, 2, 3, 4, 5]);
        assert_eq!(create(6, 2), 0, "what another server leads does not count");

        // A stream that begins anew stays where its kind is.
        let old = log.asset("S3").group.id;
        let stores = [1, 2].map(StoreId).to_vec();
        log.ok(Command::Recreate { group: old, stores, preferred: StoreId(1) });
        let asset = log.asset("S3");
        assert_ne!(asset.group.id, old);
        assert_eq!(asset.group.id.slot(), old.slot());
        assert_eq!(asset.consumers["c"].group.id.slot(), old.slot());
    }

    #[test]
    fn of_several_streams_that_capture_a_subject_the_first_one_is_named() {
        let mut log = Log::new(1);
        log.ok(create_stream(stream_config("B", &["b.*"], 1), &[1]));
        log.ok(create_stream(stream_config("A", &["a.>"], 1), &[1]));
        let both = stream_config("C", &["b.x", "a.x"], 1);
        assert_eq!(log.meta.captured_twice(ACCOUNT, &both), Some(("A", "a.>", "a.x")));
        // A stream is not in its own way, nor is another account.
        assert_eq!(log.meta.captured_twice(ACCOUNT, &stream_config("B", &["b.y"], 1)), None);
        assert_eq!(log.meta.captured_twice("B", &both), None);
    }

    #[test]
    fn nothing_is_left_of_what_was_deleted() {
        let mut log = Log::new(3);
        let mut config = stream_config("S", &["s.>"], 3);
        config.max_bytes = Some(1 << 20);
        log.ok(create_stream(config, &[1, 2, 3]));
        log.consumer("S", consumer_config("c", 0), &[1, 2, 3]);
        assert_eq!(log.meta.load(StoreId(2)).assets, 2);
        assert_eq!(log.meta.load(StoreId(2)).reserved_file, 1 << 20);
        let (account, stream) = (ACCOUNT.to_owned(), "S".to_owned());
        log.ok(Command::DeleteStream { account, stream, group: None });
        assert_eq!(log.meta.census, Census::default());
    }
}
