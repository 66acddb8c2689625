use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use wharf_domain::Timestamp;
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_ports::{ProviderError, Retry};

use crate::build;

/// A failure that can happen more than once.
#[derive(Debug, Clone)]
pub struct Failure {
    code: ErrorCode,
    retry: Retry,
}

impl Failure {
    /// One that stays until a person acts.
    pub fn permanent(code: ErrorCode) -> Self {
        Self {
            code,
            retry: Retry::Never,
        }
    }

    /// One that may pass.
    pub fn transient(code: ErrorCode) -> Self {
        Self {
            code,
            retry: Retry::Later { after: None },
        }
    }

    /// The cursor is no longer valid.
    pub fn restart() -> Self {
        Self {
            code: ErrorCode::ResourceChanged,
            retry: Retry::Restart,
        }
    }

    pub(super) fn error(&self) -> ProviderError {
        ProviderError {
            code: self.code,
            retry: self.retry,
            message: "as the test wished".to_owned(),
            source: None,
        }
    }
}

/// How often something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The next time only.
    Once,
    /// Every time.
    Always,
}

/// What happens to the bytes of a file.
#[derive(Debug, Clone)]
pub(super) enum Mishap {
    Refused(Failure),
    Cut { after: usize },
    Corrupt,
}

/// What the provider was asked so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// Times it was opened.
    pub opens: u64,
    /// Tests of the connection.
    pub checks: u64,
    /// Those among them that were given a source path.
    pub checks_of_path: u64,
    /// Pages listed, failed ones included.
    pub lists: u64,
    /// Files fetched, failed ones included.
    pub fetches: u64,
}

#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) bytes: Bytes,
    pub(super) version: String,
    modified_at: Timestamp,
    unreadable: Option<&'static str>,
}

impl File {
    pub(super) fn entry(&self, object: &str) -> Entry {
        Entry {
            object: object.to_owned(),
            path: object.to_owned(),
            version: self.version.clone(),
            size_bytes: Some(self.bytes.len() as u64),
            modified_at: Some(self.modified_at),
            unreadable: self.unreadable,
        }
    }
}

type Hook = Arc<dyn Fn(String) -> BoxFuture<'static, ()> + Send + Sync>;

pub(super) struct Inner {
    pub(super) authority: String,
    pub(super) files: BTreeMap<String, File>,
    pub(super) page_size: usize,
    /// Cursors carry it; one with another epoch is no longer valid.
    pub(super) cursor_epoch: u64,
    pub(super) calls: Calls,
    versions: u64,
    pages: HashMap<usize, (Failure, Times)>,
    mishaps: HashMap<String, (Mishap, Times)>,
    report: CheckReport,
    next_reports: VecDeque<CheckReport>,
    before_list: Option<Hook>,
    before_fetch: Option<Hook>,
}

impl Inner {
    pub(super) fn page_failure(&mut self, page: usize) -> Option<Failure> {
        happening(&mut self.pages, &page)
    }

    pub(super) fn mishap(&mut self, object: &str) -> Option<Mishap> {
        happening(&mut self.mishaps, object)
    }

    pub(super) fn report(&mut self) -> CheckReport {
        self.next_reports
            .pop_front()
            .unwrap_or_else(|| self.report.clone())
    }
}

/// What happens now under that key; what happens once is over then.
fn happening<K, Q, T>(planned: &mut HashMap<K, (T, Times)>, key: &Q) -> Option<T>
where
    K: std::borrow::Borrow<Q> + std::hash::Hash + Eq,
    Q: std::hash::Hash + Eq + ?Sized,
    T: Clone,
{
    let (what, times) = planned.get(key)?.clone();
    if times == Times::Once {
        planned.remove(key);
    }
    Some(what)
}

/// The files at a fake provider, and what goes wrong with them. Clones share it; a test holds one and the provider
/// another.
#[derive(Clone)]
pub struct FakeSource(Arc<Mutex<Inner>>);

