//! What a run does about one entry of a listing: a pure decision on what we know of it.

use std::fmt;
use std::sync::Arc;

use crate::filter::{self, Rule, Rules, look_up};
use crate::ids::{ObjectId, SyncId};
use crate::object::{DeletedBy, SourceFacts};
use crate::plan::Entry;
use crate::sync::Reconcile;

use super::catalogue::{Known, KnownCopy};

/// What of a sync decides about an entry.
#[derive(Clone)]
pub struct Terms {
    /// The sync.
    pub sync: SyncId,
    /// What it does about changes at the source.
    pub reconcile: Reconcile,
    /// Whether what another sync has copied is shared instead of copied again.
    pub skip_duplicates: bool,
    /// Which files it takes.
    pub rules: Rules,
    /// An entry's path as the rules see it: from the source path on.
    pub relative_path: RelativePath,
}

/// Cuts an entry's path down to what lies behind a sync's source path.
pub type RelativePath = Arc<dyn for<'a> Fn(&'a str) -> &'a str + Send + Sync>;

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("sync", &self.sync)
            .finish_non_exhaustive()
    }
}

/// What to do about an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A rule keeps it out.
    Filtered {
        /// The rule.
        rule: String,
    },
    /// It is left out for a reason at the source or in the bucket.
    Skipped {
        /// The reason, such as `updates_off`.
        reason: &'static str,
    },
    /// The bucket has it as it is.
    Verified,
    /// It failed too often and is left alone for now.
    Quarantined {
        /// The dotted code of its last failure.
        error_type: String,
    },
    /// It is to be copied.
    Copy(Extract),
}

/// What becomes of an object's mapped fields when its file is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extract {
    /// They are extracted from the file.
    Anew,
    /// They stay as that object has them.
    Keep(ObjectId),
    /// They are extracted if one of the sync's `re_extract_fields` differs between the file's metadata and that object's,
    /// and stay as they are otherwise.
    IfChanged(ObjectId),
}

impl Terms {
    /// Whether what the sync holds on to goes when this rule keeps it out. Where a sync begins to look decides what comes in,
    /// and not what goes.
    pub fn drifts(&self, rule: &str) -> bool {
        self.reconcile.on_filter_drift && rule != Rule::SyncFrom.as_str()
    }

    /// Decides about an entry.
    pub fn decide(&self, entry: &Entry, known: Option<&Known>) -> Decision {
        if let Some(rule) = self.filtered(entry, known) {
            return Decision::Filtered { rule };
        }
        if let Some(reason) = entry.unreadable {
            return Decision::Skipped { reason };
        }
        match known.and_then(|known| known.copy.as_ref()) {
            Some(copy) => self.about_copy(entry, copy, known),
            None => or_quarantined(entry, known, Extract::Anew),
        }
    }

    /// The rule that keeps it out: as its listing tells, as was found when this very version was asked for, or as was told
    /// when it was copied.
    fn filtered(&self, entry: &Entry, known: Option<&Known>) -> Option<String> {
        let listed = filter::Listed {
            relative_path: (self.relative_path)(&entry.path),
            size_bytes: entry.size_bytes,
            modified_at: entry.modified_at,
        };
        if let filter::Verdict::Filtered(rule) = self.rules.by_listing(&listed) {
            return Some(rule.as_str().to_owned());
        }
        let known = known.filter(|_| self.rules.needs_facts())?;
        if let Some(left_out) = &known.left_out
            && left_out.version == entry.version
        {
            return Some(left_out.rule.clone());
        }
        let copy = known.copy.as_ref()?;
        let facts = copy
            .facts
            .as_ref()
            .filter(|_| copy.version == entry.version)?;
        let facts = filter::Facts {
            relative_path: listed.relative_path,
            content_type: facts.content_type.as_deref(),
            metadata: &facts.metadata,
            tags: &facts.tags,
        };
        match self.rules.by_remembered(&facts) {
            filter::Verdict::Filtered(rule) => Some(rule.as_str().to_owned()),
            filter::Verdict::Keep => None,
        }
    }

    fn about_copy(&self, entry: &Entry, copy: &KnownCopy, known: Option<&Known>) -> Decision {
        let same = copy.version == entry.version;
        let anothers = copy.copied_by.as_ref().is_some_and(|by| *by != self.sync);
        let held = known.is_some_and(|known| known.held);
        match copy.deleted {
            Some(DeletedBy::Person) if same => Decision::Skipped {
                reason: "deleted_by_person",
            },
            Some(_) => or_quarantined(entry, known, Extract::Anew),
            None if same && anothers && self.skip_duplicates => Decision::Skipped {
                reason: "duplicate",
            },
            None if same && anothers && !held => or_quarantined(entry, known, Extract::Anew),
            None if same => Decision::Verified,
            None if self.reconcile.on_update => {
                let extract = if anothers {
                    Extract::Anew
                } else {
                    self.extract(copy)
                };
                or_quarantined(entry, known, extract)
            }
            None => Decision::Skipped {
                reason: "updates_off",
            },
        }
    }

    /// Whether one of the sync's `re_extract_fields` differs between what the source said of a file when it was copied last
    /// and what it says now.
    pub fn must_extract_again(&self, before: &SourceFacts, now: &SourceFacts) -> bool {
        let of = |facts: &SourceFacts, key: &str| {
            let found = look_up(&facts.metadata, key).or_else(|| look_up(&facts.tags, key));
            found.cloned()
        };
        let keys = self.reconcile.re_extract_fields.iter().flatten();
        keys.into_iter().any(|key| of(before, key) != of(now, key))
    }

    fn extract(&self, copy: &KnownCopy) -> Extract {
        if !self.reconcile.re_extract_on_update {
            Extract::Keep(copy.id.clone())
        } else if self.reconcile.re_extract_fields.is_some() {
            Extract::IfChanged(copy.id.clone())
        } else {
            Extract::Anew
        }
    }
}

/// To be copied, unless that very version failed too often and is not to be tried yet.
fn or_quarantined(entry: &Entry, known: Option<&Known>, extract: Extract) -> Decision {
    let letter = known.and_then(|known| known.dead_letter.as_ref());
    match letter {
        Some(letter)
            if letter.exhausted && !letter.healing_due && letter.version == entry.version =>
        {
            Decision::Quarantined {
                error_type: letter.error_type.clone(),
            }
        }
        _ => Decision::Copy(extract),
    }
}

#[cfg(test)]
mod tests;
