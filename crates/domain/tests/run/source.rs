//! The model of a source: files, and all that can be wrong with listing and fetching them.

use std::collections::{BTreeMap, BTreeSet};

use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_domain::run::page::ListingPage;
use wharf_domain::run::trouble::{Retry, Trouble};
use wharf_domain::sync::Cursor;

use crate::rng::{Rng, mixed};

#[derive(Clone)]
pub(crate) struct File {
    pub(crate) version: u64,
    /// When it came to be as it is.
    pub(crate) since: u64,
    pub(crate) unreadable: bool,
    /// It never arrives whole.
    pub(crate) poisoned: bool,
    /// Its type is one that the rules about types keep out.
    pub(crate) odd: bool,
}

/// In what order a listing goes.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    Sorted,
    /// In order up to there, then in none.
    SortedUpTo(&'static str),
    Unsorted,
}

pub(crate) struct Source {
    pub(crate) files: BTreeMap<String, File>,
    /// When a file that is not there any more was last there.
    pub(crate) gone: BTreeMap<String, u64>,
    pub(crate) order: Order,
    pub(crate) page_size: usize,
    pub(crate) denied: Option<&'static str>,
    /// Cursors of an earlier epoch are no longer valid.
    pub(crate) epoch: u64,
    /// Whether anything fails by chance.
    pub(crate) faulty: bool,
    versions: u64,
}

/// What a listing leaves out without a word.
pub(crate) struct View<'a> {
    pub(crate) scope: &'a str,
    pub(crate) credential_version: u64,
    pub(crate) lagging: &'a BTreeSet<String>,
}

/// Each account sees most of the files, and every account others.
pub(crate) fn sees(credential_version: u64, object: &str) -> bool {
    let hash = object.bytes().fold(credential_version, |hash, byte| {
        mixed(hash ^ u64::from(byte))
    });
    credential_version == 0 || !hash.is_multiple_of(5)
}

impl Source {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let order = match rng.below(5) {
            0 => Order::Unsorted,
            1 => Order::SortedUpTo("c"),
            _ => Order::Sorted,
        };
        Self {
            files: BTreeMap::new(),
            gone: BTreeMap::new(),
            order,
            page_size: usize::try_from(1 + rng.below(7)).unwrap(),
            denied: None,
            epoch: 0,
            faulty: true,
            versions: 0,
        }
    }

    pub(crate) fn put(&mut self, object: String, now: u64, rng: &mut Rng) {
        self.versions += 1;
        let file = File {
            version: self.versions,
            since: now,
            unreadable: rng.once_in(12),
            poisoned: rng.once_in(12),
            odd: rng.once_in(6),
        };
        self.gone.remove(&object);
        self.files.insert(object, file);
    }

    pub(crate) fn remove(&mut self, object: &str, now: u64) {
        if self.files.remove(object).is_some() {
            self.gone.insert(object.to_owned(), now);
        }
    }

    fn rank(&self, object: &str) -> (u64, String) {
        let hash = || {
            object
                .bytes()
                .fold(1, |hash, byte| mixed(hash ^ u64::from(byte)))
        };
        match self.order {
            Order::Sorted => (0, object.to_owned()),
            Order::SortedUpTo(border) if object < border => (0, object.to_owned()),
            Order::SortedUpTo(_) | Order::Unsorted => (hash() | 1, object.to_owned()),
        }
    }

    pub(crate) fn list(
        &self,
        cursor: Option<&Cursor>,
        limit: u32,
        view: &View<'_>,
        rng: &mut Rng,
    ) -> Result<ListingPage, Trouble> {
        let mut after = None;
        if let Some(Cursor(cursor)) = cursor {
            let (epoch, object) = cursor.split_once(':').unwrap();
            if epoch != self.epoch.to_string() {
                return Err(Trouble {
                    code: ErrorCode::ResourceChanged,
                    retry: Retry::Restart,
                    message: "the cursor is stale".into(),
                });
            }
            after = Some(self.rank(object));
        }
        if self.faulty && rng.once_in(25) {
            return Err(trouble(rng));
        }
        let mut visible: Vec<&String> = self
            .files
            .keys()
            .filter(|object| {
                object.starts_with(view.scope)
                    && sees(view.credential_version, object)
                    && !view.lagging.contains(*object)
                    && self.denied.is_none_or(|denied| !object.starts_with(denied))
            })
            .collect();
        visible.sort_by_cached_key(|object| self.rank(object));
        let rest: Vec<&String> = visible
            .into_iter()
            .filter(|object| {
                after
                    .as_ref()
                    .is_none_or(|after| self.rank(object) > *after)
            })
            .collect();
        let size = self.page_size.min(usize::try_from(limit).unwrap());
        let entries: Vec<Entry> = rest
            .iter()
            .take(size)
            .map(|object| self.entry(object))
            .collect();
        let mut next = (rest.len() > size)
            .then(|| Cursor(format!("{}:{}", self.epoch, entries.last().unwrap().object)));
        if self.faulty && next.is_some() && rng.once_in(40) {
            next = cursor.cloned().or(next);
        }
        Ok(ListingPage {
            entries,
            next,
            denied: self
                .denied
                .iter()
                .map(|denied| (*denied).to_owned())
                .collect(),
        })
    }

    fn entry(&self, object: &str) -> Entry {
        let file = &self.files[object];
        Entry {
            object: object.to_owned(),
            path: object.to_owned(),
            version: file.version.to_string(),
            size_bytes: Some(1),
            modified_at: None,
            unreadable: file.unreadable.then_some("resource.archived"),
        }
    }
}

/// A failure that concerns the whole run.
pub(crate) fn trouble(rng: &mut Rng) -> Trouble {
    let codes = [
        ErrorCode::QuotaRateLimited,
        ErrorCode::NetworkTimeout,
        ErrorCode::PermDenied,
        ErrorCode::ProviderUnavailable,
        ErrorCode::ProtocolUnexpectedResponse,
    ];
    Trouble {
        code: *rng.pick(&codes).unwrap(),
        retry: Retry::Later { after: None },
        message: "by chance".into(),
    }
}
