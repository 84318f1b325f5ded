//! What lies beneath a message that is alone in flight: a write of one block and its sync, the way the log makes it, by one
//! writer and by three at once, as three servers on one disk do. No server has part in it; it is measured in each round, so
//! that it shows what the disk was like then.

use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use flotilla_disk::{Disk, LOG_DIR};
use flotilla_loads::{Figures, Latencies};
use flotilla_storage::FileDisk;

pub(crate) const NAME: &str = "floor";
const BLOCK: usize = 4096;
/// A file is written around: its blocks are there before, as those of the log.
const BLOCKS: u64 = 4096;

/// In a directory on the disk that the servers' stores are on.
pub(crate) fn measure(directory: &Path, length: Duration) -> Result<Figures> {
    let mut figures = Figures::default();
    let alone = write(directory, 1, length)?;
    let three = write(directory, 3, length)?;
    let us = |latencies: &Latencies, quantile| latencies.at(quantile).as_secs_f64() * 1e6;
    figures.add("one writer, p50 us", us(&alone, 0.5));
    figures.add("one writer, p99 us", us(&alone, 0.99));
    figures.add("three writers, p50 us", us(&three, 0.5));
    figures.add("three writers, p99 us", us(&three, 0.99));
    Ok(figures)
}

/// So many threads, each with a file of its own.
fn write(directory: &Path, writers: usize, length: Duration) -> Result<Latencies> {
    let disk = Arc::new(FileDisk::open(directory.join("floor"))?);
    disk.create_dir(LOG_DIR)?;
    let mut threads = Vec::new();
    for number in 0..writers {
        let disk = Arc::clone(&disk);
        // Files of the log are written past the page cache: it is the name that tells them.
        let path = format!("{LOG_DIR}/{writers}-{number}");
        threads.push(thread::spawn(move || write_one(&disk, &path, length)));
    }
    let mut all = Latencies::new();
    for thread in threads {
        all.merge(&thread.join().map_err(|_| anyhow!("a writer panicked"))??);
    }
    Ok(all)
}

fn write_one(disk: &FileDisk, path: &str, length: Duration) -> Result<Latencies> {
    let file = disk.create(path)?;
    let whole = vec![0; BLOCK * 256];
    for piece in 0..BLOCKS / 256 {
        disk.write_vectored_at(file, piece * whole.len() as u64, &[IoSlice::new(&whole)])?;
    }
    disk.sync_data(file)?;
    let block = vec![1; BLOCK];
    let mut latencies = Latencies::new();
    let until = Instant::now() + length;
    for number in (0..BLOCKS).cycle() {
        let began = Instant::now();
        if began >= until {
            break;
        }
        disk.write_vectored_at(file, number * BLOCK as u64, &[IoSlice::new(&block)])?;
        disk.sync_data(file)?;
        latencies.record(began.elapsed());
    }
    disk.close(file);
    Ok(latencies)
}
