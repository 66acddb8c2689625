//! Sources at the lab's Google, and what syncs see of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::TryStreamExt;
use serde_json::{Value, json};
use wharf_domain::plan::Entry;
use wharf_domain::run::feed::Absent;
use wharf_domain::sync::Cursor;
use wharf_lab::google::{GoogleLab, Mutation, NewItem, Role};
use wharf_lab::{JournalEntry, Lab, Operation};
use wharf_ports::{FetchWish, Fetched, OpenProvider, ProviderError, Retry};

use crate::account::{ADA, SERVICE, by_key, factory, lab, open, service_account};

/// Who reads, and what.
pub(crate) struct Source {
    lab: Lab,
    settings: Value,
    credentials: Value,
    /// The folder at the top.
    pub(crate) top: String,
    /// The source path.
    pub(crate) scope: String,
}

impl Source {
    async fn new(make: impl FnOnce(&GoogleLab) -> (Value, String)) -> Self {
        let lab = lab().await;
        let google = lab.google();
        let key = service_account(google);
        let (settings, top) = make(google);
        Self {
            credentials: by_key(&key),
            settings,
            scope: top.clone(),
            top,
            lab,
        }
    }

    /// A whole shared drive.
    pub(crate) async fn drive(role: Role) -> Self {
        Self::new(|google| {
            let drive = google.add_drive("Team", [(SERVICE, role)]).unwrap();
            (json!({"shared_drive_id": drive}), drive)
        })
        .await
    }

    /// A folder of a shared drive.
    pub(crate) async fn folder_of_drive(role: Role) -> Self {
        Self::new(|google| {
            let drive = google.add_drive("Team", [(SERVICE, role)]).unwrap();
            let folder = google.add(NewItem::folder("Top").inside(&drive)).unwrap();
            (json!({"shared_drive_id": drive}), folder)
        })
        .await
    }

    /// A folder of a shared drive that the account is no member of.
    pub(crate) async fn shared_out_of_drive() -> Self {
        Self::new(|google| {
            let drive = google.add_drive("Team", [(ADA, Role::Organizer)]).unwrap();
            let folder = NewItem::folder("Top").inside(&drive);
            let folder = folder.shared_with(SERVICE, Role::Reader);
            (json!({}), google.add(folder).unwrap())
        })
        .await
    }

    /// All of a person's own drive.
    pub(crate) async fn mine() -> Self {
        Self::new(|google| {
            (
                json!({"impersonate_user": ADA}),
                google.root_of(ADA).unwrap(),
            )
        })
        .await
    }

    /// A person's folder that was shared with a service account.
    pub(crate) async fn shared_folder() -> Self {
        Self::new(|google| {
            let root = google.root_of(ADA).unwrap();
            let folder = NewItem::folder("Top").inside(root);
            let folder = folder.shared_with(SERVICE, Role::Reader);
            (json!({}), google.add(folder).unwrap())
        })
        .await
    }

    pub(crate) fn at(self, scope: impl Into<String>) -> Self {
        Self {
            scope: scope.into(),
            ..self
        }
    }

    /// The same over a connection that names no drive.
    pub(crate) fn of_any_drive(self) -> Self {
        Self {
            settings: json!({}),
            ..self
        }
    }

    /// The same with this folder as its source.
    pub(crate) fn with_top(self, folder: &str) -> Self {
        Self {
            top: folder.to_owned(),
            scope: folder.to_owned(),
            ..self
        }
    }

