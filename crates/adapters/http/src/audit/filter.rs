//! Which rows are wanted.

use utoipa::IntoParams;
use wharf_domain::audit::AuditFilter;

use crate::query::Query;

/// Longest text that a filter compares with.
const LONGEST: usize = 200;

/// Which rows are wanted; all conditions must hold.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents the parameters that `read` reads")]
pub(super) struct FilterParams {
    /// To this kind of thing, such as `storage_connection`.
    resource_type: Option<String>,
    /// To the thing with this identifier.
    resource_id: Option<String>,
    /// By the user with this identifier; or by `system` or `operator`.
    actor_id: Option<String>,
    /// This happened, such as `storage_connection_created`.
    action: Option<String>,
    /// Not before this time (ISO 8601).
    start: Option<String>,
    /// Not after this time (ISO 8601).
    end: Option<String>,
}

pub(super) fn read(query: &mut Query) -> AuditFilter {
    AuditFilter {
        resource_type: query.string("resource_type", LONGEST),
        resource_id: query.string("resource_id", LONGEST),
        actor_id: query.string("actor_id", LONGEST),
        action: query.string("action", LONGEST),
        start: query.time("start"),
        end: query.time("end"),
    }
}
