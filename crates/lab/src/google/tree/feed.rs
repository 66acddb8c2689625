//! The feeds of changes: one for every account and one for every shared drive. A feed knows of each file
//! only when it last changed; what it says of it is read from the tree when the feed is asked.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

/// Whose feed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    Account(String),
    Drive(String),
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    File(String),
    Drive(String),
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) subject: Subject,
    pub(crate) time: DateTime<Utc>,
}

#[derive(Debug, Default)]
struct Log {
    by_place: BTreeMap<u64, Entry>,
    last: HashMap<Subject, u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Feed {
    places: u64,
    /// Tokens before this place are not known any more.
    oldest: u64,
    logs: HashMap<Whose, Log>,
    /// Feeds with something new, for the watch channels.
    stirred: Vec<Whose>,
}

impl Feed {
    /// Notes a change in these feeds.
    pub(super) fn note(
        &mut self,
        whose: impl IntoIterator<Item = Whose>,
        subject: &Subject,
        time: DateTime<Utc>,
    ) {
        self.places += 1;
        for whose in whose {
            let log = self.logs.entry(whose.clone()).or_default();
            if let Some(earlier) = log.last.insert(subject.clone(), self.places) {
                log.by_place.remove(&earlier);
            }
            let entry = Entry {
                subject: subject.clone(),
                time,
            };
            log.by_place.insert(self.places, entry);
            self.stirred.push(whose);
        }
    }

    /// The place where what comes next will stand.
    pub(crate) fn next_place(&self) -> u64 {
        self.places + 1
    }

    /// Whether a token names a place of the feed.
    pub(crate) fn knows(&self, place: u64) -> bool {
        (self.oldest.max(1)..=self.next_place()).contains(&place)
    }

    /// No token given so far is known any more.
    pub(crate) fn forget_tokens(&mut self) {
        self.places += 1;
        self.oldest = self.next_place();
    }

    /// The changes from a place on.
    pub(crate) fn since(&self, whose: &Whose, place: u64) -> impl Iterator<Item = (u64, &Entry)> {
        self.logs
            .get(whose)
            .into_iter()
            .flat_map(move |log| log.by_place.range(place..))
            .map(|(place, entry)| (*place, entry))
    }

    /// Where a feed last heard of something.
    pub(crate) fn last(&self, whose: &Whose, subject: &Subject) -> Option<u64> {
        self.logs.get(whose)?.last.get(subject).copied()
    }

    /// The feeds that have something new since this was last asked, each once.
    pub(crate) fn take_stirred(&mut self) -> Vec<Whose> {
        let mut stirred = std::mem::take(&mut self.stirred);
        let mut seen = Vec::new();
        stirred.retain(|whose| {
            let new = !seen.contains(whose);
            if new {
                seen.push(whose.clone());
            }
            new
        });
        stirred
    }
}
