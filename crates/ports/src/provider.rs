use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use thiserror::Error;
use wharf_domain::Metadata;
use wharf_domain::check::CheckReport;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::ids::ConnectionId;
use wharf_domain::input::InvalidInput;
use wharf_domain::plan::Entry;
use wharf_domain::provider::{Credentials, Provider, ProviderConfig};
use wharf_domain::run::trouble::Trouble;
use wharf_domain::setup::{SetupKit, SetupRequest};
use wharf_domain::sync::Cursor;

pub use wharf_domain::run::page::ListingPage;
pub use wharf_domain::run::trouble::Retry;

use crate::Source;

/// A stream of bytes that ends with an error unless every byte arrived and was verified.
pub type ByteStream = BoxStream<'static, Result<Bytes, ProviderError>>;

/// Why a provider could not do what it was asked. The message is ours; the provider's text never gets in.
#[derive(Debug, Error)]
#[error("{code}: {message}")]
pub struct ProviderError {
    /// What went wrong.
    pub code: ErrorCode,
    /// Whether to try again.
    pub retry: Retry,
    /// What happened, for a person: names actions, hosts and paths, never a secret.
    pub message: String,
    /// The cause, for logs at debug level.
    #[source]
    pub source: Option<Source>,
}

impl ProviderError {
    /// An error that stays until a person acts.
    pub fn permanent(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            retry: Retry::Never,
            message: message.into(),
            source: None,
        }
    }

    /// An error that may pass.
    pub fn transient(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            retry: Retry::Later { after: None },
            message: message.into(),
            source: None,
        }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl From<ProviderError> for Trouble {
    fn from(error: ProviderError) -> Self {
        Self {
            code: error.code,
            retry: error.retry,
            message: error.message,
        }
    }
}

/// What a fetch should bring beside the bytes, each of which may cost a call of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FetchWish {
    /// The tags of the file.
    pub tags: bool,
}

/// A file whose bytes are on their way.
pub struct Fetched {
    /// The bytes. The stream ends with an error if they are cut short or do not match the provider's checksum.
    pub bytes: ByteStream,
    /// Their type, if the provider knows it.
    pub content_type: Option<String>,
    /// The provider's metadata of the file, as texts. What a person attached has names of its own (on S3
    /// `x-amz-meta-<name>`, in lower case), so that it never passes for the provider's.
    pub metadata: Metadata,
    /// The tags of the file, key to text. Empty unless wished, and where the provider has no such thing.
    pub tags: Metadata,
    /// The provider's name of the version that these bytes are, where it keeps versions.
    pub version_id: Option<String>,
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetched")
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}

/// What the provider tells of one file that it was asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct Looked {
    /// The file as a listing would tell of it: the same identity, path, version, size, time and reason not to be copied.
    pub entry: Entry,
    /// Its type, if the provider knows it.
    pub content_type: Option<String>,
    /// The provider's metadata of the file, as in [`Fetched`].
    pub metadata: Metadata,
    /// The provider's name of its present version, where it keeps versions.
    pub version_id: Option<String>,
}

/// A file that a person named, as this provider identifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The provider's identity of the file, as an entry has it.
    pub object: String,
    /// Whether it lies under the source path.
    pub in_scope: bool,
}

/// What a check is asked to look at.
#[derive(Debug, Clone, Copy)]
pub struct CheckRequest<'a> {
    /// A sync's source path, vetted: whether it can be listed and read is checked, too.
    pub source_path: Option<&'a str>,
    /// How long the whole check may take. What does not fit in is reported as skipped, and the check that was under way as
    /// failed with `network.timeout`.
    pub budget: Duration,
}

/// One account at a storage provider, opened with credentials.
#[async_trait]
pub trait StorageProvider: Send + Sync {
    /// The account or endpoint that files are identified under; the same for equal configurations.
    fn authority(&self) -> String;

