//! Their API keys.

use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_domain::Timestamp;
use wharf_domain::access::{ApiKey, ApiKeyHash, Grant};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{ApiKeyId, OrganizationId, UserId};
use wharf_ports::{AccessError, ApiKeyChange, InsertError, NewApiKey, NewSecret};

use crate::audit;
use crate::error::{Failure, Fault, changing, inserting};
use crate::row::{Columns, json};
use crate::store::{Store, Tx};

macro_rules! key_columns {
    () => {
        "id, user_id, name, description, prefix, hash, permissions, scopes, rate_limit_override, allowed_origins, \
         expires_at, principal_id, created_by, created_at, last_used_at, revoked_at, revoked_by"
    };
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

pub(super) fn read_key(row: &PgRow) -> Result<ApiKey, Fault> {
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
pub(super) async fn find_usable_key(
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

/// A grant as it is read back: times have microseconds.
pub(super) fn stored_grant(grant: Grant) -> Grant {
    let stored = |at: Timestamp| Timestamp::from_timestamp_micros(at.timestamp_micros());
    Grant {
        expires_at: grant.expires_at.map(|at| stored(at).unwrap_or(at)),
        ..grant
    }
}

impl Store {
    pub(super) async fn add_key(
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
        .fetch_all(&mut *self.read(organization).await?)
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

    pub(super) async fn rotate_key(
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

    pub(super) async fn note_use(
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
