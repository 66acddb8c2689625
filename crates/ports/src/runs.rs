use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::OrganizationId;
use wharf_domain::job::JobEnd;
use wharf_domain::run::commit::{Commit, Standing};
use wharf_domain::run::deletes::{Hold, LetGo, MarkAbsent, MarkMissing, RowKey, Survey};
use wharf_domain::run::feed::MissingRow;
use wharf_domain::sync::{Lease, PushChannel, Sync};

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

/// What a worker does with the sync it has leased. Every write carries the lease and is refused when a newer fence
/// exists or the lease is not this job's; every write extends the lease by the time it was leased for. Steps that publish,
/// mark or bury check the connection's [`Standing`], too, and keep it so until they are stored.
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

    /// Publishes one step, as [`Commit`] tells field by field. A put is passed over when the bucket's object is no longer
    /// what the copy was planned on (another blob, or deleted or revived since): then somebody else was faster, and it counts
    /// as verified instead of synced, without its bytes; the sync holds on to that object all the same. Counters go to the
    /// job and the sync. The audit row is stored if at least one object was published (with `passed_over` in its changes if
    /// some were not).
    ///
    /// A step that names nothing but counters, checkpoint and phase writes nothing to the catalogue.
    async fn commit(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        commit: &Commit,
        audit: Option<NewAuditRow>,
    ) -> Result<(), RunError>;

    /// Marks rows that the complete pass did not see; returns where the next step begins, `None` when there is none.
    async fn mark_missing(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &MarkMissing,
    ) -> Result<Option<RowKey>, RunError>;

    /// Marks rows that a feed tells are not in the source any more ([`MarkAbsent`]): they are missing from this pass on, and hidden
    /// where that is not certain (certain where both are told); that this pass saw them earlier is forgotten. Since when a complete
    /// pass has found them so stays as it is. Returns how many: fewer than the limit means that none is left.
    async fn mark_absent(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &MarkAbsent,
    ) -> Result<u64, RunError>;

    /// Rows of the authority that the pass found missing and did not see, that point at an object and are not hidden, in the order
    /// of their identities' bytes from `after` on; at most `limit`.
    async fn missing_rows(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        pass: u64,
        authority: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<MissingRow>, RunError>;

    /// Notes the channel that the provider pushes to for the sync, in place of an earlier one; `None`: there is none any more.
    async fn keep_channel(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        channel: Option<PushChannel>,
    ) -> Result<(), RunError>;

    /// Counts what the pass found missing outside the denied source paths. Only rows that point at an object count, live or
    /// tombstone. A denied path is the beginning of the object's `path`, byte for byte.
    async fn survey(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        pass: u64,
        denied: &[String],
    ) -> Result<Survey, RunError>;

    /// Holds deletes back: rows that this pass found missing, that no complete pass had found so before, and that point at an
    /// object outside the denied source paths are marked as found so. Returns how many were marked in this step, and adds
    /// them to the `held` counters. The step that marks fewer than its limit is the last one: it sets the sync's
    /// `held_deletes` to all rows that a complete pass has found missing (`since` and `pass` of an earlier hold stay, and it is
    /// none when there are no such rows), and stores the audit row (with their number as `held` in its changes) if that is
    /// not what they were.
    async fn hold(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &Hold,
        audit: NewAuditRow,
    ) -> Result<u64, RunError>;

    /// Lets go of rows that the pass found missing: makes tombstones of those objects that are live and that no other sync
    /// holds on to; adds to the `deleted` counters; stores the audit row (with the number of tombstones as `deleted` in its
    /// changes) if there are any. Rows that point at no object just go, whoever agrees. Returns how many rows went: zero means
    /// that none is left. When none is left and no row remains that a complete pass has found missing, the sync's
    /// `held_deletes` are cleared.
    async fn let_go(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &LetGo,
        audit: NewAuditRow,
    ) -> Result<u64, RunError>;

    /// Ends the job and releases the lease. A complete pass (`Completed` without `incomplete_reason`) clears the
    /// checkpoint and, on an `initial_only` sync, makes the sync `completed`, not paused, with nothing planned. A pass that [saw all that it may](JobEnd::saw_what_it_may)
    /// keeps the feed behind it ([`Feed::behind`](wharf_domain::sync::Feed::behind), `None` included). Otherwise the sync is
    /// due again after `delay` (any sync at once if a job is queued or a full run was asked for meanwhile); one that its channel rang for meanwhile, after
    /// [`JobEnd::ring_rest`] if that is sooner. `Completed` resets the
    /// sync's failure count and error, sets `last_sync_at`; `Failed` adds one and keeps the error. An `Interrupted` job's
    /// successor is a `resume` of it and due after `delay`. The run is added to the sync's
    /// [`RunStats`](wharf_domain::sync::RunStats), unless it was `Skipped`. Stores the audit row.
    async fn finish(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        end: JobEnd,
        delay: Duration,
        audit: NewAuditRow,
    ) -> Result<(), RunError>;
}
