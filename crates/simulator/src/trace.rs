//! What happened, as a hash that two runs of one seed must share (invariant I17), and in words for people.

use flotilla_host::Output;
use flotilla_raft::StoreId;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How many lines are kept for the short history of a failure.
const KEPT: usize = 60;

/// The trace of one run.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    /// Whether every line is printed as it comes.
    aloud: bool,
    lines: std::collections::VecDeque<String>,
}

impl Trace {
    /// An empty trace; if `aloud`, it is printed as it grows.
    #[must_use]
    pub fn new(aloud: bool) -> Self {
        Self { aloud, ..Self::default() }
    }

    /// The hash of everything so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines.
    pub fn last(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    pub(crate) fn fold(&mut self, bytes: &[u8]) {
        self.hash = xxh3_64_with_seed(bytes, self.hash);
    }

    pub(crate) fn frame(&mut self, now: u64, from: StoreId, to: StoreId, frame: &[u8]) {
        self.fold(&now.to_le_bytes());
        self.fold(&(from.0 << 32 | to.0).to_le_bytes());
        self.fold(frame);
    }

    pub(crate) fn turn(&mut self, now: u64, store: StoreId, shard: usize, output: &Output) {
        self.fold(&now.to_le_bytes());
        self.fold(&[
            store.0 as u8,
            shard as u8,
            output.bundles.len() as u8,
            output.publishes.len() as u8,
        ]);
        for publish in &output.publishes {
            self.fold(&publish.to);
            self.fold(&publish.payload);
        }
    }

    /// Writes a line.
    pub fn note(&mut self, now: u64, line: impl FnOnce() -> String) {
        let line = format!("{:>10.3} {}", now as f64 / 1e6, line());
        self.fold(line.as_bytes());
        if self.aloud {
            println!("{line}");
        }
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}
