//! What a sync of one source path would need: to list the folder, and to read a file in it.

use std::sync::Arc;

use wharf_domain::check::Check;
use wharf_domain::error_code::ErrorCode;

use super::patience::{Patience, Timed};
use crate::error::{Call, Fault};
use crate::provider::Account;
use crate::reach::Home;
use crate::remote::{Page, RemoteFile};
use crate::source::{Scope, quoted};
use crate::wire::{Failure, FilesRequest, Wanted, Wire};

const LIST: &str = "folder_listable";
const READ: &str = "file_readable";

/// Among how many files one to read is looked for, in each folder.
const LOOKED_AT: u32 = 100;

/// In how many folders.
const FOLDERS: usize = 5;

/// A form that every kind of document that can be exported has.
const EXPORT: &str = "application/pdf";

/// The checks of a path, when the connection has passed its own.
pub(super) async fn checks(
    account: &Account,
    patience: &Patience,
    source_path: &str,
) -> Vec<Check> {
    if patience.is_over() {
        return skipped();
    }
    let path = Scope::parse(source_path).path;
    let action = || Some(Call::new("drive.files.list").on(path.as_str()).to_string());
    let Timed { answer, ms } = patience.call(|| listed(account, &path)).await;
    let (home, page) = match answer {
        Ok(listed) => listed,
        Err(fault) => {
            let failed = Check::failed(LIST, fault.code, action(), fault.advice(), ms);
            return vec![failed, Check::skipped(READ)];
        }
    };
    let read = readable(&account.wire, patience, &home, page).await;
    vec![Check::passed(LIST, ms), read]
}

/// The checks of a path that nothing could be asked about.
pub(super) fn skipped() -> Vec<Check> {
    vec![Check::skipped(LIST), Check::skipped(READ)]
}

async fn listed(account: &Account, path: &str) -> Result<(Arc<Home>, Page<RemoteFile>), Fault> {
    let home = Box::pin(account.reach.home(path)).await?;
    let page = children(&account.wire, &home, home.id()).await?;
    Ok((home, page))
}

async fn children(wire: &Wire, home: &Home, folder: &str) -> Result<Page<RemoteFile>, Failure> {
    let request = FilesRequest {
        query: format!("'{}' in parents and trashed = false", quoted(folder)),
        drive_id: home.drive_id().map(ToOwned::to_owned),
        page_size: LOOKED_AT,
        keys: home.root.key.iter().cloned().collect(),
        ..FilesRequest::default()
    };
    wire.files(&request).await
}

/// Reads the beginning of the first file that is found, breadth first. A path without a file leaves it open.
async fn readable(wire: &Wire, patience: &Patience, home: &Home, page: Page<RemoteFile>) -> Check {
    let mut folders = Vec::new();
    let mut page = page;
    for _ in 0..FOLDERS {
        let (below, files): (Vec<_>, Vec<_>) =
            page.items.into_iter().partition(RemoteFile::is_folder);
        if let Some(file) = files.iter().find(|file| has_bytes(file)) {
            return read(wire, patience, home, file).await;
        }
        folders.extend(below.into_iter().map(|folder| folder.id));
        if folders.is_empty() || patience.is_over() {
            break;
        }
        let folder = folders.remove(0);
        page = match children(wire, home, &folder).await {
            Ok(page) => page,
            Err(failure) => {
                let fault = Fault::from(failure);
                let action = Some(Call::new("drive.files.list").on(folder).to_string());
                return Check::failed(READ, fault.code, action, fault.advice(), 0);
            }
        };
    }
    let remedy = "No file with bytes was found there, so nothing could be read. Put a file there, and test again.";
    let action = Some(Call::new("drive.files.get").to_string());
    Check::inconclusive(READ, ErrorCode::ResourceNotFound, action, remedy, 0)
}

/// Whether a sync would copy it.
fn has_bytes(file: &RemoteFile) -> bool {
    let kinds = ["document", "spreadsheet", "presentation", "drawing"];
    let exports = || {
        let kind = file.mime_type.strip_prefix(crate::remote::NATIVE);
        kind.is_some_and(|kind| kinds.contains(&kind))
    };
    let blob = !file.is_native() && file.size.is_some_and(|size| size > 0);
    file.shortcut.is_none() && file.can_download != Some(false) && (blob || exports())
}

async fn read(wire: &Wire, patience: &Patience, home: &Home, file: &RemoteFile) -> Check {
    let call = Call::new(if file.is_native() {
        "drive.files.export"
    } else {
        "drive.files.get"
    });
    let keys: Vec<_> = home.root.key.iter().cloned().chain(file.key()).collect();
    let keys = keys.as_slice();
    let Timed { answer, ms } = patience
        .call(|| async move {
            if file.is_native() {
                wire.export(&file.id, EXPORT, keys).await
            } else {
                let first = Wanted {
                    from: 0,
                    to: Some(0),
                };
                wire.media(&file.id, keys, first, false).await
            }
        })
        .await;
    match answer {
        Ok(_) => Check::passed(READ, ms),
        Err(fault) if is_of_file(fault.code) => {
            let action = Some(call.on(file.id.as_str()).to_string());
            let remedy = format!("{} Other files may be readable.", fault.advice());
            Check::inconclusive(READ, fault.code, action, remedy, ms)
        }
        Err(fault) => {
            let action = Some(call.on(file.id.as_str()).to_string());
            Check::failed(READ, fault.code, action, fault.advice(), ms)
        }
    }
}

/// Whether what went wrong says nothing of other files.
fn is_of_file(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ObjectNotExportable
            | ErrorCode::ObjectTooLargeToExport
            | ErrorCode::ObjectDownloadBlocked
            | ErrorCode::ObjectFlaggedMalware
            | ErrorCode::QuotaExhausted
            | ErrorCode::ResourceChanged
            | ErrorCode::ResourceNotFound
    )
}
