//! How much of what clients and peers sent may wait in memory.

use flotilla_host::Thresholds;

/// What each shard takes unless it is told otherwise.
const PER_SHARD: u64 = 384 << 20;

/// The bounds. What is beyond them is refused, and sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    /// Bytes of messages that wait for one stream (`max_buffered_size`); 128 MiB if `None`.
    pub stream_bytes: Option<u64>,
    /// Messages that wait for one stream (`max_buffered_msgs`); as many as fit if `None`.
    pub stream_messages: Option<u64>,
    /// Bytes that wait in the whole server (`max_buffered_total`); 384 MiB for each shard if `None`.
    pub total_bytes: Option<u64>,
}

impl Buffers {
    /// Sets what each of so many shards may keep in the queues of its streams: two thirds of its part.
    pub(crate) fn limit(&self, shards: usize, thresholds: &mut Thresholds) {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        thresholds.queues = self.part(shards) / 3 * 2;
        if let Some(bytes) = self.stream_bytes {
            thresholds.stream_queue = size(bytes);
        }
        if let Some(messages) = self.stream_messages {
            thresholds.stream_queue_messages = size(messages);
        }
    }

    /// What the inbox of each of so many shards takes of clients, and as much of bundles: a sixth of its part.
    pub(crate) fn inbox(&self, shards: usize) -> usize {
        self.part(shards) / 6
    }

    fn part(&self, shards: usize) -> usize {
        let part = self.total_bytes.map_or(PER_SHARD, |total| total / shards.max(1) as u64);
        usize::try_from(part).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What may wait in all queues and inboxes, of clients and of bundles.
    fn all(buffers: Buffers, shards: usize) -> usize {
        let mut thresholds = Thresholds::default();
        buffers.limit(shards, &mut thresholds);
        shards * (thresholds.queues + 2 * buffers.inbox(shards))
    }

    #[test]
    fn shards_share_what_the_server_may_keep() {
        for shards in [1, 2, 3, 256] {
            let total_bytes = Some(64 << 20);
            let most = all(Buffers { total_bytes, ..Buffers::default() }, shards);
            assert!(((63 << 20)..=(64 << 20)).contains(&most), "{most} with {shards} shards");
        }
        assert_eq!(all(Buffers::default(), 2), 2 * (384 << 20));
    }

    #[test]
    fn what_is_not_set_is_as_it_was() {
        let (mut thresholds, default) = (Thresholds::default(), Thresholds::default());
        Buffers::default().limit(3, &mut thresholds);
        assert_eq!(thresholds.queues, default.queues);
        assert_eq!(thresholds.stream_queue, default.stream_queue);
        let (stream_bytes, stream_messages) = (Some(7), Some(8));
        Buffers { stream_bytes, stream_messages, total_bytes: None }.limit(3, &mut thresholds);
        assert_eq!((thresholds.stream_queue, thresholds.stream_queue_messages), (7, 8));
    }
}
