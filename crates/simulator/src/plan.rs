//! What a seed makes of a run: how large the cluster is, what clients do, and what goes wrong.

use flotilla_disk::{Seeded, SegmentOptions};
use flotilla_host::{MILLISECOND, SECOND, Thresholds};

use crate::fault::{FaultKind, FaultPlan, draw_faults, draw_roll_back, draw_together};
use crate::world::WorldOptions;

/// From this seed on clients change members and leaders all the time.
pub const RESHAPING: u64 = 1 << 32;
/// In plans from this seed on, servers that start again may take their groups up one by one.
const BEGINNING: u64 = 1 << 33;

/// The plan of one run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names the run.
    pub seed: u64,
    /// How many servers.
    pub servers: u64,
    /// For how long clients work and faults come, in nanoseconds.
    pub lasts: u64,
    /// What clients do.
    pub load: Load,
    /// What goes wrong, by time.
    pub faults: Vec<FaultPlan>,
    /// Sizes.
    pub world: WorldOptions,
}

/// What clients do, in proportions.
#[derive(Clone, Debug)]
pub struct Load {
    /// Time between two doings, in nanoseconds, on average.
    pub pause: u64,
    /// How many names of streams are in use.
    pub streams: u64,
    /// How many names of consumers each stream has.
    pub consumers: u64,
    /// The longest payload in bytes.
    pub payload: u64,
    /// One in so many publications has an id; 0 is none.
    pub with_id: u64,
    /// One in so many publications expects a sequence; 0 is none.
    pub expecting: u64,
    /// How often what is done.
    pub weights: Weights,
}

/// How often clients do what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weights {
    /// Publish some messages.
    pub publish: u64,
    /// Pull.
    pub pull: u64,
    /// Ask how a stream or a consumer is.
    pub info: u64,
    /// Remove a message, or all.
    pub remove: u64,
    /// Make leaders step down.
    pub step_down: u64,
    /// Create what is not there.
    pub create: u64,
    /// Delete a stream or a consumer.
    pub delete: u64,
    /// Take a replica away from a server.
    pub evict: u64,
    /// Another number of replicas.
    pub scale: u64,
    /// Other limits.
    pub limit: u64,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        // Not the world's own numbers: a plan must not change with what happens in it.
        let mut random = Seeded::new(seed ^ 0x005E_ED0F_A110);
        let servers = [3, 3, 3, 4, 5, 5, 7][index(random.below(7))];
        let lasts = (8 + random.below(18)) * SECOND;
        let mut load = Load::draw(&mut random);
        let mut faults = draw_faults(&mut random, servers, lasts);
        let file = [32 << 10, 128 << 10][index(random.below(2))];
        let segments = SegmentOptions {
            segment_size: [8 << 10, 64 << 10, 8 << 20][index(random.below(3))],
            flush_size: [4 << 10, 64 << 10][index(random.below(2))],
            block_size: 4 << 10,
        };
        // What was added later is drawn apart, so that seeds go on being what they were.
        let mut random_too = Seeded::new(seed ^ 0x0070_6E67_E7E4);
        faults.extend(draw_together(&mut random_too, servers, lasts));
        let mut random_back = Seeded::new(seed ^ 0x0B5C_0DE5_1DE5);
        draw_roll_back(&mut random_back, servers, lasts, &mut faults);
        faults.sort_by_key(|fault| fault.at);
        if seed >= RESHAPING {
            load.weights.reshape();
        }
        if random_too.one_in(5) {
            load.weights.info = 40;
        }
        let thresholds = Thresholds {
            message: [1, 4 << 10, 1 << 20][index(random_too.below(3))],
            segments,
            stream_flush: [16 << 10, 128 << 10, 8 << 20][index(random.below(3))],
            stream_queue: 1 << 20,
            stream_queue_messages: usize::MAX,
            queues: 1 << 20,
            stream_in_flight: 32 << 10,
            stream_log: [8 << 10, 64 << 10, 32 << 20][index(random.below(3))],
            small_log: [2 << 10, 64 << 10][index(random.below(2))],
            consumer_base: [1 << 10, 64 << 10][index(random.below(2))],
            meta_base: [4 << 10, 4 << 20][index(random.below(2))],
            begin_at_once: match seed {
                BEGINNING.. => [1, 3, 256][index(Seeded::new(seed ^ 0x00BE_6100).below(3))],
                _ => 256,
            },
            scrub_rate: 64 << 10,
            scrub_pause: 2 * SECOND,
        };
        let world = WorldOptions { wal: (file, file * 8, file * 16), thresholds };
        Self { seed, servers, lasts, load, faults, world }
    }

    /// Whether any fault of this plan is of such a kind.
    #[must_use]
    pub fn has(&self, kind: fn(&FaultKind) -> bool) -> bool {
        self.faults.iter().any(|fault| kind(&fault.kind))
    }
}

impl Weights {
    /// Members and leaders change all the time.
    fn reshape(&mut self) {
        (self.step_down, self.evict, self.scale) = (6, 6, 6);
    }
}

impl Load {
    fn draw(random: &mut Seeded) -> Self {
        let mut maybe = |weight: u64| if random.one_in(3) { 0 } else { weight };
        let weights = Weights {
            publish: 60,
            pull: maybe(25),
            info: maybe(6),
            remove: maybe(1),
            step_down: maybe(2),
            create: 3,
            delete: maybe(1),
            evict: maybe(1),
            scale: maybe(1),
            limit: maybe(1),
        };
        Self {
            pause: [10, 25, 60][index(random.below(3))] * MILLISECOND,
            streams: 1 + random.below(4),
            consumers: random.below(3),
            payload: [40, 300, 2_000, 8_000][index(random.below(4))],
            with_id: [0, 2, 5][index(random.below(3))],
            expecting: [0, 4, 10][index(random.below(3))],
            weights,
        }
    }
}

pub(crate) fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
