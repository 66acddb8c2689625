//! Syncs: the standing intent to copy one source path into one bucket.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::filter::{FileFilters, ProviderFilters};
use crate::ids::{BucketId, ConnectionId, JobId, NamespaceId, SyncId, UserId};
use crate::job::{Counters, JobEnd, JobStatus};
use crate::mapping::SchemaMapping;
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
    /// Files that the filters no longer let through become tombstones.
    pub on_filter_drift: bool,
    /// Mapped fields are extracted again when a file is copied again; otherwise they stay as they were.
    pub re_extract_on_update: bool,
    /// Extracted again only when one of these keys of the file's metadata has changed; `None` for any change.
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
    /// Which files it copies; every one when there are none.
    #[serde(default)]
    pub file_filters: Option<FileFilters>,
    /// What of the source path the provider is asked for at all.
    #[serde(default)]
    pub provider_filters: Option<ProviderFilters>,
    /// Only files modified after this time.
    #[serde(default)]
    pub sync_from: Option<Timestamp>,
    /// How fields and blobs are made of a file's tags, metadata, name and path.
    #[serde(default)]
    pub schema_mapping: Option<SchemaMapping>,
    /// Whether a file that another sync has brought into the bucket is shared with it instead of copied again.
    #[serde(default = "yes")]
    pub skip_duplicates: bool,
    /// What it is for; at most 500 characters.
    pub description: Option<String>,
    /// Key-value pairs, at most 50.
    pub metadata: Metadata,
    /// Settings of the published service's own pipeline: kept and returned, not acted upon.
    pub pipeline: Pipeline,
}

impl SyncSettings {
    /// The prefix that files must have to be taken.
    pub fn prefix(&self) -> Option<&str> {
        self.provider_filters.as_ref()?.prefix.as_deref()
    }

    /// What the provider is asked to keep to: the prefix only where that makes no difference. A file outside of it is not listed at all, and it cannot be told
    /// whether it vanished or is merely filtered: so that is done only where the same becomes of both.
    pub fn pushed_down(&self) -> ProviderFilters {
        let same = self.reconcile.on_delete == self.reconcile.on_filter_drift;
        let mut filters = self.provider_filters.clone().unwrap_or_default();
        filters.prefix = filters.prefix.filter(|_| same);
        filters
    }
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
}

/// What the published service's contract assumes where nothing is stored.
fn yes() -> bool {
    true
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
}

/// How a sync stands for its users: its state, and whether it is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SyncStatus {
    /// It runs.
    Active,
    /// A person has paused it.
    Suspended,
    /// An `initial_only` sync has had its complete pass.
    Completed,
    /// Its connection was archived.
    Archived,
}

impl SyncStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::Completed => "COMPLETED",
            Self::Archived => "ARCHIVED",
        }
    }

    /// Reads the word, in any letter case.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Active,
            Self::Suspended,
            Self::Completed,
            Self::Archived,
        ]
        .into_iter()
        .find(|status| status.as_str().eq_ignore_ascii_case(text))
    }
}

impl Sync {
    /// When it runs next; `None` while it is paused, and when nothing is planned.
    pub fn runs_next_at(&self) -> Option<Timestamp> {
        self.next_run_at.filter(|_| self.paused.is_none())
    }

    /// How it stands for its users: only an active one can be suspended.
    pub fn status(&self) -> SyncStatus {
        match self.state {
            SyncState::Active if self.paused.is_some() => SyncStatus::Suspended,
            SyncState::Active => SyncStatus::Active,
            SyncState::Completed => SyncStatus::Completed,
            SyncState::ConnectionArchived => SyncStatus::Archived,
        }
    }
}

/// The provider's place in a listing; opaque to everyone else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// Where a provider's feed of changes stands for a sync: all before it has been dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// The provider's place.
    pub cursor: Cursor,
    /// What was listed. A feed never goes on over another scope.
    pub scope: String,
    /// The connection's credential version: a feed belongs to one account.
    pub credential_version: u64,
    /// When the whole source was last listed to its end, by the database's clock.
    pub listed_at: Timestamp,
}

/// A channel through which a provider tells that something changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushChannel {
    /// Our name of it, in the address that the provider calls.
    pub channel: String,
    /// The provider's name of what it watches; needed to end it.
    pub resource: String,
    /// The scope of the source that it watches.
    #[serde(default)]
    pub scope: String,
    /// Of which version of the connection's credentials it was opened.
    #[serde(default)]
    pub credential_version: u64,
    /// SHA-256 of the word that authenticates the provider, in lower-case hex.
    pub token_sha256: String,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

impl PushChannel {
    /// Whether less than a quarter of its term is left: another is to take its place before it ends.
    pub fn is_ending(&self, now: Timestamp) -> bool {
        let term = self.expires_at - self.began_at;
        self.expires_at - now <= term / 4
    }
}

/// What a pass goes over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassKind {
    /// The whole source.
    #[default]
    Listing,
    /// What has changed since an earlier pass.
    Changes,
}

/// How a pass compares its listing with the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Both are merged as sorted streams: every entry so far came after the one before it, by its bytes. What the catalogue
    /// has between two pages' ends and no page named is missing.
    Sorted {
        /// The last entry so far; `None` before the first.
        last: Option<String>,
    },
    /// A page was out of order: from there on, what is seen is marked with the pass, and what has no mark at the end is
    /// missing.
    Marked {
        /// The last entry up to which the pass was merged: only catalogue entries beyond it need marks.
        beyond: Option<String>,
    },
}

