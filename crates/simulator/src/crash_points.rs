//! Every call to a disk that a script makes, as the moment at which its server crashes.

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::campaign::{caught, each};
use crate::script::{CrashAt, Played, Script, play};

/// So many calls of the life after a crash are those at which it may crash again: those of recovery, and some more.
pub const RECOVERY: u64 = 16;

/// Which crashes are tried.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// What is left when the power goes, drawn from so many seeds.
    pub powers: u64,
    /// After so many crashes at each call another one follows, at one of the first [`RECOVERY`] calls of the next life.
    pub seconds: u64,
    /// How many at a time.
    pub jobs: usize,
}

impl Choice {
    /// All there is to try with so many seeds.
    #[must_use]
    pub fn all(powers: u64, jobs: usize) -> Self {
        Self { powers, seconds: RECOVERY * (1 + powers), jobs }
    }

    /// How often the server crashes at each call.
    fn ways(self) -> u64 {
        1 + self.powers + self.seconds
    }

    /// The crash of a number.
    fn crash(self, number: u64) -> CrashAt {
        let (call, way) = (1 + number / self.ways(), number % self.ways());
        let Some(second) = way.checked_sub(1 + self.powers) else {
            return CrashAt { call, again: None, power: way.checked_sub(1) };
        };
        // With one of them at each call, it differs from call to call.
        let again = Some(1 + (call + second) % RECOVERY);
        let power = (call + second / RECOVERY) % (1 + self.powers);
        CrashAt { call, again, power: power.checked_sub(1) }
    }
}

/// A crash after which something did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// In which script.
    pub script: &'static str,
    /// Where.
    pub at: CrashAt,
    /// What was wrong.
    pub what: String,
    /// The last that happened.
    pub last: Vec<String>,
}

/// What became of one script's crashes.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    /// Of which script.
    pub script: &'static str,
    /// How many calls the script makes, each of which is a point.
    pub points: u64,
    /// How many crashes there were.
    pub crashes: u64,
    /// Those after which something did not hold.
    pub failures: Vec<Failure>,
}

/// Lets a script's server crash at its calls, each time in a run of its own: with the process alone, and with the power.
///
/// # Panics
/// If the script does not pass without a crash.
#[must_use]
pub fn try_all(script: &Script, choice: Choice) -> Tried {
    let Played { calls, outcome, .. } = play(script, None, false);
    assert!(outcome.violation.is_none(), "{}: {:#?}", script.name, outcome);
    let tried = Tried { script: script.name, points: calls, ..Tried::default() };
    let tried = Mutex::new(tried);
    each(0..calls * choice.ways(), choice.jobs, |number| {
        let at = choice.crash(number);
        let (crashed, failure) = try_one(script, at);
        let mut tried = tried.lock().unwrap_or_else(PoisonError::into_inner);
        tried.crashes += u64::from(crashed);
        tried.failures.extend(failure);
    });
    tried.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// One crash. Returns also whether it came.
fn try_one(script: &Script, at: CrashAt) -> (bool, Option<Failure>) {
    let failure = |what, last| Some(Failure { script: script.name, at, what, last });
    match caught(|| play(script, Some(at), false)) {
        Err(what) => (true, failure(what, Vec::new())),
        Ok(Played { outcome, crashed, .. }) => {
            let violation = outcome.violation;
            let what = violation.map(|v| format!("{}: {}", v.invariant, v.what));
            (crashed, what.and_then(|what| failure(what, outcome.last)))
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CrashAt { call, again, power } = self.at;
        let again = again.map(|call| format!(" --again {call}")).unwrap_or_default();
        let power = power.map(|seed| format!(" --power {seed}")).unwrap_or_default();
        write!(f, "--crash-points '{}' --call {call}{again}{power}: {}", self.script, self.what)
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { script, points, crashes, failures } = self;
        write!(f, "{script}: {points} points, {crashes} crashes, {} failed", failures.len())?;
        failures.iter().try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}
