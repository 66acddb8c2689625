//! `files.get`: what is known about a file.

use serde_json::Value;

use super::super::call::Call;
use super::super::refusal::Refusal;
use super::super::world::State;
use super::paint;

pub(super) fn get(call: &Call, state: &State) -> Result<Value, Refusal> {
    let (item, role) = call.file(state)?;
    Ok(paint::file(state, item, &call.who, role))
}
