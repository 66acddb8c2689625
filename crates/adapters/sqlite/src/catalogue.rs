use std::cmp::Ordering;
use std::iter::Peekable;
use std::vec::IntoIter;

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use wharf_domain::dead_letter::HEALING_PAUSE;
use wharf_domain::ids::{OrganizationId, SyncId};
use wharf_domain::object::{BlobKey, DeletedBy};
use wharf_domain::run::catalogue::{
    CopyFacts, Known, KnownCopy, KnownDeadLetter, LeftOutVersion, Recall, Recalled, Span,
};
use wharf_ports::{CatalogueRepository, RepositoryError};

use crate::clock::{reading, span};
use crate::error::Fault;
use crate::row::{Columns, json, number};
use crate::store::Store;

/// What [`read`] reads, of a row `c` of the catalogue, its object `o` and its open dead letter `d`.
macro_rules! columns {
    () => {
        concat!(
            "c.left_out_version, c.left_out_rule, c.missing_pass, c.lineage, c.object = o.id AS held, \
             o.id, o.version, o.path, o.blob, o.deleted_by, o.copied_by_sync, CASE WHEN $6 THEN o.content_type END AS content_type, \
             CASE WHEN $6 THEN o.source_metadata END AS source_metadata, CASE WHEN $6 THEN o.tags END AS tags, \
             d.id AS dead_letter, d.version AS failed_version, d.error_type, d.tries, d.exhausted, \
             CASE WHEN d.exhausted THEN \
             MAX(d.last_seen_at, COALESCE(d.last_reattempt_at, d.last_seen_at)) + $5 <= ",
            reading!(),
            " ELSE 0 END AS healing_due"
        )
    };
}

/// The object and the open dead letter of the source `$of`. The object is found by its source, not by the row's own
/// reference, because another sync may have brought it.
macro_rules! joined {
    ($of:literal) => {
        concat!(
            " LEFT JOIN objects o ON o.organization = $1 \
             AND o.bucket = (SELECT bucket FROM syncs WHERE organization = $1 AND id = $2) \
             AND o.provider = $3 AND o.authority = $4 AND o.source_object = ",
            $of,
            " LEFT JOIN dead_letters d ON d.organization = $1 AND d.sync = $2 AND d.source_object = ",
            $of,
            " AND d.resolved_at IS NULL"
        )
    };
}

/// The rows of a stretch, in the order of their keys. Every text is before `x''`.
pub(crate) const SPAN: &str = concat!(
    "SELECT c.source_object, ",
    columns!(),
    " FROM catalogue c",
    joined!("c.source_object"),
    " WHERE c.organization = $1 AND c.sync = $2 AND c.authority = $4 \
     AND c.source_object > $7 AND c.source_object <= COALESCE($8, x'') ORDER BY c.source_object"
);

/// What is known of these source objects.
pub(crate) const LISTED: &str = concat!(
    "SELECT l.value AS source_object, ",
    columns!(),
    " FROM json_each($7) AS l LEFT JOIN catalogue c ON c.organization = $1 AND c.sync = $2 AND c.authority = $4 \
     AND c.source_object = l.value",
    joined!("l.value"),
    " WHERE c.organization IS NOT NULL OR o.id IS NOT NULL OR d.id IS NOT NULL"
);

fn read(row: &SqliteRow) -> Result<Known, Fault> {
    let columns = Columns::of("catalogue", row);
    let left_out = match columns.get("left_out_version")? {
        Some(version) => Some(LeftOutVersion {
            version,
            rule: columns.get("left_out_rule")?,
        }),
        None => None,
    };
    Ok(Known {
        object: columns.get("source_object")?,
        copy: read_copy(row)?,
        held: columns.get::<Option<bool>>("held")?.unwrap_or(false),
        left_out,
        dead_letter: read_dead_letter(row)?,
        missing: columns.get::<Option<i64>>("missing_pass")?.is_some(),
        lineage: columns
            .get::<Option<String>>("lineage")?
            .unwrap_or_default(),
    })
}

