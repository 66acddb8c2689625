use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wharf_domain::Metadata;
use wharf_domain::filter::{FileFilters, ProviderFilters};
use wharf_domain::ids::{ConnectionId, OrganizationId};
use wharf_domain::mapping::SchemaMapping;
use wharf_domain::sync::{HeldDeletes, Reconcile, Sync, SyncStatus};
use wharf_engine::{Caller, EngineError};

use super::pipeline::PipelineView;
use super::place::PlaceView;
use super::stats::SyncStats;
use crate::{ApiState, time};

/// The only shard that a sync has.
pub(super) const SHARD: &str = "__default__";

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
    /// Which files are copied; null for every one.
    #[schema(value_type = Option<Object>)]
    file_filters: Option<FileFilters>,
    /// What of the source path the provider is asked for; null for all.
    #[schema(value_type = Option<Object>)]
    provider_filters: Option<ProviderFilters>,
    /// How fields and blobs are made; null for files as they are.
    #[schema(value_type = Option<Object>)]
    schema_mapping: Option<SchemaMapping>,
    /// Only files modified after this time.
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    sync_from: Option<DateTime<Utc>>,
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
    /// Whether a file that another sync has brought into the bucket is shared with it.
    skip_duplicates: bool,
    #[serde(flatten)]
    pipeline: PipelineView,
    reconcile: ReconcileView,
    /// `ACTIVE`, `SUSPENDED` (paused), `COMPLETED` (an `initial_only` sync has had its complete pass) or `ARCHIVED` (its
    /// connection is).
    #[schema(value_type = String)]
    status: &'static str,
    /// Why it does not run: `paused` or `connection_archived`.
    #[schema(value_type = Option<String>)]
    status_reason: Option<&'static str>,
    is_active: bool,
    total_files_discovered: u64,
    total_files_synced: u64,
    total_files_failed: u64,
    total_bytes_synced: u64,
    /// Null before the first run has ended.
    stats: Option<SyncStats>,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    last_sync_at: Option<DateTime<Utc>>,
    /// `last_sync_at` under the key `__default__`: a sync has one shard.
    #[schema(value_type = Object)]
    per_shard_last_sync_at: BTreeMap<&'static str, String>,
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
    /// Whether a run over the whole source follows the one at work.
    pending_full_sync: bool,
    paused: bool,
    pause_reason: Option<String>,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    paused_at: Option<DateTime<Utc>>,
    paused_by_user_id: Option<String>,
    /// Deletes that wait for the next complete pass to agree, or for a person.
    held_deletes: Option<HeldDeletesView>,
    /// When the whole source was last listed to its end, where the provider's feed of changes tells of the rest since.
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    last_full_listing_at: Option<DateTime<Utc>>,
    /// The channel through which the provider tells of changes; null where runs come by the clock alone.
    push: Option<PushView>,
    /// Jobs that ended.
    sync_run_counter: u64,
    #[serde(flatten)]
    place: PlaceView,
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

/// A channel through which a provider tells of changes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PushChannel)]
pub(crate) struct PushView {
    /// Until when, unless it is renewed before.
    #[serde(serialize_with = "crate::time::rfc3339")]
    expires_at: DateTime<Utc>,
}

/// Deletes that wait.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HeldDeletes)]
pub(crate) struct HeldDeletesView {
    /// How many objects.
    count: u64,
    #[serde(serialize_with = "crate::time::rfc3339")]
    since: DateTime<Utc>,
    /// Why they wait, for a person.
    reason: String,
}

impl From<HeldDeletes> for HeldDeletesView {
    fn from(held: HeldDeletes) -> Self {
        Self {
            count: held.count,
            since: held.since,
            reason: held.reason,
        }
    }
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

impl SyncView {
    fn new(sync: Sync, organization: &OrganizationId, source_type: Option<&'static str>) -> Self {
        let place = PlaceView::from(&sync);
        let next_sync_at = sync.runs_next_at();
        let schedule = json!({
            "mode": sync.mode.as_str(),
            "interval_seconds": sync.settings.polling_interval_seconds,
            "next_run_at": next_sync_at.as_ref().map(time::text),
            "last_run_at": sync.last_sync_at.as_ref().map(time::text),
        });
        let status = sync.status();
        let (pause_reason, paused_at, paused_by) = match sync.paused {
            None => (None, None, None),
            Some(pause) => (pause.reason, Some(pause.at), Some(pause.by.to_string())),
        };
        Self {
            internal_id: organization.to_string(),
            source_type,
            sync_mode: sync.mode.as_str(),
            status: status.as_str(),
            status_reason: match status {
                SyncStatus::Suspended => Some("paused"),
                SyncStatus::Archived => Some("connection_archived"),
                SyncStatus::Active | SyncStatus::Completed => None,
            },
            is_active: status == SyncStatus::Active,
            total_files_discovered: sync.totals.counters.discovered,
            total_files_synced: sync.totals.counters.synced,
            total_files_failed: sync.totals.counters.failed,
            total_bytes_synced: sync.totals.counters.bytes,
            stats: SyncStats::of(&sync.totals),
            locked: sync.lease.is_some(),
            locked_by_worker_id: sync.lease.as_ref().map(|lease| lease.worker.clone()),
            locked_at: sync.lease.as_ref().map(|lease| lease.acquired_at),
            lock_expires_at: sync.lease.as_ref().map(|lease| lease.expires_at),
            pending_full_sync: sync.pending_full,
            paused: paused_at.is_some(),
            pause_reason,
            paused_at,
            paused_by_user_id: paused_by,
            held_deletes: sync.held_deletes.map(Into::into),
            last_full_listing_at: sync.feed.map(|feed| feed.listed_at),
            push: sync.push.map(|push| PushView {
                expires_at: push.expires_at,
            }),
            sync_run_counter: sync.totals.runs_completed + sync.totals.runs_failed,
            place,
            schedule,
            sync_config_id: sync.id.to_string(),
            bucket_id: sync.bucket.to_string(),
            connection_id: sync.connection.to_string(),
            namespace_id: sync.namespace.to_string(),
            source_path: sync.settings.source_path,
            file_filters: sync.settings.file_filters,
            provider_filters: sync.settings.provider_filters,
            schema_mapping: sync.settings.schema_mapping,
            sync_from: sync.settings.sync_from,
            polling_interval_seconds: sync.settings.polling_interval_seconds,
            max_objects_per_run: sync.settings.max_objects_per_run,
            sync_concurrency: sync.settings.sync_concurrency,
            create_object_on_confirm: true,
            skip_duplicates: sync.settings.skip_duplicates,
            pipeline: sync.settings.pipeline.into(),
            reconcile: sync.settings.reconcile.into(),
            per_shard_last_sync_at: sync
                .last_sync_at
                .iter()
                .map(|at| (SHARD, time::text(at)))
                .collect(),
            last_sync_at: sync.last_sync_at,
            next_sync_at,
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
            let found = match state.engine().connection_of(caller, &sync).await {
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
