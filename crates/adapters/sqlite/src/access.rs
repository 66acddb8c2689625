use async_trait::async_trait;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use wharf_domain::Timestamp;
use wharf_domain::access::{ApiKey, Email, Organization, User};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{ApiKeyId, OrganizationId, UserId};
use wharf_ports::{AccessRepository, InsertError, NewApiKey, NewUser, RepositoryError};

use crate::audit;
use crate::clock::{micros, micros_of};
use crate::error::{Failure, Fault, inserting};
use crate::row::Columns;
use crate::store::{Store, in_transaction};

macro_rules! key_columns {
    () => {
        "id, user_id, name, prefix, permission, expires_at, revoked_at, created_at"
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
        "INSERT INTO users (organization, id, email, role, created_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(organization.as_str())
    .bind(user.id.as_str())
    .bind(user.email.as_str())
    .bind(user.role.as_str())
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
        "INSERT INTO api_keys (organization, id, user_id, name, prefix, hash, permission, expires_at, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(organization.as_str())
    .bind(key.id.as_str())
    .bind(key.user.as_str())
    .bind(&key.name)
    .bind(&key.prefix)
    .bind(key.hash.0.as_slice())
    .bind(key.permission.as_str())
    .bind(micros_of(key.expires_at))
    .bind(micros(now))
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) fn read_organization(row: &SqliteRow) -> Result<Organization, Fault> {
    let columns = Columns::of("organizations", row);
    Ok(Organization {
        id: columns.parse("id")?,
        name: columns.get("name")?,
        created_at: columns.time("created_at")?,
    })
}

fn read_user(row: &SqliteRow) -> Result<User, Fault> {
    let columns = Columns::of("users", row);
    Ok(User {
        id: columns.parse("id")?,
        email: columns.read("email", |text| Email::parse(text).ok())?,
        role: columns.parse("role")?,
        created_at: columns.time("created_at")?,
    })
}

fn read_key(row: &SqliteRow) -> Result<ApiKey, Fault> {
    let columns = Columns::of("api_keys", row);
    Ok(ApiKey {
        id: columns.parse("id")?,
        user_id: columns.parse("user_id")?,
        name: columns.get("name")?,
        prefix: columns.get("prefix")?,
        permission: columns.parse("permission")?,
        expires_at: columns.time_optional("expires_at")?,
        revoked_at: columns.time_optional("revoked_at")?,
        created_at: columns.time("created_at")?,
    })
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

impl Store {
    async fn find_organization(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<Organization>, Fault> {
        sqlx::query("SELECT id, name, created_at FROM organizations WHERE id = $1")
            .bind(organization.as_str())
            .fetch_optional(&self.reads)
            .await?
            .as_ref()
            .map(read_organization)
            .transpose()
    }

    async fn add_user(
        &self,
        tx: &mut SqliteConnection,
        organization: &OrganizationId,
        new: NewUser,
        audit: &NewAuditRow,
    ) -> Result<User, Failure<InsertError>> {
        let now = self.now(tx).await?;
        insert_user(tx, organization, &new, now)
            .await
            .map_err(|error| inserting(error))?;
        audit::store(tx, organization, audit, now).await?;
        Ok(User {
            id: new.id,
            email: new.email,
            role: new.role,
            created_at: now,
        })
    }

    async fn user_at(
        &self,
        organization: &OrganizationId,
        email: &Email,
    ) -> Result<Option<User>, Fault> {
        sqlx::query(
            "SELECT id, email, role, created_at FROM users WHERE organization = $1 AND email = $2",
        )
        .bind(organization.as_str())
        .bind(email.as_str())
        .fetch_optional(&self.reads)
        .await?
        .as_ref()
        .map(read_user)
        .transpose()
    }

    async fn users(&self, organization: &OrganizationId) -> Result<Vec<User>, Fault> {
        sqlx::query("SELECT id, email, role, created_at FROM users WHERE organization = $1 ORDER BY created_at, id")
            .bind(organization.as_str())
            .fetch_all(&self.reads)
            .await?
            .iter()
            .map(read_user)
            .collect()
    }

    async fn add_key(
        &self,
        tx: &mut SqliteConnection,
        organization: &OrganizationId,
        new: NewApiKey,
        audit: &NewAuditRow,
    ) -> Result<ApiKey, Failure<InsertError>> {
        let now = self.now(tx).await?;
        insert_key(tx, organization, &new, now)
            .await
            .map_err(|error| inserting(error))?;
        audit::store(tx, organization, audit, now).await?;
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

    async fn revoke_key(
        &self,
        tx: &mut SqliteConnection,
        organization: &OrganizationId,
        key: &ApiKeyId,
        audit: &NewAuditRow,
    ) -> Result<Option<ApiKey>, Fault> {
        let now = self.now(tx).await?;
        let revoked = sqlx::query(
            "UPDATE api_keys SET revoked_at = $3 WHERE organization = $1 AND id = $2 AND revoked_at IS NULL",
        )
        .bind(organization.as_str())
        .bind(key.as_str())
        .bind(micros(now))
        .execute(&mut *tx)
        .await?;
        if revoked.rows_affected() > 0 {
            audit::store(tx, organization, audit, now).await?;
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

    async fn revoke_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        audit: NewAuditRow,
    ) -> Result<Option<ApiKey>, RepositoryError> {
        Ok(in_transaction!(self, tx => self.revoke_key(&mut tx, organization, key, &audit))?)
    }
}
