//! What the operating system says about this process.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time that processor use is measured over: what is asked sooner gets the last value.
const SAMPLE: Duration = Duration::from_secs(1);
/// `utime` and `stime`, counted from the field behind the program's name (proc(5): fields 14, 15 and 3).
const USER_TIME: usize = 14 - 3;
const SYSTEM_TIME: usize = 15 - 3;

/// Resident memory in bytes; zero where `/proc` does not tell.
pub(super) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

/// Measures the use of processors, from question to question.
pub(super) struct Processor(Mutex<Sample>);

struct Sample {
    at: Instant,
    used: Duration,
    percent: f64,
}

impl Default for Processor {
    fn default() -> Self {
        Self(Mutex::new(Sample { at: Instant::now(), used: processor_time(), percent: 0.0 }))
    }
}

impl Processor {
    /// Processor time in use, in percent of one processor, since it was measured last.
    pub(super) fn percent(&self) -> f64 {
        // A sample is replaced as a whole: a poisoned lock holds a sound one.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = last.at.elapsed();
        if elapsed >= SAMPLE {
            let used = processor_time();
            let share = used.saturating_sub(last.used).as_secs_f64() / elapsed.as_secs_f64();
            // Monitoring tools show one digit at most.
            let percent = (share * 1000.0).round() / 10.0;
            *last = Sample { at: Instant::now(), used, percent };
        }
        last.percent
    }
}

/// Processor time of all threads since the start; zero where `/proc` does not tell.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = ticks(&stat).unwrap_or(0);
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second().max(1) as f64)
}

fn ticks(stat: &str) -> Option<u64> {
    // The name stands in parentheses and may contain anything, spaces and parentheses too.
    let (_, fields) = stat.rsplit_once(") ")?;
    let field = |index| fields.split(' ').nth(index)?.parse::<u64>().ok();
    field(USER_TIME)?.checked_add(field(SYSTEM_TIME)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_whatever_the_program_is_called() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 250 50 13 14";
        assert_eq!(ticks(&format!("17 (a) b (c) {fields}")), Some(300));
        assert_eq!(ticks("17 (short) S 1 2"), None);
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident_bytes() > 0);
    }
}
