//! Damage to one server's files: bytes that are not what was written.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flotilla_tests::cluster::request;
use flotilla_tests::eventually;
use serde_json::json;
use tokio::time::sleep;

use super::kill::kill;
use super::{Injected, State};
use crate::arena::Arena;
use crate::chance::Chance;
use crate::load::{LOG, REGISTER};
use crate::plan::{FileClass, Harm};

/// How long a file of the wanted class may take to appear.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a server may take to lead that has nothing else to do, and before it is asked again.
const LEADING: Duration = Duration::from_secs(10);
const HANDOVER: Duration = Duration::from_millis(300);
const PAGE: usize = 4_096;
const SECTOR: usize = 512;

pub(super) async fn inject(
    arena: &mut Arena,
    class: FileClass,
    harm: Harm,
    running: bool,
    hold: Duration,
) -> Result<Injected> {
    // All copies are there and complete: only then is one damaged copy within the promise.
    let group = arena.group(LOG).await?;
    let before = arena.victim.and_then(|victim| arena.name(victim).ok());
    let name = match before.filter(|name| group.members().contains(name)) {
        Some(name) => name,
        None => group.followers.first().context("a follower")?.clone(),
    };
    let server = arena.index(&name).context("no such server")?;
    let store = arena.store(server)?;
    let mut chance = Chance::new(arena.chance.bits());
    let file = eventually(PATIENCE, &format!("a file of class {class:?}"), async || {
        Ok(chance.pick(&files(&store, class)).cloned())
    })
    .await?;
    if !running {
        kill(arena, &[server]).await?;
    }
    let what = damage(&file, harm, &mut chance)?;
    arena.victim = Some(server);
    if running {
        for stream in [LOG, REGISTER] {
            // Who has met the damage may refuse, as it should.
            let _ = lead(arena, server, stream).await;
        }
    } else {
        sleep(hold.min(Duration::from_secs(1))).await;
    }
    let proof =
        format!("{}: {}: {what}", arena.name(server)?, file.strip_prefix(&store)?.display());
    Ok(Injected { proof, state: State::Damaged { server } })
}

/// A restart reads everything back.
pub(super) async fn remove(arena: &mut Arena, server: usize) -> Result<String> {
    kill(arena, &[server]).await?;
    arena.start_servers(&[server])?;
    Ok(format!("{} started", arena.name(server)?))
}

/// Asks a stream's leader to make way for this server, so that what is damaged is asked for, until it has.
///
/// # Errors
/// It did not come to lead.
pub(crate) async fn lead(arena: &mut Arena, server: usize, stream: &str) -> Result<()> {
    let name = arena.name(server)?;
    let body = json!({ "placement": { "preferred": name } });
    eventually(LEADING, &format!("{name} to lead {stream}"), async || {
        if arena.group(stream).await?.leader == name {
            return Ok(Some(()));
        }
        let client = arena.client();
        request(&client, &format!("STREAM.LEADER.STEPDOWN.{stream}"), &body).await?;
        sleep(HANDOVER).await;
        Ok(None)
    })
    .await
}

/// Makes the server whose files were damaged lead what it has replicas of. Returns these streams.
///
/// # Errors
/// It has a replica and cannot lead.
pub(crate) async fn victim_leads(arena: &mut Arena) -> Result<Vec<&'static str>> {
    let mut led = Vec::new();
    let Some(victim) = arena.victim else { return Ok(led) };
    let name = arena.name(victim)?;
    for stream in [LOG, REGISTER] {
        if arena.group(stream).await?.members().contains(&name) {
            lead(arena, victim, stream).await?;
            led.push(stream);
        }
    }
    Ok(led)
}

/// Asks the damaged server to make way, so that another one is read from.
pub(crate) async fn lead_elsewhere(arena: &mut Arena, stream: &str) -> Result<()> {
    let damaged = arena.victim.and_then(|victim| arena.name(victim).ok());
    let members = arena.group(stream).await?.members();
    let other = members.iter().find(|member| damaged.as_ref() != Some(*member));
    let other = other.and_then(|other| arena.index(other)).context("another member")?;
    lead(arena, other, stream).await
}

/// The files of a class, the oldest first.
fn files(store: &Path, class: FileClass) -> Vec<PathBuf> {
    let within = |dir: &Path, wanted: fn(&str) -> bool| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let paths = entries
            .map(|entry| entry.path())
            .filter(|path| path.file_name().is_some_and(|name| wanted(&name.to_string_lossy())));
        paths.collect()
    };
    let mut files = match class {
        FileClass::StoreA => within(store, |name| name == "store.a"),
        FileClass::StoreB => within(store, |name| name == "store.b"),
        FileClass::Log => within(&store.join("wal"), |name| name.ends_with(".wal")),
        FileClass::Spare => within(&store.join("wal"), |name| name.starts_with("spare-")),
        FileClass::Segment => within(&store.join("streams"), |_| true)
            .iter()
            .flat_map(|stream| within(stream, |name| name.ends_with(".seg")))
            .collect(),
    };
    files.sort();
    files
}

/// Damages a file in place; returns what was done, after reading back that it was.
pub(crate) fn damage(path: &Path, harm: Harm, chance: &mut Chance) -> Result<String> {
    let before = fs::read(path)?;
    // Much of a log file is zeros that wait for their turn; damage there would be none.
    let used: Vec<usize> = (0..before.len())
        .step_by(PAGE)
        .filter(|at| before[*at..before.len().min(at + PAGE)].iter().any(|byte| *byte != 0))
        .collect();
    // A spare may hold nothing but zeros.
    let anywhere = usize::try_from(chance.below(before.len() as u64))? / PAGE * PAGE;
    let page = chance.pick(&used).copied().unwrap_or(anywhere);
    let end = before.len().min(page + PAGE);
    let bytes: Vec<usize> = (page..end).filter(|at| before[*at] != 0).collect();
    let at = chance.pick(&bytes).copied().unwrap_or(page);
    let file = File::options().read(true).write(true).open(path)?;
    let what = match harm {
        Harm::FlippedByte => {
            let byte = before.get(at).context("the file is empty")?;
            file.write_all_at(&[byte ^ (1 << chance.below(8))], at as u64)?;
            format!("one bit of byte {at} of {} flipped", before.len())
        }
        Harm::ZeroedSector => {
            let from = at / SECTOR * SECTOR;
            let zeros = vec![0; SECTOR.min(before.len() - from)];
            file.write_all_at(&zeros, from as u64)?;
            format!("512 bytes at {from} of {} zeroed", before.len())
        }
        Harm::Truncated => {
            file.set_len(at as u64)?;
            format!("cut off at {at} of {}", before.len())
        }
    };
    file.sync_all()?;
    let harmless = bytes.is_empty() && harm == Harm::ZeroedSector;
    ensure!(harmless || fs::read(path)? != before, "{} is as it was", path.display());
    Ok(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_harm_changes_the_file_where_something_is() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("file");
        for seed in 0..20 {
            for harm in [Harm::FlippedByte, Harm::ZeroedSector, Harm::Truncated] {
                let mut bytes = vec![0; 10 * PAGE];
                bytes[3 * PAGE + 17..3 * PAGE + 60].fill(7);
                fs::write(&path, &bytes)?;
                damage(&path, harm, &mut Chance::new(seed))?;
                let after = fs::read(&path)?;
                assert_ne!(after, bytes, "{harm:?}");
                assert_eq!(after[..3 * PAGE + 17], bytes[..3 * PAGE + 17], "{harm:?}");
            }
        }
        Ok(())
    }
}
