//! Opening accounts at Google Drive.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::filter::ProviderFilters;
use wharf_domain::ids::ConnectionId;
use wharf_domain::input::InvalidInput;
use wharf_domain::provider::{
    Credentials, GoogleDriveConfig, GoogleDriveCredentials, Provider, ProviderConfig,
};
use wharf_domain::setup::{SetupKit, SetupRequest};
use wharf_egress::Guard;
use wharf_ports::{
    Clock, ConsentFlow, IdSource, Located, OpenProvider, ProviderError, ProviderFactory, Sessions,
};

use crate::addresses::Addresses;
use crate::pace::Paces;
use crate::provider::{Account, Identity};
use crate::reach::Reach;
use crate::setup;
use crate::source::{Scope, SourcePath, id_of_address, is_id};
use crate::token::{Access, Assertion, GoogleConsent, Proof, TokenService};
use crate::wire::Wire;

/// Opens accounts at Google Drive.
#[derive(Clone)]
pub struct GoogleDrive {
    /// Trusts what the operator put in Google's place, and nothing else beside the public web.
    guard: Arc<Guard>,
    addresses: Addresses,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    paces: Arc<Paces>,
}

impl GoogleDrive {
    /// All requests pass this guard, or one like it that also trusts the operator's own addresses.
    pub fn new(
        guard: &Guard,
        addresses: Addresses,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        let paces = Paces::new(addresses.quota(), addresses.asks_google());
        Self {
            guard: Arc::new(guard.trusting(addresses.trusted())),
            addresses,
            clock,
            ids,
            paces: Arc::new(paces),
        }
    }

    /// One of its own for every connection: what secrets are sent over is shared by nobody.
    fn token_service(&self) -> TokenService {
        TokenService::new(
            self.addresses.token().clone(),
            Arc::clone(&self.guard),
            Arc::clone(&self.clock),
        )
    }

    fn account(
        &self,
        config: &GoogleDriveConfig,
        credentials: GoogleDriveCredentials,
        sessions: Arc<dyn Sessions>,
    ) -> Account {
        let (proof, identity, quota_account) = signing_in(config, credentials);
        let access = Access::new(proof, self.token_service(), sessions, Arc::clone(&self.ids));
        let wire = Wire::new(
            self.addresses.api().clone(),
            access,
            self.paces.of(&quota_account),
            Arc::clone(&self.guard),
        );
        let wire = Arc::new(wire);
        let shared_drive = config.shared_drive_id.clone();
        let reach = Reach::new(
            Arc::clone(&wire),
            shared_drive.clone(),
            identity.share_folder(),
        );
        Account {
            wire,
            identity,
            shared_drive,
            quota_account,
            reach: Arc::new(reach),
        }
    }
}

/// How an account signs in, who it is, and whom Google counts its requests against: a user of a project.
fn signing_in(
    config: &GoogleDriveConfig,
    credentials: GoogleDriveCredentials,
) -> (Proof, Identity, String) {
    match credentials {
        GoogleDriveCredentials::ServiceAccount {
            project_id,
            private_key_id,
            private_key,
            client_email,
            client_id,
        } => {
            // The names alone are anyone's to write: only who has the key shares what is counted.
            let key = Sha256::digest(private_key.expose());
            let user = config.impersonate_user.clone();
            let assertion = Assertion::new(
                private_key,
                private_key_id,
                client_email.clone(),
                user.clone(),
            );
            let counted = user.as_ref().unwrap_or(&client_email);
            let quota_account = format!("google:{project_id}:{counted}:{}", hex::encode(&key[..8]));
            let identity = match user {
                Some(user) => Identity::User(user),
                None => Identity::ServiceAccount(client_email),
            };
            let proof = Proof::Account {
                assertion,
                client_id,
            };
            (proof, identity, quota_account)
        }
        GoogleDriveCredentials::OAuth {
            client_id,
            client_secret,
            refresh_token,
        } => {
            // Who it is, only Google knows; whoever has the same consent is the same person.
            let consent = Sha256::digest(refresh_token.expose());
            let quota_account = format!("google:{client_id}:{}", hex::encode(&consent[..8]));
            let proof = Proof::Person {
                client_id,
                client_secret,
                refresh_token,
            };
            (proof, Identity::Person, quota_account)
        }
    }
}