/// Our durable progress through a pass over the source. It survives jobs until the pass is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Counts the passes of this sync, from 1.
    pub pass: u64,
    /// What is listed: the source path with what is pushed down to the provider. A pass never goes on over another scope.
    #[serde(default)]
    pub scope: String,
    /// How the listing is compared with the catalogue. A checkpoint of an older version knows nothing of order.
    #[serde(default = "Order::unknown")]
    pub order: Order,
    /// Source paths below which the identity may not look: nothing there counts as missing. At most [`MOST_DENIED`].
    #[serde(default)]
    pub denied: Vec<String>,
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
    /// What the pass goes over.
    #[serde(default)]
    pub kind: PassKind,
    /// Where the feed of changes stands when the pass is through: of a listing, the place that was asked for before it began; of
    /// changes, the last one, once it has come there. `None` where there is no feed.
    #[serde(default)]
    pub feed: Option<Cursor>,
}

/// Most denied paths that a pass remembers; with more, nothing at all counts as missing.
pub const MOST_DENIED: usize = 100;

impl Order {
    fn unknown() -> Self {
        Self::Marked { beyond: None }
    }
}

impl Checkpoint {
    /// The start of the pass after `last_pass` over `scope`.
    pub fn start(last_pass: u64, scope: String, credential_version: u64) -> Self {
        Self {
            pass: last_pass + 1,
            scope,
            order: Order::Sorted { last: None },
            denied: Vec::new(),
            cursor: None,
            objects_processed: 0,
            unsettled: 0,
            extra_passes: 0,
            credential_version,
            kind: PassKind::Listing,
            feed: None,
        }
    }
}

impl Feed {
    /// The feed behind a complete pass that ended at `now`, in place of the one before it.
    pub fn behind(checkpoint: &Checkpoint, before: Option<&Self>, now: Timestamp) -> Option<Self> {
        let listed_at = match checkpoint.kind {
            PassKind::Listing => now,
            PassKind::Changes => before.map_or(now, |before| before.listed_at),
        };
        Some(Self {
            cursor: checkpoint.feed.clone()?,
            scope: checkpoint.scope.clone(),
            credential_version: checkpoint.credential_version,
            listed_at,
        })
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

/// What the last run of a sync did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    /// What it counted.
    pub counters: Counters,
    /// How long it took.
    pub micros: u64,
    /// When it ended.
    pub ended_at: Timestamp,
}

impl LastRun {
    /// Files dealt with per minute; zero when it took no time.
    pub fn objects_per_minute(&self) -> f64 {
        per_minute(self.counters.discovered, self.micros)
    }
}

/// A rate per minute.
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate for people needs no more digits"
)]
pub fn per_minute(count: u64, micros: u64) -> f64 {
    if micros == 0 {
        return 0.0;
    }
    count as f64 / (micros as f64 / 60_000_000.0)
}

/// How the runs of a sync went, beside what they counted. Stored as JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunStats {
    /// How long all runs took together.
    #[serde(default)]
    pub total_micros: u64,
    /// Runs that completed and in which nothing failed.
    #[serde(default)]
    pub clean: u64,
    /// Runs that failed, or in which something did.
    #[serde(default)]
    pub with_failures: u64,
    /// Most files per minute that any run dealt with.
    #[serde(default)]
    pub peak_objects_per_minute: f64,
    /// The last run.
    #[serde(default)]
    pub last_run: Option<LastRun>,
}

impl RunStats {
    /// Takes a run that has ended into account.
    #[must_use]
    pub fn with_run(
        mut self,
        end: &JobEnd,
        counters: Counters,
        took: Duration,
        now: Timestamp,
    ) -> Self {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.total_micros = self.total_micros.saturating_add(micros);
        if end.status == JobStatus::Failed || counters.failed > 0 {
            self.with_failures += 1;
        } else if end.status == JobStatus::Completed {
            self.clean += 1;
        }
        let run = LastRun {
            counters,
            micros,
            ended_at: now,
        };
        self.peak_objects_per_minute = self.peak_objects_per_minute.max(run.objects_per_minute());
        self.last_run = Some(run);
        self
    }
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
    /// How they went.
    pub stats: RunStats,
}

/// A person's wish that a sync does not run for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub at: Timestamp,
    /// Whose wish.
    pub by: UserId,
    /// Why; at most 500 characters.
    pub reason: Option<String>,
}

/// Deletes that wait for a second complete pass or a person. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldDeletes {
    /// The pass that found them missing first.
    pub pass: u64,
    /// How many objects.
    pub count: u64,
    /// Since when.
    pub since: Timestamp,
    /// Why they wait, for a person.
    pub reason: String,
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
    /// Set while a person has it paused.
    pub paused: Option<Pause>,
    /// Whether another run over the whole source was asked for while one was at work; the next lease begins it.
    pub pending_full: bool,
    /// Deletes that wait.
    pub held_deletes: Option<HeldDeletes>,
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
    /// Where the provider's feed of changes stands, once the whole source was listed. Forgotten when a run over the whole source is
    /// asked for, and when the sync's rules change.
    pub feed: Option<Feed>,
    /// Where the provider pushes news of changes to, if it does.
    pub push: Option<PushChannel>,
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
    /// With this public status.
    pub status: Option<SyncStatus>,
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
