//! Which servers live, judged by their beats.
//!
//! A pure table: time comes in as a number that does not go back. Beats may be lost one by one, so several must be
//! missing before a server is taken for dead; what is lost with a wrong judgement is one election. Of a process that has
//! ended its system knows more (the lifelines of the routes); together with that, one missing beat is enough.
//!
//! Beats also say how far the log of a server is on stable storage. One that comes back with a log that ends before has
//! forgotten what it promised, although nothing on its disk says so: a disk that was rolled back to an older image, or one
//! that lies about its syncs. Nobody listens to it, and it is told.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_raft::StoreId;
use serde::{Deserialize, Serialize};

/// A server that was not heard for so long is dead: seven beats in a row are missing. Together with the time of a tick
/// and of an election, a group has a leader again within a second or so.
const DEAD_AFTER: Duration = Duration::from_millis(700);

/// So long is waited for another beat of a server whose link is gone. A link can break although both ends live; but if
/// the process has ended, its system says so at once.
const SUSPICION: Duration = Duration::from_millis(300);

/// A server whose lifeline is cut, and which was not heard for so long, is dead: one beat is missing. That alone says little,
/// as beats may be lost, and so does the cut alone, as something in between may have stopped what carries it.
const CUT: Duration = Duration::from_millis(150);

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
    /// The log's highest position that this life said is on stable storage.
    synced: u64,
    /// The number of the last beat.
    number: u64,
    alive: bool,
    /// When it was heard last, or deserves to be judged as if it was.
    heard: Duration,
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

/// A log that ends before what its store said is on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// Where it ended when the store was opened.
    pub end: u64,
    /// How far it was, as an earlier life of the store said.
    pub known: u64,
}

impl Detector {
    /// A link to a server stands. It proves a new life, but not that a server which was dead is well again. `end` is where
    /// its log ended when this life opened it; `None` when it knows that it lost something of it.
    ///
    /// # Errors
    /// The log ends before what an earlier life said. This life does not count, however often it is seen.
    pub fn linked(
        &mut self,
        store: StoreId,
        boot: u64,
        end: Option<u64>,
        now: Duration,
    ) -> Result<Option<Sign>, Behind> {
        if let Some(known) = self.stores.get(&store) {
            if known.boot == boot {
                return Ok(None);
            }
            if let Some(end) = end.filter(|end| *end < known.synced) {
                return Err(Behind { end, known: known.synced });
            }
        }
        let watched = Watched {
            boot,
            synced: end.unwrap_or(0),
            number: 0,
            alive: true,
            heard: now,
            deadline: now + DEAD_AFTER,
            reported: now,
        };
        self.stores.insert(store, watched);
        Ok(Some(Sign::Returned))
    }

    /// A beat came from the life that was [linked](Self::linked) last; of any other it says nothing. `None` if there is
    /// nothing to report: it was overtaken by a later one, or the last report is recent.
    pub fn heard(
        &mut self,
        store: StoreId,
        boot: u64,
        number: u64,
        synced: u64,
        now: Duration,
    ) -> Option<Sign> {
        let watched = self.stores.get_mut(&store).filter(|watched| watched.boot == boot)?;
        watched.synced = watched.synced.max(synced);
        if number <= watched.number {
            return None;
        }
        watched.number = number;
        watched.grant(now);
        let was_dead = !std::mem::replace(&mut watched.alive, true);
        if !was_dead && now.saturating_sub(watched.reported) < REPORT {
            return None;
        }
        watched.reported = now;
        Some(if was_dead { Sign::Returned } else { Sign::Lives })
    }

    /// How far the log of a server is, as far as it has said.
    #[must_use]
    pub fn synced(&self, store: StoreId) -> Option<u64> {
        self.stores.get(&store).map(|watched| watched.synced)
    }

