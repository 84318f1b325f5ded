//! What may happen to a datagram, and what does.

use std::time::Duration;

/// How long a reordered datagram is held back, in which later ones pass it.
const HELD_BACK: Duration = Duration::from_millis(10);

/// The state of one direction of a pair of servers. Probabilities are between 0 and 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// Nothing passes, nor does what is under way.
    pub cut: bool,
    /// Probability that a datagram is lost.
    pub loss: f64,
    /// How long each datagram takes.
    pub delay: Duration,
    /// How much longer it may take, evenly spread.
    pub jitter: Duration,
    /// Probability that a datagram arrives twice.
    pub duplicate: f64,
    /// Probability that a datagram is held back 10 ms longer than others.
    pub reorder: f64,
}

/// One change of [`Conditions`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Nothing passes any more.
    Cut,
    /// Undoes a cut and nothing else.
    Join,
    /// Back to a perfect network.
    Heal,
    /// Sets [`Conditions::loss`].
    Loss(f64),
    /// Sets [`Conditions::delay`].
    Delay(Duration),
    /// Sets [`Conditions::jitter`].
    Jitter(Duration),
    /// Sets [`Conditions::duplicate`].
    Duplicate(f64),
    /// Sets [`Conditions::reorder`].
    Reorder(f64),
}

impl Conditions {
    /// Applies a change.
    pub fn change(&mut self, change: Change) {
        match change {
            Change::Cut => self.cut = true,
            Change::Join => self.cut = false,
            Change::Heal => *self = Self::default(),
            Change::Loss(probability) => self.loss = probability,
            Change::Delay(delay) => self.delay = delay,
            Change::Jitter(jitter) => self.jitter = jitter,
            Change::Duplicate(probability) => self.duplicate = probability,
            Change::Reorder(probability) => self.reorder = probability,
        }
    }

    /// The delays of the copies that arrive: none for a lost datagram, two for a duplicated one.
    pub(crate) fn fate(&self, mut draws: Draws) -> impl Iterator<Item = Duration> {
        // Always the same draws, so that one probability does not shift the outcome of another.
        let lost = draws.happens(self.loss) || self.cut;
        let twice = draws.happens(self.duplicate);
        let mut delay = || {
            let held = if draws.happens(self.reorder) { HELD_BACK } else { Duration::ZERO };
            self.delay + self.jitter.mul_f64(draws.fraction()) + held
        };
        let (first, second) = (delay(), delay());
        let first = (!lost).then_some(first);
        first.into_iter().chain((!lost && twice).then_some(second))
    }
}

/// The random numbers of one datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    /// For the `number`-th datagram of a direction.
    pub(crate) fn new(seed: u64, from: usize, to: usize, number: u64) -> Self {
        let mut draws = Self(seed);
        for part in [from as u64, to as u64, number] {
            draws.0 = draws.next() ^ part;
        }
        draws
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// At least 0, below 1.
    fn fraction(&mut self) -> f64 {
        // 53 bits, which is what a float holds exactly.
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn happens(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(conditions: Conditions, seed: u64, from: usize) -> Vec<Vec<Duration>> {
        (0..10_000).map(|n| conditions.fate(Draws::new(seed, from, 1, n)).collect()).collect()
    }

    #[test]
    fn a_perfect_network_delivers_each_datagram_once_and_at_once() {
        let fates = fates(Conditions::default(), 1, 0);
        assert!(fates.iter().all(|copies| copies == &[Duration::ZERO]));
    }

    #[test]
    fn a_seed_is_a_fate() {
        let conditions = Conditions {
            loss: 0.1,
            duplicate: 0.1,
            reorder: 0.1,
            jitter: Duration::from_millis(5),
            ..Conditions::default()
        };
        assert_eq!(fates(conditions, 1, 0), fates(conditions, 1, 0));
        assert_ne!(fates(conditions, 1, 0), fates(conditions, 2, 0), "another seed");
        assert_ne!(fates(conditions, 1, 0), fates(conditions, 1, 2), "another direction");
    }

    #[test]
    fn probabilities_are_met() {
        let conditions = Conditions { loss: 0.2, duplicate: 0.5, ..Conditions::default() };
        let fates = fates(conditions, 7, 0);
        let lost = fates.iter().filter(|copies| copies.is_empty()).count();
        let twice = fates.iter().filter(|copies| copies.len() == 2).count();
        assert!((1_800..2_200).contains(&lost), "{lost} of 10,000");
        assert!((3_700..4_300).contains(&twice), "{twice} of the rest");
    }

    #[test]
    fn a_cut_lets_nothing_pass_and_a_join_keeps_the_rest() {
        let mut conditions = Conditions::default();
        conditions.change(Change::Loss(0.5));
        conditions.change(Change::Cut);
        assert!(fates(conditions, 1, 0).iter().all(Vec::is_empty));
        conditions.change(Change::Join);
        assert_eq!(conditions, Conditions { loss: 0.5, ..Conditions::default() });
        conditions.change(Change::Heal);
        assert_eq!(conditions, Conditions::default());
    }
}
