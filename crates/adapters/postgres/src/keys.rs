use async_trait::async_trait;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_domain::ids::OrganizationId;
use wharf_ports::{OrganizationKey, OrganizationKeyRepository, RepositoryError, WrappedKey};

use crate::error::Fault;
use crate::row::Columns;
use crate::store::{Store, Tx, in_transaction};

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

async fn key_of(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    version: u32,
) -> Result<Option<OrganizationKey>, Fault> {
    let row = sqlx::query(
        "SELECT version, ring_key, wrapped FROM organization_keys WHERE organization = $1 AND version = $2",
    )
    .bind(organization.as_str())
    .bind(i64::from(version))
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(read).transpose()
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
        .fetch_optional(&mut *self.read(organization).await?)
        .await?;
        row.as_ref().map(read).transpose()
    }

    async fn find_key(
        &self,
        organization: &OrganizationId,
        version: u32,
    ) -> Result<Option<OrganizationKey>, Fault> {
        key_of(&mut *self.read(organization).await?, organization, version).await
    }

    /// Of a version that is there already, nothing changes; nor where there is no such organization.
    async fn insert_key(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        key: &OrganizationKey,
    ) -> Result<Option<OrganizationKey>, Fault> {
        sqlx::query(
            "INSERT INTO organization_keys (organization, version, ring_key, wrapped) \
             SELECT id, $2, $3, $4 FROM organizations WHERE id = $1 \
             ON CONFLICT (organization, version) DO NOTHING",
        )
        .bind(organization.as_str())
        .bind(i64::from(key.version))
        .bind(&key.wrapped.ring_key)
        .bind(&key.wrapped.bytes)
        .execute(&mut **tx)
        .await?;
        key_of(tx, organization, key.version).await
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
        Ok(in_transaction!(self, organization, tx => self.insert_key(&mut tx, organization, &key))?)
    }
}
