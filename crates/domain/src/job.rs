//! Jobs: one run of a sync each, and what it counted.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::{BucketId, JobId, NamespaceId, SyncId};
use crate::run::ending::SCOPE_DENIED;

/// How long a sync that a channel rang for rests after a run that went well: a busy source rings all the time.
pub const RING_REST: Duration = Duration::from_secs(2);

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// The word in the database and on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// Reads the word.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// How a job stands. A job is born running.
    JobStatus {
        /// Waiting for a worker, or at work.
        Running => "running",
        /// Ended; objects may have failed in it.
        Completed => "completed",
        /// Ended by an error that concerns the whole run.
        Failed => "failed",
        /// Its process died or was stopped; another job goes on from its checkpoint.
        Interrupted => "interrupted",
        /// Ended without starting, because its sync or connection does not run.
        Skipped => "skipped",
    }
}

words! {
    /// Why a job was started.
    JobTrigger {
        /// By the clock, or by the sync's creation.
        Scheduled => "scheduled",
        /// By a person.
        Manual => "manual",
        /// To go on after an interrupted job.
        Resume => "resume",
    }
}

words! {
    /// What a running job is doing.
    JobPhase {
        /// Waiting for a worker.
        Queued => "queued",
        /// Listing the source.
        Discovering => "discovering",
        /// Copying files.
        Downloading => "downloading",
        /// Finding out what vanished, and letting go of it.
        Verifying => "verifying",
        /// Going over files that are all as they were.
        ReVerifying => "re-verifying",
        /// Ended.
        Idle => "idle",
    }
}

/// What a run counted. `discovered = synced + verified + filtered + skipped + failed + not_reached`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Files that the listing told of.
    pub discovered: u64,
    /// Files copied.
    pub synced: u64,
    /// Files found unchanged.
    pub verified: u64,
    /// Files that a rule leaves out.
    pub filtered: u64,
    /// Files left out for a reason at the source.
    pub skipped: u64,
    /// Files that could not be copied.
    pub failed: u64,
    /// Files that the run did not come to.
    pub not_reached: u64,
    /// Objects that became tombstones.
    pub deleted: u64,
    /// Deletes that wait for a second look.
    pub held: u64,
    /// Bytes copied.
    pub bytes: u64,
    /// Rule → files it left out.
    pub filtered_by: BTreeMap<String, u64>,
    /// Reason → files left out for it.
    pub skipped_by: BTreeMap<String, u64>,
    /// Error code → files that could not be copied because of it.
    #[serde(default)]
    pub failed_by: BTreeMap<String, u64>,
}

impl Counters {
    /// Adds another count to this one.
    pub fn add(&mut self, other: &Self) {
        self.discovered += other.discovered;
        self.synced += other.synced;
        self.verified += other.verified;
        self.filtered += other.filtered;
        self.skipped += other.skipped;
        self.failed += other.failed;
        self.not_reached += other.not_reached;
        self.deleted += other.deleted;
        self.held += other.held;
        self.bytes += other.bytes;
        for (rule, n) in &other.filtered_by {
            *self.filtered_by.entry(rule.clone()).or_default() += n;
        }
        for (reason, n) in &other.skipped_by {
            *self.skipped_by.entry(reason.clone()).or_default() += n;
        }
        for (code, n) in &other.failed_by {
            *self.failed_by.entry(code.clone()).or_default() += n;
        }
    }

    /// Notes one file that could not be copied and why.
    pub fn fail(&mut self, code: &str) {
        self.failed += 1;
        *self.failed_by.entry(code.to_owned()).or_default() += 1;
    }

    /// Notes one file that a rule leaves out.
    pub fn filter(&mut self, rule: &str) {
        self.filtered += 1;
        *self.filtered_by.entry(rule.to_owned()).or_default() += 1;
    }

    /// Notes one skipped file and why.
    pub fn skip(&mut self, reason: &str) {
        self.skipped += 1;
        *self.skipped_by.entry(reason.to_owned()).or_default() += 1;
    }

    /// Files that are accounted for.
    pub(crate) fn accounted_for(&self) -> u64 {
        self.synced + self.verified + self.filtered + self.skipped + self.failed + self.not_reached
    }

    /// Whether every discovered file is accounted for.
    pub fn conserved(&self) -> bool {
        self.discovered == self.accounted_for()
    }
}

/// A stored job.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its identifier.
    pub id: JobId,
    /// The sync it is a run of.
    pub sync: SyncId,
    /// The bucket of that sync.
    pub bucket: BucketId,
    /// The namespace of that bucket.
    pub namespace: NamespaceId,
    /// How it stands.
    pub status: JobStatus,
    /// Why it was started.
    pub trigger: JobTrigger,
    /// What it is doing.
    pub phase: JobPhase,
    /// What it counted so far.
    pub counters: Counters,
    /// Whether its pass over the source was complete; `None` while it runs.
    pub complete: Option<bool>,
    /// Why it was not.
    pub incomplete_reason: Option<String>,
    /// What ended it; at most 1000 characters, our own words.
    pub error: Option<String>,
    /// The interrupted job it goes on from.
    pub resumed_from: Option<JobId>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When a worker took it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// When it last told of progress.
    pub updated_at: Timestamp,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    /// `Completed`, `Failed`, `Interrupted` or `Skipped`.
    pub status: JobStatus,
    /// Why the pass was not complete; `None` when it was.
    pub incomplete_reason: Option<String>,
    /// What ended it, in our own words.
    pub error: Option<String>,
}

impl JobEnd {
    /// The whole source was seen.
    pub fn complete() -> Self {
        Self {
            status: JobStatus::Completed,
            incomplete_reason: None,
            error: None,
        }
    }

    /// Whether all of the source was seen that this identity may see.
    pub fn saw_what_it_may(&self) -> bool {
        self.status == JobStatus::Completed
            && self
                .incomplete_reason
                .as_deref()
                .is_none_or(|reason| reason == SCOPE_DENIED)
    }

    /// How long no channel hurries the sync that is to pause so long: all of the pause behind a failure, or a provider's wish to be
    /// left alone.
    pub fn ring_rest(&self, pause: Duration) -> Duration {
        if self.status == JobStatus::Completed && self.error.is_none() {
            RING_REST
        } else {
            pause
        }
    }

    /// The run ended in good order before the whole source was seen.
    pub fn incomplete(reason: impl Into<String>) -> Self {
        Self {
            status: JobStatus::Completed,
            incomplete_reason: Some(reason.into()),
            error: None,
        }
    }

    /// The run ended by an error.
    pub fn failed(reason: impl Into<String>, error: String) -> Self {
        Self {
            status: JobStatus::Failed,
            incomplete_reason: Some(reason.into()),
            error: Some(error),
        }
    }

    /// The run was stopped and goes on later.
    pub fn interrupted(reason: impl Into<String>) -> Self {
        Self {
            status: JobStatus::Interrupted,
            incomplete_reason: Some(reason.into()),
            error: None,
        }
    }

    /// The run never started.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self {
            status: JobStatus::Skipped,
            incomplete_reason: Some(reason.into()),
            error: None,
        }
    }
}
