//! A provider with folders, a feed of changes and sign-ins, that is a map of files and counts what it is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::json;
use wharf_domain::Metadata;
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_domain::provider::Credentials;
use wharf_domain::run::feed::{Absent, ChangesPage, Fate, MissingRow};
use wharf_domain::secret::SecretString;
use wharf_domain::sync::Cursor;
use wharf_ports::{
    CheckRequest, Clock, FetchWish, Fetched, ListingPage, Looked, ProviderError, Retry, Sessions,
    StorageProvider, Taken, TokenWish, WatchRequest, Watching,
};

use super::source::Failure;

/// The folder that is read.
const ROOT: &str = "root";

/// How long an access token lives.
const TOKEN: Duration = Duration::from_hours(1);

/// What a fake drive was asked, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Where the feed stands.
    FeedStart,
    /// A page of all files.
    List,
    /// A page of the feed.
    Changes,
    /// What became of files.
    Trace,
    /// One file.
    Look,
    /// The bytes of a file.
    Fetch,
    /// To push news.
    Watch,
    /// To end a channel.
    Unwatch,
}

/// How its sign-ins went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignIns {
    /// Access tokens given.
    pub granted: u64,
    /// Refused for a refresh token that was worth nothing.
    pub refused: u64,
    /// Most that were under way at once.
    pub at_once: u64,
}

/// A channel that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// The address that is to be called.
    pub address: String,
    /// The word that authenticates the call.
    pub word: String,
}

#[derive(Clone)]
struct Item {
    parent: String,
    name: String,
    /// The bytes of a file and their version; nothing of a folder.
    content: Option<(Bytes, u64)>,
    trashed: bool,
    hidden: bool,
}

struct Inner {
    items: BTreeMap<String, Item>,
    /// When each was last told of.
    changed: BTreeMap<String, u64>,
    changes: u64,
    feed_epoch: u64,
    page_size: usize,
    failing: BTreeMap<String, Failure>,
    asked: Vec<Asked>,
    channels: Vec<Channel>,
    sign_ins: SignIns,
    signing_in: u64,
    refresh_token: String,
    rotates: bool,
    tokens: BTreeSet<String>,
    check_failure: Option<ErrorCode>,
}

/// Files and folders at a fake provider of the kind of Google Drive. Clones share it; a test holds one and the provider another.
#[derive(Clone)]
pub struct FakeDrive {
    inner: Arc<Mutex<Inner>>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for FakeDrive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeDrive").finish_non_exhaustive()
    }
}

impl FakeDrive {
    /// An empty one, whose refresh token is `refresh-0`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let inner = Inner {
            items: BTreeMap::new(),
            changed: BTreeMap::new(),
            changes: 0,
            feed_epoch: 0,
            page_size: 1000,
            failing: BTreeMap::new(),
            asked: Vec::new(),
            channels: Vec::new(),
            sign_ins: SignIns::default(),
            signing_in: 0,
            refresh_token: "refresh-0".to_owned(),
            rotates: false,
            tokens: BTreeSet::new(),
            check_failure: None,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            clock,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a folder; `root` is the outermost that is read, and there.
    pub fn folder(&self, id: &str, parent: &str) {
        self.insert(id, parent, id, None);
    }

    /// Stores a file under a name, in a version of its own.
    pub fn put(&self, id: &str, parent: &str, name: &str, bytes: &str) {
        let version = self.lock().changes + 1;
        let content = (Bytes::from(bytes.to_owned()), version);
        self.insert(id, parent, name, Some(content));
    }

