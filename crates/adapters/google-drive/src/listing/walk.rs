//! A subtree, depth first, folders in the order of their ids: where it stands can be written down and taken up again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::filter::ExportFormats;
use wharf_ports::Retry;

use super::course::is_fresh;
use super::{Harvest, Target, children_of, whole, with_targets};
use crate::entry::{Place, dangling, entry_of};
use crate::error::Fault;
use crate::reach::{Home, Reach, is_hidden};
use crate::remote::{FOLDER, Page, RemoteFile, ResourceKey, SHORTCUT};
use crate::tree::{DEEPEST, Folder, Standing};
use crate::wire::FilesRequest;

/// Folders that are remembered of one level; the rest is asked for again when these are walked.
const MOST_CHILDREN: usize = 4096;

/// Pages of one folder's folders; Drive allows no folder half as many files.
const MOST_PAGES: usize = 1000;

/// A folder on the way down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    #[serde(rename = "f")]
    folder: String,
    /// The shortcut that leads to it, if none of the folders above is its own.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    shortcut: Option<String>,
}

impl Step {
    pub(super) fn into(folder: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            shortcut: None,
        }
    }

    pub(super) fn through(shortcut: &str, folder: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            shortcut: Some(shortcut.to_owned()),
        }
    }

    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    /// What it is ordered by among its siblings.
    fn key(&self) -> &str {
        self.shortcut.as_ref().unwrap_or(&self.folder)
    }
}

/// Where a walk stands: in the last folder of the way, at this page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Walk {
    way: Vec<Step>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Whether the folder was begun anew because its token was refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    anew: bool,
    /// Whether it begins in the shared drive of the source, so that it is asked about there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    in_drive: bool,
}

impl Walk {
    pub(super) fn from(top: Step) -> Self {
        Self {
            way: vec![top],
            token: None,
            anew: false,
            in_drive: false,
        }
    }

    pub(super) fn in_drive(self, in_drive: bool) -> Self {
        Self { in_drive, ..self }
    }
}

/// Folders in a folder, as far as they are known.
#[derive(Debug, Clone, Default)]
struct Children {
    /// By their keys: the folder, or the shortcut to it.
    steps: BTreeMap<String, Step>,
    /// Whether there are more behind the last.
    is_cut: bool,
}

impl Children {
    fn note(&mut self, step: Step) {
        self.steps.insert(step.key().to_owned(), step);
        if self.steps.len() > MOST_CHILDREN {
            self.steps.pop_last();
            self.is_cut = true;
        }
    }

    fn after(&self, key: Option<&str>) -> Option<&Step> {
        use std::ops::Bound;
        let from = key.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.steps.range::<str, _>((from, Bound::Unbounded));
        rest.next().map(|(_, step)| step)
    }
}

/// What is known of the folders on the way down. It may be forgotten at any time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pending(Vec<Option<Arc<Children>>>);

/// Walks.
pub(super) struct Walker<'a> {
    pub(super) reach: &'a Reach,
    pub(super) home: &'a Home,
    pub(super) formats: &'a ExportFormats,
    pub(super) seen: &'a mut BTreeSet<String>,
}

