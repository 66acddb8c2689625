//! Source paths: a folder by its id or address, or by the names of the folders down to it; and the root that they lead to.
//!
//! Names may repeat and change, ids may not. So a path is followed name by name, and two folders of one name are a mistake that
//! only a person can settle.

use serde::{Deserialize, Serialize};
use url::Url;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::filter::ExportFormats;
use wharf_domain::input::InvalidInput;
use wharf_ports::Retry;

use crate::error::Fault;
use crate::reach::is_hidden;
use crate::remote::{RemoteFile, ResourceKey};
use crate::wire::{FilesRequest, Wire};

/// Stands for a slash inside a name, which separates folders in a path.
const SLASH: char = '\u{ff0f}';

/// The alias of the account's own drive.
pub(crate) const MY_DRIVE: &str = "root";

/// Folders lie in no more than a hundred others.
const DEEPEST: usize = 100;

/// Pages of folders of one name; no list that makes sense has more.
const MOST_PAGES: usize = 100;

/// Drive allows no longer ids today.
const LONGEST_ID: usize = 256;

/// A folder, as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourcePath {
    Id(String),
    /// The names from the drive's topmost folder on; none is all of the drive.
    Names(Vec<String>),
}

impl SourcePath {
    /// Reads an id, an address of a folder, or a path such as `/Marketing/Assets`.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidInput> {
        let invalid = |message: &str| {
            Err(InvalidInput::one(
                "source_path",
                "invalid_format",
                message.to_owned(),
            ))
        };
        if text.contains("://") {
            return match id_of_address(text) {
                Some(id) => Ok(Self::Id(id)),
                None => invalid("is an address, but not one of a folder in Google Drive"),
            };
        }
        if is_id(text) {
            return Ok(Self::Id(text.to_owned()));
        }
        if !text.contains('/') || text.chars().any(char::is_control) {
            return invalid("must be the id of a folder, or a path that starts with /");
        }
        let names = text.split('/').filter(|name| !name.is_empty());
        let names: Vec<_> = names.map(ToOwned::to_owned).collect();
        if names.len() > DEEPEST {
            return invalid("has more folders than Google Drive allows inside each other");
        }
        Ok(Self::Names(names))
    }
}

/// What a run reads: a source path, and what documents of Google's own become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scope {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) export_formats: ExportFormats,
}

impl Scope {
    /// Reads a scope, or a source path alone.
    pub(crate) fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self {
            path: text.to_owned(),
            export_formats: ExportFormats::default(),
        })
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect("texts alone make a document")
    }
}

/// The folder that a source path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) id: String,
    /// The shared drive that it lies in, or is.
    pub(crate) drive_id: Option<String>,
    /// What its resource key has to be sent with, if it has one.
    pub(crate) key: Option<ResourceKey>,
}

impl Root {
    fn of(folder: RemoteFile) -> Self {
        Self {
            key: folder.key(),
            id: folder.id,
            drive_id: folder.drive_id,
        }
    }

    /// All of a shared drive. Whether it is there, is told by the drive.
    fn of_drive(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            drive_id: Some(id.to_owned()),
            key: None,
        }
    }

    /// Whether it is all of a shared drive.
    pub(crate) fn is_drive(&self) -> bool {
        self.drive_id.as_ref() == Some(&self.id)
    }
}

/// Follows a source path to its folder. `shared_drive` is the only drive that the connection is to read, if it names one.
pub(crate) async fn resolve(
    wire: &Wire,
    shared_drive: Option<&str>,
    path: &str,
) -> Result<Root, Fault> {
    let path = SourcePath::parse(path)
        .map_err(|error| Fault::new(ErrorCode::ConfigInvalid, error.0[0].message.clone()))?;
    let root = match path {
        SourcePath::Id(id) if Some(id.as_str()) == shared_drive => Root::of_drive(&id),
        SourcePath::Id(id) => by_id(wire, &id).await?,
        SourcePath::Names(names) => by_names(wire, shared_drive, &names).await?,
    };
    match shared_drive {
        Some(drive) if root.drive_id.as_deref() != Some(drive) => Err(Fault::new(
            ErrorCode::ConfigInvalid,
            "the folder lies outside the shared drive of the connection",
        )
        .remedied(
            "Choose a folder inside that drive, or change or remove provider_config.shared_drive_id.",
        )),
        _ => Ok(root),
    }
}

