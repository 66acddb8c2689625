use async_trait::async_trait;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::bucket::{Bucket, BucketIdentifier, BucketName, NewBucket};
use wharf_domain::ids::{BucketId, NamespaceId, OrganizationId};
use wharf_domain::page::{Page, PageCursor, PageRequest};
use wharf_ports::{BucketChange, BucketRepository, ChangeError, InsertError, RepositoryError};

use crate::error::{Failure, Fault, changing, inserting};
use crate::page::{Bounds, page};
use crate::row::{Columns, json};
use crate::store::{Store, Tx, in_transaction};
use crate::{audit, syncs};

macro_rules! columns {
    () => {
        "b.id, b.namespace, b.name, b.description, b.schema, b.metadata, b.last_upload_at, b.created_at, b.updated_at, \
         (SELECT COUNT(*) FROM objects o WHERE o.organization = b.organization AND o.bucket = b.id \
          AND o.deleted_at IS NULL) AS object_count, \
         (SELECT COALESCE(SUM(o.size_bytes), 0)::bigint FROM objects o WHERE o.organization = b.organization \
          AND o.bucket = b.id AND o.deleted_at IS NULL) AS total_size_bytes"
    };
}

macro_rules! matching {
    () => {
        " FROM buckets b WHERE b.organization = $1 AND b.namespace = $2 AND ($3::text IS NULL OR strpos(b.lower_name, $3) > 0)"
    };
}

