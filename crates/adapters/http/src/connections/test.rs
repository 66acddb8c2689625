use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ApiState;
use crate::check_report::TestDetails;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::Authorized;

/// The outcome of a test.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StorageConnectionTestResponse)]
pub(crate) struct TestOutcome {
    /// Whether the connection works.
    success: bool,
    /// What was found, for a person.
    message: String,
    details: TestDetails,
}

/// Test a connection
///
/// Answers 200 whether or not the test succeeds. On a connection that is active or failing, the outcome counts for its
/// health.
#[utoipa::path(
    post,
    path = "/v1/organizations/connections/{connection_identifier}/test",
    operation_id = "test_storage_connection_organizations",
    tag = "connections",
    params(("connection_identifier" = String, Path, description = "Identifier or name.")),
    responses((status = 200, description = "What the test found.", body = TestOutcome)),
)]
pub(super) async fn test(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
) -> Result<Json<TestOutcome>, ApiError> {
    let report = state
        .engine()
        .test_connection(&caller, &identifier, None)
        .await?
        .report;
    Ok(Json(TestOutcome {
        success: report.success(),
        message: report.message(),
        details: TestDetails::from(&report),
    }))
}
