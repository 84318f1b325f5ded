//! Provokes three safety faults of async-raft 0.6.1 and prints what was acknowledged and what is held.
//!
//! Exit code 0: all three happened. 1: one did not, so the decision that rests on them needs another look.

mod faults;
mod log;
mod network;

use std::process::exit;

use anyhow::Result;

/// What one experiment showed.
pub struct Verdict {
    /// Whether the library broke the promise.
    pub broken: bool,
    /// What was seen, a line each.
    pub seen: Vec<String>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let verdicts = [
        (
            "A write is acknowledged only when a majority of the voters holds it",
            faults::lost_write::run().await,
        ),
        ("A follower keeps what it has acknowledged", faults::erased_entries::run().await),
        ("A follower applies only what is committed", faults::uncommitted_applied::run().await),
    ];
    let mut all = true;
    for (promise, verdict) in verdicts {
        all &= report(promise, verdict);
    }
    // The nodes' tasks still run; there is nothing to wait for.
    exit(i32::from(!all));
}

fn report(promise: &str, verdict: Result<Verdict>) -> bool {
    println!("{promise}:");
    match verdict {
        Ok(Verdict { broken, seen }) => {
            for line in seen {
                println!("  {line}");
            }
            println!("  => {}\n", if broken { "BROKEN" } else { "kept" });
            broken
        }
        Err(error) => {
            println!("  => the experiment failed: {error:#}\n");
            false
        }
    }
}
