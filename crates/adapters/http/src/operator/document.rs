use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use serde_json::json;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| json!(crate::openapi()).to_string());

/// Get this document
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "get_openapi_document",
    tag = "operator",
    responses((status = 200, description = "This document.", body = Object)),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn document() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/json")],
        DOCUMENT.as_str(),
    )
}
