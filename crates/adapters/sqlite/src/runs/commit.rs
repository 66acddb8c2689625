//! One step of a run, stored: set statements over what the step names, and nothing else of the catalogue.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::event::{ObjectChange, ObjectFate};
use wharf_domain::ids::{ObjectId, OrganizationId};
use wharf_domain::object::{BlobKey, DeletedBy, SourceId};
use wharf_domain::run::commit::{Commit, LeftOut, Put, Standing, Vanished};
use wharf_domain::sync::Lease;

use super::{Ground, Outcome, Progress, advance};
use crate::clock::{micros, micros_of};
use crate::dead_letters::{self, FailedIn};
use crate::error::Fault;
use crate::row::{Columns, json, number};
use crate::store::{Store, Tx};
use crate::{audit, buckets};

/// The objects `o` of the bucket `$2` that come from the sources `[[provider, authority, object], …]`.
macro_rules! sourced {
    ($sources:literal) => {
        concat!(
            " FROM json_each(",
            $sources,
            ") AS source CROSS JOIN objects o ON o.organization = $1 AND o.bucket = $2 \
             AND o.provider = source.value ->> 0 AND o.authority = source.value ->> 1 \
             AND o.source_object = source.value ->> 2"
        )
    };
}

/// The sync's rows of these source objects.
macro_rules! rows {
    () => {
        " WHERE organization = $1 AND sync = $2 AND authority = $3 \
         AND source_object IN (SELECT value FROM json_each($4))"
    };
}

/// The sync's rows of a stretch. Every text is before `x''`.
macro_rules! stretch {
    () => {
        " WHERE organization = $1 AND sync = $2 AND authority = $3 \
         AND source_object > $4 AND source_object <= COALESCE($5, x'')"
    };
}

/// The bucket's objects of these sources as they are now.
pub(crate) const CURRENT: &str = concat!(
    "SELECT o.id, o.provider, o.authority, o.source_object, o.blob, o.deleted_by",
    sourced!("$3")
);

/// Publishes objects: new ones, or new bytes for those that have their source. A tombstone comes back to life.
pub(crate) const PUBLISH: &str = "INSERT INTO objects (organization, id, bucket, namespace, provider, authority, source_object, path, version, \
     modified_at, version_id, source_metadata, tags, mapped, blob, size_bytes, content_type, sha256, copied_by_sync, \
     copied_by_job, created_at, updated_at) \
     SELECT $1, p.value ->> 'id', $2, $3, p.value ->> 'provider', p.value ->> 'authority', p.value ->> 'object', \
     p.value ->> 'path', p.value ->> 'version', p.value ->> 'modified_at', p.value ->> 'version_id', \
     p.value ->> 'metadata', p.value ->> 'tags', p.value ->> 'mapped', p.value ->> 'blob', p.value ->> 'size_bytes', \
     p.value ->> 'content_type', p.value ->> 'sha256', $4, $5, $6, $6 FROM json_each($7) AS p WHERE true \
     ON CONFLICT (organization, bucket, provider, authority, source_object) DO UPDATE SET \
     path = excluded.path, version = excluded.version, modified_at = excluded.modified_at, \
     version_id = excluded.version_id, source_metadata = excluded.source_metadata, tags = excluded.tags, \
     mapped = excluded.mapped, blob = excluded.blob, size_bytes = excluded.size_bytes, \
     content_type = excluded.content_type, sha256 = excluded.sha256, copied_by_sync = excluded.copied_by_sync, \
     copied_by_job = excluded.copied_by_job, deleted_at = NULL, deleted_by = NULL, purged_at = NULL, \
     updated_at = excluded.updated_at";

