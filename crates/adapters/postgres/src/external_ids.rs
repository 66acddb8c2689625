use async_trait::async_trait;
use sqlx::postgres::PgRow;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{ExternalId, OrganizationId};
use wharf_ports::{ExternalIdRepository, RepositoryError};

use crate::audit;
use crate::error::Fault;
use crate::row::Columns;
use crate::store::{Store, Tx, in_transaction};

const ISSUED: &str = "SELECT id FROM external_ids WHERE organization = $1 ORDER BY issued_at, id";

fn read(row: &PgRow) -> Result<ExternalId, Fault> {
    Columns::of("external_ids", row).parse("id")
}

impl Store {
    async fn issued_external_ids(
        &self,
        organization: &OrganizationId,
    ) -> Result<Vec<ExternalId>, Fault> {
        let rows = sqlx::query(ISSUED)
            .bind(organization.as_str())
            .fetch_all(&mut *self.read(organization).await?)
            .await?;
        rows.iter().map(read).collect()
    }

    async fn issue_first_external_id(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        id: &ExternalId,
        audit: &NewAuditRow,
    ) -> Result<Option<ExternalId>, Fault> {
        // Of two callers at once, the second waits here and then sees what the first one issued.
        let known = sqlx::query("SELECT 1 FROM organizations WHERE id = $1 FOR NO KEY UPDATE")
            .bind(organization.as_str())
            .fetch_optional(&mut **tx)
            .await?;
        if known.is_none() {
            return Ok(None);
        }
        let oldest = sqlx::query(ISSUED)
            .bind(organization.as_str())
            .fetch_optional(&mut **tx)
            .await?;
        if let Some(oldest) = oldest {
            return read(&oldest).map(Some);
        }
        let now = self.now(tx).await?;
        sqlx::query("INSERT INTO external_ids (organization, id, issued_at) VALUES ($1, $2, $3)")
            .bind(organization.as_str())
            .bind(id.as_str())
            .bind(now)
            .execute(&mut **tx)
            .await?;
        audit::store(tx, organization, audit, now);
        Ok(Some(id.clone()))
    }
}

#[async_trait]
impl ExternalIdRepository for Store {
    async fn issued(
        &self,
        organization: &OrganizationId,
    ) -> Result<Vec<ExternalId>, RepositoryError> {
        Ok(self.issued_external_ids(organization).await?)
    }

    async fn issue_first(
        &self,
        organization: &OrganizationId,
        id: ExternalId,
        audit: NewAuditRow,
    ) -> Result<Option<ExternalId>, RepositoryError> {
        let issued = in_transaction!(self, organization, tx => self.issue_first_external_id(&mut tx, organization, &id, &audit));
        Ok(issued?)
    }
}
