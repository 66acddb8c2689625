use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_engine::SchedulerBeat;

use super::word;
use crate::ApiState;

/// How the scheduler of this process is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Beat {
    /// `OK` or `DEGRADED`.
    #[schema(value_type = String)]
    status: &'static str,
    /// Whether this process has a scheduler that has looked for work.
    scheduler: bool,
    /// How long ago it last looked for work.
    seconds_since_last_look: Option<u64>,
}

/// Ask how the scheduler is
#[utoipa::path(
    get,
    path = "/v1/health/beat",
    operation_id = "celery_beat_health",
    tag = "health",
    responses((status = 200, description = "How it is.", body = Beat)),
)]
pub(super) async fn beat(State(state): State<ApiState>) -> Json<Beat> {
    let age = state.engine().scheduler_beat().age();
    Json(Beat {
        status: word(age.is_none_or(|age| age < SchedulerBeat::STALE_AFTER)),
        scheduler: age.is_some(),
        seconds_since_last_look: age.map(|age| age.as_secs()),
    })
}
