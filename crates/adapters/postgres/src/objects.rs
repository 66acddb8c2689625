use std::collections::BTreeSet;

use async_trait::async_trait;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::event::{ObjectChange, ObjectFate};
use wharf_domain::ids::{BucketId, JobId, ObjectId, OrganizationId};
use wharf_domain::object::{
    BlobKey, Content, DeletedBy, Object, ObjectFilter, SourceFacts, SourceId,
};
use wharf_domain::page::{Page, PageCursor, PageRequest};
use wharf_domain::run::commit::Put;
use wharf_domain::sync::Sync;
use wharf_ports::{ObjectRepository, RepositoryError, RestoreOutcome};

use crate::error::Fault;
use crate::page::{Bounds, page};
use crate::row::{Columns, json, number};
use crate::store::{Store, Tx, in_transaction};
use crate::{audit, buckets};

macro_rules! columns {
    () => {
        "id, bucket, namespace, provider, authority, source_object, path, version, modified_at, version_id, \
         source_metadata, tags, blob, size_bytes, content_type, sha256, mapped, copied_by_sync, copied_by_job, \
         deleted_at, deleted_by, purged_at, created_at, updated_at"
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
        purged: columns.time_optional("purged_at")?.is_some(),
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
    job: &JobId,
    puts: &[&Put],
    now: Timestamp,
) -> Result<(), Fault> {
    fn each<'a, T>(puts: &'a [&'a Put], column: impl Fn(&'a Put) -> T) -> Vec<T> {
        puts.iter().map(|put| column(put)).collect()
    }
    sqlx::query(
        "INSERT INTO objects (organization, id, bucket, namespace, provider, authority, source_object, path, version, \
         modified_at, version_id, source_metadata, tags, blob, size_bytes, content_type, sha256, mapped, copied_by_sync, \
         copied_by_job, created_at, updated_at) \
         SELECT $1, put.id, $2, $3, put.provider, put.authority, put.source_object, put.path, put.version, \
         put.modified_at, put.version_id, put.source_metadata, put.tags, put.blob, put.size_bytes, put.content_type, \
         put.sha256, put.mapped, $5, $6, $4, $4 \
         FROM UNNEST($7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[], \
                     $14::text[], $15::text[], $16::text[], $17::text[], $18::bigint[], $19::text[], $20::text[], \
                     $21::text[]) \
         AS put (id, provider, authority, source_object, path, version, modified_at, version_id, source_metadata, tags, \
                 blob, size_bytes, content_type, sha256, mapped) \
         ON CONFLICT (organization, bucket, provider, authority, source_object) DO UPDATE SET \
         path = excluded.path, version = excluded.version, modified_at = excluded.modified_at, \
         version_id = excluded.version_id, source_metadata = excluded.source_metadata, tags = excluded.tags, \
         blob = excluded.blob, size_bytes = excluded.size_bytes, content_type = excluded.content_type, \
         sha256 = excluded.sha256, mapped = excluded.mapped, copied_by_sync = excluded.copied_by_sync, \
         copied_by_job = excluded.copied_by_job, deleted_at = NULL, deleted_by = NULL, purged_at = NULL, \
         updated_at = excluded.updated_at",
    )
    .bind(organization.as_str())
    .bind(sync.bucket.as_str())
    .bind(sync.namespace.as_str())
    .bind(now)
    .bind(sync.id.as_str())
    .bind(job.as_str())
    .bind(each(puts, |put| put.new_id.as_str()))
    .bind(each(puts, |put| put.source.provider.as_str()))
    .bind(each(puts, |put| put.source.authority.as_str()))
    .bind(each(puts, |put| put.source.object.as_str()))
    .bind(each(puts, |put| put.facts.path.as_str()))
    .bind(each(puts, |put| put.facts.version.as_str()))
    .bind(each(puts, |put| put.facts.modified_at))
    .bind(each(puts, |put| put.facts.version_id.as_deref()))
    .bind(each(puts, |put| json(&put.facts.metadata)))
    .bind(each(puts, |put| json(&put.facts.tags)))
    .bind(each(puts, |put| put.content.blob.as_str()))
    .bind(each(puts, |put| number(put.content.size_bytes)))
    .bind(each(puts, |put| put.content.content_type.as_deref()))
    .bind(each(puts, |put| put.content.sha256.as_str()))
    .bind(each(puts, |put| json(&put.mapped)))
    .execute(tx)
    .await?;
    Ok(())
}

/// What is told of an object to which that happened.
fn read_change(row: &PgRow, fate: ObjectFate) -> Result<ObjectChange, Fault> {
    let columns = Columns::of("objects", row);
    Ok(ObjectChange {
        object_id: columns.parse("id")?,
        fate,
        source_path: columns.get("path")?,
        size_bytes: columns.number("size_bytes")?,
    })
}

/// Makes tombstones of those live objects that no sync holds on to; one whose connection is archived never runs again, and
/// holds nothing. Returns which they are.
pub(crate) async fn bury_unheld(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    objects: &[&str],
    now: Timestamp,
) -> Result<Vec<ObjectChange>, Fault> {
    if objects.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query(
        "UPDATE objects SET deleted_at = $3, deleted_by = 'source', updated_at = $3 \
         WHERE organization = $1 AND id = ANY($2) AND deleted_at IS NULL \
         AND NOT EXISTS (SELECT 1 FROM catalogue c JOIN syncs s ON s.organization = c.organization AND s.id = c.sync \
                         WHERE c.organization = objects.organization AND c.object = objects.id \
                         AND s.state <> 'connection_archived') RETURNING id, path, size_bytes",
    )
    .bind(organization.as_str())
    .bind(objects)
    .bind(now)
    .fetch_all(tx)
    .await?
    .iter()
    .map(|row| read_change(row, ObjectFate::Deleted))
    .collect()
}

