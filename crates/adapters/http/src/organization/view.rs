use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::Metadata;
use wharf_domain::access::Organization;
use wharf_domain::rate_limit::Category;

/// Requests per minute of the organization, by what they cost.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BaseRateLimits)]
pub(crate) struct RateLimitsView {
    metadata: u32,
    data: u32,
    search: u32,
    upload: u32,
    compute: u32,
}

/// An organization. Wharf counts no credits and sends no bills; the fields for them say so.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrganizationModelResponse)]
pub(crate) struct OrganizationView {
    /// `int_` and 24 letters or digits.
    organization_id: String,
    organization_name: String,
    logo_url: Option<String>,
    /// Always `enterprise`: nothing depends on a tier.
    #[schema(value_type = String)]
    account_type: &'static str,
    /// Always 0.
    credit_count: u32,
    #[schema(value_type = Object)]
    metadata: Metadata,
    billing_email: Option<String>,
    notifications_email: Option<String>,
    /// As they hold: the organization's own where they are lower than the operator's.
    rate_limits: RateLimitsView,
    /// Always false.
    auto_billing_enabled: bool,
    /// Always 1.
    billing_cycle_start: u32,
    /// Always 0.
    current_month_usage: u32,
    #[serde(serialize_with = "crate::time::rfc3339")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "crate::time::rfc3339")]
    updated_at: DateTime<Utc>,
    /// Always false.
    requires_plan: bool,
    /// Always false.
    is_internal: bool,
}

impl OrganizationView {
    /// An organization whose operator allows at most so many requests per minute.
    pub(super) fn new(organization: Organization, most: u32) -> Self {
        let profile = organization.profile;
        let limit = |category| {
            let own = profile.rate_limits.of(category);
            own.map_or(most, |own| own.min(most))
        };
        let rate_limits = RateLimitsView {
            metadata: limit(Category::Metadata),
            data: limit(Category::Data),
            search: limit(Category::Search),
            upload: limit(Category::Upload),
            compute: limit(Category::Compute),
        };
        Self {
            organization_id: organization.id.to_string(),
            organization_name: profile.name,
            logo_url: profile.logo_url,
            account_type: "enterprise",
            credit_count: 0,
            metadata: profile.metadata,
            billing_email: profile.billing_email,
            notifications_email: profile.notifications_email,
            rate_limits,
            auto_billing_enabled: false,
            billing_cycle_start: 1,
            current_month_usage: 0,
            created_at: organization.created_at,
            updated_at: organization.updated_at,
            requires_plan: false,
            is_internal: false,
        }
    }
}
