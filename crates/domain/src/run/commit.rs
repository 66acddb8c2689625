//! What one step of a run publishes: all of it or nothing.

use crate::ids::{DeadLetterId, ObjectId};
use crate::job::{Counters, JobPhase};
use crate::mapping::Mapped;
use crate::object::{BlobKey, Content, DeletedBy, SourceFacts, SourceId};
use crate::sync::Checkpoint;

use super::catalogue::{KnownCopy, Span};

/// What the connection was when the run started. A step is refused when it is not so any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The connection's epoch.
    pub epoch: u64,
    /// The connection's credential version.
    pub credential_version: u64,
}

/// An object to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Put {
    /// The identifier it gets if the bucket does not have it yet.
    pub new_id: ObjectId,
    /// The bucket's object when the copy was planned; `None` when the bucket did not have it.
    pub replaces: Option<KnownCopy>,
    /// Where it comes from.
    pub source: SourceId,
    /// What the source said about it.
    pub facts: SourceFacts,
    /// Its bytes, already in the blob store.
    pub content: Content,
    /// What the schema mapping made of it.
    pub mapped: Mapped,
    /// The folders that it lies in, as its [`Entry`](crate::plan::Entry) has them.
    pub lineage: String,
}

impl Put {
    /// Whether the bucket's object still is what the copy was planned on. `current` is the blob that it points at, and why it
    /// is a tombstone. One that vanished at the source may have been purged meanwhile.
    pub fn is_as_planned(&self, current: Option<(&BlobKey, Option<DeletedBy>)>) -> bool {
        let planned_on = self
            .replaces
            .as_ref()
            .map(|copy| (&copy.blob, copy.deleted));
        let purged = current.is_none() && matches!(planned_on, Some((_, Some(DeletedBy::Source))));
        purged || planned_on == current
    }
}

/// A file that the sync leaves out, remembered with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The provider's identity of the file.
    pub object: String,
    /// The version that is left out.
    pub version: String,
    /// The rule, such as `mime_types`.
    pub rule: String,
}

/// A file that lies elsewhere than before, with the bytes that the bucket has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The provider's identity of the file.
    pub object: String,
    /// Where its object is to say that it lies, for people; `None` where that is for another sync to tell.
    pub path: Option<String>,
    /// The folders that it lies in now.
    pub lineage: String,
}

/// A file that could not be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedFile {
    /// The identifier that its dead letter gets if there is no open one.
    pub new_id: DeadLetterId,
    /// The provider's identity of the file.
    pub object: String,
    /// Where it lies, for people.
    pub path: String,
    /// The version that could not be copied.
    pub version: String,
    /// The dotted code of what went wrong.
    pub error_type: String,
    /// What went wrong, in our own words; at most 1000 characters.
    pub error_message: String,
}

/// Catalogue entries that a sorted listing passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vanished {
    /// The stretch that one page covers.
    pub span: Span,
    /// What the page names in it.
    pub listed: Vec<String>,
}

/// One step of a run.
///
/// The catalogue's rows are the sync's own, by authority and source identity; one row may point at an object of the bucket
/// (the sync holds on to it), remember a version that was left out, and be marked as missing.
///
/// The parts take effect in the order in which they stand here. Source identities are those of the connection's provider. Rows
/// that a part makes or points at an object carry the pass as seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The pass that the step belongs to.
    pub pass: u64,
    /// The account or endpoint that the source identities below are to be read under.
    pub authority: String,
    /// Objects to be published: inserted, or replaced by their source identity (a tombstone comes back to life, its bytes
    /// too). The catalogue's row, under the put's own authority, points at the object from then on, remembers nothing as left
    /// out, and is not missing; an open dead letter of the source object is resolved. Of a source object that is named twice the
    /// last put counts.
    pub puts: Vec<Put>,
    /// Source objects that the bucket has already, tombstones included: the sync holds on to them from now on, and their rows
    /// and dead letters become what a put makes of them. Ones that the bucket does not have (any more) are passed over.
    pub adopted: Vec<String>,
    /// Versions to be remembered as left out; an open dead letter of them is resolved. A row that is there goes on pointing at
    /// its object, and stays missing if it was.
    pub left_out: Vec<LeftOut>,
    /// Files that failed: one more try of the open dead letter if it is of this version, else its first one (an open one of
    /// another version starts over: it keeps its identifier, all else is as if it were new). With the
    /// [`MOST_TRIES`](crate::dead_letter::MOST_TRIES)th the dead letter is exhausted; the tries of one that was exhausted before do
    /// not grow, only `last_reattempt_at` is set. No file is named twice. The catalogue's rows stay as they are.
    pub failed: Vec<FailedFile>,
    /// Files that lie elsewhere than the catalogue's rows or their objects tell: both are told. Those without a row, or whose
    /// row points at no object, are passed over. It publishes nothing: no event tells of it.
    pub moved: Vec<Moved>,
    /// Source objects that were marked as missing, and are there: not missing any more.
    pub returned: Vec<String>,
    /// Source objects seen by a pass that marks what it sees: their rows, where the catalogue has them, carry the pass, and
    /// are not missing.
    pub seen: Vec<String>,
    /// Source objects that are there, but that the rules do not let through any more: their rows, where the catalogue has them,
    /// are missing from this pass on, like what vanished, although they carry it as seen.
    pub drifted: Vec<String>,
    /// Rows that are missing, of which the provider does not tell whether they are gone or only hidden from us: they stay
    /// missing, and go by nobody's word but a person's.
    pub hidden: Vec<String>,
    /// Rows of the authority to be marked as missing by this pass. Since when a complete pass has found them so stays as it is.
    pub vanished: Option<Vanished>,
    /// What to add to the job's and the sync's counters.
    pub counters: Counters,
    /// The new checkpoint, if this step moves it.
    pub checkpoint: Option<Checkpoint>,
    /// The job's phase from here on.
    pub phase: JobPhase,
}

impl Commit {
    /// A step of a pass that publishes nothing yet.
    pub fn empty(pass: u64, authority: String, phase: JobPhase) -> Self {
        Self {
            pass,
            authority,
            puts: Vec::new(),
            adopted: Vec::new(),
            left_out: Vec::new(),
            failed: Vec::new(),
            moved: Vec::new(),
            returned: Vec::new(),
            seen: Vec::new(),
            drifted: Vec::new(),
            hidden: Vec::new(),
            vanished: None,
            counters: Counters::default(),
            checkpoint: None,
            phase,
        }
    }

    /// What the step counts when these of its puts are passed over: as found, not as copied.
    pub fn counters_without(&self, passed_over: &[&Put]) -> Counters {
        let mut counters = self.counters.clone();
        for put in passed_over {
            counters.bytes = counters.bytes.saturating_sub(put.content.size_bytes);
            if let Some(synced) = counters.synced.checked_sub(1) {
                counters.synced = synced;
                counters.verified += 1;
            }
        }
        counters
    }
}
