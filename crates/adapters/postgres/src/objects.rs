use async_trait::async_trait;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{BucketId, ObjectId, OrganizationId};
use wharf_domain::object::{
    BlobKey, Content, DeletedBy, Object, ObjectFilter, SourceFacts, SourceId,
};
use wharf_domain::page::{Page, PageCursor, PageRequest};
use wharf_domain::sync::Sync;
use wharf_ports::{ObjectRepository, Put, RepositoryError};

use crate::audit;
use crate::error::Fault;
use crate::page::{Bounds, page};
use crate::row::{Columns, json, number};
use crate::store::{Store, in_transaction};

macro_rules! columns {
    () => {
        "id, bucket, namespace, provider, authority, source_object, path, version, modified_at, source_metadata, blob, \
         size_bytes, content_type, sha256, deleted_at, deleted_by, created_at, updated_at"
    };
}

macro_rules! matching {
    () => {
        " FROM objects WHERE organization = $1 AND bucket = $2 AND ($3::text IS NULL OR strpos(path, $3) > 0) \
         AND ($4 OR deleted_at IS NULL)"
    };
}

fn read(row: &PgRow) -> Result<Object, Fault> {
    let columns = Columns::of("objects", row);
    let deleted = match columns.time_optional("deleted_at")? {
        Some(at) => Some((at, columns.read("deleted_by", DeletedBy::parse)?)),
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
            metadata: columns.json("source_metadata")?,
        },
        content: Content {
            blob: columns.read("blob", BlobKey::parse)?,
            size_bytes: columns.number("size_bytes")?,
            content_type: columns.get("content_type")?,
            sha256: columns.get("sha256")?,
        },
        deleted,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

/// Publishes objects in the sync's bucket: new ones, and new bytes for those that have these sources. Tombstones come
/// back to life. No source may be among them twice.
pub(crate) async fn publish(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    sync: &Sync,
    puts: &[&Put],
    now: Timestamp,
) -> Result<(), Fault> {
    fn each<'a, T>(puts: &'a [&'a Put], column: impl Fn(&'a Put) -> T) -> Vec<T> {
        puts.iter().map(|put| column(put)).collect()
    }
    sqlx::query(
        "INSERT INTO objects (organization, id, bucket, namespace, provider, authority, source_object, path, version, \
         modified_at, source_metadata, blob, size_bytes, content_type, sha256, created_at, updated_at) \
         SELECT $1, put.id, $2, $3, put.provider, put.authority, put.source_object, put.path, put.version, \
         put.modified_at, put.source_metadata, put.blob, put.size_bytes, put.content_type, put.sha256, $4, $4 \
         FROM UNNEST($5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::timestamptz[], \
                     $12::text[], $13::text[], $14::bigint[], $15::text[], $16::text[]) \
         AS put (id, provider, authority, source_object, path, version, modified_at, source_metadata, blob, size_bytes, \
                 content_type, sha256) \
         ON CONFLICT (organization, bucket, provider, authority, source_object) DO UPDATE SET \
         path = excluded.path, version = excluded.version, modified_at = excluded.modified_at, \
         source_metadata = excluded.source_metadata, blob = excluded.blob, size_bytes = excluded.size_bytes, \
         content_type = excluded.content_type, sha256 = excluded.sha256, deleted_at = NULL, deleted_by = NULL, \
         updated_at = excluded.updated_at",
    )
    .bind(organization.as_str())
    .bind(sync.bucket.as_str())
    .bind(sync.namespace.as_str())
    .bind(now)
    .bind(each(puts, |put| put.new_id.as_str()))
    .bind(each(puts, |put| put.source.provider.as_str()))
    .bind(each(puts, |put| put.source.authority.as_str()))
    .bind(each(puts, |put| put.source.object.as_str()))
    .bind(each(puts, |put| put.facts.path.as_str()))
    .bind(each(puts, |put| put.facts.version.as_str()))
    .bind(each(puts, |put| put.facts.modified_at))
    .bind(each(puts, |put| json(&put.facts.metadata)))
    .bind(each(puts, |put| put.content.blob.as_str()))
    .bind(each(puts, |put| number(put.content.size_bytes)))
    .bind(each(puts, |put| put.content.content_type.as_deref()))
    .bind(each(puts, |put| put.content.sha256.as_str()))
    .execute(tx)
    .await?;
    Ok(())
}

/// Makes tombstones of those live objects that no sync holds on to. Returns how many.
pub(crate) async fn bury_unheld(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    objects: &[String],
    now: Timestamp,
) -> Result<u64, Fault> {
    let buried = sqlx::query(
        "UPDATE objects SET deleted_at = $3, deleted_by = 'source', updated_at = $3 \
         WHERE organization = $1 AND id = ANY($2) AND deleted_at IS NULL \
         AND NOT EXISTS (SELECT 1 FROM sync_entries e \
                         WHERE e.organization = objects.organization AND e.object = objects.id)",
    )
    .bind(organization.as_str())
    .bind(objects)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(buried.rows_affected())
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
        .fetch_optional(&self.pool)
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
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            matching!(),
            " AND (created_at, id) < ($5, $6) ORDER BY created_at DESC, id DESC LIMIT $7 OFFSET $8"
        ))
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
        tx: &mut PgConnection,
        organization: &OrganizationId,
        bucket: &BucketId,
        object: &ObjectId,
        audit: &NewAuditRow,
    ) -> Result<bool, Fault> {
        let now = self.now(tx).await?;
        let removed = sqlx::query(
            "UPDATE objects SET deleted_at = $4, deleted_by = 'person', updated_at = $4 \
             WHERE organization = $1 AND bucket = $2 AND id = $3 AND deleted_at IS NULL",
        )
        .bind(organization.as_str())
        .bind(bucket.as_str())
        .bind(object.as_str())
        .bind(now)
        .execute(&mut *tx)
        .await?;
        if removed.rows_affected() == 0 {
            return Ok(false);
        }
        audit::store(tx, organization, audit, now).await?;
        Ok(true)
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
}