/// The sync holds on to the objects of these sources. Returns those that the bucket has. Without a lineage, that of the row stays.
pub(crate) const HOLD_ON: &str = concat!(
    "INSERT INTO catalogue (organization, sync, authority, source_object, object, seen_pass, lineage) \
     SELECT o.organization, $3, o.authority, o.source_object, o.id, $4, COALESCE(source.value ->> 3, (SELECT c.lineage \
     FROM catalogue c WHERE c.organization = $1 AND c.sync = $3 AND c.authority = o.authority \
     AND c.source_object = o.source_object), '')",
    sourced!("$5"),
    " WHERE true ON CONFLICT (organization, sync, authority, source_object) DO UPDATE SET \
     object = excluded.object, left_out_version = NULL, left_out_rule = NULL, seen_pass = excluded.seen_pass, \
     missing_pass = NULL, missing_since = NULL, hidden = 0, lineage = excluded.lineage RETURNING source_object"
);

/// Remembers versions as left out.
pub(crate) const LEAVE_OUT: &str = "INSERT INTO catalogue (organization, sync, authority, source_object, left_out_version, left_out_rule, seen_pass) \
     SELECT $1, $2, $3, l.value ->> 'object', l.value ->> 'version', l.value ->> 'rule', $4 \
     FROM json_each($5) AS l WHERE true \
     ON CONFLICT (organization, sync, authority, source_object) DO UPDATE SET \
     left_out_version = excluded.left_out_version, left_out_rule = excluded.left_out_rule, \
     seen_pass = excluded.seen_pass";

/// What lies elsewhere now, `[[object, path, lineage], …]`, with the sync's rows `c` that point at an object.
macro_rules! moved {
    () => {
        " FROM json_each($4) AS moved CROSS JOIN catalogue c ON c.organization = $1 AND c.sync = $2 AND c.authority = $3 \
         AND c.source_object = moved.value ->> 0 AND c.object IS NOT NULL"
    };
}

/// Tells the objects of what lies elsewhere. What is meant is found first, one by one.
pub(crate) const MOVE_OBJECTS: &str = concat!(
    "UPDATE objects SET path = found.path, updated_at = $5 FROM (SELECT o.rowid AS place, moved.value ->> 1 AS path",
    moved!(),
    " CROSS JOIN objects o ON o.organization = $1 AND o.id = c.object WHERE moved.value ->> 1 IS NOT NULL LIMIT -1) AS found WHERE objects.rowid = found.place"
);

/// Tells the rows of what lies elsewhere.
pub(crate) const MOVE_ROWS: &str = concat!(
    "INSERT INTO catalogue (organization, sync, authority, source_object, seen_pass, lineage) \
     SELECT c.organization, c.sync, c.authority, c.source_object, c.seen_pass, moved.value ->> 2",
    moved!(),
    " WHERE true ON CONFLICT (organization, sync, authority, source_object) DO UPDATE SET lineage = excluded.lineage"
);

/// Rows that are there again.
pub(crate) const RETURN: &str = concat!(
    "UPDATE catalogue SET missing_pass = NULL, missing_since = NULL, hidden = 0",
    rows!()
);

/// Rows that the pass has seen.
pub(crate) const SEE: &str = concat!(
    "UPDATE catalogue SET seen_pass = $5, missing_pass = NULL, missing_since = NULL, hidden = 0",
    rows!()
);

/// Rows that the rules do not let through any more, although they are there.
pub(crate) const DRIFT: &str = concat!(
    "UPDATE catalogue SET seen_pass = $5, missing_pass = $5, hidden = 0",
    rows!()
);

/// Missing rows that may only be hidden from us. Of a row that is not missing, nothing changes.
pub(crate) const HIDE: &str = concat!(
    "UPDATE catalogue SET hidden = (missing_pass IS NOT NULL)",
    rows!()
);

/// Where a stretch is cut, so that no statement deals with more rows at once.
pub(crate) const CUT: &str = concat!(
    "SELECT source_object FROM catalogue",
    stretch!(),
    " ORDER BY source_object LIMIT 1 OFFSET $6"
);

/// Rows of a stretch that the listing does not name.
pub(crate) const PASS_OVER: &str = concat!(
    "UPDATE catalogue SET missing_pass = $6",
    stretch!(),
    " AND missing_pass IS NOT $6 AND source_object NOT IN (SELECT value FROM json_each($7))"
);

/// Most rows that one statement marks as vanished, so that its memory stays bounded.
const MOST_ROWS: u32 = 10_000;

