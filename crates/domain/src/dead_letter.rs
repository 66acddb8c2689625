//! Dead letters: files that a sync could not copy, and what is tried about them.
//!
//! A file that fails in a run is noted; after [`MOST_TRIES`] failed runs it is exhausted and left alone, except for one
//! try a day that may heal it. It gets new tries when its source changes or a person queues it again.

use std::time::Duration;

use crate::Timestamp;
use crate::ids::{BucketId, DeadLetterId, JobId, NamespaceId, SyncId};

/// Runs in which a file may fail before it is left alone.
pub const MOST_TRIES: u32 = 3;

/// How long an exhausted file is left alone before a run tries it once more.
pub const HEALING_PAUSE: Duration = Duration::from_hours(24);

/// How long after its last try an exhausted file of a sync that no longer runs is kept as open.
pub const DISPOSAL: Duration = Duration::from_hours(7 * 24);

/// Why an open dead letter was closed without having been copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisposalReason {
    /// Its sync has been paused or completed since.
    SyncDeactivated,
    /// Its connection is archived.
    ConnectionArchived,
}

impl DisposalReason {
    /// The contract's word, in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SyncDeactivated => "sync_config_deactivated",
            Self::ConnectionArchived => "connection_not_found",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::SyncDeactivated, Self::ConnectionArchived]
            .into_iter()
            .find(|reason| reason.as_str() == text)
    }
}

/// A file that a sync could not copy. At most one per sync and source object is open (neither resolved nor disposed of).
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// Its identifier.
    pub id: DeadLetterId,
    /// The sync that could not copy it.
    pub sync: SyncId,
    /// The bucket of that sync.
    pub bucket: BucketId,
    /// The namespace of that bucket.
    pub namespace: NamespaceId,
    /// The job in which it failed last.
    pub job: JobId,
    /// The provider's identity of the file.
    pub source_object: String,
    /// Where it lies, for people.
    pub path: String,
    /// The version that could not be copied.
    pub version: String,
    /// The dotted code of what went wrong last.
    pub error_type: String,
    /// What went wrong last, in our own words.
    pub error_message: String,
    /// Runs in which this version failed since it was first seen or last queued again.
    pub tries: u32,
    /// Whether it is left alone.
    pub exhausted: bool,
    /// When it first failed.
    pub first_seen_at: Timestamp,
    /// When it last failed before it was exhausted.
    pub last_seen_at: Timestamp,
    /// When it was last tried after that.
    pub last_reattempt_at: Option<Timestamp>,
    /// When a person queued it again.
    pub requeued_at: Option<Timestamp>,
    /// When it was copied, superseded or disposed of.
    pub resolved_at: Option<Timestamp>,
    /// Why it was closed without having been copied.
    pub disposal_reason: Option<DisposalReason>,
}

impl DeadLetter {
    /// When it was last tried: healing and disposal count from there.
    pub fn last_tried_at(&self) -> Timestamp {
        self.last_reattempt_at
            .map_or(self.last_seen_at, |at| at.max(self.last_seen_at))
    }
}

/// Which open dead letters a list or a change means; all conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// Only exhausted ones.
    pub only_exhausted: bool,
    /// With one of these error codes; `None` for any.
    pub error_types: Option<Vec<String>>,
}
