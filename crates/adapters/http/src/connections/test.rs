use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ApiState;
use crate::check_report::TestDetails;
use crate::error::ApiError;
use crate::path::Segments;
use crate::query::Query;
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
/// health. With a source path, what a sync of it needs is tested, too; what is wrong with the path alone does not count.
#[utoipa::path(
    post,
    path = "/v1/organizations/connections/{connection_identifier}/test",
    operation_id = "test_storage_connection_organizations",
    tag = "connections",
    params(
        ("connection_identifier" = String, Path, description = "Identifier or name."),
        ("source_path" = Option<String>, Query, description = "What a sync would read, such as `bucket/prefix` on S3. An extension of Wharf."),
    ),
    responses((status = 200, description = "What the test found.", body = TestOutcome)),
)]
pub(super) async fn test(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
    mut query: Query,
) -> Result<Json<TestOutcome>, ApiError> {
    query.only(&["source_path"]);
    let source_path = query.string("source_path", 2048);
    query.finish()?;
    let connection = state.engine().connection(&caller, &identifier).await?;
    state.count_test(&caller, Some(&connection))?;
    let report = state
        .engine()
        .test_connection(&caller, connection.id.as_str(), source_path.as_deref())
        .await
        .map_err(ApiError::of_query)?
        .report;
    Ok(Json(TestOutcome {
        success: report.success(),
        message: report.message(),
        details: TestDetails::from(&report),
    }))
}
