use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::health::{Availability, AvailabilitySummary, CheckRecord};

use crate::ApiState;
use crate::check_report::CheckView;
use crate::error::ApiError;
use crate::pagination::{PageParams, Pagination, Paging, Wish};
use crate::path::Segments;
use crate::query::Query;
use crate::scope::Authorized;

/// A check of a connection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectionCheck)]
pub(crate) struct CheckRecordView {
    check_id: String,
    /// `watch` or `person`.
    #[schema(value_type = String)]
    cause: &'static str,
    #[serde(serialize_with = "crate::time::rfc3339")]
    started_at: DateTime<Utc>,
    /// When it was recorded.
    #[serde(serialize_with = "crate::time::rfc3339")]
    at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    ms: u64,
    /// Whether the connection worked.
    success: bool,
    /// The dotted code of what failed first.
    #[schema(value_type = Option<String>)]
    error_code: Option<&'static str>,
    /// What was found, for a person.
    message: String,
    /// The connection's status afterwards.
    #[schema(value_type = String)]
    status: &'static str,
    /// In the order they were made.
    checks: Vec<CheckView>,
}

impl From<CheckRecord> for CheckRecordView {
    fn from(record: CheckRecord) -> Self {
        let check = record.check;
        let report = check.report;
        Self {
            check_id: check.id.to_string(),
            cause: check.cause.as_str(),
            started_at: check.started_at,
            at: record.at,
            ms: check.ms,
            success: report.success(),
            error_code: report.error_code().map(ErrorCode::as_str),
            message: report.message(),
            status: record.status.as_str(),
            checks: report.checks.iter().map(CheckView::from).collect(),
        }
    }
}

/// How the checks of one stretch of time went.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectionAvailability)]
pub(crate) struct AvailabilityView {
    passed: u64,
    /// Failed for a reason that counts against the connection.
    failed: u64,
    /// Could not tell: throttled, an outage of the provider, or a fault of this server.
    undecided: u64,
    /// Passed of those that could tell, 0 to 1; null without any.
    share: Option<f64>,
}

impl From<Availability> for AvailabilityView {
    fn from(availability: Availability) -> Self {
        Self {
            share: availability.share(),
            passed: availability.passed,
            failed: availability.failed,
            undecided: availability.undecided,
        }
    }
}

/// What the checks of the last 30 days amount to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectionAvailabilitySummary)]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
pub(crate) struct SummaryView {
    last_24h: AvailabilityView,
    last_7d: AvailabilityView,
    last_30d: AvailabilityView,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    last_passed_at: Option<DateTime<Utc>>,
    /// When a check last failed for a reason that counts.
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    last_failed_at: Option<DateTime<Utc>>,
}

impl From<AvailabilitySummary> for SummaryView {
    fn from(summary: AvailabilitySummary) -> Self {
        Self {
            last_24h: summary.day.into(),
            last_7d: summary.week.into(),
            last_30d: summary.month.into(),
            last_passed_at: summary.last_passed_at,
            last_failed_at: summary.last_failed_at,
        }
    }
}

/// A page of checks, and what all of them amount to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectionCheckListResponse)]
pub(crate) struct CheckList {
    /// Newest first.
    results: Vec<CheckRecordView>,
    pagination: Pagination,
    /// How many checks there are, on all pages.
    total: u64,
    availability: SummaryView,
}

/// List the checks of a connection
///
/// Those of the health watch and those that people asked for, of the last 30 days.
#[utoipa::path(
    get,
    path = "/v1/organizations/connections/{connection_identifier}/checks",
    operation_id = "list_storage_connection_checks_organizations",
    tag = "connections",
    params(
        ("connection_identifier" = String, Path, description = "Identifier or name."),
        PageParams,
    ),
    responses((status = 200, description = "A page of checks.", body = CheckList)),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn checks(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
    query: Query,
) -> Result<Json<CheckList>, ApiError> {
    let paging = Paging::read(query, Wish::default())?;
    let history = state
        .engine()
        .check_history(&caller, &identifier, &paging.request)
        .await?;
    let pagination = paging.describe(&history.checks);
    Ok(Json(CheckList {
        total: history.checks.total,
        results: history.checks.items.into_iter().map(Into::into).collect(),
        pagination,
        availability: history.availability.into(),
    }))
}
