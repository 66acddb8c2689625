//! Whom an API key stands for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use subtle::ConstantTimeEq;
use tokio::time::Instant;
use wharf_domain::access::{ApiKeyHash, Principal};
use wharf_domain::ids::ApiKeyId;

use crate::{Engine, EngineError};

/// How long the use of a key is not noted again.
const NOTE_EVERY: Duration = Duration::from_mins(1);
/// From how many keys on those are forgotten whose use may be noted again.
const MANY: usize = 1024;

/// When this process last noted that keys were used.
#[derive(Debug, Default)]
pub(crate) struct KeyUses(Mutex<HashMap<ApiKeyId, Instant>>);

impl KeyUses {
    /// Whether a use at this moment is worth noting; it counts as noted then.
    fn worth_noting(&self, key: &ApiKeyId, now: Instant) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |at: &Instant| now.duration_since(*at) < NOTE_EVERY;
        if noted.get(key).is_some_and(recent) {
            return false;
        }
        if noted.len() >= MANY {
            noted.retain(|_, at| recent(at));
        }
        noted.insert(key.clone(), now);
        true
    }
}

impl Engine {
    /// Who an API key stands for. What the key allows is no more than its user's role does now.
    ///
    /// # Errors
    /// `Unauthenticated` for a key that is unknown, expired or revoked, or whose user may not act.
    pub async fn authenticate(&self, api_key: &str) -> Result<Principal, EngineError> {
        let hash = ApiKeyHash(self.parts.key_ring.hash_api_key(api_key.as_bytes()).await?);
        let found = self.repositories().across.find_api_key(&hash).await?;
        let credential = found
            // The database's comparison may take as long as the hashes are alike; this one does not.
            .filter(|found| bool::from(found.hash.0.ct_eq(&hash.0)))
            .filter(|found| found.valid)
            .ok_or(EngineError::Unauthenticated)?;
        let mut principal = credential.principal;
        principal.grant = principal.grant.under(credential.role.ceiling());
        self.note_use(&principal);
        Ok(principal)
    }

    /// Notes that a key was used, now and then, and beside the request.
    fn note_use(&self, principal: &Principal) {
        if !self.key_uses.worth_noting(&principal.key, Instant::now()) {
            return;
        }
        let access = self.repositories().access.clone();
        let (organization, key) = (principal.organization.clone(), principal.key.clone());
        tokio::spawn(async move {
            if let Err(error) = access.note_key_used(&organization, &key).await {
                tracing::debug!(%key, %error, "the use of an API key was not noted");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> ApiKeyId {
        format!("key_{number:016x}").parse().expect("well formed")
    }

    #[test]
    fn a_use_is_noted_once_a_minute_and_what_is_old_is_forgotten() {
        let uses = KeyUses::default();
        let start = Instant::now();
        assert!(uses.worth_noting(&key(0), start));
        assert!(!uses.worth_noting(&key(0), start + NOTE_EVERY / 2));
        assert!(uses.worth_noting(&key(1), start + NOTE_EVERY / 2));
        assert!(uses.worth_noting(&key(0), start + NOTE_EVERY));
        for number in 0..2 * MANY {
            let at = start + NOTE_EVERY * u32::try_from(number).expect("small");
            uses.worth_noting(&key(number), at);
        }
        let remembered = uses.0.lock().expect("nobody panicked").len();
        assert!(remembered <= MANY, "{remembered}");
    }
}