impl fmt::Debug for GoogleDrive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoogleDrive")
            .field("guard", &self.guard)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ProviderFactory for GoogleDrive {
    fn supports(&self, provider: Provider) -> bool {
        provider == Provider::GoogleDrive
    }

    /// There is no address in a configuration that could be refused.
    fn vet(&self, config: &ProviderConfig) -> Result<(), InvalidInput> {
        match config {
            ProviderConfig::GoogleDrive(_) => Ok(()),
            other => Err(unsupported("provider_type", other.provider())),
        }
    }

    fn vet_source_path(&self, provider: Provider, source_path: &str) -> Result<(), InvalidInput> {
        if !self.supports(provider) {
            return Err(unsupported("source_path", provider));
        }
        SourcePath::parse(source_path).map(|_| ())
    }

    fn scope(
        &self,
        provider: Provider,
        source_path: &str,
        filters: &ProviderFilters,
    ) -> Result<String, InvalidInput> {
        self.vet_source_path(provider, source_path)?;
        if filters.prefix.is_some() {
            return Err(InvalidInput::one(
                "provider_filters.prefix",
                "unsupported",
                "Google Drive has folders: name a deeper one in source_path, or use file_filters"
                    .to_owned(),
            ));
        }
        let scope = Scope {
            path: source_path.to_owned(),
            export_formats: filters.export_formats.clone(),
        };
        Ok(scope.text())
    }

    fn browses(&self, provider: Provider) -> bool {
        self.supports(provider)
    }

    fn consent(&self, provider: Provider) -> Option<Arc<dyn ConsentFlow>> {
        self.supports(provider).then(|| {
            let pages = self.addresses.consent().clone();
            Arc::new(GoogleConsent::new(pages, self.token_service())) as Arc<dyn ConsentFlow>
        })
    }

    /// An id or an address; where such a file lies, only Drive knows.
    fn locate(&self, _: Provider, _: &str, source: &str) -> Option<Located> {
        let id = id_of_address(source).or_else(|| is_id(source).then(|| source.to_owned()))?;
        Some(Located {
            object: id,
            in_scope: true,
        })
    }

    fn relative_path<'a>(&self, _: Provider, _: &str, entry_path: &'a str) -> &'a str {
        entry_path
    }

    fn folder_path<'a>(&self, _: Provider, entry_path: &'a str) -> &'a str {
        entry_path
            .rsplit_once('/')
            .map_or("", |(folders, _)| folders)
    }

    fn open(
        &self,
        _: &ConnectionId,
        config: &ProviderConfig,
        credentials: Credentials,
        sessions: Arc<dyn Sessions>,
    ) -> Result<OpenProvider, ProviderError> {
        let ProviderConfig::GoogleDrive(config) = config else {
            return Err(ProviderError::permanent(
                ErrorCode::AdapterMissing,
                not_ours(config.provider()),
            ));
        };
        let Credentials::GoogleDrive(credentials) = credentials else {
            let message = format!(
                "provider_config.credentials: they are for {}, the configuration is for {}",
                credentials.provider(),
                Provider::GoogleDrive
            );
            return Err(ProviderError::permanent(ErrorCode::ConfigInvalid, message));
        };
        Ok(Arc::new(self.account(config, credentials, sessions)))
    }

    async fn setup(
        &self,
        provider: Provider,
        request: &SetupRequest,
    ) -> Result<SetupKit, ProviderError> {
        if !self.supports(provider) {
            return Err(ProviderError::permanent(
                ErrorCode::AdapterMissing,
                not_ours(provider),
            ));
        }
        Ok(setup::kit(request))
    }
}

fn unsupported(path: &str, provider: Provider) -> InvalidInput {
    InvalidInput::one(path, "unsupported", not_ours(provider))
}

fn not_ours(provider: Provider) -> String {
    format!("{provider} is not Google Drive")
}
