//! Opening accounts at S3, at compatible stores and at Tigris.

use std::sync::Arc;

use async_trait::async_trait;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::ids::ConnectionId;
use wharf_domain::input::InvalidInput;
use wharf_domain::provider::{
    BucketPath, Credentials, Provider, ProviderConfig, S3Credentials, TigrisCredentials,
};
use wharf_domain::setup::{SetupKit, SetupRequest};
use wharf_egress::{Client, Guard, TlsMode};
use wharf_ports::{OpenProvider, ProviderError, ProviderFactory};

use crate::provider::Account;
use crate::store::Store;
use crate::vet::vet;
use crate::wire::{AccessKey, Wire};

/// Opens accounts at S3, at compatible stores and at Tigris.
#[derive(Debug, Clone)]
pub struct S3 {
    guard: Arc<Guard>,
}

impl S3 {
    /// All requests pass this guard.
    pub fn new(guard: Arc<Guard>) -> Self {
        Self { guard }
    }
}

#[async_trait]
impl ProviderFactory for S3 {
    fn supports(&self, provider: Provider) -> bool {
        matches!(provider, Provider::S3 | Provider::Tigris)
    }

    fn vet(&self, config: &ProviderConfig) -> Result<(), InvalidInput> {
        match Store::of(config) {
            Some(store) => vet(&store, self.guard.policy()),
            None => Err(InvalidInput::one(
                "provider_type",
                "unsupported",
                not_ours(config.provider()),
            )),
        }
    }

    fn vet_source_path(&self, provider: Provider, source_path: &str) -> Result<(), InvalidInput> {
        if !self.supports(provider) {
            return Err(InvalidInput::one(
                "source_path",
                "unsupported",
                not_ours(provider),
            ));
        }
        BucketPath::parse(source_path, "source_path").map(|_| ())
    }

    fn open(
        &self,
        _connection: &ConnectionId,
        config: &ProviderConfig,
        credentials: Credentials,
    ) -> Result<OpenProvider, ProviderError> {
        let Some(store) = Store::of(config) else {
            return Err(ProviderError::permanent(
                ErrorCode::AdapterMissing,
                not_ours(config.provider()),
            ));
        };
        if credentials.provider() != config.provider() {
            let message = format!(
                "provider_config.credentials: they are for {}, the configuration is for {}",
                credentials.provider(),
                config.provider()
            );
            return Err(ProviderError::permanent(ErrorCode::ConfigInvalid, message));
        }
        let key = access_key(credentials)?;
        let tls = if store.verified {
            TlsMode::Verified
        } else {
            TlsMode::Unverified
        };
        let client = Client::new(Arc::clone(&self.guard), tls);
        let wire = Wire::new(&store, key, client);
        Ok(Arc::new(Account::new(store, wire)))
    }

    async fn setup(
        &self,
        provider: Provider,
        _request: &SetupRequest,
    ) -> Result<SetupKit, ProviderError> {
        if self.supports(provider) {
            return Ok(SetupKit::default());
        }
        Err(ProviderError::permanent(
            ErrorCode::AdapterMissing,
            not_ours(provider),
        ))
    }
}

fn access_key(credentials: Credentials) -> Result<AccessKey, ProviderError> {
    match credentials {
        Credentials::S3(S3Credentials::AccessKey {
            access_key_id,
            secret_access_key,
            session_token,
        }) => Ok(AccessKey {
            id: access_key_id,
            secret: secret_access_key,
            session_token,
        }),
        Credentials::S3(S3Credentials::IamRole { .. }) => Err(ProviderError::permanent(
            ErrorCode::ConfigInvalid,
            "provider_config.credentials.type: role connections need Wharf's own identity (`providers.aws.identity`), \
             which this version cannot use",
        )),
        Credentials::Tigris(TigrisCredentials {
            access_key_id,
            secret_access_key,
        }) => Ok(AccessKey {
            id: access_key_id,
            secret: secret_access_key,
            session_token: None,
        }),
        other => Err(ProviderError::permanent(
            ErrorCode::AdapterMissing,
            not_ours(other.provider()),
        )),
    }
}

fn not_ours(provider: Provider) -> String {
    format!("{provider} does not speak the S3 protocol")
}
