use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use wharf_domain::Metadata;
use wharf_domain::access::{Email, Role, User, UserProfile, UserStatus};
use wharf_domain::ids::OrganizationId;
use wharf_engine::{CreateUser, Engine, Operator, UpdateUser, UserFilter};

use super::email;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add a user.
    Create {
        /// The organization's identifier, `int_…`.
        #[arg(long)]
        organization: OrganizationId,
        /// Unique within the organization.
        #[arg(long, value_parser = email)]
        email: Email,
        /// The name that people see; the address unless given.
        #[arg(long)]
        name: Option<String>,
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
    /// Change a user.
    Update {
        /// The organization's identifier.
        #[arg(long)]
        organization: OrganizationId,
        /// The user's e-mail address.
        #[arg(long, value_parser = email)]
        email: Email,
        /// The name that people see.
        #[arg(long)]
        name: Option<String>,
        /// What the user's keys may allow.
        #[arg(long, value_enum)]
        role: Option<RoleWord>,
        /// Whether the user may act.
        #[arg(long, value_enum)]
        status: Option<StatusWord>,
    },
    /// Delete a user for good; all their keys are revoked.
    Delete {
        /// The organization's identifier.
        #[arg(long)]
        organization: OrganizationId,
        /// The user's e-mail address.
        #[arg(long, value_parser = email)]
        email: Email,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RoleWord {
    Admin,
    Member,
    Viewer,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Admin => Self::Admin,
            RoleWord::Member => Self::Member,
            RoleWord::Viewer => Self::Viewer,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StatusWord {
    Active,
    Suspended,
    Pending,
}

impl From<StatusWord> for UserStatus {
    fn from(word: StatusWord) -> Self {
        match word {
            StatusWord::Active => Self::Active,
            StatusWord::Suspended => Self::Suspended,
            StatusWord::Pending => Self::Pending,
        }
    }
}

impl Command {
    pub(super) async fn run(self, engine: &Engine) -> Result<Value> {
        Ok(match self {
            Self::Create {
                organization,
                email,
                name,
                role,
            } => {
                let new = CreateUser {
                    profile: UserProfile {
                        name: name.unwrap_or_else(|| email.as_str().chars().take(100).collect()),
                        avatar_url: None,
                        role: role.into(),
                        status: UserStatus::Active,
                        metadata: Metadata::new(),
                    },
                    email,
                };
                let operator = Operator::of(&organization);
                user_view(&engine.create_user(&operator, new).await?)
            }
            Self::List { organization } => {
                let operator = Operator::of(&organization);
                let users = engine.list_users(&operator, UserFilter::default()).await?;
                users.iter().map(user_view).collect()
            }
            Self::Update {
                organization,
                email,
                name,
                role,
                status,
            } => {
                let update = UpdateUser {
                    name,
                    role: role.map(Role::from),
                    status: status.map(UserStatus::from),
                    ..UpdateUser::default()
                };
                let operator = Operator::of(&organization);
                user_view(
                    &engine
                        .update_user(&operator, email.as_str(), update)
                        .await?,
                )
            }
            Self::Delete {
                organization,
                email,
            } => {
                let operator = Operator::of(&organization);
                user_view(&engine.delete_user(&operator, email.as_str()).await?)
            }
        })
    }
}

pub(super) fn user_view(user: &User) -> Value {
    json!({
        "user_id": user.id,
        "email": user.email.as_str(),
        "name": user.profile.name,
        "role": user.profile.role,
        "status": user.profile.status,
        "created_at": user.created_at,
    })
}
