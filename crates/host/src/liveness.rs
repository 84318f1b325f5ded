//! Which servers live, judged by their beats.
//!
//! A pure table: time comes in as a number that does not go back. Beats may be lost one by one, so several must be
//! missing before a server is taken for dead; what is lost with a wrong judgement is one election.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_raft::StoreId;

/// A server that was not heard for so long is dead: seven beats in a row are missing. Together with the time of a tick
/// and of an election, a group has a leader again within a second or so.
const DEAD_AFTER: Duration = Duration::from_millis(700);

/// So long is waited for another beat of a server whose link is gone. A link can break although both ends live; but if
/// the process has ended, its system says so at once.
const SUSPICION: Duration = Duration::from_millis(300);

/// A server that lives is reported this often, besides whenever something changes.
const REPORT: Duration = Duration::from_millis(200);

/// Time from one [`tick`](Detector::tick) to the next.
pub const WATCH_TICK: Duration = Duration::from_millis(50);

/// Who ticks this late was stopped itself, or starved, and has no right to judge others: their beats may have been
/// lost, or still wait to be read.
const LATE: Duration = Duration::from_millis(250);

/// The table. Times are since any moment that stays the same, on a clock that only goes forward.
#[derive(Debug, Default)]
pub struct Detector {
    stores: BTreeMap<StoreId, Watched>,
    ticked: Duration,
}

#[derive(Debug)]
struct Watched {
    boot: u64,
    /// The number of the last beat.
    number: u64,
    alive: bool,
    /// When it is dead unless another beat comes.
    deadline: Duration,
    reported: Duration,
}

/// What a sign of life tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The server still lives.
    Lives,
    /// It was dead or unknown, or lives another life.
    Returned,
}

impl Detector {
    /// A link to a server stands. It proves a new life, but not that a server which was dead is well again.
    pub fn linked(&mut self, store: StoreId, boot: u64, now: Duration) -> Option<Sign> {
        if self.stores.get(&store).is_some_and(|watched| watched.boot == boot) {
            return None;
        }
        let deadline = now + DEAD_AFTER;
        let watched = Watched { boot, number: 0, alive: true, deadline, reported: now };
        self.stores.insert(store, watched);
        Some(Sign::Returned)
    }

    /// A beat came. `None` if there is nothing to report: it was overtaken by a later one, or the last report is
    /// recent.
    pub fn heard(&mut self, store: StoreId, boot: u64, number: u64, now: Duration) -> Option<Sign> {
        let returned = self.linked(store, boot, now);
        let watched = self.stores.get_mut(&store)?;
        if number <= watched.number {
            return returned;
        }
        watched.number = number;
        watched.deadline = now + DEAD_AFTER;
        let was_dead = !std::mem::replace(&mut watched.alive, true);
        if !was_dead && returned.is_none() && now.saturating_sub(watched.reported) < REPORT {
            return None;
        }
        watched.reported = now;
        Some(if was_dead { Sign::Returned } else { returned.unwrap_or(Sign::Lives) })
    }

    /// The link to a server is gone.
    pub fn unlinked(&mut self, store: StoreId, now: Duration) {
        if let Some(watched) = self.stores.get_mut(&store) {
            watched.deadline = watched.deadline.min(now + SUSPICION);
        }
    }

    /// Who has died since the last tick. To be called every [`WATCH_TICK`], when all beats that
    /// arrived by `now` are known.
    pub fn tick(&mut self, now: Duration) -> Vec<StoreId> {
        let since = now.saturating_sub(std::mem::replace(&mut self.ticked, now));
        if since > LATE {
            self.restart(now);
        }
        let mut died = Vec::new();
        for (store, watched) in &mut self.stores {
            if watched.alive && watched.deadline <= now {
                watched.alive = false;
                died.push(*store);
            }
        }
        died
    }

    /// This server was late itself: everybody gets the full time again.
    pub fn restart(&mut self, now: Duration) {
        for watched in self.stores.values_mut() {
            watched.deadline = now + DEAD_AFTER;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: StoreId = StoreId(1);
    const B: StoreId = StoreId(2);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Ticks from `from` up to `to`, and returns who died when.
    fn run(detector: &mut Detector, from: u64, to: u64) -> Vec<(StoreId, u64)> {
        let times = (from..=to).step_by(50);
        times.flat_map(|at| detector.tick(ms(at)).into_iter().map(move |s| (s, at))).collect()
    }

    #[test]
    fn a_silent_server_dies_once_and_returns_with_its_next_beat() {
        let mut detector = Detector::default();
        assert_eq!(detector.linked(A, 7, ms(0)), Some(Sign::Returned));
        assert_eq!(detector.heard(A, 7, 1, ms(100)), None, "recently reported");
        assert_eq!(run(&mut detector, 0, 3000), [(A, 800)]);
        assert_eq!(detector.linked(A, 7, ms(3000)), None, "a link alone proves nothing");
        assert_eq!(detector.heard(A, 7, 2, ms(3010)), Some(Sign::Returned));
        assert_eq!(run(&mut detector, 3050, 3700), []);
    }

    #[test]
    fn who_beats_lives_and_is_reported_in_intervals() {
        let mut detector = Detector::default();
        detector.linked(A, 7, ms(0));
        let mut reports = 0;
        for number in 1..=100 {
            reports += usize::from(detector.heard(A, 7, number, ms(number * 100)).is_some());
            assert_eq!(run(&mut detector, number * 100, number * 100 + 50), []);
        }
        assert_eq!(reports, 50);
    }

    #[test]
    fn a_new_life_is_a_return() {
        let mut detector = Detector::default();
        detector.linked(A, 7, ms(0));
        detector.heard(A, 7, 50, ms(10));
        assert_eq!(detector.linked(A, 8, ms(20)), Some(Sign::Returned));
        assert_eq!(detector.heard(A, 8, 1, ms(300)), Some(Sign::Lives), "numbers begin anew");
        assert_eq!(detector.heard(A, 9, 1, ms(310)), Some(Sign::Returned), "the beat was first");
    }

    #[test]
    fn a_lost_link_leaves_time_for_one_more_beat() {
        let mut detector = Detector::default();
        for store in [A, B] {
            detector.linked(store, 7, ms(0));
            detector.heard(store, 7, 1, ms(90));
        }
        run(&mut detector, 0, 100);
        detector.unlinked(A, ms(100));
        detector.unlinked(B, ms(100));
        detector.heard(B, 7, 2, ms(200));
        assert_eq!(run(&mut detector, 150, 1000), [(A, 400), (B, 900)]);
    }

    #[test]
    fn a_beat_that_was_overtaken_says_nothing() {
        let mut detector = Detector::default();
        detector.linked(A, 7, ms(0));
        detector.heard(A, 7, 5, ms(100));
        assert_eq!(detector.heard(A, 7, 4, ms(700)), None);
        assert_eq!(run(&mut detector, 50, 1000), [(A, 800)]);
    }

    #[test]
    fn who_was_late_itself_judges_nobody() {
        let mut detector = Detector::default();
        detector.linked(A, 7, ms(0));
        assert_eq!(run(&mut detector, 0, 200), []);
        // The process was stopped for five seconds.
        assert_eq!(detector.tick(ms(5200)), []);
        detector.heard(A, 7, 1, ms(5250));
        assert_eq!(run(&mut detector, 5250, 6000), [(A, 5950)]);
    }
}
