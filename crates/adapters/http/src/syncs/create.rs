use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use wharf_domain::ids::ConnectionId;
use wharf_domain::input::{Length, Reader};
use wharf_domain::sync::{SyncMode, SyncSettings};
use wharf_engine::CreateSync;

use super::settings::{self, ReconcileRequest};
use super::view::{SyncView, view};
use crate::ApiState;
use crate::body::Body;
use crate::check_report::TestDetails;
use crate::error::ApiError;
use crate::fields;
use crate::path::Segments;
use crate::revision::Revised;
use crate::scope::{Authorized, InNamespace};

/// A new sync.
#[derive(ToSchema)]
#[schema(as = SyncCreateRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct CreateSyncRequest {
    /// The identifier of the connection to read through.
    #[schema(pattern = "^conn_[A-Za-z0-9]{15}$")]
    connection_id: String,
    /// On S3 and Tigris `bucket/prefix`; on Google Drive a folder's identifier, or its path from the root on.
    #[schema(min_length = 1, max_length = 2048)]
    source_path: String,
    /// `initial_only` or `continuous`.
    #[schema(default = "continuous", inline)]
    sync_mode: Option<crate::words::SyncMode>,
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
    #[schema(max_items = 100)]
    batch_collection_ids: Option<Vec<String>>,
    /// Kept and returned, not acted upon.
    #[schema(value_type = Option<Object>)]
    ingest_filter: Option<Map<String, Value>>,
    /// Whether a file that another sync has brought into the bucket is shared with it instead of copied again.
    #[schema(default = true)]
    skip_duplicates: Option<bool>,
    /// Which files are copied: those that pass every one of `include_patterns`, `exclude_patterns` (globs: without `/` of the
    /// name in any folder, with `/` of the path below `source_path`), `extensions`, `min_size_bytes`, `max_size_bytes`,
    /// `modified_after`, `modified_before`, `mime_types` and `metadata_filters` (each `{field, operator, value}` with the operator
    /// `equals`, `not_equals`, `contains`, `not_contains`, `gt`, `lt`, `gte`, `lte` or `exists`).
    #[schema(value_type = Option<Object>)]
    file_filters: Option<Map<String, Value>>,
    /// How fields and blobs of the bucket's schema are made of a file: `mappings`, target → `{target_type, source}` and, for a
    /// `field`, `transform` (`lowercase`, `uppercase`, `trim` or `json_parse`) and `required`, for a `blob`, `blob_type`,
    /// `blob_property` and `mime_type_override`. A source has a `type` and what that needs: `tag` and `metadata` a `key`,
    /// `filename_regex` a `pattern` and perhaps a `default`, `folder_path` a `segment` or `full_path`, `constant` a `value`, and
    /// `file` nothing.
    #[schema(value_type = Option<Object>)]
    schema_mapping: Option<Map<String, Value>>,
    /// What of `source_path` the provider is asked for at all, and how: `prefix`, the beginning of the path below it; on Google Drive
    /// `export_formats`, what native documents are exported as: `document` (`docx`, `odt`, `rtf`, `pdf`, `txt`, `md`, `html` or
    /// `epub`; `docx` unless given), `spreadsheet` (`xlsx`, `ods`, `pdf`, `csv` or `tsv`; `xlsx`), `presentation` (`pptx`, `odp`,
    /// `pdf`, `txt`, `png`, `jpg` or `svg`; `pptx`) and `drawing` (`png`, `svg`, `pdf` or `jpg`; `png`).
    #[schema(value_type = Option<Object>)]
    provider_filters: Option<Map<String, Value>>,
    /// Only files modified after this time, in RFC 3339.
    #[schema(format = DateTime)]
    sync_from: Option<String>,
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
        let edits = settings::read(reader, min_polling);
        let mut settings = SyncSettings::of(source_path?);
        let polling = settings.polling_interval_seconds;
        let min_polling = u32::try_from(min_polling).unwrap_or(u32::MAX);
        settings.polling_interval_seconds = polling.max(min_polling);
        for edit in edits {
            settings.edit(edit);
        }
        Some(CreateSync {
            connection: connection?,
            mode: mode.unwrap_or(SyncMode::Continuous),
            settings,
        })
    }
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
) -> Result<Revised<CreatedSyncView>, ApiError> {
    let new =
        body.read_whole(|reader| CreateSyncRequest::parse(reader, state.min_polling_seconds()))?;
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let connection = state
        .engine()
        .connection_of_new_sync(&caller, &new.connection)
        .await?;
    if connection.is_active() {
        state.count_test(&caller, Some(&connection))?;
    }
    let created = state.engine().create_sync(&caller, &bucket, new).await?;
    let revision = created.sync.revision;
    let view = CreatedSyncView {
        sync: view(&state, &caller, created.sync).await?,
        source_test: created.report.as_ref().map(TestDetails::from),
    };
    Ok(Revised(revision, view))
}
