//! `files.download`: an operation that is done after a while and leads to an address with the bytes.

use chrono::Duration;
use serde_json::{Value, json};

use super::super::call::Call;
use super::super::refusal::Refusal;
use super::super::tree::item::Content;
use super::super::world::{Download, Fetched, State};
use super::media::may_download;
use crate::clock::later;

/// How long the bytes lie there.
const KEPT: Duration = Duration::hours(24);

pub(super) fn start(call: &Call, state: &mut State) -> Result<Value, Refusal> {
    let (item, role) = call.file(state)?;
    may_download(call, state, item, role)?;
    let asked = call.text("mimeType");
    let (bytes, mime_type) = match (&item.content, asked) {
        (Content::Blob { bytes, .. }, _) => (bytes.clone(), item.mime_type.clone()),
        (Content::Native(_), Some(format)) => {
            let bytes = item.converted(format).ok_or_else(|| {
                Refusal::of("badRequest").saying("The requested conversion is not supported.")
            })?;
            (bytes, format.to_owned())
        }
        (Content::Native(_), None) => return Err(Refusal::of("required").about("mimeType")),
        (Content::Folder | Content::Shortcut { .. }, _) => {
            return Err(Refusal::of("fileNotDownloadable"));
        }
    };
    let fetched = Fetched {
        bytes,
        mime_type,
        expires: later(call.now, KEPT),
    };
    let path = state.tree.opaque("fetched", 32);
    let name = state.tree.opaque("operation", 24);
    state.fetched.insert(path.clone(), fetched);
    let download = Download {
        email: call.who.email.clone(),
        path,
        asked: 0,
    };
    let shown = shown(call, &name, &download);
    state.downloads.insert(name, download);
    Ok(shown)
}

pub(super) fn ask(call: &Call, state: &mut State) -> Result<Value, Refusal> {
    let download = state
        .downloads
        .get_mut(&call.part)
        .filter(|download| download.email == call.who.email)
        .ok_or_else(|| Refusal::of("notFound").saying("Operation not found."))?;
    download.asked += 1;
    Ok(shown(call, &call.part, download))
}

fn shown(call: &Call, name: &str, download: &Download) -> Value {
    let mut operation = json!({
        "name": name,
        "done": download.asked > 0,
        "metadata": {"@type": "type.googleapis.com/google.apps.drive.v3.DownloadFileMetadata"},
    });
    if download.asked > 0 {
        operation["response"] = json!({
            "@type": "type.googleapis.com/google.apps.drive.v3.DownloadFileResponse",
            "downloadUri": format!("{}/_dl/{}", call.url, download.path),
            "partialDownloadAllowed": true,
        });
    }
    operation
}
