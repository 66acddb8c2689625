//! What a complete listing lets go of, and when it waits for a second look.

use std::collections::HashMap;

use crate::provider::Provider;

use super::feed::Absent;

/// Above which share of a sync's objects, and above how many, deletes wait. Both must be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteThreshold {
    /// Percent of the objects that the sync holds on to, 0 to 100.
    pub percent: u32,
    /// Objects.
    pub count: u64,
}

impl Default for DeleteThreshold {
    fn default() -> Self {
        Self {
            percent: 20,
            count: 50,
        }
    }
}

/// What a pass found, of the rows that point at an object and lie in no denied scope.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Survey {
    /// Objects that the sync holds on to, missing ones included.
    pub held: u64,
    /// Those that this pass found missing, and that are not hidden.
    pub missing: u64,
    /// Of the missing ones, those that an earlier complete pass had found missing, too, with no sighting in between.
    pub agreed: u64,
    /// Those that this pass found missing and that may be gone or only hidden from us.
    pub hidden: u64,
}

/// What is to become of what a complete pass found missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is missing.
    Nothing,
    /// All that is missing goes.
    LetGo,
    /// What two passes agree on goes, the rest waits for the next complete pass or a person.
    Hold {
        /// Why, for a person.
        reason: String,
    },
}

impl Survey {
    /// What is to become of what is missing. Where the provider's listings may lag behind, nothing goes on the word of one
    /// pass alone.
    pub fn verdict(&self, provider: Provider, threshold: DeleteThreshold) -> Verdict {
        let fresh = self.missing.saturating_sub(self.agreed);
        if self.missing == 0 {
            return Verdict::Nothing;
        }
        if fresh == 0 {
            return Verdict::LetGo;
        }
        if provider.listings_lag() {
            return Verdict::Hold {
                reason: format!(
                    "{fresh} of {} objects are gone from the source, or kept out by the sync's rules. Listings of {} may lag behind \
                     its writes, so these are deleted when the next complete pass agrees, or when a person approves.",
                    self.held,
                    provider.as_str()
                ),
            };
        }
        let share = u128::from(fresh) * 100;
        let limit = u128::from(self.held) * u128::from(threshold.percent);
        if fresh > threshold.count && share > limit {
            return Verdict::Hold {
                reason: format!(
                    "{fresh} of {} objects are gone from the source, or kept out by the sync's rules, at once: more than {} % and \
                     more than {}. They are deleted when the next complete pass agrees, or when a person approves.",
                    self.held, threshold.percent, threshold.count
                ),
            };
        }
        Verdict::LetGo
    }

    /// Why what is hidden waits for a person, if anything is.
    pub fn about_hidden(&self, provider: Provider) -> Option<String> {
        (self.hidden > 0).then(|| {
            format!(
                "{} of {} objects cannot be seen at the source any more. {} does not tell whether they were deleted for good or are \
                 no longer shared with this identity, so they are deleted only when a person approves.",
                self.hidden,
                self.held,
                provider.as_str()
            )
        })
    }
}

/// A row of a sync's catalogue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    /// The account or endpoint.
    pub authority: String,
    /// The provider's identity of the file.
    pub object: String,
}

/// Rows of a sync that carry no mark of the pass although it saw the whole scope: they are marked as missing, a step at a
/// time, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkMissing {
    /// The pass whose listing is complete.
    pub pass: u64,
    /// The account or endpoint of the listing; rows of any other are missing.
    pub authority: String,
    /// Where the pass marked what it saw: rows of the authority beyond this one (`Some(None)`: all of them) that it did not
    /// see are missing. `None` where the whole listing was merged: then only rows of other authorities are.
    pub unseen_beyond: Option<Option<String>>,
    /// The row after which this step begins; `None` at the first.
    pub after: Option<RowKey>,
    /// Most rows to look at in this step.
    pub limit: u32,
}

/// One step of holding deletes back: rows that this pass found missing are marked as found so by a complete pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The pass whose listing is complete.
    pub pass: u64,
    /// Source paths below which nothing counts as missing.
    pub denied: Vec<String>,
    /// What the sync's `held_deletes` say.
    pub reason: String,
    /// Most rows in this step.
    pub limit: u32,
}

/// One step of marking what a feed of changes told is not in the source any more: rows of the authority that are named, or that
/// lie in a folder that is, and that this pass has not marked so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkAbsent {
    /// The pass over the feed.
    pub pass: u64,
    /// The account or endpoint.
    pub authority: String,
    /// Files and folders.
    pub absent: Vec<Absent>,
    /// Most rows to mark in this step.
    pub limit: u32,
}

/// What a feed tells is absent, to be looked up by identity.
#[derive(Debug)]
pub struct Told<'a>(HashMap<&'a str, bool>);

impl MarkAbsent {
    /// What it names. What is named twice is certain if one of them is.
    pub fn told(&self) -> Told<'_> {
        let mut told = HashMap::with_capacity(self.absent.len());
        // An identity that is none would stand for everything.
        for absent in self.absent.iter().filter(|absent| !absent.id.is_empty()) {
            *told.entry(absent.id.as_str()).or_default() |= absent.certain;
        }
        Told(told)
    }
}

impl<'a> Told<'a> {
    /// Whether it is certain that this file or folder is absent; `None` if nothing is told of it.
    pub fn of(&self, id: &str) -> Option<bool> {
        self.0.get(id).copied()
    }

    /// The same of whatever lies in these folders.
    pub fn of_lineage(&self, lineage: &str) -> Option<bool> {
        lineage.split('/').filter_map(|id| self.of(id)).max()
    }

    /// All that is named with this certainty.
    pub fn named(&self, certain: bool) -> Vec<&'a str> {
        let named = self.0.iter().filter(|(_, told)| **told == certain);
        named.map(|(id, _)| *id).collect()
    }
}

/// One step of letting go of rows that the pass found missing: the row goes, and the object becomes a tombstone unless another
/// sync holds on to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetGo {
    /// The pass whose listing is complete.
    pub pass: u64,
    /// Only those that an earlier complete pass had found missing, too. Those that may only be hidden never go here.
    pub only_agreed: bool,
    /// Source paths below which nothing counts as missing.
    pub denied: Vec<String>,
    /// Most rows in this step.
    pub limit: u32,
}
