//! What sealed credentials and channels are bound to, as associated data.

use sha2::{Digest, Sha256};
use thiserror::Error;
use wharf_domain::connection::Connection;
use wharf_domain::ids::{ConnectionId, OrganizationId, WebhookId};
use wharf_domain::provider::{Audience, CredentialType, Provider};
use wharf_domain::webhook::{Webhook, audience};

const SCHEMA: u8 = 1;
const PURPOSE: &str = "credentials";
const TABLE: &str = "connections";
const COLUMN: &str = "sealed";

/// The one row, version and audience that sealed credentials belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The organization that owns the connection.
    pub organization: OrganizationId,
    /// The connection.
    pub connection: ConnectionId,
    /// Its provider.
    pub provider: Provider,
    /// The kind of the credentials.
    pub credential_type: CredentialType,
    /// Their version, from 1.
    pub credential_version: u64,
    /// Whom they may be sent to.
    pub audience: Audience,
}

/// The one row, version and audience that a webhook's sealed channels belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelsBinding {
    /// The organization that owns the webhook.
    pub organization: OrganizationId,
    /// The webhook.
    pub webhook: WebhookId,
    /// The version of the sealed form, from 1.
    pub secret_version: u64,
    /// Whom it may be sent to ([`wharf_domain::webhook::audience`]).
    pub audience: String,
}

impl ChannelsBinding {
    /// The binding of a stored webhook's channels.
    pub fn of(webhook: &Webhook) -> Self {
        Self {
            organization: webhook.organization.clone(),
            webhook: webhook.id.clone(),
            secret_version: webhook.settings.secret_version,
            audience: audience(&webhook.settings.channels),
        }
    }

    /// The canonical bytes that are authenticated with the body. They begin otherwise than those of credentials.
    pub(crate) fn associated_data(&self) -> Result<AssociatedData, IncompleteBinding> {
        if self.secret_version == 0 {
            return Err(IncompleteBinding("secret version"));
        }
        if self.audience.is_empty() {
            return Err(IncompleteBinding("audience"));
        }
        Ok(AssociatedData::default()
            .with(&[SCHEMA])
            .with(b"channels")
            .with(b"webhooks")
            .with(COLUMN.as_bytes())
            .with(self.organization.as_str().as_bytes())
            .with(self.webhook.as_str().as_bytes())
            .with(&self.secret_version.to_be_bytes())
            .with(&Sha256::digest(self.audience.as_bytes())))
    }
}

/// A binding with an empty part. It would bind to nothing and still open again, so it is refused before any key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the binding of sealed credentials has no {0}")]
pub struct IncompleteBinding(&'static str);

impl Binding {
    /// The binding of a stored connection's credentials.
    pub fn of(connection: &Connection) -> Self {
        Self {
            organization: connection.organization.clone(),
            connection: connection.id.clone(),
            provider: connection.provider(),
            credential_type: connection.credential_type,
            credential_version: connection.credential_version,
            audience: connection.config.audience(),
        }
    }

    /// The canonical bytes that are authenticated with the body.
    pub(crate) fn associated_data(&self) -> Result<AssociatedData, IncompleteBinding> {
        if self.credential_version == 0 {
            return Err(IncompleteBinding("credential version"));
        }
        if self.audience.as_bytes().is_empty() {
            return Err(IncompleteBinding("audience"));
        }
        Ok(AssociatedData::default()
            .with(&[SCHEMA])
            .with(PURPOSE.as_bytes())
            .with(TABLE.as_bytes())
            .with(COLUMN.as_bytes())
            .with(self.organization.as_str().as_bytes())
            .with(self.connection.as_str().as_bytes())
            .with(self.provider.as_str().as_bytes())
            .with(self.credential_type.as_str().as_bytes())
            .with(&self.credential_version.to_be_bytes())
            .with(&Sha256::digest(self.audience.as_bytes())))
    }
}

/// A sequence of fields, each after its length as four big-endian bytes: no two different sequences have equal bytes.
#[derive(Clone, Default)]
pub(crate) struct AssociatedData(Vec<u8>);

impl AssociatedData {
    /// One field more.
    pub(crate) fn with(mut self, field: &[u8]) -> Self {
        let length = u32::try_from(field.len()).expect("fields are identifiers, words and hashes");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(field);
        self
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;
    use wharf_domain::provider::ProviderConfig;

    use super::*;

    fn binding() -> Binding {
        let config = ProviderConfig::from_stored(Provider::GoogleDrive, Map::new()).unwrap();
        Binding {
            organization: "int_aaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap(),
            connection: "conn_bbbbbbbbbbbbbbb".parse().unwrap(),
            provider: Provider::GoogleDrive,
            credential_type: CredentialType::ServiceAccount,
            credential_version: 258,
            audience: config.audience(),
        }
    }

    #[test]
    fn the_associated_data_has_its_canonical_bytes() {
        let binding = binding();
        let expected: Vec<u8> = [
            b"\0\0\0\x01\x01".as_slice(),
            b"\0\0\0\x0bcredentials",
            b"\0\0\0\x0bconnections",
            b"\0\0\0\x06sealed",
            b"\0\0\0\x1cint_aaaaaaaaaaaaaaaaaaaaaaaa",
            b"\0\0\0\x14conn_bbbbbbbbbbbbbbb",
            b"\0\0\0\x0cgoogle_drive",
            b"\0\0\0\x0fservice_account",
            b"\0\0\0\x08\0\0\0\0\0\0\x01\x02",
            b"\0\0\0\x20",
            &Sha256::digest(binding.audience.as_bytes()),
        ]
        .concat();
        assert_eq!(binding.associated_data().unwrap().as_bytes(), expected);
    }

    #[test]
    fn a_binding_without_a_version_is_refused() {
        let unbound = Binding {
            credential_version: 0,
            ..binding()
        };
        assert_eq!(
            unbound.associated_data().err(),
            Some(IncompleteBinding("credential version"))
        );
    }

    #[test]
    fn where_one_field_ends_changes_the_bytes() {
        let one = AssociatedData::default().with(b"ab").with(b"c");
        let other = AssociatedData::default().with(b"a").with(b"bc");
        assert_ne!(one.as_bytes(), other.as_bytes());
    }
}
