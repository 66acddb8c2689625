use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use wharf_domain::Timestamp;
use wharf_domain::access::{
    ApiKey, ApiKeyHash, Email, Grant, Organization, OrganizationProfile, Role, User, UserProfile,
    UserStatus,
};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{ApiKeyId, OrganizationId, UserId};
use wharf_ports::{
    AccessError, AccessRepository, ApiKeyChange, InsertError, NewApiKey, NewSecret, NewUser,
    RepositoryError,
};

use crate::audit;
use crate::clock::{micros, micros_of, span};
use crate::error::{Failure, Fault, changing, inserting};
use crate::row::{Columns, json};
use crate::store::{Store, Tx, in_transaction};

/// For how long a key counts as just used.
const NOTED_FOR: Duration = Duration::from_mins(1);

macro_rules! organization_columns {
    () => {
        "id, name, logo_url, billing_email, notifications_email, metadata, rate_limits, created_at, updated_at"
    };
}
pub(crate) use organization_columns;

macro_rules! user_columns {
    () => {
        "id, email, name, avatar_url, role, status, metadata, created_at, updated_at"
    };
}

macro_rules! key_columns {
    () => {
        "id, user_id, name, description, prefix, hash, permissions, scopes, rate_limit_override, allowed_origins, \
         principal_id, expires_at, created_by, created_at, last_used_at, revoked_at, revoked_by"
    };
}

