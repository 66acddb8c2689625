use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use wharf_domain::access::{ApiKey, Email, Grant, Permission, ResourceScope};
use wharf_domain::ids::{ApiKeyId, OrganizationId};
use wharf_domain::scope::{OPERATIONS, RESOURCE_TYPES};
use wharf_engine::{CreateApiKey, Engine, IssuedApiKey, Operator, UpdateApiKey, UserFilter};

use super::email;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Issue an API key; it is shown this once.
    Create {
        #[command(flatten)]
        user: OfUser,
        /// Unique among the user's keys.
        #[arg(long)]
        name: String,
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
        /// What it allows; each level includes the ones before it.
        #[arg(long, value_enum, default_value_t = PermissionWord::Delete)]
        permission: PermissionWord,
        #[command(flatten)]
        bounds: Bounds,
        /// An end user that it stands for.
        #[arg(long)]
        principal_id: Option<String>,
    },
    /// List a user's API keys.
    List {
        #[command(flatten)]
        user: OfUser,
    },
    /// Change an API key.
    Update {
        #[command(flatten)]
        key: OneKey,
        /// A new name.
        #[arg(long)]
        name: Option<String>,
        /// A new description.
        #[arg(long)]
        description: Option<String>,
        /// What it allows.
        #[arg(long, value_enum)]
        permission: Option<PermissionWord>,
        #[command(flatten)]
        bounds: Bounds,
    },
    /// Give an API key another secret, which is shown this once; the old one stops working.
    Rotate {
        #[command(flatten)]
        key: OneKey,
    },
    /// Revoke an API key for good.
    Revoke {
        #[command(flatten)]
        key: OneKey,
    },
}

#[derive(Debug, Args)]
pub(crate) struct OfUser {
    /// The organization's identifier, `int_…`.
    #[arg(long)]
    organization: OrganizationId,
    /// The user's e-mail address.
    #[arg(long, value_parser = email)]
    email: Email,
}

#[derive(Debug, Args)]
pub(crate) struct OneKey {
    /// The organization's identifier, `int_…`.
    #[arg(long)]
    organization: OrganizationId,
    /// The key's identifier, `key_…`.
    #[arg(long)]
    key: ApiKeyId,
}

/// What bounds a key beside its permission.
#[derive(Debug, Args)]
pub(crate) struct Bounds {
    /// When it stops working, such as 2027-01-31T00:00:00Z.
    #[arg(long)]
    expires_at: Option<DateTime<Utc>>,
    /// A part of the organization that it is confined to, such as namespace:team-a or `bucket:bkt_…:read_data,write_data`. May be
    /// given several times; a change replaces all.
    #[arg(long, value_parser = scope)]
    scope: Vec<ResourceScope>,
    /// Requests per minute.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rate_limit: Option<u32>,
    /// An origin from which a browser may use it, such as https://*.example.com. May be given several times; a change replaces all.
    #[arg(long)]
    allowed_origin: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum PermissionWord {
    Read,
    Write,
    Delete,
    Admin,
}

impl From<PermissionWord> for Permission {
    fn from(word: PermissionWord) -> Self {
        match word {
            PermissionWord::Read => Self::Read,
            PermissionWord::Write => Self::Write,
            PermissionWord::Delete => Self::Delete,
            PermissionWord::Admin => Self::Admin,
        }
    }
}

impl Command {
    pub(super) async fn run(self, engine: &Engine) -> Result<Value> {
        Ok(match self {
            Self::Create {
                user,
                name,
                description,
                permission,
                bounds,
                principal_id,
            } => {
                let new = CreateApiKey {
                    name,
                    description,
                    grant: Grant {
                        scopes: bounds.scope,
                        rate_limit_override: bounds.rate_limit,
                        allowed_origins: some(bounds.allowed_origin),
                        expires_at: bounds.expires_at,
                        ..Grant::of(permission.into())
                    },
                    principal_id,
                };
                let operator = Operator::of(&user.organization);
                let email = user.email.as_str();
                issued_view(&engine.create_api_key(&operator, email, new).await?)
            }
            Self::List { user } => {
                let operator = Operator::of(&user.organization);
                let keys = engine.list_api_keys(&operator, user.email.as_str()).await?;
                keys.iter().map(view).collect()
            }
            Self::Update {
                key,
                name,
                description,
                permission,
                bounds,
            } => {
                let update = UpdateApiKey {
                    name,
                    description,
                    permissions: permission.map(|word| vec![word.into()]),
                    scopes: some(bounds.scope),
                    rate_limit_override: bounds.rate_limit.map(Some),
                    expires_at: bounds.expires_at.map(Some),
                    allowed_origins: some(bounds.allowed_origin).map(Some),
                };
                let (operator, email) = key.owner(engine).await?;
                let told = key.key.as_str();
                view(
                    &engine
                        .update_api_key(&operator, &email, told, update)
                        .await?,
                )
            }
            Self::Rotate { key } => {
                let (operator, email) = key.owner(engine).await?;
                let told = key.key.as_str();
                issued_view(&engine.rotate_api_key(&operator, &email, told).await?)
            }
            Self::Revoke { key } => {
                let (operator, email) = key.owner(engine).await?;
                let told = key.key.as_str();
                view(&engine.revoke_api_key(&operator, &email, told).await?)
            }
        })
    }
}

impl OneKey {
    /// The user whose key it is.
    async fn owner(&self, engine: &Engine) -> Result<(Operator, String)> {
        let operator = Operator::of(&self.organization);
        for user in engine.list_users(&operator, UserFilter::default()).await? {
            let email = user.email.as_str();
            let keys = engine.list_api_keys(&operator, email).await?;
            if keys.iter().any(|key| key.id == self.key) {
                return Ok((operator, email.to_owned()));
            }
        }
        bail!("the organization has no API key {}", self.key)
    }
}

fn some<T>(given: Vec<T>) -> Option<Vec<T>> {
    (!given.is_empty()).then_some(given)
}

fn scope(text: &str) -> Result<ResourceScope> {
    let mut parts = text.splitn(3, ':');
    let kind = parts.next().unwrap_or_default();
    let form = "must be kind:identifier or kind:identifier:operations";
    let id = parts.next().filter(|id| !id.is_empty()).context(form)?;
    let known = RESOURCE_TYPES.contains(&kind);
    ensure!(
        known,
        "the kind must be one of {}",
        RESOURCE_TYPES.join(", ")
    );
    ensure!(id.chars().count() <= 100, "the identifier is too long");
    let operations = parts
        .next()
        .map(|words| words.split(',').map(str::to_owned).collect::<Vec<_>>());
    let mut words = operations.iter().flatten();
    let known = words.all(|word| OPERATIONS.contains(&word.as_str()));
    ensure!(
        known,
        "the operations must be some of {}",
        OPERATIONS.join(", ")
    );
    Ok(ResourceScope {
        resource_type: kind.to_owned(),
        resource_id: id.to_owned(),
        operations,
    })
}

fn issued_view(issued: &IssuedApiKey) -> Value {
    let mut view = view(&issued.key);
    view["key"] = json!(issued.secret.expose());
    view
}

fn view(key: &ApiKey) -> Value {
    json!({
        "key_id": key.id,
        "name": key.name,
        "description": key.description,
        "key_prefix": key.prefix,
        "permission": key.grant.permission(),
        "scopes": key.grant.scopes,
        "rate_limit_override": key.grant.rate_limit_override,
        "allowed_origins": key.grant.allowed_origins,
        "expires_at": key.grant.expires_at,
        "principal_id": key.principal_id,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
        "created_at": key.created_at,
    })
}
