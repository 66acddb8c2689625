use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::estimate::{self, Plan};

use super::create::CreateSyncRequest;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::path::Segments;
use crate::query::Query;
use crate::scope::{Authorized, InNamespace};

/// Seconds that a plan may take unless the request says otherwise, and at most.
const BUDGET: u32 = 25;
const BUDGET_MOST: u32 = 300;

/// What a run over the whole source would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncPlan)]
pub(crate) struct PlanView {
    /// Files that the listing told of. They are the sum of `would_add`, `would_update`, `unchanged`, `undecided`, and what
    /// `filtered_by`, `skipped_by` and `failed_by` count.
    entries: u64,
    /// Their bytes.
    bytes: u64,
    /// Content type as the file's name tells it → files. The 50 most frequent ones; the rest is `other`, and names that tell
    /// nothing are `unknown`.
    by_type: BTreeMap<String, u64>,
    size_histogram: SizeHistogram,
    /// Rule → files that it leaves out. Where `mime_types` decide, the type is the one that the name tells, although a run goes
    /// by the provider's.
    filtered_by: BTreeMap<String, u64>,
    /// Reason → files left out for it.
    skipped_by: BTreeMap<String, u64>,
    /// Error code → files that failed too often and are left alone for now.
    failed_by: BTreeMap<String, u64>,
    /// Files that the bucket would get.
    would_add: u64,
    /// Objects that would be replaced because their files have changed.
    would_update: u64,
    /// Files that the sync knows and would let go of, because they are gone or kept out by its rules; what another sync holds
    /// on to stays in the bucket all the same. Null where that is not known: the listing is not complete, or not in order.
    would_delete: Option<u64>,
    /// Deletes that would wait for a second look, beside those of `would_delete`.
    would_hold: Option<WouldHold>,
    /// Files that the bucket has as they are.
    unchanged: u64,
    /// Files that a run must ask for before a rule can decide, about metadata or about a content type that the name does not
    /// tell.
    undecided: u64,
    /// Bytes of what would be added or replaced.
    bytes_to_copy: u64,
    /// Runs that it takes, each dealing with at most `max_objects_per_run` files.
    runs: u64,
    /// Calls at the provider that it takes: one per page of the listing, and one (with tags, two) per file that is added,
    /// replaced, undecided, or left out by its content type.
    provider_calls: u64,
    estimated_seconds: EstimatedSeconds,
    /// Whether the whole source was listed. If not, all numbers are about the part that was.
    complete: bool,
    /// Why it was not: `budget_seconds`, `scope_denied`, or the error code at which the listing ended.
    incomplete_reason: Option<String>,
}

/// How many files there are of each size.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SizeHistogram {
    #[serde(rename = "0")]
    empty: u64,
    #[serde(rename = "<1KiB")]
    below_kib: u64,
    #[serde(rename = "<1MiB")]
    below_mib: u64,
    #[serde(rename = "<10MiB")]
    below_10_mib: u64,
    #[serde(rename = "<100MiB")]
    below_100_mib: u64,
    #[serde(rename = "<1GiB")]
    below_gib: u64,
    #[serde(rename = ">=1GiB")]
    larger: u64,
    unknown: u64,
}

/// Deletes that would wait.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WouldHold {
    count: u64,
    /// Why, for a person.
    reason: String,
}

