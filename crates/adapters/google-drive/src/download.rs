//! The bytes of one file, in the version that was listed, verified as they pass; documents of Google's own in the form that belongs to
//! that version.

mod patience;
mod prepared;
mod proof;
mod source;
mod unbroken;

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use wharf_domain::Metadata;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_ports::{ByteStream, Fetched, ProviderError};

use self::proof::Proof;
use self::source::{Source, Way};
use self::unbroken::Unbroken;
use crate::entry::is_of_version;
use crate::error::{Call, Fault};
use crate::export::{Form, form_in};
use crate::metadata::metadata;
use crate::reach::Reach;
use crate::remote::{RemoteFile, ResourceKey};
use crate::source::is_id;
use crate::wire::{Failure, Opened, Refused, Wanted};

/// Before a document that Drive failed to export is asked for once more.
const PAUSE: Duration = Duration::from_secs(1);

/// Opens an entry of a listing.
pub(crate) async fn fetch(reach: &Arc<Reach>, entry: &Entry) -> Result<Fetched, ProviderError> {
    let call = Call::new("drive.files.get").on(&entry.object);
    let fetched = fetch_in(reach, entry, &call).await;
    fetched.map_err(|fault| fault.during(&call))
}

async fn fetch_in(reach: &Arc<Reach>, entry: &Entry, call: &Call) -> Result<Fetched, Fault> {
    let file = match reach.recent(entry) {
        Some(file) => file,
        None => current(reach, entry).await?,
    };
    let form = match entry.version.split_once('|') {
        Some((_, mime_type)) => form_in(&file, mime_type),
        None => Form::Bytes,
    };
    if form != Form::None && file.can_download == Some(false) {
        let words = "downloads of this file are switched off";
        return Err(Fault::new(ErrorCode::ObjectDownloadBlocked, words));
    }
    let bytes = match form {
        // A range of nothing cannot be asked for.
        Form::Bytes if file.size == Some(0) => stream::empty().boxed(),
        form => opened(reach, &file, entry, form, call).await?,
    };
    let content_type = match form {
        Form::Exported(export) | Form::Prepared(export) => export.mime_type.to_owned(),
        Form::Bytes | Form::None => file.mime_type.clone(),
    };
    Ok(Fetched {
        bytes,
        content_type: Some(content_type).filter(|kind| !kind.is_empty()),
        metadata: metadata(&file),
        tags: Metadata::new(),
        version_id: file.head_revision_id,
    })
}

/// The file as it is now, if that is the version of the entry.
async fn current(reach: &Reach, entry: &Entry) -> Result<RemoteFile, Fault> {
    if !is_id(&entry.object) {
        return Err(gone());
    }
    let mut found = reach.file(&entry.object).await?;
    if found.is_none() && learns_key(reach, entry).await? {
        found = reach.file(&entry.object).await?;
    }
    match found {
        None => Err(gone()),
        Some(file) if file.trashed || file.shortcut.is_some() || file.is_folder() => Err(gone()),
        Some(file) if !is_of_version(&file, entry) => Err(changed()),
        Some(file) => Ok(file),
    }
}

/// Whether the shortcut that led to a file, the last in its lineage, has a key for it.
async fn learns_key(reach: &Reach, entry: &Entry) -> Result<bool, Fault> {
    let Some(last) = entry.lineage.split('/').rfind(|id| !id.is_empty()) else {
        return Ok(false);
    };
    let shortcut = reach.file(last).await?.and_then(|file| file.shortcut);
    let key = shortcut
        .filter(|shortcut| shortcut.target_id == entry.object)
        .and_then(|shortcut| shortcut.target_resource_key);
    let Some(key) = key else {
        return Ok(false);
    };
    reach.note_key(ResourceKey {
        id: entry.object.clone(),
        key,
    });
    Ok(true)
}

async fn opened(
    reach: &Arc<Reach>,
    file: &RemoteFile,
    entry: &Entry,
    form: Form,
    call: &Call,
) -> Result<ByteStream, Fault> {
    let keys = reach.keys(&file.id);
    let (opened, way) = match form {
        Form::Bytes => {
            let opened = reach.wire.media(&file.id, &keys, Wanted::WHOLE, false);
            (opened.await?, Way::Media)
        }
        Form::Exported(export) => match exported(reach, file, export.mime_type).await? {
            Some(opened) => (opened, Way::Export(export.mime_type)),
            None => prepared::open(reach, file, export.mime_type, too_large()).await?,
        },
        Form::Prepared(export) => {
            prepared::open(reach, file, export.mime_type, not_exportable()).await?
        }
        Form::None => return Err(not_exportable()),
    };
    if opened.range.is_some_and(|range| range.from != 0) {
        return Err(another_part());
    }
    let is_media = matches!(way, Way::Media);
    let unbroken = Unbroken {
        size: file.size.filter(|_| is_media),
        proof: if is_media {
            Proof::of(file)
        } else {
            Proof::None
        },
        bytes: source::chunks(opened.body),
        source: Source {
            reach: Arc::clone(reach),
            entry: entry.clone(),
            way,
        },
        call: call.clone(),
    };
    Ok(unbroken.stream())
}

/// A document as another type; nothing if it is too large for that. Drive may say so by failing, every time.
async fn exported(
    reach: &Reach,
    file: &RemoteFile,
    mime_type: &str,
) -> Result<Option<Opened>, Fault> {
    let keys = reach.keys(&file.id);
    let mut has_failed = false;
    loop {
        let failure = match reach.wire.export(&file.id, mime_type, &keys).await {
            Ok(opened) => return Ok(Some(opened)),
            Err(failure) => failure,
        };
        let fails = matches!(&failure, Failure::Refused(Refused { status: 500, .. }));
        let fault = Fault::from(failure);
        if fault.code == ErrorCode::ObjectTooLargeToExport || (fails && has_failed) {
            return Ok(None);
        }
        if !fails {
            return Err(fault);
        }
        has_failed = true;
        tokio::time::sleep(PAUSE).await;
    }
}

fn gone() -> Fault {
    let words = "the file is gone, in the trash, or not shared any more";
    Fault::new(ErrorCode::ResourceNotFound, words)
}

fn changed() -> Fault {
    let words = "the file has changed since it was listed";
    Fault::new(ErrorCode::ResourceChanged, words)
}

fn another_part() -> Fault {
    let words = "Drive sent another part of the file than it was asked for";
    Fault::new(ErrorCode::ProtocolUnexpectedResponse, words)
}

fn too_large() -> Fault {
    let words = "the document is larger than Google exports (10 MB), and it could not be prepared for download either";
    Fault::new(ErrorCode::ObjectTooLargeToExport, words)
}

fn not_exportable() -> Fault {
    let words = "documents of this kind cannot be exported";
    Fault::new(ErrorCode::ObjectNotExportable, words)
}
