//! API keys: issued, changed, rotated, revoked. A key is shown once and stored as a keyed hash; nobody issues or gets to see
//! one that allows more than their own.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wharf_domain::Timestamp;
use wharf_domain::access::{ApiKey, ApiKeyHash, Grant, Permission, ResourceScope, User};
use wharf_domain::audit::{Action, NewAuditRow, Origin, ResourceType};
use wharf_domain::ids::{Alphabet, UserId};
use wharf_domain::input::InvalidInput;
use wharf_domain::scope::Place;
use wharf_domain::secret::SecretString;
use wharf_ports::{ApiKeyChange, IdSource, NewApiKey, NewSecret};

use super::{change_failed, retried, users};
use crate::caller::audit_row;
use crate::error::insert_failed;
use crate::{Engine, EngineError, Mandate};

/// The name of the key that the first start creates. A key of this name can be rotated, and otherwise only an operator can
/// change or revoke it, so that nobody locks everybody out.
pub const BOOTSTRAP_KEY_NAME: &str = "admin-key";

/// What a key may do when nothing else is wished for.
const DEFAULT_PERMISSIONS: [Permission; 3] =
    [Permission::Read, Permission::Write, Permission::Delete];

/// A key that was just issued; the only time that it can be read.
#[derive(Debug)]
pub struct IssuedApiKey {
    /// The stored row.
    pub key: ApiKey,
    /// The key itself.
    pub secret: SecretString,
}

/// What a new API key should be.
#[derive(Debug, Clone)]
pub struct CreateApiKey {
    /// 1 to 100 characters, unique among the user's keys that are not revoked.
    pub name: String,
    /// What it is for; at most 500 characters.
    pub description: String,
    /// What it allows. Without permissions: read, write and delete, as far as the user's role goes.
    pub grant: Grant,
    /// An end user that it stands for.
    pub principal_id: Option<String>,
}

impl CreateApiKey {
    /// A key with a name and a grant, and nothing else to say of it.
    pub fn named(name: impl Into<String>, grant: Grant) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            grant,
            principal_id: None,
        }
    }
}

/// A change of an API key as a request describes it. `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateApiKey {
    /// A new name.
    pub name: Option<String>,
    /// A new description.
    pub description: Option<String>,
    /// New permissions, replacing all; at least one.
    pub permissions: Option<Vec<Permission>>,
    /// New scopes, replacing all; none means the whole organization.
    pub scopes: Option<Vec<ResourceScope>>,
    /// Requests per minute; `Some(None)` is as many as the organization's.
    pub rate_limit_override: Option<Option<u32>>,
    /// When it stops working; `Some(None)` is never.
    pub expires_at: Option<Option<Timestamp>>,
    /// The origins from which a browser may use it; `Some(None)` is any.
    pub allowed_origins: Option<Option<Vec<String>>>,
}

/// A fresh API key: `sk_` and 256 random bits.
pub fn new_api_key(ids: &dyn IdSource) -> SecretString {
    SecretString::new(format!("sk_{}", ids.token(Alphabet::Alphanumeric, 43)))
}

