//! What a person finds in a folder, and what a path from a source on names.

use std::collections::HashSet;

use wharf_domain::error_code::ErrorCode;
use wharf_ports::{Browse, Browsed, ProviderError};

use crate::entry::{last_segment, segment};
use crate::error::{Call, Fault};
use crate::export::extensions;
use crate::listing::{Target, children_of, target};
use crate::reach::{Reach, is_hidden};
use crate::remote::{FOLDER, Page, RemoteFile};
use crate::source::{MY_DRIVE, Scope, SourcePath, quoted};
use crate::wire::FilesRequest;

/// Folders of one path that are looked into, where names repeat.
const MOST_ALIKE: usize = 20;

/// Pages that are looked through for a person who waits.
const MOST_PAGES: usize = 20;

/// What only the account's own drive has: files that others share with it and that lie in none of its folders.
const SHARED: &str = "sharedWithMe = true and trashed = false";

/// At most so many files or folders in the folder at a path.
pub(crate) async fn browse(
    reach: &Reach,
    what: Browse,
    path: &str,
    limit: u32,
) -> Result<Vec<Browsed>, ProviderError> {
    let browsed = browse_in(reach, what, path, limit as usize).await;
    browsed.map_err(|fault| fault.during(&Call::new("drive.files.list").on(path)))
}

/// A folder to look into.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spot {
    id: String,
    /// Ends in a slash.
    path: String,
    /// Whether what is shared with the account counts as lying in it.
    is_top: bool,
}

async fn browse_in(
    reach: &Reach,
    what: Browse,
    path: &str,
    limit: usize,
) -> Result<Vec<Browsed>, Fault> {
    let mut browsed = Vec::new();
    let kind = match what {
        Browse::Folders => format!("mimeType = '{FOLDER}'"),
        Browse::Files => format!("mimeType != '{FOLDER}'"),
    };
    let mut seen = HashSet::new();
    for spot in spots(reach, path).await? {
        for place in &spot.places() {
            let query = format!("{place} and {kind}");
            let room = limit.saturating_sub(browsed.len());
            let found = match some(reach, query, Some("name"), room).await {
                Ok(found) => found,
                Err(fault) if fault.code == ErrorCode::ResourceNotFound => continue,
                Err(fault) if is_unheard_of(place, &fault) => continue,
                Err(fault) => return Err(fault),
            };
            let new = found
                .into_iter()
                .filter(|file| seen.insert(file.id.clone()));
            browsed.extend(new.map(|file| browsed_in(&spot, file)));
        }
    }
    Ok(browsed)
}

fn browsed_in(spot: &Spot, file: RemoteFile) -> Browsed {
    Browsed {
        path: format!("{}{}", spot.path, segment(&file.name)),
        id: file.id,
        name: file.name,
        mime_type: file.mime_type,
        size_bytes: file.size,
        modified_at: file.modified_at,
        web_view_link: file.web_view_link,
    }
}

impl Spot {
    /// The queries for what lies in it.
    fn places(&self) -> Vec<String> {
        let mut places = vec![children_of(&self.id)];
        if self.is_top {
            places.push(SHARED.to_owned());
        }
        places
    }
}

/// Whether what answers does not know of sharing: then nothing is shared.
fn is_unheard_of(place: &str, fault: &Fault) -> bool {
    place == SHARED && fault.code == ErrorCode::ConfigInvalid
}

/// The folders that a path or an id names.
async fn spots(reach: &Reach, path: &str) -> Result<Vec<Spot>, Fault> {
    let path = if path.is_empty() { "/" } else { path };
    let spot = |id: &str| Spot {
        id: id.to_owned(),
        path: "/".to_owned(),
        is_top: id == MY_DRIVE,
    };
    let names = match SourcePath::parse(path) {
        Ok(SourcePath::Id(id)) if id == MY_DRIVE => Vec::new(),
        Ok(SourcePath::Id(id)) => return Ok(vec![spot(&id)]),
        Ok(SourcePath::Names(names)) => names,
        Err(_) => return Ok(Vec::new()),
    };
    let top = spot(reach.shared_drive().unwrap_or(MY_DRIVE));
    let mut spots = vec![top];
    for name in names {
        let mut below = Vec::new();
        for spot in &spots {
            for place in spot.places() {
                let (folders, _) = named(reach, &place, &name).await?;
                below.extend(folders.into_iter().map(|(id, _)| Spot {
                    id,
                    path: format!("{}{name}/", spot.path),
                    is_top: false,
                }));
            }
        }
        spots = alike(below);
    }
    Ok(spots)
}

