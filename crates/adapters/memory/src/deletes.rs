//! What is missing at a source, and what becomes of its objects.

use std::mem;
use std::ops::Bound;
use std::time::Duration;

use wharf_domain::Timestamp;
use wharf_domain::event::{ObjectChange, ObjectFate};
use wharf_domain::ids::{ObjectId, OrganizationId, SyncId};
use wharf_domain::object::DeletedBy;
use wharf_domain::run::deletes::{Hold, LetGo, MarkAbsent, MarkMissing, RowKey, Survey};
use wharf_domain::sync::{HeldDeletes, SyncState};

use crate::catalogue::{Catalogue, Row};
use crate::objects::change;
use crate::state::{State, at_most, owned_mut};

/// Marks rows that the complete listing did not see; where the next step begins.
pub(crate) fn mark_missing(rows: &mut Catalogue, step: &MarkMissing) -> Option<RowKey> {
    let is_missing = |key: &RowKey, row: &Row| {
        if key.authority != step.authority {
            return true;
        }
        step.unseen_beyond.as_ref().is_some_and(|beyond| {
            row.seen_pass < step.pass && beyond.as_ref().is_none_or(|last| key.object > *last)
        })
    };
    let after = step.after.as_ref();
    let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
    let mut rest = rows.range_mut((from, Bound::Unbounded));
    let mut last = None;
    for (key, row) in rest.by_ref().take(at_most(step.limit)) {
        if is_missing(key, row) {
            row.missing_pass = Some(step.pass);
        }
        last = Some(key.clone());
    }
    last.filter(|_| rest.next().is_some())
}

/// Marks rows that a feed of changes told are absent. How many.
pub(crate) fn mark_absent(rows: &mut Catalogue, step: &MarkAbsent) -> u64 {
    let absent = step.told();
    let mut marked = 0;
    for (key, row) in rows
        .iter_mut()
        .filter(|(key, _)| key.authority == step.authority)
    {
        let told = absent.of(&key.object).max(absent.of_lineage(&row.lineage));
        let news = |certain: &bool| row.missing_pass != Some(step.pass) || (row.hidden && *certain);
        let Some(certain) = told.filter(news) else {
            continue;
        };
        if marked == u64::from(step.limit) {
            break;
        }
        row.missing_pass = Some(step.pass);
        row.seen_pass = 0;
        row.hidden = !certain;
        marked += 1;
    }
    marked
}

impl State {
    /// Whether the row points at an object that does not lie under one of these source paths.
    fn is_open_to(&self, row: &Row, denied: &[String]) -> bool {
        let object = row.object.as_ref().and_then(|id| self.objects.get(id));
        object.is_some_and(|object| {
            let path = &object.row.facts.path;
            !denied.iter().any(|scope| path.starts_with(scope))
        })
    }

    /// The sync's rows for which that holds.
    fn rows_where(&self, sync: &SyncId, limit: u32, holds: impl Fn(&Row) -> bool) -> Vec<RowKey> {
        let rows = self.syncs.get(sync).map(|owned| &owned.row.catalogue);
        rows.into_iter()
            .flatten()
            .filter(|(_, row)| holds(row))
            .map(|(key, _)| key.clone())
            .take(at_most(limit))
            .collect()
    }

    /// Counts what the pass found missing.
    pub(crate) fn survey(&self, sync: &SyncId, pass: u64, denied: &[String]) -> Survey {
        let rows = self.syncs.get(sync).map(|owned| &owned.row.catalogue);
        let mut survey = Survey::default();
        for row in rows.into_iter().flat_map(Catalogue::values) {
            if !self.is_open_to(row, denied) {
                continue;
            }
            survey.held += 1;
            if row.missing_pass != Some(pass) {
                continue;
            }
            if row.hidden {
                survey.hidden += 1;
            } else {
                survey.missing += 1;
                survey.agreed += u64::from(row.missing_since.is_some_and(|since| since < pass));
            }
        }
        survey
    }

    /// Marks rows that the pass found missing as found so by a complete pass. How many.
    pub(crate) fn mark_held(&mut self, sync: &SyncId, step: &Hold) -> u64 {
        let found = self.rows_where(sync, step.limit, |row| {
            row.missing_pass == Some(step.pass)
                && row.missing_since.is_none()
                && self.is_open_to(row, &step.denied)
        });
        if let Some(owned) = self.syncs.get_mut(sync) {
            for key in &found {
                if let Some(row) = owned.row.catalogue.get_mut(key) {
                    row.missing_since = Some(step.pass);
                }
            }
        }
        found.len() as u64
    }

