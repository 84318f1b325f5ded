//! When replicas let go of what they hold: sizes of files, and of logs in memory.

use flotilla_disk::SegmentOptions;

use crate::time::SECOND;

/// The sizes. Their defaults are for servers; smaller ones make rare things frequent, in simulation.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// Sizes of a stream's files. They must be equal on all servers of a cluster.
    pub segments: SegmentOptions,
    /// The most bytes of entries in one message of Raft; one entry at least goes in each.
    pub message: u64,
    /// Unflushed bytes at which a stream flushes by itself.
    pub stream_flush: usize,
    /// The most bytes of messages that wait in the queue of one stream; beyond it they are refused.
    pub stream_queue: usize,
    /// The most messages that wait in it, likewise.
    pub stream_queue_messages: usize,
    /// The most bytes of messages that wait in the queues of all streams of a shard; beyond it they are refused.
    pub queues: usize,
    /// The most bytes of a stream that are proposed and not yet applied; beyond it messages wait in its queue.
    pub stream_in_flight: usize,
    /// The most bytes of log that a stream's leader keeps in memory for a member that lives and lags.
    pub stream_log: usize,
    /// The same for a group whose whole state would be as small.
    pub small_log: usize,
    /// Log in memory at which a consumer writes a base.
    pub consumer_base: usize,
    /// Log in memory at which the meta group writes a base; if that is larger, as much as the last one was.
    pub meta_base: usize,
    /// How many of the groups that the log gave back begin in one turn of a shard, beside as many that are asked for.
    pub begin_at_once: usize,
    /// How many bytes of segments a shard reads in a second to check them; 0 is none.
    pub scrub_rate: u64,
    /// The least time from the begin of one round of checks to that of the next, in nanoseconds.
    pub scrub_pause: u64,
}

impl Default for Thresholds {
    /// Messages of 1 MiB; flushes of 8 MiB; queues of 128 MiB, and of 256 MiB together; 16 MiB in flight; logs of 32 MiB, of
    /// 1 MiB for small states; bases of consumers after 64 KiB, of meta after 4 MiB; 1,024 groups begin at
    /// once; checks of 4 MiB a second, and a round a day at most.
    fn default() -> Self {
        Self {
            segments: SegmentOptions::default(),
            message: 1 << 20,
            stream_flush: 8 << 20,
            stream_queue: 128 << 20,
            stream_queue_messages: usize::MAX,
            queues: 256 << 20,
            stream_in_flight: 16 << 20,
            stream_log: 32 << 20,
            small_log: 1 << 20,
            consumer_base: 64 << 10,
            meta_base: 4 << 20,
            begin_at_once: 1024,
            scrub_rate: 4 << 20,
            scrub_pause: 24 * 3600 * SECOND,
        }
    }
}
