//! The scripts.

use flotilla_disk::SegmentOptions;
use flotilla_host::{StreamRequest, Thresholds};
use flotilla_raft::StoreId;

use super::{Script, Step};
use crate::plan::{Load, Plan, Weights};
use crate::world::WorldOptions;

const VICTIM: StoreId = StoreId(1);
const OTHER: StoreId = StoreId(2);

/// All of them: together they make every call to a disk that there is in the log, the segments, the store record, the
/// transfer of states and recovery.
#[must_use]
pub fn scripts() -> Vec<Script> {
    use Step::{
        Consume, Create, Delete, Kill, Lead, PowerLoss, Publish, Remove, Rest, Scale, Send, Start,
    };
    let erase = |seq| Remove("A", StreamRequest::Delete { seq, erase: true });
    let delete = |seq| Remove("A", StreamRequest::Delete { seq, erase: false });
    let purge = |keep| Remove("A", StreamRequest::Purge { filter: None, up_to: None, keep });
    let alone = |name, steps: Vec<Step>| script(name, 1, steps);
    let three = |name, steps: Vec<Step>| script(name, 3, steps);
    vec![
        alone(
            "publish",
            vec![
                Create("A", 1),
                Publish("A", 30, 2),
                Rest,
                Publish("A", 4, 20),
                Rest,
                Publish("A", 3, 1),
            ],
        ),
        alone(
            "remove",
            vec![
                Create("A", 1),
                Publish("A", 8, 8),
                erase(2),
                delete(5),
                Publish("A", 8, 2),
                Rest,
                erase(9),
                purge(Some(30)),
                Publish("A", 16, 2),
                purge(None),
                Publish("A", 16, 2),
                Rest,
            ],
        )
        .from(1),
        alone(
            "consume",
            vec![
                Create("A", 1),
                Publish("A", 3, 20),
                Consume("A"),
                Publish("A", 12, 2),
                Consume("A"),
                Publish("A", 12, 2),
                Consume("A"),
                Rest,
            ],
        )
        .from(2),
        alone(
            "recreate",
            vec![
                Create("A", 1),
                Publish("A", 6, 8),
                Consume("A"),
                Delete("A"),
                Create("A", 1),
                Publish("A", 6, 8),
                Consume("A"),
                Rest,
            ],
        )
        .from(3),
        three(
            "lead",
            vec![
                Create("A", 3),
                Lead("A", VICTIM),
                Publish("A", 20, 4),
                erase(3),
                Consume("A"),
                Publish("A", 6, 4),
                purge(Some(20)),
                Publish("A", 6, 4),
                Rest,
            ],
        )
        .from(2),
        three(
            "follow",
            vec![
                Create("A", 3),
                Lead("A", OTHER),
                Publish("A", 20, 4),
                erase(3),
                Consume("A"),
                Publish("A", 6, 4),
                purge(Some(20)),
                Publish("A", 6, 4),
                Rest,
            ],
        )
        .from(2),
        three(
            "catch up",
            vec![
                Create("A", 3),
                Lead("A", OTHER),
                Publish("A", 3, 4),
                Consume("A"),
                Kill(VICTIM),
                Publish("A", 20, 6),
                purge(Some(60)),
                Consume("A"),
                Start(VICTIM),
                Rest,
            ],
        )
        .from(8),
        three(
            "scale up",
            vec![
                Create("A", 1),
                Publish("A", 20, 6),
                Consume("A"),
                Scale("A", 3),
                Publish("A", 2, 4),
                Rest,
            ],
        )
        .from(3)
        .of(2),
        three(
            "scale down",
            vec![Create("A", 3), Publish("A", 12, 6), Scale("A", 1), Publish("A", 12, 2), Rest],
        )
        .from(2),
        alone(
            "recover a process",
            vec![
                Create("A", 1),
                Publish("A", 20, 4),
                Consume("A"),
                erase(3),
                Send("A", 8),
                Kill(VICTIM),
                Start(VICTIM),
                Publish("A", 2, 2),
            ],
        )
        .from(6),
        alone(
            "recover a machine",
            vec![
                Create("A", 1),
                Publish("A", 20, 4),
                Consume("A"),
                erase(3),
                Send("A", 8),
                PowerLoss(VICTIM),
                Start(VICTIM),
                Publish("A", 2, 2),
            ],
        )
        .from(6),
        three(
            "recover a transfer",
            vec![
                Create("A", 3),
                Lead("A", OTHER),
                Publish("A", 3, 4),
                Kill(VICTIM),
                Publish("A", 14, 6),
                Start(VICTIM),
                Rest,
            ],
        )
        .from(5),
    ]
}

impl Script {
    fn from(mut self, step: usize) -> Self {
        self.from = step;
        self
    }

    fn of(mut self, victim: u64) -> Self {
        self.victim = StoreId(victim);
        self
    }
}

fn script(name: &'static str, servers: u64, steps: Vec<Step>) -> Script {
    let load = Load {
        pause: 1,
        streams: 0,
        consumers: 0,
        payload: 400,
        with_id: 3,
        expecting: 7,
        weights: Weights::default(),
    };
    let plan = Plan { seed: 1, servers, lasts: 0, load, faults: Vec::new(), world: small() };
    Script { name, plan, steps, victim: VICTIM, from: 0 }
}

/// So small that a few messages fill a file.
fn small() -> WorldOptions {
    let thresholds = Thresholds {
        message: 1 << 20,
        segments: SegmentOptions {
            segment_size: 2 << 10,
            flush_size: 1 << 10,
            block_size: 1 << 10,
        },
        stream_flush: 2 << 10,
        stream_queue: 1 << 20,
        stream_queue_messages: usize::MAX,
        queues: 1 << 20,
        stream_in_flight: 32 << 10,
        stream_log: 4 << 10,
        small_log: 1 << 10,
        consumer_base: 512,
        meta_base: 1 << 10,
        begin_at_once: 1,
        scrub_rate: 0,
        scrub_pause: 0,
    };
    let file = 32 << 10;
    WorldOptions { wal: (file, file * 4, file * 8), thresholds }
}
