use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use wharf_domain::ids::ConnectionId;
use wharf_domain::input::{Length, Reader};
use wharf_domain::sync::{Pipeline, Reconcile, SyncMode, SyncSettings};
use wharf_engine::CreateSync;

use super::view::{SyncView, view};
use crate::ApiState;
use crate::body::Body;
use crate::check_report::TestDetails;
use crate::error::ApiError;
use crate::fields::{self, Bounds};
use crate::path::Segments;
use crate::scope::{Authorized, InNamespace};

/// Seconds between two passes unless the request says otherwise.
const POLLING: u64 = 300;
/// Most seconds between two passes: a day.
const POLLING_MOST: u64 = 86_400;
const INGEST_FILTER: Bounds = Bounds {
    keys: 50,
    bytes: 16 * 1024,
    depth: 8,
};

/// A new sync.
#[derive(ToSchema)]
#[schema(as = SyncCreateRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct CreateSyncRequest {
    /// The identifier of the connection to read through.
    connection_id: String,
    /// On S3 and Tigris `bucket/prefix`.
    #[schema(min_length = 1, max_length = 2048)]
    source_path: String,
    /// `initial_only` or `continuous`.
    #[schema(default = "continuous")]
    sync_mode: Option<String>,
    /// Seconds from the end of a pass to the next; the operator sets the smallest number.
    #[schema(default = 300, minimum = 1, maximum = 86400)]
    polling_interval_seconds: Option<u32>,
    /// Most files that one run deals with.
    #[schema(default = 100_000, minimum = 1)]
    max_objects_per_run: Option<u64>,
    /// Files copied at the same time.
    #[schema(default = 8, minimum = 1, maximum = 100)]
    sync_concurrency: Option<u32>,
    /// What a run does about changes at the source.
    reconcile: Option<ReconcileRequest>,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// At most 50 keys, 16 KiB and 8 levels.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// Kept and returned, not acted upon.
    #[schema(default = 50, minimum = 1, maximum = 100)]
    batch_size: Option<u32>,
    /// Kept and returned, not acted upon.
    #[schema(default = false)]
    skip_batch_submission: Option<bool>,
    /// Kept and returned, not acted upon.
    batch_collection_ids: Option<Vec<String>>,
    /// Kept and returned, not acted upon.
    #[schema(value_type = Option<Object>)]
    ingest_filter: Option<Map<String, Value>>,
    /// `true` or nothing: equal source objects are copied once.
    #[schema(default = true)]
    skip_duplicates: Option<bool>,
    /// Not supported: every file under `source_path` is copied.
    #[schema(value_type = Option<Object>)]
    file_filters: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<Object>)]
    schema_mapping: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<Object>)]
    provider_filters: Option<Value>,
    /// Not supported.
    sync_from: Option<String>,
}

/// What a run does about changes at the source; everything is on unless turned off.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body that `parse_reconcile` reads")]
pub(crate) struct ReconcileRequest {
    /// Vanished files become tombstones.
    on_delete: Option<bool>,
    /// Changed files are copied again.
    on_update: Option<bool>,
    /// Kept and returned, not acted upon.
    on_filter_drift: Option<bool>,
    /// Kept and returned, not acted upon.
    re_extract_on_update: Option<bool>,
    /// Kept and returned, not acted upon.
    re_extract_fields: Option<Vec<String>>,
}

