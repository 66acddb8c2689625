use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wharf_domain::access::Email;
use wharf_domain::input::{Length, Reader};
use wharf_domain::rate_limit::RateLimits;
use wharf_engine::UpdateOrganization;

use super::view::OrganizationView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::scope::Authorized;

/// An organization's own limits: requests per minute. What is left out is the operator's.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `read_limits` reads")]
pub(crate) struct RateLimitOverrides {
    #[schema(minimum = 1)]
    metadata: Option<u32>,
    #[schema(minimum = 1)]
    data: Option<u32>,
    #[schema(minimum = 1)]
    search: Option<u32>,
    #[schema(minimum = 1)]
    upload: Option<u32>,
    #[schema(minimum = 1)]
    compute: Option<u32>,
}

/// What is to be different.
#[derive(ToSchema)]
#[schema(as = OrganizationUpdateRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct UpdateOrganizationRequest {
    /// Unique on this server.
    #[schema(min_length = 1, max_length = 100)]
    organization_name: Option<String>,
    /// An empty one clears it.
    #[schema(max_length = 2048)]
    logo_url: Option<String>,
    /// Kept and returned; an empty one clears it.
    #[schema(max_length = 254)]
    billing_email: Option<String>,
    /// Kept and returned; an empty one clears it.
    #[schema(max_length = 254)]
    notifications_email: Option<String>,
    /// Replaces all. At most 50 keys, 16 KiB and 8 levels.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// Replaces all; they can only be lower than the operator's.
    rate_limit_overrides: Option<RateLimitOverrides>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    default_llm_credentials: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    spend_limits: Option<Value>,
    /// `false` or nothing.
    nsfw_check_enabled: Option<bool>,
    /// `false` or nothing.
    nsfw_fail_closed: Option<bool>,
}

impl UpdateOrganizationRequest {
    pub(crate) fn parse(reader: &mut Reader) -> UpdateOrganization {
        let update = UpdateOrganization {
            name: reader.string("organization_name", Length::new(1, 100)),
            logo_url: reader.string("logo_url", Length::new(0, 2048)),
            billing_email: read_email(reader, "billing_email"),
            notifications_email: read_email(reader, "notifications_email"),
            metadata: fields::metadata(reader),
            rate_limits: read_limits(reader),
        };
        if update
            .logo_url
            .as_ref()
            .is_some_and(|url| url.chars().any(char::is_control))
        {
            let message = "must not contain control characters";
            reader.reject("logo_url", "string_pattern", message);
        }
        fields::not_supported(
            reader,
            "default_llm_credentials",
            &[json!({})],
            "Wharf asks no language models",
        );
        fields::not_supported(
            reader,
            "spend_limits",
            &[json!({})],
            "Wharf charges nothing",
        );
        for key in ["nsfw_check_enabled", "nsfw_fail_closed"] {
            let why = "Wharf does not look into files";
            fields::not_supported(reader, key, &[json!(false)], why);
        }
        update
    }
}

/// An address; an empty one is there, so that a change can clear it.
#[expect(clippy::option_option, reason = "absent, cleared, or an address")]
fn read_email(reader: &mut Reader, key: &'static str) -> Option<Option<Email>> {
    let text = reader.string(key, Length::new(0, 1000))?;
    if text.is_empty() {
        return Some(None);
    }
    match Email::parse(&text) {
        Ok(email) => Some(Some(email)),
        Err(error) => {
            reader.reject(key, error.kind, error.message);
            None
        }
    }
}

fn read_limits(reader: &mut Reader) -> Option<RateLimits> {
    let path = reader.path_of("rate_limit_overrides");
    let fields = reader.object("rate_limit_overrides")?;
    let mut inner = Reader::new(&path, fields);
    let mut limit = |key| {
        let limit = inner.integer(key, 1, i32::MAX.unsigned_abs().into());
        limit.and_then(|limit| u32::try_from(limit).ok())
    };
    let limits = RateLimits {
        metadata: limit("metadata"),
        data: limit("data"),
        search: limit("search"),
        upload: limit("upload"),
        compute: limit("compute"),
    };
    fields::noted(reader, inner.finish()).map(|()| limits)
}

/// Update the organization
#[utoipa::path(
    patch,
    path = "/v1/organizations",
    operation_id = "update_organization",
    tag = "organization",
    request_body = Option<UpdateOrganizationRequest>,
    responses((status = 200, description = "The organization as it is now.", body = OrganizationView)),
)]
pub(super) async fn update(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    body: Body,
) -> Result<Json<OrganizationView>, ApiError> {
    let update = body.read(UpdateOrganizationRequest::parse)?;
    let organization = state.engine().update_organization(&caller, update).await?;
    let most = state.rates().limits().requests_per_minute_per_organization;
    Ok(Json(OrganizationView::new(organization, most)))
}
