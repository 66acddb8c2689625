use axum::extract::State;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use wharf_domain::input::{Length, Reader};
use wharf_domain::sync::SyncStatus;
use wharf_domain::sync_edit::SyncEdit;
use wharf_engine::{RunWish, UpdateSync};

use super::settings::{self, ReconcileRequest};
use super::view::{SyncView, view};
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::path::Segments;
use crate::revision::{IfMatch, Revised};
use crate::scope::{Authorized, InNamespace};

/// A change of a sync. What is left out stays as it is; `null` clears what can be nothing and leaves the rest as it is.
#[derive(ToSchema)]
#[schema(as = SyncUpdateRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct UpdateSyncRequest {
    /// An empty one clears it.
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Replaces all key-value pairs.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// `ACTIVE` resumes the sync, `SUSPENDED` or `paused` pauses it, in any letter case.
    #[schema(inline)]
    status: Option<crate::words::SyncWish>,
    /// `true` resumes the sync, `false` pauses it. Must agree with `status` if both are given.
    is_active: Option<bool>,
    /// Seconds from the end of a pass to the next; the operator sets the smallest number.
    #[schema(minimum = 1, maximum = 86400)]
    polling_interval_seconds: Option<u32>,
    /// Most files that one run deals with.
    #[schema(minimum = 1)]
    max_objects_per_run: Option<u64>,
    /// Files copied at the same time.
    #[schema(minimum = 1, maximum = 100)]
    sync_concurrency: Option<u32>,
    /// Changes the switches that are there.
    reconcile: Option<ReconcileRequest>,
    /// Replaces the filters, in the form of a new sync's; the next run goes over the whole source. An extension.
    #[schema(value_type = Option<Object>)]
    file_filters: Option<Map<String, Value>>,
    /// An extension: whether a file that another sync has brought into the bucket is shared with it instead of copied again.
    skip_duplicates: Option<bool>,
    /// Only files modified after this time, in RFC 3339. An extension.
    #[schema(format = DateTime)]
    sync_from: Option<String>,
    /// Replaces the filters, after a test of what they leave; the next run goes over the whole source.
    #[schema(value_type = Option<Object>)]
    provider_filters: Option<Map<String, Value>>,
    /// Replaces the mapping, in the form of a new sync's; what was copied before stays as it was mapped until its file changes.
    #[schema(value_type = Option<Object>)]
    schema_mapping: Option<Map<String, Value>>,
    /// Kept and returned, not acted upon.
    #[schema(minimum = 1, maximum = 100)]
    batch_size: Option<u32>,
    /// Kept and returned, not acted upon.
    skip_batch_submission: Option<bool>,
    /// Kept and returned, not acted upon. An empty list clears it.
    batch_collection_ids: Option<Vec<String>>,
    /// Kept and returned, not acted upon.
    #[schema(value_type = Option<Object>)]
    ingest_filter: Option<Map<String, Value>>,
}

/// What makes a sync the one that it is.
const FIXED: [&str; 3] = ["connection_id", "source_path", "sync_mode"];

impl UpdateSyncRequest {
    pub(crate) fn parse(reader: &mut Reader, min_polling: u64) -> UpdateSync {
        for key in FIXED {
            if reader.take_unwanted(key) {
                let message =
                    "cannot be changed; create a new sync and delete this one, whose objects stay";
                reader.reject(key, "immutable", message);
            }
        }
        UpdateSync {
            if_revision: None,
            wish: wish(reader),
            edits: settings::read(reader, min_polling),
        }
    }
}

/// What a person wants of the sync, from `status` and `is_active` together.
fn wish(reader: &mut Reader) -> Option<RunWish> {
    let from_status = reader.string("status", Length::new(0, 100)).map(|status| {
        let wish = match SyncStatus::parse(&status) {
            Some(SyncStatus::Active) => Some(RunWish::Run),
            Some(SyncStatus::Suspended) => Some(RunWish::Pause),
            _ if status.eq_ignore_ascii_case("paused") => Some(RunWish::Pause),
            _ => None,
        };
        if wish.is_none() {
            let message = "can be set to ACTIVE or SUSPENDED; the others follow from the sync's runs and its connection";
            reader.reject("status", "enum", message);
        }
        wish
    });
    let from_flag = reader
        .boolean("is_active")
        .map(|active| if active { RunWish::Run } else { RunWish::Pause });
    match (from_status, from_flag) {
        (Some(Some(status)), Some(flag)) if status != flag => {
            let message = "disagrees with status; leave it out, since it follows from status";
            reader.reject("is_active", "contradiction", message);
            None
        }
        (Some(status), _) => status,
        (None, flag) => flag,
    }
}

/// Whether the engine tests what a change leaves to be listed.
fn narrows(edit: &SyncEdit) -> bool {
    matches!(edit, SyncEdit::ProviderFilters(_))
}

/// Change a sync
///
/// Changes take effect with the next run. When the filters, `reconcile.on_delete` or `reconcile.on_filter_drift` change, a run
/// at work ends as `interrupted`, and the next one is due at once and goes over the whole source.
#[utoipa::path(
    patch,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}",
    operation_id = "update_sync_configuration_buckets_id_config",
    tag = "syncs",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "Identifier."),
    ),
    request_body = Option<UpdateSyncRequest>,
    responses((status = 200, description = "The changed sync.", body = SyncView)),
)]
pub(super) async fn update(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync)): Segments<(String, String)>,
    IfMatch(if_revision): IfMatch,
    body: Body,
) -> Result<Revised<SyncView>, ApiError> {
    let mut update =
        body.read(|reader| UpdateSyncRequest::parse(reader, state.min_polling_seconds()))?;
    update.if_revision = if_revision;
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    if update.edits.iter().any(narrows) {
        let stored = state.engine().sync(&caller, &bucket, &sync).await?;
        let connection = state.engine().connection_of(&caller, &stored).await?;
        if connection.is_active() {
            state.count_test(&caller, Some(&connection))?;
        }
    }
    let sync = state
        .engine()
        .update_sync(&caller, &bucket, &sync, update)
        .await?;
    let revision = sync.revision;
    Ok(Revised(revision, view(&state, &caller, sync).await?))
}
