//! The files of a source, page by page.
//!
//! A whole shared drive is read flatly: its folders at once, then its files. Everything else is walked folder by folder. What
//! shortcuts to folders elsewhere lead to is walked last, or where the walk comes by them; a target that lies in the source itself
//! counts in its own place alone. In memory are at most the folders of [`reach`](crate::reach), the children of the folders on the way
//! down (4,096 each), and one page; a cursor holds the way down (100 folders) and at most 1,000 shortcuts that are still to be followed,
//! and as many that were.

mod course;
mod harvest;
mod walk;

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::filter::ExportFormats;
use wharf_domain::sync::Cursor;
use wharf_ports::{ListingPage, ProviderError, Retry};

pub(crate) use self::course::Course;
pub(crate) use self::harvest::Harvest;
pub(crate) use self::walk::Pending;
use crate::entry::{dangling, entry_of};
use crate::error::{Call, Fault};
use crate::reach::{Home, Reach, is_hidden};
use crate::remote::{FOLDER, Page, RemoteFile, ResourceKey, SHORTCUT};
use crate::source::{Scope, quoted};
use crate::tree::{Folder, Standing};
use crate::wire::FilesRequest;

/// The most that a page may have.
pub(crate) const MOST_ENTRIES: u32 = 1000;

/// A listing that begins reads the folders of a drive anew if they were read longer ago.
const FRESH: Duration = Duration::from_mins(1);

/// Targets that are asked for at the same time.
const AT_ONCE: usize = 8;

/// Where a listing stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// A path may lead elsewhere by now.
    root: String,
    /// The place in a flat listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flat: Option<String>,
    course: Course,
}

/// One page, from the start or from a cursor.
pub(crate) async fn list(
    reach: &Reach,
    source_path: &str,
    cursor: Option<&Cursor>,
    limit: u32,
) -> Result<ListingPage, ProviderError> {
    let scope = Scope::parse(source_path);
    let listed = list_in(reach, &scope, cursor, limit).await;
    listed.map_err(|fault| fault.during(&Call::new("drive.files.list").on(scope.path)))
}

async fn list_in(
    reach: &Reach,
    scope: &Scope,
    cursor: Option<&Cursor>,
    limit: u32,
) -> Result<ListingPage, Fault> {
    let home = reach.home(&scope.path).await?;
    let mut harvest = Harvest::new(limit.clamp(1, MOST_ENTRIES));
    let mut pending = cursor
        .and_then(|cursor| reach.walk(&cursor.0))
        .unwrap_or_default();
    let (mut position, mut is_flat) = match cursor {
        Some(cursor) => {
            let position: Position = serde_json::from_str(&cursor.0).map_err(|_| forgotten())?;
            if position.root != home.id() {
                return Err(forgotten());
            }
            let is_flat = position.flat.is_some();
            (position, is_flat)
        }
        None => start(reach, &home, &mut harvest).await?,
    };
    while is_flat && !harvest.is_enough() {
        let next = flat_page(
            reach,
            &home,
            &scope.export_formats,
            &mut position,
            &mut harvest,
        );
        is_flat = next.await?;
    }
    if !is_flat {
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
    }
    let goes_on = is_flat || !position.course.is_done();
    let next = goes_on.then(|| {
        let cursor = serde_json::to_string(&position).expect("texts alone make a document");
        reach.note_walk(&cursor, pending);
        Cursor(cursor)
    });
    Ok(ListingPage {
        entries: harvest.entries,
        next,
        denied: harvest.denied,
    })
}

/// Where a listing begins, and whether flatly.
async fn start(
    reach: &Reach,
    home: &Home,
    harvest: &mut Harvest,
) -> Result<(Position, bool), Fault> {
    let mut position = Position {
        root: home.id().to_owned(),
        flat: None,
        course: Course::default(),
    };
    if !home.is_drive() {
        position.course = Course::through(home);
        return Ok((position, false));
    }
    for closed in reach.gather(home.drive_id(), FRESH).await? {
        let parents = std::slice::from_ref(&closed);
        if let Standing::Inside { place, .. } = reach.own_standing(home, parents).await? {
            harvest.denied.push(place.path);
        }
    }
    Ok((position, true))
}

