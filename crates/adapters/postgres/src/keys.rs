use async_trait::async_trait;
use sqlx::postgres::PgRow;
use wharf_domain::ids::OrganizationId;
use wharf_ports::{OrganizationKey, OrganizationKeyRepository, RepositoryError, WrappedKey};

use crate::error::{Fault, parent_missing};
use crate::row::Columns;
use crate::store::Store;

fn read(row: &PgRow) -> Result<OrganizationKey, Fault> {
    let columns = Columns::of("organization_keys", row);
    Ok(OrganizationKey {
        version: columns.number("version")?,
        wrapped: WrappedKey {
            ring_key: columns.get("ring_key")?,
            bytes: columns.get("wrapped")?,
        },
    })
}

impl Store {
    async fn newest_key(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<OrganizationKey>, Fault> {
        let row = sqlx::query(
            "SELECT version, ring_key, wrapped FROM organization_keys WHERE organization = $1 \
             ORDER BY version DESC LIMIT 1",
        )
        .bind(organization.as_str())
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(read).transpose()
    }

    async fn find_key(
        &self,
        organization: &OrganizationId,
        version: u32,
    ) -> Result<Option<OrganizationKey>, Fault> {
        let row = sqlx::query(
            "SELECT version, ring_key, wrapped FROM organization_keys WHERE organization = $1 AND version = $2",
        )
        .bind(organization.as_str())
        .bind(i64::from(version))
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// Whether the organization is known; of a version that is there already, nothing changes.
    async fn insert_key(
        &self,
        organization: &OrganizationId,
        key: &OrganizationKey,
    ) -> Result<bool, Fault> {
        let inserted = sqlx::query(
            "INSERT INTO organization_keys (organization, version, ring_key, wrapped) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (organization, version) DO NOTHING",
        )
        .bind(organization.as_str())
        .bind(i64::from(key.version))
        .bind(&key.wrapped.ring_key)
        .bind(&key.wrapped.bytes)
        .execute(&self.pool)
        .await;
        match inserted {
            Ok(_) => Ok(true),
            Err(error) if parent_missing(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

#[async_trait]
impl OrganizationKeyRepository for Store {
    async fn newest(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<OrganizationKey>, RepositoryError> {
        Ok(self.newest_key(organization).await?)
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        version: u32,
    ) -> Result<Option<OrganizationKey>, RepositoryError> {
        Ok(self.find_key(organization, version).await?)
    }

    async fn insert_if_absent(
        &self,
        organization: &OrganizationId,
        key: OrganizationKey,
    ) -> Result<Option<OrganizationKey>, RepositoryError> {
        if !self.insert_key(organization, &key).await? {
            return Ok(None);
        }
        Ok(self.find_key(organization, key.version).await?)
    }
}
