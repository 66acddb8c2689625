//! `drives.list` and `drives.get`: the shared drives a caller is a member of.

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::refusal::Refusal;
use super::super::world::State;
use super::{page, paint};

pub(super) fn list(call: &Call, state: &State) -> Result<Value, Refusal> {
    if call.text("q").is_some() || call.flag("useDomainAdminAccess") {
        return Err(Refusal::of("invalid").about("q"));
    }
    let me = &call.who.email;
    let mine: Vec<_> = state
        .tree
        .drives
        .iter()
        .filter(|(_, drive)| drive.members.contains_key(me))
        .map(|(id, _)| id)
        .collect();
    let page = page::cut(call, &mine, String::as_str, call.count("pageSize", 10))?;
    let shown: Vec<_> = page
        .entries
        .iter()
        .filter_map(|id| Some(paint::drive(state, id, state.tree.drive_role(id, me)?)))
        .collect();
    let mut list = json!({"kind": "drive#driveList", "drives": shown});
    if let Some(next) = page.next {
        list["nextPageToken"] = json!(next);
    }
    Ok(list)
}

pub(super) fn get(call: &Call, state: &State) -> Result<Value, Refusal> {
    let role = state
        .tree
        .drive_role(&call.part, &call.who.email)
        .ok_or_else(|| Refusal::no_drive(&call.part))?;
    Ok(paint::drive(state, &call.part, role))
}
