//! Who may do what with a file: its owner, those it or a folder above it is shared with, and the members of
//! its shared drive.

use serde::{Deserialize, Serialize};

use super::Tree;
use super::item::Item;

/// What somebody may do, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// May read.
    Reader,
    /// May comment.
    Commenter,
    /// May change.
    Writer,
    /// May arrange the files of a shared drive.
    FileOrganizer,
    /// Runs a shared drive.
    Organizer,
    /// Owns the file.
    Owner,
}

/// Everybody who has the link.
pub(crate) const ANYONE: &str = "anyone";

impl Tree {
    /// What this account may do with a file without having been handed a link; `None` when it cannot see it.
    pub(crate) fn role(&self, item: &Item, email: &str) -> Option<Role> {
        self.role_among(item, email, &[email, &domain_of(email)])
    }

    /// The same when it follows a link.
    pub(crate) fn role_by_link(&self, item: &Item, email: &str) -> Option<Role> {
        self.role_among(item, email, &[email, &domain_of(email), ANYONE])
    }

    fn role_among(&self, item: &Item, email: &str, grantees: &[&str]) -> Option<Role> {
        let member = item
            .drive
            .as_ref()
            .and_then(|drive| self.drives.get(drive))
            .map(|drive| (drive, drive.members.get(email).copied()));
        if let Some((drive, None)) = member
            && drive.restrictions.drive_members_only
        {
            return None;
        }
        let mut best = None;
        let mut inherits = true;
        for at in self.upwards(item) {
            if at.owner.as_deref() == Some(email) {
                let own = at.id == item.id;
                best = best.max(Some(if own { Role::Owner } else { Role::Writer }));
            }
            if inherits {
                let granted = grantees.iter().filter_map(|who| at.permissions.get(*who));
                best = best.max(granted.max().copied());
            }
            inherits &= !at.limited;
        }
        let member = member
            .and_then(|(_, role)| role)
            .filter(|role| inherits || *role == Role::Organizer);
        best.max(member)
    }

    /// Whether the account was given the file, or a folder above it, by name.
    pub(crate) fn is_shared_with(&self, item: &Item, email: &str) -> bool {
        self.upwards(item)
            .any(|at| at.permissions.contains_key(email))
    }

    /// The accounts that see a file.
    pub(super) fn audience(&self, item: &Item) -> Vec<String> {
        self.accounts()
            .filter(|email| self.role(item, email).is_some())
            .map(ToOwned::to_owned)
            .collect()
    }

    pub(crate) fn drive_role(&self, drive: &str, email: &str) -> Option<Role> {
        self.drives.get(drive)?.members.get(email).copied()
    }

    /// Whether this role may download the file.
    pub(crate) fn may_download(&self, item: &Item, role: Role) -> bool {
        let reserved = item
            .drive
            .as_ref()
            .and_then(|drive| self.drives.get(drive))
            .is_some_and(|drive| drive.restrictions.copy_requires_writer_permission);
        !item.download_blocked
            && (role >= Role::Writer || !(reserved || item.copy_requires_writer_permission))
    }
}

/// How a domain stands among those a file is shared with.
pub(crate) fn domain_of(email: &str) -> String {
    let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain);
    format!("domain:{domain}")
}
