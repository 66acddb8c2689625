//! The refusals of the token endpoint, in the wording of Google's.

use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::json;

use crate::google::refusal::json_text;

#[derive(Debug, Clone)]
pub(crate) struct OauthRefusal {
    status: u16,
    error: String,
    description: Option<String>,
    subtype: Option<&'static str>,
}

type Row = (&'static str, u16, &'static str);

/// Errors, with the status and the words that come with each unless the place knows better.
#[rustfmt::skip]
const ERRORS: &[Row] = &[
    ("invalid_grant", 400, "Bad Request"),
    ("invalid_request", 400, "Bad Request"),
    ("invalid_client", 401, "The OAuth client was not found."),
    ("deleted_client", 401, "The OAuth client was deleted."),
    ("disabled_client", 401, "The OAuth client was disabled."),
    ("unauthorized_client", 401, "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested."),
    ("invalid_scope", 400, "Invalid OAuth scope or ID token audience provided."),
    ("unsupported_grant_type", 400, "Invalid grant_type: "),
    ("redirect_uri_mismatch", 400, "Bad Request"),
    ("admin_policy_enforced", 400, "Access to your account data is restricted by policies within your organization. Please contact the administrator of your organization for more information."),
    ("org_internal", 403, "This client is restricted to users within its organization."),
    ("access_denied", 403, "The account was not allowed to use this client."),
    ("invalid_token", 400, "Invalid Value"),
    ("internal_failure", 500, "Internal error."),
    ("temporarily_unavailable", 503, "The service is temporarily unavailable."),
    ("rate_limit_exceeded", 429, "Rate Limit Exceeded"),
];

impl OauthRefusal {
    /// The refusal with this error. `invalid_rapt` stands for the `invalid_grant` of that subtype.
    pub(crate) fn of(error: &str) -> Self {
        if error == "invalid_rapt" {
            return Self {
                subtype: Some("invalid_rapt"),
                ..Self::of("invalid_grant").saying("reauth related error (invalid_rapt)")
            };
        }
        let (status, description) = ERRORS
            .iter()
            .find(|(known, ..)| *known == error)
            .map_or((400, "Bad Request"), |(_, status, said)| (*status, *said));
        Self {
            status,
            error: error.to_owned(),
            description: Some(description.to_owned()),
            subtype: None,
        }
    }

    pub(crate) fn saying(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    pub(crate) fn missing(field: &str) -> Self {
        Self::of("invalid_request").saying(format!("Missing required parameter: {field}"))
    }

    pub(crate) fn answer(&self) -> Response<Body> {
        self.text().map(Body::from)
    }

    pub(crate) fn text(&self) -> Response<String> {
        let mut body = json!({"error": self.error});
        if let Some(description) = &self.description {
            body["error_description"] = json!(description);
        }
        if let Some(subtype) = self.subtype {
            body["error_subtype"] = json!(subtype);
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        json_text(status, &body)
    }
}
