use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wharf_domain::Metadata;
use wharf_domain::ids::{ConnectionId, OrganizationId};
use wharf_domain::sync::{Reconcile, Sync, SyncState, SyncTotals};
use wharf_engine::{Caller, EngineError};

use crate::{ApiState, time};

/// A sync. Cursors are never shown: they are the provider's and may hold tokens.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncConfigurationModel)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the contract's fields are flags"
)]
pub(crate) struct SyncView {
    /// `sync_` and 16 hex digits.
    sync_config_id: String,
    bucket_id: String,
    connection_id: String,
    /// The organization that owns it.
    internal_id: String,
    namespace_id: String,
    source_path: String,
    /// The connection's provider.
    #[schema(value_type = Option<String>)]
    source_type: Option<&'static str>,
    /// `initial_only` or `continuous`.
    #[schema(value_type = String)]
    sync_mode: &'static str,
    polling_interval_seconds: u32,
    max_objects_per_run: u64,
    sync_concurrency: u32,
    /// Always true: an object exists as soon as its bytes are verified.
    create_object_on_confirm: bool,
    /// Always true: equal source objects are copied once.
    skip_duplicates: bool,
    /// Kept, not acted upon.
    batch_size: u32,
    /// Kept, not acted upon.
    skip_batch_submission: bool,
    /// Kept, not acted upon.
    batch_collection_ids: Option<Vec<String>>,
    /// Kept, not acted upon.
    #[schema(value_type = Option<Object>)]
    ingest_filter: Option<Value>,
    reconcile: ReconcileView,
    /// `ACTIVE`, `COMPLETED` or `ARCHIVED`.
    #[schema(value_type = String)]
    status: &'static str,
    /// Why it does not run any more.
    #[schema(value_type = Option<String>)]
    status_reason: Option<&'static str>,
    is_active: bool,
    total_files_discovered: u64,
    total_files_synced: u64,
    total_files_failed: u64,
    total_bytes_synced: u64,
    stats: SyncStats,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    last_sync_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    next_sync_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
    consecutive_failures: u32,
    /// Whether a worker runs it now.
    locked: bool,
    locked_by_worker_id: Option<String>,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    locked_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    lock_expires_at: Option<DateTime<Utc>>,
    /// Always false in this version.
    paused: bool,
    /// Deletes that wait for a person; none in this version.
    #[schema(value_type = Option<Object>)]
    held_deletes: Option<Value>,
    /// The job at work or queued.
    current_sync_run_id: Option<String>,
    /// Jobs that ended.
    sync_run_counter: u64,
    /// Always true: a run that was interrupted goes on where it stopped.
    resume_enabled: bool,
    /// Files dealt with in a pass that is not complete.
    resume_objects_processed: u64,
    /// The place of a pass that is not complete, under the key `default`.
    #[schema(value_type = Object)]
    sync_checkpoints: BTreeMap<&'static str, Value>,
    /// `mode`, `interval_seconds`, `next_run_at` and `last_run_at`.
    #[schema(value_type = Object)]
    schedule: Value,
    description: Option<String>,
    #[schema(value_type = Object)]
    metadata: Metadata,
    /// Grows with every change by a person.
    revision: u64,
    created_by_user_id: String,
    #[serde(serialize_with = "crate::time::rfc3339")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "crate::time::rfc3339")]
    updated_at: DateTime<Utc>,
}

/// What a run does about changes at the source.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReconcileSettings)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the contract's four independent switches"
)]
pub(crate) struct ReconcileView {
    on_delete: bool,
    on_update: bool,
    on_filter_drift: bool,
    re_extract_on_update: bool,
    re_extract_fields: Option<Vec<String>>,
}

/// Sums over all runs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncStatsModel)]
#[expect(clippy::struct_field_names, reason = "the contract's names")]
pub(crate) struct SyncStats {
    total_objects_discovered: u64,
    total_objects_synced: u64,
    total_objects_verified: u64,
    total_objects_skipped: u64,
    total_objects_failed: u64,
    total_bytes_synced: u64,
    total_runs_completed: u64,
    total_runs_failed: u64,
}

impl From<Reconcile> for ReconcileView {
    fn from(reconcile: Reconcile) -> Self {
        Self {
            on_delete: reconcile.on_delete,
            on_update: reconcile.on_update,
            on_filter_drift: reconcile.on_filter_drift,
            re_extract_on_update: reconcile.re_extract_on_update,
            re_extract_fields: reconcile.re_extract_fields,
        }
    }
}

impl From<&SyncTotals> for SyncStats {
    fn from(totals: &SyncTotals) -> Self {
        Self {
            total_objects_discovered: totals.counters.discovered,
            total_objects_synced: totals.counters.synced,
            total_objects_verified: totals.counters.verified,
            total_objects_skipped: totals.counters.skipped,
            total_objects_failed: totals.counters.failed,
            total_bytes_synced: totals.counters.bytes,
            total_runs_completed: totals.runs_completed,
            total_runs_failed: totals.runs_failed,
        }
    }
}