fn read_copy(row: &SqliteRow) -> Result<Option<KnownCopy>, Fault> {
    let columns = Columns::of("objects", row);
    let Some(id) = columns.parse_optional("id")? else {
        return Ok(None);
    };
    Ok(Some(KnownCopy {
        id,
        version: columns.get("version")?,
        path: columns.get("path")?,
        blob: columns.read("blob", BlobKey::parse)?,
        deleted: columns.read_optional("deleted_by", DeletedBy::parse)?,
        copied_by: columns.parse_optional("copied_by_sync")?,
        facts: read_facts(&columns)?.map(Box::new),
    }))
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

fn read_dead_letter(row: &SqliteRow) -> Result<Option<KnownDeadLetter>, Fault> {
    let columns = Columns::of("dead_letters", row);
    let Some(id) = columns.parse_optional("dead_letter")? else {
        return Ok(None);
    };
    Ok(Some(KnownDeadLetter {
        id,
        version: columns.get("failed_version")?,
        error_type: columns.get("error_type")?,
        tries: columns.number("tries")?,
        exhausted: columns.get("exhausted")?,
        healing_due: columns.get("healing_due")?,
    }))
}

/// A page's names in the order of their bytes, to be merged with rows in the same order.
struct Names<'a> {
    coming: Peekable<IntoIter<&'a str>>,
    /// Those that no row has met.
    unmet: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn of(listed: &'a [String]) -> Self {
        let mut names: Vec<&str> = listed.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        Self {
            coming: names.into_iter().peekable(),
            unmet: Vec::new(),
        }
    }

    /// Whether the next row's object is one of them.
    fn meet(&mut self, object: &str) -> bool {
        while let Some(name) = self.coming.next_if(|name| *name <= object) {
            match name.cmp(object) {
                Ordering::Equal => return true,
                _ => self.unmet.push(name),
            }
        }
        false
    }

    fn into_unmet(mut self) -> Vec<&'a str> {
        self.unmet.extend(self.coming);
        self.unmet
    }
}

/// A sync's catalogue as one page is compared with it.
struct Reader<'a> {
    connection: &'a mut SqliteConnection,
    organization: &'a OrganizationId,
    sync: &'a SyncId,
    recall: &'a Recall,
}

impl Reader<'_> {
    /// Merges the rows of the stretch with the page's names.
    async fn merge(
        &mut self,
        pass: u64,
        stretch: &Span,
        names: &mut Names<'_>,
        recalled: &mut Recalled,
    ) -> Result<(), Fault> {
        let mut rows = sqlx::query(SPAN)
            .bind(self.organization.as_str())
            .bind(self.sync.as_str())
            .bind(self.recall.provider.as_str())
            .bind(&self.recall.authority)
            .bind(span(HEALING_PAUSE))
            .bind(self.recall.facts)
            .bind(stretch.after.as_deref().unwrap_or_default())
            .bind(&stretch.through)
            .fetch(&mut *self.connection);
        while let Some(row) = rows.try_next().await? {
            let columns = Columns::of("catalogue", &row);
            if names.meet(columns.get("source_object")?) {
                recalled.known.push(read(&row)?);
            } else if columns.get::<Option<i64>>("missing_pass")? != Some(number(pass)) {
                recalled.vanished += 1;
            }
        }
        Ok(())
    }

    async fn look_up(&mut self, names: &[&str]) -> Result<Vec<Known>, Fault> {
        sqlx::query(LISTED)
            .bind(self.organization.as_str())
            .bind(self.sync.as_str())
            .bind(self.recall.provider.as_str())
            .bind(&self.recall.authority)
            .bind(span(HEALING_PAUSE))
            .bind(self.recall.facts)
            .bind(json(&names))
            .fetch_all(&mut *self.connection)
            .await?
            .iter()
            .map(read)
            .collect()
    }
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
            connection: &mut *self.read().await?,
            organization,
            sync,
            recall,
        };
        let mut recalled = Recalled::default();
        let mut names = Names::of(&recall.listed);
        if let Some(stretch) = &recall.span {
            reader
                .merge(pass, stretch, &mut names, &mut recalled)
                .await?;
        }
        let unmet = names.into_unmet();
        if !unmet.is_empty() {
            recalled.known.extend(reader.look_up(&unmet).await?);
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
