//! Power loss: every server's store is on a file system of its own, in an image file mounted by loop device.
//!
//! What was written but not synced is in the kernel's memory, not in the image. So the power goes like this: stop
//! the processes' time, copy the images, kill the processes, and go on with the copies.
//!
//! A file system of one's own can be frozen, too: whatever writes or syncs then waits, as on a disk that hangs. And it can be
//! filled up, by a file beside the store.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::tool;

/// The size of an image. Images are sparse: what is not written takes no place.
const SIZE: u64 = 1024 * 1024 * 1024;

/// The file that takes the room.
const BALLAST: &str = "ballast";

/// How often a file system is asked to go: what had its files open may not be gone yet.
const DETACHING: u32 = 40;
/// Between two times.
const PAUSE: Duration = Duration::from_millis(50);

/// Stores that can lose power. Dropping it unmounts and deletes them.
#[derive(Debug)]
pub struct PowerSupply {
    outlets: Vec<Outlet>,
    // Last, so that everything in it is unmounted when it is deleted.
    _dir: TempDir,
}

#[derive(Debug)]
struct Outlet {
    image: PathBuf,
    mount: PathBuf,
    generation: u32,
}

impl PowerSupply {
    /// So many stores; `None`, and a line that says so, where file systems cannot be mounted. `sync` of another
    /// program on this machine would write what ours did not: a test wants the machine for itself.
    ///
    /// # Errors
    /// Making or mounting a file system failed although this machine can do it.
    pub fn install(stores: usize) -> Result<Option<Self>> {
        let dir = TempDir::with_prefix("flotilla-power-")?;
        let mut supply = Self { outlets: Vec::new(), _dir: dir };
        for index in 0..stores {
            let mount = supply._dir.path().join(format!("store-{index}"));
            let image = supply._dir.path().join(format!("store-{index}.0.img"));
            fs::create_dir(&mount)?;
            File::create(&image)?.set_len(SIZE)?;
            if let Err(error) = make(&image).and_then(|()| attach(&image, &mount)) {
                if index > 0 || !is_unprivileged(&error) {
                    return Err(error);
                }
                tool::skip("the right to mount file systems", "run as root, with loop devices")?;
                return Ok(None);
            }
            supply.outlets.push(Outlet { image, mount, generation: 0 });
        }
        Ok(Some(supply))
    }

    /// A directory on each store.
    #[must_use]
    pub fn stores(&self) -> Vec<PathBuf> {
        self.outlets.iter().map(|outlet| outlet.mount.join("data")).collect()
    }

    /// Where a store's file system is mounted; the store is one directory on it.
    ///
    /// # Errors
    /// There is no such store.
    pub fn mount(&self, store: usize) -> Result<&Path> {
        Ok(&self.outlet(store)?.mount)
    }

    /// Takes the power from all servers at once. They are not running afterwards, and their stores hold what had
    /// been synced.
    ///
    /// # Errors
    /// A process or a mount did not do as told.
    pub async fn cut(&mut self, cluster: &mut Cluster) -> Result<()> {
        let all: Vec<usize> = (0..self.outlets.len()).collect();
        self.cut_some(cluster, &all).await
    }

    /// Takes the power from these servers at once, as [`cut`](Self::cut) does from all.
    ///
    /// # Errors
    /// A process or a mount did not do as told.
    pub async fn cut_some(&mut self, cluster: &mut Cluster, servers: &[usize]) -> Result<()> {
        let mut running = Vec::new();
        for &server in servers {
            let process = cluster.servers().get(server).context("no such server")?;
            if process.is_running() {
                process.pause()?;
                running.push(server);
            }
        }
        let copies = self.copy_images(servers)?;
        for server in running {
            cluster.servers_mut()[server].kill().await?;
        }
        self.mount_copies(copies)
    }

    /// Makes a store's disk hang: whatever writes to it, or syncs, waits until it is thawed. A process that waits
    /// cannot even be killed.
    ///
    /// # Errors
    /// The file system cannot be frozen.
    pub fn freeze(&self, store: usize) -> Result<()> {
        run(Command::new("fsfreeze").arg("--freeze").arg(&self.outlet(store)?.mount))
    }

    /// Lets a store's disk go on.
    ///
    /// # Errors
    /// It is not frozen.
    pub fn thaw(&self, store: usize) -> Result<()> {
        run(Command::new("fsfreeze").arg("--unfreeze").arg(&self.outlet(store)?.mount))
    }

    /// Fills a store's disk up, but for so many bytes.
    ///
    /// # Errors
    /// It has less room, or cannot be filled.
    pub fn fill(&self, store: usize, but: u64) -> Result<()> {
        let mount = self.mount(store)?;
        let ballast = File::create(mount.join(BALLAST))?;
        let system = rustix::fs::statvfs(mount)?;
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        let length = free.checked_sub(but).context("there is less room")?;
        rustix::fs::fallocate(&ballast, rustix::fs::FallocateFlags::empty(), 0, length)?;
        Ok(())
    }

