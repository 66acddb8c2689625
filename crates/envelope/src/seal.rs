//! Sealing and opening.

use std::fmt;
use std::sync::Arc;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use wharf_domain::connection::SealedCredentials;
use wharf_domain::ids::OrganizationId;
use wharf_domain::secret::{SecretBytes, SecretKey};
use wharf_domain::webhook::SealedChannels;
use wharf_ports::{IdSource, KeyRing, OrganizationKeyRepository};
use zeroize::Zeroizing;

use crate::binding::AssociatedData;
use crate::format::{KEY, NONCE, Sealed, TAG};
use crate::organization_keys::OrganizationKeys;
use crate::padding::{pad, unpad};
use crate::{Binding, ChannelsBinding, OpenError, SealError};

/// Seals credentials and opens them again.
///
/// Opened organization keys stay in memory for at most ten minutes of use, so a key ring that was taken away, or an
/// organization whose keys were destroyed, may keep working here for that long.
pub struct Envelope {
    organization_keys: OrganizationKeys,
    ids: Arc<dyn IdSource>,
}

impl Envelope {
    /// An envelope over a key ring and the repository of organization keys.
    pub fn new(
        key_ring: Arc<dyn KeyRing>,
        keys: Arc<dyn OrganizationKeyRepository>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self {
            organization_keys: OrganizationKeys::new(key_ring, keys, Arc::clone(&ids)),
            ids,
        }
    }

    /// Seals a text under a data key of its own. The organization's key is made if it has none.
    pub async fn seal(
        &self,
        binding: &Binding,
        plaintext: &SecretBytes,
    ) -> Result<SealedCredentials, SealError> {
        let data = binding.associated_data()?;
        let sealed = self.seal_under(&binding.organization, &data, plaintext);
        Ok(SealedCredentials(sealed.await?))
    }

    /// Seals a webhook's channels in the same way.
    pub async fn seal_channels(
        &self,
        binding: &ChannelsBinding,
        plaintext: &SecretBytes,
    ) -> Result<SealedChannels, SealError> {
        let data = binding.associated_data()?;
        let sealed = self.seal_under(&binding.organization, &data, plaintext);
        Ok(SealedChannels(sealed.await?))
    }

    pub(crate) async fn seal_under(
        &self,
        organization: &OrganizationId,
        body_data: &AssociatedData,
        plaintext: &SecretBytes,
    ) -> Result<Vec<u8>, SealError> {
        let padded = pad(plaintext.expose()).ok_or(SealError::TooLong)?;
        let organization_key = self
            .organization_keys
            .newest(organization)
            .await?
            .ok_or(SealError::UnknownOrganization)?;

        let dek = Zeroizing::new(self.random::<KEY>());
        let salt = self.random();
        let nonce = self.random();
        let body_keys = BodyKeys::derive(&dek, &salt, body_data);
        let body = encrypt(&body_keys.key, &nonce, body_data, padded);

        let wrap_nonce = self.random();
        let wrap_data = wrap_data(body_data, organization_key.version);
        let mut dek_with_room = Zeroizing::new(Vec::with_capacity(KEY + TAG));
        dek_with_room.extend_from_slice(dek.as_slice());
        let wrapped_dek = encrypt(
            &organization_key.key,
            &wrap_nonce,
            &wrap_data,
            dek_with_room,
        );

        let sealed = Sealed {
            organization_key_version: organization_key.version,
            wrap_nonce: &wrap_nonce,
            wrapped_dek: wrapped_dek
                .first_chunk()
                .expect("a wrapped key is as long as the key and its tag"),
            salt: &salt,
            commitment: &body_keys.commitment,
            nonce: &nonce,
            body: &body,
        };
        Ok(sealed.print())
    }

    /// Opens what [`seal`](Self::seal) made for an equal binding. Only the key that the sealed bytes name is tried.
    pub async fn open(
        &self,
        binding: &Binding,
        sealed: &SealedCredentials,
    ) -> Result<SecretBytes, OpenError> {
        let data = binding.associated_data()?;
        self.open_under(&binding.organization, &data, &sealed.0)
            .await
    }

