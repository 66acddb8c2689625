use std::fmt;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, stream};
use serde_json::json;
use wharf_domain::audit::AuditFilter;
use wharf_domain::secret::SecretString;
use wharf_engine::{Actors, Caller, Engine, EngineError};

use super::filter::{self, FilterParams};
use super::view::AuditView;
use crate::ApiState;
use crate::authorization::{bearer, still_good};
use crate::error::ApiError;
use crate::query::Query;
use crate::scope::Authorized;

/// The route of [`export`].
const ROUTE: &str = "/v1/organizations/audit/logs/export";
/// Rows read at a time; no more are held in memory.
const BATCH: u32 = 500;
/// Rows exported at most, whatever is asked for, and unless asked otherwise.
const MOST: u32 = 200_000;
const DEFAULT: u32 = 10_000;

/// Export the audit trail
///
/// One JSON object per line, newest first. When there are more than `max_events`, the last line is
/// `{"__truncated__":true,"exported":…,"total":…}`. It breaks off when the API key is no longer good for it.
#[utoipa::path(
    get,
    path = "/v1/organizations/audit/logs/export",
    operation_id = "export_audit_logs_organizations",
    tag = "audit",
    params(
        FilterParams,
        ("max_events" = Option<u32>, Query, minimum = 1, maximum = 200_000, description = "At most so many; 10000 unless given."),
    ),
    responses((status = 200, description = "The rows.", body = String, content_type = "text/x-ndjson")),
)]
pub(super) async fn export(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Response, ApiError> {
    let key = bearer(&headers).ok_or_else(ApiError::unauthorized)?;
    let filter = filter::read(&mut query);
    let most = query.integer("max_events", 1, MOST).unwrap_or(DEFAULT);
    query.finish()?;
    let engine = state.engine().clone();
    let actors = engine.audit_actors(&caller).await?;
    let total = engine.list_audit(&caller, &filter, 0, 1).await?.total;
    let export = Export {
        engine,
        key: SecretString::new(key.to_owned()),
        caller,
        filter,
        actors,
        most,
        total,
        exported: 0,
        position: None,
        ended: false,
    };
    let mut response = Body::from_stream(export.lines()).into_response();
    let headers = response.headers_mut();
    // The published SDK asks for `application/x-ndjson` and can read no answer of that type; any `text` it takes as it is.
    let ndjson = HeaderValue::from_static("text/x-ndjson");
    headers.insert(header::CONTENT_TYPE, ndjson);
    Ok(response)
}

/// An export on its way.
struct Export {
    engine: Engine,
    key: SecretString,
    caller: Caller,
    filter: AuditFilter,
    actors: Actors,
    most: u32,
    total: u64,
    exported: u32,
    position: Option<u64>,
    ended: bool,
}

/// An export that ended early: its answer is cut off, so that nobody takes it for whole.
#[derive(Debug)]
struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the export was interrupted")
    }
}

impl std::error::Error for Interrupted {}

impl Export {
    fn lines(self) -> impl Stream<Item = Result<Bytes, Interrupted>> {
        stream::try_unfold(self, |mut export| async move {
            let lines = export.next().await.map_err(|error| {
                tracing::warn!(%error, "an export of the audit trail was interrupted");
                Interrupted
            })?;
            Ok(lines.map(|lines| (lines, export)))
        })
    }

    /// The lines of the next batch; `None` behind the last one.
    async fn next(&mut self) -> Result<Option<Bytes>, EngineError> {
        if self.ended {
            return Ok(None);
        }
        // A client may take its time between batches.
        if !still_good(&self.engine, &self.key, &self.caller, ("GET", ROUTE)).await {
            return Err(EngineError::Unauthenticated);
        }
        let left = self.most - self.exported;
        // One more than may be exported tells whether there are more.
        let limit = BATCH.min(left + 1);
        let rows = self
            .engine
            .audit_before(&self.caller, &self.filter, self.position, limit)
            .await?;
        self.position = rows.last().map(|row| row.link.position);
        self.ended = rows.len() < limit as usize;
        let mut lines = Vec::new();
        for row in rows {
            if self.exported == self.most {
                self.ended = true;
                // Rows may have come since they were counted.
                let total = self.total.max(u64::from(self.exported) + 1);
                let marker =
                    json!({"__truncated__": true, "exported": self.exported, "total": total});
                lines.extend_from_slice(marker.to_string().as_bytes());
                lines.push(b'\n');
                break;
            }
            let view = AuditView::new(row, &self.actors);
            serde_json::to_writer(&mut lines, &view)
                .map_err(|error| EngineError::Internal(error.into()))?;
            lines.push(b'\n');
            self.exported += 1;
        }
        Ok(Some(Bytes::from(lines)))
    }
}
