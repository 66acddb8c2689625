//! A provider's other side: where a test puts the files that the provider shows.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::LocalBoxFuture;
use wharf_domain::error_code::ErrorCode;
use wharf_ports::OpenProvider;

use crate::harness::runtime;

/// An empty scope at a provider, for one promise.
#[async_trait]
pub trait Place: Send + Sync {
    /// The source path that the files lie under.
    fn scope(&self) -> String;

    /// A source path at the same provider that leads nowhere.
    fn missing_scope(&self) -> String;

    /// The path that the provider shows for a file of the scope.
    fn path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.scope())
    }

    /// The source path of a folder of the scope.
    fn scope_of(&self, folder: &str) -> String {
        self.path_of(folder)
    }

    /// The path that the provider shows for a file of a folder when that folder is the source path.
    fn path_in(&self, folder: &str, name: &str) -> String {
        self.path_of(&format!("{folder}/{name}"))
    }

    /// How it is told that the credentials are no longer valid.
    fn told_of_expiry(&self) -> ErrorCode {
        ErrorCode::AuthExpired
    }

    /// Opens the account anew, as after a restart.
    fn open(&self) -> OpenProvider;

    /// Opens it with credentials that the provider does not know.
    fn open_with_wrong_credentials(&self) -> OpenProvider;

    /// Puts a file into the scope, in the place of one that has the name. A `/` in it makes folders. `false` when there can be
    /// no file of that name here.
    async fn put(&self, name: &str, bytes: &[u8]) -> bool;

    /// The same with what a person attaches to a file. `false` when nothing of the kind can be attached here.
    async fn put_with(&self, name: &str, bytes: &[u8], attached: &Attached<'_>) -> bool;

    /// The key under which the provider shows metadata that was attached under this name.
    fn metadata_key(&self, name: &str) -> String;

    /// From now on, every version of a file has a name of its own. `false` when versions have none here.
    async fn name_versions(&self) -> bool;

    /// Takes a file away.
    async fn remove(&self, name: &str);
}

/// What a person attaches to a file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attached<'a> {
    /// Its type.
    pub content_type: Option<&'a str>,
    /// Texts by name.
    pub metadata: &'a [(&'a str, &'a str)],
    /// Tags, key and value.
    pub tags: &'a [(&'a str, &'a str)],
}

/// A place that misbehaves on command.
#[async_trait]
pub trait UnrulyPlace: Place {
    /// From now on, this goes wrong, and nothing else.
    async fn misbehave(&self, mishap: Mishap);

    /// Nothing goes wrong any more.
    async fn behave(&self);
}

/// What goes wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mishap {
    /// Everything is refused because there was too much of it, with the wish to be left alone for so long.
    Throttled(Duration),
    /// Nothing works on the other side.
    Unavailable,
    /// Connections break before an answer.
    Disconnected,
    /// The credentials are no longer valid.
    CredentialsExpired,
    /// Nobody may list.
    ListingDenied,
    /// Pages of a listing stop before their end, without a word on how to go on.
    ListingCutShort,
    /// Pages of a listing lead to themselves.
    ListingRepeated,
    /// The first page of a listing is empty, and more follow.
    EmptyFirstPage,
    /// Pages hold one file at most, whatever was asked.
    ShortPages,
    /// Cursors of earlier pages lead nowhere.
    CursorsExpired,
    /// A file may be listed, but not be read.
    FileDenied(String),
    /// A byte of a file is another one than it was.
    ByteChanged {
        /// The file.
        name: String,
        /// Which byte.
        at: usize,
    },
    /// The next answer with a file's bytes breaks off.
    CutOnce {
        /// The file.
        name: String,
        /// After how many bytes.
        after: usize,
    },
    /// Every answer with a file's bytes breaks off at once.
    CutAlways {
        /// The file.
        name: String,
    },
}

/// Runs one promise of a provider on a runtime of several threads.
pub fn keep_provider<P: ?Sized>(
    place: impl AsyncFnOnce() -> Box<P>,
    promise: impl AsyncFnOnce(Box<P>),
) {
    runtime().block_on(async { promise(place().await).await });
}

/// A promise of a provider and the name of its test.
#[derive(Clone, Copy)]
pub struct ProviderPromise {
    /// `<group>::<promise>`
    pub name: &'static str,
    pub(crate) promise: fn(Box<dyn UnrulyPlace>) -> LocalBoxFuture<'static, ()>,
}

impl ProviderPromise {
    /// Whether it is kept; prints what is wrong when it is not, as a failing test does.
    pub fn is_kept(&self, place: impl AsyncFnOnce() -> Box<dyn UnrulyPlace>) -> bool {
        let promise = self.promise;
        catch_unwind(AssertUnwindSafe(|| {
            keep_provider(place, async move |place| promise(place).await);
        }))
        .is_ok()
    }
}

impl fmt::Debug for ProviderPromise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