    /// Tests claim by claim that the connection works. Never fails: failures are outcomes in the report. Signs in anew, even
    /// where an earlier sign-in would still hold.
    async fn check(&self, request: CheckRequest<'_>) -> CheckReport;

    /// One page of the files under `source_path`, or in a [`scope`](ProviderFactory::scope), from the start or from a cursor
    /// of an earlier page: at most `limit` entries, and never more than 1000. A page that cannot be trusted (cut short, without
    /// a mark of continuation, repeating itself) is an error, never a last page. `Retry::Restart` when the cursor is no longer
    /// valid.
    async fn list(
        &self,
        source_path: &str,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<ListingPage, ProviderError>;

    /// The bytes of an entry, in the version that the listing told of; `resource.changed` when it has changed since,
    /// `resource.not_found` when it is gone, `resource.archived`, `object.customer_key` or `object.requester_pays` when it is
    /// there but not to be had. A stream that breaks is taken up again where it broke, in the same version. Opening errors
    /// come from the call, later ones through the stream. Wished tags are those of the file as it is now; if they may not be
    /// read, that is an error, and if the provider has no such thing, there are none.
    async fn fetch(&self, entry: &Entry, wish: FetchWish) -> Result<Fetched, ProviderError>;

    /// One cheap question about one file, by the identity that an entry of a listing of `source_path` has. `None` when the
    /// provider says that there is no such file, or only what a listing leaves out; that we may not know is an error.
    async fn look(&self, source_path: &str, object: &str) -> Result<Option<Looked>, ProviderError>;
}

/// A provider that was opened.
pub type OpenProvider = Arc<dyn StorageProvider>;

/// Opens providers. One factory stands for all providers that this server has adapters for.
#[async_trait]
pub trait ProviderFactory: Send + Sync {
    /// Whether there is an adapter.
    fn supports(&self, provider: Provider) -> bool;

    /// Refuses a configuration that this server will never connect to, such as an endpoint that the operator has not
    /// opened, without dialling anything. Paths in the errors start at `provider_config`.
    fn vet(&self, config: &ProviderConfig) -> Result<(), InvalidInput>;

    /// Reads a sync's source path for this provider; the path in the error is `source_path`.
    fn vet_source_path(&self, provider: Provider, source_path: &str) -> Result<(), InvalidInput>;

    /// What to list when a sync's source path is narrowed to what lies in its folder and has a
    /// [`relative_path`](Self::relative_path) that starts with the prefix: plain text, not a folder. Without a prefix that is
    /// the source path itself. The answer is for [`StorageProvider::list`] alone; the path in the error is
    /// `provider_filters.prefix`.
    fn scope(
        &self,
        provider: Provider,
        source_path: &str,
        filter_prefix: Option<&str>,
    ) -> Result<String, InvalidInput>;

    /// Reads what a person typed as a file: its identity, its address, or its path from the source path on. Dials nothing;
    /// `None` where no such file can be.
    fn locate(&self, provider: Provider, source_path: &str, source: &str) -> Option<Located>;

    /// The path of an entry from the sync's source path on; the whole path of one that lies elsewhere.
    fn relative_path<'a>(
        &self,
        provider: Provider,
        source_path: &str,
        entry_path: &'a str,
    ) -> &'a str;

    /// The folders that an entry lies in, below the bucket or drive: without the file's name, and without `/` at either end.
    fn folder_path<'a>(&self, provider: Provider, entry_path: &'a str) -> &'a str;

    /// Opens an account. Dials nothing yet. `config.invalid` when the parts do not fit together. The connection's identifier
    /// names our sessions in the provider's own audit trail, where it has one.
    fn open(
        &self,
        connection: &ConnectionId,
        config: &ProviderConfig,
        credentials: Credentials,
    ) -> Result<OpenProvider, ProviderError>;

    /// What the other side must grant. `adapter.missing` for a provider without an adapter. May ask the provider who we are.
    async fn setup(
        &self,
        provider: Provider,
        request: &SetupRequest,
    ) -> Result<SetupKit, ProviderError>;
}
