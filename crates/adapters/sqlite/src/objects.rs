use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::event::{ObjectChange, ObjectFate};
use wharf_domain::ids::{BucketId, ObjectId, OrganizationId};
use wharf_domain::object::{
    BlobKey, Content, DeletedBy, Object, ObjectFilter, SourceFacts, SourceId,
};
use wharf_domain::page::{Page, PageCursor, PageRequest};
use wharf_ports::{ObjectRepository, RepositoryError, RestoreOutcome};

use crate::audit;
use crate::clock::micros;
use crate::error::Fault;
use crate::page::{Bounds, page};
use crate::row::{Columns, json};
use crate::store::{Store, Tx, in_transaction};

macro_rules! columns {
    () => {
        "id, bucket, namespace, provider, authority, source_object, path, version, modified_at, source_metadata, blob, \
         size_bytes, content_type, sha256, deleted_at, deleted_by, version_id, tags, mapped, copied_by_sync, copied_by_job, \
         purged_at, created_at, updated_at"
    };
}

macro_rules! matching {
    () => {
        " FROM objects WHERE organization = $1 AND bucket = $2 AND ($3 IS NULL OR instr(path, $3) > 0) \
         AND ($4 OR deleted_at IS NULL)"
    };
}

/// A page of those that match.
pub(crate) const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    matching!(),
    " AND (created_at, id) < ($5, $6) ORDER BY created_at DESC, id DESC LIMIT $7 OFFSET $8"
);

/// Makes tombstones of those that no sync holds on to.
pub(crate) const BURY: &str = "UPDATE objects SET deleted_at = $3, deleted_by = 'source', updated_at = $3 \
     WHERE organization = $1 AND id IN (SELECT value FROM json_each($2)) AND deleted_at IS NULL \
     AND NOT EXISTS (SELECT 1 FROM catalogue c JOIN syncs s ON s.organization = c.organization AND s.id = c.sync \
     WHERE c.organization = $1 AND c.object = objects.id AND s.state <> 'connection_archived') \
     RETURNING id, path, size_bytes";