    /// The shared drive of the connection.
    pub(crate) fn drive_id(&self) -> String {
        self.settings["shared_drive_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn google(&self) -> &GoogleLab {
        self.lab.google()
    }

    pub(crate) fn open(&self) -> OpenProvider {
        let factory = factory(self.google());
        open(&factory, self.settings.clone(), self.credentials.clone())
    }

    pub(crate) fn add(&self, item: NewItem, folder: &str) -> String {
        self.google().add(item.inside(folder)).unwrap()
    }

    pub(crate) fn folder(&self, name: &str, above: &str) -> String {
        self.add(NewItem::folder(name), above)
    }

    /// A file that holds its name.
    pub(crate) fn file(&self, name: &str, folder: &str) -> String {
        self.add(NewItem::blob(name, name.to_owned()), folder)
    }

    pub(crate) fn does(&self, mutation: Mutation) {
        self.google().mutate(mutation).unwrap();
    }

    /// The requests since this was last asked, but for those for tokens.
    pub(crate) fn requests(&self) -> Vec<JournalEntry> {
        let mut journal = self.google().journal();
        self.google().clear_journal();
        journal.retain(|entry| entry.operation != Operation::GoogleToken);
        journal
    }

    /// How often what was asked.
    pub(crate) fn calls(&self) -> BTreeMap<String, usize> {
        let mut calls = BTreeMap::new();
        for request in self.requests() {
            let name = format!("{:?}", request.operation);
            let name = name.strip_prefix("Drive").unwrap_or(&name);
            *calls.entry(name.to_owned()).or_default() += 1;
        }
        calls
    }

    pub(crate) async fn listed(&self) -> Vec<Entry> {
        self.list_by(&self.open(), 1000).await.unwrap().0
    }

    /// Every entry, and the paths that may not be looked into.
    pub(crate) async fn list_by(
        &self,
        provider: &OpenProvider,
        limit: u32,
    ) -> Result<(Vec<Entry>, Vec<String>), ProviderError> {
        let (mut entries, mut denied, mut cursor) = (Vec::new(), Vec::new(), None);
        for _ in 0..5000 {
            let page = provider.list(&self.scope, cursor.as_ref(), limit).await?;
            assert!(page.entries.len() <= limit as usize);
            entries.extend(page.entries);
            denied.extend(page.denied);
            if page.next.is_none() {
                return Ok((entries, denied));
            }
            assert_ne!(page.next, cursor);
            cursor = page.next;
        }
        panic!("the listing does not end")
    }

    pub(crate) async fn paths(&self) -> Vec<String> {
        paths(&self.listed().await)
    }

    pub(crate) async fn feed(&self) -> Cursor {
        let start = self.open().feed_start(&self.scope).await.unwrap();
        start.expect("Drive keeps a feed")
    }

    /// All that the feed tells from a place on.
    pub(crate) async fn news(&self, from: &Cursor) -> News {
        self.news_by(|| self.open(), from, 1000).await.unwrap()
    }

    pub(crate) async fn news_by(
        &self,
        provider: impl Fn() -> OpenProvider,
        from: &Cursor,
        limit: u32,
    ) -> Result<News, ProviderError> {
        let mut news = News {
            entries: Vec::new(),
            absent: Vec::new(),
            next: from.clone(),
        };
        let mut opened = provider();
        for _ in 0..2000 {
            let page = opened.changes(&self.scope, &news.next, limit).await?;
            assert!(page.entries.len() <= limit as usize);
            assert!(page.caught_up || page.next != news.next);
            news.entries.extend(page.entries);
            news.absent.extend(page.absent);
            news.next = page.next;
            if page.caught_up {
                return Ok(news);
            }
            opened = provider();
        }
        panic!("the feed does not end")
    }
}

/// What a feed tells.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) entries: Vec<Entry>,
    pub(crate) absent: Vec<Absent>,
    pub(crate) next: Cursor,
}

impl News {
    pub(crate) fn paths(&self) -> Vec<String> {
        paths(&self.entries)
    }
}

pub(crate) fn certain(id: &str) -> Absent {
    Absent {
        id: id.to_owned(),
        certain: true,
    }
}

pub(crate) fn uncertain(id: &str) -> Absent {
    Absent {
        id: id.to_owned(),
        certain: false,
    }
}

pub(crate) fn paths(entries: &[Entry]) -> Vec<String> {
    let mut paths: Vec<String> = entries.iter().map(|entry| entry.path.clone()).collect();
    paths.sort();
    paths
}

pub(crate) fn by_path(entries: &[Entry]) -> BTreeMap<&str, &Entry> {
    entries
        .iter()
        .map(|entry| (entry.path.as_str(), entry))
        .collect()
}

pub(crate) async fn fetch(
    provider: &OpenProvider,
    entry: &Entry,
) -> Result<Fetched, ProviderError> {
    provider.fetch(entry, FetchWish::default()).await
}

pub(crate) async fn read(provider: &OpenProvider, entry: &Entry) -> Result<Bytes, ProviderError> {
    let chunks: Vec<Bytes> = fetch(provider, entry).await?.bytes.try_collect().await?;
    Ok(chunks.concat().into())
}

pub(crate) fn assert_restart(error: &ProviderError) {
    assert_eq!(
        (error.code.as_str(), error.retry),
        ("cursor.expired", Retry::Restart),
        "{error}"
    );
}
