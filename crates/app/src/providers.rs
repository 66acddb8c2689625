//! Every adapter of this server as one factory.

use std::sync::Arc;

use async_trait::async_trait;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::filter::ProviderFilters;
use wharf_domain::ids::ConnectionId;
use wharf_domain::input::InvalidInput;
use wharf_domain::provider::{Credentials, Provider, ProviderConfig};
use wharf_domain::setup::{SetupKit, SetupRequest};
use wharf_google_drive::GoogleDrive;
use wharf_ports::{ConsentFlow, Located, OpenProvider, ProviderError, ProviderFactory, Sessions};
use wharf_s3::S3;

/// The adapters.
pub(crate) struct Providers {
    pub(crate) google_drive: GoogleDrive,
    pub(crate) s3: S3,
}

impl Providers {
    /// Whose provider this is.
    fn of(&self, provider: Provider) -> Option<&dyn ProviderFactory> {
        let all: [&dyn ProviderFactory; 2] = [&self.google_drive, &self.s3];
        all.into_iter().find(|adapter| adapter.supports(provider))
    }

    fn vetting(
        &self,
        provider: Provider,
        path: &str,
    ) -> Result<&dyn ProviderFactory, InvalidInput> {
        self.of(provider)
            .ok_or_else(|| InvalidInput::one(path, "unsupported", missing(provider)))
    }

    fn opening(&self, provider: Provider) -> Result<&dyn ProviderFactory, ProviderError> {
        self.of(provider)
            .ok_or_else(|| ProviderError::permanent(ErrorCode::AdapterMissing, missing(provider)))
    }
}

fn missing(provider: Provider) -> String {
    format!("this server has no adapter for {provider}")
}

#[async_trait]
impl ProviderFactory for Providers {
    fn supports(&self, provider: Provider) -> bool {
        self.of(provider).is_some()
    }

    fn vet(&self, config: &ProviderConfig) -> Result<(), InvalidInput> {
        self.vetting(config.provider(), "provider_type")?
            .vet(config)
    }

    fn vet_source_path(&self, provider: Provider, source_path: &str) -> Result<(), InvalidInput> {
        self.vetting(provider, "source_path")?
            .vet_source_path(provider, source_path)
    }

    fn scope(
        &self,
        provider: Provider,
        source_path: &str,
        filters: &ProviderFilters,
    ) -> Result<String, InvalidInput> {
        self.vetting(provider, "source_path")?
            .scope(provider, source_path, filters)
    }

    fn browses(&self, provider: Provider) -> bool {
        self.of(provider)
            .is_some_and(|adapter| adapter.browses(provider))
    }

    fn consent(&self, provider: Provider) -> Option<Arc<dyn ConsentFlow>> {
        self.of(provider)?.consent(provider)
    }

    fn locate(&self, provider: Provider, source_path: &str, source: &str) -> Option<Located> {
        self.of(provider)?.locate(provider, source_path, source)
    }

    fn relative_path<'a>(
        &self,
        provider: Provider,
        source_path: &str,
        entry_path: &'a str,
    ) -> &'a str {
        self.of(provider).map_or(entry_path, |adapter| {
            adapter.relative_path(provider, source_path, entry_path)
        })
    }

    fn folder_path<'a>(&self, provider: Provider, entry_path: &'a str) -> &'a str {
        self.of(provider)
            .map_or("", |adapter| adapter.folder_path(provider, entry_path))
    }

    fn open(
        &self,
        connection: &ConnectionId,
        config: &ProviderConfig,
        credentials: Credentials,
        sessions: Arc<dyn Sessions>,
    ) -> Result<OpenProvider, ProviderError> {
        self.opening(config.provider())?
            .open(connection, config, credentials, sessions)
    }

    async fn setup(
        &self,
        provider: Provider,
        request: &SetupRequest,
    ) -> Result<SetupKit, ProviderError> {
        self.opening(provider)?.setup(provider, request).await
    }
}