async fn by_id(wire: &Wire, id: &str) -> Result<Root, Fault> {
    let mut found = match wire.file(id, &[]).await.map_err(Fault::from) {
        Ok(found) => found,
        Err(fault) if fault.code == ErrorCode::ResourceNotFound => {
            return whole_drive(wire, id).await?.ok_or(fault);
        }
        Err(fault) => return Err(fault),
    };
    if let Some(shortcut) = found.shortcut.take() {
        let keys: Vec<_> = shortcut
            .target_resource_key
            .map(|key| ResourceKey {
                id: shortcut.target_id.clone(),
                key,
            })
            .into_iter()
            .collect();
        found = wire.file(&shortcut.target_id, &keys).await?;
    }
    if !found.is_folder() {
        let words = "the source path names a file, not a folder";
        return Err(Fault::new(ErrorCode::ConfigInvalid, words)
            .remedied("Name the folder that the file lies in."));
    }
    if found.trashed {
        let words = "the folder lies in the trash";
        return Err(Fault::new(ErrorCode::ResourceNotFound, words)
            .remedied("Take the folder out of the trash, or choose another one."));
    }
    if found.drive_id.is_none()
        && found.parents.is_empty()
        && id != MY_DRIVE
        && let Some(drive) = whole_drive(wire, &found.id).await?
    {
        return Ok(drive);
    }
    Ok(Root::of(found))
}

