//! One page of a listing on its way through a run: listed, planned with what is known of it, worked off file by file.

use std::collections::HashMap;

use crate::error_code::ErrorCode;
use crate::ids::{DeadLetterId, SyncId};
use crate::job::JobPhase;
use crate::plan::Entry;
use crate::sync::{Checkpoint, Cursor, MOST_DENIED, Order};

use super::catalogue::{Known, KnownCopy, Recalled, Span};
use super::commit::{Commit, FailedFile, LeftOut, Moved, Put, Vanished};
use super::decision::{Decision, Extract, Terms};
use super::trouble::Trouble;

/// Copied files are published when so many wait.
const BATCH: usize = 100;

/// Most rows that one step marks as vanished. Where a page passes over more, the pass goes over to marks, whose end comes in
/// small steps: one step must not outlast a lease.
const MOST_VANISHED: u64 = 10_000;

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingPage {
    /// What the page holds; may be empty although more follow.
    pub entries: Vec<Entry>,
    /// Where the listing goes on. `None` is the provider's positive word that this was the last page.
    pub next: Option<Cursor>,
    /// Beginnings of entries' paths below which this identity may not look, so that nothing follows from what is not listed
    /// there. A provider that lists flatly, such as S3, is denied a listing whole, by an error, and never names any.
    pub denied: Vec<String>,
}

/// A file to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOrder {
    /// The file as it was listed.
    pub entry: Entry,
    /// The bucket's object, whichever sync brought it; a tombstone, too.
    pub replaces: Option<KnownCopy>,
    /// What becomes of its mapped fields.
    pub extract: Extract,
    /// Whether the sync holds on to that object.
    held: bool,
}

/// What became of a file that was to be copied.
#[derive(Debug, Clone, PartialEq)]
pub enum FileOutcome {
    /// Its bytes are in the blob store, ready to be published.
    Stored(Box<Put>),
    /// A rule keeps it out that asks for more than a listing tells.
    Filtered {
        /// The rule.
        rule: String,
    },
    /// It was left out, being gone, changed, or not to be had.
    Skipped(ErrorCode),
    /// It could not be copied; the rest of the run goes on.
    Failed {
        /// The identifier that its dead letter gets if there is no open one.
        new_id: DeadLetterId,
        /// What went wrong.
        trouble: Trouble,
    },
}

/// A page that was listed, before it is known what the catalogue says.
#[derive(Debug)]
pub(crate) struct Listed {
    /// What the page holds, each once.
    pub(crate) entries: Vec<Entry>,
    /// The stretch that it covers, if that is to be merged with the catalogue.
    pub(crate) span: Option<Span>,
    /// The checkpoint behind it.
    pub(crate) checkpoint: Checkpoint,
    /// Files that cannot be told of, and failed.
    pub(crate) failed: Vec<FailedFile>,
}

impl Listed {
    /// Takes a page in behind a checkpoint. `merges`: whether what vanished is of interest at all.
    pub(crate) fn new(page: ListingPage, before: Checkpoint, merges: bool) -> Self {
        let mut checkpoint = before;
        let mut span = None;
        if let Order::Sorted { last: after } = checkpoint.order {
            if is_in_order(&page.entries, after.as_deref()) {
                let is_last = page.next.is_none();
                let last = page.entries.last().map(|entry| entry.object.clone());
                span = (is_last || last.is_some()).then(|| Span {
                    after: after.clone(),
                    through: last.clone().filter(|_| !is_last),
                });
                let last = last.or(after);
                checkpoint.order = Order::Sorted { last };
            } else {
                checkpoint.order = Order::Marked { beyond: after };
            }
        }
        deny(&mut checkpoint.denied, page.denied);
        let entries = last_mentions(page.entries);
        checkpoint.cursor = page.next;
        checkpoint.objects_processed += entries.len() as u64;
        Self {
            entries,
            span: span.filter(|_| merges),
            checkpoint,
            failed: Vec::new(),
        }
    }

    /// Takes in what a feed of changes tells, where nothing follows from what it does not name.
    pub(super) fn of_changes(entries: Vec<Entry>, mut checkpoint: Checkpoint) -> Self {
        let entries = last_mentions(entries);
        checkpoint.objects_processed += entries.len() as u64;
        Self {
            entries,
            span: None,
            checkpoint,
            failed: Vec::new(),
        }
    }

    pub(super) fn objects(&self) -> Vec<String> {
        self.entries
            .iter()
            .map(|entry| entry.object.clone())
            .collect()
    }

