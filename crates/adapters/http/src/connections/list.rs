use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::connection::{ConnectionFilter, PublicStatus};
use wharf_domain::input::{Length, Reader};
use wharf_domain::provider::Provider;

use super::view::ConnectionView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::pagination::{PageParams, Pagination, Paging, Wish};
use crate::query::Query;
use crate::scope::Authorized;

/// Which connections to list; all conditions must hold.
#[derive(ToSchema)]
#[schema(as = ListStorageConnectionsRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct ListConnectionsRequest {
    /// Of this provider.
    #[schema(inline)]
    provider_type: Option<crate::words::ProviderType>,
    /// With this status, in any letter case.
    #[schema(inline)]
    status: Option<crate::words::ConnectionStatus>,
    /// Active or not.
    is_active: Option<bool>,
}

impl ListConnectionsRequest {
    pub(crate) fn parse(reader: &mut Reader) -> ConnectionFilter {
        let provider = reader
            .string("provider_type", Length::new(0, 100))
            .and_then(|word| {
                let parsed = word.parse::<Provider>();
                parsed
                    .map_err(|unknown| reader.reject("provider_type", "enum", unknown.to_string()))
                    .ok()
            });
        let status = fields::word(reader, "status", PublicStatus::parse, STATUSES);
        let is_active = reader.boolean("is_active");
        ConnectionFilter {
            provider,
            status,
            is_active,
        }
    }
}

/// The words that a connection's status is one of.
pub(super) const STATUSES: &str = "ACTIVE, SUSPENDED, FAILED, ARCHIVED";

/// A page of connections.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StorageConnectionListResponse)]
pub(crate) struct ConnectionList {
    /// Newest first.
    results: Vec<ConnectionView>,
    pagination: Pagination,
    /// How many connections match, on all pages.
    total: u64,
}

/// List connections
///
/// Newest first. Archived ones are among them unless the filter leaves them out.
#[utoipa::path(
    post,
    path = "/v1/organizations/connections/list",
    operation_id = "list_storage_connections_organizations",
    tag = "connections",
    params(PageParams),
    request_body = Option<ListConnectionsRequest>,
    responses((status = 200, description = "A page of connections.", body = ConnectionList)),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    query: Query,
    body: Body,
) -> Result<Json<ConnectionList>, ApiError> {
    let filter = body.read(ListConnectionsRequest::parse)?;
    let paging = Paging::read(query, Wish::default())?;
    let page = state
        .engine()
        .list_connections(&caller, &filter, &paging.request)
        .await?;
    let pagination = paging.describe(&page);
    Ok(Json(ConnectionList {
        results: page.items.into_iter().map(Into::into).collect(),
        pagination,
        total: page.total,
    }))
}
