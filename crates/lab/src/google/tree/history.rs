//! Letting things happen: everything that changes stands in the feeds of those it concerns, before or after.

use chrono::{DateTime, Duration, Utc};

use super::feed::{Subject, Whose};
use super::item::Item;
use super::mutation::{Mutation, MutationError};
use super::new_item::{NewItem, renewed};
use super::{DEEPEST, SharedDrive, Tree};
use crate::clock::later;

impl Tree {
    /// Lets it happen; the id of what was made, if something was.
    pub(crate) fn mutate(
        &mut self,
        mutation: Mutation,
        now: DateTime<Utc>,
    ) -> Result<Option<String>, MutationError> {
        match mutation {
            Mutation::Create { item } => {
                let folder = item
                    .inside
                    .clone()
                    .ok_or_else(|| MutationError::NoPlace(item.name.clone()))?;
                return self.create(item, &folder, now).map(Some);
            }
            Mutation::Modify {
                file,
                holding,
                exports,
            } => {
                let item = self.known(&file)?.clone();
                let content = renewed(self, &item, holding.as_ref(), &exports)?;
                self.change(&file, now, |item| {
                    item.content = content;
                    // Two changes within a millisecond are two times to whoever compares them.
                    item.modified = now.max(later(item.modified, Duration::milliseconds(1)));
                })?;
            }
            Mutation::Annotate {
                file,
                description,
                starred,
                properties,
            } => self.change(&file, now, |item| {
                if description.is_some() {
                    item.description = description;
                }
                item.starred = starred.unwrap_or(item.starred);
                if let Some(properties) = properties {
                    item.properties = properties;
                }
            })?,
            Mutation::Rename { file, name } => self.change(&file, now, |item| item.name = name)?,
            Mutation::Move { file, to } => self.relocate(&file, &to, now)?,
            Mutation::Trash { file } => self.change(&file, now, |item| item.trashed = true)?,
            Mutation::Untrash { file } => self.change(&file, now, |item| item.trashed = false)?,
            Mutation::Delete { file } => self.delete(&file, now)?,
            Mutation::Share { file, with, role } => self.change(&file, now, |item| {
                item.permissions.insert(with, role);
            })?,
            Mutation::Unshare { file, with } => self.change(&file, now, |item| {
                item.permissions.remove(&with);
            })?,
            Mutation::Restrict {
                file,
                download_blocked,
                copy_requires_writer_permission,
                limited,
                abusive,
            } => self.change(&file, now, |item| {
                let set = |flag: &mut bool, to: Option<bool>| *flag = to.unwrap_or(*flag);
                set(&mut item.download_blocked, download_blocked);
                set(
                    &mut item.copy_requires_writer_permission,
                    copy_requires_writer_permission,
                );
                set(&mut item.limited, limited);
                set(&mut item.abusive, abusive);
            })?,
            Mutation::AddMember { drive, user, role } => {
                if self.root_of(&user).is_none() {
                    return Err(MutationError::NoAccount(user));
                }
                self.change_drive(&drive, now, |drive| {
                    drive.members.insert(user, role);
                })?;
            }
            Mutation::RemoveMember { drive, user } => self.change_drive(&drive, now, |drive| {
                drive.members.remove(&user);
            })?,
            Mutation::RenameDrive { drive, name } => {
                self.change_drive(&drive, now, |drive| drive.name = name)?;
            }
            Mutation::RestrictDrive {
                drive,
                restrictions,
            } => self.change_drive(&drive, now, |drive| drive.restrictions = restrictions)?,
            Mutation::DeleteDrive { drive } => self.delete_drive(&drive, now)?,
        }
        Ok(None)
    }

    /// Makes an item and what is in it; its id.
    pub(crate) fn create(
        &mut self,
        new: NewItem,
        folder: &str,
        now: DateTime<Utc>,
    ) -> Result<String, MutationError> {
        let parent = self.known(folder)?;
        if !parent.is_folder() {
            return Err(MutationError::NotSo(folder.to_owned()));
        }
        if self.upwards(parent).count() > DEEPEST {
            return Err(MutationError::NoPlace(new.name));
        }
        let (drive, owner) = (parent.drive.clone(), parent.owner.clone());
        let (mut item, children) = new.into_item(self, now)?;
        let id = item.id.clone();
        item.parent = Some(folder.to_owned());
        item.modified_by.clone_from(&owner);
        item.drive = drive;
        item.owner = owner;
        self.insert(item);
        self.note_file(&id, Vec::new(), now);
        for child in children {
            self.create(child, &id, now)?;
        }
        Ok(id)
    }

    fn known(&self, id: &str) -> Result<&Item, MutationError> {
        self.item(id)
            .ok_or_else(|| MutationError::NoFile(id.to_owned()))
    }

