use std::iter::Peekable;
use std::mem;
use std::vec::IntoIter;

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};
use wharf_domain::dead_letter::HEALING_PAUSE;
use wharf_domain::ids::{OrganizationId, SyncId};
use wharf_domain::object::{BlobKey, DeletedBy};
use wharf_domain::run::catalogue::{
    CopyFacts, Known, KnownCopy, KnownDeadLetter, LeftOutVersion, Recall, Recalled, Span,
};
use wharf_ports::{CatalogueRepository, RepositoryError};

use crate::clock::micros;
use crate::error::Fault;
use crate::row::{Columns, number};
use crate::store::Store;

/// A row `c` of the catalogue.
macro_rules! row {
    () => {
        "c.object AS held_object, c.left_out_version, c.left_out_rule, c.missing_pass, c.lineage"
    };
}

/// An object `o`.
macro_rules! copy {
    () => {
        "o.id, o.version, o.path, o.blob, o.deleted_by, o.copied_by_sync, CASE WHEN $6 THEN o.content_type END AS content_type, \
         CASE WHEN $6 THEN o.source_metadata END AS source_metadata, CASE WHEN $6 THEN o.tags END AS tags"
    };
}

/// An open dead letter `d`.
macro_rules! dead_letter {
    () => {
        "d.id AS dead_letter, d.version AS failed_version, d.error_type, d.tries, d.exhausted, \
         d.exhausted AND GREATEST(d.last_seen_at, d.last_reattempt_at) \
         <= clock_timestamp() - $5 * INTERVAL '1 microsecond' AS healing_due"
    };
}

/// The bucket's objects of the source. They are found by it, not by the rows' own references, because another sync may
/// have brought them.
macro_rules! objects {
    () => {
        "o.organization = $1 AND o.bucket = (SELECT bucket FROM syncs WHERE organization = $1 AND id = $2) \
         AND o.provider = $3 AND o.authority = $4 AND o.source_object"
    };
}

macro_rules! dead_letters {
    () => {
        "d.organization = $1 AND d.sync = $2 AND d.resolved_at IS NULL AND d.source_object"
    };
}

/// Three ordered streams made one: the catalogue's rows of a stretch, and the objects and dead letters from the page's first
/// name to its last. They are not joined: each is a range of an index whatever the server believes about their number.
macro_rules! select_stretch {
    ($end:literal) => {
        concat!(
            "SELECT c.source_object, 'row' AS kind, ",
            row!(),
            ", NULL AS id, NULL AS version, NULL AS path, NULL AS blob, NULL AS deleted_by, NULL AS copied_by_sync, \
             NULL AS content_type, NULL AS source_metadata, NULL AS tags, NULL AS dead_letter, NULL AS failed_version, \
             NULL AS error_type, NULL::bigint AS tries, NULL::boolean AS exhausted, NULL::boolean AS healing_due \
             FROM catalogue c WHERE c.organization = $1 AND c.sync = $2 AND c.authority = $4 AND c.source_object > $9",
            $end,
            " UNION ALL SELECT o.source_object, 'object', NULL, NULL, NULL, NULL, NULL, ",
            copy!(),
            ", NULL, NULL, NULL, NULL, NULL, NULL FROM objects o WHERE ",
            objects!(),
            " BETWEEN $7 AND $8 \
             UNION ALL SELECT d.source_object, 'dead letter', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, ",
            dead_letter!(),
            " FROM dead_letters d WHERE ",
            dead_letters!(),
            " BETWEEN $7 AND $8 ORDER BY source_object"
        )
    };
}

/// What is known of these source objects.
const SELECT_LISTED: &str = concat!(
    "SELECT l.name AS source_object, c.sync IS NOT NULL AS has_row, ",
    row!(),
    ", ",
    copy!(),
    ", ",
    dead_letter!(),
    " FROM UNNEST($7::text[]) AS l (name) \
     LEFT JOIN catalogue c ON c.organization = $1 AND c.sync = $2 AND c.authority = $4 AND c.source_object = l.name \
     LEFT JOIN objects o ON ",
    objects!(),
    " = l.name LEFT JOIN dead_letters d ON ",
    dead_letters!(),
    " = l.name"
);

