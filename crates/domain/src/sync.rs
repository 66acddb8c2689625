//! Syncs: the standing intent to copy one source path into one bucket.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{BucketId, ConnectionId, JobId, NamespaceId, SyncId, UserId};
use crate::job::Counters;
use crate::{Metadata, Timestamp};

/// Whether a sync runs once or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SyncMode {
    /// One complete pass.
    InitialOnly,
    /// A pass per polling interval.
    Continuous,
}

impl SyncMode {
    /// The word in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InitialOnly => "initial_only",
            Self::Continuous => "continuous",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "initial_only" => Some(Self::InitialOnly),
            "continuous" => Some(Self::Continuous),
            _ => None,
        }
    }
}

/// What a run does about changes at the source. Everything is on unless turned off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the contract's four independent switches"
)]
pub struct Reconcile {
    /// Vanished files become tombstones.
    pub on_delete: bool,
    /// Changed files are copied again.
    pub on_update: bool,
    /// Files that the filters no longer let through become tombstones. Kept; there are no filters yet.
    pub on_filter_drift: bool,
    /// Mapped fields are extracted again on update. Kept; there is no mapping yet.
    pub re_extract_on_update: bool,
    /// Which fields those are.
    pub re_extract_fields: Option<Vec<String>>,
}

impl Default for Reconcile {
    fn default() -> Self {
        Self {
            on_delete: true,
            on_update: true,
            on_filter_drift: true,
            re_extract_on_update: true,
            re_extract_fields: None,
        }
    }
}

/// A sync before it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSync {
    /// Its identifier.
    pub id: SyncId,
    /// Where the objects go.
    pub bucket: BucketId,
    /// The namespace of that bucket.
    pub namespace: NamespaceId,
    /// The connection it reads through.
    pub connection: ConnectionId,
    /// What and how to copy.
    pub settings: SyncSettings,
    /// Who created it.
    pub created_by: UserId,
    /// The first run, queued at once.
    pub first_job: JobId,
}

/// What and how a sync copies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncSettings {
    /// On S3 and Tigris `bucket/prefix`.
    pub source_path: String,
    /// Seconds from the end of a pass to the next, 30 to 86,400.
    pub polling_interval_seconds: u32,
    /// Most files that one run deals with, at least 1.
    pub max_objects_per_run: u64,
    /// Files copied at the same time, 1 to 100.
    pub sync_concurrency: u32,
    /// What to do about changes at the source.
    pub reconcile: Reconcile,
    /// What it is for; at most 500 characters.
    pub description: Option<String>,
    /// Key-value pairs, at most 50.
    pub metadata: Metadata,
    /// Settings of the published service's own pipeline: kept and returned, not acted upon.
    pub pipeline: Pipeline,
}

/// Settings of the published service's own pipeline: kept and returned, not acted upon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// 1 to 100.
    pub batch_size: u32,
    /// Whether batches are left unsubmitted.
    pub skip_batch_submission: bool,
    /// Which collections batches go to.
    pub batch_collection_ids: Option<Vec<String>>,
    /// A retriever that filters.
    pub ingest_filter: Option<Value>,
    /// Whether equal source objects are copied once. Wharf always does.
    pub skip_duplicates: bool,
}

/// How a sync stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SyncState {
    /// It runs.
    Active,
    /// An `initial_only` sync has had its complete pass.
    Completed,
    /// Its connection was archived; it will never run again.
    ConnectionArchived,
}

impl SyncState {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Completed => "completed",
            Self::ConnectionArchived => "connection_archived",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Completed, Self::ConnectionArchived]
            .into_iter()
            .find(|state| state.as_str() == text)
    }

    /// The status on the wire.
    pub fn public_status(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Completed => "COMPLETED",
            Self::ConnectionArchived => "ARCHIVED",
        }
    }
}

/// The provider's place in a listing; opaque to everyone else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// Our durable progress through a pass over the source. It survives jobs until the pass is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Counts the passes of this sync, from 1. Catalogue entries are marked with the pass that saw them last.
    pub pass: u64,
    /// Where the listing goes on; `None` at its start.
    pub cursor: Option<Cursor>,
    /// Files dealt with in this pass.
    pub objects_processed: u64,
    /// Files of this pass that were not copied as they were listed: they changed meanwhile, or failed.
    pub unsettled: u64,
    /// Passes that an initial sync has made in addition to its first, for unsettled files.
    pub extra_passes: u32,
    /// The connection's credential version under which the pass began. A pass never goes on under another one: its
    /// cursor, and what it has seen, belong to one account.
    pub credential_version: u64,
}

impl Checkpoint {
    /// The start of the pass after `last_pass`.
    pub fn start(last_pass: u64, credential_version: u64) -> Self {
        Self {
            pass: last_pass + 1,
            cursor: None,
            objects_processed: 0,
            unsettled: 0,
            extra_passes: 0,
            credential_version,
        }
    }
}

/// Who holds a sync at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseHolder {
    /// The job that runs.
    pub job: JobId,
    /// The worker that runs it.
    pub worker: String,
    /// Since when.
    pub acquired_at: Timestamp,
    /// Until when, unless extended.
    pub expires_at: Timestamp,
}

/// Sums over all runs of a sync.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SyncTotals {
    /// What all jobs counted.
    pub counters: Counters,
    /// Jobs that completed.
    pub runs_completed: u64,
    /// Jobs that failed.
    pub runs_failed: u64,
}

/// A stored sync.
#[derive(Debug, Clone, PartialEq)]
pub struct Sync {
    /// Its identifier.
    pub id: SyncId,
    /// Where the objects go.
    pub bucket: BucketId,
    /// The namespace of that bucket.
    pub namespace: NamespaceId,
    /// The connection it reads through.
    pub connection: ConnectionId,
    /// Whether it runs once or goes on.
    pub mode: SyncMode,
    /// What and how it copies.
    pub settings: SyncSettings,
    /// How it stands.
    pub state: SyncState,
    /// When it is due; `None` when nothing is planned.
    pub next_run_at: Option<Timestamp>,
    /// The job that waits for a worker.
    pub queued_job: Option<JobId>,
    /// Who runs it, while the lease has not expired.
    pub lease: Option<LeaseHolder>,
    /// Passes begun.
    pub last_pass: u64,
    /// Progress of a pass that is not complete.
    pub checkpoint: Option<Checkpoint>,
    /// Sums over all runs.
    pub totals: SyncTotals,
    /// When a run last completed.
    pub last_sync_at: Option<Timestamp>,
    /// What went wrong last, in our own words.
    pub last_error: Option<String>,
    /// Failed runs in a row.
    pub consecutive_failures: u32,
    /// Counts changes by people: the optimistic lock.
    pub revision: u64,
    /// Who created it.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Which syncs a list should contain; all conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncFilter {
    /// Through this connection.
    pub connection: Option<ConnectionId>,
    /// In this state.
    pub state: Option<SyncState>,
    /// Running or not.
    pub is_active: Option<bool>,
}

/// A worker's right to run a sync until it expires. Every write of a run carries it; a newer fence voids it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The sync.
    pub sync: SyncId,
    /// The run.
    pub job: JobId,
    /// Grows with every lease of this sync.
    pub fence: u64,
}