/// All of a shared drive, if this is one: not everything that answers knows drives as folders.
async fn whole_drive(wire: &Wire, id: &str) -> Result<Option<Root>, Fault> {
    match wire.drive(id).await.map_err(Fault::from) {
        Ok(drive) => Ok((drive.id == id).then(|| Root::of_drive(id))),
        Err(fault) if is_hidden(&fault) => Ok(None),
        // Nor does everything know drives.
        Err(fault)
            if matches!(
                fault.code,
                ErrorCode::ConfigInvalid
                    | ErrorCode::ConfigEndpointInvalid
                    | ErrorCode::ProtocolUnexpectedResponse
            ) =>
        {
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

async fn by_names(
    wire: &Wire,
    shared_drive: Option<&str>,
    names: &[String],
) -> Result<Root, Fault> {
    let mut folder = match shared_drive {
        Some(drive) => Root::of_drive(drive),
        None => by_id(wire, MY_DRIVE).await?,
    };
    for (depth, name) in names.iter().enumerate() {
        let mut found = named(wire, shared_drive, &folder, Some(&folder.id), name).await?;
        // What others share with an account lies in none of its folders.
        if depth == 0 && shared_drive.is_none() {
            let shared = named(wire, None, &folder, None, name).await?;
            found.extend(shared);
            found.sort_unstable_by(|one, other| one.id.cmp(&other.id));
            found.dedup_by(|one, other| one.id == other.id);
        }
        folder = match found.as_slice() {
            [] => {
                let words = format!("there is no folder {name:?} on the way, or it is not shared");
                return Err(Fault::new(ErrorCode::ResourceNotFound, words).remedied(
                    "Check the path's spelling, capital letters included, share the folder with the account, or name it by \
                     its id.",
                ));
            }
            [only] => only.clone(),
            several => {
                let ids: Vec<_> = several.iter().map(|each| each.id.as_str()).collect();
                let words = format!(
                    "there are {} folders {name:?} in the same place: {}",
                    ids.len(),
                    ids.join(", ")
                );
                return Err(Fault::new(ErrorCode::ConfigInvalid, words)
                    .remedied("Name the folder that is meant by its id."));
            }
        };
    }
    Ok(folder)
}

/// The folders of a name in a folder, or, without one, among those that lie in none that we see.
async fn named(
    wire: &Wire,
    shared_drive: Option<&str>,
    near: &Root,
    parent: Option<&str>,
    name: &str,
) -> Result<Vec<Root>, Fault> {
    let mut found: Vec<Root> = Vec::new();
    for spelling in spellings(name) {
        let place = parent.map_or_else(String::new, |id| {
            format!("'{}' in parents and ", quoted(id))
        });
        let mut request = FilesRequest {
            query: format!("{place}name = '{}' and trashed = false", quoted(&spelling)),
            drive_id: shared_drive.map(ToOwned::to_owned),
            page_size: 1000,
            keys: near.key.iter().cloned().collect(),
            ..FilesRequest::default()
        };
        let mut pages = 0;
        loop {
            let page = wire.files(&request).await?;
            pages += 1;
            if page.incomplete {
                let words = "Drive could not look everywhere for the folder";
                return Err(Fault::new(ErrorCode::ProviderUnavailable, words));
            }
            // A name is looked for regardless of capital letters.
            for file in page.items.into_iter().filter(|file| file.name == spelling) {
                if parent.is_some() || lies_in_nothing(wire, &file).await? {
                    found.extend(folder(wire, file).await?);
                }
            }
            if page.next.is_none() {
                break;
            }
            if page.next == request.page_token || pages >= MOST_PAGES {
                let words = "a list of Drive's has no end";
                return Err(Fault::new(ErrorCode::ProtocolUnexpectedResponse, words)
                    .retried(Retry::Later { after: None }));
            }
            request.page_token = page.next;
        }
    }
    Ok(found)
}

/// Whether a file lies in no folder that we see.
async fn lies_in_nothing(wire: &Wire, file: &RemoteFile) -> Result<bool, Fault> {
    let Some(parent) = file.parents.first() else {
        return Ok(true);
    };
    match wire.file(parent, &[]).await.map_err(Fault::from) {
        Ok(_) => Ok(false),
        Err(fault) if is_hidden(&fault) => Ok(true),
        Err(fault) => Err(fault),
    }
}

/// A folder, or the one that a shortcut points to.
async fn folder(wire: &Wire, file: RemoteFile) -> Result<Option<Root>, Fault> {
    if file.is_folder() {
        return Ok(Some(Root::of(file)));
    }
    if file.shortcut.is_none() {
        return Ok(None);
    }
    match by_id(wire, &file.id).await {
        Ok(root) => Ok(Some(root)),
        // One that points to a file, or nowhere, is no folder.
        Err(fault)
            if matches!(
                fault.code,
                ErrorCode::ResourceNotFound | ErrorCode::ConfigInvalid
            ) =>
        {
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

/// A segment of a path may stand for a name with a slash.
fn spellings(name: &str) -> Vec<String> {
    let mut spellings = vec![name.to_owned()];
    if name.contains(SLASH) {
        spellings.push(name.replace(SLASH, "/"));
    }
    spellings
}

/// A text inside the quotes of Drive's query language.
pub(crate) fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

/// A name as a segment of a path.
pub(crate) fn segment(name: &str) -> String {
    match name {
        "" => "untitled".to_owned(),
        name => name.replace('/', &SLASH.to_string()),
    }
}

/// Whether a text could be an id.
pub(crate) fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !text.is_empty() && text.len() <= LONGEST_ID && text.bytes().all(plain)
}

/// The id in an address that a browser shows for a file, a document or a folder.
pub(crate) fn id_of_address(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    if !matches!(
        url.host_str()?,
        "drive.google.com" | "docs.google.com" | "sheets.google.com" | "slides.google.com"
    ) {
        return None;
    }
    let mut segments = url.path_segments()?;
    let in_path = segments
        .by_ref()
        .find(|segment| matches!(*segment, "d" | "folders"))
        .and_then(|_| segments.next().map(ToOwned::to_owned));
    let in_query = || {
        url.query_pairs()
            .find(|(name, _)| name == "id")
            .map(|(_, id)| id.into_owned())
    };
    in_path.or_else(in_query).filter(|id| is_id(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<SourcePath> {
        SourcePath::parse(text).ok()
    }

    #[test]
    fn a_source_is_an_id_an_address_or_a_path() {
        let id = |id: &str| Some(SourcePath::Id(id.to_owned()));
        let names = |names: &[&str]| {
            let names = names.iter().map(ToString::to_string).collect();
            Some(SourcePath::Names(names))
        };
        for (text, expected) in [
            ("1AbC_d-9", id("1AbC_d-9")),
            ("root", id("root")),
            (
                "https://drive.google.com/drive/folders/1AbC_d-9?usp=sharing",
                id("1AbC_d-9"),
            ),
            (
                "https://drive.google.com/drive/u/0/folders/1AbC",
                id("1AbC"),
            ),
            ("https://drive.google.com/open?id=1AbC", id("1AbC")),
            ("/", names(&[])),
            ("/Marketing/Assets", names(&["Marketing", "Assets"])),
            ("/Marketing//Assets/", names(&["Marketing", "Assets"])),
            ("Marketing/Assets", names(&["Marketing", "Assets"])),
            ("/It's 50\u{ff0f}50", names(&["It's 50\u{ff0f}50"])),
            ("", None),
            ("Marketing Assets", None),
            ("/a\u{0}b", None),
            ("https://evil.example.com/drive/folders/1AbC", None),
            ("https://drive.google.com/drive/my-drive", None),
            ("https://drive.google.com/drive/folders/..%2f", None),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
        assert!(parsed(&"/a".repeat(101)).is_none());
    }

    #[test]
    fn a_scope_is_read_as_it_was_written_and_a_path_alone_has_the_usual_formats() {
        let scope = Scope {
            path: "/{\"path\"".to_owned(),
            export_formats: ExportFormats {
                document: "pdf".to_owned(),
                ..ExportFormats::default()
            },
        };
        assert_eq!(Scope::parse(&scope.text()), scope);
        let alone = Scope::parse("/Marketing");
        assert_eq!(alone.path, "/Marketing");
        assert_eq!(alone.export_formats, ExportFormats::default());
    }

    #[test]
    fn texts_are_safe_inside_a_query() {
        assert_eq!(quoted(r"It's a \ b"), r"It\'s a \\ b");
        assert_eq!(segment("50/50"), "50\u{ff0f}50");
        assert_eq!(segment(""), "untitled");
    }

    #[test]
    fn files_are_known_by_the_addresses_that_browsers_show() {
        for address in [
            "https://drive.google.com/file/d/1AbC/view?usp=drive_link",
            "https://docs.google.com/document/d/1AbC/edit#heading=h.1",
            "https://docs.google.com/spreadsheets/d/1AbC",
        ] {
            assert_eq!(id_of_address(address).as_deref(), Some("1AbC"), "{address}");
        }
    }
}
