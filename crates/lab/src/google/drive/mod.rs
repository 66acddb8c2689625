//! The methods of Drive v3, one file each.

mod about;
mod changes;
mod download;
mod drives;
mod files;
mod list;
pub(crate) mod media;
mod page;
mod paint;
mod query;
mod watch;

use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::Value;

use super::call::Call;
use super::push::Push;
use super::refusal::{Refusal, json_answer};
use super::world::State;
use crate::operation::Operation;

/// Answers a call.
pub(crate) fn answer(
    call: &Call,
    state: &mut State,
    push: &Push,
) -> Result<Response<Body>, Refusal> {
    let value = match call.method.operation {
        Operation::DriveAbout => about::get(call, state),
        Operation::DriveFilesList => list::files(call, state)?,
        Operation::DriveFilesGet if call.is_media() => return media::get(call, state),
        Operation::DriveFilesGet => files::get(call, state)?,
        Operation::DriveFilesExport => return media::export(call, state),
        Operation::DriveFilesDownload => download::start(call, state)?,
        Operation::DriveOperationsGet => download::ask(call, state)?,
        Operation::DriveDrivesList => drives::list(call, state)?,
        Operation::DriveDrivesGet => drives::get(call, state)?,
        Operation::DriveStartPageToken => changes::start(call, state)?,
        Operation::DriveChangesList => changes::list(call, state)?,
        Operation::DriveChangesWatch => watch::open(call, state, push)?,
        Operation::DriveChannelsStop => {
            watch::stop(call, state)?;
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Ok(response);
        }
        _ => return Err(Refusal::of("notFound")),
    };
    Ok(answered(call, value))
}

fn answered(call: &Call, value: Value) -> Response<Body> {
    json_answer(StatusCode::OK, &call.masked(value))
}
