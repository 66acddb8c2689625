use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_engine::ComponentHealth;

use super::word;
use crate::ApiState;
use crate::error::ApiError;
use crate::query::Query;

/// How every part is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HealthCheckResponse)]
pub(crate) struct DeepHealth {
    /// `OK` or `DEGRADED`.
    #[schema(value_type = String)]
    status: &'static str,
    data: PartsHealth,
    errors: PartsErrors,
    meta: HealthMeta,
}

/// Part → whether it is well.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HealthServiceStatus)]
#[expect(clippy::struct_excessive_bools, reason = "the contract's flags")]
pub(crate) struct PartsHealth {
    /// The database.
    metadata: bool,
    /// The blob store.
    object_storage: bool,
    /// The scheduler.
    task_queue: bool,
    /// The key ring.
    key_ring: bool,
    /// Not a part of Wharf: always true.
    cache: bool,
    /// Not a part of Wharf: always true.
    vector_store: bool,
    /// Not a part of Wharf: always true.
    inference: bool,
}

/// Part → what is wrong with it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HealthServiceErrors)]
pub(crate) struct PartsErrors {
    #[schema(value_type = Option<String>)]
    metadata: Option<&'static str>,
    #[schema(value_type = Option<String>)]
    object_storage: Option<&'static str>,
    #[schema(value_type = Option<String>)]
    task_queue: Option<&'static str>,
    #[schema(value_type = Option<String>)]
    key_ring: Option<&'static str>,
}

/// What stands around the parts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthMeta {
    /// Parts of `data` that Wharf does not have.
    #[schema(value_type = Vec<String>)]
    not_applicable: [&'static str; 3],
    #[schema(value_type = String)]
    version: &'static str,
}

impl From<ComponentHealth> for DeepHealth {
    fn from(health: ComponentHealth) -> Self {
        let ComponentHealth {
            database,
            blob_store,
            key_ring,
            scheduler,
        } = health;
        Self {
            status: word(health.all_well()),
            data: PartsHealth {
                metadata: database,
                object_storage: blob_store,
                task_queue: scheduler,
                key_ring,
                cache: true,
                vector_store: true,
                inference: true,
            },
            errors: PartsErrors {
                metadata: (!database).then_some("The database does not answer."),
                object_storage: (!blob_store).then_some("The blob store cannot be written to."),
                task_queue: (!scheduler)
                    .then_some("The scheduler has not looked for work for a minute."),
                key_ring: (!key_ring).then_some("The key ring cannot be used."),
            },
            meta: HealthMeta {
                not_applicable: ["cache", "vector_store", "inference"],
                version: env!("CARGO_PKG_VERSION"),
            },
        }
    }
}

/// Ask how every part is
///
/// Answers 200 also when a part is away; `status` tells.
#[utoipa::path(
    get,
    path = "/v1/health/deep",
    operation_id = "healthcheck_deep_health",
    tag = "health",
    params(
        ("deep" = Option<bool>, Query, description = "Changes nothing: the answer is always a deep one."),
        ("metrics" = Option<bool>, Query, description = "Changes nothing: see `/metrics`."),
    ),
    responses(
        (status = 200, description = "How every part is.", body = DeepHealth),
        (status = 422, description = "Unprocessable Entity", body = crate::error::ErrorResponse),
    ),
)]
pub(super) async fn deep(
    State(state): State<ApiState>,
    mut query: Query,
) -> Result<Json<DeepHealth>, ApiError> {
    query.boolean("deep");
    query.boolean("metrics");
    query.finish()?;
    Ok(Json(state.health().look(state.engine()).await.into()))
}