    /// Whether the catalogue has anything to say about it.
    pub(super) fn is_void(&self) -> bool {
        self.entries.is_empty() && self.span.is_none()
    }
}

/// Whether each entry comes after the one before it.
fn is_in_order(entries: &[Entry], after: Option<&str>) -> bool {
    let objects = entries.iter().map(|entry| entry.object.as_str());
    after
        .into_iter()
        .chain(objects)
        .is_sorted_by(|before, object| before < object)
}

/// Adds denied paths; with too many, everything is.
pub(super) fn deny(denied: &mut Vec<String>, more: Vec<String>) {
    for path in more {
        if !denied.iter().any(|known| path.starts_with(known)) {
            denied.push(path);
        }
    }
    if denied.len() > MOST_DENIED {
        *denied = vec![String::new()];
    }
}

/// Entries that a page names twice count once, by the last mention.
fn last_mentions(entries: Vec<Entry>) -> Vec<Entry> {
    let mut positions: HashMap<String, usize> = HashMap::with_capacity(entries.len());
    let mut unique: Vec<Entry> = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Some(&at) = positions.get(&entry.object) {
            unique[at] = entry;
        } else {
            positions.insert(entry.object.clone(), unique.len());
            unique.push(entry);
        }
    }
    unique
}

/// A page whose files are being copied.
#[derive(Debug)]
pub(super) struct Work {
    /// The checkpoint behind the page.
    pub(super) checkpoint: Checkpoint,
    /// Files that are still to be told of.
    pub(super) outstanding: u64,
    /// What waits to be published.
    batch: Commit,
    /// Whether what is seen is marked where the listing is out of order.
    marks: bool,
    /// Whether what the rules no longer let through goes.
    drift: bool,
}

impl Work {
    /// Plans a page: what is to be published right away, and what is to be copied.
    pub(super) fn plan(
        terms: &Terms,
        authority: &str,
        listed: Listed,
        recalled: Recalled,
    ) -> (Self, Vec<CopyOrder>) {
        let names = (recalled.vanished > 0).then(|| listed.objects());
        let Listed {
            entries,
            mut span,
            mut checkpoint,
            failed,
        } = listed;
        if recalled.vanished > MOST_VANISHED
            && let Some(Span { after, .. }) = span.take()
        {
            checkpoint.order = Order::Marked { beyond: after };
        }
        let mut batch = Commit::empty(
            checkpoint.pass,
            authority.to_owned(),
            if entries.is_empty() {
                JobPhase::Discovering
            } else {
                JobPhase::ReVerifying
            },
        );
        batch.vanished = span
            .zip(names)
            .map(|(span, listed)| Vanished { span, listed });
        let mut work = Self {
            checkpoint,
            outstanding: 0,
            batch,
            marks: terms.reconcile.on_delete,
            drift: terms.reconcile.on_filter_drift,
        };
        let mut known: HashMap<String, Known> = recalled
            .known
            .into_iter()
            .map(|known| (known.object.clone(), known))
            .collect();
        for failed in failed {
            work.fail(failed);
        }
        let mut orders = Vec::new();
        for entry in entries {
            let known = known.remove(&entry.object);
            orders.extend(work.take_up(terms, entry, known));
        }
        if !orders.is_empty() {
            work.batch.phase = JobPhase::Downloading;
        }
        work.outstanding = orders.len() as u64;
        (work, orders)
    }

    fn take_up(&mut self, terms: &Terms, entry: Entry, known: Option<Known>) -> Option<CopyOrder> {
        let decision = terms.decide(&entry, known.as_ref());
        let held = known.as_ref().is_some_and(|known| known.held);
        let fails_no_more = known
            .as_ref()
            .is_some_and(|known| known.dead_letter.is_some());
        let drifts = held && matches!(&decision, Decision::Filtered { rule } if terms.drifts(rule));
        if let Some(known) = &known {
            // What drifts is no sighting: else two passes could never agree that it goes.
            if drifts {
                self.batch.drifted.push(entry.object.clone());
            } else {
                if known.missing {
                    self.batch.returned.push(entry.object.clone());
                }
                self.mark(&entry.object);
            }
            let shares = matches!(decision, Decision::Verified | Decision::Skipped { .. });
            let adopts = shares && known.is_live();
            if adopts && (!held || fails_no_more) {
                self.batch.adopted.push(entry.object.clone());
            }
            // Whatever else becomes of it: else it would go with the folder that it has left.
            if held || adopts {
                self.note_place(&terms.sync, &entry, known);
            }
        }
        let counters = &mut self.batch.counters;
        match decision {
            Decision::Filtered { rule } => {
                counters.filter(&rule);
                if fails_no_more {
                    self.leave_out(&entry, rule);
                }
            }
            Decision::Skipped { reason } => counters.skip(reason),
            Decision::Verified => counters.verified += 1,
            Decision::Quarantined { error_type } => counters.fail(&error_type),
            Decision::Copy(extract) => {
                return Some(CopyOrder {
                    entry,
                    replaces: known.and_then(|known| known.copy),
                    extract,
                    held,
                });
            }
        }
        None
    }