/// Source identities as one bound parameter.
fn source_list<'a>(sources: impl Iterator<Item = &'a SourceId>) -> String {
    let triples = sources.map(|source| {
        (
            source.provider.as_str(),
            &*source.authority,
            &*source.object,
        )
    });
    json(&triples.collect::<Vec<_>>())
}

/// A source that is held on to, as one element of a bound parameter, with its lineage if that is told.
fn held_on<'a>(
    (source, lineage): (&'a SourceId, Option<&'a str>),
) -> (&'static str, &'a str, &'a str, Option<&'a str>) {
    (
        source.provider.as_str(),
        &source.authority,
        &source.object,
        lineage,
    )
}

/// A put as one element of a bound parameter. What is stored as JSON is text in it.
#[derive(Serialize)]
struct PutRow<'a> {
    id: &'a str,
    provider: &'static str,
    authority: &'a str,
    object: &'a str,
    path: &'a str,
    version: &'a str,
    modified_at: Option<i64>,
    version_id: Option<&'a str>,
    metadata: String,
    tags: String,
    mapped: String,
    blob: &'a str,
    size_bytes: i64,
    content_type: Option<&'a str>,
    sha256: &'a str,
}

impl<'a> From<&'a Put> for PutRow<'a> {
    fn from(put: &'a Put) -> Self {
        Self {
            id: put.new_id.as_str(),
            provider: put.source.provider.as_str(),
            authority: &put.source.authority,
            object: &put.source.object,
            path: &put.facts.path,
            version: &put.facts.version,
            modified_at: micros_of(put.facts.modified_at),
            version_id: put.facts.version_id.as_deref(),
            metadata: json(&put.facts.metadata),
            tags: json(&put.facts.tags),
            mapped: json(&put.mapped),
            blob: put.content.blob.as_str(),
            size_bytes: number(put.content.size_bytes),
            content_type: put.content.content_type.as_deref(),
            sha256: &put.content.sha256,
        }
    }
}

/// A version that is left out, as one element of a bound parameter.
#[derive(Serialize)]
struct LeftOutRow<'a> {
    object: &'a str,
    version: &'a str,
    rule: &'a str,
}

impl<'a> From<&'a LeftOut> for LeftOutRow<'a> {
    fn from(file: &'a LeftOut) -> Self {
        Self {
            object: &file.object,
            version: &file.version,
            rule: &file.rule,
        }
    }
}

/// What an object is published against: its blob changes with every publication.
struct State {
    id: ObjectId,
    blob: BlobKey,
    deleted: Option<DeletedBy>,
}

/// What is told of an object that was published where `current` was. For whoever is told, a tombstone that comes back to
/// life by a run arrives anew.
fn change(put: &Put, current: Option<&State>) -> ObjectChange {
    let fate = match current {
        Some(State { deleted: None, .. }) => ObjectFate::Updated,
        _ => ObjectFate::Created,
    };
    ObjectChange {
        object_id: current.map_or(&put.new_id, |current| &current.id).clone(),
        fate,
        source_path: put.facts.path.clone(),
        size_bytes: put.content.size_bytes,
    }
}

/// A step as it is stored within its transaction.
struct Step<'t, 'a> {
    tx: &'t mut Tx,
    organization: &'a OrganizationId,
    lease: &'a Lease,
    ground: &'a Ground,
    commit: &'a Commit,
}

