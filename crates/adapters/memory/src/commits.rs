//! What one step of a run publishes, marks and remembers.

use std::collections::BTreeMap;
use std::mem;

use wharf_domain::Timestamp;
use wharf_domain::event::{ObjectChange, ObjectFate};
use wharf_domain::ids::{JobId, ObjectId, OrganizationId};
use wharf_domain::job::Counters;
use wharf_domain::object::{Object, SourceId};
use wharf_domain::provider::Provider;
use wharf_domain::run::catalogue::LeftOutVersion;
use wharf_domain::run::commit::{Commit, Put};
use wharf_domain::sync::Sync;

use crate::catalogue::{Row, key, pass_over};
use crate::objects::change;
use crate::state::{Owned, State};
use crate::store::stored_time;

/// What became of the puts of a step.
pub(crate) struct Published {
    /// Objects that have arrived, in the order of their sources.
    pub(crate) arrived: Vec<ObjectChange>,
    /// Puts that were passed over.
    pub(crate) passed_over: u64,
    /// What the step counts, with those in mind.
    pub(crate) counters: Counters,
}

impl State {
    /// Stores all of a step but its counters, checkpoint and phase.
    pub(crate) fn publish(
        &mut self,
        organization: &OrganizationId,
        sync: &Sync,
        job: &JobId,
        commit: &Commit,
        now: Timestamp,
    ) -> Published {
        // A source that is put twice in one step is published once, as the last put has it.
        let puts: BTreeMap<&SourceId, &Put> =
            commit.puts.iter().map(|put| (&put.source, put)).collect();
        let state_of = |put: &Put| {
            let current = self.source_object(&sync.bucket, &put.source);
            current.map(|object| (&object.content.blob, object.deleted.map(|(_, by)| by)))
        };
        let (published, passed_over): (Vec<&Put>, Vec<&Put>) = puts
            .into_values()
            .partition(|put| put.is_as_planned(state_of(put)));
        let mut arrived = Vec::new();
        for put in &published {
            let stored = self.store_object(organization, sync, job, put, now);
            let id = stored.object_id.clone();
            let lineage = Some(&put.lineage);
            self.hold_on(sync, commit.pass, &put.source, id, lineage, now);
            arrived.push(stored);
        }
        for put in &passed_over {
            self.adopt(sync, commit.pass, &put.source, Some(&put.lineage), now);
        }
        let provider = self.connections.get(&sync.connection);
        if let Some(provider) = provider.map(|connection| connection.config.provider()) {
            self.adopt_all(sync, provider, commit, now);
        }
        for left_out in &commit.left_out {
            self.resolve(&sync.id, &left_out.object, now);
        }
        for failed in &commit.failed {
            self.fail(organization, sync, job, failed, now);
        }
        self.relocate(sync, commit, now);
        self.mark(sync, commit);
        Published {
            arrived,
            passed_over: passed_over.len() as u64,
            counters: commit.counters_without(&passed_over),
        }
    }

    /// Inserts or replaces an object by its source identity.
    fn store_object(
        &mut self,
        organization: &OrganizationId,
        sync: &Sync,
        job: &JobId,
        put: &Put,
        now: Timestamp,
    ) -> ObjectChange {
        let known = self.source_object(&sync.bucket, &put.source);
        // For whoever is told, a tombstone that comes back to life by a run arrives anew.
        let fate = match known.filter(|object| object.deleted.is_none()) {
            Some(_) => ObjectFate::Updated,
            None => ObjectFate::Created,
        };
        let (id, created_at) = known.map_or((put.new_id.clone(), now), |object| {
            (object.id.clone(), object.created_at)
        });
        let mut facts = put.facts.clone();
        facts.modified_at = facts.modified_at.map(stored_time);
        let row = Object {
            id: id.clone(),
            bucket: sync.bucket.clone(),
            namespace: sync.namespace.clone(),
            source: put.source.clone(),
            facts,
            content: put.content.clone(),
            mapped: put.mapped.clone(),
            copied_by: Some((sync.id.clone(), job.clone())),
            deleted: None,
            purged: false,
            created_at,
            updated_at: now,
        };
        let stored = change(&row, fate);
        self.sources
            .insert((sync.bucket.clone(), row.source.clone()), id.clone());
        self.objects.insert(
            id,
            Owned {
                organization: organization.clone(),
                row,
            },
        );
        stored
    }

