//! Sealed credentials: no bytes but the ones that were sealed open, and none make the parser panic.
//!
//! The first byte picks what is done with the rest: taken as it is, or put over a genuine seal (changed from some place
//! on, cut, spliced with a second seal), which comes further into the format than bytes from nowhere.
#![no_main]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use libfuzzer_sys::fuzz_target;
use serde_json::Map;
use tokio::runtime::{Builder, Runtime};
use wharf_domain::connection::SealedCredentials;
use wharf_domain::ids::{Alphabet, OrganizationId};
use wharf_domain::provider::{CredentialType, Provider, ProviderConfig};
use wharf_domain::secret::{SecretBytes, SecretKey};
use wharf_envelope::{Binding, Envelope, OpenError};
use wharf_ports::{
    IdSource, KeyContext, KeyRing, KeyRingError, OrganizationKey, OrganizationKeyRepository,
    RepositoryError, WrappedKey,
};

/// A key ring that keeps keys as they are.
struct OpenRing;

#[async_trait]
impl KeyRing for OpenRing {
    async fn wrap(&self, _: &KeyContext, key: &SecretKey) -> Result<WrappedKey, KeyRingError> {
        Ok(WrappedKey {
            ring_key: "open".to_owned(),
            bytes: key.expose().to_vec(),
        })
    }

    async fn unwrap(&self, _: &KeyContext, key: &WrappedKey) -> Result<SecretKey, KeyRingError> {
        let bytes = key.bytes.as_slice().try_into();
        bytes.map(SecretKey::new).map_err(|_| KeyRingError::Refused)
    }

    async fn hash_api_key(&self, _: &[u8]) -> Result<[u8; 32], KeyRingError> {
        Err(KeyRingError::Refused)
    }

    async fn hash_request(&self, _: &[&[u8]]) -> Result<[u8; 32], KeyRingError> {
        Err(KeyRingError::Refused)
    }

    async fn check(&self) -> Result<(), KeyRingError> {
        Ok(())
    }
}

#[derive(Default)]
struct Keys(Mutex<HashMap<u32, OrganizationKey>>);

#[async_trait]
impl OrganizationKeyRepository for Keys {
    async fn newest(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<OrganizationKey>, RepositoryError> {
        self.find(organization, 1).await
    }

    async fn find(
        &self,
        _: &OrganizationId,
        version: u32,
    ) -> Result<Option<OrganizationKey>, RepositoryError> {
        Ok(self.0.lock().unwrap().get(&version).cloned())
    }

    async fn insert_if_absent(
        &self,
        _: &OrganizationId,
        key: OrganizationKey,
    ) -> Result<Option<OrganizationKey>, RepositoryError> {
        let mut keys = self.0.lock().unwrap();
        Ok(Some(keys.entry(key.version).or_insert(key).clone()))
    }
}

/// The same bytes in every run, so that a finding can be repeated.
#[derive(Default)]
struct CountingIds(AtomicU8);

impl IdSource for CountingIds {
    fn token(&self, alphabet: Alphabet, length: usize) -> String {
        String::from(char::from(alphabet.characters()[0])).repeat(length)
    }

    fn fill(&self, bytes: &mut [u8]) {
        let start = self.0.fetch_add(1, Ordering::SeqCst);
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = (i as u8).wrapping_mul(31).wrapping_add(start);
        }
    }
}

const TEXT: &[u8] = br#"{"type":"access_key","access_key_id":"AKIAEXAMPLE"}"#;

struct Bench {
    runtime: Runtime,
    envelope: Envelope,
    binding: Binding,
    sealed: Vec<u8>,
    other: Vec<u8>,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().build().unwrap();
    let envelope = Envelope::new(
        Arc::new(OpenRing),
        Arc::new(Keys::default()),
        Arc::new(CountingIds::default()),
    );
    let config = ProviderConfig::from_stored(Provider::S3, Map::new()).unwrap();
    let binding = Binding {
        organization: "int_aaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap(),
        connection: "conn_ccccccccccccccc".parse().unwrap(),
        provider: Provider::S3,
        credential_type: CredentialType::AccessKey,
        credential_version: 1,
        audience: config.audience(),
    };
    let seal = || {
        let text = SecretBytes::new(TEXT.to_vec());
        let sealed = runtime.block_on(envelope.seal(&binding, &text));
        sealed.unwrap().0
    };
    let (sealed, other) = (seal(), seal());
    Bench {
        sealed,
        other,
        runtime,
        envelope,
        binding,
    }
});

/// What is tried: the input itself, or a genuine seal with the input put over it.
fn attempt(bench: &Bench, input: &[u8]) -> Vec<u8> {
    let [how, at, at_too, rest @ ..] = input else {
        return input.to_vec();
    };
    let mut bytes = bench.sealed.clone();
    let at = usize::from(u16::from_be_bytes([*at, *at_too])) % (bytes.len() + 1);
    match how % 5 {
        0 => rest.to_vec(),
        1 => {
            for (byte, change) in bytes[at..].iter_mut().zip(rest) {
                *byte ^= change;
            }
            bytes
        }
        2 => [&bytes[..at], rest].concat(),
        3 => [&bytes[..at], &bench.other[at..]].concat(),
        _ => [&bytes[..at], rest, &bytes[at..]].concat(),
    }
}

fuzz_target!(|input: &[u8]| {
    let bench = &*BENCH;
    let bytes = attempt(bench, input);
    let genuine = bytes == bench.sealed || bytes == bench.other;
    let sealed = SealedCredentials(bytes);
    let opened = bench
        .runtime
        .block_on(bench.envelope.open(&bench.binding, &sealed));
    match opened {
        Ok(text) => {
            assert!(genuine, "bytes that nobody sealed were opened");
            assert_eq!(text.expose(), TEXT);
        }
        Err(OpenError::Malformed | OpenError::Integrity) => {
            assert!(!genuine, "sealed credentials were refused");
        }
        Err(other) => panic!("another refusal than a broken seal's: {other}"),
    }
});
