//! `files.list`: the files a caller sees, of all or of one corpus.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::refusal::Refusal;
use super::super::tree::item::Item;
use super::super::tree::{Tree, access};
use super::super::world::State;
use super::page::{self};
use super::paint;
use super::query::Query;
use crate::fault::ListingFault;

/// Which of the files a listing is of.
enum Corpus<'a> {
    User,
    Domain,
    Drive(&'a str),
    AllDrives,
}

pub(super) fn files(call: &Call, state: &State) -> Result<Value, Refusal> {
    let corpus = corpus(call, &state.tree)?;
    let query = match call.text("q") {
        Some(text) => Some(Query::read(text).ok_or_else(|| Refusal::of("invalid").about("q"))?),
        None => None,
    };
    let in_spaces = in_spaces(call)?;
    let order = order(call)?;
    let mut all = if in_spaces && !call.sees_own_files_only() {
        found(call, state, &corpus, query.as_ref())?
    } else {
        Vec::new()
    };
    if !order.is_empty() {
        all.sort_by(|a, b| compare(&order, a, b));
    }
    let asked = call.count("pageSize", 100);
    let page = page::cut(call, &all, |item| &item.id, asked)?;
    let shown: Vec<_> = page
        .entries
        .iter()
        .filter_map(|item| {
            let role = call.role(state, item)?;
            Some(paint::file(state, item, &call.who, role))
        })
        .collect();
    let incomplete = call.listing == Some(ListingFault::IncompleteSearch);
    let mut list = json!({
        "kind": "drive#fileList",
        "incompleteSearch": incomplete,
        "files": shown,
    });
    if let Some(next) = page.next {
        list["nextPageToken"] = json!(next);
    }
    Ok(list)
}

fn corpus<'a>(call: &'a Call, tree: &Tree) -> Result<Corpus<'a>, Refusal> {
    let named = call.text("corpora").or_else(|| call.text("corpus"));
    let drive = call.drive_id();
    let wants_drives = || {
        if call.includes_drives() && call.supports_drives() {
            Ok(())
        } else {
            Err(Refusal::of("includeItemsFromAllDrivesRequired"))
        }
    };
    match (named.unwrap_or("user"), drive) {
        ("drive" | "teamDrive", Some(drive)) => {
            wants_drives()?;
            if !tree.drives.contains_key(drive) {
                return Err(Refusal::no_drive(drive));
            }
            if tree.drive_role(drive, &call.who.email).is_none() {
                return Err(Refusal::of("teamDriveMembershipRequired"));
            }
            Ok(Corpus::Drive(drive))
        }
        ("drive" | "teamDrive", None) | (_, Some(_)) => {
            Err(Refusal::of("teamDriveIdRequiresTeamDriveCorpora"))
        }
        ("user", None) => Ok(Corpus::User),
        ("domain", None) => Ok(Corpus::Domain),
        ("allDrives" | "allTeamDrives", None) => {
            wants_drives()?;
            Ok(Corpus::AllDrives)
        }
        _ => Err(Refusal::of("invalid").about("corpora")),
    }
}

/// Whether the listing is of Drive itself; the other spaces are empty here.
fn in_spaces(call: &Call) -> Result<bool, Refusal> {
    let spaces: Vec<_> = call.text("spaces").unwrap_or("drive").split(',').collect();
    if spaces
        .iter()
        .all(|space| matches!(*space, "drive" | "appDataFolder" | "photos"))
    {
        Ok(spaces.contains(&"drive"))
    } else {
        Err(Refusal::of("invalid").about("spaces"))
    }
}

fn found<'a>(
    call: &Call,
    state: &'a State,
    corpus: &Corpus<'_>,
    query: Option<&Query>,
) -> Result<Vec<&'a Item>, Refusal> {
    let tree = &state.tree;
    let me = call.who.email.as_str();
    if query.is_some_and(Query::asks_for_either_parent) {
        return Ok(Vec::new());
    }
    let drives = call.includes_drives() && call.supports_drives();
    let folder = match query.and_then(Query::folder) {
        Some("root") => tree.root_of(me),
        folder => folder,
    };
    let candidates = match folder {
        Some(folder) => {
            let seen = tree
                .item(folder)
                .is_some_and(|item| call.role(state, item).is_some());
            if !seen {
                return Err(Refusal::no_file("").about("fileId"));
            }
            tree.inside(folder)
        }
        None => tree.all(),
    };
    Ok(candidates
        .into_iter()
        .filter(|item| !tree.is_root(item))
        .filter(|item| item.drive.is_none() || drives)
        // A link shows what is in a folder that is named, and is found by no search.
        .filter(|item| match folder {
            Some(_) => call.role(state, item).is_some(),
            None => tree.role(item, me).is_some(),
        })
        .filter(|item| match corpus {
            // What is in a shared drive belongs to a person's files only where it was shared with them by
            // name; what is in a folder that they name is listed all the same.
            Corpus::User => {
                item.drive.is_none() || folder.is_some() || tree.is_shared_with(item, me)
            }
            Corpus::Domain => tree
                .upwards(item)
                .any(|at| at.permissions.contains_key(&access::domain_of(me))),
            Corpus::Drive(drive) => item.drive.as_deref() == Some(*drive),
            Corpus::AllDrives => true,
        })
        .filter(|item| query.is_none_or(|query| query.matches(tree, item, me)))
        .collect())
}

type Key = (fn(&Item, &Item) -> Ordering, bool);

fn order(call: &Call) -> Result<Vec<Key>, Refusal> {
    let Some(text) = call.text("orderBy") else {
        return Ok(Vec::new());
    };
    text.split(',')
        .map(|key| {
            let mut words = key.split_whitespace();
            let name = words.next().unwrap_or_default();
            let down = match (words.next(), words.next()) {
                (None, _) => false,
                (Some("desc"), None) => true,
                _ => return None,
            };
            let key: fn(&Item, &Item) -> Ordering = match name {
                "name" | "name_natural" => |a, b| a.name.cmp(&b.name),
                "folder" => |a, b| b.is_folder().cmp(&a.is_folder()),
                "createdTime" => |a, b| a.created.cmp(&b.created),
                "modifiedTime" | "recency" | "modifiedByMeTime" | "viewedByMeTime"
                | "sharedWithMeTime" => |a, b| a.modified.cmp(&b.modified),
                "starred" => |a, b| a.starred.cmp(&b.starred),
                "quotaBytesUsed" => |a, b| a.length().cmp(&b.length()),
                _ => return None,
            };
            Some((key, down))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| Refusal::of("invalid").about("orderBy"))
}

fn compare(order: &[Key], a: &Item, b: &Item) -> Ordering {
    order
        .iter()
        .map(|(key, down)| {
            let ordering = key(a, b);
            if *down { ordering.reverse() } else { ordering }
        })
        .find(|ordering| ordering.is_ne())
        .unwrap_or(Ordering::Equal)
}
