use async_trait::async_trait;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{NamespaceId, OrganizationId};
use wharf_domain::namespace::{Namespace, NamespaceIdentifier, NamespaceName, NewNamespace};
use wharf_domain::page::{Page, PageCursor, PageRequest};
use wharf_ports::{InsertError, NamespaceRepository, RepositoryError};

use crate::audit;
use crate::error::{Failure, Fault, inserting};
use crate::page::{Bounds, page};
use crate::row::Columns;
use crate::store::{Store, Tx, in_transaction};

/// Adds a namespace within a transaction.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    id: &NamespaceId,
    name: &str,
    description: Option<&str>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO namespaces (organization, id, name, description, created_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(organization.as_str())
    .bind(id.as_str())
    .bind(name)
    .bind(description)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

fn read(row: &PgRow) -> Result<Namespace, Fault> {
    let columns = Columns::of("namespaces", row);
    Ok(Namespace {
        id: columns.parse("id")?,
        name: columns.read("name", |text| NamespaceName::parse(text).ok())?,
        description: columns.get("description")?,
        created_at: columns.time("created_at")?,
    })
}

impl Store {
    async fn insert_namespace(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        new: NewNamespace,
        audit: &NewAuditRow,
    ) -> Result<Namespace, Failure<InsertError>> {
        let now = self.now(tx).await?;
        insert(
            tx,
            organization,
            &new.id,
            new.name.as_str(),
            new.description.as_deref(),
            now,
        )
        .await
        .map_err(|error| inserting(error))?;
        audit::store(tx, organization, audit, now);
        Ok(Namespace {
            id: new.id,
            name: new.name,
            description: new.description,
            created_at: now,
        })
    }

    async fn find_namespace(
        &self,
        organization: &OrganizationId,
        identifier: &NamespaceIdentifier,
    ) -> Result<Option<Namespace>, Fault> {
        let query = match identifier {
            NamespaceIdentifier::Id(id) => sqlx::query(
                "SELECT id, name, description, created_at FROM namespaces WHERE organization = $1 AND id = $2",
            )
            .bind(organization.as_str())
            .bind(id.as_str()),
            NamespaceIdentifier::Name(name) => sqlx::query(
                "SELECT id, name, description, created_at FROM namespaces WHERE organization = $1 AND name = $2",
            )
            .bind(organization.as_str())
            .bind(name),
        };
        query
            .fetch_optional(&mut *self.read(organization).await?)
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    async fn list_namespaces(
        &self,
        organization: &OrganizationId,
        request: &PageRequest,
    ) -> Result<Page<Namespace>, Fault> {
        let bounds = Bounds::of(request);
        let mut connection = self.read(organization).await?;
        let total = sqlx::query_scalar("SELECT COUNT(*) FROM namespaces WHERE organization = $1")
            .bind(organization.as_str())
            .fetch_one(&mut *connection)
            .await?;
        let rows = sqlx::query(
            "SELECT id, name, description, created_at FROM namespaces \
             WHERE organization = $1 AND (created_at, id) < ($2, $3) \
             ORDER BY created_at DESC, id DESC LIMIT $4 OFFSET $5",
        )
        .bind(organization.as_str())
        .bind(bounds.at)
        .bind(bounds.id)
        .bind(bounds.limit)
        .bind(bounds.offset)
        .fetch_all(&mut *connection)
        .await?;
        page(request, &rows, total, read, |it| PageCursor {
            created_at: it.created_at,
            id: it.id.to_string(),
        })
    }
}

#[async_trait]
impl NamespaceRepository for Store {
    async fn insert(
        &self,
        organization: &OrganizationId,
        namespace: NewNamespace,
        audit: NewAuditRow,
    ) -> Result<Namespace, InsertError> {
        in_transaction!(self, organization, tx => self.insert_namespace(&mut tx, organization, namespace.clone(), &audit)).map_err(Failure::into_port)
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        identifier: &NamespaceIdentifier,
    ) -> Result<Option<Namespace>, RepositoryError> {
        Ok(self.find_namespace(organization, identifier).await?)
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        page: &PageRequest,
    ) -> Result<Page<Namespace>, RepositoryError> {
        Ok(self.list_namespaces(organization, page).await?)
    }
}