    fn insert(&self, id: &str, parent: &str, name: &str, content: Option<(Bytes, u64)>) {
        let item = Item {
            parent: parent.to_owned(),
            name: name.to_owned(),
            content,
            trashed: false,
            hidden: false,
        };
        let mut inner = self.lock();
        inner.items.insert(id.to_owned(), item);
        inner.tell(id);
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Item)) {
        let mut inner = self.lock();
        let item = inner.items.get_mut(id);
        change(item.unwrap_or_else(|| panic!("there is no {id:?}")));
        inner.tell(id);
    }

    /// Gives it another name.
    pub fn rename(&self, id: &str, name: &str) {
        self.change(id, |item| name.clone_into(&mut item.name));
    }

    /// Moves it to another folder.
    pub fn relocate(&self, id: &str, parent: &str) {
        self.change(id, |item| parent.clone_into(&mut item.parent));
    }

    /// Puts it into the bin.
    pub fn trash(&self, id: &str) {
        self.change(id, |item| item.trashed = true);
    }

    /// Shares it no more, or again.
    pub fn hide(&self, id: &str, hidden: bool) {
        self.change(id, |item| item.hidden = hidden);
    }

    /// No place in the feed that was given out so far is valid any more.
    pub fn expire_feed(&self) {
        self.lock().feed_epoch += 1;
    }

    /// Pages hold so many from now on.
    pub fn set_page_size(&self, items: usize) {
        self.lock().page_size = items.max(1);
    }

    /// Fetching that file fails from now on, or no longer.
    pub fn fail_fetch(&self, id: &str, failure: Option<Failure>) {
        let mut inner = self.lock();
        match failure {
            Some(failure) => inner.failing.insert(id.to_owned(), failure),
            None => inner.failing.remove(id),
        };
    }

    /// Tests of the connection fail behind their sign-in from now on, or no longer.
    pub fn fail_checks(&self, code: Option<ErrorCode>) {
        self.lock().check_failure = code;
    }

    /// Every sign-in puts another refresh token in place of the one it came with, from now on.
    pub fn rotate_refresh_tokens(&self) {
        self.lock().rotates = true;
    }

    /// The one refresh token that is worth something.
    pub fn refresh_token(&self) -> String {
        self.lock().refresh_token.clone()
    }

    /// How its sign-ins went.
    pub fn sign_ins(&self) -> SignIns {
        self.lock().sign_ins
    }

    /// The channels that are open, oldest first.
    pub fn channels(&self) -> Vec<Channel> {
        self.lock().channels.clone()
    }

    /// What it was asked since this was last called.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.lock().asked)
    }

    /// Paths and texts of the files that are to be seen in the folder that is read.
    pub fn files(&self) -> BTreeMap<String, String> {
        let inner = self.lock();
        let there = inner.there();
        let text = |entry: Entry| {
            let bytes = inner.items[&entry.object].content.clone();
            let bytes = bytes.map_or_else(Bytes::new, |(bytes, _)| bytes);
            (entry.path, String::from_utf8_lossy(&bytes).into_owned())
        };
        there.into_iter().map(text).collect()
    }
}

impl Inner {
    fn tell(&mut self, id: &str) {
        self.changes += 1;
        self.changed.insert(id.to_owned(), self.changes);
    }

    /// It and the folders that it lies in, from below.
    fn above(&self, id: &str) -> Vec<&str> {
        let mut above = Vec::new();
        let mut next = self.items.get_key_value(id);
        while let Some((id, item)) = next {
            above.push(id.as_str());
            next = self.items.get_key_value(&item.parent);
            if next.is_none() {
                above.push(&item.parent);
            }
        }
        above
    }

    fn fate(&self, id: &str) -> Fate {
        let above = self.above(id);
        let items = || above.iter().filter_map(|id| self.items.get(*id));
        if above.is_empty() || items().any(|item| item.hidden) {
            Fate::Hidden
        } else if above.last() != Some(&ROOT) || items().any(|item| item.trashed) {
            Fate::Gone
        } else {
            Fate::Present
        }
    }

    fn entry(&self, id: &str) -> Option<Entry> {
        let (bytes, version) = self.items.get(id)?.content.as_ref()?;
        let mut above = self.above(id);
        above.reverse();
        let names = above.iter().filter_map(|id| self.items.get(*id));
        let names: Vec<&str> = names.map(|item| item.name.as_str()).collect();
        above.pop();
        Some(Entry {
            object: id.to_owned(),
            path: names.join("/"),
            version: version.to_string(),
            size_bytes: Some(bytes.len() as u64),
            modified_at: None,
            unreadable: None,
            lineage: format!("/{}/", above.join("/")),
        })
    }

    /// Every file in the folder that is read.
    fn there(&self) -> Vec<Entry> {
        let present = self
            .items
            .keys()
            .filter(|id| self.fate(id) == Fate::Present);
        present.filter_map(|id| self.entry(id)).collect()
    }

    fn place(&self, at: u64) -> Cursor {
        Cursor(format!("{}:{at}", self.feed_epoch))
    }
}

/// An account at a [`FakeDrive`].
pub(super) struct FakeDriveAccount {
    drive: FakeDrive,
    /// What it was opened with.
    refresh_token: String,
    sessions: Arc<dyn Sessions>,
}

impl FakeDriveAccount {
    pub(super) fn new(
        drive: FakeDrive,
        credentials: &Credentials,
        sessions: Arc<dyn Sessions>,
    ) -> Self {
        let token = credentials.refresh_token();
        Self {
            drive,
            refresh_token: token.map_or_else(String::new, |token| token.expose().to_owned()),
            sessions,
        }
    }

