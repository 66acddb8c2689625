//! What a run would do about one page of a listing: a pure decision per entry.

use std::collections::HashMap;

use crate::Timestamp;
use crate::ids::ObjectId;
use crate::object::{BlobKey, DeletedBy};
use crate::sync::Reconcile;

/// One file as the provider's listing tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The provider's identity of the file; on S3 `bucket/key`.
    pub object: String,
    /// Where it lies, for people.
    pub path: String,
    /// The version token that decides "unchanged".
    pub version: String,
    /// Its size, if the listing tells.
    pub size_bytes: Option<u64>,
    /// When it was last modified, if the listing tells.
    pub modified_at: Option<Timestamp>,
    /// Why it cannot be copied, such as `resource.archived`, if the listing tells.
    pub unreadable: Option<&'static str>,
}

/// What the catalogue knows of a source object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The provider's identity of the file.
    pub object: String,
    /// The object it became.
    pub id: ObjectId,
    /// The version that was copied.
    pub version: String,
    /// The blob that the object points at: changes with every publication.
    pub blob: BlobKey,
    /// Whether the object is a tombstone, and why.
    pub deleted: Option<DeletedBy>,
}

/// What to do about one page of entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PagePlan {
    /// To be copied, because new, changed or back again, with what the catalogue knows of each.
    pub fetch: Vec<(Entry, Option<Known>)>,
    /// Unchanged: only to be marked as seen.
    pub verified: Vec<String>,
    /// Left out, but there: to be marked as seen, with the reason.
    pub skipped: Vec<(String, &'static str)>,
}

/// Decides about each entry of a page. Entries that the page names twice are decided once, by the last mention.
pub fn plan_page(entries: Vec<Entry>, known: Vec<Known>, reconcile: &Reconcile) -> PagePlan {
    let mut known: HashMap<String, Known> = known
        .into_iter()
        .map(|known| (known.object.clone(), known))
        .collect();
    let mut plan = PagePlan::default();
    for entry in last_mentions(entries) {
        if let Some(reason) = entry.unreadable {
            plan.skipped.push((entry.object, reason));
            continue;
        }
        match known.remove(&entry.object) {
            None => plan.fetch.push((entry, None)),
            Some(known) => match known.deleted {
                Some(DeletedBy::Person) if known.version == entry.version => {
                    plan.skipped.push((entry.object, "deleted_by_person"));
                }
                Some(_) => plan.fetch.push((entry, Some(known))),
                None if known.version == entry.version => plan.verified.push(entry.object),
                None if reconcile.on_update => plan.fetch.push((entry, Some(known))),
                None => plan.skipped.push((entry.object, "updates_off")),
            },
        }
    }
    plan
}

fn last_mentions(entries: Vec<Entry>) -> Vec<Entry> {
    let mut positions: HashMap<String, usize> = HashMap::with_capacity(entries.len());
    let mut unique: Vec<Entry> = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Some(&at) = positions.get(&entry.object) {
            unique[at] = entry;
        } else {
            positions.insert(entry.object.clone(), unique.len());
            unique.push(entry);
        }
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(object: &str, version: &str) -> Entry {
        Entry {
            object: object.into(),
            path: object.into(),
            version: version.into(),
            size_bytes: Some(1),
            modified_at: None,
            unreadable: None,
        }
    }

    fn known(object: &str, version: &str, deleted: Option<DeletedBy>) -> Known {
        Known {
            object: object.into(),
            id: "obj_0123456789abcdef".parse().expect("an id"),
            version: version.into(),
            blob: BlobKey::parse(&format!(
                "int_abcdefghijklmnopqrstuvwx/bkt_0123456789abcdef/{}",
                "0".repeat(32)
            ))
            .expect("a key"),
            deleted,
        }
    }

    fn fetched(plan: &PagePlan) -> Vec<&str> {
        plan.fetch
            .iter()
            .map(|(entry, _)| entry.object.as_str())
            .collect()
    }

    #[test]
    fn new_changed_and_returned_files_are_fetched_and_unchanged_ones_verified() {
        let entries = vec![
            entry("new", "1"),
            entry("same", "1"),
            entry("changed", "2"),
            entry("back", "1"),
        ];
        let known = vec![
            known("same", "1", None),
            known("changed", "1", None),
            known("back", "1", Some(DeletedBy::Source)),
        ];
        let plan = plan_page(entries, known, &Reconcile::default());
        assert_eq!(fetched(&plan), ["new", "changed", "back"]);
        assert_eq!(plan.verified, ["same"]);
    }

    #[test]
    fn what_a_person_deleted_stays_deleted_until_the_source_changes() {
        let known = vec![
            known("a", "1", Some(DeletedBy::Person)),
            known("b", "1", Some(DeletedBy::Person)),
        ];
        let plan = plan_page(
            vec![entry("a", "1"), entry("b", "2")],
            known,
            &Reconcile::default(),
        );
        assert_eq!(fetched(&plan), ["b"]);
        assert_eq!(plan.skipped, [("a".to_owned(), "deleted_by_person")]);
    }

    #[test]
    fn updates_can_be_turned_off() {
        let reconcile = Reconcile {
            on_update: false,
            ..Reconcile::default()
        };
        let plan = plan_page(
            vec![entry("a", "2")],
            vec![known("a", "1", None)],
            &reconcile,
        );
        assert_eq!(plan.skipped, [("a".to_owned(), "updates_off")]);
    }

    #[test]
    fn an_entry_named_twice_is_decided_once() {
        let plan = plan_page(
            vec![entry("a", "1"), entry("a", "2")],
            vec![],
            &Reconcile::default(),
        );
        assert_eq!(plan.fetch, [(entry("a", "2"), None)]);
    }

    #[test]
    fn unreadable_files_are_skipped_with_the_reason() {
        let archived = Entry {
            unreadable: Some("resource.archived"),
            ..entry("a", "1")
        };
        let plan = plan_page(vec![archived], vec![], &Reconcile::default());
        assert_eq!(plan.skipped, [("a".to_owned(), "resource.archived")]);
    }
}