/// A row of the catalogue.
struct CatalogueRow {
    object: Option<String>,
    left_out: Option<LeftOutVersion>,
    missing_pass: Option<i64>,
    lineage: String,
}

fn read_row(row: &PgRow) -> Result<CatalogueRow, Fault> {
    let columns = Columns::of("catalogue", row);
    let left_out = match columns.get("left_out_version")? {
        Some(version) => Some(LeftOutVersion {
            version,
            rule: columns.get("left_out_rule")?,
        }),
        None => None,
    };
    Ok(CatalogueRow {
        object: columns.get("held_object")?,
        left_out,
        missing_pass: columns.get("missing_pass")?,
        lineage: columns.get("lineage")?,
    })
}

fn read_copy(row: &PgRow) -> Result<KnownCopy, Fault> {
    let columns = Columns::of("objects", row);
    Ok(KnownCopy {
        id: columns.parse("id")?,
        version: columns.get("version")?,
        path: columns.get("path")?,
        blob: columns.read("blob", BlobKey::parse)?,
        deleted: columns.read_optional("deleted_by", DeletedBy::parse)?,
        copied_by: columns.parse_optional("copied_by_sync")?,
        facts: read_facts(&columns)?.map(Box::new),
    })
}

/// What the source told of it, where that was asked for.
fn read_facts(columns: &Columns<'_>) -> Result<Option<CopyFacts>, Fault> {
    if columns.get::<Option<&str>>("source_metadata")?.is_none() {
        return Ok(None);
    }
    Ok(Some(CopyFacts {
        content_type: columns.get("content_type")?,
        metadata: columns.json("source_metadata")?,
        tags: columns.json("tags")?,
    }))
}

fn read_dead_letter(row: &PgRow) -> Result<KnownDeadLetter, Fault> {
    let columns = Columns::of("dead_letters", row);
    Ok(KnownDeadLetter {
        id: columns.parse("dead_letter")?,
        version: columns.get("failed_version")?,
        error_type: columns.get("error_type")?,
        tries: columns.number("tries")?,
        exhausted: columns.get("exhausted")?,
        healing_due: columns.get("healing_due")?,
    })
}

/// What the tables have of one source object.
#[derive(Default)]
struct Found {
    object: String,
    row: Option<CatalogueRow>,
    copy: Option<KnownCopy>,
    dead_letter: Option<KnownDeadLetter>,
}

impl Found {
    /// What that tells a run, if it is anything.
    fn into_known(self) -> Option<Known> {
        if self.row.is_none() && self.copy.is_none() && self.dead_letter.is_none() {
            return None;
        }
        let held = self.row.as_ref().and_then(|row| row.object.as_deref());
        let held = held.is_some() && held == self.copy.as_ref().map(|copy| copy.id.as_str());
        let missing = self
            .row
            .as_ref()
            .is_some_and(|it| it.missing_pass.is_some());
        let row = self.row.map(|row| (row.left_out, row.lineage));
        let (left_out, lineage) = row.unwrap_or_default();
        Some(Known {
            object: self.object,
            copy: self.copy,
            held,
            left_out,
            dead_letter: self.dead_letter,
            missing,
            lineage,
        })
    }
}

/// A page's names in the order of their bytes, merged with what the tables have in the same order.
struct Merge<'a> {
    names: Peekable<IntoIter<&'a str>>,
    pass: i64,
    recalled: Recalled,
}

impl Merge<'_> {
    fn take(&mut self, found: Found) {
        while self
            .names
            .next_if(|name| *name < found.object.as_str())
            .is_some()
        {}
        if self.names.next_if(|name| *name == found.object).is_some() {
            self.recalled.known.extend(found.into_known());
        } else if found
            .row
            .is_some_and(|row| row.missing_pass != Some(self.pass))
        {
            self.recalled.vanished += 1;
        }
    }
}

/// A sync's catalogue as one page is compared with it. Its statements are planned each time: the tables may have grown a
/// thousandfold since the first page.
struct Reader<'a> {
    connection: &'a mut PgConnection,
    organization: &'a OrganizationId,
    sync: &'a SyncId,
    recall: &'a Recall,
}

