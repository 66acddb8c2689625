//! Copying one file: from the provider into a blob, verified on the way.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio::time::Instant;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::ids::{Alphabet, BucketId, OrganizationId};
use wharf_domain::object::{BlobKey, Content, SourceFacts, SourceId};
use wharf_domain::plan::{Entry, Known};
use wharf_domain::provider::Provider;
use wharf_ports::{BlobError, FetchWish, Fetched, OpenProvider, ProviderError, Put};

use super::retry::with_retries;
use super::stop::{Stop, concerns_file_only, is_not_to_be_had};
use crate::{Engine, EngineError};

/// A file may arrive as slowly as this many bytes a second …
const SLOWEST: u64 = 1024;
/// … and more slowly for as long as this: a provider that drips must not hold a worker for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of one file.
pub(super) enum Copied {
    /// Its bytes are in the blob store, ready to be published.
    Stored(Box<Put>),
    /// It was left out: it is gone or changed since it was listed, which the next run sees, or it is not to be had.
    LeftOut(SourceId, ErrorCode),
    /// It could not be copied; the rest of the run goes on.
    Failed(SourceId, ProviderError),
}

impl Copied {
    /// Whether the file was not copied as it was listed, although it may be there.
    pub(super) fn is_unsettled(&self) -> bool {
        matches!(
            self,
            Self::LeftOut(_, ErrorCode::ResourceChanged) | Self::Failed(..)
        )
    }
}

/// Copies files of one source into one bucket.
#[derive(Clone)]
pub(super) struct Copier {
    pub(super) engine: Engine,
    pub(super) organization: OrganizationId,
    pub(super) bucket: BucketId,
    pub(super) provider_type: Provider,
    pub(super) provider: OpenProvider,
    pub(super) source_path: Arc<str>,
}

impl Copier {
    pub(super) fn source_id(&self, object: String) -> SourceId {
        SourceId {
            provider: self.provider_type,
            authority: self.provider.authority(),
            object,
        }
    }

    /// Copies one file, trying again what may pass. Only what concerns the whole run is an error.
    pub(super) async fn copy(self, entry: Entry, known: Option<Known>) -> Result<Copied, Stop> {
        let source = self.source_id(entry.object.clone());
        let copied = with_retries(self.engine.ids(), || self.try_copy(&entry)).await;
        match copied {
            Ok(Ok(put)) => Ok(Copied::Stored(Box::new(Put {
                replaces: known,
                ..put
            }))),
            Ok(Err(error)) => Err(Stop::Ours(error)),
            Err(error) => match error.code {
                ErrorCode::ResourceNotFound | ErrorCode::ResourceChanged => {
                    Ok(Copied::LeftOut(source, error.code))
                }
                code if is_not_to_be_had(code) => Ok(Copied::LeftOut(source, code)),
                code if concerns_file_only(code) => Ok(Copied::Failed(source, error)),
                // Throttling is nobody's fault and passes by leaving the provider alone.
                ErrorCode::QuotaRateLimited | ErrorCode::QuotaExhausted => {
                    Err(Stop::Provider(error))
                }
                _ => self.file_or_provider(source, error).await,
            },
        }
    }

    /// Tells a file that the provider cannot deliver from a provider that is away or refuses us: one small question about
    /// the same source decides.
    async fn file_or_provider(
        &self,
        source: SourceId,
        error: ProviderError,
    ) -> Result<Copied, Stop> {
        match self.provider.list(&self.source_path, None, 1).await {
            Ok(_) => Ok(Copied::Failed(source, error)),
            Err(answer) => Err(Stop::Provider(answer)),
        }
    }

    /// One try. Our own faults stand in the inner result, since trying again is for the provider's.
    async fn try_copy(&self, entry: &Entry) -> Result<Result<Put, EngineError>, ProviderError> {
        let Fetched {
            bytes,
            content_type,
            metadata,
            ..
        } = self.provider.fetch(entry, FetchWish::default()).await?;
        let ids = self.engine.ids();
        let blob = BlobKey::new(
            &self.organization,
            &self.bucket,
            &ids.token(Alphabet::Hex, 32),
        );
        // A file that is larger than listed is not the version that was listed.
        let expected = entry.size_bytes;
        let started = Instant::now();
        let mut received = 0u64;
        let bounded = bytes.map(move |chunk| {
            let chunk = chunk?;
            received += chunk.len() as u64;
            let patience = started.elapsed().saturating_sub(PATIENCE).as_secs();
            if expected.is_some_and(|expected| received > expected) {
                let message = "the file is larger than the listing told";
                let code = ErrorCode::ResourceChanged;
                return Err(ProviderError::permanent(code, message));
            }
            if received < patience * SLOWEST {
                let message = "the file arrives too slowly";
                let code = ErrorCode::NetworkTimeout;
                return Err(ProviderError::transient(code, message));
            }
            Ok(chunk)
        });
        let stored = match self.engine.parts.blobs.put(&blob, bounded.boxed()).await {
            Ok(stored) => stored,
            Err(BlobError::Source(error)) => return Err(error),
            Err(error) => return Ok(Err(error.into())),
        };
        if entry
            .size_bytes
            .is_some_and(|expected| expected != stored.size_bytes)
        {
            let message = "the file is shorter than the listing told";
            return Err(ProviderError::transient(
                ErrorCode::IntegrityMismatch,
                message,
            ));
        }
        metrics::counter!("wharf_bytes_copied_total").increment(stored.size_bytes);
        let mut metadata = metadata;
        metadata.retain(|_, value| *value != Value::Null);
        Ok(Ok(Put {
            new_id: ids.id(),
            replaces: None,
            source: self.source_id(entry.object.clone()),
            facts: SourceFacts {
                path: entry.path.clone(),
                version: entry.version.clone(),
                modified_at: entry.modified_at,
                metadata,
            },
            content: Content {
                blob,
                size_bytes: stored.size_bytes,
                content_type,
                sha256: stored.sha256,
            },
        }))
    }
}
