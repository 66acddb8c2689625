//! What a feed of changes tells is not in the source any more, and what the provider is to be asked about.

use wharf_domain::ids::OrganizationId;
use wharf_domain::run::commit::Standing;
use wharf_domain::run::deletes::MarkAbsent;
use wharf_domain::run::feed::MissingRow;
use wharf_domain::sync::Lease;

use super::{Outcome, Progress, advance, leased};
use crate::error::Fault;
use crate::row::{Columns, json, number};
use crate::store::{Store, Tx};

/// Marks rows `c` that the pass has not marked so, or not as certainly.
macro_rules! mark {
    ($of:literal) => {
        concat!(
            "UPDATE catalogue SET seen_pass = 0, missing_pass = $5, hidden = $6 WHERE organization = $1 AND sync = $2 AND authority = $3 \
             AND source_object IN (SELECT c.source_object FROM json_each($4) AS told CROSS JOIN catalogue c ",
            $of,
            " WHERE c.missing_pass IS NOT $5 OR (c.hidden AND NOT $6) LIMIT $7)"
        )
    };
}

/// Marks rows of these source objects.
pub(crate) const MARK_NAMED: &str = mark!(
    "ON c.organization = $1 AND c.sync = $2 AND c.authority = $3 AND c.source_object = told.value"
);

/// Marks rows of these lineages.
pub(crate) const MARK_IN: &str = mark!(
    "INDEXED BY catalogue_lineage ON c.organization = $1 AND c.sync = $2 AND c.authority = $3 AND c.lineage = told.value \
     AND c.lineage <> ''"
);

/// The first lineage after another one. A folder's files are leapt over, however many there are.
macro_rules! next {
    ($after:literal) => {
        concat!(
            "(SELECT MIN(c.lineage) FROM catalogue c INDEXED BY catalogue_lineage WHERE c.organization = $1 AND c.sync = $2 \
             AND c.authority = $3 AND c.lineage <> '' AND c.lineage > ",
            $after,
            ")"
        )
    };
}

/// The lineages after one.
pub(crate) const LINEAGES: &str = concat!(
    "WITH RECURSIVE folder (lineage) AS (SELECT ",
    next!("$4"),
    " UNION ALL SELECT ",
    next!("folder.lineage"),
    " FROM folder WHERE folder.lineage IS NOT NULL) SELECT lineage FROM folder WHERE lineage IS NOT NULL LIMIT $5"
);

/// What the pass found missing and the provider is to be asked about.
pub(crate) const TO_TRACE: &str = "SELECT source_object, lineage FROM catalogue INDEXED BY catalogue_to_trace \
     WHERE organization = $1 AND sync = $2 AND authority = $3 AND missing_pass = $4 AND source_object > $5 \
     AND object IS NOT NULL AND NOT hidden AND seen_pass <> $4 ORDER BY source_object LIMIT $6";

/// Lineages that are looked at in one go.
const AT_ONCE: i64 = 1000;

/// A step that marks, and how many rows it may still mark.
struct Marking<'t, 'a> {
    tx: &'t mut Tx,
    organization: &'a OrganizationId,
    lease: &'a Lease,
    step: &'a MarkAbsent,
    left: u64,
}

impl Marking<'_, '_> {
    async fn mark(
        &mut self,
        statement: &'static str,
        of: &[&str],
        certain: bool,
    ) -> Result<(), Fault> {
        if of.is_empty() || self.left == 0 {
            return Ok(());
        }
        let marked = sqlx::query(statement)
            .bind(self.organization.as_str())
            .bind(self.lease.sync.as_str())
            .bind(&self.step.authority)
            .bind(json(&of))
            .bind(number(self.step.pass))
            .bind(!certain)
            .bind(number(self.left))
            .execute(&mut **self.tx)
            .await?;
        self.left = self.left.saturating_sub(marked.rows_affected());
        Ok(())
    }

    async fn lineages(&mut self, after: &str) -> Result<Vec<String>, Fault> {
        let lineages = sqlx::query_scalar(LINEAGES)
            .bind(self.organization.as_str())
            .bind(self.lease.sync.as_str())
            .bind(&self.step.authority)
            .bind(after)
            .bind(AT_ONCE)
            .fetch_all(&mut **self.tx)
            .await?;
        Ok(lineages)
    }

    /// Marks what is certain first, so that no row is marked twice.
    async fn run(&mut self) -> Result<(), Fault> {
        let told = self.step.told();
        self.mark(MARK_NAMED, &told.named(true), true).await?;
        let mut after = String::new();
        while self.left > 0 {
            let lineages = self.lineages(&after).await?;
            for certain in [true, false] {
                let lineages = lineages.iter().map(String::as_str);
                let of: Vec<&str> = lineages
                    .filter(|lineage| told.of_lineage(lineage) == Some(certain))
                    .collect();
                self.mark(MARK_IN, &of, certain).await?;
            }
            match lineages.into_iter().next_back() {
                Some(last) => after = last,
                None => break,
            }
        }
        self.mark(MARK_NAMED, &told.named(false), false).await
    }
}

impl Store {
    pub(super) async fn mark_absent_rows(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &MarkAbsent,
    ) -> Outcome<u64> {
        let ground = self.ground(tx, organization, lease, standing).await?;
        let limit = u64::from(step.limit);
        let mut marking = Marking {
            tx: &mut *tx,
            organization,
            lease,
            step,
            left: limit,
        };
        marking.run().await?;
        let marked = limit - marking.left;
        let progress = Progress::default();
        advance(tx, organization, lease, step.pass, ground, progress).await?;
        Ok(marked)
    }

    pub(super) async fn rows_to_trace(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        pass: u64,
        authority: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Outcome<Vec<MissingRow>> {
        let mut connection = self.read().await?;
        let now = self.now(&mut connection).await?;
        leased(&mut connection, organization, lease, now).await?;
        let rows = sqlx::query(TO_TRACE)
            .bind(organization.as_str())
            .bind(lease.sync.as_str())
            .bind(authority)
            .bind(number(pass))
            .bind(after.unwrap_or_default())
            .bind(limit)
            .fetch_all(&mut *connection)
            .await?;
        let read = |row| {
            let columns = Columns::of("catalogue", row);
            Ok(MissingRow {
                object: columns.get("source_object")?,
                lineage: columns.get("lineage")?,
            })
        };
        Ok(rows.iter().map(read).collect::<Result<_, Fault>>()?)
    }
}
