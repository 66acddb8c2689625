//! What is in the lab's Drive: shared drives, everybody's own files, and who may see them.

pub(crate) mod access;
pub(crate) mod feed;
mod history;
pub(crate) mod item;
pub(crate) mod kind;
pub(crate) mod mutation;
pub(crate) mod new_item;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::access::Role;
use self::feed::Feed;
use self::item::Item;

/// Paths are no deeper at Google.
pub(crate) const DEEPEST: usize = 100;

/// A shared drive.
#[derive(Debug, Clone)]
pub(crate) struct SharedDrive {
    pub(crate) name: String,
    pub(crate) members: BTreeMap<String, Role>,
    pub(crate) restrictions: Restrictions,
    pub(crate) created: DateTime<Utc>,
}

/// What is forbidden in a shared drive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the flags Drive has, each independent of the others"
)]
pub struct Restrictions {
    /// Only administrators change these.
    pub admin_managed_restrictions: bool,
    /// Readers cannot download.
    pub copy_requires_writer_permission: bool,
    /// Only people of the domain are let in.
    pub domain_users_only: bool,
    /// Only members are let in.
    pub drive_members_only: bool,
}

/// All files and shared drives, and what happened to them.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    items: HashMap<String, Item>,
    children: HashMap<String, BTreeSet<String>>,
    pub(crate) drives: BTreeMap<String, SharedDrive>,
    /// The root folder of every account, by address.
    roots: BTreeMap<String, String>,
    pub(crate) feed: Feed,
    made: u64,
}

impl Tree {
    /// An opaque text never given before; the same ones in the same order in every lab.
    pub(crate) fn opaque(&mut self, kind: &str, length: usize) -> String {
        self.made += 1;
        let digest = Sha256::new()
            .chain_update(kind)
            .chain_update(self.made.to_be_bytes())
            .finalize();
        let mut text = URL_SAFE_NO_PAD.encode(digest);
        text.truncate(length);
        text
    }

    /// An opaque number of so many digits.
    pub(crate) fn number(&mut self, digits: usize) -> String {
        let text = self.opaque("number", digits);
        text.bytes()
            .map(|byte| char::from(b'1' + byte % 9))
            .collect()
    }

    /// An account gets a My Drive.
    pub(crate) fn add_account(&mut self, email: &str, now: DateTime<Utc>) {
        if self.roots.contains_key(email) {
            return;
        }
        let id = format!("0A{}PVA", self.opaque("root", 14));
        let root = Item {
            owner: Some(email.to_owned()),
            ..Item::folder(&id, "My Drive", now)
        };
        self.items.insert(id.clone(), root);
        self.roots.insert(email.to_owned(), id);
    }

    /// A shared drive with these members; its id is also that of its root folder.
    pub(crate) fn add_drive(
        &mut self,
        name: &str,
        members: BTreeMap<String, Role>,
        now: DateTime<Utc>,
    ) -> String {
        let id = format!("0A{}9PVA", self.opaque("drive", 13));
        let root = Item {
            drive: Some(id.clone()),
            ..Item::folder(&id, "Drive", now)
        };
        self.items.insert(id.clone(), root);
        self.drives.insert(
            id.clone(),
            SharedDrive {
                name: name.to_owned(),
                members,
                restrictions: Restrictions::default(),
                created: now,
            },
        );
        self.note_drive(&id, now);
        id
    }

    pub(crate) fn item(&self, id: &str) -> Option<&Item> {
        self.items.get(id)
    }

    pub(crate) fn root_of(&self, email: &str) -> Option<&str> {
        self.roots.get(email).map(String::as_str)
    }

    pub(crate) fn accounts(&self) -> impl Iterator<Item = &str> {
        self.roots.keys().map(String::as_str)
    }

    /// Whether this is the root folder of an account or a shared drive, which no listing shows.
    pub(crate) fn is_root(&self, item: &Item) -> bool {
        self.drives.contains_key(&item.id)
            || item
                .owner
                .as_ref()
                .is_some_and(|owner| self.roots.get(owner) == Some(&item.id))
    }

    /// Every file, in an order that means nothing and stays.
    pub(crate) fn all(&self) -> Vec<&Item> {
        let mut all: Vec<_> = self.items.values().collect();
        all.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// What is in a folder, in an order that means nothing and stays.
    pub(crate) fn inside(&self, folder: &str) -> Vec<&Item> {
        let mut inside: Vec<_> = self
            .children
            .get(folder)
            .into_iter()
            .flatten()
            .filter_map(|id| self.items.get(id))
            .collect();
        inside.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        inside
    }

    /// The item and the folders above it, from itself up.
    pub(crate) fn upwards<'a>(&'a self, item: &'a Item) -> impl Iterator<Item = &'a Item> {
        std::iter::successors(Some(item), |at| self.items.get(at.parent.as_ref()?))
            .take(DEEPEST + 2)
    }

    /// Whether it, or a folder above it, is in the trash.
    pub(crate) fn is_trashed(&self, item: &Item) -> bool {
        self.upwards(item).any(|at| at.trashed)
    }

    /// The names from the root on, between slashes; the root's own name is that of the drive, or the
    /// owner's address.
    pub(crate) fn path(&self, item: &Item) -> String {
        let mut names: Vec<_> = self
            .upwards(item)
            .map(|at| match (&at.drive, &at.owner) {
                (Some(drive), _) if *drive == at.id => self
                    .drives
                    .get(drive)
                    .map_or(at.name.as_str(), |drive| drive.name.as_str()),
                (_, Some(owner)) if self.is_root(at) => owner.as_str(),
                _ => at.name.as_str(),
            })
            .collect();
        names.reverse();
        names.join("/")
    }

    fn insert(&mut self, item: Item) {
        if let Some(parent) = &item.parent {
            self.children
                .entry(parent.clone())
                .or_default()
                .insert(item.id.clone());
        }
        self.items.insert(item.id.clone(), item);
    }

    /// Everything below a folder, by id.
    pub(crate) fn below(&self, folder: &str) -> Vec<String> {
        self.subtree(folder).split_off(1)
    }

    /// A shortcut gets its target.
    pub(crate) fn point(&mut self, shortcut: &str, to: &str) {
        let Some(found) = self.items.get(to) else {
            return;
        };
        let (mime, key) = (found.mime_type.clone(), found.resource_key.clone());
        if let Some(item) = self.items.get_mut(shortcut)
            && let item::Content::Shortcut {
                target,
                mime_type,
                resource_key,
            } = &mut item.content
        {
            to.clone_into(target);
            *mime_type = mime;
            *resource_key = key;
        }
    }

    /// The item and everything below it.
    fn subtree(&self, id: &str) -> Vec<String> {
        let mut found = vec![id.to_owned()];
        let mut at = 0;
        while let Some(folder) = found.get(at) {
            found.extend(self.children.get(folder).into_iter().flatten().cloned());
            at += 1;
        }
        found
    }
}
