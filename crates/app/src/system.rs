//! What the operating system gives: the time and randomness.

use chrono::{SubsecRound, Utc};
use wharf_domain::Timestamp;
use wharf_domain::ids::Alphabet;
use wharf_ports::{Clock, IdSource};

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one clock that the others are injected from"
    )]
    fn now(&self) -> Timestamp {
        Utc::now().trunc_subsecs(6)
    }
}

/// The operating system's random source.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemIds;

impl IdSource for SystemIds {
    fn token(&self, alphabet: Alphabet, length: usize) -> String {
        let characters = alphabet.characters();
        // Bytes from the last, incomplete round through the alphabet would favour its first characters.
        let fair = 256 - 256 % characters.len();
        let mut token = String::with_capacity(length);
        let mut bytes = [0; 64];
        while token.len() < length {
            self.fill(&mut bytes);
            let drawn = bytes
                .iter()
                .map(|byte| usize::from(*byte))
                .filter(|byte| *byte < fair);
            let missing = length - token.len();
            token.extend(
                drawn
                    .take(missing)
                    .map(|byte| char::from(characters[byte % characters.len()])),
            );
        }
        token
    }

    /// # Panics
    /// When there is no randomness to be had, without which no identifier or key may be made.
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system's random source failed");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use chrono::Timelike;
    use wharf_domain::ids::ConnectionId;

    use super::*;

    #[test]
    fn tokens_have_their_length_and_alphabet() {
        for alphabet in [Alphabet::Alphanumeric, Alphabet::Hex] {
            for length in [0, 1, 15, 63, 64, 65, 1000] {
                let token = SystemIds.token(alphabet, length);
                assert_eq!(token.len(), length);
                assert!(
                    token
                        .bytes()
                        .all(|character| alphabet.characters().contains(&character))
                );
            }
        }
    }

    #[test]
    fn every_character_is_drawn_about_equally_often() {
        for alphabet in [Alphabet::Alphanumeric, Alphabet::Hex] {
            let mut counts = HashMap::new();
            let each = 5000;
            let size = alphabet.characters().len();
            for character in SystemIds.token(alphabet, each * size).bytes() {
                *counts.entry(character).or_insert(0_usize) += 1;
            }
            assert_eq!(counts.len(), size);
            // Seven standard deviations: a fair source passes, taking bytes modulo 62 does not.
            assert!(
                counts.values().all(|count| count.abs_diff(each) < 500),
                "{counts:?}"
            );
        }
    }

    #[test]
    fn identifiers_do_not_repeat() {
        let ids: HashSet<ConnectionId> = (0..10_000)
            .map(|_| (&SystemIds as &dyn IdSource).id())
            .collect();
        assert_eq!(ids.len(), 10_000);
    }

    #[test]
    fn the_time_has_no_more_than_microseconds() {
        assert!((0..100).all(|_| SystemClock.now().nanosecond().is_multiple_of(1000)));
    }
}