impl FakeSource {
    /// A source without files, whose pages hold 1000 and whose every test passes.
    pub fn new() -> Self {
        let checks = ["configuration", "connection", "sign_in"]
            .map(|name| Check::passed(name, 1))
            .to_vec();
        Self(Arc::new(Mutex::new(Inner {
            authority: build::AUTHORITY.to_owned(),
            files: BTreeMap::new(),
            page_size: 1000,
            cursor_epoch: 0,
            calls: Calls::default(),
            versions: 0,
            pages: HashMap::new(),
            mishaps: HashMap::new(),
            report: CheckReport { checks },
            next_reports: VecDeque::new(),
            before_list: None,
            before_fetch: None,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a file, in a version of its own.
    pub fn put(&self, object: &str, bytes: impl Into<Bytes>) {
        let mut inner = self.lock();
        inner.versions += 1;
        let version = format!("v{}", inner.versions);
        let modified_at =
            build::instant(1_700_000_000_000_000) + std::time::Duration::from_secs(inner.versions);
        let file = File {
            bytes: bytes.into(),
            version,
            modified_at,
            unreadable: None,
        };
        inner.files.insert(object.to_owned(), file);
    }

    /// Marks a file as one that cannot be copied, such as `resource.archived`.
    pub fn make_unreadable(&self, object: &str, reason: &'static str) {
        if let Some(file) = self.lock().files.get_mut(object) {
            file.unreadable = Some(reason);
        }
    }

    /// Removes a file.
    pub fn remove(&self, object: &str) {
        self.lock().files.remove(object);
    }

    /// The files, by name.
    pub fn files(&self) -> BTreeMap<String, Bytes> {
        self.lock()
            .files
            .iter()
            .map(|(object, file)| (object.clone(), file.bytes.clone()))
            .collect()
    }

    /// Files are identified under this account or endpoint from now on.
    pub fn set_authority(&self, authority: &str) {
        authority.clone_into(&mut self.lock().authority);
    }

    /// Pages hold so many files from now on.
    pub fn set_page_size(&self, files: usize) {
        self.lock().page_size = files.max(1);
    }

    /// No cursor given out so far is valid any more.
    pub fn expire_cursors(&self) {
        self.lock().cursor_epoch += 1;
    }

    /// Listing that page fails; the first page is number 1.
    pub fn fail_page(&self, page: usize, failure: Failure, times: Times) {
        self.lock().pages.insert(page, (failure, times));
    }

    /// Fetching that file fails before the first byte.
    pub fn fail_fetch(&self, object: &str, failure: Failure, times: Times) {
        self.plan(object, Mishap::Refused(failure), times);
    }

    /// The bytes of that file end with an error after so many.
    pub fn cut(&self, object: &str, after: usize, times: Times) {
        self.plan(object, Mishap::Cut { after }, times);
    }

    /// The bytes of that file arrive changed, which the provider notices at their end.
    pub fn corrupt(&self, object: &str, times: Times) {
        self.plan(object, Mishap::Corrupt, times);
    }

    fn plan(&self, object: &str, mishap: Mishap, times: Times) {
        self.lock()
            .mishaps
            .insert(object.to_owned(), (mishap, times));
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        let mut inner = self.lock();
        inner.pages.clear();
        inner.mishaps.clear();
    }

    /// Every test of the connection has this outcome from now on.
    pub fn set_report(&self, report: CheckReport) {
        self.lock().report = report;
    }

    /// The next test of the connection has this outcome; may be said several times, for several tests.
    pub fn next_report(&self, report: CheckReport) {
        self.lock().next_reports.push_back(report);
    }

    /// Runs this before every page is listed; it is told the source path.
    pub fn before_list<F: Future<Output = ()> + Send + 'static>(
        &self,
        hook: impl Fn(String) -> F + Send + Sync + 'static,
    ) {
        self.lock().before_list = Some(Arc::new(move |path| hook(path).boxed()));
    }

    /// Runs this before every file is fetched; it is told the file's name.
    pub fn before_fetch<F: Future<Output = ()> + Send + 'static>(
        &self,
        hook: impl Fn(String) -> F + Send + Sync + 'static,
    ) {
        self.lock().before_fetch = Some(Arc::new(move |object| hook(object).boxed()));
    }

    pub(super) async fn about_to_list(&self, path: &str) {
        let hook = self.lock().before_list.clone();
        if let Some(hook) = hook {
            hook(path.to_owned()).await;
        }
    }

    pub(super) async fn about_to_fetch(&self, object: &str) {
        let hook = self.lock().before_fetch.clone();
        if let Some(hook) = hook {
            hook(object.to_owned()).await;
        }
    }

    /// What the provider was asked so far.
    pub fn calls(&self) -> Calls {
        self.lock().calls
    }

    /// Counts from nothing again.
    pub fn forget_calls(&self) {
        self.lock().calls = Calls::default();
    }
}

impl Default for FakeSource {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FakeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeSource")
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}