fn read(row: &SqliteRow) -> Result<Object, Fault> {
    let columns = Columns::of("objects", row);
    let deleted = match columns.time_optional("deleted_at")? {
        Some(at) => Some((at, columns.read("deleted_by", DeletedBy::parse)?)),
        None => None,
    };
    let copied_by = match columns.parse_optional("copied_by_sync")? {
        Some(sync) => Some((sync, columns.parse("copied_by_job")?)),
        None => None,
    };
    Ok(Object {
        id: columns.parse("id")?,
        bucket: columns.parse("bucket")?,
        namespace: columns.parse("namespace")?,
        source: SourceId {
            provider: columns.parse("provider")?,
            authority: columns.get("authority")?,
            object: columns.get("source_object")?,
        },
        facts: SourceFacts {
            path: columns.get("path")?,
            version: columns.get("version")?,
            modified_at: columns.time_optional("modified_at")?,
            version_id: columns.get("version_id")?,
            metadata: columns.json("source_metadata")?,
            tags: columns.json("tags")?,
        },
        content: Content {
            blob: columns.read("blob", BlobKey::parse)?,
            size_bytes: columns.number("size_bytes")?,
            content_type: columns.get("content_type")?,
            sha256: columns.get("sha256")?,
        },
        mapped: columns.json("mapped")?,
        copied_by,
        deleted,
        purged: columns.get::<Option<i64>>("purged_at")?.is_some(),
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

/// What is told of an object to which that happened.
fn read_change(row: &SqliteRow, fate: ObjectFate) -> Result<ObjectChange, Fault> {
    let columns = Columns::of("objects", row);
    Ok(ObjectChange {
        object_id: columns.parse("id")?,
        fate,
        source_path: columns.get("path")?,
        size_bytes: columns.number("size_bytes")?,
    })
}

/// Makes tombstones of those live objects that no sync holds on to. Returns which they are.
pub(crate) async fn bury_unheld(
    tx: &mut Tx,
    organization: &OrganizationId,
    objects: &[String],
    now: Timestamp,
) -> Result<Vec<ObjectChange>, Fault> {
    sqlx::query(BURY)
        .bind(organization.as_str())
        .bind(json(&objects))
        .bind(micros(now))
        .fetch_all(&mut **tx)
        .await?
        .iter()
        .map(|row| read_change(row, ObjectFate::Deleted))
        .collect()
}

impl Store {
    async fn find_object(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        object: &ObjectId,
    ) -> Result<Option<Object>, Fault> {
        sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM objects WHERE organization = $1 AND bucket = $2 AND id = $3"
        ))
        .bind(organization.as_str())
        .bind(bucket.as_str())
        .bind(object.as_str())
        .fetch_optional(&self.reads)
        .await?
        .as_ref()
        .map(read)
        .transpose()
    }

    async fn find_object_by_source(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        source: &SourceId,
    ) -> Result<Option<Object>, Fault> {
        sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM objects WHERE organization = $1 AND bucket = $2 AND provider = $3 AND authority = $4 \
             AND source_object = $5"
        ))
        .bind(organization.as_str())
        .bind(bucket.as_str())
        .bind(source.provider.as_str())
        .bind(&source.authority)
        .bind(&source.object)
        .fetch_optional(&self.reads)
        .await?
        .as_ref()
        .map(read)
        .transpose()
    }

    async fn list_objects(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        filter: &ObjectFilter,
        request: &PageRequest,
    ) -> Result<Page<Object>, Fault> {
        let bounds = Bounds::of(request);
        let mut connection = self.read().await?;
        let total = sqlx::query_scalar(concat!("SELECT COUNT(*)", matching!()))
            .bind(organization.as_str())
            .bind(bucket.as_str())
            .bind(&filter.search)
            .bind(filter.include_deleted)
            .fetch_one(&mut *connection)
            .await?;
        let rows = sqlx::query(LIST)
            .bind(organization.as_str())
            .bind(bucket.as_str())
            .bind(&filter.search)
            .bind(filter.include_deleted)
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

    async fn remove_object(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        object: &ObjectId,
        audit: &NewAuditRow,
    ) -> Result<bool, Fault> {
        let now = self.now(tx).await?;
        let removed = sqlx::query(
            "UPDATE objects SET deleted_at = $4, deleted_by = 'person', updated_at = $4 \
             WHERE organization = $1 AND bucket = $2 AND id = $3 AND deleted_at IS NULL RETURNING id, path, size_bytes",
        )
        .bind(organization.as_str())
        .bind(bucket.as_str())
        .bind(object.as_str())
        .bind(micros(now))
        .fetch_optional(&mut **tx)
        .await?;
        let Some(removed) = removed else {
            return Ok(false);
        };
        let changes = vec![read_change(&removed, ObjectFate::Deleted)?];
        audit::store_with_objects(tx, organization, audit, now, bucket, changes);
        Ok(true)
    }

    async fn restore_object(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        object: &ObjectId,
        audit: &NewAuditRow,
    ) -> Result<Option<RestoreOutcome>, Fault> {
        let now = self.now(tx).await?;
        let restored = sqlx::query(concat!(
            "UPDATE objects SET deleted_at = NULL, deleted_by = NULL, updated_at = $4 \
             WHERE organization = $1 AND bucket = $2 AND id = $3 AND deleted_at IS NOT NULL AND purged_at IS NULL \
             RETURNING ",
            columns!()
        ))
        .bind(organization.as_str())
        .bind(bucket.as_str())
        .bind(object.as_str())
        .bind(micros(now))
        .fetch_optional(&mut **tx)
        .await?;
        if let Some(row) = restored {
            let changes = vec![read_change(&row, ObjectFate::Restored)?];
            audit::store_with_objects(tx, organization, audit, now, bucket, changes);
            return Ok(Some(RestoreOutcome::Restored(Box::new(read(&row)?))));
        }
        let purged: Option<bool> = sqlx::query_scalar(
            "SELECT purged_at IS NOT NULL FROM objects WHERE organization = $1 AND bucket = $2 AND id = $3",
        )
        .bind(organization.as_str())
        .bind(bucket.as_str())
        .bind(object.as_str())
        .fetch_optional(&mut **tx)
        .await?;
        Ok(purged.map(|purged| {
            if purged {
                RestoreOutcome::Purged
            } else {
                RestoreOutcome::NotDeleted
            }
        }))
    }
}

#[async_trait]
impl ObjectRepository for Store {
    async fn find(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        object: &ObjectId,
    ) -> Result<Option<Object>, RepositoryError> {
        Ok(self.find_object(organization, bucket, object).await?)
    }

    async fn find_by_source(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        source: &SourceId,
    ) -> Result<Option<Object>, RepositoryError> {
        Ok(self
            .find_object_by_source(organization, bucket, source)
            .await?)
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        filter: &ObjectFilter,
        page: &PageRequest,
    ) -> Result<Page<Object>, RepositoryError> {
        Ok(self
            .list_objects(organization, bucket, filter, page)
            .await?)
    }

    async fn remove(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        object: &ObjectId,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        Ok(
            in_transaction!(self, tx => self.remove_object(&mut tx, organization, bucket, object, &audit))?,
        )
    }

    async fn restore(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        object: &ObjectId,
        audit: NewAuditRow,
    ) -> Result<Option<RestoreOutcome>, RepositoryError> {
        Ok(
            in_transaction!(self, tx => self.restore_object(&mut tx, organization, bucket, object, &audit))?,
        )
    }
}
