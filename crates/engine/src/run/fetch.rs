//! Copying one file: from the provider into a blob, verified on the way; filtered and mapped by what the file itself tells.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio::time::Instant;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::filter::{self, Verdict};
use wharf_domain::ids::{Alphabet, BucketId, ObjectId, OrganizationId};
use wharf_domain::mapping::{self, Mapped, Mapper};
use wharf_domain::object::{BlobKey, Content, Object, SourceFacts, SourceId};
use wharf_domain::plan::Entry;
use wharf_domain::provider::Provider;
use wharf_domain::run::commit::Put;
use wharf_domain::run::decision::{Extract, Terms};
use wharf_domain::run::machine::{Cause, Event};
use wharf_domain::run::page::{CopyOrder, FileOutcome};
use wharf_domain::run::trouble::Concern;
use wharf_ports::{
    BlobError, ByteStream, FetchWish, Fetched, OpenProvider, ProviderError, StoredBlob,
};

use super::retry::with_retries;
use crate::{Engine, EngineError};

/// A file may arrive as slowly as this many bytes a second …
const SLOWEST: u64 = 1024;
/// … and more slowly for as long as this: a provider that drips must not hold a worker for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// Copies files of one source into one bucket.
pub(super) struct Copier {
    pub(super) engine: Engine,
    pub(super) organization: OrganizationId,
    pub(super) bucket: BucketId,
    pub(super) provider_type: Provider,
    pub(super) provider: OpenProvider,
    /// What is listed.
    pub(super) scope: String,
    pub(super) terms: Terms,
    pub(super) mapper: Option<Arc<Mapper>>,
    pub(super) wish: FetchWish,
}

/// Why one try did not end in an outcome.
enum Failure {
    /// The provider's: trying again may help.
    Provider(ProviderError),
    /// The file's own: it lacks what is required.
    File(ProviderError),
    Ours(EngineError),
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

impl Copier {
    /// Copies one file, trying again what may pass.
    pub(super) async fn copy(&self, order: CopyOrder) -> Event {
        let tried = with_retries(self.engine.ids(), || async {
            // Our own faults and the file's stand in the inner result, since trying again is for the provider's.
            match self.attempt(&order).await {
                Ok(outcome) => Ok(Ok(outcome)),
                Err(Failure::Provider(error)) => Err(error),
                Err(failure) => Ok(Err(failure)),
            }
        });
        let error = match tried.await {
            Ok(Ok(outcome)) => return Event::File(Box::new(order), outcome),
            Ok(Err(Failure::Ours(error))) => return Event::Stopped(super::ours(&error)),
            Ok(Err(Failure::File(error) | Failure::Provider(error))) | Err(error) => error,
        };
        match Concern::of(error.code, error.retry) {
            Concern::Skipped => Event::File(Box::new(order), FileOutcome::Skipped(error.code)),
            Concern::File => self.failed(order, error),
            Concern::Run => Event::Stopped(Cause::Provider(error.into())),
            // Tells a file that the provider cannot deliver from a provider that is away or refuses us.
            Concern::Unclear => match self.provider.list(&self.scope, None, 1).await {
                Ok(_) => self.failed(order, error),
                Err(answer) => Event::Stopped(Cause::Provider(answer.into())),
            },
        }
    }

    fn failed(&self, order: CopyOrder, error: ProviderError) -> Event {
        tracing::warn!(code = %error.code, file = %order.entry.object, "a file could not be copied");
        let outcome = FileOutcome::Failed {
            new_id: self.engine.ids().id(),
            trouble: error.into(),
        };
        Event::File(Box::new(order), outcome)
    }

