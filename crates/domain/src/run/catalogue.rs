//! The catalogue: what a sync knows of its source, and what a run asks of it.

use crate::Metadata;
use crate::ids::{DeadLetterId, ObjectId, SyncId};
use crate::object::{BlobKey, DeletedBy};
use crate::provider::Provider;

/// A stretch of the catalogue in the order of the source identities' bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// It begins after this one; `None` for the very beginning.
    pub after: Option<String>,
    /// It ends with this one; `None` for the very end.
    pub through: Option<String>,
}

/// What a run wants to know about one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// The provider of the sync's connection.
    pub provider: Provider,
    /// Under which account or endpoint.
    pub authority: String,
    /// The source identities of the page, each once.
    pub listed: Vec<String>,
    /// The stretch that the page covers, where the listing is sorted: what the catalogue has in it and the page does not
    /// name is counted as vanished. `None` where it is not: then nothing is.
    pub span: Option<Span>,
    /// Whether rules ask for what the source told of each copied version.
    pub facts: bool,
}

/// The answer to [`Recall`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recalled {
    /// What is known of the listed ones; those of which nothing is known are left out.
    pub known: Vec<Known>,
    /// Entries of the catalogue in the span that the page does not name, and that are not marked as missing by this pass.
    pub vanished: u64,
}

/// What is known of one source object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The provider's identity of the file.
    pub object: String,
    /// The bucket's object, whichever sync brought it; a tombstone, too.
    pub copy: Option<KnownCopy>,
    /// Whether this sync holds on to that object: its own row points at it.
    pub held: bool,
    /// The version that this sync left out after it had asked the provider for more than the listing tells, and the rule.
    pub left_out: Option<LeftOutVersion>,
    /// What became of earlier tries; open ones only.
    pub dead_letter: Option<KnownDeadLetter>,
    /// Whether the catalogue has it marked as missing.
    pub missing: bool,
    /// The folders that the sync's row says it lies in; empty without a row.
    pub lineage: String,
}

impl Known {
    /// Whether this sync holds on to an object that is live.
    pub fn holds_live(&self) -> bool {
        self.held && self.is_live()
    }

    /// Whether the bucket has a live object of it.
    pub fn is_live(&self) -> bool {
        self.copy
            .as_ref()
            .is_some_and(|copy| copy.deleted.is_none())
    }
}

/// The bucket's object of a source object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCopy {
    /// The object.
    pub id: ObjectId,
    /// The version that was copied.
    pub version: String,
    /// Where the object says that it lies.
    pub path: String,
    /// The blob that the object points at: changes with every publication.
    pub blob: BlobKey,
    /// Whether the object is a tombstone, and why.
    pub deleted: Option<DeletedBy>,
    /// The sync that copied it; `None` if that is not known.
    pub copied_by: Option<SyncId>,
    /// What the source told of that version; `None` unless [`Recall::facts`] asks for it.
    pub facts: Option<Box<CopyFacts>>,
}

/// What the source told of a version when it was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyFacts {
    /// Its content type.
    pub content_type: Option<String>,
    /// Its metadata.
    pub metadata: Metadata,
    /// Its tags; empty, too, when nothing asked for them.
    pub tags: Metadata,
}

/// A version that was left out, remembered so that the provider is not asked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutVersion {
    /// The version.
    pub version: String,
    /// The rule, such as `mime_types`.
    pub rule: String,
}

/// An open dead letter as a run sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDeadLetter {
    /// Its identifier.
    pub id: DeadLetterId,
    /// The version that failed.
    pub version: String,
    /// The dotted code of its last failure.
    pub error_type: String,
    /// Runs in which that version failed.
    pub tries: u32,
    /// Whether it is left alone.
    pub exhausted: bool,
    /// Whether an exhausted one may be tried again to heal, by the database's clock: its last try is
    /// [`HEALING_PAUSE`](crate::dead_letter::HEALING_PAUSE) ago.
    pub healing_due: bool,
}