impl Walker<'_> {
    /// Walks on until the page has enough. Nothing is left to walk when there is no walk any more.
    pub(super) async fn go(
        mut self,
        mut walk: Walk,
        pending: &mut Pending,
        harvest: &mut Harvest,
    ) -> Result<Option<Walk>, Fault> {
        if pending.0.len() != walk.way.len() {
            // Of a folder that is listed from its start, all children will be seen.
            let mut unknown = vec![None; walk.way.len()];
            if walk.token.is_none()
                && let Some(last) = unknown.last_mut()
            {
                *last = Some(Arc::default());
            }
            pending.0 = unknown;
        }
        let Some(mut places) = self.places(&walk).await? else {
            return Ok(None);
        };
        if places.len() < walk.way.len() {
            // A folder on the way is not to be seen any more.
            walk.way.truncate(places.len() + 1);
            pending.0.truncate(places.len() + 1);
            let left = leave(&mut walk, pending);
            if !self
                .on(&mut walk, pending, &mut places, left, harvest)
                .await?
            {
                return Ok(None);
            }
        }
        while !harvest.is_enough() {
            if !self.page(&mut walk, pending, &mut places, harvest).await? {
                return Ok(None);
            }
        }
        Ok(Some(walk))
    }

    /// The places of the folders on the way, up to the first that is not to be seen. Nothing if even the first lies in the source
    /// no more.
    async fn places(&self, walk: &Walk) -> Result<Option<Vec<Place>>, Fault> {
        let mut places: Vec<Place> = Vec::with_capacity(walk.way.len());
        for step in &walk.way {
            let place = match places.last() {
                Some(above) => self.below(above, step).await?,
                None => self.top(step).await?,
            };
            match place {
                Some(place) => places.push(place),
                None if places.is_empty() => return Ok(None),
                None => break,
            }
        }
        Ok(Some(places))
    }

    async fn top(&self, step: &Step) -> Result<Option<Place>, Fault> {
        if step.folder == self.home.id() {
            return Ok(Some(Place::root(self.home.id())));
        }
        let key = step.key();
        let Folder::Seen { name, parents, .. } = self.reach.known_folder(key).await? else {
            return Ok(None);
        };
        let standing = self.reach.standing(self.home, key, &parents).await?;
        let Standing::Inside { place, name: other } = standing else {
            return Ok(None);
        };
        Ok(Some(match &step.shortcut {
            Some(shortcut) => place.behind(shortcut, &name, &step.folder),
            None => place.folder(&step.folder, &other.unwrap_or(name)),
        }))
    }

    async fn below(&self, above: &Place, step: &Step) -> Result<Option<Place>, Fault> {
        let Folder::Seen { name, .. } = self.reach.known_folder(step.key()).await? else {
            return Ok(None);
        };
        Ok(Some(match &step.shortcut {
            Some(shortcut) => above.behind(shortcut, &name, &step.folder),
            None => above.folder(&step.folder, &name),
        }))
    }

    /// One page of the folder that the walk stands in; whether the walk goes on.
    async fn page(
        &mut self,
        walk: &mut Walk,
        pending: &mut Pending,
        places: &mut Vec<Place>,
        harvest: &mut Harvest,
    ) -> Result<bool, Fault> {
        let (Some(step), Some(place)) = (walk.way.last(), places.last()) else {
            return Ok(false);
        };
        let request = FilesRequest {
            query: children_of(&step.folder),
            drive_id: self.corpus(walk),
            page_size: harvest.room(),
            page_token: walk.token.clone(),
            keys: self.keys(&step.folder),
            ..FilesRequest::default()
        };
        let page = match whole(self.reach, &request, harvest).await {
            Ok(page) => page,
            Err(fault) => {
                let denied = self.denied(fault, walk, pending, place).await?;
                let Some(denied) = denied else {
                    return Ok(true);
                };
                harvest.denied.extend(denied);
                let left = leave(walk, pending);
                places.pop();
                return self.on(walk, pending, places, left, harvest).await;
            }
        };
        let Page { items, next, .. } = page;
        let children = pending.0.last_mut().and_then(Option::as_mut);
        self.take(items, place, children, harvest).await?;
        match next {
            Some(token) => {
                walk.token = Some(token);
                Ok(true)
            }
            None => self.on(walk, pending, places, None, harvest).await,
        }
    }

    /// Takes in what a page tells.
    async fn take(
        &self,
        items: Vec<RemoteFile>,
        place: &Place,
        mut children: Option<&mut Arc<Children>>,
        harvest: &mut Harvest,
    ) -> Result<(), Fault> {
        let mut note = |step: Step| {
            if let Some(children) = children.as_deref_mut() {
                Arc::make_mut(children).note(step);
            }
        };
        let (folders, files): (Vec<_>, Vec<_>) = items.into_iter().partition(RemoteFile::is_folder);
        for folder in folders {
            self.reach.note_folder(&folder.id, Folder::of(&folder));
            if folder.can_list_children == Some(false) {
                let closed = place.folder(&folder.id, &folder.name);
                harvest.denied.push(closed.path);
            } else {
                note(Step::into(&folder.id));
            }
        }
        for found in with_targets(self.reach, files).await? {
            let file = &found.file;
            match &found.target {
                Target::Itself => {
                    let entry = entry_of(file, &file.name, place, self.formats);
                    harvest.take(self.reach, entry, file);
                }
                Target::Nowhere => harvest.entries.push(dangling(file, place)),
                Target::Folder(folder) => {
                    self.reach.note_folder(&file.id, Folder::of(file));
                    note(Step::through(&file.id, folder));
                }
                Target::File(target) => {
                    let known = |id: &str| id == self.home.id() || self.seen.contains(id);
                    if !self.reach.lies_in(&target.parents, known).await? {
                        let place = place.through(&file.id);
                        let entry = entry_of(target, &file.name, &place, self.formats);
                        harvest.take(self.reach, entry, target);
                    }
                }
            }
        }
        Ok(())
    }

    /// What a refusal means: an error; or the folder is begun anew (nothing); or it is left, with a path that may not be listed, if
    /// it is there.
    async fn denied(
        &self,
        fault: Fault,
        walk: &mut Walk,
        pending: &mut Pending,
        place: &Place,
    ) -> Result<Option<Option<String>>, Fault> {
        if fault.retry == Retry::Restart && walk.token.is_some() && !walk.anew {
            walk.token = None;
            walk.anew = true;
            if let Some(last) = pending.0.last_mut() {
                *last = Some(Arc::default());
            }
            return Ok(None);
        }
        let Some(step) = walk.way.last().filter(|step| step.folder != self.home.id()) else {
            return Err(fault);
        };
        match fault.code {
            ErrorCode::PermDenied | ErrorCode::PermPolicyBlocked => {
                Ok(Some(Some(place.path.clone())))
            }
            ErrorCode::ResourceNotFound => {
                let is_there = match self.reach.file(&step.folder).await {
                    Ok(found) => found.is_some_and(|folder| !folder.trashed),
                    Err(fault) if is_hidden(&fault) => true,
                    Err(fault) => return Err(fault),
                };
                Ok(Some(is_there.then(|| place.path.clone())))
            }
            _ => Err(fault),
        }
    }

    /// Goes on to the next folder, behind a child of the last folder of the way, or with the first; whether there is one.
    async fn on(
        &mut self,
        walk: &mut Walk,
        pending: &mut Pending,
        places: &mut Vec<Place>,
        mut after: Option<String>,
        harvest: &mut Harvest,
    ) -> Result<bool, Fault> {
        walk.token = None;
        walk.anew = false;
        while let Some(place) = places.last() {
            let Some(step) = self
                .child_after(walk, pending, after.as_deref(), harvest)
                .await?
            else {
                after = leave(walk, pending);
                places.pop();
                continue;
            };
            after = Some(step.key().to_owned());
            let Some(below) = self.below(place, &step).await? else {
                continue;
            };
            if walk.way.len() > DEEPEST {
                harvest.denied.push(below.path);
                continue;
            }
            let is_fresh = if step.shortcut.is_some() {
                let place = || below.clone();
                is_fresh(self.reach, self.home, self.seen, &step, place, harvest).await?
            } else {
                !self.seen.contains(&step.folder)
            };
            if is_fresh && !walk.way.iter().any(|above| above.folder == step.folder) {
                walk.way.push(step);
                places.push(below);
                pending.0.push(Some(Arc::default()));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next folder in the last one of the way.
    async fn child_after(
        &self,
        walk: &Walk,
        pending: &mut Pending,
        after: Option<&str>,
        harvest: &mut Harvest,
    ) -> Result<Option<Step>, Fault> {
        let (Some(step), Some(known)) = (walk.way.last(), pending.0.last_mut()) else {
            return Ok(None);
        };
        if let Some(children) = known {
            let next = children.after(after);
            if next.is_some() || !children.is_cut {
                return Ok(next.cloned());
            }
        }
        let corpus = self.corpus(walk);
        let found = self.children(&step.folder, corpus, after, harvest).await?;
        let next = found.after(after).cloned();
        *known = Some(Arc::new(found));
        Ok(next)
    }

    /// The folders in a folder, and what shortcuts in it lead to, that come after a child.
    async fn children(
        &self,
        folder: &str,
        corpus: Option<String>,
        after: Option<&str>,
        harvest: &mut Harvest,
    ) -> Result<Children, Fault> {
        let mut children = Children::default();
        for kind in [FOLDER, SHORTCUT] {
            let mut request = FilesRequest {
                query: format!("{} and mimeType = '{kind}'", children_of(folder)),
                drive_id: corpus.clone(),
                page_size: 1000,
                keys: self.keys(folder),
                ..FilesRequest::default()
            };
            let mut pages = 0;
            loop {
                let Page { items, next, .. } = whole(self.reach, &request, harvest).await?;
                pages += 1;
                let later = |file: &RemoteFile| after.is_none_or(|after| file.id.as_str() > after);
                for file in items.into_iter().filter(later) {
                    self.reach.note_folder(&file.id, Folder::of(&file));
                    let leads_to_folder = |target: &crate::remote::Shortcut| {
                        target.target_mime_type.as_deref() == Some(FOLDER)
                    };
                    match file.shortcut.filter(leads_to_folder) {
                        Some(shortcut) => {
                            if let Some(key) = shortcut.target_resource_key {
                                let id = shortcut.target_id.clone();
                                self.reach.note_key(ResourceKey { id, key });
                            }
                            children.note(Step::through(&file.id, &shortcut.target_id));
                        }
                        None if kind == FOLDER && file.can_list_children != Some(false) => {
                            children.note(Step::into(&file.id));
                        }
                        None => {}
                    }
                }
                if next.is_none() {
                    break;
                }
                if pages >= MOST_PAGES {
                    let words = "a list of folders has no end";
                    return Err(Fault::new(ErrorCode::ProtocolUnexpectedResponse, words));
                }
                request.page_token = next;
            }
        }
        Ok(children)
    }

    /// The drive to ask in; what a shortcut led to may lie elsewhere.
    fn corpus(&self, walk: &Walk) -> Option<String> {
        let is_there = walk.in_drive && walk.way.iter().all(|step| step.shortcut.is_none());
        let drive = self.home.drive_id().filter(|_| is_there);
        drive.map(ToOwned::to_owned)
    }

    fn keys(&self, folder: &str) -> Vec<ResourceKey> {
        let mut keys = self.reach.keys(folder);
        keys.extend(self.home.root.key.clone());
        keys
    }
}

/// Leaves the last folder of the way, and tells its key.
fn leave(walk: &mut Walk, pending: &mut Pending) -> Option<String> {
    pending.0.pop();
    walk.way.pop().map(|step| step.key().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_very_many_folders_the_first_are_remembered_and_that_there_are_more() {
        let name = |number: usize| format!("{number:06}");
        let mut children = Children::default();
        for number in (0..MOST_CHILDREN + 10).rev() {
            children.note(Step::into(&name(number)));
        }
        assert!(children.is_cut);
        assert_eq!(children.steps.len(), MOST_CHILDREN);
        let mut walked = Vec::new();
        let mut after = None;
        while let Some(step) = children.after(after.as_deref()) {
            walked.push(step.folder.clone());
            after = Some(step.key().to_owned());
        }
        assert_eq!(walked, (0..MOST_CHILDREN).map(name).collect::<Vec<_>>());
    }

    #[test]
    fn a_place_is_written_down_shortly_and_read_again() {
        let mut walk = Walk::from(Step::into("R")).in_drive(true);
        walk.way.push(Step::through("S", "T"));
        walk.token = Some("t".to_owned());
        let text = serde_json::to_string(&walk).unwrap();
        assert_eq!(
            text,
            r#"{"way":[{"f":"R"},{"f":"T","s":"S"}],"token":"t","in_drive":true}"#
        );
        assert_eq!(serde_json::from_str::<Walk>(&text).unwrap(), walk);
    }
}
