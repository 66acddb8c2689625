//! Where files lie: folders up to the root, by what is remembered of them or by asking; and what only shortcuts lead to.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};

use crate::entry::{Place, kept};
use crate::error::Fault;
use crate::reach::{Home, Reach, is_hidden};
use crate::remote::{FOLDER, Page, RemoteFile, ResourceKey, SHORTCUT};
use crate::wire::FilesRequest;

/// Folders lie in no more than a hundred others; shortcuts may lead on, but no further than this.
pub(crate) const DEEPEST: usize = 100;

/// With more unknown folders than this, all of them are read at once.
const FEW: usize = 5;

/// Pages of folders that are read at once: those of a shared drive, and those of an account, which may see very many.
const MOST_PAGES: usize = 100;
const MOST_PAGES_OF_ACCOUNT: usize = 10;

/// Pages of shortcuts that are read.
const MOST_SHORTCUT_PAGES: usize = 5;

/// Folders that are asked for at the same time.
const AT_ONCE: usize = 8;

/// Shortcuts of shortcuts are followed so often.
const MOST_ROUNDS: usize = 10;

/// What is known of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Folder {
    Seen {
        name: String,
        parents: Vec<String>,
        trashed: bool,
        /// Whether it is a whole shared drive.
        is_drive: bool,
    },
    /// It is not there, or not for us.
    Hidden,
}

impl Folder {
    pub(crate) fn of(file: &RemoteFile) -> Self {
        Self::Seen {
            name: kept(&file.name).to_owned(),
            parents: file.parents.clone(),
            trashed: file.trashed,
            is_drive: file.drive_id.as_ref() == Some(&file.id),
        }
    }
}

/// Where something stands to a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    Inside {
        /// The folder that it lies in.
        place: Place,
        /// The name of the shortcut that leads to this very thing, where only a shortcut does.
        name: Option<String>,
    },
    /// In none of the root's folders, as far as they are seen.
    Outside { up_to: UpTo },
    /// In a folder that lies in the trash.
    Trashed,
}

/// How far up the folders above something are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpTo {
    /// The top of a drive, so that it certainly lies elsewhere.
    Top,
    /// A folder that tells of none above it: it may have been shared by itself, or what is above may be hidden of late.
    Shared,
    /// A folder on the way up is hidden from us.
    Hidden,
}

/// The folders above something, ids and names, from the nearest on.
#[derive(Debug)]
struct Chain {
    folders: Vec<(String, String)>,
    end: End,
}

#[derive(Debug)]
enum End {
    /// The next one was looked for.
    Reached(String),
    /// The same, but there is one in the trash below it.
    Trashed,
    /// This one tells of none above it.
    Top(String),
    Hidden,
}

impl Chain {
    /// The place of the nearest folder, given that of the one that was reached.
    fn down_from(&self, top: Place) -> Place {
        let down = self.folders.iter().rev();
        down.fold(top, |place, (id, name)| place.folder(id, name))
    }
}

/// What only shortcuts lead to from a root.
#[derive(Debug, Default)]
pub(crate) struct Shortcuts {
    targets: HashMap<String, Leading>,
    /// Whether these are all.
    is_complete: bool,
}

/// A shortcut inside the root.
#[derive(Debug, Clone)]
struct Leading {
    shortcut: String,
    name: String,
    place: Place,
}

impl Reach {
    /// A folder as it is known, or as it is now.
    pub(crate) async fn known_folder(&self, id: &str) -> Result<Folder, Fault> {
        if let Some(folder) = self.folder(id) {
            return Ok(folder);
        }
        let folder = match self
            .wire
            .file(id, &self.keys(id))
            .await
            .map_err(Fault::from)
        {
            Ok(file) => Folder::of(&file),
            Err(fault) if is_hidden(&fault) => Folder::Hidden,
            Err(fault) => return Err(fault),
        };
        self.note_folder(id, folder.clone());
        Ok(folder)
    }