/// Keeps other runs from writing to the bucket's objects until the transaction ends. Without it runs that share objects
/// would lock them in orders that nobody can choose, and one could bury what another has just taken hold of.
pub(crate) async fn hold(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    bucket: &BucketId,
) -> Result<(), Fault> {
    sqlx::query("SELECT 1 FROM buckets WHERE organization = $1 AND id = $2 FOR NO KEY UPDATE")
        .bind(organization.as_str())
        .bind(bucket.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Notes that objects have just arrived.
pub(crate) async fn note_upload(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    bucket: &BucketId,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query("UPDATE buckets SET last_upload_at = $3 WHERE organization = $1 AND id = $2")
        .bind(organization.as_str())
        .bind(bucket.as_str())
        .bind(now)
        .execute(tx)
        .await?;
    Ok(())
}

fn read(row: &PgRow) -> Result<Bucket, Fault> {
    let columns = Columns::of("buckets", row);
    Ok(Bucket {
        id: columns.parse("id")?,
        namespace: columns.parse("namespace")?,
        name: columns.read("name", |text| BucketName::parse(text).ok())?,
        description: columns.get("description")?,
        schema: columns.json("schema")?,
        metadata: columns.json("metadata")?,
        object_count: columns.number("object_count")?,
        total_size_bytes: columns.number("total_size_bytes")?,
        last_upload_at: columns.time_optional("last_upload_at")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

impl Store {
    async fn insert_bucket(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        new: NewBucket,
        audit: &NewAuditRow,
    ) -> Result<Bucket, Failure<InsertError>> {
        let now = self.now(tx).await?;
        sqlx::query(
            "INSERT INTO buckets (organization, id, namespace, name, lower_name, description, schema, metadata, \
             created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
        )
        .bind(organization.as_str())
        .bind(new.id.as_str())
        .bind(new.namespace.as_str())
        .bind(new.name.as_str())
        .bind(new.name.as_str().to_lowercase())
        .bind(&new.description)
        .bind(json(&new.schema))
        .bind(json(&new.metadata))
        .bind(now)
        .execute(&mut **tx)
        .await
        .map_err(|error| inserting(error))?;
        audit::store(tx, organization, audit, now);
        Ok(Bucket {
            id: new.id,
            namespace: new.namespace,
            name: new.name,
            description: new.description,
            schema: new.schema,
            metadata: new.metadata,
            object_count: 0,
            total_size_bytes: 0,
            last_upload_at: None,
            created_at: now,
            updated_at: now,
        })
    }

    async fn find_bucket(
        &self,
        organization: &OrganizationId,
        namespace: &NamespaceId,
        identifier: &BucketIdentifier,
    ) -> Result<Option<Bucket>, Fault> {
        let (query, wanted) = match identifier {
            BucketIdentifier::Id(id) => (
                concat!(
                    "SELECT ",
                    columns!(),
                    " FROM buckets b WHERE b.organization = $1 AND b.namespace = $2 AND b.id = $3"
                ),
                id.as_str(),
            ),
            BucketIdentifier::Name(name) => (
                concat!(
                    "SELECT ",
                    columns!(),
                    " FROM buckets b WHERE b.organization = $1 AND b.namespace = $2 AND b.name = $3"
                ),
                name.as_str(),
            ),
        };
        sqlx::query(query)
            .bind(organization.as_str())
            .bind(namespace.as_str())
            .bind(wanted)
            .fetch_optional(&mut *self.read(organization).await?)
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    async fn list_buckets(
        &self,
        organization: &OrganizationId,
        namespace: &NamespaceId,
        search: Option<&str>,
        request: &PageRequest,
    ) -> Result<Page<Bucket>, Fault> {
        let search = search.map(str::to_lowercase);
        let bounds = Bounds::of(request);
        let mut connection = self.read(organization).await?;
        let total = sqlx::query_scalar(concat!("SELECT COUNT(*)", matching!()))
            .bind(organization.as_str())
            .bind(namespace.as_str())
            .bind(&search)
            .fetch_one(&mut *connection)
            .await?;
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            matching!(),
            " AND (b.created_at, b.id) < ($4, $5) ORDER BY b.created_at DESC, b.id DESC LIMIT $6 OFFSET $7"
        ))
        .bind(organization.as_str())
        .bind(namespace.as_str())
        .bind(&search)
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

    async fn change_bucket(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        change: BucketChange,
        audit: &NewAuditRow,
    ) -> Result<Bucket, Failure<ChangeError>> {
        let stored = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM buckets b WHERE b.organization = $1 AND b.id = $2 FOR NO KEY UPDATE"
        ))
        .bind(organization.as_str())
        .bind(bucket.as_str())
        .fetch_optional(&mut **tx)
        .await?;
        let stored = stored.ok_or(Failure::Refused(ChangeError::NotFound))?;
        let stored = read(&stored)?;
        let mut changed = stored.clone();
        changed.name = change.name.unwrap_or(changed.name);
        changed.description = change.description.unwrap_or(changed.description);
        changed.schema = change.schema.unwrap_or(changed.schema);
        changed.metadata = change.metadata.unwrap_or(changed.metadata);
        if changed == stored {
            return Ok(stored);
        }
        changed.updated_at = self.now(tx).await?;
        sqlx::query(
            "UPDATE buckets SET name = $3, lower_name = $4, description = $5, schema = $6, metadata = $7, updated_at = $8 \
             WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(bucket.as_str())
        .bind(changed.name.as_str())
        .bind(changed.name.as_str().to_lowercase())
        .bind(&changed.description)
        .bind(json(&changed.schema))
        .bind(json(&changed.metadata))
        .bind(changed.updated_at)
        .execute(&mut **tx)
        .await
        .map_err(|error| changing(error))?;
        audit::store(tx, organization, audit, changed.updated_at);
        Ok(changed)
    }

    async fn remove_bucket(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        audit: &NewAuditRow,
    ) -> Result<bool, Fault> {
        syncs::lock_of_bucket(tx, organization, bucket).await?;
        // Syncs, jobs, objects and the catalogue go with it by their foreign keys.
        let removed = sqlx::query("DELETE FROM buckets WHERE organization = $1 AND id = $2")
            .bind(organization.as_str())
            .bind(bucket.as_str())
            .execute(&mut **tx)
            .await?;
        if removed.rows_affected() == 0 {
            return Ok(false);
        }
        let now = self.now(tx).await?;
        audit::store(tx, organization, audit, now);
        Ok(true)
    }
}

#[async_trait]
impl BucketRepository for Store {
    async fn insert(
        &self,
        organization: &OrganizationId,
        bucket: NewBucket,
        audit: NewAuditRow,
    ) -> Result<Bucket, InsertError> {
        in_transaction!(self, organization, tx => self.insert_bucket(&mut tx, organization, bucket.clone(), &audit)).map_err(Failure::into_port)
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        namespace: &NamespaceId,
        identifier: &BucketIdentifier,
    ) -> Result<Option<Bucket>, RepositoryError> {
        Ok(self
            .find_bucket(organization, namespace, identifier)
            .await?)
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        namespace: &NamespaceId,
        search: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Bucket>, RepositoryError> {
        Ok(self
            .list_buckets(organization, namespace, search, page)
            .await?)
    }

    async fn remove(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        Ok(
            in_transaction!(self, organization, tx => self.remove_bucket(&mut tx, organization, bucket, &audit))?,
        )
    }

    async fn update(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        change: BucketChange,
        audit: NewAuditRow,
    ) -> Result<Bucket, ChangeError> {
        in_transaction!(self, organization, tx => self.change_bucket(&mut tx, organization, bucket, change.clone(), &audit)).map_err(Failure::into_port)
    }
}
