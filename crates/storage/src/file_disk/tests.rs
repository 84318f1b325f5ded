use super::*;

fn disk() -> (tempfile::TempDir, FileDisk) {
    let dir = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(dir.path().join("store")).unwrap();
    (dir, disk)
}

#[test]
fn one_directory_has_one_owner() {
    let (_dir, disk) = disk();
    let second = FileDisk::open(disk.root()).unwrap_err();
    assert!(matches!(second, DiskError::Locked { .. }), "{second}");
    let root = disk.root().to_path_buf();
    drop(disk);
    assert!(FileDisk::open(root).is_ok());
}

#[test]
fn many_parts_are_written_one_behind_the_other() {
    let (_dir, disk) = disk();
    let file = disk.create("f").unwrap();
    let bytes: Vec<u8> = (0..3000_u32).map(|n| (n % 251) as u8).collect();
    let mut parts: Vec<_> = bytes.chunks(1).map(IoSlice::new).collect();
    parts.insert(0, IoSlice::new(&[]));
    disk.write_vectored_at(file, 7, &parts).unwrap();
    disk.sync_data(file).unwrap();
    let mut read = vec![0; 4000];
    assert_eq!(disk.read_at(file, 7, &mut read), Ok(3000));
    assert_eq!(read[..3000], bytes);
    assert_eq!(disk.len(file), Ok(3007));
}

#[test]
fn a_file_holds_what_was_written_in_blocks_or_not_of_the_log_or_not() {
    let (_dir, disk) = disk();
    disk.create_dir(LOG_DIR).unwrap();
    let bytes: Vec<u8> = (0..6_000_000_u32).map(|n| (n % 251) as u8).collect();
    for name in ["wal/f", "f"] {
        let file = disk.create(name).unwrap();
        let mut expected = vec![0; 6_000_000];
        // In blocks, and more than fits one piece; in parts that are no blocks, but are together; not in blocks at all; and
        // large, with ends that are in the middle of blocks, or of the same one as what was there before.
        for (offset, lengths) in [
            (4096, &[5 << 20][..]),
            (0, &[1, 4095, 100, 8092]),
            (8191, &[2]),
            (40_960, &[4096]),
            (5000, &[2_000_000, 7]),
            (2_005_007, &[30, 2_100_000, 600]),
            (4_105_637, &[5, 300_000]),
        ] {
            let mut at = 0;
            let mut parts = Vec::new();
            for length in lengths {
                parts.push(IoSlice::new(&bytes[at..at + length]));
                at += length;
            }
            disk.write_vectored_at(file, offset, &parts).unwrap();
            disk.sync_data(file).unwrap();
            let offset = usize::try_from(offset).unwrap();
            expected[offset..offset + at].copy_from_slice(&bytes[..at]);
            let mut read = vec![0; 6_000_000];
            let length = disk.read_at(file, 0, &mut read).unwrap();
            assert_eq!(length, 4096 + (5 << 20));
            assert!(read == expected, "{name} after the write at {offset}");
        }
    }
}

#[test]
fn what_is_announced_may_not_be_there() {
    let (_dir, disk) = disk();
    let file = disk.create("f").unwrap();
    disk.write_vectored_at(file, 0, &[IoSlice::new(&[7; 5000])]).unwrap();
    for parts in [[0..10, 4096..u64::MAX], [9000..10_000, u64::MAX..u64::MAX]] {
        disk.will_read("f", &parts);
        disk.will_read("none", &parts);
    }
    let mut read = [0; 5000];
    assert_eq!(disk.read_at(file, 0, &mut read), Ok(5000));
    assert_eq!(read, [7; 5000]);
}

#[test]
fn errors_say_what_and_where() {
    let (_dir, disk) = disk();
    let missing = disk.open("a/b").unwrap_err();
    assert_eq!(missing, DiskError::NotFound { operation: "open", path: "a/b".into() });
    disk.create("f").unwrap();
    assert_eq!(disk.create("f"), Err(DiskError::Exists { path: "f".into() }));
    assert!(matches!(disk.len(FileId(99)), Err(DiskError::Io { .. })));
}

#[test]
fn names_are_listed_sorted_and_an_absent_directory_is_empty() {
    let (_dir, disk) = disk();
    disk.create_dir("a/b").unwrap();
    for name in ["a/z", "a/c"] {
        let file = disk.create(name).unwrap();
        disk.close(file);
    }
    assert_eq!(disk.list("a").unwrap(), ["b", "c", "z"]);
    assert_eq!(disk.list("none").unwrap(), [""; 0]);
    disk.rename("a/z", "a/b/z").unwrap();
    disk.sync_dir("a").unwrap();
    disk.remove("a/b/z").unwrap();
    disk.remove_dir("a/b").unwrap();
    assert_eq!(disk.list("a").unwrap(), ["c"]);
    assert!(disk.free_space().unwrap() > 0);
}
