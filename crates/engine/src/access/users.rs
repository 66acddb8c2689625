//! Users.

use serde_json::{Map, Value, json};
use wharf_domain::Metadata;
use wharf_domain::access::{
    ApiKey, Email, KeyStatus, Permission, Role, User, UserProfile, UserStatus,
};
use wharf_domain::audit::{Action, ResourceType};
use wharf_domain::ids::UserId;
use wharf_domain::scope::Place;
use wharf_ports::NewUser;

use super::{change_failed, last_admin, retried};
use crate::caller::audit_row;
use crate::error::insert_failed;
use crate::{Engine, EngineError, Mandate};

/// A user as a request describes one.
#[derive(Debug, Clone)]
pub struct CreateUser {
    /// Unique within the organization.
    pub email: Email,
    /// The rest.
    pub profile: UserProfile,
}

/// A change of a user as a request describes it. `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct UpdateUser {
    /// A new name.
    pub name: Option<String>,
    /// Where a picture is; empty clears it.
    pub avatar_url: Option<String>,
    /// What the user is to the organization.
    pub role: Option<Role>,
    /// Whether the user may act.
    pub status: Option<UserStatus>,
    /// New key-value pairs, replacing all.
    pub metadata: Option<Metadata>,
}

/// Which users a list should contain; all conditions must hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct UserFilter {
    /// With this role.
    pub role: Option<Role>,
    /// With this status.
    pub status: Option<UserStatus>,
}

impl UserFilter {
    fn matches(self, user: &User) -> bool {
        self.role.is_none_or(|role| user.profile.role == role)
            && self
                .status
                .is_none_or(|status| user.profile.status == status)
    }
}

/// The place of a user.
pub(super) fn place(user: &User) -> Place<'_> {
    Place::named(ResourceType::User, user.id.as_str(), user.email.as_str())
}

fn missing(email: &str) -> EngineError {
    EngineError::not_found("user", email)
}

impl Engine {
    /// Adds a user to an organization.
    pub async fn create_user(
        &self,
        by: &dyn Mandate,
        new: CreateUser,
    ) -> Result<User, EngineError> {
        let email = new.email.as_str();
        by.may(
            ("user", email),
            &[Place::as_told(ResourceType::User, email)],
        )?;
        let changes = json!({
            "email": email,
            "role": new.profile.role.as_str(),
            "status": new.profile.status.as_str(),
        });
        let row = NewUser {
            id: self.ids().id(),
            email: new.email.clone(),
            profile: new.profile,
        };
        let resource = (ResourceType::User, row.id.as_str());
        let action = Action::UserCreated;
        let audit = audit_row(self.ids(), by.origin(), action, resource, changes);
        self.repositories()
            .access
            .insert_user(by.organization(), row, audit)
            .await
            .map_err(|error| {
                let taken = EngineError::conflict(
                    "user_exists",
                    "The organization has a user with this e-mail address.",
                );
                let parent = EngineError::not_found("organization", by.organization().as_str());
                insert_failed(error, taken, parent)
            })
    }

    /// The organization's users that match, oldest first.
    pub async fn list_users(
        &self,
        by: &dyn Mandate,
        filter: UserFilter,
    ) -> Result<Vec<User>, EngineError> {
        by.may(("user", "*"), &[Place::all(ResourceType::User)])?;
        let access = &self.repositories().access;
        let mut users = access.list_users(by.organization()).await?;
        users.retain(|user| filter.matches(user));
        Ok(users)
    }

    /// A user by e-mail address.
    pub async fn user(&self, by: &dyn Mandate, email: &str) -> Result<User, EngineError> {
        let told = ("user", email);
        let found = match Email::parse(email) {
            Ok(parsed) => {
                let access = &self.repositories().access;
                access.find_user(by.organization(), &parsed).await?
            }
            Err(_) => None,
        };
        if let Some(user) = found {
            return by.may(told, &[place(&user)]).map(|()| user);
        }
        by.may(told, &[Place::as_told(ResourceType::User, email)])?;
        Err(missing(email))
    }

