use async_trait::async_trait;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
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
use crate::error::{Failure, Fault, changing, inserting};
use crate::row::{Columns, json};
use crate::store::{Store, Tx, in_transaction};

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
         expires_at, principal_id, created_by, created_at, last_used_at, revoked_at, revoked_by"
    };
}

/// Adds an organization within a transaction.
pub(crate) async fn insert_organization(
    connection: &mut PgConnection,
    id: &OrganizationId,
    profile: &OrganizationProfile,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO organizations (id, name, logo_url, billing_email, notifications_email, metadata, rate_limits, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
    )
    .bind(id.as_str())
    .bind(&profile.name)
    .bind(&profile.logo_url)
    .bind(&profile.billing_email)
    .bind(&profile.notifications_email)
    .bind(json(&profile.metadata))
    .bind(json(&profile.rate_limits))
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds a user within a transaction.
pub(crate) async fn insert_user(
    connection: &mut PgConnection,
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
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds an API key within a transaction.
pub(crate) async fn insert_key(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    key: &NewApiKey,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO api_keys (organization, id, user_id, name, description, prefix, hash, permissions, scopes, \
         rate_limit_override, allowed_origins, expires_at, principal_id, created_by, created_at) \
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
    .bind(key.grant.rate_limit_override.map(i64::from))
    .bind(key.grant.allowed_origins.as_ref().map(json))
    .bind(key.grant.expires_at)
    .bind(&key.principal_id)
    .bind(&key.created_by)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) fn read_organization(row: &PgRow) -> Result<Organization, Fault> {
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

fn read_user(row: &PgRow) -> Result<User, Fault> {
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

pub(crate) fn read_grant(columns: &Columns<'_>) -> Result<Grant, Fault> {
    Ok(Grant {
        permissions: columns.json("permissions")?,
        scopes: columns.json("scopes")?,
        rate_limit_override: columns
            .get::<Option<i64>>("rate_limit_override")?
            .map(u32::try_from)
            .transpose()
            .map_err(|_| columns.corrupt("rate_limit_override", "is out of range"))?,
        allowed_origins: columns.json_optional("allowed_origins")?,
        expires_at: columns.time_optional("expires_at")?,
    })
}

pub(crate) fn read_hash(columns: &Columns<'_>) -> Result<ApiKeyHash, Fault> {
    let hash = columns.get::<Vec<u8>>("hash")?.try_into();
    hash.map(ApiKeyHash)
        .map_err(|_| columns.corrupt("hash", "is of another length"))
}

fn read_key(row: &PgRow) -> Result<ApiKey, Fault> {
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

async fn find_key(
    connection: &mut PgConnection,
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

/// A key that is not revoked, locked until the transaction ends.
async fn find_usable_key(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    key: &ApiKeyId,
) -> Result<ApiKey, Failure<AccessError>> {
    let found = sqlx::query(concat!(
        "SELECT ",
        key_columns!(),
        " FROM api_keys WHERE organization = $1 AND id = $2 AND revoked_at IS NULL FOR UPDATE"
    ))
    .bind(organization.as_str())
    .bind(key.as_str())
    .fetch_optional(tx)
    .await?;
    let found = found.ok_or(Failure::Refused(AccessError::NotFound))?;
    Ok(read_key(&found)?)
}

/// The organization, locked until the transaction ends: of two changes that could each take away an admin, one waits here.
async fn find_locked(
    tx: &mut PgConnection,
    organization: &OrganizationId,
) -> Result<Organization, Failure<AccessError>> {
    let found = sqlx::query(concat!(
        "SELECT ",
        organization_columns!(),
        " FROM organizations WHERE id = $1 FOR NO KEY UPDATE"
    ))
    .bind(organization.as_str())
    .fetch_optional(tx)
    .await?;
    let found = found.ok_or(Failure::Refused(AccessError::NotFound))?;
    Ok(read_organization(&found)?)
}

/// A user who was not removed. What decides about admins has the organization locked.
async fn find_present(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    user: &UserId,
) -> Result<User, Failure<AccessError>> {
    let found = sqlx::query(concat!(
        "SELECT ",
        user_columns!(),
        " FROM users WHERE organization = $1 AND id = $2 AND removed_at IS NULL FOR UPDATE"
    ))
    .bind(organization.as_str())
    .bind(user.as_str())
    .fetch_optional(tx)
    .await?;
    let found = found.ok_or(Failure::Refused(AccessError::NotFound))?;
    Ok(read_user(&found)?)
}

/// A grant as it is read back: times have microseconds.
fn stored_grant(grant: Grant) -> Grant {
    let stored = |at: Timestamp| Timestamp::from_timestamp_micros(at.timestamp_micros());
    Grant {
        expires_at: grant.expires_at.map(|at| stored(at).unwrap_or(at)),
        ..grant
    }
}

fn is_active_admin(profile: &UserProfile) -> bool {
    profile.role == Role::Admin && profile.status == UserStatus::Active
}

/// Refuses if the organization has no active admin but this user.
async fn keep_an_admin(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    user: &UserId,
) -> Result<(), Failure<AccessError>> {
    let others: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM users WHERE organization = $1 AND id <> $2 AND removed_at IS NULL \
         AND role = $3 AND status = $4)",
    )
    .bind(organization.as_str())
    .bind(user.as_str())
    .bind(Role::Admin.as_str())
    .bind(UserStatus::Active.as_str())
    .fetch_one(tx)
    .await?;
    if others {
        Ok(())
    } else {
        Err(Failure::Refused(AccessError::LastAdmin))
    }
}

impl Store {
    async fn find_organization(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<Organization>, Fault> {
        sqlx::query(concat!(
            "SELECT ",
            organization_columns!(),
            " FROM organizations WHERE id = $1"
        ))
        .bind(organization.as_str())
        .fetch_optional(&mut *self.read(organization).await?)
        .await?
        .as_ref()
        .map(read_organization)
        .transpose()
    }

    async fn change_organization(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        read: &OrganizationProfile,
        profile: OrganizationProfile,
        audit: &NewAuditRow,
    ) -> Result<Organization, Failure<AccessError>> {
        let found = find_locked(tx, organization).await?;
        if found.profile == profile {
            return Ok(found);
        }
        if found.profile != *read {
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
        .bind(now)
        .execute(&mut **tx)
        .await
        .map_err(|error| changing(error))?;
        audit::store(tx, organization, audit, now);
        Ok(Organization {
            profile,
            updated_at: now,
            ..found
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
        .fetch_optional(&mut *self.read(organization).await?)
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
        .fetch_all(&mut *self.read(organization).await?)
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
        find_locked(tx, organization).await?;
        let found = find_present(tx, organization, user).await?;
        if found.profile == profile {
            return Ok(found);
        }
        if found.profile != *read {
            return Err(Failure::Refused(AccessError::Conflict));
        }
        if is_active_admin(&found.profile) && !is_active_admin(&profile) {
            keep_an_admin(tx, organization, user).await?;
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
        .bind(now)
        .execute(&mut **tx)
        .await?;
        audit::store(tx, organization, audit, now);
        Ok(User {
            profile,
            updated_at: now,
            ..found
        })
    }

    async fn take_user_away(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        user: &UserId,
        audit: &NewAuditRow,
    ) -> Result<(), Failure<AccessError>> {
        find_locked(tx, organization).await?;
        let found = find_present(tx, organization, user).await?;
        if is_active_admin(&found.profile) {
            keep_an_admin(tx, organization, user).await?;
        }
        let now = self.now(tx).await?;
        sqlx::query(
            "UPDATE users SET removed_at = $3, updated_at = $3 WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(user.as_str())
        .bind(now)
        .execute(&mut **tx)
        .await?;
        sqlx::query(
            "UPDATE api_keys SET revoked_at = $3, revoked_by = $4 \
             WHERE organization = $1 AND user_id = $2 AND revoked_at IS NULL",
        )
        .bind(organization.as_str())
        .bind(user.as_str())
        .bind(now)
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
        // Whoever removes the user at this moment waits, and then revokes this key, too.
        let present: Option<i32> = sqlx::query_scalar(
            "SELECT 1 FROM users WHERE organization = $1 AND id = $2 AND removed_at IS NULL FOR SHARE",
        )
        .bind(organization.as_str())
        .bind(new.user.as_str())
        .fetch_optional(&mut **tx)
        .await?;
        if present.is_none() {
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
        .fetch_all(&mut *self.read(organization).await?)
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
        let found = find_usable_key(tx, organization, key).await?;
        let changed = ApiKey {
            name: change.name.unwrap_or_else(|| found.name.clone()),
            description: change
                .description
                .unwrap_or_else(|| found.description.clone()),
            grant: change
                .grant
                .map_or_else(|| found.grant.clone(), stored_grant),
            ..found.clone()
        };
        if changed == found {
            return Ok(found);
        }
        if found.grant != *read {
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
        .bind(changed.grant.rate_limit_override.map(i64::from))
        .bind(changed.grant.allowed_origins.as_ref().map(json))
        .bind(changed.grant.expires_at)
        .execute(&mut **tx)
        .await
        .map_err(|error| changing(error))?;
        audit::store(tx, organization, audit, now);
        Ok(changed)
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
        let found = find_usable_key(tx, organization, key).await?;
        if found.grant != *read {
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
        Ok(ApiKey {
            prefix: secret.prefix,
            hash: secret.hash,
            ..found
        })
    }

    async fn note_use(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        key: &ApiKeyId,
    ) -> Result<(), Fault> {
        sqlx::query(
            "UPDATE api_keys SET last_used_at = clock_timestamp() WHERE organization = $1 AND id = $2 \
             AND (last_used_at IS NULL OR last_used_at <= clock_timestamp() - INTERVAL '1 minute')",
        )
        .bind(organization.as_str())
        .bind(key.as_str())
        .execute(&mut **tx)
        .await?;
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
        .bind(now)
        .bind(audit.origin.actor.id())
        .execute(&mut **tx)
        .await?;
        if revoked.rows_affected() > 0 {
            audit::store(tx, organization, audit, now);
        }
        let stored = find_key(tx, organization, key).await?;
        Ok(stored)
    }
}

#[async_trait]
impl AccessRepository for Store {
    async fn organization(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<Organization>, RepositoryError> {
        Ok(self.find_organization(organization).await?)
    }

    async fn update_organization(
        &self,
        organization: &OrganizationId,
        read: &OrganizationProfile,
        profile: OrganizationProfile,
        audit: NewAuditRow,
    ) -> Result<Organization, AccessError> {
        in_transaction!(self, organization, tx => self.change_organization(&mut tx, organization, read, profile.clone(), &audit)).map_err(Failure::into_port)
    }

    async fn insert_user(
        &self,
        organization: &OrganizationId,
        user: NewUser,
        audit: NewAuditRow,
    ) -> Result<User, InsertError> {
        in_transaction!(self, organization, tx => self.add_user(&mut tx, organization, user.clone(), &audit))
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
        in_transaction!(self, organization, tx => self.change_user(&mut tx, organization, user, read, profile.clone(), &audit)).map_err(Failure::into_port)
    }

    async fn remove_user(
        &self,
        organization: &OrganizationId,
        user: &UserId,
        audit: NewAuditRow,
    ) -> Result<(), AccessError> {
        in_transaction!(self, organization, tx => self.take_user_away(&mut tx, organization, user, &audit)).map_err(Failure::into_port)
    }

    async fn insert_api_key(
        &self,
        organization: &OrganizationId,
        key: NewApiKey,
        audit: NewAuditRow,
    ) -> Result<ApiKey, InsertError> {
        in_transaction!(self, organization, tx => self.add_key(&mut tx, organization, key.clone(), &audit))
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
        in_transaction!(self, organization, tx => self.change_key(&mut tx, organization, key, read, change.clone(), &audit)).map_err(Failure::into_port)
    }

    async fn rotate_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        read: &Grant,
        secret: NewSecret,
        audit: NewAuditRow,
    ) -> Result<ApiKey, AccessError> {
        in_transaction!(self, organization, tx => self.rotate_key(&mut tx, organization, key, read, secret.clone(), &audit)).map_err(Failure::into_port)
    }

    async fn note_key_used(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
    ) -> Result<(), RepositoryError> {
        Ok(in_transaction!(self, organization, tx => self.note_use(&mut tx, organization, key))?)
    }

    async fn revoke_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        audit: NewAuditRow,
    ) -> Result<Option<ApiKey>, RepositoryError> {
        Ok(
            in_transaction!(self, organization, tx => self.revoke_key(&mut tx, organization, key, &audit))?,
        )
    }
}
