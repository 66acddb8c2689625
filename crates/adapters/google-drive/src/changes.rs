//! What has changed in a source since an earlier place of the feed.
//!
//! The feed of a shared drive is read where we are a member; else that of the account, which tells of everything that it sees. What a
//! change means for the source follows from the folders above it. Of a folder that is new, renamed or moved, Drive tells nothing but
//! itself, so that all that lies in it is walked.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::filter::ExportFormats;
use wharf_domain::run::feed::{Absent, ChangesPage};
use wharf_domain::sync::Cursor;
use wharf_ports::{ProviderError, Retry};

use crate::entry::{dangling, entry_of};
use crate::error::{Call, Fault};
use crate::listing::{Course, Found, Harvest, MOST_ENTRIES, Target, forgotten, with_targets};
use crate::reach::{Home, Reach, is_hidden};
use crate::remote::{Change, NextChanges, RemoteFile, SHORTCUT};
use crate::source::{Scope, is_id};
use crate::tree::{Folder, Standing, UpTo};
use crate::wire::{ChangesRequest, Failure, Refused};

/// What one page names as absent, beyond which the rest is left to the next.
const MOST_ABSENT: usize = 1000;

/// Files that are asked for at the same time.
const AT_ONCE: usize = 8;

/// Where a feed stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// A path may lead elsewhere by now.
    root: String,
    /// The shared drive whose feed it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drive: Option<String>,
    token: String,
    /// Whether the feed has ended there for now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_end: bool,
    /// What the last page has us walk.
    #[serde(default, skip_serializing_if = "Course::is_done")]
    course: Course,
}

impl Position {
    fn at(home: &Home, token: String) -> Self {
        Self {
            root: home.id().to_owned(),
            drive: home.drive_id().map(ToOwned::to_owned),
            token,
            is_end: false,
            course: Course::default(),
        }
    }

    /// Reads a cursor, unless it is not of this root, seen in this way.
    fn read(cursor: &Cursor, home: &Home) -> Result<Self, Fault> {
        let position: Self = serde_json::from_str(&cursor.0).map_err(|_| forgotten())?;
        if position.root != home.id() || position.drive.as_deref() != home.drive_id() {
            return Err(forgotten());
        }
        Ok(position)
    }

    fn write(&self) -> Cursor {
        Cursor(serde_json::to_string(self).expect("texts alone make a document"))
    }
}

/// Where the feed of a source stands now.
pub(crate) async fn start(reach: &Reach, source_path: &str) -> Result<Cursor, ProviderError> {
    let scope = Scope::parse(source_path);
    let started = start_in(reach, &scope).await;
    let call = Call::new("drive.changes.getStartPageToken");
    started.map_err(|fault| fault.during(&call.on(scope.path)))
}

async fn start_in(reach: &Reach, scope: &Scope) -> Result<Cursor, Fault> {
    let home = reach.home(&scope.path).await?;
    let token = reach.wire.start_page_token(home.drive_id()).await?;
    Ok(Position::at(&home, token).write())
}

/// One page of what has changed in a source.
pub(crate) async fn changes(
    reach: &Reach,
    source_path: &str,
    cursor: &Cursor,
    limit: u32,
) -> Result<ChangesPage, ProviderError> {
    let scope = Scope::parse(source_path);
    let read = changes_in(reach, &scope, cursor, limit).await;
    read.map_err(|fault| fault.during(&Call::new("drive.changes.list").on(scope.path)))
}

async fn changes_in(
    reach: &Reach,
    scope: &Scope,
    cursor: &Cursor,
    limit: u32,
) -> Result<ChangesPage, Fault> {
    let home = reach.home(&scope.path).await?;
    let mut position = Position::read(cursor, &home)?;
    let mut harvest = Harvest::new(limit.clamp(1, MOST_ENTRIES));
    let mut pending = reach.walk(&cursor.0).unwrap_or_default();
    let mut absent = Vec::new();
    while !harvest.is_enough() && absent.len() < MOST_ABSENT {
        if !position.course.is_done() {
            let course = &mut position.course;
            course
                .go(
                    reach,
                    &home,
                    &scope.export_formats,
                    &mut pending,
                    &mut harvest,
                )
                .await?;
        } else if position.is_end {
            break;
        } else {
            let mut page = Page {
                reach,
                home: &home,
                formats: &scope.export_formats,
                course: &mut position.course,
                harvest: &mut harvest,
                absent: &mut absent,
            };
            let next = page.read(&position.token).await?;
            (position.token, position.is_end) = match next {
                NextChanges::Page(token) => (token, false),
                NextChanges::Later(token) => (token, true),
            };
        }
    }
    let caught_up = position.is_end && position.course.is_done();
    position.is_end &= !caught_up;
    let next = position.write();
    if !caught_up {
        reach.note_walk(&next.0, pending);
    }
    Ok(ChangesPage {
        entries: harvest.entries,
        absent,
        denied: harvest.denied,
        next,
        caught_up,
    })
}