/// How many seconds the runs would take.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EstimatedSeconds {
    /// At best: the listing takes as long as it took now; a file answers within 30 ms, `sync_concurrency` of them at a time;
    /// 100 MiB arrive in a second; whichever of the two takes longer.
    low: u64,
    /// At worst: the listing takes twice as long as it took now; a file answers within 300 ms, and then 5 MiB arrive in a
    /// second; undecided files are all copied; and between two runs lies the polling interval. A provider that throttles can
    /// still make it longer.
    high: u64,
}

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        let (low, high) = plan.estimated_seconds;
        Self {
            entries: plan.entries,
            bytes: plan.bytes,
            by_type: plan.by_type,
            size_histogram: plan.size_histogram.into(),
            filtered_by: plan.filtered_by,
            skipped_by: plan.skipped_by,
            failed_by: plan.failed_by,
            would_add: plan.would_add,
            would_update: plan.would_update,
            would_delete: plan.would_delete,
            would_hold: plan.would_hold.map(|held| WouldHold {
                count: held.count,
                reason: held.reason,
            }),
            unchanged: plan.unchanged,
            undecided: plan.undecided,
            bytes_to_copy: plan.bytes_to_copy,
            runs: plan.runs,
            provider_calls: plan.provider_calls,
            estimated_seconds: EstimatedSeconds { low, high },
            complete: plan.incomplete_reason.is_none(),
            incomplete_reason: plan.incomplete_reason,
        }
    }
}

impl From<estimate::SizeHistogram> for SizeHistogram {
    fn from(sizes: estimate::SizeHistogram) -> Self {
        Self {
            empty: sizes.empty,
            below_kib: sizes.below_kib,
            below_mib: sizes.below_mib,
            below_10_mib: sizes.below_10_mib,
            below_100_mib: sizes.below_100_mib,
            below_gib: sizes.below_gib,
            larger: sizes.larger,
            unknown: sizes.unknown,
        }
    }
}

/// `budget_seconds`.
fn budget(mut query: Query) -> Result<Duration, ApiError> {
    query.only(&["budget_seconds"]);
    let seconds = query.integer("budget_seconds", 1, BUDGET_MOST);
    query.finish()?;
    Ok(Duration::from_secs(seconds.unwrap_or(BUDGET).into()))
}

/// Plan a run of a sync
///
/// What a run over the whole source would do, counted without doing it: the source is listed, as far as `budget_seconds`
/// reach, and compared with what the sync knows. Nothing is written. The connection must be in use. Takes no body.
#[utoipa::path(
    post,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/plan",
    operation_id = "plan_sync_configuration",
    tag = "syncs",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "The sync's identifier."),
        ("budget_seconds" = Option<u32>, Query, description = "Seconds that it may take, 1 to 300; 25 unless given."),
    ),
    responses(
        (status = 200, description = "The plan.", body = PlanView),
        (
            status = 409,
            description = "The connection is not in use, or its provider cannot be asked.",
            body = crate::error::ErrorResponse
        ),
    ),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn plan(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync)): Segments<(String, String)>,
    query: Query,
) -> Result<Json<PlanView>, ApiError> {
    let budget = budget(query)?;
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let sync = state.engine().sync(&caller, &bucket, &sync).await?;
    let plan = state.engine().plan_sync(&caller, &sync, budget).await?;
    Ok(Json(plan.into()))
}

/// Plan a sync before it is created
///
/// The same for a sync that the body describes as for its creation, and that is not stored: what its first run would do.
#[utoipa::path(
    post,
    path = "/v1/buckets/{bucket_id}/syncs/plan",
    operation_id = "plan_new_sync_configuration",
    tag = "syncs",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("budget_seconds" = Option<u32>, Query, description = "Seconds that it may take, 1 to 300; 25 unless given."),
    ),
    request_body = CreateSyncRequest,
    responses(
        (status = 200, description = "The plan.", body = PlanView),
        (
            status = 409,
            description = "The connection is not in use, or its provider cannot be asked.",
            body = crate::error::ErrorResponse
        ),
    ),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn plan_new(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments(bucket): Segments<String>,
    query: Query,
    body: Body,
) -> Result<Json<PlanView>, ApiError> {
    let new =
        body.read_whole(|reader| CreateSyncRequest::parse(reader, state.min_polling_seconds()))?;
    let budget = budget(query)?;
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let plan = state
        .engine()
        .plan_new_sync(&caller, &bucket, &new, budget)
        .await?;
    Ok(Json(plan.into()))
}
