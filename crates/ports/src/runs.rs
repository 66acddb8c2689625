use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{ObjectId, OrganizationId};
use wharf_domain::job::{Counters, JobEnd, JobPhase};
use wharf_domain::object::{Content, SourceFacts, SourceId};
use wharf_domain::plan::Known;
use wharf_domain::sync::{Checkpoint, Lease, Sync};

use crate::RepositoryError;

/// Why a write of a run was refused. Nothing of it was stored.
#[derive(Debug, Error)]
pub enum RunError {
    /// The lease expired and was taken over, or the sync is gone: the run must stop at once.
    #[error("the lease is lost")]
    LeaseLost,
    /// The connection was suspended, archived, tripped or changed since the run started: the run must stop.
    #[error("the connection is not what it was when the run started")]
    ConnectionChanged,
    /// The repository could not answer.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// An object to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Put {
    /// The identifier it gets if the bucket does not have it yet.
    pub new_id: ObjectId,
    /// What the catalogue knew of it when the copy was planned; `None` when the bucket did not have it.
    pub replaces: Option<Known>,
    /// Where it comes from.
    pub source: SourceId,
    /// What the source said about it.
    pub facts: SourceFacts,
    /// Its bytes, already in the blob store.
    pub content: Content,
}

/// One step of a run: published all together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The connection's epoch when the run started.
    pub epoch: u64,
    /// The connection's credential version when the run started.
    pub credential_version: u64,
    /// The pass that the entries below belong to.
    pub pass: u64,
    /// Objects to be published.
    pub puts: Vec<Put>,
    /// Source objects that were seen unchanged or left out: the sync holds on to them.
    pub seen: Vec<SourceId>,
    /// What to add to the job's and the sync's counters.
    pub counters: Counters,
    /// The new checkpoint, if this step ends a page.
    pub checkpoint: Option<Checkpoint>,
    /// The job's phase from here on.
    pub phase: JobPhase,
    /// The audit row for published objects; `None` when there are none.
    pub audit: Option<NewAuditRow>,
}

/// One step of letting go of what a complete listing did not show.
#[derive(Debug, Clone, PartialEq)]
pub struct LetGo {
    /// The connection's epoch when the run started.
    pub epoch: u64,
    /// The connection's credential version when the run started.
    pub credential_version: u64,
    /// The pass whose listing is complete.
    pub pass: u64,
    /// Most entries to let go in this step.
    pub limit: u32,
    /// The audit row, if there are tombstones.
    pub audit: NewAuditRow,
}

/// What a worker does with the sync it has leased. Every write carries the lease and is refused when a newer fence
/// exists or the lease is not this job's; every write extends the lease by the time it was leased for.
#[async_trait]
pub trait RunRepository: Send + std::marker::Sync {
    /// The leased sync as it is stored now; `LeaseLost` when it is no longer this run's.
    async fn load(&self, organization: &OrganizationId, lease: &Lease) -> Result<Sync, RunError>;

    /// Extends the lease to `ttl` from now, by the database's clock. An expired lease that nobody took over is still
    /// this run's.
    async fn extend(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        ttl: Duration,
    ) -> Result<(), RunError>;

    /// What the bucket of the leased sync knows of these source objects, tombstones included; unknown ones are left out.
    async fn known(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        sources: &[SourceId],
    ) -> Result<Vec<Known>, RunError>;

    /// Publishes one step: checks lease, epoch and credential version; inserts or replaces the objects by their source
    /// identity (a tombstone comes back to life), unless the bucket's object is no longer what the copy was planned on
    /// (another blob, or deleted or revived since): then somebody else was faster, the put is passed over, and counts as
    /// verified instead of synced, without its bytes; marks puts and `seen` in the sync's catalogue with the pass (`seen`
    /// objects that the bucket has and the sync did not hold on to are adopted; ones that the bucket does not have are
    /// passed over); adds the counters to the job and the sync; stores checkpoint, phase and audit row. One transaction.
    async fn commit(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        commit: Commit,
    ) -> Result<(), RunError>;

    /// After a complete listing: checks lease, epoch and credential version like [`commit`](Self::commit); lets go of up
    /// to `limit` catalogue entries that no pass from `pass` on has seen, and makes tombstones of those objects that no
    /// other sync holds on to; adds to the `deleted` counters; stores the audit row (with the number of tombstones as
    /// `deleted` in its changes) if there are any. Returns how many entries were let go: zero means that none is left.
    async fn let_go(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        step: LetGo,
    ) -> Result<u64, RunError>;

    /// Ends the job and releases the lease. A complete pass (`Completed` without `incomplete_reason`) clears the
    /// checkpoint and, on an `initial_only` sync, makes the sync `completed` with nothing planned. Otherwise the sync is
    /// due again after `delay` (at once if a job is queued). `Completed` resets the sync's failure count and error, sets
    /// `last_sync_at`; `Failed` adds one and keeps the error. An `Interrupted` job's successor is a `resume` of it and due
    /// after `delay`. Stores the audit row.
    async fn finish(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        end: JobEnd,
        delay: Duration,
        audit: NewAuditRow,
    ) -> Result<(), RunError>;
}