    /// Tells people of the deletes that wait. How many do, if that is news.
    pub(crate) fn tell_held(
        &mut self,
        sync: &SyncId,
        pass: u64,
        reason: &str,
        now: Timestamp,
    ) -> Option<u64> {
        let stored = &mut self.syncs.get_mut(sync)?.row;
        let rows = stored.catalogue.values();
        let count = rows.filter(|row| row.missing_since.is_some()).count() as u64;
        let earlier = stored.sync.held_deletes.as_ref();
        let (pass, since) = earlier.map_or((pass, now), |earlier| (earlier.pass, earlier.since));
        let held = HeldDeletes {
            pass,
            count,
            since,
            reason: reason.to_owned(),
        };
        let held = (count > 0).then_some(held);
        let told = mem::replace(&mut stored.sync.held_deletes, held);
        (told != stored.sync.held_deletes).then_some(count)
    }

    /// Lets go of rows that the pass found missing. How many went, and which objects became tombstones.
    pub(crate) fn let_missing_go(
        &mut self,
        organization: &OrganizationId,
        sync: &SyncId,
        step: &LetGo,
        now: Timestamp,
    ) -> (u64, Vec<ObjectChange>) {
        let going = self.rows_where(sync, step.limit, |row| {
            let agreed = row.missing_since.is_some_and(|since| since < step.pass);
            row.missing_pass == Some(step.pass)
                && (row.object.is_none()
                    || !row.hidden
                        && (agreed || !step.only_agreed)
                        && self.is_open_to(row, &step.denied))
        });
        let objects = self.drop_rows(sync, &going);
        (going.len() as u64, self.bury(organization, &objects, now))
    }

    /// Takes rows whose deletes wait out of the catalogue. How many went, and what they held on to.
    pub(crate) fn drop_held(&mut self, sync: &SyncId, limit: u32) -> (u64, Vec<ObjectId>) {
        let going = self.rows_where(sync, limit, |row| row.missing_since.is_some());
        let objects = self.drop_rows(sync, &going);
        (going.len() as u64, objects)
    }

    /// Takes these rows out of the catalogue. What they held on to.
    fn drop_rows(&mut self, sync: &SyncId, going: &[RowKey]) -> Vec<ObjectId> {
        let Some(owned) = self.syncs.get_mut(sync) else {
            return Vec::new();
        };
        let stored = &mut owned.row;
        let gone = going.iter().filter_map(|key| stored.catalogue.remove(key));
        let objects = gone.filter_map(|row| row.object).collect();
        let waiting = |row: &Row| row.missing_since.is_some();
        if !stored.catalogue.values().any(waiting) {
            stored.sync.held_deletes = None;
        }
        objects
    }

    /// Makes tombstones of those that are live and that no sync holds on to. Which they are.
    pub(crate) fn bury(
        &mut self,
        organization: &OrganizationId,
        objects: &[ObjectId],
        now: Timestamp,
    ) -> Vec<ObjectChange> {
        let mut buried = Vec::new();
        for id in objects {
            if self.is_held(id) {
                continue;
            }
            let live = owned_mut(&mut self.objects, organization, id)
                .filter(|object| object.deleted.is_none());
            if let Some(object) = live {
                object.deleted = Some((now, DeletedBy::Source));
                object.updated_at = now;
                buried.push(change(object, ObjectFate::Deleted));
            }
        }
        buried
    }

    /// Whether some sync holds on to the object.
    fn is_held(&self, id: &ObjectId) -> bool {
        // One whose connection is archived never runs again, and holds nothing.
        let mut rows = self
            .syncs
            .values()
            .filter(|owned| owned.row.sync.state != SyncState::ConnectionArchived)
            .flat_map(|owned| owned.row.catalogue.values());
        rows.any(|row| row.object.as_ref() == Some(id))
    }

    /// Lets go of the bytes of tombstones, and of those altogether that vanished at their source. How many.
    pub(crate) fn purge(&mut self, undo: Duration, limit: usize, now: Timestamp) -> u64 {
        let mut due: Vec<(Timestamp, DeletedBy, ObjectId)> = self
            .objects
            .values()
            .filter(|owned| !owned.row.purged)
            .filter_map(|owned| {
                let (at, by) = owned.row.deleted?;
                (at + undo <= now).then(|| (at, by, owned.row.id.clone()))
            })
            .collect();
        due.sort_by(|a, b| (a.0, &a.2).cmp(&(b.0, &b.2)));
        due.truncate(limit);
        for (_, by, id) in &due {
            match by {
                DeletedBy::Person => {
                    if let Some(owned) = self.objects.get_mut(id) {
                        owned.row.purged = true;
                    }
                }
                DeletedBy::Source => self.forget(id),
            }
        }
        due.len() as u64
    }

    /// Removes an object with the rows that point at it.
    fn forget(&mut self, id: &ObjectId) {
        let Some(owned) = self.objects.remove(id) else {
            return;
        };
        self.sources.remove(&(owned.row.bucket, owned.row.source));
        for owned in self.syncs.values_mut() {
            let catalogue = &mut owned.row.catalogue;
            catalogue.retain(|_, row| row.object.as_ref() != Some(id));
        }
    }
}
