use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::Metadata;
use wharf_domain::explain::Explanation;

use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::query::Query;
use crate::scope::{Authorized, InNamespace};

/// Most characters of a path or an identity.
const LONGEST: usize = 4096;

/// What became of a file of the source, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncExplanation)]
pub(crate) struct ExplanationView {
    /// `ingested`, `filtered`, `skipped`, `duplicate`, `over_cap`, `dead_letter`, `not_visible`, `out_of_scope`, `not_reached`
    /// or `deleted`.
    #[schema(value_type = String)]
    decision: &'static str,
    /// What the decision rests on: where known `source_object_id` and `source_version`; the `rule`, the `reason`, the
    /// `error_type` with `tries` and `next_try_at`, `copied_by_sync`, `deleted_at` with `deleted_by` and `restorable_until`,
    /// `held_delete`, `next_run_at`, as it applies.
    #[schema(value_type = Object)]
    evidence: Metadata,
    /// The object that the bucket has of it, a tombstone too.
    #[serde(skip_serializing_if = "Option::is_none")]
    object_id: Option<String>,
    /// The job that copied it, or in which it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    sync_job_id: Option<String>,
    /// The dead letter that tells of its failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    dlq_id: Option<String>,
    /// What happened and what to do, for a person.
    message: String,
}

impl From<Explanation> for ExplanationView {
    fn from(told: Explanation) -> Self {
        Self {
            decision: told.decision.as_str(),
            evidence: told.evidence,
            object_id: told.object.map(|id| id.to_string()),
            sync_job_id: told.job.map(|id| id.to_string()),
            dlq_id: told.dead_letter.map(|id| id.to_string()),
            message: told.message,
        }
    }
}

/// Explain what became of a file
///
/// Why a file of the source is, or is not, in the bucket. What is stored decides where it can; else the provider is asked
/// one question about this file, for which the connection must be in use. Nothing is changed.
#[utoipa::path(
    get,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/explain",
    operation_id = "explain_sync_source",
    tag = "syncs",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "The sync's identifier."),
        (
            "source" = String,
            Query,
            min_length = 1,
            max_length = 4096,
            description = "The file: its path from the sync's `source_path` on, its identity at the provider (on S3 \
                           `bucket/key`), or its address."
        ),
    ),
    responses(
        (status = 200, description = "The decision.", body = ExplanationView),
        (
            status = 409,
            description = "Only the provider can tell, and it cannot be asked.",
            body = crate::error::ErrorResponse
        ),
    ),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn explain(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync)): Segments<(String, String)>,
    mut query: Query,
) -> Result<Json<ExplanationView>, ApiError> {
    query.only(&["source"]);
    // A file's name may hold what no other parameter may.
    let source = query.text("source", LONGEST);
    if source.is_none() && !query.has("source") {
        query.reject("source", "missing", "is required: the file to explain");
    }
    query.finish()?;
    let source = source.unwrap_or_default();
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let sync = state.engine().sync(&caller, &bucket, &sync).await?;
    let told = state
        .engine()
        .explain(&caller, &bucket, &sync, &source)
        .await?;
    Ok(Json(told.into()))
}