/// Adds a user within a transaction.
pub(crate) async fn insert_user(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    user: &NewUser,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO users (organization, id, email, name, avatar_url, role, status, metadata, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
    )
    .bind(organization.as_str())
    .bind(user.id.as_str())
    .bind(user.email.as_str())
    .bind(&user.profile.name)
    .bind(&user.profile.avatar_url)
    .bind(user.profile.role.as_str())
    .bind(user.profile.status.as_str())
    .bind(json(&user.profile.metadata))
    .bind(micros(now))
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds an API key within a transaction.
pub(crate) async fn insert_key(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    key: &NewApiKey,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO api_keys (organization, id, user_id, name, description, prefix, hash, permissions, scopes, \
         rate_limit_override, allowed_origins, principal_id, expires_at, created_by, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(organization.as_str())
    .bind(key.id.as_str())
    .bind(key.user.as_str())
    .bind(&key.name)
    .bind(&key.description)
    .bind(&key.prefix)
    .bind(key.hash.0.as_slice())
    .bind(json(&key.grant.permissions))
    .bind(json(&key.grant.scopes))
    .bind(key.grant.rate_limit_override)
    .bind(key.grant.allowed_origins.as_ref().map(json))
    .bind(&key.principal_id)
    .bind(micros_of(key.grant.expires_at))
    .bind(&key.created_by)
    .bind(micros(now))
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) fn read_organization(row: &SqliteRow) -> Result<Organization, Fault> {
    let columns = Columns::of("organizations", row);
    Ok(Organization {
        id: columns.parse("id")?,
        profile: OrganizationProfile {
            name: columns.get("name")?,
            logo_url: columns.get("logo_url")?,
            billing_email: columns.get("billing_email")?,
            notifications_email: columns.get("notifications_email")?,
            metadata: columns.json("metadata")?,
            rate_limits: columns.json("rate_limits")?,
        },
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

fn read_user(row: &SqliteRow) -> Result<User, Fault> {
    let columns = Columns::of("users", row);
    Ok(User {
        id: columns.parse("id")?,
        email: columns.read("email", |text| Email::parse(text).ok())?,
        profile: UserProfile {
            name: columns.get("name")?,
            avatar_url: columns.get("avatar_url")?,
            role: columns.parse("role")?,
            status: columns.parse("status")?,
            metadata: columns.json("metadata")?,
        },
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

/// The stored form of a key, where it was read.
pub(crate) fn read_hash(columns: &Columns<'_>) -> Result<ApiKeyHash, Fault> {
    let hash = <[u8; 32]>::try_from(columns.get::<&[u8]>("hash")?);
    hash.map(ApiKeyHash)
        .map_err(|_| columns.corrupt("hash", "is of another length"))
}

pub(crate) fn read_grant(columns: &Columns<'_>) -> Result<Grant, Fault> {
    let limit: Option<i64> = columns.get("rate_limit_override")?;
    let limit = limit.map(u32::try_from).transpose();
    Ok(Grant {
        permissions: columns.json("permissions")?,
        scopes: columns.json("scopes")?,
        rate_limit_override: limit
            .map_err(|_| columns.corrupt("rate_limit_override", "is out of range"))?,
        allowed_origins: columns.json_optional("allowed_origins")?,
        expires_at: columns.time_optional("expires_at")?,
    })
}

/// A grant as it is read back.
fn stored_grant(grant: Grant) -> Grant {
    let stored = |at: Timestamp| Timestamp::from_timestamp_micros(micros(at));
    Grant {
        expires_at: grant.expires_at.and_then(stored),
        ..grant
    }
}

fn read_key(row: &SqliteRow) -> Result<ApiKey, Fault> {
    let columns = Columns::of("api_keys", row);
    Ok(ApiKey {
        id: columns.parse("id")?,
        user_id: columns.parse("user_id")?,
        name: columns.get("name")?,
        description: columns.get("description")?,
        prefix: columns.get("prefix")?,
        hash: read_hash(&columns)?,
        grant: read_grant(&columns)?,
        principal_id: columns.get("principal_id")?,
        created_by: columns.get("created_by")?,
        created_at: columns.time("created_at")?,
        last_used_at: columns.time_optional("last_used_at")?,
        revoked_at: columns.time_optional("revoked_at")?,
        revoked_by: columns.get("revoked_by")?,
    })
}

async fn find_organization(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
) -> Result<Option<Organization>, Fault> {
    sqlx::query(concat!(
        "SELECT ",
        organization_columns!(),
        " FROM organizations WHERE id = $1"
    ))
    .bind(organization.as_str())
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(read_organization)
    .transpose()
}

/// A user that was not removed.
async fn find_user(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    user: &UserId,
) -> Result<Option<User>, Fault> {
    sqlx::query(concat!(
        "SELECT ",
        user_columns!(),
        " FROM users WHERE organization = $1 AND id = $2 AND removed_at IS NULL"
    ))
    .bind(organization.as_str())
    .bind(user.as_str())
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(read_user)
    .transpose()
}

/// Refuses what would take the last active admin away.
async fn spare_last_admin(
    tx: &mut Tx,
    organization: &OrganizationId,
    user: &User,
) -> Result<(), Failure<AccessError>> {
    if !is_active_admin(&user.profile) {
        return Ok(());
    }
    let other = sqlx::query(
        "SELECT 1 FROM users WHERE organization = $1 AND id <> $2 AND removed_at IS NULL AND role = $3 AND status = $4 \
         LIMIT 1",
    )
    .bind(organization.as_str())
    .bind(user.id.as_str())
    .bind(Role::Admin.as_str())
    .bind(UserStatus::Active.as_str())
    .fetch_optional(&mut **tx)
    .await?;
    match other {
        Some(_) => Ok(()),
        None => Err(Failure::Refused(AccessError::LastAdmin)),
    }
}

fn is_active_admin(profile: &UserProfile) -> bool {
    profile.role == Role::Admin && profile.status == UserStatus::Active
}

async fn find_key(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    key: &ApiKeyId,
) -> Result<Option<ApiKey>, Fault> {
    sqlx::query(concat!(
        "SELECT ",
        key_columns!(),
        " FROM api_keys WHERE organization = $1 AND id = $2"
    ))
    .bind(organization.as_str())
    .bind(key.as_str())
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(read_key)
    .transpose()
}

/// A key that is not revoked, to be changed.
async fn find_usable(
    tx: &mut Tx,
    organization: &OrganizationId,
    key: &ApiKeyId,
) -> Result<ApiKey, Failure<AccessError>> {
    let found = find_key(tx, organization, key).await?;
    let usable = found.filter(|key| key.revoked_at.is_none());
    usable.ok_or(Failure::Refused(AccessError::NotFound))
}

impl Store {
    async fn change_organization(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        read: &OrganizationProfile,
        profile: OrganizationProfile,
        audit: &NewAuditRow,
    ) -> Result<Organization, Failure<AccessError>> {
        let found = find_organization(tx, organization).await?;
        let stored = found.ok_or(Failure::Refused(AccessError::NotFound))?;
        if stored.profile == profile {
            return Ok(stored);
        }
        if stored.profile != *read {
            return Err(Failure::Refused(AccessError::Conflict));
        }
        let now = self.now(tx).await?;
        sqlx::query(
            "UPDATE organizations SET name = $2, logo_url = $3, billing_email = $4, notifications_email = $5, \
             metadata = $6, rate_limits = $7, updated_at = $8 WHERE id = $1",
        )
        .bind(organization.as_str())
        .bind(&profile.name)
        .bind(&profile.logo_url)
        .bind(&profile.billing_email)
        .bind(&profile.notifications_email)
        .bind(json(&profile.metadata))
        .bind(json(&profile.rate_limits))
        .bind(micros(now))
        .execute(&mut **tx)
        .await
        .map_err(|error| changing(error))?;
        audit::store(tx, organization, audit, now);
        Ok(Organization {
            profile,
            updated_at: now,
            ..stored
        })
    }

    async fn add_user(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        new: NewUser,
        audit: &NewAuditRow,
    ) -> Result<User, Failure<InsertError>> {
        let now = self.now(tx).await?;
        insert_user(tx, organization, &new, now)
            .await
            .map_err(|error| inserting(error))?;
        audit::store(tx, organization, audit, now);
        Ok(User {
            id: new.id,
            email: new.email,
            profile: new.profile,
            created_at: now,
            updated_at: now,
        })
    }

    async fn user_at(
        &self,
        organization: &OrganizationId,
        email: &Email,
    ) -> Result<Option<User>, Fault> {
        sqlx::query(concat!(
            "SELECT ",
            user_columns!(),
            " FROM users WHERE organization = $1 AND email = $2 AND removed_at IS NULL"
        ))
        .bind(organization.as_str())
        .bind(email.as_str())
        .fetch_optional(&self.reads)
        .await?
        .as_ref()
        .map(read_user)
        .transpose()
    }

    async fn users(&self, organization: &OrganizationId) -> Result<Vec<User>, Fault> {
        sqlx::query(concat!(
            "SELECT ",
            user_columns!(),
            " FROM users WHERE organization = $1 AND removed_at IS NULL ORDER BY created_at, id"
        ))
        .bind(organization.as_str())
        .fetch_all(&self.reads)
        .await?
        .iter()
        .map(read_user)
        .collect()
    }

    async fn change_user(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        user: &UserId,
        read: &UserProfile,
        profile: UserProfile,
        audit: &NewAuditRow,
    ) -> Result<User, Failure<AccessError>> {
        let found = find_user(tx, organization, user).await?;
        let stored = found.ok_or(Failure::Refused(AccessError::NotFound))?;
        if stored.profile == profile {
            return Ok(stored);
        }
        if stored.profile != *read {
            return Err(Failure::Refused(AccessError::Conflict));
        }
        if !is_active_admin(&profile) {
            spare_last_admin(tx, organization, &stored).await?;
        }
        let now = self.now(tx).await?;
        sqlx::query(
            "UPDATE users SET name = $3, avatar_url = $4, role = $5, status = $6, metadata = $7, updated_at = $8 \
             WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(user.as_str())
        .bind(&profile.name)
        .bind(&profile.avatar_url)
        .bind(profile.role.as_str())
        .bind(profile.status.as_str())
        .bind(json(&profile.metadata))
        .bind(micros(now))
        .execute(&mut **tx)
        .await?;
        audit::store(tx, organization, audit, now);
        Ok(User {
            profile,
            updated_at: now,
            ..stored
        })
    }

    async fn drop_user(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        user: &UserId,
        audit: &NewAuditRow,
    ) -> Result<(), Failure<AccessError>> {
        let found = find_user(tx, organization, user).await?;
        let stored = found.ok_or(Failure::Refused(AccessError::NotFound))?;
        spare_last_admin(tx, organization, &stored).await?;
        let now = self.now(tx).await?;
        sqlx::query(
            "UPDATE users SET removed_at = $3, updated_at = $3 WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(user.as_str())
        .bind(micros(now))
        .execute(&mut **tx)
        .await?;
        sqlx::query(
            "UPDATE api_keys SET revoked_at = $3, revoked_by = $4 \
             WHERE organization = $1 AND user_id = $2 AND revoked_at IS NULL",
        )
        .bind(organization.as_str())
        .bind(user.as_str())
        .bind(micros(now))
        .bind(audit.origin.actor.id())
        .execute(&mut **tx)
        .await?;
        audit::store(tx, organization, audit, now);
        Ok(())
    }

    async fn add_key(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        new: NewApiKey,
        audit: &NewAuditRow,
    ) -> Result<ApiKey, Failure<InsertError>> {
        if find_user(tx, organization, &new.user).await?.is_none() {
            return Err(Failure::Refused(InsertError::ParentMissing));
        }
        let now = self.now(tx).await?;
        insert_key(tx, organization, &new, now)
            .await
            .map_err(|error| inserting(error))?;
        audit::store(tx, organization, audit, now);
        let stored = find_key(tx, organization, &new.id).await?;
        stored.ok_or_else(|| Fault::Corrupt("api_keys: an inserted row is missing".into()).into())
    }

    async fn keys_of(
        &self,
        organization: &OrganizationId,
        user: &UserId,
    ) -> Result<Vec<ApiKey>, Fault> {
        sqlx::query(concat!(
            "SELECT ",
            key_columns!(),
            " FROM api_keys WHERE organization = $1 AND user_id = $2 ORDER BY created_at, id"
        ))
        .bind(organization.as_str())
        .bind(user.as_str())
        .fetch_all(&self.reads)
        .await?
        .iter()
        .map(read_key)
        .collect()
    }

    async fn change_key(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        key: &ApiKeyId,
        read: &Grant,
        change: ApiKeyChange,
        audit: &NewAuditRow,
    ) -> Result<ApiKey, Failure<AccessError>> {
        let stored = find_usable(tx, organization, key).await?;
        let mut changed = stored.clone();
        changed.name = change.name.unwrap_or(changed.name);
        changed.description = change.description.unwrap_or(changed.description);
        changed.grant = change.grant.map_or(changed.grant, stored_grant);
        if changed == stored {
            return Ok(stored);
        }
        if stored.grant != *read {
            return Err(Failure::Refused(AccessError::Conflict));
        }
        let now = self.now(tx).await?;
        sqlx::query(
            "UPDATE api_keys SET name = $3, description = $4, permissions = $5, scopes = $6, rate_limit_override = $7, \
             allowed_origins = $8, expires_at = $9 WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(key.as_str())
        .bind(&changed.name)
        .bind(&changed.description)
        .bind(json(&changed.grant.permissions))
        .bind(json(&changed.grant.scopes))
        .bind(changed.grant.rate_limit_override)
        .bind(changed.grant.allowed_origins.as_ref().map(json))
        .bind(micros_of(changed.grant.expires_at))
        .execute(&mut **tx)
        .await
        .map_err(|error| changing(error))?;
        audit::store(tx, organization, audit, now);
        find_usable(tx, organization, key).await
    }

    async fn rotate_key(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        key: &ApiKeyId,
        read: &Grant,
        secret: NewSecret,
        audit: &NewAuditRow,
    ) -> Result<ApiKey, Failure<AccessError>> {
        let stored = find_usable(tx, organization, key).await?;
        if stored.grant != *read {
            return Err(Failure::Refused(AccessError::Conflict));
        }
        let now = self.now(tx).await?;
        sqlx::query(
            "UPDATE api_keys SET prefix = $3, hash = $4 WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(key.as_str())
        .bind(&secret.prefix)
        .bind(secret.hash.0.as_slice())
        .execute(&mut **tx)
        .await
        .map_err(|error| changing(error))?;
        audit::store(tx, organization, audit, now);
        find_usable(tx, organization, key).await
    }

    /// Most calls find the use noted, and leave the writer alone.
    async fn note_use(&self, organization: &OrganizationId, key: &ApiKeyId) -> Result<(), Fault> {
        let mut connection = self.read().await?;
        let now = self.now(&mut connection).await?;
        let before = micros(now) - span(NOTED_FOR);
        let due = sqlx::query(
            "SELECT 1 FROM api_keys WHERE organization = $1 AND id = $2 AND COALESCE(last_used_at, 0) <= $3",
        )
        .bind(organization.as_str())
        .bind(key.as_str())
        .bind(before)
        .fetch_optional(&mut *connection)
        .await?;
        if due.is_some() {
            sqlx::query(
                "UPDATE api_keys SET last_used_at = $3 WHERE organization = $1 AND id = $2",
            )
            .bind(organization.as_str())
            .bind(key.as_str())
            .bind(micros(now))
            .execute(&self.writes)
            .await?;
        }
        Ok(())
    }

    async fn revoke_key(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        key: &ApiKeyId,
        audit: &NewAuditRow,
    ) -> Result<Option<ApiKey>, Fault> {
        let now = self.now(tx).await?;
        let revoked = sqlx::query(
            "UPDATE api_keys SET revoked_at = $3, revoked_by = $4 \
             WHERE organization = $1 AND id = $2 AND revoked_at IS NULL",
        )
        .bind(organization.as_str())
        .bind(key.as_str())
        .bind(micros(now))
        .bind(audit.origin.actor.id())
        .execute(&mut **tx)
        .await?;
        if revoked.rows_affected() > 0 {
            audit::store(tx, organization, audit, now);
        }
        find_key(tx, organization, key).await
    }
}

#[async_trait]
impl AccessRepository for Store {
    async fn organization(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<Organization>, RepositoryError> {
        let mut connection = self.read().await?;
        Ok(find_organization(&mut connection, organization).await?)
    }

    async fn update_organization(
        &self,
        organization: &OrganizationId,
        read: &OrganizationProfile,
        profile: OrganizationProfile,
        audit: NewAuditRow,
    ) -> Result<Organization, AccessError> {
        in_transaction!(self, tx => self.change_organization(&mut tx, organization, read, profile, &audit))
            .map_err(Failure::into_port)
    }

    async fn insert_user(
        &self,
        organization: &OrganizationId,
        user: NewUser,
        audit: NewAuditRow,
    ) -> Result<User, InsertError> {
        in_transaction!(self, tx => self.add_user(&mut tx, organization, user, &audit))
            .map_err(Failure::into_port)
    }

    async fn find_user(
        &self,
        organization: &OrganizationId,
        email: &Email,
    ) -> Result<Option<User>, RepositoryError> {
        Ok(self.user_at(organization, email).await?)
    }

    async fn list_users(
        &self,
        organization: &OrganizationId,
    ) -> Result<Vec<User>, RepositoryError> {
        Ok(self.users(organization).await?)
    }

    async fn update_user(
        &self,
        organization: &OrganizationId,
        user: &UserId,
        read: &UserProfile,
        profile: UserProfile,
        audit: NewAuditRow,
    ) -> Result<User, AccessError> {
        in_transaction!(self, tx => self.change_user(&mut tx, organization, user, read, profile, &audit))
            .map_err(Failure::into_port)
    }

    async fn remove_user(
        &self,
        organization: &OrganizationId,
        user: &UserId,
        audit: NewAuditRow,
    ) -> Result<(), AccessError> {
        in_transaction!(self, tx => self.drop_user(&mut tx, organization, user, &audit))
            .map_err(Failure::into_port)
    }

    async fn insert_api_key(
        &self,
        organization: &OrganizationId,
        key: NewApiKey,
        audit: NewAuditRow,
    ) -> Result<ApiKey, InsertError> {
        in_transaction!(self, tx => self.add_key(&mut tx, organization, key, &audit))
            .map_err(Failure::into_port)
    }

    async fn list_api_keys(
        &self,
        organization: &OrganizationId,
        user: &UserId,
    ) -> Result<Vec<ApiKey>, RepositoryError> {
        Ok(self.keys_of(organization, user).await?)
    }

    async fn update_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        read: &Grant,
        change: ApiKeyChange,
        audit: NewAuditRow,
    ) -> Result<ApiKey, AccessError> {
        in_transaction!(self, tx => self.change_key(&mut tx, organization, key, read, change, &audit))
            .map_err(Failure::into_port)
    }

    async fn rotate_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        read: &Grant,
        secret: NewSecret,
        audit: NewAuditRow,
    ) -> Result<ApiKey, AccessError> {
        in_transaction!(self, tx => self.rotate_key(&mut tx, organization, key, read, secret, &audit))
            .map_err(Failure::into_port)
    }

    async fn note_key_used(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
    ) -> Result<(), RepositoryError> {
        Ok(self.note_use(organization, key).await?)
    }

    async fn revoke_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        audit: NewAuditRow,
    ) -> Result<Option<ApiKey>, RepositoryError> {
        Ok(in_transaction!(self, tx => self.revoke_key(&mut tx, organization, key, &audit))?)
    }
}
