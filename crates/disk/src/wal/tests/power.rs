//! Crashes at every disk call, and power losses after them.

use super::model::{Model, small};
use super::*;
use crate::seeded::Seeded;

/// What a run acknowledged, and what it was about to.
struct Run {
    acknowledged: Model,
    in_flight: Option<Model>,
}

impl Run {
    /// Writes batches until there are `turns` of them or the disk fails.
    fn go(disk: &MemDisk, from: Model, random: &mut Seeded, turns: u64) -> Self {
        let mut run = Self { acknowledged: from, in_flight: None };
        let Ok((mut wal, _)) = Wal::open(disk, small()) else { return run };
        for _ in 0..turns {
            let mut next = run.acknowledged.clone();
            let batches: Vec<_> = (0..=random.below(2))
                .map(|_| {
                    let mut batch = WalBatch::new();
                    (0..=random.below(3)).for_each(|_| next.step(random, 4, &mut batch));
                    batch
                })
                .collect();
            run.in_flight = Some(next.clone());
            if wal.append(disk, &batches).is_err() {
                return run;
            }
            run.acknowledged = next;
            run.in_flight = None;
            let idle = random.one_in(4) && wal.seal(disk).is_err();
            if idle || wal.reclaim(disk).is_err() {
                return run;
            }
            if random.one_in(6)
                && let Some(job) = wal.spare_job()
            {
                let made = job.run(disk);
                wal.spare_made(&job, &made);
            }
        }
        run
    }

    /// What is there after the crash; it must be one of the two.
    fn check(&self, disk: &MemDisk, context: &str) -> Model {
        let (_, recovery) = Wal::open(disk, small()).unwrap();
        let created = self.in_flight.as_ref().unwrap_or(&self.acknowledged).created();
        let found = Model::recovered(&recovery, created);
        let found = found.unwrap_or_else(|| {
            let damage: Vec<_> = recovery.groups.values().map(|g| g.damage.as_ref()).collect();
            panic!("{context}: {:?} {:?} {damage:?}", recovery.lost, recovery.torn)
        });
        let acknowledged = found.groups == self.acknowledged.groups;
        let in_flight = self.in_flight.as_ref().is_some_and(|model| found.groups == model.groups);
        assert!(acknowledged || in_flight, "{context}");
        found
    }
}

#[test]
fn every_crash_point_of_a_small_run_keeps_what_was_acknowledged() {
    let whole = MemDisk::new();
    Run::go(&whole, Model::default(), &mut Seeded::new(1), 60);
    let calls = whole.changes();
    assert!(calls > 150, "the run must be worth it: {calls}");
    for crash in 1..=calls {
        for seed in 0..3 {
            let disk = MemDisk::new();
            disk.crash_at(crash);
            let run = Run::go(&disk, Model::default(), &mut Seeded::new(1), 60);
            disk.power_loss(seed);
            run.check(&disk, &format!("crash {crash} seed {seed}"));
        }
    }
}

#[test]
fn repeated_power_losses_over_random_runs_lose_nothing() {
    for seed in 0..40 {
        let mut random = Seeded::new(seed);
        let disk = MemDisk::new();
        let mut model = Model::default();
        for life in 0..5 {
            disk.crash_at(20 + random.below(120));
            let run = Run::go(&disk, model, &mut random, 60);
            // Also within the recovery, whatever it has done by then.
            disk.power_loss(random.next_u64());
            disk.crash_at(1 + random.below(8));
            let _ = Wal::open(&disk, small());
            disk.power_loss(random.next_u64());
            model = run.check(&disk, &format!("seed {seed} life {life}"));
            disk.restart();
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_written() {
    for seed in 0..20 {
        let mut random = Seeded::new(seed);
        let disk = MemDisk::new();
        disk.crash_at(30 + random.below(80));
        let run = Run::go(&disk, Model::default(), &mut random, 60);
        disk.restart();
        let found = run.check(&disk, &format!("seed {seed}"));
        // What one recovery reported, a power loss right after it does not take back.
        disk.power_loss(seed);
        let (_, again) = Wal::open(&disk, small()).unwrap();
        assert_eq!(Model::recovered(&again, found.created()).unwrap().groups, found.groups);
    }
}

#[test]
fn after_a_failed_sync_only_the_acknowledged_is_certain() {
    for nth in 1..25 {
        let disk = MemDisk::new();
        let (wal, _) = Wal::open(&disk, small()).unwrap();
        drop(wal);
        disk.fail(Operation::Sync, 1 + nth, Failure::Io);
        let run = Run::go(&disk, Model::default(), &mut Seeded::new(nth), 40);
        disk.power_loss(nth);
        run.check(&disk, &format!("sync {nth}"));
    }
}

#[test]
fn a_full_disk_stops_the_log_without_poisoning_it() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 1);
    disk.set_capacity(small().file_size + 4096);
    let mut index = 2;
    let stopped = loop {
        let mut batch = WalBatch::new();
        batch.entries(G, R, &[entry(1, index)]).unwrap();
        match wal.append(&disk, &[batch]) {
            Ok(_) => index += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(stopped, WalError::Disk(DiskError::NoSpace { .. })), "{stopped}");
    assert_eq!(wal.poisoned(), None);
    disk.set_capacity(100 * small().file_size);
    append_entry(&disk, &mut wal, G, index);
    assert_eq!(opened(&disk).1.groups[&G].entries.len() as u64, index);
}

/// After a failed sync the kernel calls the pages clean: the next life reads from the cache what the disk does not hold, and
/// must not tell anybody that it is there before it has written it again.
#[test]
fn what_a_failed_sync_left_in_the_cache_is_written_again() {
    for seed in 0..20 {
        let disk = MemDisk::new();
        let mut wal = with_entries(&disk, 2);
        disk.fail(Operation::Sync, 1, Failure::Io);
        let mut batch = WalBatch::new();
        batch.entries(G, R, &[entry(1, 3)]).unwrap();
        assert!(wal.append(&disk, &[batch]).is_err());
        disk.restart();
        let (wal, recovery) = opened(&disk);
        let told = indexes(&recovery.groups[&G].entries);
        assert_eq!(told, [1, 2, 3], "what is in the cache may be told");
        drop(wal);
        disk.power_loss(seed);
        let (_, recovery) = opened(&disk);
        assert_eq!(indexes(&recovery.groups[&G].entries), told, "and is there from then on");
        assert_eq!(recovery.groups[&G].damage, None);
    }
}
