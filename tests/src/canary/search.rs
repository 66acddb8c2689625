//! The search of every place for every canary, and the proof that it would have found one.

use std::collections::BTreeMap;
use std::fmt;

use aho_corasick::AhoCorasick;
use anyhow::{Result, ensure};

use super::packed::unpack_all;
use super::{Canary, Form};

/// Somewhere a secret could have gone: what kind of place it is, which one, and everything in it.
#[derive(Debug)]
pub struct Place {
    /// The kind, such as `the log`.
    pub kind: &'static str,
    /// Which one of them.
    pub name: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

impl Place {
    /// A place.
    pub fn new(kind: &'static str, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            name: name.into(),
            bytes: bytes.into(),
        }
    }
}

/// All canaries in all forms, searched for at once.
pub struct Search {
    canaries: Vec<Canary>,
    patterns: AhoCorasick,
    /// Of each pattern, whose piece it is and in which form.
    owners: Vec<(usize, Form)>,
    /// Of each kind of place, how many there were and how long they were together.
    searched: BTreeMap<&'static str, (usize, usize)>,
    planted: usize,
    found: usize,
}

impl Search {
    /// A search for these.
    pub fn for_all(canaries: Vec<Canary>) -> Self {
        let mut patterns = Vec::new();
        let mut owners = Vec::new();
        for (owner, canary) in canaries.iter().enumerate() {
            for piece in canary.windows() {
                for form in Form::ALL {
                    if let Some(pattern) = form.pattern(piece) {
                        patterns.push(pattern);
                        owners.push((owner, form));
                    }
                }
            }
        }
        Self {
            canaries,
            patterns: AhoCorasick::new(patterns).expect("the patterns fit into an automaton"),
            owners,
            searched: BTreeMap::new(),
            planted: 0,
            found: 0,
        }
    }

    /// Searches places; every sighting, for a message.
    pub fn look(&mut self, places: &[Place]) -> Vec<String> {
        let mut sightings = Vec::new();
        for place in places {
            let (count, length) = self.searched.entry(place.kind).or_default();
            *count += 1;
            *length += place.bytes.len();
            let name = format!("{} ({})", place.kind, place.name);
            sightings.extend(self.sightings(&place.bytes, &name));
        }
        sightings
    }

    /// Which canaries stand in there, in whatever form, once each.
    pub fn sightings(&self, bytes: &[u8], place: &str) -> Vec<String> {
        let mut seen = BTreeMap::new();
        self.note(bytes, &mut seen);
        for content in unpack_all(bytes) {
            self.note(&content, &mut seen);
        }
        let told = seen.into_iter().map(|(owner, (form, at, around))| {
            let name = self.canaries[owner].name();
            format!("{name} stands in {place}, {form:?}, at byte {at}: …{around}…")
        });
        told.collect()
    }

    fn note(&self, bytes: &[u8], seen: &mut BTreeMap<usize, (Form, usize, String)>) {
        for hit in self.patterns.find_overlapping_iter(bytes) {
            let (owner, form) = self.owners[hit.pattern().as_usize()];
            seen.entry(owner).or_insert_with(|| {
                let at = hit.start();
                let around = &bytes[at.saturating_sub(200)..bytes.len().min(at + 100)];
                (form, at, String::from_utf8_lossy(around).into_owned())
            });
        }
    }

    /// Counts leaks that were planted in places of one kind, which were collected anew since: each must be found, and is
    /// told if it was not.
    pub fn expect(&mut self, kind: &str, planted: &[Canary], places: &[Place]) -> Result<()> {
        let of_kind: Vec<&Place> = places.iter().filter(|place| place.kind == kind).collect();
        ensure!(
            !of_kind.is_empty(),
            "there is no place of the kind `{kind}`"
        );
        let all = of_kind
            .iter()
            .flat_map(|place| self.sightings(&place.bytes, &place.name))
            .collect::<Vec<_>>();
        let mut missed = Vec::new();
        for canary in planted {
            self.planted += 1;
            let word = format!("{} stands in ", canary.name());
            if all.iter().any(|told| told.starts_with(&word)) {
                self.found += 1;
            } else {
                missed.push(canary.name());
            }
        }
        ensure!(
            missed.is_empty(),
            "planted in {kind} and not found: {missed:?}"
        );
        Ok(())
    }
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search")
            .field("canaries", &self.canaries)
            .finish_non_exhaustive()
    }
}

/// What was searched for, where, and how many planted leaks were found.
impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (canaries, patterns) = (self.canaries.len(), self.owners.len());
        let places: usize = self.searched.values().map(|(count, _)| count).sum();
        writeln!(
            f,
            "{canaries} canaries in {patterns} patterns, {places} places:"
        )?;
        for (kind, (count, length)) in &self.searched {
            writeln!(f, "  {count:>4} × {kind}, {length} bytes")?;
        }
        write!(f, "planted leaks found: {} of {}", self.found, self.planted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_found_in_every_form_at_every_place() {
        let canary = Canary::random("the secret");
        let search = Search::for_all(vec![Canary::random("another"), canary.clone()]);
        for form in Form::ALL {
            for before in 0..4 {
                let leak = form.of(canary.text().as_bytes());
                let around = if matches!(form, Form::Deflate | Form::Brotli) {
                    leak
                } else {
                    [vec![b'x'; before], leak, b", and more".to_vec()].concat()
                };
                let told = search.sightings(&around, "a test");
                assert_eq!(told.len(), 1, "{form:?} after {before}: {told:?}");
                assert!(
                    told[0].starts_with("the secret stands in a test"),
                    "{told:?}"
                );
            }
        }
    }

    #[test]
    fn any_twelve_characters_of_a_canary_are_found_in_every_form() {
        let canary = Canary::random("the secret");
        let search = Search::for_all(vec![canary.clone()]);
        for piece in canary.text().as_bytes().windows(12) {
            for form in Form::ALL {
                let told = search.sightings(&form.of(piece), "a test");
                assert_eq!(told.len(), 1, "{form:?}");
            }
        }
    }

    #[test]
    fn eleven_characters_and_other_texts_are_not_taken_for_it() {
        let canary = Canary::random("the secret");
        let search = Search::for_all(vec![canary.clone()]);
        for form in Form::ALL {
            let piece = &canary.text().as_bytes()[..11];
            assert_eq!(
                search.sightings(&form.of(piece), "a test"),
                [""; 0],
                "{form:?}"
            );
            let other = Canary::random("another");
            let leak = form.of(other.text().as_bytes());
            assert_eq!(search.sightings(&leak, "a test"), [""; 0], "{form:?}");
        }
    }

    #[test]
    fn key_bytes_are_found_too() {
        let key: Vec<u8> = (0..32).map(|n| 255 - 7 * n).collect();
        let canary = Canary::new("a key", &key);
        let search = Search::for_all(vec![canary]);
        for form in Form::ALL {
            assert_eq!(
                search.sightings(&form.of(&key), "a test").len(),
                1,
                "{form:?}"
            );
        }
    }

    #[test]
    fn a_planted_leak_that_is_not_there_fails_the_search() {
        let canary = Canary::random("planted");
        let mut search = Search::for_all(vec![canary.clone()]);
        let places = [Place::new("the log", "1", "nothing")];
        assert!(
            search
                .expect("the log", std::slice::from_ref(&canary), &places)
                .is_err()
        );
        let places = [Place::new("the log", "1", canary.text())];
        assert!(search.expect("the log", &[canary], &places).is_ok());
    }
}
