//! Small parts, put together to large pieces before the system gets them: it takes longer for a part of some bytes than to
//! copy it.

use std::cell::RefCell;
use std::io::{self, IoSlice};

/// Where a piece begins in memory: at a multiple of this, as devices want it.
pub(crate) const BLOCK: usize = 4096;

thread_local! {
    /// Where pieces are put together. It lies somewhere in memory; they begin at its first multiple of a block.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How many bytes there are in `parts`.
pub(crate) fn length(parts: &[IoSlice<'_>]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// Gives `parts` to `write`, one behind the other, in pieces of at most `size` bytes, whole blocks, and each with where it belongs
/// if the first part belongs at `offset`. All but the last one end with a block of the file; if `offset` is within a block,
/// what belongs there is a piece by itself.
pub(crate) fn in_pieces(
    mut offset: u64,
    parts: &[IoSlice<'_>],
    size: usize,
    mut write: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    BUFFER.with_borrow_mut(|buffer| {
        let largest = size.min(length(parts));
        if buffer.len() < largest + BLOCK {
            buffer.resize(largest + BLOCK, 0);
        }
        let start = buffer.as_ptr().align_offset(BLOCK).min(BLOCK);
        let room = &mut buffer[start..start + largest];
        let within = (offset % BLOCK as u64) as usize;
        let mut size = if within == 0 { largest } else { largest.min(BLOCK - within) };
        let mut filled = 0;
        for mut part in parts.iter().map(|part| &part[..]) {
            while !part.is_empty() {
                // What is as devices want it needs no copy.
                if filled == 0 && part.len() >= size && part.as_ptr().align_offset(BLOCK) == 0 {
                    let (now, later) = part.split_at(size);
                    write(offset, now)?;
                    (offset, size, part) = (offset + size as u64, largest, later);
                    continue;
                }
                let taken = part.len().min(size - filled);
                let (now, later) = part.split_at(taken);
                room[filled..filled + taken].copy_from_slice(now);
                (filled, part) = (filled + taken, later);
                if filled == size {
                    write(offset, &room[..size])?;
                    (offset, filled, size) = (offset + size as u64, 0, largest);
                }
            }
        }
        if filled > 0 { write(offset, &room[..filled]) } else { Ok(()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_lies_as_devices_want_it_is_not_copied() {
        let memory = vec![7; 4 * BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK);
        let part = &memory[start..start + 2 * BLOCK + 100];
        let mut pieces = Vec::new();
        in_pieces(0, &[IoSlice::new(part), IoSlice::new(b"end")], BLOCK, |at, piece| {
            pieces.push((at, piece.as_ptr() == part[at as usize..].as_ptr(), piece.len()));
            Ok(())
        })
        .unwrap();
        let (first, second, rest) = (BLOCK as u64, 2 * BLOCK as u64, 103);
        assert_eq!(pieces, [(0, true, BLOCK), (first, true, BLOCK), (second, false, rest)]);
    }

    proptest! {
        #[test]
        fn pieces_are_the_parts_and_begin_at_blocks(
            lengths in prop::collection::vec(0_usize..15_000, 0..12),
            offset in 0_u64..10_000,
            blocks in 1_usize..4,
        ) {
            let bytes: Vec<u8> = (0..lengths.iter().sum()).map(|n: usize| (n % 251) as u8).collect();
            let mut left = &bytes[..];
            let mut parts = Vec::new();
            for length in lengths {
                let (part, rest) = left.split_at(length);
                parts.push(IoSlice::new(part));
                left = rest;
            }
            let mut written = Vec::new();
            let mut ends = offset;
            in_pieces(offset, &parts, blocks * BLOCK, |at, piece| {
                assert_eq!(at, ends);
                assert!(at == offset || at.is_multiple_of(BLOCK as u64), "only the first one begins within a block");
                assert_eq!(piece.as_ptr().align_offset(BLOCK), 0);
                assert!((1..=blocks * BLOCK).contains(&piece.len()));
                written.extend_from_slice(piece);
                ends += piece.len() as u64;
                Ok(())
            })
            .unwrap();
            prop_assert_eq!(written, bytes);
        }
    }
}
