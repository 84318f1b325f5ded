//! Chance from a seed: the same seed gives the same plan on every machine, in every version.

/// A sequence of draws (SplitMix64).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The sequence of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        // The bias is below end / 2^64.
        self.bits() % end.max(1)
    }

    /// At least 0, below 1.
    pub fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something of this probability happens.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// One of them; `None` of none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(usize::try_from(self.below(of.len() as u64)).ok()?)
    }

    /// Between the two, every order of magnitude as likely as every other.
    pub fn between_magnitudes(&mut self, least: u64, most: u64) -> u64 {
        let (low, high) = ((least.max(1) as f64).ln(), (most.max(1) as f64).ln());
        (low + (high - low) * self.fraction()).exp().round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sequence() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            [chance.bits(), chance.below(10), chance.between_magnitudes(1, 60_000)]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn magnitudes_are_equally_likely() {
        let mut chance = Chance::new(3);
        let draws: Vec<u64> = (0..1_000).map(|_| chance.between_magnitudes(1, 1_000_000)).collect();
        assert!(draws.iter().all(|draw| (1..=1_000_000).contains(draw)));
        let small = draws.iter().filter(|draw| **draw < 1_000).count();
        assert!((400..600).contains(&small), "{small} of 1,000 are below the middle magnitude");
    }
}