impl<'a> Step<'_, 'a> {
    async fn current(&mut self, sources: String) -> Result<HashMap<SourceId, State>, Fault> {
        let rows = sqlx::query(CURRENT)
            .bind(self.organization.as_str())
            .bind(self.ground.bucket.as_str())
            .bind(sources)
            .fetch_all(&mut **self.tx)
            .await?;
        let read = |row| {
            let columns = Columns::of("objects", row);
            let source = SourceId {
                provider: columns.parse("provider")?,
                authority: columns.get("authority")?,
                object: columns.get("source_object")?,
            };
            let state = State {
                id: columns.parse("id")?,
                blob: columns.read("blob", BlobKey::parse)?,
                deleted: columns.read_optional("deleted_by", DeletedBy::parse)?,
            };
            Ok((source, state))
        };
        rows.iter().map(read).collect()
    }

    /// Publishes what still is as it was planned. Returns what became of which object, and those that were passed over.
    async fn publish(&mut self) -> Result<(Vec<ObjectChange>, Vec<&'a Put>), Fault> {
        // A source that is put twice in one step is published once, as the last put has it.
        let puts = self.commit.puts.iter().map(|put| (&put.source, put));
        let puts: BTreeMap<&SourceId, &'a Put> = puts.collect();
        if puts.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let current = self.current(source_list(puts.keys().copied())).await?;
        let state_of = |put: &Put| {
            let state = current.get(&put.source);
            state.map(|state| (&state.blob, state.deleted))
        };
        let (published, passed_over): (Vec<&Put>, Vec<&Put>) = puts
            .into_values()
            .partition(|put| put.is_as_planned(state_of(put)));
        if published.is_empty() {
            return Ok((Vec::new(), passed_over));
        }
        let rows = published.iter().map(|put| PutRow::from(*put));
        sqlx::query(PUBLISH)
            .bind(self.organization.as_str())
            .bind(self.ground.bucket.as_str())
            .bind(self.ground.namespace.as_str())
            .bind(self.lease.sync.as_str())
            .bind(self.lease.job.as_str())
            .bind(micros(self.ground.now))
            .bind(json(&rows.collect::<Vec<_>>()))
            .execute(&mut **self.tx)
            .await?;
        let (bucket, now) = (&self.ground.bucket, self.ground.now);
        buckets::note_upload(self.tx, self.organization, bucket, now).await?;
        let changes = published
            .iter()
            .map(|put| change(put, current.get(&put.source)));
        Ok((changes.collect(), passed_over))
    }

    /// Holds on to what was put, by whomever, and what was adopted. Returns those of them that the bucket has.
    async fn hold_on(&mut self) -> Result<Vec<String>, Fault> {
        let adopted: Vec<SourceId> = self
            .commit
            .adopted
            .iter()
            .map(|object| SourceId {
                provider: self.ground.provider,
                authority: self.commit.authority.clone(),
                object: object.clone(),
            })
            .collect();
        let put = self.commit.puts.iter();
        let put = put.map(|put| (&put.source, Some(&*put.lineage)));
        let adopted = adopted.iter().map(|source| (source, None));
        let sources: Vec<_> = put.chain(adopted).map(held_on).collect();
        if sources.is_empty() {
            return Ok(Vec::new());
        }
        let held = sqlx::query_scalar(HOLD_ON)
            .bind(self.organization.as_str())
            .bind(self.ground.bucket.as_str())
            .bind(self.lease.sync.as_str())
            .bind(number(self.commit.pass))
            .bind(json(&sources))
            .fetch_all(&mut **self.tx)
            .await?;
        Ok(held)
    }

    async fn leave_out(&mut self) -> Result<(), Fault> {
        if self.commit.left_out.is_empty() {
            return Ok(());
        }
        let left_out = self.commit.left_out.iter().map(LeftOutRow::from);
        sqlx::query(LEAVE_OUT)
            .bind(self.organization.as_str())
            .bind(self.lease.sync.as_str())
            .bind(&self.commit.authority)
            .bind(number(self.commit.pass))
            .bind(json(&left_out.collect::<Vec<_>>()))
            .execute(&mut **self.tx)
            .await?;
        Ok(())
    }

    /// Closes the dead letters of what is held or left out, and notes what failed.
    async fn settle(&mut self, held: &[String]) -> Result<(), Fault> {
        let left_out = self.commit.left_out.iter().map(|file| &*file.object);
        let closed: Vec<&str> = held.iter().map(|it| &**it).chain(left_out).collect();
        let (organization, lease, now) = (self.organization, self.lease, self.ground.now);
        dead_letters::resolve(self.tx, organization, &lease.sync, &closed, now).await?;
        let run = FailedIn {
            sync: &lease.sync,
            bucket: &self.ground.bucket,
            namespace: &self.ground.namespace,
            job: &lease.job,
        };
        dead_letters::fail(self.tx, organization, run, &self.commit.failed, now).await
    }

    /// Notes where files lie now.
    async fn relocate(&mut self) -> Result<(), Fault> {
        if self.commit.moved.is_empty() {
            return Ok(());
        }
        let moved = self.commit.moved.iter();
        let moved = moved.map(|file| (&*file.object, file.path.as_deref(), &*file.lineage));
        let moved = json(&moved.collect::<Vec<_>>());
        for statement in [MOVE_OBJECTS, MOVE_ROWS] {
            sqlx::query(statement)
                .bind(self.organization.as_str())
                .bind(self.lease.sync.as_str())
                .bind(&self.commit.authority)
                .bind(&moved)
                .bind(micros(self.ground.now))
                .execute(&mut **self.tx)
                .await?;
        }
        Ok(())
    }

    /// Runs one of the statements over the sync's rows of these source objects.
    async fn mark(&mut self, statement: &'static str, objects: &[String]) -> Result<(), Fault> {
        if objects.is_empty() {
            return Ok(());
        }
        sqlx::query(statement)
            .bind(self.organization.as_str())
            .bind(self.lease.sync.as_str())
            .bind(&self.commit.authority)
            .bind(json(&objects))
            .bind(number(self.commit.pass))
            .execute(&mut **self.tx)
            .await?;
        Ok(())
    }

    /// Marks what a sorted listing passed over, a cut of the stretch at a time.
    async fn pass_over(&mut self, vanished: &Vanished) -> Result<(), Fault> {
        let mut after = vanished.span.after.clone().unwrap_or_default();
        let listed = json(&vanished.listed);
        loop {
            let cut: Option<String> = sqlx::query_scalar(CUT)
                .bind(self.organization.as_str())
                .bind(self.lease.sync.as_str())
                .bind(&self.commit.authority)
                .bind(&after)
                .bind(&vanished.span.through)
                .bind(MOST_ROWS - 1)
                .fetch_optional(&mut **self.tx)
                .await?;
            sqlx::query(PASS_OVER)
                .bind(self.organization.as_str())
                .bind(self.lease.sync.as_str())
                .bind(&self.commit.authority)
                .bind(&after)
                .bind(cut.as_ref().or(vanished.span.through.as_ref()))
                .bind(number(self.commit.pass))
                .bind(&listed)
                .execute(&mut **self.tx)
                .await?;
            match cut {
                Some(cut) => after = cut,
                None => return Ok(()),
            }
        }
    }
}