    /// Where something with these parents stands, by its own folders alone.
    pub(crate) async fn own_standing(
        &self,
        home: &Home,
        parents: &[String],
    ) -> Result<Standing, Fault> {
        let is_drive = |id: &str| home.drive_id() == Some(id);
        let chain = self
            .chain(parents, |id| id == home.id() || is_drive(id))
            .await?;
        let up_to = match &chain.end {
            End::Reached(root) if root == home.id() => {
                return Ok(Standing::Inside {
                    place: chain.down_from(Place::root(root)),
                    name: None,
                });
            }
            End::Trashed => return Ok(Standing::Trashed),
            End::Reached(_) => UpTo::Top,
            End::Top(id) if self.is_top(id).await? => UpTo::Top,
            End::Top(_) => UpTo::Shared,
            End::Hidden => UpTo::Hidden,
        };
        Ok(Standing::Outside { up_to })
    }

    /// Whether a folder that tells of none above it is the top of a drive.
    async fn is_top(&self, id: &str) -> Result<bool, Fault> {
        if let Some(Folder::Seen { is_drive: true, .. }) = self.folder(id) {
            return Ok(true);
        }
        Ok(self.my_drive().await? == id)
    }

    /// Where a file or folder stands, by its own folders or by a shortcut that leads to it or to one of them.
    pub(crate) async fn standing(
        &self,
        home: &Home,
        id: &str,
        parents: &[String],
    ) -> Result<Standing, Fault> {
        let own = self.own_standing(home, parents).await?;
        let Standing::Outside { up_to } = own else {
            return Ok(own);
        };
        let shortcuts = self.known_shortcuts(home).await?;
        let led = self.led_to(&shortcuts, id, parents).await?;
        let up_to = if shortcuts.is_complete {
            up_to
        } else {
            UpTo::Hidden
        };
        Ok(led.unwrap_or(Standing::Outside { up_to }))
    }

    async fn led_to(
        &self,
        shortcuts: &Shortcuts,
        id: &str,
        parents: &[String],
    ) -> Result<Option<Standing>, Fault> {
        let targets = &shortcuts.targets;
        if targets.is_empty() {
            return Ok(None);
        }
        if let Some(leading) = targets.get(id) {
            return Ok(Some(Standing::Inside {
                place: leading.place.through(&leading.shortcut),
                name: Some(leading.name.clone()),
            }));
        }
        let chain = self.chain(parents, |id| targets.contains_key(id)).await?;
        let End::Reached(target) = &chain.end else {
            return Ok(None);
        };
        Ok(targets.get(target).map(|leading| {
            let Leading {
                shortcut,
                name,
                place,
            } = leading;
            Standing::Inside {
                place: chain.down_from(place.behind(shortcut, name, target)),
                name: None,
            }
        }))
    }