impl SyncView {
    fn new(sync: Sync, organization: &OrganizationId, source_type: Option<&'static str>) -> Self {
        let checkpoint = sync.checkpoint.as_ref();
        let sync_checkpoints = checkpoint.map(|checkpoint| {
            let shown = json!({
                "pass_id": checkpoint.pass.to_string(),
                "cursor": null,
                "objects_processed": checkpoint.objects_processed,
            });
            ("default", shown)
        });
        let resume_objects_processed =
            checkpoint.map_or(0, |checkpoint| checkpoint.objects_processed);
        let schedule = json!({
            "mode": sync.mode.as_str(),
            "interval_seconds": sync.settings.polling_interval_seconds,
            "next_run_at": sync.next_run_at.as_ref().map(time::text),
            "last_run_at": sync.last_sync_at.as_ref().map(time::text),
        });
        let running = sync.lease.as_ref().map(|lease| lease.job.to_string());
        let archived = sync.state == SyncState::ConnectionArchived;
        Self {
            internal_id: organization.to_string(),
            source_type,
            sync_mode: sync.mode.as_str(),
            status: sync.state.public_status(),
            status_reason: archived.then_some("connection_archived"),
            is_active: sync.state == SyncState::Active,
            total_files_discovered: sync.totals.counters.discovered,
            total_files_synced: sync.totals.counters.synced,
            total_files_failed: sync.totals.counters.failed,
            total_bytes_synced: sync.totals.counters.bytes,
            stats: SyncStats::from(&sync.totals),
            locked: sync.lease.is_some(),
            locked_by_worker_id: sync.lease.as_ref().map(|lease| lease.worker.clone()),
            locked_at: sync.lease.as_ref().map(|lease| lease.acquired_at),
            lock_expires_at: sync.lease.as_ref().map(|lease| lease.expires_at),
            paused: false,
            held_deletes: None,
            current_sync_run_id: running
                .or_else(|| sync.queued_job.as_ref().map(ToString::to_string)),
            sync_run_counter: sync.totals.runs_completed + sync.totals.runs_failed,
            resume_enabled: true,
            resume_objects_processed,
            sync_checkpoints: sync_checkpoints.into_iter().collect(),
            schedule,
            sync_config_id: sync.id.to_string(),
            bucket_id: sync.bucket.to_string(),
            connection_id: sync.connection.to_string(),
            namespace_id: sync.namespace.to_string(),
            source_path: sync.settings.source_path,
            polling_interval_seconds: sync.settings.polling_interval_seconds,
            max_objects_per_run: sync.settings.max_objects_per_run,
            sync_concurrency: sync.settings.sync_concurrency,
            create_object_on_confirm: true,
            skip_duplicates: sync.settings.pipeline.skip_duplicates,
            batch_size: sync.settings.pipeline.batch_size,
            skip_batch_submission: sync.settings.pipeline.skip_batch_submission,
            batch_collection_ids: sync.settings.pipeline.batch_collection_ids,
            ingest_filter: sync.settings.pipeline.ingest_filter,
            reconcile: sync.settings.reconcile.into(),
            last_sync_at: sync.last_sync_at,
            next_sync_at: sync.next_run_at,
            last_error: sync
                .last_error
                .map(|error| error.chars().take(1000).collect()),
            consecutive_failures: sync.consecutive_failures,
            description: sync.settings.description,
            metadata: sync.settings.metadata,
            revision: sync.revision,
            created_by_user_id: sync.created_by.to_string(),
            created_at: sync.created_at,
            updated_at: sync.updated_at,
        }
    }
}

/// The views of syncs, with the provider of each one's connection.
pub(super) async fn views(
    state: &ApiState,
    caller: &Caller,
    syncs: Vec<Sync>,
) -> Result<Vec<SyncView>, EngineError> {
    let mut providers: BTreeMap<ConnectionId, Option<&'static str>> = BTreeMap::new();
    let mut views = Vec::with_capacity(syncs.len());
    for sync in syncs {
        let source_type = if let Some(known) = providers.get(&sync.connection) {
            *known
        } else {
            let found = match state
                .engine()
                .connection(caller, sync.connection.as_str())
                .await
            {
                Ok(connection) => Some(connection.provider().as_str()),
                Err(EngineError::NotFound { .. }) => None,
                Err(error) => return Err(error),
            };
            providers.insert(sync.connection.clone(), found);
            found
        };
        views.push(SyncView::new(sync, caller.organization(), source_type));
    }
    Ok(views)
}

/// The view of one sync.
pub(super) async fn view(
    state: &ApiState,
    caller: &Caller,
    sync: Sync,
) -> Result<SyncView, EngineError> {
    let mut views = views(state, caller, vec![sync]).await?;
    Ok(views.remove(0))
}
