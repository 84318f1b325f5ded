//! How much room there is for JetStream, where the configuration does not say.

use std::path::Path;

/// Three quarters of what the file system of `store_dir` has for it: what is free, and what is stored there already.
/// `None` if the system does not tell.
pub(super) fn on_disk(store_dir: &Path) -> Option<u64> {
    // The directory may not be there yet; then its files will be where the nearest one above is.
    let mut above = store_dir.ancestors().filter(|dir| !dir.as_os_str().is_empty());
    let there = above.find(|dir| dir.is_dir()).unwrap_or(Path::new("."));
    let system = rustix::fs::statvfs(there).ok()?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    Some(three_quarters(free.saturating_add(stored_in(store_dir))))
}

/// Three quarters of the machine's memory.
pub(super) fn in_memory() -> u64 {
    let system = rustix::system::sysinfo();
    let unit = u64::from(system.mem_unit);
    three_quarters(system.totalram.saturating_mul(unit))
}

fn three_quarters(bytes: u64) -> u64 {
    bytes / 4 * 3
}

/// Bytes of the files in `dir` and below. What cannot be read does not count.
fn stored_in(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => stored_in(&entry.path()),
        Ok(data) if data.is_file() => data.len(),
        _ => 0,
    };
    entries.map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_takes_no_room_away_from_itself() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("not/yet/there");
        let before = on_disk(&store).unwrap();
        assert!(before > 0);
        assert!(on_disk(Path::new("a/relative/one")).unwrap() > 0);
        std::fs::create_dir_all(store.join("streams")).unwrap();
        std::fs::write(store.join("a"), [0; 100]).unwrap();
        std::fs::write(store.join("streams/b"), [0; 23]).unwrap();
        assert_eq!(stored_in(&store), 123);
        assert!(in_memory() > 1 << 20);
    }
}
