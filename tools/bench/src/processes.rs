//! What the servers' processes use, from `/proc`.

use std::fs;
use std::os::linux::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context, Result};
use flotilla_tests::Cluster;

/// Readings of all servers of a cluster, added up unless said otherwise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Processes {
    /// Seconds of CPU since the processes started.
    pub(crate) cpu_seconds: f64,
    /// Bytes written to the disk that their files are on, by whomever: what a process is said to write counts a folio
    /// of many pages for each page of it.
    pub(crate) written: u64,
    /// Resident bytes of the largest of them.
    pub(crate) largest_resident: u64,
}

impl Processes {
    pub(crate) fn read(cluster: &Cluster) -> Result<Self> {
        let written = sectors_written(cluster.dir())? * 512;
        let mut all = Self { cpu_seconds: 0.0, written, largest_resident: 0 };
        for server in cluster.servers() {
            let id = server.id().with_context(|| format!("{} is not running", server.name()))?;
            let read = |file: &str| {
                let path = format!("/proc/{id}/{file}");
                fs::read_to_string(&path).with_context(|| path)
            };
            all.cpu_seconds += cpu_seconds(&read("stat")?).context("/proc/<id>/stat")?;
            let resident = labelled(&read("status")?, "VmRSS:").context("/proc/<id>/status")?;
            all.largest_resident = all.largest_resident.max(resident * 1_024);
        }
        Ok(all)
    }

    /// What was used since an earlier reading. Memory is not a difference: it is that of this reading.
    pub(crate) fn since(self, before: &Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            written: self.written.saturating_sub(before.written),
            largest_resident: self.largest_resident,
        }
    }
}

/// Fields 14 and 15 of proc_pid_stat(5), user and system time in ticks. The name in field 2 may hold blanks.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map_while(|field| field.parse::<f64>().ok());
    let ticks = times.next()? + times.next()?;
    Some(ticks / rustix::param::clock_ticks_per_second() as f64)
}

/// The seventh figure of `/sys/dev/block/<device>/stat`, for the device that `directory` is on.
fn sectors_written(directory: &Path) -> Result<u64> {
    let device = fs::metadata(directory)?.st_dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let path = format!("/sys/dev/block/{major}:{minor}/stat");
    let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
    let sectors = stat.split_whitespace().nth(6).and_then(|figure| figure.parse().ok());
    sectors.with_context(|| format!("cannot read {path}"))
}

fn labelled(text: &str, label: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// A line on what this machine is.
pub(crate) fn machine() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let cores = std::thread::available_parallelism()?;
    Ok(format!("{cores} x {}, Linux {}", model.trim_start_matches(['\t', ':', ' ']), kernel.trim()))
}
