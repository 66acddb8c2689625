//! Organization keys: created on first use, opened by the key ring, kept in memory for a short while.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wharf_domain::ids::OrganizationId;
use wharf_domain::secret::SecretKey;
use wharf_ports::{
    IdSource, KeyContext, KeyRing, KeyRingError, OrganizationKey, OrganizationKeyRepository,
    RepositoryError,
};
use zeroize::Zeroizing;

use crate::format::KEY;

/// How long an opened key is used before the key ring is asked again. An outage of the key ring shorter than this goes
/// unnoticed where the key was in use; a key ring that was taken away works on no longer than this.
const KEPT_FOR: Duration = Duration::from_mins(10);
const KEPT_AT_MOST: usize = 10_000;

/// Why an organization key could not be had.
#[derive(Debug)]
pub(crate) enum KeyError {
    KeyRing(KeyRingError),
    Repository(RepositoryError),
}

impl From<KeyRingError> for KeyError {
    fn from(error: KeyRingError) -> Self {
        Self::KeyRing(error)
    }
}

impl From<RepositoryError> for KeyError {
    fn from(error: RepositoryError) -> Self {
        Self::Repository(error)
    }
}

/// An organization key, ready for use.
pub(crate) struct OpenedKey {
    pub(crate) version: u32,
    pub(crate) key: Arc<SecretKey>,
}

pub(crate) struct OrganizationKeys {
    key_ring: Arc<dyn KeyRing>,
    repository: Arc<dyn OrganizationKeyRepository>,
    ids: Arc<dyn IdSource>,
    kept: Mutex<KeptKeys>,
}

impl OrganizationKeys {
    pub(crate) fn new(
        key_ring: Arc<dyn KeyRing>,
        repository: Arc<dyn OrganizationKeyRepository>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self {
            key_ring,
            repository,
            ids,
            kept: Mutex::default(),
        }
    }

    /// The key that seals now, made if there is none yet; `None` when the organization is unknown.
    pub(crate) async fn newest(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<OpenedKey>, KeyError> {
        let stored = match self.repository.newest(organization).await? {
            Some(stored) => Some(stored),
            None => self.create(organization).await?,
        };
        match stored {
            Some(stored) => Ok(Some(self.opened(organization, stored).await?)),
            None => Ok(None),
        }
    }

    /// The key of this version, if there is one.
    pub(crate) async fn find(
        &self,
        organization: &OrganizationId,
        version: u32,
    ) -> Result<Option<OpenedKey>, KeyError> {
        if let Some(key) = self
            .kept()
            .get(&(organization.clone(), version), Instant::now())
        {
            return Ok(Some(OpenedKey { version, key }));
        }
        match self.repository.find(organization, version).await? {
            Some(stored) => Ok(Some(self.opened(organization, stored).await?)),
            None => Ok(None),
        }
    }

    /// Stores a first key. Of several callers at once one wins, and all use what it stored.
    async fn create(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<OrganizationKey>, KeyError> {
        let mut bytes = Zeroizing::new([0; KEY]);
        self.ids.fill(bytes.as_mut_slice());
        let context = KeyContext {
            organization: organization.clone(),
            version: 1,
        };
        let wrapped = self
            .key_ring
            .wrap(&context, &SecretKey::new(*bytes))
            .await?;
        Ok(self
            .repository
            .insert_if_absent(
                organization,
                OrganizationKey {
                    version: 1,
                    wrapped,
                },
            )
            .await?)
    }

    async fn opened(
        &self,
        organization: &OrganizationId,
        stored: OrganizationKey,
    ) -> Result<OpenedKey, KeyError> {
        let version = stored.version;
        let slot = (organization.clone(), version);
        let kept = self.kept().get(&slot, Instant::now());
        let key = if let Some(key) = kept {
            key
        } else {
            let context = KeyContext {
                organization: organization.clone(),
                version,
            };
            let key = Arc::new(self.key_ring.unwrap(&context, &stored.wrapped).await?);
            self.kept().insert(slot, Arc::clone(&key), Instant::now());
            key
        };
        Ok(OpenedKey { version, key })
    }

    fn kept(&self) -> MutexGuard<'_, KeptKeys> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Slot = (OrganizationId, u32);

/// Opened keys, oldest first. All are kept for the same time, so that they end in the order in which they came; every
/// access forgets those that have ended, and a forgotten key is wiped.
#[derive(Default)]
struct KeptKeys {
    keys: HashMap<Slot, Arc<SecretKey>>,
    ends: VecDeque<(Instant, Slot)>,
}

impl KeptKeys {
    fn get(&mut self, slot: &Slot, now: Instant) -> Option<Arc<SecretKey>> {
        self.forget_ended(now);
        self.keys.get(slot).cloned()
    }

    fn insert(&mut self, slot: Slot, key: Arc<SecretKey>, now: Instant) {
        self.forget_ended(now);
        if self.keys.contains_key(&slot) {
            return;
        }
        if self.keys.len() >= KEPT_AT_MOST {
            self.forget_oldest();
        }
        self.ends.push_back((now + KEPT_FOR, slot.clone()));
        self.keys.insert(slot, key);
    }

    fn forget_ended(&mut self, now: Instant) {
        while self.ends.front().is_some_and(|(end, _)| *end <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, slot)) = self.ends.pop_front() {
            self.keys.remove(&slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(number: usize) -> Slot {
        (format!("int_{number:024}").parse().unwrap(), 1)
    }

    fn key(byte: u8) -> Arc<SecretKey> {
        Arc::new(SecretKey::new([byte; KEY]))
    }

    #[test]
    fn a_key_is_kept_for_ten_minutes_and_no_longer() {
        let (mut kept, start) = (KeptKeys::default(), Instant::now());
        kept.insert(slot(1), key(1), start);
        let later = start + Duration::from_secs(599);
        assert!(kept.get(&slot(1), later).is_some());
        kept.insert(slot(1), key(1), later);
        assert!(
            kept.get(&slot(1), start + Duration::from_mins(10))
                .is_none(),
            "using it again must not prolong it"
        );
        assert!(kept.keys.is_empty() && kept.ends.is_empty());
    }

    #[test]
    fn the_oldest_key_makes_room_for_a_new_one() {
        let (mut kept, start) = (KeptKeys::default(), Instant::now());
        for number in 0..=KEPT_AT_MOST {
            kept.insert(slot(number), key(1), start);
        }
        assert_eq!(
            (kept.keys.len(), kept.ends.len()),
            (KEPT_AT_MOST, KEPT_AT_MOST)
        );
        assert!(kept.get(&slot(0), start).is_none());
        assert!(
            kept.get(&slot(1), start).is_some() && kept.get(&slot(KEPT_AT_MOST), start).is_some()
        );
    }

    #[test]
    fn a_forgotten_key_has_no_holder_left() {
        let (mut kept, start) = (KeptKeys::default(), Instant::now());
        let key = key(1);
        kept.insert(slot(1), Arc::clone(&key), start);
        kept.forget_ended(start + KEPT_FOR);
        assert_eq!(Arc::strong_count(&key), 1);
    }
}