impl Store {
    pub(super) async fn commit_step(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        commit: &Commit,
        audit: Option<NewAuditRow>,
    ) -> Outcome<()> {
        let ground = self.ground(tx, organization, lease, standing).await?;
        let mut step = Step {
            tx: &mut *tx,
            organization,
            lease,
            ground: &ground,
            commit,
        };
        let (published, passed_over) = step.publish().await?;
        let held = step.hold_on().await?;
        step.leave_out().await?;
        step.settle(&held).await?;
        step.relocate().await?;
        step.mark(RETURN, &commit.returned).await?;
        step.mark(SEE, &commit.seen).await?;
        step.mark(DRIFT, &commit.drifted).await?;
        step.mark(HIDE, &commit.hidden).await?;
        if let Some(vanished) = &commit.vanished {
            step.pass_over(vanished).await?;
        }
        if let Some(row) = audit.filter(|_| !published.is_empty()) {
            let row = match passed_over.len() {
                0 => row,
                several => row.with("passed_over", several as u64),
            };
            let (bucket, now) = (&ground.bucket, ground.now);
            audit::store_with_objects(tx, organization, &row, now, bucket, published);
        }
        let progress = Progress {
            counters: commit.counters_without(&passed_over),
            checkpoint: commit.checkpoint.as_ref().map(json),
            phase: Some(commit.phase),
        };
        let begun = commit.checkpoint.as_ref().map(|checkpoint| checkpoint.pass);
        let pass = begun.map_or(commit.pass, |begun| begun.max(commit.pass));
        Ok(advance(tx, organization, lease, pass, ground, progress).await?)
    }
}
