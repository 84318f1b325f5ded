//! Writes what waits on a lane to its QUIC stream.

use bytes::{BufMut, Bytes, BytesMut};
use quinn::{SendStream, WriteError};

use crate::outbox::{Outbox, Parts, length};

/// Parts below this are copied together; longer ones are handed to QUIC as they are.
///
/// quinn 0.11 looks for the bytes of each packet along all unacknowledged chunks of its stream, from
/// the oldest on. A full window of 4 KiB chunks makes that dearer than encryption and system calls
/// together; next to it, and to encryption, a copy costs nothing.
const COPY_BELOW: usize = 64 * 1024;

/// Writes everything that passes through `outbox`, in as few writes as the load allows: whatever
/// gathers during one write leaves with the next. Returns once the outbox is finished and the peer
/// has received all of it.
pub(crate) async fn write(outbox: &Outbox, stream: &mut SendStream) -> Result<(), WriteError> {
    let mut batch: Vec<Parts> = Vec::new();
    let mut chunks: Vec<Bytes> = Vec::new();
    let mut small = BytesMut::new();
    while let Some(bytes) = outbox.take(&mut batch).await {
        small.reserve(bytes);
        gather(batch.drain(..), &mut chunks, &mut small);
        stream.write_all_chunks(&mut chunks).await?;
        chunks.clear();
        outbox.written(bytes);
    }
    if stream.finish().is_ok() {
        let _ = stream.stopped().await;
    }
    Ok(())
}

/// Lays frames out as chunks, none of them empty: headers and short parts run together in `small`.
fn gather(frames: impl Iterator<Item = Parts>, chunks: &mut Vec<Bytes>, small: &mut BytesMut) {
    for frame in frames {
        // The handle refused frames above `Limits::frame`, which fits 32 bits (`Options`).
        small.put_u32_le(u32::try_from(length(&frame)).unwrap_or(u32::MAX));
        for part in frame {
            if part.len() < COPY_BELOW {
                small.put_slice(&part);
            } else {
                chunks.push(small.split().freeze());
                chunks.push(part);
            }
        }
    }
    if !small.is_empty() {
        chunks.push(small.split().freeze());
    }
    chunks.retain(|chunk| !chunk.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Deframer;
    use proptest::prelude::*;

    #[test]
    fn long_parts_are_not_copied() {
        let long = Bytes::from(vec![1; COPY_BELOW]);
        let (mut chunks, mut small) = (Vec::new(), BytesMut::new());
        let frame = Parts::from_iter([Bytes::from_static(b"head"), long.clone()]);
        gather([frame].into_iter(), &mut chunks, &mut small);
        assert_eq!(chunks[1].as_ptr(), long.as_ptr());
        assert_eq!(chunks.len(), 2, "header and short part are one chunk");
    }

    /// Empty, short, and on both sides of the line between copied and not.
    fn part_length() -> impl Strategy<Value = usize> {
        prop_oneof![Just(0), 1..200usize, COPY_BELOW - 1..COPY_BELOW + 1]
    }

    proptest! {
        /// What is gathered is what the receiver cuts out again.
        #[test]
        fn gathered_frames_come_out_whole(
            frames in prop::collection::vec(
                prop::collection::vec((any::<u8>(), part_length()), 0..4), 0..8),
        ) {
            let part = |(byte, length): &(u8, usize)| Bytes::from(vec![*byte; *length]);
            let frames: Vec<Parts> =
                frames.iter().map(|parts| parts.iter().map(part).collect()).collect();
            let (mut chunks, mut small) = (Vec::new(), BytesMut::new());
            gather(frames.iter().cloned(), &mut chunks, &mut small);
            let mut deframer = Deframer::new(1 << 20);
            for chunk in chunks {
                prop_assert!(!chunk.is_empty());
                deframer.space().put_slice(&chunk);
            }
            for frame in frames {
                prop_assert_eq!(deframer.next().unwrap().unwrap(), frame.concat());
            }
            prop_assert_eq!(deframer.next().unwrap(), None);
        }
    }
}