impl<'a> Reader<'a> {
    fn query(&self, statement: &'static str) -> Query<'a, Postgres, PgArguments> {
        sqlx::query(statement)
            .persistent(false)
            .bind(self.organization.as_str())
            .bind(self.sync.as_str())
            .bind(self.recall.provider.as_str())
            .bind(&self.recall.authority)
            .bind(micros(HEALING_PAUSE))
            .bind(self.recall.facts)
    }

    /// Merges the stretch with the names that lie in it, a row at a time.
    async fn merge(
        &mut self,
        pass: u64,
        stretch: &'a Span,
        names: Vec<&'a str>,
    ) -> Result<Recalled, Fault> {
        let query = match stretch.through {
            Some(_) => self.query(select_stretch!(" AND c.source_object <= $10")),
            None => self.query(select_stretch!("")),
        };
        // Of no names: from nothing to nothing.
        let query = query
            .bind(names.first().copied().unwrap_or_default())
            .bind(names.last().copied().unwrap_or_default())
            .bind(stretch.after.as_deref().unwrap_or_default());
        let query = match &stretch.through {
            Some(through) => query.bind(through),
            None => query,
        };
        let mut merge = Merge {
            names: names.into_iter().peekable(),
            pass: number(pass),
            recalled: Recalled::default(),
        };
        let mut found = Found::default();
        let mut rows = query.fetch(&mut *self.connection);
        while let Some(row) = rows.try_next().await? {
            let columns = Columns::of("catalogue", &row);
            let object: &str = columns.get("source_object")?;
            if found.object != object {
                let next = Found {
                    object: object.to_owned(),
                    ..Found::default()
                };
                merge.take(mem::replace(&mut found, next));
            }
            match columns.get("kind")? {
                "row" => found.row = Some(read_row(&row)?),
                "object" => found.copy = Some(read_copy(&row)?),
                _ => found.dead_letter = Some(read_dead_letter(&row)?),
            }
        }
        merge.take(found);
        Ok(merge.recalled)
    }

    async fn look_up(&mut self, names: &'a [&'a str]) -> Result<Vec<Known>, Fault> {
        let rows = self
            .query(SELECT_LISTED)
            .bind(names)
            .fetch_all(&mut *self.connection)
            .await?;
        let mut known = Vec::new();
        for row in &rows {
            let columns = Columns::of("catalogue", row);
            let has_copy = columns.get::<Option<&str>>("id")?.is_some();
            let has_dead_letter = columns.get::<Option<&str>>("dead_letter")?.is_some();
            let found = Found {
                object: columns.get("source_object")?,
                row: columns
                    .get::<bool>("has_row")?
                    .then(|| read_row(row))
                    .transpose()?,
                copy: has_copy.then(|| read_copy(row)).transpose()?,
                dead_letter: has_dead_letter.then(|| read_dead_letter(row)).transpose()?,
            };
            known.extend(found.into_known());
        }
        Ok(known)
    }
}

/// Whether a name lies in a stretch.
fn lies_in(stretch: &Span, name: &str) -> bool {
    let (after, through) = (stretch.after.as_deref(), stretch.through.as_deref());
    after.is_none_or(|after| name > after) && through.is_none_or(|through| name <= through)
}

impl Store {
    async fn recall_page(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        pass: u64,
        recall: &Recall,
    ) -> Result<Recalled, Fault> {
        let mut reader = Reader {
            connection: &mut *self.read(organization).await?,
            organization,
            sync,
            recall,
        };
        let mut names: Vec<&str> = recall.listed.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let Some(stretch) = &recall.span else {
            let known = reader.look_up(&names).await?;
            return Ok(Recalled { known, vanished: 0 });
        };
        let (within, beyond): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| lies_in(stretch, name));
        let mut recalled = reader.merge(pass, stretch, within).await?;
        if !beyond.is_empty() {
            recalled.known.extend(reader.look_up(&beyond).await?);
        }
        Ok(recalled)
    }
}

#[async_trait]
impl CatalogueRepository for Store {
    async fn recall(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        pass: u64,
        recall: &Recall,
    ) -> Result<Recalled, RepositoryError> {
        Ok(self.recall_page(organization, sync, pass, recall).await?)
    }
}