    /// The link to a server is gone.
    pub fn unlinked(&mut self, store: StoreId, now: Duration) {
        if let Some(watched) = self.stores.get_mut(&store) {
            watched.deadline = watched.deadline.min(now + SUSPICION);
        }
    }

    /// The lifeline to a server is cut, and cannot be had anew. To be said again for as long as that is so: a beat that was
    /// on its way takes it back.
    pub fn cut(&mut self, store: StoreId) {
        if let Some(watched) = self.stores.get_mut(&store) {
            watched.deadline = watched.deadline.min(watched.heard + CUT);
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
        self.stores.values_mut().for_each(|watched| watched.grant(now));
    }
}

impl Watched {
    /// Gives it the full time.
    fn grant(&mut self, now: Duration) {
        self.heard = now;
        self.deadline = now + DEAD_AFTER;
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

    fn linked(detector: &mut Detector, store: StoreId, boot: u64, at: u64) -> Option<Sign> {
        detector.linked(store, boot, Some(0), ms(at)).unwrap()
    }

    /// Ticks from `from` up to `to`, and returns who died when.
    fn run(detector: &mut Detector, from: u64, to: u64) -> Vec<(StoreId, u64)> {
        let times = (from..=to).step_by(50);
        times.flat_map(|at| detector.tick(ms(at)).into_iter().map(move |s| (s, at))).collect()
    }

    #[test]
    fn a_silent_server_dies_once_and_returns_with_its_next_beat() {
        let mut detector = Detector::default();
        assert_eq!(linked(&mut detector, A, 7, 0), Some(Sign::Returned));
        assert_eq!(detector.heard(A, 7, 1, 0, ms(100)), None, "recently reported");
        assert_eq!(run(&mut detector, 0, 3000), [(A, 800)]);
        assert_eq!(linked(&mut detector, A, 7, 3000), None, "a link alone proves nothing");
        assert_eq!(detector.heard(A, 7, 2, 0, ms(3010)), Some(Sign::Returned));
        assert_eq!(run(&mut detector, 3050, 3700), []);
    }

    #[test]
    fn who_beats_lives_and_is_reported_in_intervals() {
        let mut detector = Detector::default();
        linked(&mut detector, A, 7, 0);
        let mut reports = 0;
        for number in 1..=100 {
            reports += usize::from(detector.heard(A, 7, number, 0, ms(number * 100)).is_some());
            assert_eq!(run(&mut detector, number * 100, number * 100 + 50), []);
        }
        assert_eq!(reports, 50);
    }

    #[test]
    fn a_new_life_is_a_return() {
        let mut detector = Detector::default();
        linked(&mut detector, A, 7, 0);
        detector.heard(A, 7, 50, 0, ms(10));
        assert_eq!(linked(&mut detector, A, 8, 20), Some(Sign::Returned));
        assert_eq!(detector.heard(A, 8, 1, 0, ms(300)), Some(Sign::Lives), "numbers begin anew");
        assert_eq!(detector.heard(A, 9, 1, 0, ms(310)), None, "there was no link to it");
    }

    #[test]
    fn a_lost_link_leaves_time_for_one_more_beat() {
        let mut detector = Detector::default();
        for store in [A, B] {
            linked(&mut detector, store, 7, 0);
            detector.heard(store, 7, 1, 0, ms(90));
        }
        run(&mut detector, 0, 100);
        detector.unlinked(A, ms(100));
        detector.unlinked(B, ms(100));
        detector.heard(B, 7, 2, 0, ms(200));
        assert_eq!(run(&mut detector, 150, 1000), [(A, 400), (B, 900)]);
    }

    #[test]
    fn a_cut_lifeline_and_a_late_beat_are_a_death_and_neither_is_alone() {
        let mut detector = Detector::default();
        linked(&mut detector, A, 7, 0);
        // Cut again and again, while beats come as they should.
        for number in 1..=20 {
            detector.heard(A, 7, number, 0, ms(number * 100));
            detector.cut(A);
            assert_eq!(run(&mut detector, number * 100, number * 100 + 50), []);
        }
        // One beat is missing.
        detector.cut(A);
        assert_eq!(run(&mut detector, 2100, 3000), [(A, 2150)]);
        assert_eq!(detector.heard(A, 7, 21, 0, ms(3010)), Some(Sign::Returned));
        // Without the cut, as long as ever.
        assert_eq!(run(&mut detector, 3050, 4000), [(A, 3750)]);
    }

    #[test]
    fn a_lifeline_is_cut_again_after_a_beat_that_was_on_its_way() {
        let mut detector = Detector::default();
        linked(&mut detector, A, 7, 0);
        detector.cut(A);
        detector.heard(A, 7, 1, 0, ms(100));
        assert_eq!(run(&mut detector, 0, 200), [], "the beat is from behind the cut");
        detector.cut(A);
        assert_eq!(run(&mut detector, 250, 1000), [(A, 250)]);
    }

    #[test]
    fn a_new_life_has_a_lifeline_of_its_own() {
        let mut detector = Detector::default();
        linked(&mut detector, A, 7, 0);
        detector.cut(A);
        linked(&mut detector, A, 8, 100);
        assert_eq!(run(&mut detector, 100, 1000), [(A, 800)]);
        detector.cut(B);
        assert_eq!(run(&mut detector, 1050, 2000), [], "nobody is watched there");
    }

    #[test]
    fn who_was_late_itself_does_not_judge_by_cuts_either() {
        let mut detector = Detector::default();
        linked(&mut detector, A, 7, 0);
        run(&mut detector, 0, 100);
        detector.cut(A);
        assert_eq!(detector.tick(ms(5000)), []);
        detector.cut(A);
        detector.heard(A, 7, 1, 0, ms(5060));
        assert_eq!(run(&mut detector, 5050, 5700), []);
    }

    #[test]
    fn a_beat_that_was_overtaken_says_nothing() {
        let mut detector = Detector::default();
        linked(&mut detector, A, 7, 0);
        detector.heard(A, 7, 5, 0, ms(100));
        assert_eq!(detector.heard(A, 7, 4, 0, ms(700)), None);
        assert_eq!(run(&mut detector, 50, 1000), [(A, 800)]);
    }

    #[test]
    fn who_was_late_itself_judges_nobody() {
        let mut detector = Detector::default();
        linked(&mut detector, A, 7, 0);
        assert_eq!(run(&mut detector, 0, 200), []);
        // The process was stopped for five seconds.
        assert_eq!(detector.tick(ms(5200)), []);
        detector.heard(A, 7, 1, 0, ms(5250));
        assert_eq!(run(&mut detector, 5250, 6000), [(A, 5950)]);
    }

    #[test]
    fn a_log_that_ends_before_what_was_said_of_it_does_not_count() {
        let mut detector = Detector::default();
        assert_eq!(detector.linked(A, 1, Some(10), ms(0)), Ok(Some(Sign::Returned)));
        detector.heard(A, 1, 1, 25, ms(100));
        detector.heard(A, 1, 2, 20, ms(200));
        let behind = Err(Behind { end: 24, known: 25 });
        assert_eq!(detector.linked(A, 2, Some(24), ms(300)), behind);
        assert_eq!(detector.heard(A, 2, 1, 30, ms(400)), None, "its beats are not heard");
        assert_eq!(detector.linked(A, 2, Some(24), ms(500)), behind, "nor does it count later");
        assert_eq!(run(&mut detector, 0, 1000), [(A, 900)]);
        // It knows, and takes part as one that lost its log; what it says from then on counts.
        assert_eq!(detector.linked(A, 3, None, ms(1100)), Ok(Some(Sign::Returned)));
        detector.heard(A, 3, 1, 5, ms(1200));
        assert_eq!(detector.linked(A, 4, Some(5), ms(1300)), Ok(Some(Sign::Returned)));
    }
}
