//! Check reports as the API shows them: in the answer to a test, and in the refusal of a connection that fails it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::check::{Check, CheckReport, Outcome};
use wharf_domain::error_code::ErrorCode;

/// A test's outcome, check by check.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestDetails {
    /// `success` when the test succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    result: Option<&'static str>,
    /// The dotted code of what failed first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    error_code: Option<&'static str>,
    /// What failed, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// In the order they were made.
    checks: Vec<CheckView>,
}

/// One named check.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckView {
    /// Such as `configuration` or `sign_in`.
    name: String,
    /// `passed`, `failed`, `inconclusive` or `skipped`.
    #[schema(value_type = String)]
    outcome: Outcome,
    /// The dotted code of what went wrong.
    #[schema(value_type = Option<String>)]
    error_code: Option<&'static str>,
    /// The provider's action that was tried or is missing.
    action: Option<String>,
    /// What a person can do.
    remedy: Option<String>,
    /// How long it took, in milliseconds.
    ms: u64,
    /// When what was checked runs out by itself, where that can be known.
    #[serde(
        serialize_with = "crate::time::rfc3339_or_null",
        skip_serializing_if = "Option::is_none"
    )]
    expires_at: Option<DateTime<Utc>>,
}

impl From<&Check> for CheckView {
    fn from(check: &Check) -> Self {
        Self {
            name: check.name.clone(),
            outcome: check.outcome,
            error_code: check.error_code.map(ErrorCode::as_str),
            action: check.action.clone(),
            remedy: check.remedy.clone(),
            ms: check.ms,
            expires_at: check.expires_at,
        }
    }
}

impl From<&CheckReport> for TestDetails {
    fn from(report: &CheckReport) -> Self {
        let success = report.success();
        Self {
            result: success.then_some("success"),
            error_code: report.error_code().map(ErrorCode::as_str),
            error: (!success).then(|| report.message()),
            checks: report.checks.iter().map(CheckView::from).collect(),
        }
    }
}
