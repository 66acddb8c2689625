use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use thiserror::Error;
use wharf_domain::check::CheckReport;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::filter::ProviderFilters;
use wharf_domain::ids::ConnectionId;
use wharf_domain::input::InvalidInput;
use wharf_domain::plan::Entry;
use wharf_domain::provider::{Credentials, Provider, ProviderConfig};
use wharf_domain::run::feed::{ChangesPage, Fate, MissingRow};
use wharf_domain::run::trouble::Trouble;
use wharf_domain::secret::SecretString;
use wharf_domain::setup::{SetupKit, SetupRequest};
use wharf_domain::sync::Cursor;
use wharf_domain::{Metadata, Timestamp};

pub use wharf_domain::run::page::ListingPage;
pub use wharf_domain::run::trouble::Retry;

use crate::{ConsentFlow, Sessions, Source};

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

/// A file or folder that a person may browse.
#[derive(Debug, Clone, PartialEq)]
pub struct Browsed {
    /// The provider's identity of it; a source path may name it by that.
    pub id: String,
    /// Its name, as it is.
    pub name: String,
    /// Where it lies, from the root that was browsed on, with a slash first; names that contain one have it replaced.
    pub path: String,
    /// Its type, in the provider's own terms.
    pub mime_type: String,
    /// Its size, if it has one.
    pub size_bytes: Option<u64>,
    /// When it was last modified, if that is told.
    pub modified_at: Option<Timestamp>,
    /// Its address for a browser, if it has one.
    pub web_view_link: Option<String>,
}

/// What a person looks for at a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Browse {
    /// The folders in a folder.
    Folders,
    /// The files in a folder.
    Files,
}

/// A channel that a provider is to push news of changes to.
#[derive(Debug)]
pub struct WatchRequest<'a> {
    /// Our name of it, of letters, digits and `-`.
    pub channel: &'a str,
    /// The HTTPS address that is called.
    pub address: &'a str,
    /// The word that the provider repeats with every call.
    pub token: &'a SecretString,
    /// How long it should live; the provider may make it shorter.
    pub ttl: Duration,
}

/// A channel that a provider pushes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watching {
    /// The provider's name of what is watched; needed to end it.
    pub resource: String,
    /// When it ends by itself.
    pub expires_at: Timestamp,
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

    /// Whom the provider counts requests against, where several connections may share it, such as a user of an application:
    /// their requests are paced together. `None` where each connection stands for itself.
    fn quota_account(&self) -> Option<String> {
        None
    }

    /// Where the provider's feed of changes in `source_path` stands now; `None` where it keeps none. What changes from here on is told
    /// by [`changes`](Self::changes), even while a listing that begins now goes on.
    async fn feed_start(&self, source_path: &str) -> Result<Option<Cursor>, ProviderError> {
        let _ = source_path;
        Ok(None)
    }

    /// One page of what has changed in `source_path` since an earlier place: about `limit` entries, and never more than 1000 of them.
    /// `Retry::Restart` when the place is no longer valid, or when only a listing of everything can tell. Access that was lost as a
    /// whole, to the drive or the root, is an error, and no change.
    async fn changes(
        &self,
        source_path: &str,
        cursor: &Cursor,
        limit: u32,
    ) -> Result<ChangesPage, ProviderError> {
        let _ = (source_path, cursor, limit);
        Err(ProviderError {
            code: ErrorCode::CursorExpired,
            retry: Retry::Restart,
            message: "the provider keeps no feed of changes".to_owned(),
            source: None,
        })
    }

    /// What became of files that a complete listing of `source_path` did not name: one answer each, in their order. Asked only of
    /// providers whose listings hide what we may not see.
    async fn trace(
        &self,
        source_path: &str,
        missing: &[MissingRow],
    ) -> Result<Vec<Fate>, ProviderError> {
        let _ = source_path;
        Ok(vec![Fate::Gone; missing.len()])
    }

    /// At most `limit` files or folders in the folder at `path` (names from the root on, or an identity); none where there is no
    /// such folder. Asked only where the [factory](ProviderFactory::browses) says so.
    async fn browse(
        &self,
        what: Browse,
        path: &str,
        limit: u32,
    ) -> Result<Vec<Browsed>, ProviderError> {
        let _ = (what, path, limit);
        Ok(Vec::new())
    }

    /// The identities of the files at a path from `source_path` on: several where names may repeat. None where there is no such
    /// file, or where a path needs no asking ([`ProviderFactory::locate`]).
    async fn find(&self, source_path: &str, path: &str) -> Result<Vec<String>, ProviderError> {
        let _ = (source_path, path);
        Ok(Vec::new())
    }

    /// Asks the provider to push news of changes in `source_path`; `None` where it cannot.
    async fn watch(
        &self,
        source_path: &str,
        request: &WatchRequest<'_>,
    ) -> Result<Option<Watching>, ProviderError> {
        let _ = (source_path, request);
        Ok(None)
    }

    /// Ends a channel. One that has ended already is no error.
    async fn unwatch(&self, channel: &str, resource: &str) -> Result<(), ProviderError> {
        let _ = (channel, resource);
        Ok(())
    }

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

    /// What to list when a sync's source path is narrowed and shaped by the provider's own filters. A prefix keeps to what lies in
    /// its folder and has a [`relative_path`](Self::relative_path) that starts with it: plain text, not a folder. Without filters
    /// that is the source path itself. The answer stands for `source_path` in every question of [`StorageProvider`]; paths in the
    /// error start at `provider_filters`.
    fn scope(
        &self,
        provider: Provider,
        source_path: &str,
        filters: &ProviderFilters,
    ) -> Result<String, InvalidInput>;

    /// Whether its accounts can be browsed.
    fn browses(&self, provider: Provider) -> bool {
        let _ = provider;
        false
    }

    /// The provider's own consent flow, where it has one.
    fn consent(&self, provider: Provider) -> Option<Arc<dyn ConsentFlow>> {
        let _ = provider;
        None
    }

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
    /// names our sessions in the provider's own audit trail, where it has one. Providers that sign in for a token share it through
    /// `sessions`.
    fn open(
        &self,
        connection: &ConnectionId,
        config: &ProviderConfig,
        credentials: Credentials,
        sessions: Arc<dyn Sessions>,
    ) -> Result<OpenProvider, ProviderError>;

    /// What the other side must grant. `adapter.missing` for a provider without an adapter. May ask the provider who we are.
    async fn setup(
        &self,
        provider: Provider,
        request: &SetupRequest,
    ) -> Result<SetupKit, ProviderError>;
}
