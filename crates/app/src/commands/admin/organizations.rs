use anyhow::{Context, Result};
use clap::Subcommand;
use serde_json::{Value, json};
use wharf_domain::access::{Email, Organization};
use wharf_domain::ids::OrganizationId;
use wharf_domain::rate_limit::{Category, RateLimits};
use wharf_engine::{Engine, Operator, UpdateOrganization};

use super::email;
use super::users::user_view;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add an organization with its admin user and the namespace `default`.
    Create {
        /// Unique on this server.
        #[arg(long)]
        name: String,
        /// The e-mail address of its admin user.
        #[arg(long, value_parser = email)]
        admin_email: Email,
    },
    /// List all organizations.
    List,
    /// Change an organization.
    Update {
        /// The organization's identifier, `int_…`.
        #[arg(long)]
        organization: OrganizationId,
        /// Unique on this server.
        #[arg(long)]
        name: Option<String>,
        /// Where its logo is; empty clears it.
        #[arg(long)]
        logo_url: Option<String>,
        /// Where bills would go.
        #[arg(long, value_parser = email)]
        billing_email: Option<Email>,
        /// Where notifications would go.
        #[arg(long, value_parser = email)]
        notifications_email: Option<Email>,
        /// Requests per minute of a category (metadata, data, search, upload, compute), such as data=600; replaces all. May be given
        /// several times.
        #[arg(long, value_parser = rate_limit)]
        rate_limit: Vec<(Category, u32)>,
    },
}

impl Command {
    pub(super) async fn run(self, engine: &Engine) -> Result<Value> {
        Ok(match self {
            Self::Create { name, admin_email } => {
                let (organization, admin) = engine.create_organization(&name, admin_email).await?;
                json!({"organization": view(&organization), "admin": user_view(&admin)})
            }
            Self::List => engine
                .list_organizations()
                .await?
                .iter()
                .map(view)
                .collect(),
            Self::Update {
                organization,
                name,
                logo_url,
                billing_email,
                notifications_email,
                rate_limit,
            } => {
                let update = UpdateOrganization {
                    name,
                    logo_url,
                    billing_email: billing_email.map(Some),
                    notifications_email: notifications_email.map(Some),
                    metadata: None,
                    rate_limits: limits(&rate_limit),
                };
                let operator = Operator::of(&organization);
                view(&engine.update_organization(&operator, update).await?)
            }
        })
    }
}

fn limits(given: &[(Category, u32)]) -> Option<RateLimits> {
    let of = |category| {
        let mut given = given.iter().rev();
        given
            .find(|(of, _)| *of == category)
            .map(|(_, limit)| *limit)
    };
    (!given.is_empty()).then(|| RateLimits {
        metadata: of(Category::Metadata),
        data: of(Category::Data),
        search: of(Category::Search),
        upload: of(Category::Upload),
        compute: of(Category::Compute),
    })
}

fn rate_limit(text: &str) -> Result<(Category, u32)> {
    let (word, limit) = text.split_once('=').context("must be category=number")?;
    let mut categories = Category::ALL.into_iter();
    let category = categories
        .find(|category| category.as_str() == word)
        .context("the category must be metadata, data, search, upload or compute")?;
    let limit: u32 = limit.parse().context("the limit must be a number")?;
    anyhow::ensure!(limit > 0, "the limit must be at least 1");
    Ok((category, limit))
}

fn view(organization: &Organization) -> Value {
    let profile = &organization.profile;
    json!({
        "internal_id": organization.id,
        "name": profile.name,
        "logo_url": profile.logo_url,
        "billing_email": profile.billing_email,
        "notifications_email": profile.notifications_email,
        "rate_limits": profile.rate_limits,
        "created_at": organization.created_at,
        "updated_at": organization.updated_at,
    })
}