    /// Notes that a file lies elsewhere than is known: its bytes are not asked for again. Where the object says that it lies is
    /// for the sync to tell that copied it.
    fn note_place(&mut self, sync: &SyncId, entry: &Entry, known: &Known) {
        let ours = known.copy.as_ref().filter(|copy| {
            let by = copy.copied_by.as_ref();
            by.is_none_or(|by| by == sync)
        });
        let path = ours
            .filter(|copy| copy.path != entry.path)
            .map(|_| entry.path.clone());
        if path.is_some() || known.lineage != entry.lineage {
            self.batch.moved.push(Moved {
                object: entry.object.clone(),
                path,
                lineage: entry.lineage.clone(),
            });
        }
    }

    /// Takes in what became of a file.
    pub(super) fn note(&mut self, order: CopyOrder, outcome: FileOutcome) {
        let entry = order.entry;
        self.outstanding = self.outstanding.saturating_sub(1);
        let counters = &mut self.batch.counters;
        match outcome {
            FileOutcome::Stored(put) => {
                counters.synced += 1;
                counters.bytes += put.content.size_bytes;
                // It tells where the file lies, too, and later than what was known before.
                self.batch
                    .moved
                    .retain(|moved| moved.object != entry.object);
                self.batch.puts.push(*put);
            }
            FileOutcome::Filtered { rule } => {
                counters.filter(&rule);
                self.leave_out(&entry, rule);
                if order.held && self.drift {
                    self.batch.drifted.push(entry.object);
                }
            }
            FileOutcome::Skipped(code) => {
                counters.skip(code.as_str());
                self.checkpoint.unsettled += u64::from(code == ErrorCode::ResourceChanged);
            }
            FileOutcome::Failed { new_id, trouble } => {
                self.fail(FailedFile {
                    new_id,
                    object: entry.object,
                    path: entry.path,
                    version: entry.version,
                    error_type: trouble.code.as_str().to_owned(),
                    error_message: trouble.message.chars().take(1000).collect(),
                });
            }
        }
    }

    fn fail(&mut self, file: FailedFile) {
        self.batch.counters.fail(&file.error_type);
        self.checkpoint.unsettled += 1;
        self.batch.failed.push(file);
    }

    /// Remembers that a rule keeps this version out, which also settles what failed about it.
    fn leave_out(&mut self, entry: &Entry, rule: String) {
        self.batch.left_out.push(LeftOut {
            object: entry.object.clone(),
            version: entry.version.clone(),
            rule,
        });
    }

    /// Notes that its row was seen, where the pass marks what it sees.
    fn mark(&mut self, object: &str) {
        if let Order::Marked { beyond } = &self.checkpoint.order
            && self.marks
            && beyond.as_deref().is_none_or(|beyond| object > beyond)
        {
            self.batch.seen.push(object.to_owned());
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.batch.puts.len() >= BATCH
    }

    /// Whether there is anything to publish.
    pub(super) fn has_news(&self) -> bool {
        self.batch.counters != crate::job::Counters::default() || self.batch.vanished.is_some()
    }

    /// What is to be published now.
    pub(super) fn publish(&mut self) -> Commit {
        let empty = Commit::empty(
            self.batch.pass,
            self.batch.authority.clone(),
            self.batch.phase,
        );
        let mut batch = std::mem::replace(&mut self.batch, empty);
        batch.counters.discovered = batch.counters.accounted_for();
        batch
    }

    /// The page's last step: what is left, and the checkpoint behind it.
    pub(super) fn finish(mut self) -> (Commit, Checkpoint) {
        if self.checkpoint.cursor.is_none() {
            self.batch.phase = JobPhase::Verifying;
        }
        let mut commit = self.publish();
        commit.checkpoint = Some(self.checkpoint.clone());
        (commit, self.checkpoint)
    }

    /// The step of a page that the run stops in: the checkpoint stays before the page.
    pub(super) fn abandon(mut self) -> Commit {
        self.batch.counters.not_reached += self.outstanding;
        self.publish()
    }
}

#[cfg(test)]
mod tests;
