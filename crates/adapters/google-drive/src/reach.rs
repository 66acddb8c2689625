//! What one opened account reaches, and what is remembered of it while it is open: roots, folders, and files that were just
//! told of. All of it is bounded, and none of it is needed: what is not remembered is asked for.

mod recent;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;

use self::recent::Recent;
use crate::entry::is_of_version;
use crate::error::Fault;
use crate::listing::Pending;
use crate::remote::{Drive, RemoteFile, ResourceKey};
use crate::source::{self, Root};
use crate::tree::{Folder, Shortcuts};
use crate::wire::Wire;

/// Folders that are remembered, some 200 bytes each, and little more than a kilobyte where names are long.
const MOST_FOLDERS: usize = 100_000;

/// Resource keys that are remembered.
const MOST_KEYS: usize = 10_000;

/// Walks that are remembered: the one under way, and the one before.
const MOST_WALKS: usize = 2;

/// One opened account.
pub(crate) struct Reach {
    pub(crate) wire: Arc<Wire>,
    /// The only drive that is read, if one is named.
    shared_drive: Option<String>,
    /// How a folder is shared with the account, for people.
    sharing: String,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    homes: HashMap<String, Arc<Home>>,
    folders: HashMap<String, Folder>,
    /// Drives, or all that the account sees, whose folders were read at once: when, and those that may not be listed.
    gathered: HashMap<Option<String>, (Instant, Vec<String>)>,
    shortcuts: HashMap<String, Arc<Shortcuts>>,
    keys: HashMap<String, String>,
    walks: Vec<(String, Pending)>,
    recent: Recent,
    /// The topmost folder of the account's own drive, if it was asked for; empty if there is none.
    my_drive: Option<String>,
}

/// A source's root, and the shared drive that it lies in, if we are a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) root: Root,
    /// Whoever is no member reads what was shared out of a drive as if it lay in none.
    pub(crate) drive: Option<Drive>,
}

impl Home {
    pub(crate) fn id(&self) -> &str {
        &self.root.id
    }

    /// The drive to ask in.
    pub(crate) fn drive_id(&self) -> Option<&str> {
        self.drive.as_ref().map(|drive| drive.id.as_str())
    }

    /// Whether it is all of a shared drive that we are a member of.
    pub(crate) fn is_drive(&self) -> bool {
        self.drive.is_some() && self.root.is_drive()
    }

    /// Whether we see everything there, so that what we do not see is gone.
    pub(crate) fn sees_everything(&self) -> bool {
        self.drive
            .as_ref()
            .is_some_and(|drive| drive.can_manage_members)
    }
}

impl Reach {
    pub(crate) fn new(wire: Arc<Wire>, shared_drive: Option<String>, sharing: String) -> Self {
        Self {
            wire,
            shared_drive,
            sharing,
            memory: Mutex::default(),
        }
    }

    pub(crate) fn shared_drive(&self) -> Option<&str> {
        self.shared_drive.as_deref()
    }

