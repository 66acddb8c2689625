//! Their API keys.

use std::time::Duration;

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use wharf_domain::Timestamp;
use wharf_domain::access::{ApiKey, ApiKeyHash, Grant};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{ApiKeyId, OrganizationId, UserId};
use wharf_ports::{AccessError, ApiKeyChange, InsertError, NewApiKey, NewSecret};

use crate::audit;
use crate::clock::{micros, micros_of, span};
use crate::error::{Failure, Fault, changing, inserting};
use crate::row::{Columns, json};
use crate::store::{Store, Tx};

/// For how long a key counts as just used.
const NOTED_FOR: Duration = Duration::from_mins(1);

use super::users::find_user;

macro_rules! key_columns {
    () => {
        "id, user_id, name, description, prefix, hash, permissions, scopes, rate_limit_override, allowed_origins, \
         principal_id, expires_at, created_by, created_at, last_used_at, revoked_at, revoked_by"
    };
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
pub(super) fn stored_grant(grant: Grant) -> Grant {
    let stored = |at: Timestamp| Timestamp::from_timestamp_micros(micros(at));
    Grant {
        expires_at: grant.expires_at.and_then(stored),
        ..grant
    }
}

pub(super) fn read_key(row: &SqliteRow) -> Result<ApiKey, Fault> {
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

pub(super) async fn find_key(
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
pub(super) async fn find_usable(
    tx: &mut Tx,
    organization: &OrganizationId,
    key: &ApiKeyId,
) -> Result<ApiKey, Failure<AccessError>> {
    let found = find_key(tx, organization, key).await?;
    let usable = found.filter(|key| key.revoked_at.is_none());
    usable.ok_or(Failure::Refused(AccessError::NotFound))
}

impl Store {
    pub(super) async fn add_key(
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

    pub(super) async fn keys_of(
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

    pub(super) async fn change_key(
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

    pub(super) async fn rotate_key(
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
    pub(super) async fn note_use(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
    ) -> Result<(), Fault> {
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

    pub(super) async fn revoke_key(
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