    /// One try.
    async fn attempt(&self, order: &CopyOrder) -> Result<FileOutcome, Failure> {
        let entry = &order.entry;
        let Fetched {
            bytes,
            content_type,
            mut metadata,
            tags,
            version_id,
        } = self.provider.fetch(entry, self.wish).await?;
        metadata.retain(|_, value| *value != Value::Null);
        let facts = SourceFacts {
            path: entry.path.clone(),
            version: entry.version.clone(),
            modified_at: entry.modified_at,
            version_id,
            metadata,
            tags,
        };
        if let Some(rule) = self.filtered(&facts, content_type.as_deref()) {
            return Ok(FileOutcome::Filtered { rule });
        }
        let mapped = self
            .mapped(&order.extract, &facts, content_type.as_deref())
            .await?;
        let (blob, stored) = self.store(entry, bytes).await?;
        Ok(FileOutcome::Stored(Box::new(Put {
            new_id: self.engine.ids().id(),
            replaces: order.replaces.clone(),
            source: SourceId {
                provider: self.provider_type,
                authority: self.provider.authority(),
                object: entry.object.clone(),
            },
            facts,
            content: Content {
                blob,
                size_bytes: stored.size_bytes,
                content_type,
                sha256: stored.sha256,
            },
            mapped,
            lineage: entry.lineage.clone(),
        })))
    }

    /// The rule that keeps it out for what only the file itself tells.
    fn filtered(&self, facts: &SourceFacts, content_type: Option<&str>) -> Option<String> {
        let facts = filter::Facts {
            relative_path: (self.terms.relative_path)(&facts.path),
            content_type,
            metadata: &facts.metadata,
            tags: &facts.tags,
        };
        match self.terms.rules.by_facts(&facts) {
            Verdict::Keep => None,
            Verdict::Filtered(rule) => Some(rule.as_str().to_owned()),
        }
    }

    async fn mapped(
        &self,
        extract: &Extract,
        facts: &SourceFacts,
        content_type: Option<&str>,
    ) -> Result<Mapped, Failure> {
        let Some(mapper) = &self.mapper else {
            return Ok(Mapped::default());
        };
        let kept = match extract {
            Extract::Anew => None,
            Extract::Keep(id) => self.object(id).await?,
            Extract::IfChanged(id) => self
                .object(id)
                .await?
                .filter(|object| !self.terms.must_extract_again(&object.facts, facts)),
        };
        if let Some(object) = kept {
            return Ok(object.mapped);
        }
        let factory = &self.engine.parts.providers;
        let folder_path = factory.folder_path(self.provider_type, &facts.path);
        let (mapper, folder_path) = (mapper.clone(), folder_path.to_owned());
        let (facts, content_type) = (facts.clone(), content_type.map(str::to_owned));
        // A hostile pattern may take seconds, in which the runtime's own threads have leases to extend.
        let applied = tokio::task::spawn_blocking(move || {
            mapper.apply(&mapping::Facts {
                file_name: facts.path.rsplit('/').next().unwrap_or(&facts.path),
                folder_path: &folder_path,
                content_type: content_type.as_deref(),
                metadata: &facts.metadata,
                tags: &facts.tags,
            })
        });
        let outcome = applied
            .await
            .map_err(|panic| Failure::Ours(EngineError::Internal(panic.into())))?;
        outcome.map_err(|failure| {
            let message = failure.to_string();
            Failure::File(ProviderError::permanent(ErrorCode::MappingFailed, message))
        })
    }

    async fn object(&self, id: &ObjectId) -> Result<Option<Object>, Failure> {
        let objects = &self.engine.repositories().objects;
        let found = objects.find(&self.organization, &self.bucket, id).await;
        found.map_err(|error| Failure::Ours(error.into()))
    }

    /// Stores the bytes under a key of their own.
    async fn store(
        &self,
        entry: &Entry,
        bytes: ByteStream,
    ) -> Result<(BlobKey, StoredBlob), Failure> {
        let token = self.engine.ids().token(Alphabet::Hex, 32);
        let blob = BlobKey::new(&self.organization, &self.bucket, &token);
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
            Err(BlobError::Source(error)) => return Err(error.into()),
            Err(error) => return Err(Failure::Ours(error.into())),
        };
        if expected.is_some_and(|expected| expected != stored.size_bytes) {
            let message = "the file is shorter than the listing told";
            let code = ErrorCode::IntegrityMismatch;
            return Err(ProviderError::transient(code, message).into());
        }
        metrics::counter!("wharf_bytes_copied_total").increment(stored.size_bytes);
        Ok((blob, stored))
    }
}