/// One page of a flat listing; whether more follow.
async fn flat_page(
    reach: &Reach,
    home: &Home,
    formats: &ExportFormats,
    position: &mut Position,
    harvest: &mut Harvest,
) -> Result<bool, Fault> {
    let request = FilesRequest {
        query: format!("mimeType != '{FOLDER}' and trashed = false"),
        drive_id: home.drive_id().map(ToOwned::to_owned),
        page_size: harvest.room(),
        page_token: position.flat.take(),
        ..FilesRequest::default()
    };
    let page = whole(reach, &request, harvest).await?;
    reach.know_parents(home, &page.items).await?;
    for found in with_targets(reach, page.items).await? {
        let file = &found.file;
        let Standing::Inside { place, .. } = reach.own_standing(home, &file.parents).await? else {
            continue;
        };
        match &found.target {
            Target::Itself => {
                harvest.take(reach, entry_of(file, &file.name, &place, formats), file);
            }
            Target::Nowhere => harvest.entries.push(dangling(file, &place)),
            Target::Folder(_) => {
                let name = &file.name;
                position
                    .course
                    .add(&file.id, || place.folder(&file.id, name), harvest);
            }
            Target::File(target) => {
                let own = reach.own_standing(home, &target.parents).await?;
                if !matches!(own, Standing::Inside { .. }) {
                    let place = place.through(&file.id);
                    harvest.take(reach, entry_of(target, &file.name, &place, formats), target);
                }
            }
        }
    }
    position.flat = page.next;
    Ok(position.flat.is_some())
}

/// A page that Drive says is whole, and that leads on, if it does.
async fn whole(
    reach: &Reach,
    request: &FilesRequest,
    harvest: &mut Harvest,
) -> Result<Page<RemoteFile>, Fault> {
    harvest.requests += 1;
    let page = reach.wire.files(request).await?;
    if page.incomplete {
        let words = "Drive could not look everywhere, so that the list is not whole";
        return Err(Fault::new(ErrorCode::ProviderUnavailable, words));
    }
    if page.next.is_some() && page.next == request.page_token {
        let words = "a page of the list leads to itself";
        return Err(Fault::new(ErrorCode::ProtocolUnexpectedResponse, words));
    }
    Ok(page)
}

/// A file or shortcut, and what it leads to.
pub(crate) struct Found {
    pub(crate) file: RemoteFile,
    pub(crate) target: Target,
}

/// What a shortcut leads to.
pub(crate) enum Target {
    /// It is none.
    Itself,
    File(Box<RemoteFile>),
    /// By its id.
    Folder(String),
    /// What it led to is gone, in the trash, or hidden.
    Nowhere,
}

/// Asks for the targets of those that are shortcuts.
pub(crate) async fn with_targets(
    reach: &Reach,
    files: Vec<RemoteFile>,
) -> Result<Vec<Found>, Fault> {
    let found = files.into_iter().map(|file| async move {
        let target = target(reach, &file).await?;
        Ok(Found { file, target })
    });
    stream::iter(found).buffered(AT_ONCE).try_collect().await
}

/// What a file leads to, if it is a shortcut.
pub(crate) async fn target(reach: &Reach, file: &RemoteFile) -> Result<Target, Fault> {
    if file.mime_type != SHORTCUT {
        return Ok(Target::Itself);
    }
    let Some(shortcut) = &file.shortcut else {
        return Ok(Target::Nowhere);
    };
    if let Some(key) = &shortcut.target_resource_key {
        reach.note_key(ResourceKey {
            id: shortcut.target_id.clone(),
            key: key.clone(),
        });
    }
    match reach.file(&shortcut.target_id).await {
        Ok(Some(found)) if found.trashed || found.shortcut.is_some() => Ok(Target::Nowhere),
        Ok(Some(found)) if found.is_folder() => {
            reach.note_folder(&found.id, Folder::of(&found));
            Ok(Target::Folder(found.id))
        }
        Ok(Some(found)) => Ok(Target::File(Box::new(found))),
        Ok(None) => Ok(Target::Nowhere),
        Err(fault) if is_hidden(&fault) => Ok(Target::Nowhere),
        Err(fault) => Err(fault),
    }
}

/// The query for what lies in a folder.
pub(crate) fn children_of(folder: &str) -> String {
    format!("'{}' in parents and trashed = false", quoted(folder))
}

/// A place that no listing can have given, or that is of another root.
pub(crate) fn forgotten() -> Fault {
    let words = "the place that was reached is not one of this source any more";
    Fault::new(ErrorCode::CursorExpired, words).retried(Retry::Restart)
}
