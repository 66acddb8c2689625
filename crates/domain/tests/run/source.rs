//! The model of a source: files, and all that can be wrong with listing and fetching them. One with folders keeps a feed of
//! changes, which tells the last state of each thing alone, and of a folder nothing about what lies in it.

use std::collections::{BTreeMap, BTreeSet};

use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_domain::run::feed::{Absent, ChangesPage, Fate};
use wharf_domain::run::page::ListingPage;
use wharf_domain::run::trouble::{Retry, Trouble};
use wharf_domain::sync::Cursor;

use crate::rng::{Rng, mixed};

/// The folder that the syncs read.
const ROOT: &str = "root";

/// A folder beside it.
const OUT: &str = "out";

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

/// Where a file or folder lies, where there are folders.
#[derive(Clone)]
pub(crate) struct Place {
    parent: String,
    name: String,
    trashed: bool,
    /// Nobody shares it with us any more.
    hidden: bool,
    since: u64,
}

/// How a file stands to the syncs' folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stand {
    There,
    /// In the bin, or in another folder.
    Elsewhere,
    /// The source does not tell that there is such a file.
    Hidden,
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
    /// Files that are not there any more although they never were in the bin nor elsewhere, and since when.
    pub(crate) lost: BTreeMap<String, u64>,
    pub(crate) order: Order,
    pub(crate) page_size: usize,
    pub(crate) denied: Option<&'static str>,
    /// Cursors of an earlier epoch are no longer valid.
    pub(crate) epoch: u64,
    /// Places in the feed of an earlier one are no longer valid.
    pub(crate) feed_epoch: u64,
    /// Whether anything fails by chance.
    pub(crate) faulty: bool,
    /// Whether files lie in folders, and what changes is told.
    pub(crate) folders: bool,
    places: BTreeMap<String, Place>,
    /// When each thing changed last, in the order of the feed.
    changed: BTreeMap<String, u64>,
    changes: u64,
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
    pub(crate) fn new(folders: bool, rng: &mut Rng) -> Self {
        let order = match rng.below(5) {
            0 => Order::Unsorted,
            1 => Order::SortedUpTo("c"),
            _ => Order::Sorted,
        };
        let tree = [("a", ROOT), ("b", ROOT), ("c", ROOT), ("d", "a"), (OUT, "")];
        let place = |(id, parent): (&str, &str)| (id.to_owned(), Place::new(parent, id, 0));
        Self {
            files: BTreeMap::new(),
            gone: BTreeMap::new(),
            lost: BTreeMap::new(),
            order,
            page_size: usize::try_from(1 + rng.below(7)).unwrap(),
            denied: None,
            epoch: 0,
            feed_epoch: 0,
            faulty: true,
            folders,
            places: tree.into_iter().filter(|_| folders).map(place).collect(),
            changed: BTreeMap::new(),
            changes: 0,
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
        self.lost.remove(&object);
        if self.folders && !self.places.contains_key(&object) {
            let (parent, name) = object.split_once('/').unwrap();
            let place = Place::new(parent, name, now);
            self.places.insert(object.clone(), place);
        }
        self.tell(&object);
        self.files.insert(object, file);
    }

    pub(crate) fn remove(&mut self, object: &str, now: u64) {
        let was_there = self.stand(0, object) == Stand::There;
        if self.files.remove(object).is_none() {
            return;
        }
        self.gone.insert(object.to_owned(), now);
        if self.folders {
            if was_there {
                self.lost.insert(object.to_owned(), now);
            }
            self.places.remove(object);
            self.tell(object);
        }
    }

    /// Something becomes of the place of a file or folder: it is renamed, moved, put into the bin or taken out of it, hidden or
    /// shown again.
    pub(crate) fn disarrange(&mut self, now: u64, rng: &mut Rng) {
        let things: Vec<String> = self.places.keys().cloned().collect();
        let folders: Vec<String> = things
            .iter()
            .filter(|id| !self.files.contains_key(*id))
            .chain([&ROOT.to_owned()])
            .cloned()
            .collect();
        let among = if rng.once_in(3) { &folders } else { &things };
        let Some(id) = rng
            .pick(among)
            .filter(|id| *id != ROOT && *id != OUT)
            .cloned()
        else {
            return;
        };
        let parent = rng.pick(&folders).unwrap().clone();
        let turns_in_itself = self.above(&parent).contains(&id);
        let is_file = self.files.contains_key(&id);
        let place = self.places.get_mut(&id).unwrap();
        match rng.below(6) {
            0 => {
                let ending = if rng.once_in(4) { "bin" } else { "txt" };
                let ending = if is_file { ending } else { "d" };
                place.name = format!("{}.{ending}", rng.below(20));
            }
            1 | 2 if !turns_in_itself => place.parent = parent,
            3 => place.hidden = !place.hidden,
            _ => place.trashed = !place.trashed,
        }
        place.since = now;
        self.tell(&id);
    }

    /// Everything is shared with us again.
    pub(crate) fn share(&mut self, now: u64) {
        let hidden = self.places.iter().filter(|(_, place)| place.hidden);
        let hidden: Vec<String> = hidden.map(|(id, _)| id.clone()).collect();
        for id in hidden {
            let place = self.places.get_mut(&id).unwrap();
            place.hidden = false;
            place.since = now;
            self.tell(&id);
        }
    }

    /// The feed tells of it.
    pub(crate) fn tell(&mut self, id: &str) {
        self.changes += 1;
        self.changed.insert(id.to_owned(), self.changes);
    }

    /// It and the folders that it lies in, from below.
    fn above(&self, id: &str) -> Vec<String> {
        let mut above = vec![id.to_owned()];
        while let Some(place) = self.places.get(above.last().unwrap()) {
            above.push(place.parent.clone());
        }
        above
    }

    pub(crate) fn stand(&self, credential_version: u64, object: &str) -> Stand {
        if !self.files.contains_key(object) || !sees(credential_version, object) {
            return Stand::Hidden;
        }
        self.stand_of(object)
    }

    fn stand_of(&self, id: &str) -> Stand {
        if !self.folders {
            return Stand::There;
        }
        let above = self.above(id);
        let places = || above.iter().filter_map(|id| self.places.get(id));
        if !self.places.contains_key(id) || places().any(|place| place.hidden) {
            Stand::Hidden
        } else if above.iter().all(|id| id != ROOT) || places().any(|place| place.trashed) {
            Stand::Elsewhere
        } else {
            Stand::There
        }
    }

    /// Since when a file stands and lies as it does.
    pub(crate) fn since(&self, object: &str) -> u64 {
        let above = self.above(object);
        let places = above.iter().filter_map(|id| self.places.get(id));
        let file = self.files.get(object).map_or(0, |file| file.since);
        places.map(|place| place.since).fold(file, u64::max)
    }

    /// Where a file lies, for people.
    pub(crate) fn path(&self, object: &str) -> String {
        if !self.folders {
            return object.to_owned();
        }
        let mut names: Vec<String> = Vec::new();
        for id in self.above(object) {
            names.extend(self.places.get(&id).map(|place| place.name.clone()));
        }
        names.reverse();
        names.join("/")
    }

    fn lineage(&self, object: &str) -> String {
        if !self.folders {
            return String::new();
        }
        let mut above = self.above(object);
        above.reverse();
        above.pop();
        format!("/{}/", above.join("/"))
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
                return Err(stale());
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
                    && self.stand(view.credential_version, object) == Stand::There
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

    /// Where the feed stands now, if there is one.
    pub(crate) fn feed_start(&self) -> Option<Cursor> {
        self.folders.then(|| self.feed_at(self.changes))
    }

    fn feed_at(&self, place: u64) -> Cursor {
        Cursor(format!("{}:{place}", self.feed_epoch))
    }

    /// What changed behind a place, as an adapter tells of it: of a folder that is there, all that lies in it.
    pub(crate) fn changes(
        &self,
        Cursor(cursor): &Cursor,
        credential_version: u64,
        rng: &mut Rng,
    ) -> Result<ChangesPage, Trouble> {
        let (epoch, place) = cursor.split_once(':').unwrap();
        if epoch != self.feed_epoch.to_string() {
            return Err(stale());
        }
        if self.faulty && rng.once_in(25) {
            return Err(trouble(rng));
        }
        let place: u64 = place.parse().unwrap();
        let mut behind: Vec<(u64, &String)> = self
            .changed
            .iter()
            .filter(|(_, at)| **at > place)
            .map(|(id, at)| (*at, id))
            .collect();
        behind.sort_unstable();
        let caught_up = behind.len() <= self.page_size;
        behind.truncate(self.page_size);
        let next = behind.last().map_or(place, |(at, _)| *at);
        let there = |object: &String| self.stand(credential_version, object) == Stand::There;
        let (mut entries, mut absent) = (Vec::new(), Vec::new());
        for (_, id) in behind {
            let is_folder = !id.contains('/');
            let stand = if is_folder {
                self.stand_of(id)
            } else {
                self.stand(credential_version, id)
            };
            if stand != Stand::There {
                absent.push(Absent {
                    id: id.clone(),
                    certain: stand == Stand::Elsewhere,
                });
            } else if is_folder {
                let below = self.files.keys().filter(|object| {
                    there(object) && self.above(object).iter().any(|folder| folder == id)
                });
                entries.extend(below.map(|object| self.entry(object)));
            } else {
                entries.push(self.entry(id));
            }
        }
        Ok(ChangesPage {
            denied: Vec::new(),
            entries,
            absent,
            next: self.feed_at(next),
            caught_up,
        })
    }

    /// What became of a file that a listing did not name.
    pub(crate) fn trace(&self, credential_version: u64, object: &str) -> Fate {
        match self.stand(credential_version, object) {
            Stand::There => Fate::Present,
            Stand::Elsewhere => Fate::Gone,
            Stand::Hidden => Fate::Hidden,
        }
    }

    pub(crate) fn entry(&self, object: &str) -> Entry {
        let file = &self.files[object];
        Entry {
            object: object.to_owned(),
            path: self.path(object),
            version: file.version.to_string(),
            size_bytes: Some(1),
            modified_at: None,
            unreadable: file.unreadable.then_some("resource.archived"),
            lineage: self.lineage(object),
        }
    }
}

impl Place {
    fn new(parent: &str, name: &str, since: u64) -> Self {
        Self {
            parent: parent.to_owned(),
            name: name.to_owned(),
            trashed: false,
            hidden: false,
            since,
        }
    }
}

fn stale() -> Trouble {
    Trouble {
        code: ErrorCode::ResourceChanged,
        retry: Retry::Restart,
        message: "the cursor is stale".into(),
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
