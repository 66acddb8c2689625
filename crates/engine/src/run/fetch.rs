//! Copying one file: from the provider into a blob, verified on the way.

use futures::StreamExt;
use serde_json::Value;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::ids::{Alphabet, BucketId, OrganizationId};
use wharf_domain::object::{BlobKey, Content, SourceFacts, SourceId};
use wharf_domain::plan::Entry;
use wharf_domain::provider::Provider;
use wharf_ports::{BlobError, Fetched, OpenProvider, ProviderError, Put};

use super::attempt::Stop;
use super::retry::with_retries;
use crate::{Engine, EngineError};

/// What became of one file.
pub(super) enum Copied {
    /// Its bytes are in the blob store, ready to be published.
    Stored(Box<Put>),
    /// It is gone or changed since it was listed; the next run sees what it is then.
    Moved(SourceId, ErrorCode),
    /// It could not be copied; the rest of the run goes on.
    Failed(SourceId, ErrorCode),
}

/// Copies files of one source into one bucket.
#[derive(Clone)]
pub(super) struct Copier {
    pub(super) engine: Engine,
    pub(super) organization: OrganizationId,
    pub(super) bucket: BucketId,
    pub(super) provider_type: Provider,
    pub(super) provider: OpenProvider,
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
    pub(super) async fn copy(self, entry: Entry) -> Result<Copied, Stop> {
        let source = self.source_id(entry.object.clone());
        let copied = with_retries(self.engine.ids(), || self.try_copy(&entry));
        match copied.await {
            Ok(Ok(put)) => Ok(Copied::Stored(Box::new(put))),
            Ok(Err(error)) => Err(Stop::Ours(error)),
            Err(error) => match error.code {
                ErrorCode::ResourceNotFound | ErrorCode::ResourceChanged => {
                    Ok(Copied::Moved(source, error.code))
                }
                code if concerns_file_only(code) => Ok(Copied::Failed(source, code)),
                _ => Err(Stop::Provider(error)),
            },
        }
    }

    /// One try. Our own faults stand in the inner result, since trying again is for the provider's.
    async fn try_copy(&self, entry: &Entry) -> Result<Result<Put, EngineError>, ProviderError> {
        let Fetched {
            bytes,
            content_type,
            metadata,
        } = self.provider.fetch(entry).await?;
        let ids = self.engine.ids();
        let blob = BlobKey::new(
            &self.organization,
            &self.bucket,
            &ids.token(Alphabet::Hex, 32),
        );
        // A file that is larger than listed is not the version that was listed.
        let expected = entry.size_bytes;
        let mut received = 0u64;
        let bounded = bytes.map(move |chunk| {
            let chunk = chunk?;
            received += chunk.len() as u64;
            match expected {
                Some(expected) if received > expected => Err(ProviderError::permanent(
                    ErrorCode::ResourceChanged,
                    "the file is larger than the listing told",
                )),
                _ => Ok(chunk),
            }
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

/// Whether a failure to copy speaks about that file alone.
fn concerns_file_only(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::PermDenied
            | ErrorCode::ResourceArchived
            | ErrorCode::IntegrityMismatch
            | ErrorCode::ProtocolUnexpectedResponse
            | ErrorCode::ConfigInvalid
    )
}
