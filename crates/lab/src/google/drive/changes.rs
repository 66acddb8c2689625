//! `changes.getStartPageToken` and `changes.list`: what changed, for a caller or in a shared drive.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::call::Call;
use super::super::refusal::Refusal;
use super::super::tree::feed::{Entry, Subject, Whose};
use super::super::world::State;
use super::{page, paint};
use crate::fault::ListingFault;

/// Tokens of one feed mean nothing to another: each counts in steps of this from a number of its own.
const STEP: u64 = 997;
/// Behind the place in a token that comes from a page a rule left empty.
const HOLLOW: &str = "-0";

/// The feed a call is about; a shared drive's has its members only.
pub(super) fn whose(call: &Call, state: &State) -> Result<Whose, Refusal> {
    let Some(drive) = call.drive_id() else {
        return Ok(Whose::Account(call.who.email.clone()));
    };
    if !call.supports_drives() || state.tree.drive_role(drive, &call.who.email).is_none() {
        return Err(Refusal::no_drive(drive));
    }
    Ok(Whose::Drive(drive.to_owned()))
}

pub(super) fn start(call: &Call, state: &State) -> Result<Value, Refusal> {
    let whose = whose(call, state)?;
    Ok(json!({
        "kind": "drive#startPageToken",
        "startPageToken": token(&whose, state.tree.feed.next_place()),
    }))
}

fn token(whose: &Whose, place: u64) -> String {
    (place * STEP + first(whose)).to_string()
}

fn first(whose: &Whose) -> u64 {
    let (Whose::Account(name) | Whose::Drive(name)) = whose;
    let bytes = Sha256::digest(name);
    (u64::from(bytes[0]) * 256 + u64::from(bytes[1])) % STEP
}

/// The place a token names, and whether an empty page gave it.
pub(super) fn place(call: &Call, state: &State, whose: &Whose) -> Result<(u64, bool), Refusal> {
    let text = call.text("pageToken").unwrap_or_default();
    let (text, hollow) = match text.strip_suffix(HOLLOW) {
        Some(text) => (text, true),
        None => (text, false),
    };
    text.parse::<u64>()
        .ok()
        .and_then(|number| number.checked_sub(first(whose)))
        .filter(|number| number % STEP == 0)
        .map(|number| number / STEP)
        .filter(|place| state.tree.feed.knows(*place))
        .map(|place| (place, hollow))
        .ok_or_else(|| Refusal::of("invalid").about("pageToken"))
}

pub(super) fn list(call: &Call, state: &State) -> Result<Value, Refusal> {
    let whose = whose(call, state)?;
    if matches!(whose, Whose::Drive(_)) && !call.includes_drives() {
        return Err(Refusal::of("includeItemsFromAllDrivesRequired"));
    }
    let (from, hollow) = place(call, state, &whose)?;
    let fault = call.listing.as_ref();
    let asked = call.count("pageSize", 100);
    let next = state.tree.feed.next_place();
    if fault == Some(&ListingFault::EmptyPage) && !hollow {
        return Ok(json!({
            "kind": "drive#changeList",
            "nextPageToken": format!("{}{HOLLOW}", token(&whose, from)),
            "changes": [],
        }));
    }
    let limit = page::limit(fault, asked);
    let mut changes = Vec::new();
    let mut goes_on = None;
    for (at, entry) in state.tree.feed.since(&whose, from) {
        let Some(change) = change(call, state, &whose, at, entry) else {
            continue;
        };
        if changes.len() == limit {
            goes_on = Some(at);
            break;
        }
        changes.push(change);
    }
    changes.retain(|change| {
        let id = change["fileId"].as_str().unwrap_or_default();
        !page::is_lost(fault, id)
    });
    if fault == Some(&ListingFault::Duplicates) {
        changes = changes
            .into_iter()
            .flat_map(|change| [change.clone(), change])
            .collect();
    }
    let mut list = json!({"kind": "drive#changeList", "changes": changes});
    if fault == Some(&ListingFault::RepeatedToken) {
        list["nextPageToken"] = json!(call.text("pageToken"));
    } else if let Some(at) = goes_on {
        list["nextPageToken"] = json!(token(&whose, at));
    } else {
        list["newStartPageToken"] = json!(token(&whose, next));
    }
    Ok(list)
}

/// A change as it stands now; `None` when it is not for this call.
fn change(call: &Call, state: &State, whose: &Whose, at: u64, entry: &Entry) -> Option<Value> {
    let wants_drives = call.includes_drives() && call.supports_drives();
    let change = match &entry.subject {
        Subject::Drive(_) if !wants_drives || call.flag("restrictToMyDrive") => return None,
        Subject::Drive(id) => drive(call, state, id, entry),
        Subject::File(id) => file(call, state, whose, at, id, entry)?,
    };
    let removed = change["removed"] == json!(true);
    if removed && call.text("includeRemoved") == Some("false") {
        return None;
    }
    Some(change)
}

fn drive(call: &Call, state: &State, id: &str, entry: &Entry) -> Value {
    let role = state.tree.drive_role(id, &call.who.email);
    let mut change = json!({
        "kind": "drive#change",
        "type": "drive",
        "changeType": "drive",
        "time": paint::time(entry.time),
        "removed": role.is_none(),
        "driveId": id,
        "teamDriveId": id,
    });
    if let Some(role) = role {
        change["drive"] = paint::drive(state, id, role);
    }
    change
}

fn file(
    call: &Call,
    state: &State,
    whose: &Whose,
    at: u64,
    id: &str,
    entry: &Entry,
) -> Option<Value> {
    let tree = &state.tree;
    let me = call.who.email.as_str();
    let item = tree.item(id);
    let seen = item.and_then(|item| Some((item, tree.role(item, me)?)));
    let belongs = match (whose, item) {
        (Whose::Drive(drive), Some(item)) => item.drive.as_ref() == Some(drive),
        _ => true,
    };
    if let (Whose::Account(_), Some(item)) = (whose, item) {
        let in_drive = item.drive.is_some();
        if in_drive && !(call.includes_drives() && call.supports_drives()) {
            return None;
        }
        if call.flag("restrictToMyDrive") && item.owner.as_deref() != Some(me) {
            return None;
        }
        // Who lost a whole drive is told of the drive, not of its files.
        let told_of_drive = item.drive.as_ref().is_some_and(|drive| {
            tree.drive_role(drive, me).is_none()
                && tree.feed.last(whose, &Subject::Drive(drive.clone())) > Some(at)
        });
        if seen.is_none() && told_of_drive {
            return None;
        }
    }
    let mut change = json!({
        "kind": "drive#change",
        "type": "file",
        "changeType": "file",
        "time": paint::time(entry.time),
        "removed": seen.is_none() || !belongs,
        "fileId": id,
    });
    if let Some((item, role)) = seen
        && (belongs || call.flag("includeCorpusRemovals"))
    {
        change["file"] = paint::file(state, item, &call.who, role);
    }
    Some(change)
}