    /// The folders above something, up to one that is looked for.
    async fn chain(
        &self,
        parents: &[String],
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Chain, Fault> {
        let mut folders: Vec<(String, String)> = Vec::new();
        let mut parents = parents.to_vec();
        let mut trashed = false;
        loop {
            if let Some(wanted) = parents.iter().find(|id| is_wanted(id)) {
                let end = if trashed {
                    End::Trashed
                } else {
                    End::Reached(wanted.clone())
                };
                return Ok(Chain { folders, end });
            }
            // A file that tells of no folder lies in one that is hidden.
            let Some(id) = parents.first().cloned() else {
                let topmost = folders.last().map(|(id, _)| id.clone());
                let end = topmost.map_or(End::Hidden, End::Top);
                return Ok(Chain { folders, end });
            };
            let goes_in_circles = folders.iter().any(|(known, _)| *known == id);
            if goes_in_circles || folders.len() > DEEPEST {
                let end = End::Hidden;
                return Ok(Chain { folders, end });
            }
            let Folder::Seen {
                name,
                parents: above,
                trashed: lies_in_trash,
                ..
            } = self.known_folder(&id).await?
            else {
                let end = End::Hidden;
                return Ok(Chain { folders, end });
            };
            trashed |= lies_in_trash;
            folders.push((id, name));
            parents = above;
        }
    }

    /// Whether what has these parents lies in one of these folders.
    pub(crate) async fn lies_in(
        &self,
        parents: &[String],
        folders: impl Fn(&str) -> bool,
    ) -> Result<bool, Fault> {
        let chain = self.chain(parents, folders).await?;
        Ok(matches!(chain.end, End::Reached(_)))
    }

    /// Learns of folders that files lie in: of all at once if so many are unknown that it is less trouble.
    pub(crate) async fn know_parents(
        &self,
        home: &Home,
        files: &[RemoteFile],
    ) -> Result<(), Fault> {
        let unknown = || -> BTreeSet<String> {
            let parents = files.iter().flat_map(|file| &file.parents);
            let unknown = parents.filter(|id| *id != home.id() && self.folder(id).is_none());
            unknown.cloned().collect()
        };
        if unknown().len() > FEW {
            self.gather(home.drive_id(), Duration::MAX).await?;
        }
        let rest = stream::iter(unknown()).map(|id| async move {
            self.known_folder(&id).await?;
            Ok(())
        });
        rest.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Reads the folders of a drive, or those that the account sees, unless that was done not longer ago than this. What is left out is
    /// asked for one by one. Answers with those that may not be listed.
    pub(crate) async fn gather(
        &self,
        drive: Option<&str>,
        within: Duration,
    ) -> Result<Vec<String>, Fault> {
        if let Some(closed) = self.gathered(drive, within) {
            return Ok(closed);
        }
        let mut closed = Vec::new();
        let most = match drive {
            Some(_) => MOST_PAGES,
            None => MOST_PAGES_OF_ACCOUNT,
        };
        let query = format!("mimeType = '{FOLDER}' and trashed = false");
        self.all(drive, query, most, |file| {
            self.note_folder(&file.id, Folder::of(&file));
            if file.can_list_children == Some(false) {
                closed.push(file.id);
            }
        })
        .await?;
        self.note_gathered(drive, closed.clone());
        Ok(closed)
    }

    /// What a query finds in so many pages; whether that is all.
    async fn all(
        &self,
        drive: Option<&str>,
        query: String,
        most_pages: usize,
        mut take: impl FnMut(RemoteFile),
    ) -> Result<bool, Fault> {
        let mut request = FilesRequest {
            query,
            drive_id: drive.map(ToOwned::to_owned),
            page_size: 1000,
            ..FilesRequest::default()
        };
        for _ in 0..most_pages {
            let Page {
                items,
                next,
                incomplete,
            } = self.wire.files(&request).await?;
            items.into_iter().for_each(&mut take);
            if incomplete || next == request.page_token {
                return Ok(next.is_none() && !incomplete);
            }
            match next {
                None => return Ok(true),
                Some(next) => request.page_token = Some(next),
            }
        }
        Ok(false)
    }

    /// What only shortcuts lead to. Read once.
    async fn known_shortcuts(&self, home: &Home) -> Result<Arc<Shortcuts>, Fault> {
        if let Some(known) = self.shortcuts(home) {
            return Ok(known);
        }
        let mut found = Vec::new();
        let query = format!("mimeType = '{SHORTCUT}' and trashed = false");
        let is_complete = self
            .all(home.drive_id(), query, MOST_SHORTCUT_PAGES, |file| {
                found.push(file);
            })
            .await?;
        found.sort_by(|one, other| one.id.cmp(&other.id));
        self.know_parents(home, &found).await?;
        let mut shortcuts = Shortcuts {
            targets: HashMap::new(),
            is_complete,
        };
        // A shortcut may lie where only another one leads.
        for _ in 0..MOST_ROUNDS {
            let mut rest = Vec::new();
            let before = found.len();
            for file in found {
                let own = self.own_standing(home, &file.parents).await?;
                let standing = match own {
                    Standing::Outside { .. } => {
                        self.led_to(&shortcuts, &file.id, &file.parents).await?
                    }
                    own => Some(own),
                };
                let place = match standing {
                    Some(Standing::Inside { place, .. }) => place,
                    Some(_) => continue,
                    None => {
                        rest.push(file);
                        continue;
                    }
                };
                let Some(shortcut) = file.shortcut else {
                    continue;
                };
                if let Some(key) = shortcut.target_resource_key {
                    self.note_key(ResourceKey {
                        id: shortcut.target_id.clone(),
                        key,
                    });
                }
                shortcuts
                    .targets
                    .entry(shortcut.target_id)
                    .or_insert_with(|| Leading {
                        shortcut: file.id,
                        name: file.name,
                        place,
                    });
            }
            found = rest;
            if found.len() == before || found.is_empty() {
                break;
            }
        }
        let shortcuts = Arc::new(shortcuts);
        self.note_shortcuts(home, Arc::clone(&shortcuts));
        Ok(shortcuts)
    }
}
