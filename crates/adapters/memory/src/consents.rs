//! Consents under way.

use std::time::Duration;

use async_trait::async_trait;
use wharf_ports::{ConsentError, ConsentRepository, MOST_CONSENTS, StoredConsent};

use crate::MemoryStore;
use crate::state::at_most;

#[async_trait]
impl ConsentRepository for MemoryStore {
    async fn begin(
        &self,
        consent: StoredConsent,
        ttl: Duration,
    ) -> Result<StoredConsent, ConsentError> {
        let (mut state, now) = self.open();
        let of_organization = |other: &StoredConsent| other.organization == consent.organization;
        state
            .consents
            .retain(|_, other| !of_organization(other) || other.expires_at > now);
        let under_way = state.consents.values().filter(|it| of_organization(it));
        if under_way.count() >= at_most(MOST_CONSENTS) {
            return Err(ConsentError::TooMany);
        }
        let consent = StoredConsent {
            expires_at: now + ttl,
            ..consent
        };
        state
            .consents
            .insert(consent.state_sha256.clone(), consent.clone());
        Ok(consent)
    }
}
