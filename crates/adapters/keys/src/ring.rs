//! The key ring in memory, once its file was read.

use std::fmt;
use std::path::Path;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use async_trait::async_trait;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use wharf_domain::Timestamp;
use wharf_domain::audit::AuditHash;
use wharf_domain::secret::SecretKey;
use wharf_ports::{AuditSeal, IdSource, KeyContext, KeyRing, KeyRingError, WrappedKey};
use zeroize::Zeroizing;

use crate::KeyRingFileError;
use crate::file::{self, Content};

const KEY: usize = 32;
const NONCE: usize = 12;
const TAG: usize = 16;

/// A key ring whose keys stand in a file.
///
/// Wrapped keys are a random nonce and AES-256-GCM ciphertext with tag; authenticated with them are what the key is for,
/// its organization, its version and which of the ring's keys wrapped it.
pub struct FileKeyRing {
    primary: String,
    keys: Vec<(String, SecretKey)>,
    api_key_hash_key: SecretKey,
    audit_key: SecretKey,
    request_hash_key: SecretKey,
}

impl FileKeyRing {
    /// Reads the key ring at this path. Later changes of the file are not seen.
    ///
    /// # Errors
    /// A file that is missing, that others can read, or that is not a sound key ring.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, KeyRingFileError> {
        let Content {
            primary,
            keys,
            api_key_hash_key,
        } = file::read(path.as_ref())?;
        Ok(Self {
            primary,
            keys,
            audit_key: derive(&api_key_hash_key, b"wharf audit chain 1"),
            request_hash_key: derive(&api_key_hash_key, b"wharf request hash 1"),
            api_key_hash_key: derive(&api_key_hash_key, b"wharf api key hash 1"),
        })
    }

    /// Makes a key ring with one fresh key at this path, readable by its owner only, and opens it.
    ///
    /// # Errors
    /// Something is there already, or the file cannot be written.
    pub fn create(
        path: impl AsRef<Path>,
        ids: &dyn IdSource,
        now: Timestamp,
    ) -> Result<Self, KeyRingFileError> {
        file::create(path.as_ref(), ids, now)?;
        Self::open(path)
    }

    fn key(&self, id: &str) -> Option<&SecretKey> {
        self.keys
            .iter()
            .find(|(known, _)| known == id)
            .map(|(_, key)| key)
    }
}

#[async_trait]
impl KeyRing for FileKeyRing {
    async fn wrap(
        &self,
        context: &KeyContext,
        key: &SecretKey,
    ) -> Result<WrappedKey, KeyRingError> {
        let primary = self
            .key(&self.primary)
            .expect("a key ring without its primary key is not opened");
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| KeyRingError::Unavailable(error.into()))?;
        // Room for the tag, so that encrypting in place leaves no copy behind.
        let mut buffer = Zeroizing::new(Vec::with_capacity(KEY + TAG));
        buffer.extend_from_slice(key.expose());
        Aes256Gcm::new(primary.expose().into())
            .encrypt_in_place(
                (&nonce).into(),
                &associated_data(context, &self.primary),
                &mut *buffer,
            )
            .expect("32 bytes are far below what the cipher can take");
        Ok(WrappedKey {
            ring_key: self.primary.clone(),
            bytes: [nonce.as_slice(), &buffer].concat(),
        })
    }

    async fn unwrap(
        &self,
        context: &KeyContext,
        wrapped: &WrappedKey,
    ) -> Result<SecretKey, KeyRingError> {
        let ring_key = self.key(&wrapped.ring_key).ok_or(KeyRingError::Refused)?;
        let (nonce, ciphertext) = wrapped
            .bytes
            .split_first_chunk::<NONCE>()
            .ok_or(KeyRingError::Refused)?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        Aes256Gcm::new(ring_key.expose().into())
            .decrypt_in_place(
                nonce.into(),
                &associated_data(context, &wrapped.ring_key),
                &mut *buffer,
            )
            .map_err(|_| KeyRingError::Refused)?;
        buffer
            .as_slice()
            .try_into()
            .map(SecretKey::new)
            .map_err(|_| KeyRingError::Refused)
    }

    async fn hash_api_key(&self, api_key: &[u8]) -> Result<[u8; 32], KeyRingError> {
        Ok(keyed_hash(&self.api_key_hash_key, api_key))
    }

    async fn hash_request(&self, parts: &[&[u8]]) -> Result<[u8; 32], KeyRingError> {
        let mut hash = Hmac::<Sha256>::new_from_slice(self.request_hash_key.expose())
            .expect("keys of any length are accepted");
        for part in parts {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Ok(hash.finalize().into_bytes().into())
    }

    /// Always: the keys are in memory.
    async fn check(&self) -> Result<(), KeyRingError> {
        Ok(())
    }
}

impl AuditSeal for FileKeyRing {
    fn link(&self, bytes: &[u8]) -> AuditHash {
        AuditHash(keyed_hash(&self.audit_key, bytes))
    }
}

impl fmt::Debug for FileKeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(|(id, _)| id).collect();
        f.debug_struct("FileKeyRing")
            .field("primary", &self.primary)
            .field("keys", &ids)
            .finish_non_exhaustive()
    }
}

/// Each field after its length as four big-endian bytes: no two different contexts have equal bytes.
fn associated_data(context: &KeyContext, ring_key: &str) -> Vec<u8> {
    let version = context.version.to_be_bytes();
    let fields: [&[u8]; 5] = [
        b"wharf",
        b"org-key",
        context.organization.as_str().as_bytes(),
        &version,
        ring_key.as_bytes(),
    ];
    let mut bytes = Vec::new();
    for field in fields {
        let length = u32::try_from(field.len()).expect("fields are short words and identifiers");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

fn keyed_hash(key: &SecretKey, bytes: &[u8]) -> [u8; 32] {
    let mut hash =
        Hmac::<Sha256>::new_from_slice(key.expose()).expect("keys of any length are accepted");
    hash.update(bytes);
    hash.finalize().into_bytes().into()
}

/// The key of one use of the stored key that no rotation changes: each use has a key of its own.
fn derive(stored: &SecretKey, label: &[u8]) -> SecretKey {
    let mut bytes = Zeroizing::new([0; KEY]);
    Hkdf::<Sha256>::new(None, stored.expose())
        .expand(label, bytes.as_mut_slice())
        .expect("32 bytes are within what HKDF can expand to");
    SecretKey::new(*bytes)
}
