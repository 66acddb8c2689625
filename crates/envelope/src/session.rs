//! Sealing of access tokens.

use sha2::{Digest, Sha256};
use wharf_domain::secret::SecretBytes;

use crate::binding::AssociatedData;
use crate::{Binding, Envelope, IncompleteBinding, OpenError, SealError};

const SCHEMA: u8 = 1;

/// The one connection, with its credentials and their audience, that a sealed access token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionBinding(Binding);

impl SessionBinding {
    /// The binding of the access token that is had for credentials that are bound so.
    pub fn of(credentials: Binding) -> Self {
        Self(credentials)
    }

    /// The canonical bytes that are authenticated with the body. They begin otherwise than those of other texts.
    fn associated_data(&self) -> Result<AssociatedData, IncompleteBinding> {
        let Binding {
            organization,
            connection,
            provider,
            credential_type,
            credential_version,
            audience,
        } = &self.0;
        // What credentials cannot be bound to, their token cannot be either.
        self.0.associated_data()?;
        Ok(AssociatedData::default()
            .with(&[SCHEMA])
            .with(b"access_token")
            .with(b"sessions")
            .with(b"sealed")
            .with(organization.as_str().as_bytes())
            .with(connection.as_str().as_bytes())
            .with(provider.as_str().as_bytes())
            .with(credential_type.as_str().as_bytes())
            .with(&credential_version.to_be_bytes())
            .with(&Sha256::digest(audience.as_bytes())))
    }
}

impl Envelope {
    /// Seals an access token in the same way as credentials.
    pub async fn seal_token(
        &self,
        binding: &SessionBinding,
        plaintext: &SecretBytes,
    ) -> Result<Vec<u8>, SealError> {
        let data = binding.associated_data()?;
        self.seal_under(&binding.0.organization, &data, plaintext)
            .await
    }

    /// Opens what [`seal_token`](Self::seal_token) made for an equal binding.
    pub async fn open_token(
        &self,
        binding: &SessionBinding,
        sealed: &[u8],
    ) -> Result<SecretBytes, OpenError> {
        let data = binding.associated_data()?;
        self.open_under(&binding.0.organization, &data, sealed)
            .await
    }
}
