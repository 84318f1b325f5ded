//! Bases and records that do not fit.

use proptest::prelude::*;

use super::{Bench, config};
use crate::{
    Applied, DamagedCommand, RestoreError, SequenceRange, Stream, StreamChange, StreamConfig,
    Timestamp,
};

/// Twelve messages, of which 1, 2, 5 and 6 are gone.
fn bench() -> Bench {
    let mut bench = Bench::new(StreamConfig { duplicate_window: 1000, ..config() });
    for number in 0..12 {
        bench.publish(&format!("a.{}", number % 5), &[&format!("Nats-Msg-Id: {number}")], "x");
    }
    for seq in [1, 2, 5, 6] {
        bench.change(StreamChange::Delete { seq, erase: false });
    }
    bench
}

#[test]
fn missing_records_are_named_exactly() {
    let bench = bench();
    let (base, records) = (bench.stream.base(), bench.metas());
    let without = |gone: &[u64]| {
        let kept = records.iter().filter(|record| !gone.contains(&record.seq)).cloned();
        Stream::restore(&base, kept)
    };
    assert!(without(&[]).is_ok());
    assert!(without(&[1, 2, 5, 6]).is_ok(), "what is removed need not be there");
    let ranges = |ranges: &[(u64, u64)]| {
        let ranges =
            ranges.iter().map(|(first, last)| SequenceRange { first: *first, last: *last });
        RestoreError::Missing(ranges.collect())
    };
    assert_eq!(without(&[3]).unwrap_err(), ranges(&[(3, 3)]));
    assert_eq!(without(&[4, 7, 8, 12]).unwrap_err(), ranges(&[(4, 4), (7, 8), (12, 12)]));
    let all: Vec<u64> = (1..=12).collect();
    assert_eq!(without(&all).unwrap_err(), ranges(&[(3, 4), (7, 12)]));
}

#[test]
fn records_behind_the_base_are_left_to_the_log() {
    let mut bench = bench();
    let base = bench.stream.base();
    bench.stored("later", "");
    let restored = Stream::restore(&base, bench.metas()).unwrap();
    assert_eq!(restored.last_seq(), 12);
    assert_eq!(restored.base(), base);
}

#[test]
fn records_that_contradict_the_base_are_refused() {
    let bench = bench();
    let (base, mut records) = (bench.stream.base(), bench.metas());
    records[7].size += 1;
    let error = Stream::restore(&base, records.clone()).unwrap_err();
    assert!(matches!(error, RestoreError::Bytes { expected, found } if found == expected + 1));
    records.swap(3, 4);
    let error = Stream::restore(&base, records).unwrap_err();
    assert_eq!(error, RestoreError::OutOfOrder { seq: 4, previous: 5 });
}

#[test]
fn an_unknown_version_is_refused() {
    let mut base = bench().stream.base().to_vec();
    base[0] = 200;
    let error = Stream::restore(&base, []).unwrap_err();
    assert_eq!(error, RestoreError::Base(DamagedCommand::UnknownVersion(200)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn damaged_bytes_never_panic(
        at in any::<proptest::sample::Index>(),
        bit in 0..8u32,
        cut in any::<proptest::sample::Index>(),
    ) {
        let bench = bench();
        let mut base = bench.stream.base().to_vec();
        let at = at.index(base.len());
        base[at] ^= 1 << bit;
        if let Ok(mut stream) = Stream::restore(&base, bench.metas()) {
            // A flipped bit that is not noticed (checksums are the disk's duty) must not harm.
            let mut applied = Applied::default();
            let mut batch = crate::PublishBatchBuilder::new();
            batch.push("a.1", b"", b"").unwrap();
            let _ = stream.apply(&batch.finish(Timestamp(5)), &mut applied);
            let _ = (stream.base(), stream.state(), stream.deleted());
        }
        let _ = Stream::restore(&base[..cut.index(base.len())], bench.metas());
    }

    #[test]
    fn random_commands_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut stream = Stream::new(config(), Timestamp(0));
        let mut applied = Applied::default();
        for kind in [1, 2] {
            let command = [&[1, kind], &bytes[..]].concat().into();
            let before = stream.hash();
            if stream.apply(&command, &mut applied).is_err() {
                prop_assert_eq!(stream.hash(), before, "a damaged command changes nothing");
            }
        }
    }
}