    /// Asks with an access token that is worth something.
    async fn ask(&self, what: Asked) -> Result<MutexGuard<'_, Inner>, ProviderError> {
        let (token, _) = self.token(TokenWish::Any).await?;
        let mut inner = self.drive.lock();
        if !inner.tokens.contains(&token) {
            let message = "the access token is worth nothing";
            return Err(ProviderError::permanent(
                ErrorCode::AuthInvalidCredentials,
                message,
            ));
        }
        inner.asked.push(what);
        Ok(inner)
    }

    async fn token(&self, wish: TokenWish) -> Result<(String, u64), ProviderError> {
        loop {
            match self.sessions.take(wish).await.map_err(of_session)? {
                Taken::Token(token) => {
                    return Ok((token.secret.expose().to_owned(), token.serial));
                }
                Taken::Busy => tokio::time::sleep(Duration::from_millis(2)).await,
                Taken::Refresh(right) => {
                    let rotated = self.sessions.rotated().await.map_err(of_session)?;
                    let used = rotated.map_or_else(
                        || self.refresh_token.clone(),
                        |token| token.expose().to_owned(),
                    );
                    let granted = self.sign_in(&used).await;
                    let Some((token, rotated)) = granted else {
                        self.sessions.let_go(right).await.map_err(of_session)?;
                        let message = "the grant is worth nothing";
                        let code = ErrorCode::AuthReauthorizationRequired;
                        return Err(ProviderError::permanent(code, message));
                    };
                    let secret = SecretString::new(token.clone());
                    let renew_at = self.drive.clock.now() + TOKEN;
                    self.sessions
                        .keep(right, secret, renew_at, rotated)
                        .await
                        .map_err(of_session)?;
                    return Ok((token, right.serial));
                }
            }
        }
    }

    /// The token endpoint: it takes its time.
    async fn sign_in(&self, refresh_token: &str) -> Option<(String, Option<SecretString>)> {
        {
            let mut inner = self.drive.lock();
            inner.signing_in += 1;
            inner.sign_ins.at_once = inner.sign_ins.at_once.max(inner.signing_in);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let mut inner = self.drive.lock();
        inner.signing_in -= 1;
        if inner.refresh_token != refresh_token {
            inner.sign_ins.refused += 1;
            return None;
        }
        inner.sign_ins.granted += 1;
        let granted = inner.sign_ins.granted;
        let token = format!("access-{granted}");
        inner.tokens.insert(token.clone());
        let rotated = inner.rotates.then(|| format!("refresh-{granted}"));
        if let Some(rotated) = &rotated {
            inner.refresh_token.clone_from(rotated);
        }
        Some((token, rotated.map(SecretString::new)))
    }
}

fn of_session(error: wharf_ports::SessionError) -> ProviderError {
    ProviderError::transient(ErrorCode::Internal, "the session cannot be had").caused_by(error)
}

fn metadata(entry: &Entry) -> Metadata {
    Metadata::from_iter([("version".to_owned(), json!(entry.version))])
}

#[async_trait]
impl StorageProvider for FakeDriveAccount {
    fn authority(&self) -> String {
        "drive.example.com".to_owned()
    }

    fn quota_account(&self) -> Option<String> {
        Some("the one application".to_owned())
    }

    async fn check(&self, _request: CheckRequest<'_>) -> CheckReport {
        let signed_in = async {
            let (_, serial) = self.token(TokenWish::Any).await?;
            self.token(TokenWish::After(serial)).await
        };
        let signed_in = signed_in.await.map_err(|error| error.code);
        let failed = signed_in.err().or(self.drive.lock().check_failure);
        let check = match failed {
            None => Check::passed("sign_in", 1),
            Some(code) => Check::failed("sign_in", code, None, code.remedy(), 1),
        };
        CheckReport {
            checks: vec![check],
        }
    }

    async fn list(
        &self,
        _source_path: &str,
        cursor: Option<&Cursor>,
        _limit: u32,
    ) -> Result<ListingPage, ProviderError> {
        let inner = self.ask(Asked::List).await?;
        let after = cursor.map(|cursor| cursor.0.as_str());
        let mut entries = inner.there();
        entries.retain(|entry| after.is_none_or(|after| entry.object.as_str() > after));
        let more = entries.len() > inner.page_size;
        entries.truncate(inner.page_size);
        let last = entries.last().filter(|_| more);
        Ok(ListingPage {
            next: last.map(|entry| Cursor(entry.object.clone())),
            entries,
            denied: Vec::new(),
        })
    }

