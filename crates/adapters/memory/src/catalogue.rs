//! The catalogue: what a sync knows of its source.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::dead_letter::HEALING_PAUSE;
use wharf_domain::ids::{ObjectId, OrganizationId, SyncId};
use wharf_domain::object::{Object, SourceId};
use wharf_domain::run::catalogue::{
    CopyFacts, Known, KnownCopy, KnownDeadLetter, LeftOutVersion, Recall, Recalled, Span,
};
use wharf_domain::run::commit::Vanished;
use wharf_domain::run::deletes::RowKey;
use wharf_ports::{CatalogueRepository, RepositoryError};

use crate::MemoryStore;
use crate::state::{State, owned};

/// The rows of one sync, in the order of their keys' bytes.
pub(crate) type Catalogue = BTreeMap<RowKey, Row>;

/// What a sync knows of one source object.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// The object that the sync holds on to.
    pub(crate) object: Option<ObjectId>,
    /// The version that it left out.
    pub(crate) left_out: Option<LeftOutVersion>,
    /// The pass that wrote or marked it last.
    pub(crate) seen_pass: u64,
    /// The last pass that found it missing.
    pub(crate) missing_pass: Option<u64>,
    /// The first complete pass that did, with no sighting since.
    pub(crate) missing_since: Option<u64>,
    /// Whether it may only be hidden from us.
    pub(crate) hidden: bool,
    /// The folders that it lies in.
    pub(crate) lineage: String,
}

impl Row {
    /// It is there: whatever said that it is missing is over.
    pub(crate) fn see(&mut self) {
        self.missing_pass = None;
        self.missing_since = None;
        self.hidden = false;
    }
}

pub(crate) fn key(authority: &str, object: &str) -> RowKey {
    RowKey {
        authority: authority.to_owned(),
        object: object.to_owned(),
    }
}

/// Where a stretch of an authority's rows begins.
fn beginning(authority: &str, span: &Span) -> Bound<RowKey> {
    let after = span.after.as_deref().map(|after| key(authority, after));
    after.map_or(Bound::Included(key(authority, "")), Bound::Excluded)
}

/// Whether a row from the beginning of the stretch on still belongs to it.
fn belongs(key: &RowKey, authority: &str, span: &Span) -> bool {
    let through = span.through.as_deref();
    key.authority == authority && through.is_none_or(|through| key.object.as_str() <= through)
}

/// Marks the rows that a sorted listing passed over.
pub(crate) fn pass_over(rows: &mut Catalogue, authority: &str, vanished: &Vanished, pass: u64) {
    let listed: HashSet<&str> = vanished.listed.iter().map(String::as_str).collect();
    let from = (beginning(authority, &vanished.span), Bound::Unbounded);
    let stretch = rows
        .range_mut(from)
        .take_while(|(key, _)| belongs(key, authority, &vanished.span));
    for (key, row) in stretch {
        if !listed.contains(key.object.as_str()) {
            row.missing_pass = Some(pass);
        }
    }
}

pub(crate) fn copy_of(object: &Object) -> KnownCopy {
    KnownCopy {
        id: object.id.clone(),
        version: object.facts.version.clone(),
        path: object.facts.path.clone(),
        blob: object.content.blob.clone(),
        deleted: object.deleted.map(|(_, by)| by),
        copied_by: object.copied_by.as_ref().map(|(sync, _)| sync.clone()),
        facts: None,
    }
}

fn facts_of(object: &Object) -> CopyFacts {
    CopyFacts {
        content_type: object.content.content_type.clone(),
        metadata: object.facts.metadata.clone(),
        tags: object.facts.tags.clone(),
    }
}

impl State {
    fn known_dead_letter(
        &self,
        sync: &SyncId,
        object: &str,
        now: Timestamp,
    ) -> Option<KnownDeadLetter> {
        let letter = self.open_dead_letter(sync, object)?;
        Some(KnownDeadLetter {
            id: letter.id.clone(),
            version: letter.version.clone(),
            error_type: letter.error_type.clone(),
            tries: letter.tries,
            exhausted: letter.exhausted,
            healing_due: letter.exhausted && letter.last_tried_at() + HEALING_PAUSE <= now,
        })
    }
}

#[async_trait]
impl CatalogueRepository for MemoryStore {
    async fn recall(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        pass: u64,
        recall: &Recall,
    ) -> Result<Recalled, RepositoryError> {
        let (state, now) = self.open();
        let Some(stored) = owned(&state.syncs, organization, sync) else {
            return Ok(Recalled::default());
        };
        let known = recall.listed.iter().filter_map(|object| {
            let source = SourceId {
                provider: recall.provider,
                authority: recall.authority.clone(),
                object: object.clone(),
            };
            let row = stored.catalogue.get(&key(&recall.authority, object));
            let copy = state.source_object(&stored.sync.bucket, &source);
            let dead_letter = state.known_dead_letter(sync, object, now);
            if row.is_none() && copy.is_none() && dead_letter.is_none() {
                return None;
            }
            let held = row.and_then(|row| row.object.as_ref());
            Some(Known {
                object: object.clone(),
                held: held.is_some() && held == copy.map(|object| &object.id),
                copy: copy.map(|object| KnownCopy {
                    facts: recall.facts.then(|| Box::new(facts_of(object))),
                    ..copy_of(object)
                }),
                left_out: row.and_then(|row| row.left_out.clone()),
                dead_letter,
                missing: row.is_some_and(|row| row.missing_pass.is_some()),
                lineage: row.map(|row| row.lineage.clone()).unwrap_or_default(),
            })
        });
        let known = known.collect();
        let listed: HashSet<&str> = recall.listed.iter().map(String::as_str).collect();
        let vanished = recall.span.as_ref().map_or(0, |span| {
            let from = (beginning(&recall.authority, span), Bound::Unbounded);
            let stretch = stored
                .catalogue
                .range(from)
                .take_while(|(key, _)| belongs(key, &recall.authority, span));
            let gone = stretch.filter(|(key, row)| {
                !listed.contains(key.object.as_str()) && row.missing_pass != Some(pass)
            });
            gone.count() as u64
        });
        Ok(Recalled { known, vanished })
    }
}