    fn adopt_all(&mut self, sync: &Sync, provider: Provider, commit: &Commit, now: Timestamp) {
        for object in &commit.adopted {
            let source = SourceId {
                provider,
                authority: commit.authority.clone(),
                object: object.clone(),
            };
            self.adopt(sync, commit.pass, &source, None, now);
        }
    }

    /// Makes the sync hold on to the bucket's object of a source, if there is one.
    fn adopt(
        &mut self,
        sync: &Sync,
        pass: u64,
        source: &SourceId,
        lineage: Option<&String>,
        now: Timestamp,
    ) {
        if let Some(object) = self.source_object(&sync.bucket, source) {
            let id = object.id.clone();
            self.hold_on(sync, pass, source, id, lineage, now);
        }
    }

    /// Points the sync's row of a source at an object. Without a lineage, that of the row stays.
    fn hold_on(
        &mut self,
        sync: &Sync,
        pass: u64,
        source: &SourceId,
        id: ObjectId,
        lineage: Option<&String>,
        now: Timestamp,
    ) {
        self.resolve(&sync.id, &source.object, now);
        if let Some(owned) = self.syncs.get_mut(&sync.id) {
            let key = key(&source.authority, &source.object);
            let row = owned.row.catalogue.entry(key).or_default();
            let known = mem::take(&mut row.lineage);
            *row = Row {
                object: Some(id),
                seen_pass: pass,
                lineage: lineage.cloned().unwrap_or(known),
                ..Row::default()
            };
        }
    }

    /// Notes where files lie now, in their rows and objects.
    fn relocate(&mut self, sync: &Sync, commit: &Commit, now: Timestamp) {
        let Some(owned) = self.syncs.get_mut(&sync.id) else {
            return;
        };
        for moved in &commit.moved {
            let key = key(&commit.authority, &moved.object);
            let row = owned.row.catalogue.get_mut(&key);
            let Some((row, id)) = row.and_then(|row| row.object.clone().map(|id| (row, id))) else {
                continue;
            };
            row.lineage.clone_from(&moved.lineage);
            if let (Some(object), Some(path)) = (self.objects.get_mut(&id), &moved.path) {
                object.row.facts.path.clone_from(path);
                object.row.updated_at = now;
            }
        }
    }

    /// Writes what a step says about the rows of the catalogue beside the objects that they point at.
    fn mark(&mut self, sync: &Sync, commit: &Commit) {
        let Some(owned) = self.syncs.get_mut(&sync.id) else {
            return;
        };
        let rows = &mut owned.row.catalogue;
        let row_of = |object: &String| key(&commit.authority, object);
        for left_out in &commit.left_out {
            let row = rows.entry(row_of(&left_out.object)).or_default();
            row.seen_pass = commit.pass;
            row.left_out = Some(LeftOutVersion {
                version: left_out.version.clone(),
                rule: left_out.rule.clone(),
            });
        }
        for object in &commit.returned {
            if let Some(row) = rows.get_mut(&row_of(object)) {
                row.see();
            }
        }
        for object in &commit.seen {
            if let Some(row) = rows.get_mut(&row_of(object)) {
                row.seen_pass = commit.pass;
                row.see();
            }
        }
        for object in &commit.drifted {
            if let Some(row) = rows.get_mut(&row_of(object)) {
                row.missing_pass = Some(commit.pass);
                row.seen_pass = commit.pass;
                row.hidden = false;
            }
        }
        for object in &commit.hidden {
            let missing = rows.get_mut(&row_of(object));
            if let Some(row) = missing.filter(|row| row.missing_pass.is_some()) {
                row.hidden = true;
            }
        }
        if let Some(vanished) = &commit.vanished {
            pass_over(rows, &commit.authority, vanished, commit.pass);
        }
    }
}
