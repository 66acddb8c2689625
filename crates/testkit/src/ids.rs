use std::sync::atomic::{AtomicU64, Ordering};

use wharf_domain::ids::{Alphabet, Id};
use wharf_ports::IdSource;

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Identifiers and bytes that look random and are the same for every run with the same seed (`SplitMix64`).
#[derive(Debug)]
pub struct SeededIds(AtomicU64);

impl SeededIds {
    /// A source that starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A fresh identifier.
    pub fn id<T: Id>(&self) -> T {
        (self as &dyn IdSource).id()
    }

    fn next(&self) -> u64 {
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl IdSource for SeededIds {
    fn token(&self, alphabet: Alphabet, length: usize) -> String {
        let characters = alphabet.characters();
        let count = characters.len() as u64;
        let draw = || usize::try_from(self.next() % count).expect("an index into an alphabet");
        (0..length)
            .map(|_| char::from(characters[draw()]))
            .collect()
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use wharf_domain::ids::ConnectionId;

    use super::*;

    #[test]
    fn equal_seeds_draw_equal_identifiers_and_one_seed_never_the_same_twice() {
        let (a, b) = (SeededIds::new(7), SeededIds::new(7));
        let drawn: Vec<ConnectionId> = (0..100).map(|_| a.id()).collect();
        assert_eq!(
            drawn,
            (0..100).map(|_| b.id()).collect::<Vec<ConnectionId>>()
        );
        assert_eq!(
            drawn.iter().collect::<std::collections::HashSet<_>>().len(),
            100
        );
    }
}
