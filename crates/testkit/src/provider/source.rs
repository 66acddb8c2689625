use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Map, json};
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_domain::{Metadata, Timestamp};
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

    /// One that passes not before that time.
    pub fn after(code: ErrorCode, after: Duration) -> Self {
        Self {
            code,
            retry: Retry::Later { after: Some(after) },
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
    /// Files looked at, failed ones included.
    pub looks: u64,
}

#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) bytes: Bytes,
    pub(super) version: String,
    modified_at: Timestamp,
    unreadable: Option<&'static str>,
    pub(super) content_type: String,
    pub(super) metadata: Metadata,
    pub(super) tags: Metadata,
    pub(super) version_id: Option<String>,
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
            lineage: String::new(),
        }
    }
}

/// What is wrong with the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vice {
    OutOfOrder,
    RepeatsToken,
    CutShort,
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
    looks: HashMap<String, (Failure, Times)>,
    pub(super) denied: Vec<String>,
    pub(super) vice: Option<Vice>,
    report: CheckReport,
    next_reports: VecDeque<CheckReport>,
    before_check: Option<Hook>,
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

    pub(super) fn look_failure(&mut self, object: &str) -> Option<Failure> {
        happening(&mut self.looks, object)
    }

    /// Whether the identity may not look there.
    pub(super) fn denies(&self, object: &str) -> bool {
        self.denied.iter().any(|scope| object.starts_with(scope))
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
            looks: HashMap::new(),
            denied: Vec::new(),
            vice: None,
            report: CheckReport { checks },
            next_reports: VecDeque::new(),
            before_check: None,
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
            build::instant(1_700_000_000_000_000) + Duration::from_secs(inner.versions);
        let file = File {
            bytes: bytes.into(),
            modified_at,
            unreadable: None,
            content_type: "application/octet-stream".to_owned(),
            metadata: Map::from_iter([("etag".to_owned(), json!(version))]),
            tags: Map::new(),
            version_id: None,
            version,
        };
        inner.files.insert(object.to_owned(), file);
    }

    /// Marks a file as one that cannot be copied, such as `resource.archived`.
    pub fn make_unreadable(&self, object: &str, reason: &'static str) {
        self.change(object, |file| file.unreadable = Some(reason));
    }

    /// Gives a file these tags, in the version that it has.
    pub fn set_tags(&self, object: &str, tags: &[(&str, &str)]) {
        self.change(object, |file| file.tags = texts(tags));
    }

    /// Adds these to what a file has of metadata, in the version that it has.
    pub fn set_metadata(&self, object: &str, metadata: &[(&str, &str)]) {
        self.change(object, |file| file.metadata.extend(texts(metadata)));
    }

    /// Says of what type a file is; else it is `application/octet-stream`.
    pub fn set_content_type(&self, object: &str, content_type: &str) {
        self.change(object, |file| {
            content_type.clone_into(&mut file.content_type);
        });
    }

    /// Names the version that a file has.
    pub fn set_version_id(&self, object: &str, version_id: &str) {
        self.change(object, |file| file.version_id = Some(version_id.to_owned()));
    }

    fn change(&self, object: &str, change: impl FnOnce(&mut File)) {
        let mut inner = self.lock();
        let file = inner.files.get_mut(object);
        change(file.unwrap_or_else(|| panic!("there is no file {object:?}")));
    }

    /// Removes a file.
    pub fn remove(&self, object: &str) {
        self.lock().files.remove(object);
    }

    /// Removes such a share of the files, spread over all of them, and answers their names.
    pub fn lose(&self, share: f64) -> Vec<String> {
        let files = &mut self.lock().files;
        let due = |of: u32| (f64::from(of) * share + 1e-6).floor();
        let lost: Vec<String> = (0..)
            .zip(files.keys())
            .filter(|(before, _)| due(before + 1) > due(*before))
            .map(|(_, object)| object.clone())
            .collect();
        for object in &lost {
            files.remove(object);
        }
        lost
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

    /// Looking at that file fails.
    pub fn fail_look(&self, object: &str, failure: Failure, times: Times) {
        let looks = &mut self.lock().looks;
        looks.insert(object.to_owned(), (failure, times));
    }

    /// The identity may not look at files whose names begin so: the first page of a listing says that, no page shows any of
    /// them, and to ask for one is denied.
    pub fn deny_scope(&self, prefix: &str) {
        self.lock().denied.push(prefix.to_owned());
    }

    /// Listings come in an order of no meaning from now on, the same every time.
    pub fn list_out_of_order(&self) {
        self.lock().vice = Some(Vice::OutOfOrder);
    }

    /// The second page of a listing names itself as the next one from now on, and nobody notices.
    pub fn repeat_token(&self) {
        self.lock().vice = Some(Vice::RepeatsToken);
    }

    /// A page that others follow does not say how to go on from now on, which is noticed: listing it is an error.
    pub fn truncate_without_token(&self) {
        self.lock().vice = Some(Vice::CutShort);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        let mut inner = self.lock();
        inner.looks.clear();
        inner.denied.clear();
        inner.vice = None;
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

    /// Runs this before every test of the connection.
    pub fn before_check<F: Future<Output = ()> + Send + 'static>(
        &self,
        hook: impl Fn() -> F + Send + Sync + 'static,
    ) {
        self.lock().before_check = Some(Arc::new(move |_| hook().boxed()));
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

    pub(super) async fn about_to_check(&self) {
        let hook = self.lock().before_check.clone();
        if let Some(hook) = hook {
            hook(String::new()).await;
        }
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

fn texts(pairs: &[(&str, &str)]) -> Metadata {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect()
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