    async fn feed_start(&self, _source_path: &str) -> Result<Option<Cursor>, ProviderError> {
        let inner = self.ask(Asked::FeedStart).await?;
        Ok(Some(inner.place(inner.changes)))
    }

    async fn changes(
        &self,
        _source_path: &str,
        cursor: &Cursor,
        _limit: u32,
    ) -> Result<ChangesPage, ProviderError> {
        let inner = self.ask(Asked::Changes).await?;
        let place = cursor.0.split_once(':');
        let place = place.filter(|(epoch, _)| *epoch == inner.feed_epoch.to_string());
        let Some(Ok(place)) = place.map(|(_, at)| at.parse::<u64>()) else {
            return Err(ProviderError {
                code: ErrorCode::CursorExpired,
                retry: Retry::Restart,
                message: "the place in the feed is not valid any more".to_owned(),
                source: None,
            });
        };
        let mut behind: Vec<(u64, &String)> = inner
            .changed
            .iter()
            .filter(|(_, at)| **at > place)
            .map(|(id, at)| (*at, id))
            .collect();
        behind.sort_unstable();
        let caught_up = behind.len() <= inner.page_size;
        behind.truncate(inner.page_size);
        let next = behind.last().map_or(place, |(at, _)| *at);
        let (mut entries, mut absent) = (Vec::new(), Vec::new());
        for (_, id) in behind {
            let fate = inner.fate(id);
            if fate == Fate::Present {
                let lies_below = |entry: &Entry| {
                    entry.object == *id || entry.lineage.contains(&format!("/{id}/"))
                };
                entries.extend(inner.there().into_iter().filter(lies_below));
            } else {
                absent.push(Absent {
                    id: id.clone(),
                    certain: fate == Fate::Gone,
                });
            }
        }
        Ok(ChangesPage {
            denied: Vec::new(),
            entries,
            absent,
            next: inner.place(next),
            caught_up,
        })
    }

    async fn trace(
        &self,
        _source_path: &str,
        missing: &[MissingRow],
    ) -> Result<Vec<Fate>, ProviderError> {
        let inner = self.ask(Asked::Trace).await?;
        Ok(missing.iter().map(|row| inner.fate(&row.object)).collect())
    }

    async fn find(&self, _source_path: &str, path: &str) -> Result<Vec<String>, ProviderError> {
        let inner = self.ask(Asked::Look).await?;
        let there = inner.there().into_iter();
        Ok(there
            .filter(|entry| entry.path == path)
            .map(|entry| entry.object)
            .collect())
    }

    async fn watch(
        &self,
        _source_path: &str,
        request: &WatchRequest<'_>,
    ) -> Result<Option<Watching>, ProviderError> {
        let mut inner = self.ask(Asked::Watch).await?;
        inner.channels.push(Channel {
            name: request.channel.to_owned(),
            address: request.address.to_owned(),
            word: request.token.expose().to_owned(),
        });
        Ok(Some(Watching {
            resource: "the feed".to_owned(),
            expires_at: self.drive.clock.now() + request.ttl,
        }))
    }

    async fn unwatch(&self, channel: &str, _resource: &str) -> Result<(), ProviderError> {
        let mut inner = self.ask(Asked::Unwatch).await?;
        inner.channels.retain(|open| open.name != channel);
        Ok(())
    }

    async fn look(
        &self,
        _source_path: &str,
        object: &str,
    ) -> Result<Option<Looked>, ProviderError> {
        let inner = self.ask(Asked::Look).await?;
        let entry = inner
            .entry(object)
            .filter(|_| inner.fate(object) == Fate::Present);
        Ok(entry.map(|entry| Looked {
            metadata: metadata(&entry),
            entry,
            content_type: None,
            version_id: None,
        }))
    }

    async fn fetch(&self, entry: &Entry, _wish: FetchWish) -> Result<Fetched, ProviderError> {
        let inner = self.ask(Asked::Fetch).await?;
        if let Some(failure) = inner.failing.get(&entry.object) {
            return Err(failure.error());
        }
        let item = inner.items.get(&entry.object);
        let Some((bytes, _)) = item.and_then(|item| item.content.clone()) else {
            let message = "the file is gone";
            return Err(ProviderError::permanent(
                ErrorCode::ResourceNotFound,
                message,
            ));
        };
        Ok(Fetched {
            bytes: stream::iter([Ok(bytes)]).boxed(),
            content_type: None,
            metadata: metadata(entry),
            tags: Metadata::new(),
            version_id: None,
        })
    }
}
