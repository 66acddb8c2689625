use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::filter::ProviderFilters;
use wharf_domain::ids::ConnectionId;
use wharf_domain::input::InvalidInput;
use wharf_domain::provider::{BucketPath, Credentials, Provider, ProviderConfig};
use wharf_domain::setup::{Grant, SetupDocument, SetupFormat, SetupKit, SetupRequest};
use wharf_ports::{ConsentFlow, Located, OpenProvider, ProviderError, ProviderFactory, Sessions};

use super::drive::{FakeDrive, FakeDriveAccount};
use super::{Failure, FakeConsent, FakeProvider, FakeSource};

/// Opens one [`FakeSource`], whatever configuration and credentials are given.
#[derive(Debug)]
pub struct FakeProviderFactory {
    source: FakeSource,
    drive: Option<FakeDrive>,
    supported: Vec<Provider>,
    refusal: Mutex<Option<InvalidInput>>,
    closed: Mutex<Option<Failure>>,
    consent: FakeConsent,
}

impl FakeProviderFactory {
    /// A factory for S3 and Tigris that refuses nothing.
    pub fn new(source: FakeSource) -> Self {
        Self {
            source,
            drive: None,
            supported: vec![Provider::S3, Provider::Tigris],
            refusal: Mutex::default(),
            closed: Mutex::default(),
            consent: FakeConsent::default(),
        }
    }

    /// The same with adapters for these providers only.
    #[must_use]
    pub fn supporting(self, supported: &[Provider]) -> Self {
        Self {
            supported: supported.to_vec(),
            ..self
        }
    }

    /// The same with this drive behind connections to Google Drive.
    #[must_use]
    pub fn with_drive(mut self, drive: FakeDrive) -> Self {
        self.drive = Some(drive);
        self.supported.push(Provider::GoogleDrive);
        self
    }

    /// The consent flow of Google Drive, where that is supported.
    pub fn consent_flow(&self) -> FakeConsent {
        self.consent.clone()
    }

    /// Every configuration is refused from now on, or none any more.
    pub fn refuse_configurations(&self, refusal: Option<InvalidInput>) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }

    fn is_drive(&self, provider: Provider) -> bool {
        self.drive.is_some() && provider == Provider::GoogleDrive
    }

    /// Opening fails from now on, or no longer.
    pub fn fail_to_open(&self, failure: Option<Failure>) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}

#[async_trait]
impl ProviderFactory for FakeProviderFactory {
    fn supports(&self, provider: Provider) -> bool {
        self.supported.contains(&provider)
    }

    fn vet(&self, _config: &ProviderConfig) -> Result<(), InvalidInput> {
        let refusal = self
            .refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        refusal.map_or(Ok(()), Err)
    }

    fn vet_source_path(&self, _provider: Provider, source_path: &str) -> Result<(), InvalidInput> {
        if source_path.trim().is_empty() {
            return Err(InvalidInput::one(
                "source_path",
                "missing",
                "must name a bucket",
            ));
        }
        Ok(())
    }

    fn scope(
        &self,
        _provider: Provider,
        source_path: &str,
        filters: &ProviderFilters,
    ) -> Result<String, InvalidInput> {
        let Some(prefix) = &filters.prefix else {
            return Ok(source_path.to_owned());
        };
        let path = BucketPath::parse(source_path, "source_path")?;
        let narrowed = path.narrowed(prefix, "provider_filters.prefix")?;
        Ok(narrowed.to_string())
    }

    fn browses(&self, provider: Provider) -> bool {
        provider == Provider::GoogleDrive
    }

    fn consent(&self, provider: Provider) -> Option<Arc<dyn ConsentFlow>> {
        let drive = provider == Provider::GoogleDrive && self.supports(provider);
        drive.then(|| Arc::new(self.consent.clone()) as Arc<dyn ConsentFlow>)
    }

    fn locate(&self, provider: Provider, source_path: &str, source: &str) -> Option<Located> {
        if self.is_drive(provider) {
            let is_path = source.contains(['/', '.']);
            return (!is_path).then(|| Located {
                object: source.to_owned(),
                in_scope: true,
            });
        }
        let path = BucketPath::parse(source_path, "source_path").ok()?;
        let object = path.locate(source)?;
        Some(Located {
            in_scope: path.covers(&object),
            object,
        })
    }

    fn relative_path<'a>(
        &self,
        provider: Provider,
        source_path: &str,
        entry_path: &'a str,
    ) -> &'a str {
        if self.is_drive(provider) {
            return entry_path;
        }
        BucketPath::parse(source_path, "source_path")
            .map_or(entry_path, |path| path.relative(entry_path))
    }

    fn folder_path<'a>(&self, provider: Provider, entry_path: &'a str) -> &'a str {
        if self.is_drive(provider) {
            let folders = entry_path.rsplit_once('/');
            return folders.map_or("", |(folders, _)| folders);
        }
        BucketPath::folders_of(entry_path)
    }

    fn open(
        &self,
        _connection: &ConnectionId,
        config: &ProviderConfig,
        credentials: Credentials,
        sessions: Arc<dyn Sessions>,
    ) -> Result<OpenProvider, ProviderError> {
        if let Some(failure) = &*self.closed.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(failure.error());
        }
        let is_drive = config.provider() == Provider::GoogleDrive;
        if let Some(drive) = self.drive.as_ref().filter(|_| is_drive) {
            let account = FakeDriveAccount::new(drive.clone(), &credentials, sessions);
            return Ok(Arc::new(account));
        }
        self.source.lock().calls.opens += 1;
        Ok(Arc::new(FakeProvider::new(self.source.clone())))
    }

    async fn setup(
        &self,
        provider: Provider,
        request: &SetupRequest,
    ) -> Result<SetupKit, ProviderError> {
        if !self.supports(provider) {
            let message = format!("there is no adapter for {provider}");
            return Err(ProviderError::permanent(ErrorCode::AdapterMissing, message));
        }
        if let Some(failure) = &*self.closed.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(failure.error());
        }
        let path = request.source_path.as_deref().unwrap_or("everything");
        Ok(SetupKit {
            principal: Some("the fake principal".to_owned()),
            steps: vec![format!("Let the fake principal read {path}.")],
            grants: vec![Grant {
                action: "fake:Read".to_owned(),
                resource: path.to_owned(),
                purpose: "to copy files".to_owned(),
                optional: false,
            }],
            documents: vec![SetupDocument {
                name: "permission_policy",
                format: SetupFormat::Json,
                purpose: "what may be read".to_owned(),
                content: "{}".to_owned(),
            }],
        })
    }
}