/// Each once, and not too many.
fn alike(spots: Vec<Spot>) -> Vec<Spot> {
    let mut seen = HashSet::new();
    let new = spots
        .into_iter()
        .filter(|spot| seen.insert(spot.id.clone()));
    new.take(MOST_ALIKE).collect()
}

/// Ids of folders and their own names.
type Folders = Vec<(String, String)>;

/// The folders in a place that a segment of a path names, shortcuts to folders included; and the files.
async fn named(
    reach: &Reach,
    place: &str,
    name: &str,
) -> Result<(Folders, Vec<RemoteFile>), Fault> {
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for spelling in spellings(name) {
        let query = format!("{place} and name = '{}'", quoted(&spelling));
        let found = match some(reach, query, None, usize::MAX).await {
            Ok(found) => found,
            Err(fault) if is_hidden(&fault) || is_unheard_of(place, &fault) => continue,
            Err(fault) => return Err(fault),
        };
        // Drive looks for names regardless of capital letters.
        for file in found.into_iter().filter(|file| file.name == spelling) {
            if file.is_folder() {
                folders.push((file.id, file.name));
                continue;
            }
            match target(reach, &file).await? {
                Target::Folder(id) => folders.push((id, file.name)),
                Target::File(target) => files.push(RemoteFile {
                    name: file.name,
                    ..*target
                }),
                Target::Itself | Target::Nowhere => files.push(file),
            }
        }
    }
    Ok((folders, files))
}

/// The names that a segment of a path may stand for.
fn spellings(name: &str) -> Vec<String> {
    let mut spellings = vec![name.to_owned()];
    if name.contains('\u{ff0f}') {
        spellings.push(name.replace('\u{ff0f}', "/"));
    }
    if name == segment("") {
        spellings.push(String::new());
    }
    spellings
}

/// At most so many files that a query finds.
async fn some(
    reach: &Reach,
    query: String,
    order_by: Option<&'static str>,
    limit: usize,
) -> Result<Vec<RemoteFile>, Fault> {
    let mut found = Vec::new();
    let mut request = FilesRequest {
        query,
        order_by,
        drive_id: reach.shared_drive().map(ToOwned::to_owned),
        page_size: u32::try_from(limit).unwrap_or(u32::MAX).clamp(1, 1000),
        ..FilesRequest::default()
    };
    for _ in 0..MOST_PAGES {
        if found.len() >= limit {
            break;
        }
        let Page { items, next, .. } = reach.wire.files(&request).await?;
        found.extend(items);
        if next.is_none() || next == request.page_token {
            break;
        }
        request.page_token = next;
    }
    found.truncate(limit);
    Ok(found)
}

/// The ids of the files that a path from a source on names.
pub(crate) async fn find(
    reach: &Reach,
    source_path: &str,
    path: &str,
) -> Result<Vec<String>, ProviderError> {
    let scope = Scope::parse(source_path);
    let found = find_in(reach, &scope, path).await;
    found.map_err(|fault| fault.during(&Call::new("drive.files.list").on(path)))
}

async fn find_in(reach: &Reach, scope: &Scope, path: &str) -> Result<Vec<String>, Fault> {
    let segments: Vec<_> = path.split('/').filter(|name| !name.is_empty()).collect();
    let Some((last, above)) = segments.split_last() else {
        return Ok(Vec::new());
    };
    let home = reach.home(&scope.path).await?;
    let mut folders = vec![home.id().to_owned()];
    for name in above {
        let mut below = Vec::new();
        for folder in &folders {
            let (found, _) = named(reach, &children_of(folder), name).await?;
            below.extend(found.into_iter().map(|(id, _)| id));
        }
        below.truncate(MOST_ALIKE);
        folders = below;
    }
    // A document's path has an extension that its name has not.
    let mut names = vec![*last];
    let stem = last.rsplit_once('.');
    names.extend(
        stem.filter(|(_, end)| extensions().any(|known| known == *end))
            .map(|(stem, _)| stem),
    );
    let mut ids = Vec::new();
    for folder in &folders {
        for name in &names {
            let (_, files) = named(reach, &children_of(folder), name).await?;
            let same =
                |file: &&RemoteFile| last_segment(file, &file.name, &scope.export_formats) == *last;
            ids.extend(files.iter().filter(same).map(|file| file.id.clone()));
        }
    }
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_stands_for_every_name_that_is_shown_so() {
        assert_eq!(spellings("a"), ["a"]);
        assert_eq!(spellings("a／b"), ["a／b", "a/b"]);
        assert_eq!(spellings("untitled"), ["untitled", ""]);
    }
}