/// One page of the feed, on its way into an answer.
struct Page<'a> {
    reach: &'a Reach,
    home: &'a Home,
    formats: &'a ExportFormats,
    course: &'a mut Course,
    harvest: &'a mut Harvest,
    absent: &'a mut Vec<Absent>,
}

impl Page<'_> {
    /// Reads the page and takes it in; tells where the feed goes on.
    async fn read(&mut self, token: &str) -> Result<NextChanges, Fault> {
        self.harvest.requests += 1;
        let request = ChangesRequest {
            page_token: token.to_owned(),
            drive_id: self.home.drive_id().map(ToOwned::to_owned),
            page_size: self.harvest.room(),
        };
        let changes = match self.reach.wire.changes(&request).await {
            Ok(changes) => changes,
            Err(failure) => return Err(self.lost(failure).await),
        };
        if changes.next == NextChanges::Page(token.to_owned()) {
            let words = "a page of the feed leads to itself";
            return Err(Fault::new(ErrorCode::ProtocolUnexpectedResponse, words));
        }
        let before = self.absent.len();
        let files = self.told(changes.changes).await?;
        for folder in files.iter().filter(|file| file.is_folder()) {
            self.reach.note_folder(&folder.id, Folder::of(folder));
        }
        let leads = |file: &RemoteFile| file.is_folder() || file.mime_type == SHORTCUT;
        if self.absent.len() > before || files.iter().any(leads) {
            self.reach.forget_shortcuts(self.home);
        }
        let (gone, there): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.trashed);
        self.reach.know_parents(self.home, &there).await?;
        for file in gone {
            if file.id == self.home.id() {
                return Err(root_is_gone("the folder of the source lies in the trash"));
            }
            self.reach.note_file(&file);
            self.miss(file.id, true);
        }
        for found in with_targets(self.reach, there).await? {
            self.place(found).await?;
        }
        self.course.keep_topmost(self.reach).await?;
        Ok(changes.next)
    }

    /// Why the feed cannot be read: the drive may be gone, and not the place in its feed.
    async fn lost(&self, failure: Failure) -> Fault {
        let is_absence = matches!(
            &failure,
            Failure::Refused(Refused {
                status: 403 | 404,
                ..
            })
        );
        let fault = Fault::from(failure);
        if !is_absence || !is_hidden(&fault) {
            return fault;
        }
        match self.home.drive_id() {
            None if fault.code == ErrorCode::ResourceNotFound => forgotten(),
            None => fault,
            Some(id) => match self.reach.wire.drive(id).await.map_err(Fault::from) {
                Ok(_) if fault.code == ErrorCode::ResourceNotFound => forgotten(),
                Ok(_) => fault,
                Err(fault) if is_hidden(&fault) => drive_is_gone(),
                Err(fault) => fault,
            },
        }
    }

    /// The files that a page tells of, each once and as it was told of last. What is removed is noted.
    async fn told(&mut self, changes: Vec<Change>) -> Result<Vec<RemoteFile>, Fault> {
        let mut last: HashMap<String, usize> = HashMap::new();
        for (at, change) in changes.iter().enumerate() {
            let id = match change {
                Change::File(file) => &file.id,
                Change::FileRemoved(id) | Change::FileUntold(id) => id,
                Change::DriveRemoved(id) if Some(id) == self.home.root.drive_id.as_ref() => {
                    return Err(drive_is_gone());
                }
                Change::DriveRemoved(_) | Change::Drive(_) | Change::Other => continue,
            };
            last.insert(id.clone(), at);
        }
        let (mut files, mut removed) = (Vec::new(), Vec::new());
        for (at, change) in changes.into_iter().enumerate() {
            let is_last = |id: &str| last.get(id) == Some(&at);
            match change {
                // What it is, decides what becomes of it.
                Change::File(file) if is_last(&file.id) && file.mime_type.is_empty() => {
                    self.ask(file.id, &mut files).await?;
                }
                Change::File(file) if is_last(&file.id) => files.push(*file),
                Change::FileUntold(id) if is_last(&id) => self.ask(id, &mut files).await?,
                Change::FileRemoved(id) if is_last(&id) => {
                    if id == self.home.id() {
                        return Err(root_is_gone(
                            "the folder of the source is gone, or not shared any more",
                        ));
                    }
                    removed.push(id);
                }
                _ => {}
            }
        }
        self.seek(removed, &mut files).await?;
        Ok(files)
    }

    /// What is removed may only have left the drive for a place that we see. Whoever sees everything need not ask.
    async fn seek(
        &mut self,
        removed: Vec<String>,
        files: &mut Vec<RemoteFile>,
    ) -> Result<(), Fault> {
        let (reach, sees_everything) = (self.reach, self.home.sees_everything());
        let found = removed.into_iter().map(|id| async move {
            if sees_everything || !is_id(&id) {
                return Ok((id, None));
            }
            match reach.file(&id).await {
                Ok(file) => Ok((id, file)),
                Err(fault) if is_no_answer(&fault) => Ok((id, None)),
                Err(fault) => Err(fault),
            }
        });
        let found: Vec<_> = stream::iter(found).buffered(AT_ONCE).try_collect().await?;
        for (id, file) in found {
            if let Some(file) = file {
                files.push(file);
            } else {
                self.reach.note_folder(&id, Folder::Hidden);
                self.miss(id, sees_everything);
            }
        }
        Ok(())
    }

    async fn ask(&mut self, id: String, files: &mut Vec<RemoteFile>) -> Result<(), Fault> {
        match self.reach.file(&id).await {
            Ok(Some(file)) => files.push(file),
            Ok(None) => self.miss(id, self.home.sees_everything()),
            Err(fault) if is_no_answer(&fault) => self.miss(id, false),
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    fn miss(&mut self, id: String, certain: bool) {
        self.absent.push(Absent { id, certain });
    }

    /// What a file that is there means for the source.
    async fn place(&mut self, Found { file, target }: Found) -> Result<(), Fault> {
        if file.id == self.home.id() {
            return Ok(());
        }
        let standing = self
            .reach
            .standing(self.home, &file.id, &file.parents)
            .await?;
        let (place, name) = match standing {
            Standing::Inside { place, name } => (place, name.unwrap_or_else(|| file.name.clone())),
            Standing::Trashed => {
                self.miss(file.id, true);
                return Ok(());
            }
            Standing::Outside { up_to } => {
                self.miss(file.id, up_to == UpTo::Top);
                return Ok(());
            }
        };
        match target {
            Target::Itself if file.is_folder() => {
                let place = || place.folder(&file.id, &name);
                self.course.add(&file.id, place, self.harvest);
            }
            Target::Itself => {
                let entry = entry_of(&file, &name, &place, self.formats);
                self.harvest.take(self.reach, entry, &file);
            }
            Target::Nowhere => self.harvest.entries.push(dangling(&file, &place)),
            Target::Folder(_) => {
                self.reach.note_folder(&file.id, Folder::of(&file));
                let place = || place.folder(&file.id, &name);
                self.course.add(&file.id, place, self.harvest);
            }
            Target::File(target) => {
                let own = self.reach.own_standing(self.home, &target.parents).await?;
                if !matches!(own, Standing::Inside { .. }) {
                    let place = place.through(&file.id);
                    let entry = entry_of(&target, &file.name, &place, self.formats);
                    self.harvest.take(self.reach, entry, &target);
                }
            }
        }
        Ok(())
    }
}

/// Whether a refusal is about one file alone, of which it tells nothing.
fn is_no_answer(fault: &Fault) -> bool {
    is_hidden(fault) || fault.code == ErrorCode::PermPolicyBlocked
}

/// A loss of access is no change.
fn drive_is_gone() -> Fault {
    let words = "the shared drive is gone, or the account is no longer a member of it";
    Fault::new(ErrorCode::PermDenied, words)
        .retried(Retry::Never)
        .remedied(
            "Add the account to the shared drive again, as a viewer or more, or delete the sync.",
        )
}

fn root_is_gone(words: &str) -> Fault {
    Fault::new(ErrorCode::ResourceNotFound, words)
        .remedied("Restore the folder or share it again, or choose another one.")
}
