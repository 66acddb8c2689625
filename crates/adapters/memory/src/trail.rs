//! The audit chains, and what is stored together with their rows: announcements, and effects on claims.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wharf_domain::Timestamp;
use wharf_domain::audit::{AuditHash, AuditRow, AuditSettings, ChainHead, NewAuditRow, link_bytes};
use wharf_domain::event::{EventCursor, ObjectChange, OutboxEntry, announce};
use wharf_domain::idempotency::Claim;
use wharf_domain::ids::{BucketId, OrganizationId};
use wharf_ports::{AuditSeal, RepositoryError};

use crate::idempotency::StoredClaim;

/// The seal of a database that was opened without one: its key is no secret, like everything else in memory.
struct OpenSeal;

impl AuditSeal for OpenSeal {
    fn link(&self, bytes: &[u8]) -> AuditHash {
        let keyed = Sha256::new()
            .chain_update(b"wharf memory audit")
            .chain_update(bytes);
        AuditHash(keyed.finalize().into())
    }
}

/// The audit rows of all organizations, with what goes along with them.
pub(crate) struct Trail {
    seal: Arc<dyn AuditSeal>,
    /// In the order in which they were stored.
    pub(crate) rows: Vec<AuditRow>,
    pub(crate) heads: BTreeMap<OrganizationId, ChainHead>,
    pub(crate) settings: BTreeMap<OrganizationId, AuditSettings>,
    /// By organization and place.
    pub(crate) outbox: BTreeMap<(OrganizationId, u64), OutboxEntry>,
    /// The newest entry that was removed from the outbox.
    pub(crate) pruned: BTreeMap<OrganizationId, u64>,
    pub(crate) claims: BTreeMap<(OrganizationId, String), StoredClaim>,
}

impl Default for Trail {
    fn default() -> Self {
        Self::sealed_by(Arc::new(OpenSeal))
    }
}

impl Trail {
    pub(crate) fn sealed_by(seal: Arc<dyn AuditSeal>) -> Self {
        Self {
            seal,
            rows: Vec::new(),
            heads: BTreeMap::new(),
            settings: BTreeMap::new(),
            outbox: BTreeMap::new(),
            pruned: BTreeMap::new(),
            claims: BTreeMap::new(),
        }
    }

    /// Refuses a claim that a later attempt has taken over.
    pub(crate) fn check(
        &self,
        organization: &OrganizationId,
        claim: &Claim,
    ) -> Result<(), RepositoryError> {
        let stored = self.claims.get(&(organization.clone(), claim.id.clone()));
        match stored.filter(|stored| stored.attempt == claim.attempt) {
            Some(_) => Ok(()),
            None => Err(RepositoryError::ClaimLost),
        }
    }

    /// Stores an audit row.
    pub(crate) fn record(
        &mut self,
        organization: &OrganizationId,
        at: Timestamp,
        row: NewAuditRow,
    ) {
        self.store(organization, at, row, None, Vec::new());
    }

    /// Stores the audit row of a step that changes objects of a bucket.
    pub(crate) fn record_objects(
        &mut self,
        organization: &OrganizationId,
        at: Timestamp,
        row: NewAuditRow,
        bucket: &BucketId,
        objects: Vec<ObjectChange>,
    ) {
        self.store(organization, at, row, Some(bucket), objects);
    }

    fn store(
        &mut self,
        organization: &OrganizationId,
        at: Timestamp,
        mut row: NewAuditRow,
        bucket: Option<&BucketId>,
        objects: Vec<ObjectChange>,
    ) {
        let before = self.head(organization);
        let head = ChainHead {
            position: before.position + 1,
            hash: self.seal.link(&link_bytes(organization, &before, at, &row)),
        };
        self.heads.insert(organization.clone(), head);
        if let Some(claim) = row.origin.claim.take() {
            self.note_effect(organization, claim, &row);
        }
        if let Some(announcement) = announce(&row, bucket, objects) {
            let entry = OutboxEntry {
                organization: organization.clone(),
                audit: row.id.clone(),
                head,
                at,
                resource_type: row.resource_type,
                resource_id: row.resource_id.clone(),
                announcement,
            };
            self.outbox
                .insert((organization.clone(), head.position), entry);
        }
        self.rows.push(AuditRow {
            organization: organization.clone(),
            at,
            link: head,
            row,
        });
    }

    /// The first row of a request tells what it was done to.
    fn note_effect(&mut self, organization: &OrganizationId, claim: Claim, row: &NewAuditRow) {
        let stored = self.claims.get_mut(&(organization.clone(), claim.id));
        if let Some(stored) = stored {
            let effect = (row.resource_type, row.resource_id.clone());
            stored.effect.get_or_insert(effect);
        }
    }

    pub(crate) fn head(&self, organization: &OrganizationId) -> ChainHead {
        let head = self.heads.get(organization);
        head.copied().unwrap_or(ChainHead::EMPTY)
    }

    /// Where a subscriber must stand at least that has missed nothing.
    pub(crate) fn pruned(&self, organization: &OrganizationId) -> EventCursor {
        EventCursor::past(self.pruned.get(organization).copied().unwrap_or(0))
    }

    /// The organization's entries from this place on, oldest first.
    pub(crate) fn entries_from<'a>(
        &'a self,
        organization: &'a OrganizationId,
        position: u64,
    ) -> impl DoubleEndedIterator<Item = &'a OutboxEntry> {
        let (first, last) = (position, u64::MAX);
        let range = (organization.clone(), first)..=(organization.clone(), last);
        self.outbox.range(range).map(|(_, entry)| entry)
    }

    /// The entries with events that a subscriber at this cursor has not got yet, oldest first.
    pub(crate) fn entries_behind<'a>(
        &'a self,
        organization: &'a OrganizationId,
        cursor: EventCursor,
    ) -> impl Iterator<Item = &'a OutboxEntry> {
        self.entries_from(organization, cursor.position)
            .filter(move |entry| !entry.events_after(cursor).is_empty())
    }
}
