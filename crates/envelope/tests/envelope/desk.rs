//! A key ring and a repository in memory, and bindings to seal under.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use wharf_domain::ids::{Alphabet, OrganizationId};
use wharf_domain::provider::{Audience, CredentialType, Provider, ProviderConfig};
use wharf_domain::secret::{SecretBytes, SecretKey};
use wharf_envelope::{Binding, Envelope};
use wharf_ports::{
    IdSource, KeyContext, KeyRing, KeyRingError, OrganizationKey, OrganizationKeyRepository,
    RepositoryError, WrappedKey,
};

/// "Wraps" by writing the context before the key.
#[derive(Default)]
pub(crate) struct OpenRing {
    pub(crate) unwraps: AtomicUsize,
    pub(crate) down: AtomicBool,
}

impl OpenRing {
    fn available(&self) -> Result<(), KeyRingError> {
        if self.down.load(Ordering::SeqCst) {
            Err(KeyRingError::Unavailable("down".into()))
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl KeyRing for OpenRing {
    async fn wrap(
        &self,
        context: &KeyContext,
        key: &SecretKey,
    ) -> Result<WrappedKey, KeyRingError> {
        self.available()?;
        let head = format!("{}:{}:", context.organization, context.version);
        Ok(WrappedKey {
            ring_key: "k1".into(),
            bytes: [head.as_bytes(), key.expose()].concat(),
        })
    }

    async fn unwrap(
        &self,
        context: &KeyContext,
        wrapped: &WrappedKey,
    ) -> Result<SecretKey, KeyRingError> {
        self.available()?;
        self.unwraps.fetch_add(1, Ordering::SeqCst);
        let head = format!("{}:{}:", context.organization, context.version);
        let key = wrapped
            .bytes
            .strip_prefix(head.as_bytes())
            .and_then(|key| key.try_into().ok());
        key.map(SecretKey::new).ok_or(KeyRingError::Refused)
    }

    async fn hash_api_key(&self, _: &[u8]) -> Result<[u8; 32], KeyRingError> {
        Err(KeyRingError::Refused)
    }

    async fn hash_request(&self, _: &[&[u8]]) -> Result<[u8; 32], KeyRingError> {
        Err(KeyRingError::Refused)
    }

    async fn check(&self) -> Result<(), KeyRingError> {
        self.available()
    }
}

/// Keeps the keys of the organizations it knows.
#[derive(Default)]
pub(crate) struct Keys {
    pub(crate) known: Vec<OrganizationId>,
    pub(crate) stored: Mutex<HashMap<(OrganizationId, u32), OrganizationKey>>,
    pub(crate) down: AtomicBool,
}

impl Keys {
    fn available(&self) -> Result<(), RepositoryError> {
        if self.down.load(Ordering::SeqCst) {
            Err(RepositoryError::Unavailable("down".into()))
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl OrganizationKeyRepository for Keys {
    async fn newest(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<OrganizationKey>, RepositoryError> {
        self.available()?;
        let stored = self.stored.lock().unwrap();
        let own = stored
            .iter()
            .filter(|((owner, _), _)| owner == organization);
        Ok(own
            .max_by_key(|((_, version), _)| *version)
            .map(|(_, key)| key.clone()))
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        version: u32,
    ) -> Result<Option<OrganizationKey>, RepositoryError> {
        self.available()?;
        Ok(self
            .stored
            .lock()
            .unwrap()
            .get(&(organization.clone(), version))
            .cloned())
    }

    async fn insert_if_absent(
        &self,
        organization: &OrganizationId,
        key: OrganizationKey,
    ) -> Result<Option<OrganizationKey>, RepositoryError> {
        self.available()?;
        if !self.known.contains(organization) {
            return Ok(None);
        }
        let mut stored = self.stored.lock().unwrap();
        Ok(Some(
            stored
                .entry((organization.clone(), key.version))
                .or_insert(key)
                .clone(),
        ))
    }
}

/// Fills each buffer with bytes that no other buffer got.
#[derive(Default)]
pub(crate) struct CountingIds(AtomicU8);

impl IdSource for CountingIds {
    fn token(&self, alphabet: Alphabet, length: usize) -> String {
        let first = char::from(alphabet.characters()[0]);
        std::iter::repeat_n(first, length).collect()
    }

    fn fill(&self, bytes: &mut [u8]) {
        let start = self.0.fetch_add(1, Ordering::SeqCst);
        let mut next = start;
        bytes.fill_with(|| {
            next = next.wrapping_mul(5).wrapping_add(start).wrapping_add(97);
            next
        });
    }
}

/// An envelope and what stands behind it.
pub(crate) struct Desk {
    pub(crate) envelope: Envelope,
    pub(crate) ring: Arc<OpenRing>,
    pub(crate) keys: Arc<Keys>,
}

impl Desk {
    /// One that knows both organizations.
    pub(crate) fn new() -> Self {
        Self::over(Arc::new(Keys {
            known: vec![organization('a'), organization('b')],
            ..Keys::default()
        }))
    }

    /// One over these keys, with nothing in memory yet.
    pub(crate) fn over(keys: Arc<Keys>) -> Self {
        let ring = Arc::new(OpenRing::default());
        let envelope = Envelope::new(ring.clone(), keys.clone(), Arc::new(CountingIds::default()));
        Self {
            envelope,
            ring,
            keys,
        }
    }
}

pub(crate) fn organization(letter: char) -> OrganizationId {
    format!("int_{}", String::from(letter).repeat(24))
        .parse()
        .unwrap()
}

pub(crate) fn google_audience() -> Audience {
    audience(Provider::GoogleDrive, &json!({}))
}

pub(crate) fn s3_audience(endpoint: &str) -> Audience {
    audience(Provider::S3, &json!({ "endpoint_url": endpoint }))
}

fn audience(provider: Provider, config: &Value) -> Audience {
    ProviderConfig::from_stored(provider, config.as_object().unwrap().clone())
        .unwrap()
        .audience()
}

pub(crate) fn binding() -> Binding {
    Binding {
        organization: organization('a'),
        connection: "conn_ccccccccccccccc".parse().unwrap(),
        provider: Provider::S3,
        credential_type: CredentialType::AccessKey,
        credential_version: 1,
        audience: s3_audience("https://store.example.com"),
    }
}

pub(crate) fn secret(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}
