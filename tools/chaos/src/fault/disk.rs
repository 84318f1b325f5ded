//! Disks that are full, and disks that do not answer.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use anyhow::{Result, ensure};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::{Injected, State, names};
use crate::arena::Arena;
use crate::plan::Whom;

/// The largest piece of ballast; halved until nothing fits.
const PIECE: u64 = 256 << 20;
/// What must not fit any more.
const PAGE: usize = 4_096;

/// What is to be undone.
#[derive(Debug)]
pub(super) enum Sick {
    Full(Vec<PathBuf>),
    Hung(Vec<(usize, JoinHandle<std::io::Result<()>>)>),
}

pub(super) async fn fill(arena: &mut Arena, whom: Whom) -> Result<Injected> {
    let servers = arena.servers_of(whom).await;
    let mut ballasts = Vec::new();
    for &server in &servers {
        let ballast = arena.disks.mount(server)?.join("ballast");
        fill_up(&ballast)?;
        ballasts.push(ballast);
    }
    let proof = format!("no page fits on the disk of {}", names(arena, &servers));
    Ok(Injected { proof, state: State::Disk(Sick::Full(ballasts)) })
}

/// Takes all space there is.
fn fill_up(ballast: &Path) -> Result<()> {
    let file = File::create(ballast)?;
    let (mut length, mut piece) = (0, PIECE);
    while piece >= PAGE as u64 {
        match fallocate(&file, FallocateFlags::empty(), length, piece) {
            Ok(()) => length += piece,
            Err(Errno::NOSPC) => piece /= 2,
            Err(error) => return Err(error.into()),
        }
    }
    // What the server frees meanwhile is taken, too, until a page does not fit.
    let mut file = File::options().append(true).open(ballast)?;
    loop {
        match file.write_all(&[0; PAGE]) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

pub(super) async fn hang(arena: &mut Arena, whom: Whom) -> Result<Injected> {
    let servers = arena.servers_of(whom).await;
    let mut hung = Vec::new();
    for &server in &servers {
        let probe = arena.disks.mount(server)?.join("probe");
        arena.disks.freeze(server)?;
        // It waits until the disk goes on, which is the proof.
        hung.push((server, thread::spawn(move || fs::write(probe, b"probe"))));
    }
    let proof = format!("the disk of {} hangs", names(arena, &servers));
    Ok(Injected { proof, state: State::Disk(Sick::Hung(hung)) })
}

pub(super) fn remove(arena: &mut Arena, sick: Sick) -> Result<String> {
    match sick {
        Sick::Full(ballasts) => {
            for ballast in ballasts {
                fs::remove_file(ballast)?;
            }
            Ok(String::new())
        }
        Sick::Hung(hung) => {
            for (server, probe) in hung {
                let waited = !probe.is_finished();
                arena.disks.thaw(server)?;
                let written = probe.join();
                ensure!(waited, "a write came through while the disk hung");
                ensure!(matches!(written, Ok(Ok(()))), "the disk does not go on: {written:?}");
            }
            Ok(String::new())
        }
    }
}