    /// Takes away what [`fill`](Self::fill) filled a store's disk with.
    ///
    /// # Errors
    /// It was not filled.
    pub fn empty(&self, store: usize) -> Result<()> {
        Ok(fs::remove_file(self.mount(store)?.join(BALLAST))?)
    }

    fn outlet(&self, store: usize) -> Result<&Outlet> {
        self.outlets.get(store).with_context(|| format!("there is no store {store}"))
    }

    fn copy_images(&self, stores: &[usize]) -> Result<Vec<(usize, PathBuf)>> {
        stores.iter().map(|store| Ok((*store, self.outlet(*store)?.copy()?))).collect()
    }

    /// What is mounted until now goes, with all that was not synced.
    fn mount_copies(&mut self, copies: Vec<(usize, PathBuf)>) -> Result<()> {
        for (store, copy) in copies {
            let outlet = self.outlets.get_mut(store).context("no such store")?;
            detach(&outlet.mount)?;
            attach(&copy, &outlet.mount)?;
            fs::remove_file(&outlet.image)?;
            outlet.image = copy;
            outlet.generation += 1;
        }
        Ok(())
    }
}

impl Drop for PowerSupply {
    fn drop(&mut self) {
        for outlet in &self.outlets {
            // Most are not frozen, and then this fails. One that is would keep what waits for it for ever.
            let _ = run(Command::new("fsfreeze").arg("--unfreeze").arg(&outlet.mount));
            if let Err(error) = detach(&outlet.mount) {
                eprintln!("{error:#}");
            }
        }
    }
}

impl Outlet {
    /// The image as it is now, as the next one.
    fn copy(&self) -> Result<PathBuf> {
        let copy = self.image.with_file_name(format!(
            "{}.{}.img",
            self.mount.file_name().unwrap_or_default().to_string_lossy(),
            self.generation + 1
        ));
        run(Command::new("cp").arg("--sparse=always").arg(&self.image).arg(&copy))?;
        Ok(copy)
    }
}

fn make(image: &Path) -> Result<()> {
    // Everything is laid out now, so that a copy does not depend on what the kernel does later.
    let options = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
    run(Command::new("mkfs.ext4").args(options).arg(image))
}

fn attach(image: &Path, mount: &Path) -> Result<()> {
    run(Command::new("mount").args(["-o", "loop,noatime"]).arg(image).arg(mount))
}

fn detach(mount: &Path) -> Result<()> {
    let mut result = Ok(());
    for _ in 0..DETACHING {
        result = run(Command::new("umount").arg(mount));
        if result.is_ok() {
            break;
        }
        thread::sleep(PAUSE);
    }
    result
}

fn is_unprivileged(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}").to_lowercase();
    ["permission", "permitted", "superuser", "root", "loop device", "no such file", "not found"]
        .iter()
        .any(|sign| text.contains(sign))
}

fn run(command: &mut Command) -> Result<()> {
    let line = format!("{command:?}");
    let output = command.output().with_context(|| format!("cannot run {line}"))?;
    if !output.status.success() {
        bail!("{line}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_was_synced_outlives_the_cut_and_nothing_else() -> Result<()> {
        let Some(mut power) = PowerSupply::install(1)? else { return Ok(()) };
        let directory = power.outlets[0].mount.clone();
        let mut synced = File::create(directory.join("synced"))?;
        synced.write_all(b"synced")?;
        synced.sync_all()?;
        File::open(&directory)?.sync_all()?;
        fs::write(directory.join("written"), b"written")?;
        synced.write_all(b" and written")?;
        drop(synced);

        let copies = power.copy_images(&[0])?;
        power.mount_copies(copies)?;
        assert_eq!(fs::read(directory.join("synced"))?, b"synced");
        // The file's name may have been written by itself, its contents were not.
        assert!(fs::read(directory.join("written")).unwrap_or_default().is_empty());
        Ok(())
    }

    #[test]
    fn a_frozen_disk_keeps_whoever_writes_waiting() -> Result<()> {
        let Some(power) = PowerSupply::install(1)? else { return Ok(()) };
        let path = power.mount(0)?.join("file");
        power.freeze(0)?;
        let (tell, told) = mpsc::channel();
        let writer = thread::spawn(move || {
            let _ = tell.send(fs::read_link("/proc/thread-self"));
            fs::write(path, b"late")
        });
        let stat = Path::new("/proc").join(told.recv()??).join("stat");
        // `D`, behind its name: it waits in the kernel, and nothing interrupts it.
        let waits = || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") D "));
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut waited = false;
        while !waited && !writer.is_finished() && Instant::now() < deadline {
            waited = waits();
            thread::yield_now();
        }
        power.thaw(0)?;
        writer.join().expect("the writer ends")?;
        assert!(waited, "nobody waited");
        Ok(())
    }
}