/// Purges tombstones that were made before a time: the bytes of those that a person deleted are let go of, those that
/// vanished at the source go altogether. Returns how many.
pub(crate) async fn purge(
    tx: &mut PgConnection,
    before: Timestamp,
    limit: u32,
    now: Timestamp,
) -> Result<u64, Fault> {
    let due = sqlx::query(
        "SELECT organization, bucket, id FROM objects WHERE deleted_at <= $1 AND purged_at IS NULL \
         ORDER BY deleted_at, id LIMIT $2",
    )
    .bind(before)
    .bind(i64::from(limit))
    .fetch_all(&mut *tx)
    .await?;
    let mut places = BTreeSet::new();
    let (mut organizations, mut ids) = (Vec::new(), Vec::new());
    for row in &due {
        let columns = Columns::of("objects", row);
        let organization: OrganizationId = columns.parse("organization")?;
        places.insert((organization.clone(), columns.parse("bucket")?));
        organizations.push(organization.to_string());
        ids.push(columns.get::<String>("id")?);
    }
    // In this order, and before any object: see the crate's words.
    for (organization, bucket) in &places {
        buckets::hold(tx, organization, bucket).await?;
    }
    let mut purged = 0;
    // What was restored meanwhile stays.
    for statement in [
        "UPDATE objects o SET purged_at = $4 FROM UNNEST($1::text[], $2::text[]) AS due (organization, id) \
         WHERE o.organization = due.organization AND o.id = due.id AND o.deleted_by = 'person' \
         AND o.deleted_at <= $3 AND o.purged_at IS NULL",
        "DELETE FROM objects o USING UNNEST($1::text[], $2::text[]) AS due (organization, id) \
         WHERE o.organization = due.organization AND o.id = due.id AND o.deleted_by = 'source' \
         AND o.deleted_at <= $3",
    ] {
        let done = sqlx::query(statement)
            .bind(&organizations)
            .bind(&ids)
            .bind(before)
            .bind(now)
            .execute(&mut *tx)
            .await?;
        purged += done.rows_affected();
    }
    Ok(purged)
}

impl Store {
    async fn find_object_of(
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
        .fetch_optional(&mut *self.read(organization).await?)
        .await?
        .as_ref()
        .map(read)
        .transpose()
    }

    async fn restore_object(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        object: &ObjectId,
        audit: &NewAuditRow,
    ) -> Result<Option<RestoreOutcome>, Fault> {
        let found = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM objects WHERE organization = $1 AND bucket = $2 AND id = $3 FOR NO KEY UPDATE"
        ))
        .bind(organization.as_str())
        .bind(bucket.as_str())
        .bind(object.as_str())
        .fetch_optional(&mut **tx)
        .await?;
        let Some(found) = found.as_ref().map(read).transpose()? else {
            return Ok(None);
        };
        if found.deleted.is_none() {
            return Ok(Some(RestoreOutcome::NotDeleted));
        }
        if found.purged {
            return Ok(Some(RestoreOutcome::Purged));
        }
        let now = self.now(tx).await?;
        sqlx::query(
            "UPDATE objects SET deleted_at = NULL, deleted_by = NULL, updated_at = $3 WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(object.as_str())
        .bind(now)
        .execute(&mut **tx)
        .await?;
        let changes = vec![ObjectChange {
            object_id: found.id.clone(),
            fate: ObjectFate::Restored,
            source_path: found.facts.path.clone(),
            size_bytes: found.content.size_bytes,
        }];
        audit::store_with_objects(tx, organization, audit, now, bucket, changes);
        let restored = Object {
            deleted: None,
            updated_at: now,
            ..found
        };
        Ok(Some(RestoreOutcome::Restored(Box::new(restored))))
    }

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
        .fetch_optional(&mut *self.read(organization).await?)
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
        let mut connection = self.read(organization).await?;
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
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        object: &ObjectId,
        audit: &NewAuditRow,
    ) -> Result<bool, Fault> {
        let now = self.now(tx).await?;
        let removed = sqlx::query(
            "UPDATE objects SET deleted_at = $4, deleted_by = 'person', updated_at = $4 \
             WHERE organization = $1 AND bucket = $2 AND id = $3 AND deleted_at IS NULL \
             RETURNING id, path, size_bytes",
        )
        .bind(organization.as_str())
        .bind(bucket.as_str())
        .bind(object.as_str())
        .bind(now)
        .fetch_optional(&mut **tx)
        .await?;
        let Some(removed) = removed else {
            return Ok(false);
        };
        let changes = vec![read_change(&removed, ObjectFate::Deleted)?];
        audit::store_with_objects(tx, organization, audit, now, bucket, changes);
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

    async fn find_by_source(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        source: &SourceId,
    ) -> Result<Option<Object>, RepositoryError> {
        Ok(self.find_object_of(organization, bucket, source).await?)
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
            in_transaction!(self, organization, tx => self.remove_object(&mut tx, organization, bucket, object, &audit))?,
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
            in_transaction!(self, organization, tx => self.restore_object(&mut tx, organization, bucket, object, &audit))?,
        )
    }
}
