use async_trait::async_trait;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{NamespaceId, OrganizationId};
use wharf_domain::namespace::{Namespace, NamespaceIdentifier, NamespaceName, NewNamespace};
use wharf_domain::page::{Page, PageCursor, PageRequest};
use wharf_ports::{
    ChangeError, InsertError, NamespaceChange, NamespaceRepository, RemoveOutcome, RepositoryError,
};

use crate::audit;
use crate::clock::micros;
use crate::error::{Failure, Fault, changing, inserting};
use crate::page::{Bounds, page};
use crate::row::Columns;
use crate::store::{Store, Tx, in_transaction};

/// Adds a namespace within a transaction.
pub(crate) async fn insert(
    connection: &mut SqliteConnection,
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
    .bind(micros(now))
    .execute(connection)
    .await?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<Namespace, Fault> {
    let columns = Columns::of("namespaces", row);
    Ok(Namespace {
        id: columns.parse("id")?,
        name: columns.read("name", |text| NamespaceName::parse(text).ok())?,
        description: columns.get("description")?,
        created_at: columns.time("created_at")?,
    })
}

async fn find_by_id(
    tx: &mut Tx,
    organization: &OrganizationId,
    namespace: &NamespaceId,
) -> Result<Option<Namespace>, Fault> {
    sqlx::query("SELECT id, name, description, created_at FROM namespaces WHERE organization = $1 AND id = $2")
        .bind(organization.as_str())
        .bind(namespace.as_str())
        .fetch_optional(&mut **tx)
        .await?
        .as_ref()
        .map(read)
        .transpose()
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
            .fetch_optional(&self.reads)
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    async fn change_namespace(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        namespace: &NamespaceId,
        change: NamespaceChange,
        audit: &NewAuditRow,
    ) -> Result<Namespace, Failure<ChangeError>> {
        let stored = find_by_id(tx, organization, namespace).await?;
        let stored = stored.ok_or(Failure::Refused(ChangeError::NotFound))?;
        let mut changed = stored.clone();
        changed.name = change.name.unwrap_or(changed.name);
        changed.description = change.description.unwrap_or(changed.description);
        if changed == stored {
            return Ok(stored);
        }
        sqlx::query(
            "UPDATE namespaces SET name = $3, description = $4 WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(namespace.as_str())
        .bind(changed.name.as_str())
        .bind(&changed.description)
        .execute(&mut **tx)
        .await
        .map_err(|error| changing(error))?;
        let now = self.now(tx).await?;
        audit::store(tx, organization, audit, now);
        Ok(changed)
    }

    async fn remove_namespace(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        namespace: &NamespaceId,
        force: bool,
        audit: &NewAuditRow,
    ) -> Result<RemoveOutcome, Fault> {
        if find_by_id(tx, organization, namespace).await?.is_none() {
            return Ok(RemoveOutcome::NotFound);
        }
        let buckets: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM buckets WHERE organization = $1 AND namespace = $2",
        )
        .bind(organization.as_str())
        .bind(namespace.as_str())
        .fetch_one(&mut **tx)
        .await?;
        if buckets > 0 && !force {
            return Ok(RemoveOutcome::NotEmpty(buckets.unsigned_abs()));
        }
        // What the buckets hold goes with them by its foreign keys.
        for statement in [
            "DELETE FROM buckets WHERE organization = $1 AND namespace = $2",
            "DELETE FROM namespaces WHERE organization = $1 AND id = $2",
        ] {
            sqlx::query(statement)
                .bind(organization.as_str())
                .bind(namespace.as_str())
                .execute(&mut **tx)
                .await?;
        }
        let now = self.now(tx).await?;
        audit::store(tx, organization, audit, now);
        Ok(RemoveOutcome::Removed)
    }

    async fn list_namespaces(
        &self,
        organization: &OrganizationId,
        request: &PageRequest,
    ) -> Result<Page<Namespace>, Fault> {
        let bounds = Bounds::of(request);
        let mut connection = self.read().await?;
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
        in_transaction!(self, tx => self.insert_namespace(&mut tx, organization, namespace, &audit))
            .map_err(Failure::into_port)
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
    async fn update(
        &self,
        organization: &OrganizationId,
        namespace: &NamespaceId,
        change: NamespaceChange,
        audit: NewAuditRow,
    ) -> Result<Namespace, ChangeError> {
        in_transaction!(self, tx => self.change_namespace(&mut tx, organization, namespace, change, &audit))
            .map_err(Failure::into_port)
    }

    async fn remove(
        &self,
        organization: &OrganizationId,
        namespace: &NamespaceId,
        force: bool,
        audit: NewAuditRow,
    ) -> Result<RemoveOutcome, RepositoryError> {
        Ok(
            in_transaction!(self, tx => self.remove_namespace(&mut tx, organization, namespace, force, &audit))?,
        )
    }
}