    /// Whose feeds a change of this file stands in.
    fn concerned(&self, id: &str) -> Vec<Whose> {
        let Some(item) = self.item(id) else {
            return Vec::new();
        };
        let accounts = self.audience(item).into_iter().map(Whose::Account);
        accounts
            .chain(item.drive.clone().map(Whose::Drive))
            .collect()
    }

    fn note_file(&mut self, id: &str, before: Vec<Whose>, now: DateTime<Utc>) {
        let mut concerned = before;
        for whose in self.concerned(id) {
            if !concerned.contains(&whose) {
                concerned.push(whose);
            }
        }
        self.feed
            .note(concerned, &Subject::File(id.to_owned()), now);
    }

    /// A change of the item itself: those who see it before or after are told.
    fn change(
        &mut self,
        id: &str,
        now: DateTime<Utc>,
        change: impl FnOnce(&mut Item),
    ) -> Result<(), MutationError> {
        let before = self.concerned(id);
        let item = self
            .items
            .get_mut(id)
            .ok_or_else(|| MutationError::NoFile(id.to_owned()))?;
        change(item);
        item.version += 1;
        self.note_file(id, before, now);
        Ok(())
    }

    /// What is below a folder moves with it and is not told of.
    fn relocate(&mut self, id: &str, to: &str, now: DateTime<Utc>) -> Result<(), MutationError> {
        let item = self.known(id)?;
        let folder = self.known(to)?;
        if self.is_root(item) {
            return Err(MutationError::NotSo(id.to_owned()));
        }
        if !folder.is_folder() || self.upwards(folder).any(|at| at.id == id) {
            return Err(MutationError::NoPlace(id.to_owned()));
        }
        let before = self.concerned(id);
        let (drive, owner) = (folder.drive.clone(), folder.owner.clone());
        if let Some(from) = self.known(id)?.parent.clone()
            && let Some(siblings) = self.children.get_mut(&from)
        {
            siblings.remove(id);
        }
        self.children
            .entry(to.to_owned())
            .or_default()
            .insert(id.to_owned());
        for below in self.subtree(id) {
            if let Some(item) = self.items.get_mut(&below) {
                item.drive.clone_from(&drive);
                item.owner.clone_from(&owner);
            }
        }
        if let Some(item) = self.items.get_mut(id) {
            item.parent = Some(to.to_owned());
            item.version += 1;
        }
        self.note_file(id, before, now);
        Ok(())
    }

    fn delete(&mut self, id: &str, now: DateTime<Utc>) -> Result<(), MutationError> {
        if self.is_root(self.known(id)?) {
            return Err(MutationError::NotSo(id.to_owned()));
        }
        let before = self.concerned(id);
        self.forget(id);
        self.note_file(id, before, now);
        Ok(())
    }

    fn forget(&mut self, id: &str) {
        for below in self.subtree(id) {
            self.children.remove(&below);
            if let Some(item) = self.items.remove(&below)
                && let Some(siblings) = item.parent.and_then(|from| self.children.get_mut(&from))
            {
                siblings.remove(&below);
            }
        }
    }

    fn change_drive(
        &mut self,
        id: &str,
        now: DateTime<Utc>,
        change: impl FnOnce(&mut SharedDrive),
    ) -> Result<(), MutationError> {
        let drive = self
            .drives
            .get_mut(id)
            .ok_or_else(|| MutationError::NoDrive(id.to_owned()))?;
        let before: Vec<_> = drive.members.keys().cloned().collect();
        change(drive);
        self.note_drive_to(id, before, now);
        Ok(())
    }

    pub(super) fn note_drive(&mut self, id: &str, now: DateTime<Utc>) {
        self.note_drive_to(id, Vec::new(), now);
    }

    fn note_drive_to(&mut self, id: &str, mut accounts: Vec<String>, now: DateTime<Utc>) {
        let members = self.drives.get(id).into_iter();
        accounts.extend(members.flat_map(|drive| drive.members.keys().cloned()));
        accounts.sort_unstable();
        accounts.dedup();
        let feeds = accounts.into_iter().map(Whose::Account);
        let feeds: Vec<_> = feeds.chain([Whose::Drive(id.to_owned())]).collect();
        self.feed.note(feeds, &Subject::Drive(id.to_owned()), now);
    }

    fn delete_drive(&mut self, id: &str, now: DateTime<Utc>) -> Result<(), MutationError> {
        let drive = self
            .drives
            .remove(id)
            .ok_or_else(|| MutationError::NoDrive(id.to_owned()))?;
        self.forget(id);
        self.note_drive_to(id, drive.members.into_keys().collect(), now);
        Ok(())
    }
}
