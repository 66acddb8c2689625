use anyhow::{Result, anyhow};
use chrono::{DateTime, Utc};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use wharf_domain::access::{ApiKey, Email, Grant, Organization, Permission, Role, User};
use wharf_domain::ids::{ApiKeyId, OrganizationId};
use wharf_engine::{ApiKeyGrant, Engine};

use super::say;
use crate::config::Config;
use crate::stored::{Schema, open_engine};

/// Bootstrap and rescue: these work on the database itself, whether or not a server runs. They answer in JSON.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Organizations of this server.
    #[command(subcommand)]
    Organizations(Organizations),
    /// Users of an organization.
    #[command(subcommand)]
    Users(Users),
    /// API keys of a user.
    #[command(subcommand)]
    Keys(Keys),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Organizations {
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
}

#[derive(Debug, Subcommand)]
pub(crate) enum Users {
    /// Add a user.
    Create {
        /// The organization's identifier, `int_…`.
        #[arg(long)]
        organization: OrganizationId,
        /// Unique within the organization.
        #[arg(long, value_parser = email)]
        email: Email,
        /// What the user's keys may allow.
        #[arg(long, value_enum, default_value_t = RoleWord::Member)]
        role: RoleWord,
    },
    /// List an organization's users.
    List {
        /// The organization's identifier.
        #[arg(long)]
        organization: OrganizationId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Issue an API key; it is shown this once.
    Create {
        /// The organization's identifier.
        #[arg(long)]
        organization: OrganizationId,
        /// The user's e-mail address.
        #[arg(long, value_parser = email)]
        email: Email,
        /// Unique among the user's keys.
        #[arg(long)]
        name: String,
        /// What it allows; each level includes the ones before it.
        #[arg(long, value_enum, default_value_t = PermissionWord::Delete)]
        permission: PermissionWord,
        /// When it stops working, such as 2027-01-31T00:00:00Z.
        #[arg(long)]
        expires_at: Option<DateTime<Utc>>,
    },
    /// List a user's API keys.
    List {
        /// The organization's identifier.
        #[arg(long)]
        organization: OrganizationId,
        /// The user's e-mail address.
        #[arg(long, value_parser = email)]
        email: Email,
    },
    /// Revoke an API key for good.
    Revoke {
        /// The organization's identifier.
        #[arg(long)]
        organization: OrganizationId,
        /// The key's identifier, `key_…`.
        #[arg(long)]
        key: ApiKeyId,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RoleWord {
    Admin,
    Member,
    Viewer,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum PermissionWord {
    Read,
    Write,
    Delete,
    Admin,
}

/// Carries out one command.
pub(crate) async fn run(config: &Config, command: Command) -> Result<()> {
    let (engine, database) = open_engine(config, Schema::Check).await?;
    let answer = match command {
        Command::Organizations(command) => organizations(&engine, command).await,
        Command::Users(command) => users(&engine, command).await,
        Command::Keys(command) => keys(&engine, command).await,
    };
    database.close().await;
    say(&serde_json::to_string_pretty(&answer?)?);
    Ok(())
}

async fn organizations(engine: &Engine, command: Organizations) -> Result<Value> {
    Ok(match command {
        Organizations::Create { name, admin_email } => {
            let (organization, admin) = engine.create_organization(&name, admin_email).await?;
            json!({"organization": organization_view(&organization), "admin": user_view(&admin)})
        }
        Organizations::List => engine
            .list_organizations()
            .await?
            .iter()
            .map(organization_view)
            .collect(),
    })
}

async fn users(engine: &Engine, command: Users) -> Result<Value> {
    Ok(match command {
        Users::Create {
            organization,
            email,
            role,
        } => {
            let role = match role {
                RoleWord::Admin => Role::Admin,
                RoleWord::Member => Role::Member,
                RoleWord::Viewer => Role::Viewer,
            };
            user_view(&engine.create_user(&organization, email, role).await?)
        }
        Users::List { organization } => engine
            .list_users(&organization)
            .await?
            .iter()
            .map(user_view)
            .collect(),
    })
}

async fn keys(engine: &Engine, command: Keys) -> Result<Value> {
    Ok(match command {
        Keys::Create {
            organization,
            email,
            name,
            permission,
            expires_at,
        } => {
            let permission = match permission {
                PermissionWord::Read => Permission::Read,
                PermissionWord::Write => Permission::Write,
                PermissionWord::Delete => Permission::Delete,
                PermissionWord::Admin => Permission::Admin,
            };
            let grant = ApiKeyGrant {
                name,
                grant: Grant {
                    expires_at,
                    ..Grant::of(permission)
                },
            };
            let issued = engine.create_api_key(&organization, &email, grant).await?;
            let mut view = key_view(&issued.key);
            view["key"] = json!(issued.secret.expose());
            view
        }
        Keys::List {
            organization,
            email,
        } => engine
            .list_api_keys(&organization, &email)
            .await?
            .iter()
            .map(key_view)
            .collect(),
        Keys::Revoke { organization, key } => {
            key_view(&engine.revoke_api_key(&organization, &key).await?)
        }
    })
}

fn organization_view(organization: &Organization) -> Value {
    json!({"internal_id": organization.id, "name": organization.profile.name, "created_at": organization.created_at})
}

fn user_view(user: &User) -> Value {
    json!({"user_id": user.id, "email": user.email.as_str(), "role": user.profile.role, "created_at": user.created_at})
}

fn key_view(key: &ApiKey) -> Value {
    json!({
        "key_id": key.id,
        "name": key.name,
        "key_prefix": key.prefix,
        "permission": key.grant.permission(),
        "expires_at": key.grant.expires_at,
        "revoked_at": key.revoked_at,
        "created_at": key.created_at,
    })
}

fn email(text: &str) -> Result<Email> {
    Email::parse(text).map_err(|error| anyhow!(error.message))
}