    /// Changes a user. What changes nothing leaves no trace.
    pub async fn update_user(
        &self,
        by: &dyn Mandate,
        email: &str,
        update: UpdateUser,
    ) -> Result<User, EngineError> {
        retried!(self.change_user(by, email, update.clone()))
    }

    async fn change_user(
        &self,
        by: &dyn Mandate,
        email: &str,
        update: UpdateUser,
    ) -> Result<User, EngineError> {
        let user = self.user(by, email).await?;
        let before = user.profile.clone();
        let profile = UserProfile {
            name: update.name.unwrap_or(user.profile.name),
            avatar_url: match update.avatar_url {
                Some(url) => (!url.is_empty()).then_some(url),
                None => user.profile.avatar_url,
            },
            role: update.role.unwrap_or(user.profile.role),
            status: update.status.unwrap_or(user.profile.status),
            metadata: update.metadata.unwrap_or(user.profile.metadata),
        };
        if profile == before {
            return Ok(User { profile, ..user });
        }
        if !profile.is_active_admin() {
            self.keep_an_admin(by, &user.id, &before).await?;
        }
        let audit = audit_row(
            self.ids(),
            by.origin(),
            Action::UserUpdated,
            (ResourceType::User, user.id.as_str()),
            profile_changes(&before, &profile),
        );
        let taken = || EngineError::conflict("user_exists", "Another user has this address.");
        self.repositories()
            .access
            .update_user(by.organization(), &user.id, &before, profile, audit)
            .await
            .map_err(|error| change_failed(error, missing(email), taken()))
    }

    /// Removes a user for good, and revokes all their keys.
    pub async fn delete_user(&self, by: &dyn Mandate, email: &str) -> Result<User, EngineError> {
        let user = self.user(by, email).await?;
        self.keep_an_admin(by, &user.id, &user.profile).await?;
        let audit = audit_row(
            self.ids(),
            by.origin(),
            Action::UserDeleted,
            (ResourceType::User, user.id.as_str()),
            json!({"email": user.email.as_str(), "role": user.profile.role.as_str()}),
        );
        let taken = || EngineError::conflict("user_exists", "Another user has this address.");
        self.repositories()
            .access
            .remove_user(by.organization(), &user.id, audit)
            .await
            .map_err(|error| change_failed(error, missing(email), taken()))?;
        Ok(user)
    }

    /// Refuses that this user stops being an active admin, unless another one has a key that works everywhere. An operator
    /// needs no key: for them, the repository's own check is enough.
    async fn keep_an_admin(
        &self,
        by: &dyn Mandate,
        user: &UserId,
        profile: &UserProfile,
    ) -> Result<(), EngineError> {
        if by.bounds().is_none() || !profile.is_active_admin() {
            return Ok(());
        }
        let now = self.repositories().across.now().await?;
        let access = &self.repositories().access;
        for other in access.list_users(by.organization()).await? {
            if other.id == *user || !other.profile.is_active_admin() {
                continue;
            }
            let keys = access.list_api_keys(by.organization(), &other.id).await?;
            let rules = |key: &ApiKey| {
                key.status(now) == KeyStatus::Active
                    && key.grant.scopes.is_empty()
                    && key.grant.permission() == Permission::Admin
            };
            if keys.iter().any(rules) {
                return Ok(());
            }
        }
        Err(last_admin())
    }
}

fn profile_changes(before: &UserProfile, after: &UserProfile) -> Value {
    let mut changes = Map::new();
    if before.role != after.role {
        let roles = json!({"from": before.role, "to": after.role});
        changes.insert("role".to_owned(), roles);
    }
    if before.status != after.status {
        let statuses = json!({"from": before.status, "to": after.status});
        changes.insert("status".to_owned(), statuses);
    }
    let named = [
        ("user_name", before.name != after.name),
        ("avatar_url", before.avatar_url != after.avatar_url),
        ("metadata", before.metadata != after.metadata),
    ];
    for (field, _) in named.into_iter().filter(|(_, changed)| *changed) {
        changes.insert(field.to_owned(), json!("changed"));
    }
    Value::Object(changes)
}
