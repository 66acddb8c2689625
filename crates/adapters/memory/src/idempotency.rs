//! Claims of requests.

use std::time::Duration;

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::audit::ResourceType;
use wharf_domain::idempotency::{Claim, Claimed, StoredAnswer};
use wharf_domain::ids::OrganizationId;
use wharf_ports::{IdempotencyRepository, RepositoryError};

use crate::MemoryStore;
use crate::trail::Trail;

/// What is known of a key.
pub(crate) struct StoredClaim {
    fingerprint: String,
    /// Never falls while the row is there: an earlier attempt must not pass for a later one.
    pub(crate) attempt: u64,
    pub(crate) claimed_at: Timestamp,
    /// Whoever claimed it last has given it up.
    released: bool,
    pub(crate) effect: Option<(ResourceType, String)>,
    answer: Option<StoredAnswer>,
}

impl StoredClaim {
    /// What a request with this fingerprint finds; `None` if it may go on.
    fn seen_by(&self, fingerprint: &str, patience: Duration, now: Timestamp) -> Option<Claimed> {
        if self.fingerprint != fingerprint {
            return Some(Claimed::OtherRequest);
        }
        if let Some(answer) = &self.answer {
            return Some(Claimed::Answered(answer.clone()));
        }
        if let Some((resource_type, resource_id)) = &self.effect {
            return Some(Claimed::TookEffect {
                resource_type: *resource_type,
                resource_id: resource_id.clone(),
            });
        }
        (self.claimed_at + patience > now).then_some(Claimed::Running)
    }
}

impl Trail {
    /// The row of a claim that is still the newest attempt.
    fn newest(&mut self, organization: &OrganizationId, claim: &Claim) -> Option<&mut StoredClaim> {
        let stored = self
            .claims
            .get_mut(&(organization.clone(), claim.id.clone()));
        stored.filter(|stored| stored.attempt == claim.attempt)
    }
}

#[async_trait]
impl IdempotencyRepository for MemoryStore {
    async fn claim(
        &self,
        organization: &OrganizationId,
        id: &str,
        fingerprint: &str,
        patience: Duration,
        keep: Duration,
    ) -> Result<Claimed, RepositoryError> {
        let (mut state, now) = self.open();
        let key = (organization.clone(), id.to_owned());
        let stored = state.trail.claims.get(&key);
        let standing = stored.filter(|stored| !stored.released && stored.claimed_at + keep > now);
        if let Some(found) = standing.and_then(|row| row.seen_by(fingerprint, patience, now)) {
            return Ok(found);
        }
        let attempt = stored.map_or(0, |stored| stored.attempt) + 1;
        let row = StoredClaim {
            fingerprint: fingerprint.to_owned(),
            attempt,
            claimed_at: now,
            released: false,
            effect: None,
            answer: None,
        };
        state.trail.claims.insert(key, row);
        Ok(Claimed::Granted(Claim {
            id: id.to_owned(),
            attempt,
        }))
    }

    async fn answer(
        &self,
        organization: &OrganizationId,
        claim: &Claim,
        answer: StoredAnswer,
    ) -> Result<(), RepositoryError> {
        let (mut state, _) = self.open();
        if let Some(stored) = state.trail.newest(organization, claim) {
            stored.answer = Some(answer);
        }
        Ok(())
    }

    async fn release(
        &self,
        organization: &OrganizationId,
        claim: &Claim,
    ) -> Result<(), RepositoryError> {
        let (mut state, _) = self.open();
        if let Some(stored) = state.trail.newest(organization, claim) {
            stored.released = stored.effect.is_none() && stored.answer.is_none();
        }
        Ok(())
    }
}