    /// Opens what [`seal_channels`](Self::seal_channels) made for an equal binding.
    pub async fn open_channels(
        &self,
        binding: &ChannelsBinding,
        sealed: &SealedChannels,
    ) -> Result<SecretBytes, OpenError> {
        let data = binding.associated_data()?;
        self.open_under(&binding.organization, &data, &sealed.0)
            .await
    }

    pub(crate) async fn open_under(
        &self,
        organization: &OrganizationId,
        body_data: &AssociatedData,
        sealed: &[u8],
    ) -> Result<SecretBytes, OpenError> {
        let sealed = Sealed::parse(sealed).ok_or(OpenError::Malformed)?;
        let organization_key = self
            .organization_keys
            .find(organization, sealed.organization_key_version)
            .await?
            .ok_or(OpenError::Integrity)?;
        open_with(&organization_key.key, &sealed, body_data).ok_or(OpenError::Integrity)
    }

    fn random<const LENGTH: usize>(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        self.ids.fill(&mut bytes);
        bytes
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").finish_non_exhaustive()
    }
}

fn open_with(
    organization_key: &SecretKey,
    sealed: &Sealed<'_>,
    body_data: &AssociatedData,
) -> Option<SecretBytes> {
    let wrap_data = wrap_data(body_data, sealed.organization_key_version);
    let dek = decrypt(
        organization_key,
        sealed.wrap_nonce,
        &wrap_data,
        sealed.wrapped_dek,
    )?;
    let body_keys = BodyKeys::derive(dek.first_chunk()?, sealed.salt, body_data);
    // The cipher alone would open one ciphertext under many keys: only the key that was committed to may try.
    if !bool::from(body_keys.commitment.ct_eq(sealed.commitment)) {
        return None;
    }
    unpad(&decrypt(
        &body_keys.key,
        sealed.nonce,
        body_data,
        sealed.body,
    )?)
}

/// The associated data of the wrapped data key. The version stays out of the body's, so that a data key can be wrapped
/// anew without touching the body.
fn wrap_data(body_data: &AssociatedData, organization_key_version: u32) -> AssociatedData {
    body_data
        .clone()
        .with(&organization_key_version.to_be_bytes())
}

/// What a data key becomes for one body: the key that encrypts it and a public value that commits to that key.
struct BodyKeys {
    key: SecretKey,
    commitment: [u8; KEY],
}

impl BodyKeys {
    fn derive(dek: &[u8; KEY], salt: &[u8; KEY], body_data: &AssociatedData) -> Self {
        let place = Sha256::digest(body_data.as_bytes());
        let mut bytes = Zeroizing::new([0; 2 * KEY]);
        Hkdf::<Sha256>::new(Some(salt), dek)
            .expand_multi_info(&[b"sce1", &place], bytes.as_mut_slice())
            .expect("64 bytes are within what HKDF can expand to");
        let (key, commitment) = bytes.split_at(KEY);
        let half = |bytes: &[u8]| *bytes.first_chunk().expect("both halves are 32 bytes");
        Self {
            key: SecretKey::new(half(key)),
            commitment: half(commitment),
        }
    }
}

/// Encrypts in place; the buffer should have room for the tag.
fn encrypt(
    key: &SecretKey,
    nonce: &[u8; NONCE],
    data: &AssociatedData,
    mut buffer: Zeroizing<Vec<u8>>,
) -> Zeroizing<Vec<u8>> {
    Aes256Gcm::new(key.expose().into())
        .encrypt_in_place(nonce.into(), data.as_bytes(), &mut *buffer)
        .expect("a padded text is far below what the cipher can take");
    buffer
}

fn decrypt(
    key: &SecretKey,
    nonce: &[u8; NONCE],
    data: &AssociatedData,
    ciphertext: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    Aes256Gcm::new(key.expose().into())
        .decrypt_in_place(nonce.into(), data.as_bytes(), &mut *buffer)
        .ok()?;
    Some(buffer)
}