/// What the outside sees of a key's stored form: a hash of it, in hex.
pub fn key_fingerprint(key: &ApiKey) -> String {
    use std::fmt::Write;
    let hash = Sha256::new()
        .chain_update(b"wharf api key fingerprint 1")
        .chain_update(key.hash.0)
        .finalize();
    hash.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn missing(told: &str) -> EngineError {
    EngineError::not_found("API key", told)
}

fn name_taken() -> EngineError {
    EngineError::conflict(
        "api_key_name_taken",
        "The user has an API key of this name.",
    )
}

impl Engine {
    /// Issues an API key for a user.
    pub async fn create_api_key(
        &self,
        by: &dyn Mandate,
        email: &str,
        mut new: CreateApiKey,
    ) -> Result<IssuedApiKey, EngineError> {
        let user = self.user_of_keys(by, email).await?;
        let told = Place::as_told(ResourceType::ApiKey, &new.name);
        by.may(("API key", &new.name), &[told, users::place(&user)])?;
        check_name(by, &new.name)?;
        if new.grant.permissions.is_empty() {
            let ceiling = user.profile.role.ceiling();
            new.grant.permissions = DEFAULT_PERMISSIONS.to_vec();
            new.grant = new.grant.under(ceiling);
        }
        new.grant = tidy(new.grant);
        self.check_grant(by, &user, &new.grant).await?;
        let secret = new_api_key(self.ids());
        let row = self
            .new_key_row(&user.id, &secret, new, by.origin())
            .await?;
        let mut changes = grant_view(&row.grant);
        changes["name"] = json!(row.name);
        changes["user"] = json!(user.email.as_str());
        let resource = (ResourceType::ApiKey, row.id.as_str());
        let action = Action::ApiKeyCreated;
        let audit = audit_row(self.ids(), by.origin(), action, resource, changes);
        let inserted = self
            .repositories()
            .access
            .insert_api_key(by.organization(), row, audit)
            .await;
        let key = inserted.map_err(|error| {
            let parent = EngineError::not_found("user", user.email.as_str());
            insert_failed(error, name_taken(), parent)
        })?;
        Ok(IssuedApiKey { key, secret })
    }

    /// All API keys of a user, oldest first, revoked ones included.
    pub async fn list_api_keys(
        &self,
        by: &dyn Mandate,
        email: &str,
    ) -> Result<Vec<ApiKey>, EngineError> {
        let user = self.user_of_keys(by, email).await?;
        let all = Place::all(ResourceType::ApiKey);
        by.may(("API key", "*"), &[all, users::place(&user)])?;
        self.keys_of(by, &user).await
    }

    /// Changes an API key that is not revoked. What changes nothing leaves no trace.
    pub async fn update_api_key(
        &self,
        by: &dyn Mandate,
        email: &str,
        told: &str,
        update: UpdateApiKey,
    ) -> Result<ApiKey, EngineError> {
        retried!(self.change_api_key(by, email, told, update.clone()))
    }

    async fn change_api_key(
        &self,
        by: &dyn Mandate,
        email: &str,
        told: &str,
        update: UpdateApiKey,
    ) -> Result<ApiKey, EngineError> {
        let (user, key) = self.api_key(by, email, told).await?;
        let name = update.name.filter(|name| *name != key.name);
        let description = update.description.filter(|text| *text != key.description);
        let mut grant = key.grant.clone();
        if let Some(permissions) = update.permissions {
            grant.permissions = permissions;
        }
        grant.scopes = update.scopes.unwrap_or(grant.scopes);
        grant.rate_limit_override = update
            .rate_limit_override
            .unwrap_or(grant.rate_limit_override);
        grant.expires_at = update.expires_at.unwrap_or(grant.expires_at);
        grant.allowed_origins = update.allowed_origins.unwrap_or(grant.allowed_origins);
        let grant = Some(tidy(grant)).filter(|grant| *grant != key.grant);
        if name.is_none() && description.is_none() && grant.is_none() {
            return Ok(key);
        }
        if let Some(name) = &name {
            check_name(by, name)?;
        }
        if name.is_some() || grant.is_some() {
            refuse_protected(by, &key)?;
        }
        if let Some(grant) = &grant {
            self.check_grant(by, &user, grant).await?;
        }
        let mut changes = json!({"name": key.name, "user": user.email.as_str()});
        if let Some(name) = &name {
            changes["renamed_to"] = json!(name);
        }
        if description.is_some() {
            changes["description"] = json!("changed");
        }
        if let Some(grant) = &grant {
            changes["from"] = grant_view(&key.grant);
            changes["to"] = grant_view(grant);
        }
        let change = ApiKeyChange {
            name,
            description,
            grant,
        };
        let audit = self.key_row(by, Action::ApiKeyScopeUpdated, &key, changes);
        self.repositories()
            .access
            .update_api_key(by.organization(), &key.id, &key.grant, change, audit)
            .await
            .map_err(|error| change_failed(error, missing(told), name_taken()))
    }

    /// Gives an API key another secret; the old one stops working at once.
    pub async fn rotate_api_key(
        &self,
        by: &dyn Mandate,
        email: &str,
        told: &str,
    ) -> Result<IssuedApiKey, EngineError> {
        retried!(self.renew_api_key(by, email, told))
    }

    async fn renew_api_key(
        &self,
        by: &dyn Mandate,
        email: &str,
        told: &str,
    ) -> Result<IssuedApiKey, EngineError> {
        let (user, key) = self.api_key(by, email, told).await?;
        // Whoever rotates a key gets to see it, and can do from then on what it can.
        refuse_excess(by, &key.grant)?;
        let secret = new_api_key(self.ids());
        let stored = NewSecret {
            prefix: prefix(&secret),
            hash: self.hash(&secret).await?,
        };
        let changes = json!({"name": key.name, "user": user.email.as_str()});
        let audit = self.key_row(by, Action::ApiKeyRotated, &key, changes);
        let key = self
            .repositories()
            .access
            .rotate_api_key(by.organization(), &key.id, &key.grant, stored, audit)
            .await
            .map_err(|error| change_failed(error, missing(told), name_taken()))?;
        Ok(IssuedApiKey { key, secret })
    }

    /// Revokes an API key for good.
    pub async fn revoke_api_key(
        &self,
        by: &dyn Mandate,
        email: &str,
        told: &str,
    ) -> Result<ApiKey, EngineError> {
        let (user, key) = self.api_key(by, email, told).await?;
        refuse_protected(by, &key)?;
        let changes = json!({"name": key.name, "user": user.email.as_str()});
        let audit = self.key_row(by, Action::ApiKeyRevoked, &key, changes);
        let revoked = self
            .repositories()
            .access
            .revoke_api_key(by.organization(), &key.id, audit)
            .await?;
        revoked.ok_or_else(|| missing(told))
    }

    /// A user and one of their keys that is not revoked, by the key's name or identifier.
    async fn api_key(
        &self,
        by: &dyn Mandate,
        email: &str,
        told: &str,
    ) -> Result<(User, ApiKey), EngineError> {
        let user = self.user_of_keys(by, email).await?;
        let keys = self.keys_of(by, &user).await?;
        let mut unrevoked = keys.into_iter().filter(|key| key.revoked_at.is_none());
        let found = unrevoked.find(|key| key.name == told || key.id.as_str() == told);
        let place = match &found {
            Some(key) => Place::named(ResourceType::ApiKey, key.id.as_str(), &key.name),
            None => Place::as_told(ResourceType::ApiKey, told),
        };
        by.may(("API key", told), &[place, users::place(&user)])?;
        let key = found.ok_or_else(|| missing(told))?;
        Ok((user, key))
    }

    /// The user whose keys are asked for; a scope of keys alone reaches them, too.
    async fn user_of_keys(&self, by: &dyn Mandate, email: &str) -> Result<User, EngineError> {
        let parsed = wharf_domain::access::Email::parse(email).ok();
        let access = &self.repositories().access;
        let found = match &parsed {
            Some(parsed) => access.find_user(by.organization(), parsed).await?,
            None => None,
        };
        if let Some(user) = found {
            return Ok(user);
        }
        by.may(
            ("user", email),
            &[Place::as_told(ResourceType::User, email)],
        )?;
        Err(EngineError::not_found("user", email))
    }

    async fn keys_of(&self, by: &dyn Mandate, user: &User) -> Result<Vec<ApiKey>, EngineError> {
        let access = &self.repositories().access;
        Ok(access.list_api_keys(by.organization(), &user.id).await?)
    }

    /// Refuses a grant that the user's role does not allow, that goes beyond what the mandate's own does, or that has run out
    /// already.
    async fn check_grant(
        &self,
        by: &dyn Mandate,
        user: &User,
        grant: &Grant,
    ) -> Result<(), EngineError> {
        let (role, ceiling) = (user.profile.role, user.profile.role.ceiling());
        if grant.permission() > ceiling {
            let message = format!(
                "a user with the role {} may hold keys up to {ceiling}",
                role.as_str()
            );
            return Err(InvalidInput::one("permissions", "role_ceiling", message).into());
        }
        refuse_excess(by, grant)?;
        if let Some(expires_at) = grant.expires_at
            && expires_at <= self.repositories().across.now().await?
        {
            let message = "must lie in the future; revoke the key to end it now";
            return Err(InvalidInput::one("expires_at", "out_of_range", message).into());
        }
        Ok(())
    }

    pub(super) async fn new_key_row(
        &self,
        user: &UserId,
        secret: &SecretString,
        new: CreateApiKey,
        origin: &Origin,
    ) -> Result<NewApiKey, EngineError> {
        Ok(NewApiKey {
            id: self.ids().id(),
            user: user.clone(),
            name: new.name,
            description: new.description,
            prefix: prefix(secret),
            hash: self.hash(secret).await?,
            grant: new.grant,
            principal_id: new.principal_id,
            created_by: origin.actor.id().to_owned(),
        })
    }

    async fn hash(&self, secret: &SecretString) -> Result<ApiKeyHash, EngineError> {
        let key_ring = &self.parts.key_ring;
        let hash = key_ring.hash_api_key(secret.expose().as_bytes()).await?;
        Ok(ApiKeyHash(hash))
    }

    fn key_row(
        &self,
        by: &dyn Mandate,
        action: Action,
        key: &ApiKey,
        changes: Value,
    ) -> NewAuditRow {
        let resource = (ResourceType::ApiKey, key.id.as_str());
        audit_row(self.ids(), by.origin(), action, resource, changes)
    }
}

fn prefix(secret: &SecretString) -> String {
    secret.expose().chars().take(10).collect()
}

fn check_name(by: &dyn Mandate, name: &str) -> Result<(), InvalidInput> {
    if name == BOOTSTRAP_KEY_NAME && by.bounds().is_some() {
        let message =
            format!("{BOOTSTRAP_KEY_NAME} is the name of the protected first key; choose another");
        return Err(InvalidInput::one("name", "reserved", message));
    }
    let length = name.chars().count();
    let shaped_like_an_identifier = name.starts_with("key_");
    if (1..=100).contains(&length)
        && !name.chars().any(char::is_control)
        && !shaped_like_an_identifier
    {
        return Ok(());
    }
    let message = "must have 1 to 100 characters, no control characters, and not start with key_";
    Err(InvalidInput::one("name", "string_pattern", message))
}

/// Permissions in their order, each once.
fn tidy(mut grant: Grant) -> Grant {
    grant.permissions.sort_unstable();
    grant.permissions.dedup();
    grant
}

fn refuse_excess(by: &dyn Mandate, grant: &Grant) -> Result<(), EngineError> {
    let Some((own, _)) = by.bounds() else {
        return Ok(());
    };
    if grant.lies_within(own, by.organization()) {
        return Ok(());
    }
    Err(EngineError::Forbidden {
        code: "grant_exceeds_key",
        message: "The key would allow more, or for longer, than the key that was sent; nobody can grant more than they have."
            .to_owned(),
    })
}

fn refuse_protected(by: &dyn Mandate, key: &ApiKey) -> Result<(), EngineError> {
    if key.name != BOOTSTRAP_KEY_NAME || by.bounds().is_none() {
        return Ok(());
    }
    let message = format!(
        "The key {BOOTSTRAP_KEY_NAME} is protected: it can be rotated, but only an operator can revoke or change it \
         (wharf admin keys)."
    );
    Err(EngineError::conflict("api_key_protected", message))
}

/// A grant as the audit trail tells it.
fn grant_view(grant: &Grant) -> Value {
    json!({
        "permissions": grant.permissions,
        "scopes": grant.scopes,
        "rate_limit_override": grant.rate_limit_override,
        "expires_at": grant.expires_at,
        "allowed_origins": grant.allowed_origins,
    })
}