impl CreateSyncRequest {
    pub(crate) fn parse(reader: &mut Reader, min_polling: u64) -> Option<CreateSync> {
        let connection: Option<ConnectionId> = reader
            .require("connection_id")
            .then(|| fields::identifier(reader, "connection_id"))
            .flatten();
        let source_path = reader.required_string("source_path", Length::new(1, 2048));
        let mode = fields::word(
            reader,
            "sync_mode",
            SyncMode::parse,
            "initial_only, continuous",
        );
        let min_polling = min_polling.clamp(1, POLLING_MOST);
        let polling = reader.integer("polling_interval_seconds", min_polling, POLLING_MOST);
        let max_objects_per_run = reader
            .integer("max_objects_per_run", 1, i64::MAX.unsigned_abs())
            .unwrap_or(100_000);
        let sync_concurrency = small(reader.integer("sync_concurrency", 1, 100), 8);
        let reconcile = reader
            .object("reconcile")
            .map(|given| parse_reconcile(given, reader))
            .unwrap_or_default();
        let description = fields::description(reader).filter(|text| !text.is_empty());
        let metadata = fields::metadata(reader).unwrap_or_default();
        let pipeline = Pipeline {
            batch_size: small(reader.integer("batch_size", 1, 100), 50),
            skip_batch_submission: reader.boolean("skip_batch_submission").unwrap_or(false),
            batch_collection_ids: reader.strings("batch_collection_ids", Length::new(1, 100), 100),
            ingest_filter: fields::free_object(reader, "ingest_filter", INGEST_FILTER)
                .map(Value::Object),
            skip_duplicates: true,
        };
        let why = "equal source objects are copied once, always";
        fields::not_supported(reader, "skip_duplicates", &[json!(true)], why);
        let why = "this version of Wharf copies every file under source_path";
        fields::not_supported(reader, "file_filters", &[], why);
        fields::not_supported(reader, "provider_filters", &[], why);
        fields::not_supported(reader, "sync_from", &[], why);
        fields::not_supported(
            reader,
            "schema_mapping",
            &[],
            "this version of Wharf keeps files as they are",
        );
        Some(CreateSync {
            connection: connection?,
            mode: mode.unwrap_or(SyncMode::Continuous),
            settings: SyncSettings {
                source_path: source_path?,
                polling_interval_seconds: small(
                    Some(polling.unwrap_or(POLLING.max(min_polling))),
                    0,
                ),
                max_objects_per_run,
                sync_concurrency,
                reconcile,
                description,
                metadata,
                pipeline,
            },
        })
    }
}

/// A number that its bounds have made small already.
fn small(number: Option<u64>, otherwise: u32) -> u32 {
    number.map_or(otherwise, |number| {
        u32::try_from(number).unwrap_or(u32::MAX)
    })
}

fn parse_reconcile(given: Map<String, Value>, reader: &mut Reader) -> Reconcile {
    let mut inner = Reader::new("reconcile", given);
    let reconcile = Reconcile {
        on_delete: inner.boolean("on_delete").unwrap_or(true),
        on_update: inner.boolean("on_update").unwrap_or(true),
        on_filter_drift: inner.boolean("on_filter_drift").unwrap_or(true),
        re_extract_on_update: inner.boolean("re_extract_on_update").unwrap_or(true),
        re_extract_fields: inner.strings("re_extract_fields", Length::new(1, 200), 100),
    };
    fields::noted(reader, inner.finish());
    reconcile
}

/// A new sync and what the test of its source path found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedSync)]
pub(crate) struct CreatedSyncView {
    #[serde(flatten)]
    sync: SyncView,
    /// `null` when nothing was tested, because the connection is not in use.
    source_test: Option<TestDetails>,
}

/// Create a sync
///
/// While the connection is in use, the source path is tested first, as a test of the connection does. What stays wrong until
/// a person acts, such as a denial, refuses the sync with `connection_test_failed`; what may change by itself, such as a path
/// that is not there yet, is only told in `source_test`. The first run starts at once.
#[utoipa::path(
    post,
    path = "/v1/buckets/{bucket_id}/syncs",
    operation_id = "create_sync_configuration_buckets",
    tag = "syncs",
    params(("bucket_id" = String, Path, description = "The bucket's identifier or name.")),
    request_body = CreateSyncRequest,
    responses((status = 200, description = "The stored sync.", body = CreatedSyncView)),
)]
pub(super) async fn create(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments(bucket): Segments<String>,
    body: Body,
) -> Result<Json<CreatedSyncView>, ApiError> {
    let new =
        body.read_whole(|reader| CreateSyncRequest::parse(reader, state.min_polling_seconds()))?;
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let created = state.engine().create_sync(&caller, &bucket, new).await?;
    Ok(Json(CreatedSyncView {
        sync: view(&state, &caller, created.sync).await?,
        source_test: created.report.as_ref().map(TestDetails::from),
    }))
}