    fn with<T>(&self, read: impl FnOnce(&mut Memory) -> T) -> T {
        read(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where a source path leads. Asked for once.
    pub(crate) async fn home(&self, path: &str) -> Result<Arc<Home>, Fault> {
        if let Some(home) = self.with(|memory| memory.homes.get(path).cloned()) {
            return Ok(home);
        }
        let root = source::resolve(&self.wire, self.shared_drive(), path)
            .await
            .map_err(|fault| self.naming_us(fault))?;
        let drive = match &root.drive_id {
            None => None,
            Some(id) => match self.wire.drive(id).await.map_err(Fault::from) {
                Ok(drive) => Some(drive),
                // A member of a drive sees it.
                Err(fault) if is_hidden(&fault) && !root.is_drive() => None,
                Err(fault) => return Err(self.naming_us(fault)),
            },
        };
        let home = Arc::new(Home { root, drive });
        self.with(|memory| memory.homes.insert(path.to_owned(), Arc::clone(&home)));
        Ok(home)
    }

    /// The same fault, with the word on how to share something with us.
    fn naming_us(&self, fault: Fault) -> Fault {
        if fault.code != ErrorCode::ResourceNotFound {
            return fault;
        }
        let remedy = format!("{} {}", fault.remedy, self.sharing);
        fault.remedied(remedy.trim())
    }

    /// The topmost folder of the account's own drive; empty if there is none. Asked for once.
    pub(crate) async fn my_drive(&self) -> Result<String, Fault> {
        if let Some(known) = self.with(|memory| memory.my_drive.clone()) {
            return Ok(known);
        }
        let found = match self.file(source::MY_DRIVE).await {
            Ok(found) => found.map(|root| root.id).unwrap_or_default(),
            Err(fault) if is_hidden(&fault) || fault.code == ErrorCode::ConfigInvalid => {
                String::new()
            }
            Err(fault) => return Err(fault),
        };
        self.with(|memory| memory.my_drive = Some(found.clone()));
        Ok(found)
    }

    /// Forgets all folders and where shortcuts lead, so that they are asked for as they are now.
    pub(crate) fn forget_folders(&self) {
        self.with(|memory| {
            memory.folders.clear();
            memory.gathered.clear();
            memory.shortcuts.clear();
        });
    }

    /// What is remembered of a folder.
    pub(crate) fn folder(&self, id: &str) -> Option<Folder> {
        self.with(|memory| memory.folders.get(id).cloned())
    }

    pub(crate) fn note_folder(&self, id: &str, folder: Folder) {
        self.with(|memory| {
            if memory.folders.len() >= MOST_FOLDERS {
                memory.folders.clear();
            }
            memory.folders.insert(id.to_owned(), folder);
        });
    }

    /// The folders that may not be listed, if all folders of a drive were read at once, not longer ago than this.
    pub(crate) fn gathered(&self, drive: Option<&str>, within: Duration) -> Option<Vec<String>> {
        let drive = drive.map(ToOwned::to_owned);
        self.with(|memory| {
            let (then, closed) = memory.gathered.get(&drive)?;
            (then.elapsed() < within).then(|| closed.clone())
        })
    }

    pub(crate) fn note_gathered(&self, drive: Option<&str>, closed: Vec<String>) {
        let drive = drive.map(ToOwned::to_owned);
        self.with(|memory| memory.gathered.insert(drive, (Instant::now(), closed)));
    }

    pub(crate) fn shortcuts(&self, home: &Home) -> Option<Arc<Shortcuts>> {
        self.with(|memory| memory.shortcuts.get(home.id()).cloned())
    }

    pub(crate) fn note_shortcuts(&self, home: &Home, shortcuts: Arc<Shortcuts>) {
        self.with(|memory| memory.shortcuts.insert(home.id().to_owned(), shortcuts));
    }

    /// After one of them, or a folder that they may lie in, has changed.
    pub(crate) fn forget_shortcuts(&self, home: &Home) {
        self.with(|memory| memory.shortcuts.remove(home.id()));
    }

    /// The key that a file or folder has to be asked for with, if it is known to have one.
    pub(crate) fn keys(&self, id: &str) -> Vec<ResourceKey> {
        let key = self.with(|memory| memory.keys.get(id).cloned());
        let id = id.to_owned();
        key.map(|key| ResourceKey { id, key }).into_iter().collect()
    }

    pub(crate) fn note_key(&self, key: ResourceKey) {
        self.with(|memory| {
            if memory.keys.len() >= MOST_KEYS {
                memory.keys.clear();
            }
            memory.keys.insert(key.id, key.key);
        });
    }

    /// What is still to be walked from this place on, if the walk came by here.
    pub(crate) fn walk(&self, cursor: &str) -> Option<Pending> {
        self.with(|memory| {
            let found = memory.walks.iter().find(|(place, _)| place == cursor);
            found.map(|(_, pending)| pending.clone())
        })
    }

    pub(crate) fn note_walk(&self, cursor: &str, pending: Pending) {
        self.with(|memory| {
            memory.walks.retain(|(place, _)| place != cursor);
            if memory.walks.len() >= MOST_WALKS {
                memory.walks.remove(0);
            }
            memory.walks.push((cursor.to_owned(), pending));
        });
    }

    /// A file as it is now; nothing where it is not to be seen.
    pub(crate) async fn file(&self, id: &str) -> Result<Option<RemoteFile>, Fault> {
        let found = self
            .wire
            .file(id, &self.keys(id))
            .await
            .map_err(Fault::from);
        match found {
            Ok(file) => Ok(Some(file)),
            Err(fault) if fault.code == ErrorCode::ResourceNotFound => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Remembers a file that an answer told of.
    pub(crate) fn note_file(&self, file: &RemoteFile) {
        self.with(|memory| memory.recent.note(file));
    }

    /// Whether an answer told a moment ago that a file lies in the trash.
    pub(crate) fn is_told_trashed(&self, id: &str) -> bool {
        self.with(|memory| memory.recent.get(id).is_some_and(|file| file.trashed))
    }

    /// A file in the version of an entry, if an answer told of it a moment ago.
    pub(crate) fn recent(&self, entry: &Entry) -> Option<RemoteFile> {
        let file = self.with(|memory| memory.recent.get(&entry.object).cloned())?;
        is_of_version(&file, entry).then_some(file)
    }
}

/// Whether Drive says that something is not there, or that we may not see it.
pub(crate) fn is_hidden(fault: &Fault) -> bool {
    matches!(
        fault.code,
        ErrorCode::ResourceNotFound | ErrorCode::PermDenied
    )
}
