//! Sealing of what is needed to finish a consent.

use wharf_domain::ids::OrganizationId;
use wharf_domain::secret::SecretBytes;

use crate::binding::AssociatedData;
use crate::{Envelope, OpenError, SealError};

const SCHEMA: u8 = 1;

/// The one consent that a sealed text belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentBinding {
    /// The organization that began it.
    pub organization: OrganizationId,
    /// SHA-256 of its state, in lower-case hex.
    pub state_sha256: String,
}

impl ConsentBinding {
    /// The canonical bytes that are authenticated with the body. They begin otherwise than those of other texts.
    fn associated_data(&self) -> AssociatedData {
        AssociatedData::default()
            .with(&[SCHEMA])
            .with(b"consent")
            .with(b"consents")
            .with(b"sealed")
            .with(self.organization.as_str().as_bytes())
            .with(self.state_sha256.as_bytes())
    }
}

impl Envelope {
    /// Seals a text in the same way as credentials.
    pub async fn seal_consent(
        &self,
        binding: &ConsentBinding,
        plaintext: &SecretBytes,
    ) -> Result<Vec<u8>, SealError> {
        let data = binding.associated_data();
        self.seal_under(&binding.organization, &data, plaintext)
            .await
    }

    /// Opens what [`seal_consent`](Self::seal_consent) made for an equal binding.
    pub async fn open_consent(
        &self,
        binding: &ConsentBinding,
        sealed: &[u8],
    ) -> Result<SecretBytes, OpenError> {
        let data = binding.associated_data();
        self.open_under(&binding.organization, &data, sealed).await
    }
}
