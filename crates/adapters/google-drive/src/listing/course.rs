//! What is still to be walked: one subtree under way, and the folders and shortcuts after it.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};
use wharf_domain::filter::ExportFormats;

use super::walk::{Pending, Step, Walk, Walker};
use super::{Harvest, Target, target};
use crate::entry::Place;
use crate::error::Fault;
use crate::reach::{Home, Reach, is_hidden};
use crate::tree::{Folder, Standing};

/// Shortcuts and folders that wait, and targets of shortcuts that were walked.
const MOST: usize = 1000;

/// What is still to be walked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Course {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    walk: Option<Walk>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    todo: Vec<String>,
    /// Folders that shortcuts led to. Each is walked once.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    seen: BTreeSet<String>,
}

impl Course {
    /// Everything below a root.
    pub(crate) fn through(home: &Home) -> Self {
        Self {
            walk: Some(whole(home)),
            ..Self::default()
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.walk.is_none() && self.todo.is_empty()
    }

    /// Adds a folder, or a shortcut to one. What there is no room for is told as a place that was not looked at.
    pub(crate) fn add(&mut self, id: &str, place: impl FnOnce() -> Place, harvest: &mut Harvest) {
        if self.todo.len() < MOST {
            self.todo.push(id.to_owned());
        } else {
            harvest.denied.push(place().path);
        }
    }

    /// Keeps those that wait only if they lie in none of the others.
    pub(crate) async fn keep_topmost(&mut self, reach: &Reach) -> Result<(), Fault> {
        let waiting: HashSet<&str> = self.todo.iter().map(String::as_str).collect();
        let mut topmost = Vec::new();
        for id in &self.todo {
            if let Folder::Seen { parents, .. } = reach.known_folder(id).await?
                && reach
                    .lies_in(&parents, |above| waiting.contains(above))
                    .await?
            {
                continue;
            }
            topmost.push(id.clone());
        }
        self.todo = topmost;
        Ok(())
    }

    /// Walks on until the page has enough or all is walked.
    pub(crate) async fn go(
        &mut self,
        reach: &Reach,
        home: &Home,
        formats: &ExportFormats,
        pending: &mut Pending,
        harvest: &mut Harvest,
    ) -> Result<(), Fault> {
        while !harvest.is_enough() {
            if self.walk.is_none() {
                if self.todo.is_empty() {
                    return Ok(());
                }
                let next = self.todo.remove(0);
                self.walk = self.begin(reach, home, &next, harvest).await?;
                *pending = Pending::default();
            }
            let Some(walk) = self.walk.take() else {
                continue;
            };
            let walker = Walker {
                reach,
                home,
                formats,
                seen: &mut self.seen,
            };
            self.walk = walker.go(walk, pending, harvest).await?;
        }
        Ok(())
    }

    /// The walk through a folder that waited, if it is still one of ours.
    async fn begin(
        &mut self,
        reach: &Reach,
        home: &Home,
        id: &str,
        harvest: &mut Harvest,
    ) -> Result<Option<Walk>, Fault> {
        if id == home.id() {
            return Ok(Some(whole(home)));
        }
        let file = match reach.file(id).await {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            Err(fault) if is_hidden(&fault) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        reach.note_folder(id, Folder::of(&file));
        let standing = reach.standing(home, id, &file.parents).await?;
        if file.trashed || !matches!(standing, Standing::Inside { .. }) {
            return Ok(None);
        }
        if file.is_folder() {
            let own = reach.own_standing(home, &file.parents).await?;
            let in_drive = home.drive.is_some() && matches!(own, Standing::Inside { .. });
            return Ok(Some(Walk::from(Step::into(id)).in_drive(in_drive)));
        }
        let Target::Folder(folder) = target(reach, &file).await? else {
            return Ok(None);
        };
        let step = Step::through(id, &folder);
        let place = || Place::root(home.id()).folder(id, &file.name);
        let fresh = is_fresh(reach, home, &mut self.seen, &step, place, harvest).await?;
        Ok(fresh.then(|| Walk::from(step)))
    }
}

fn whole(home: &Home) -> Walk {
    Walk::from(Step::into(home.id())).in_drive(home.drive.is_some())
}

/// Whether what a shortcut leads to is neither in the source itself nor walked already; then it counts as walked.
pub(super) async fn is_fresh(
    reach: &Reach,
    home: &Home,
    seen: &mut BTreeSet<String>,
    step: &Step,
    place: impl FnOnce() -> Place,
    harvest: &mut Harvest,
) -> Result<bool, Fault> {
    let Folder::Seen {
        parents, trashed, ..
    } = reach.known_folder(step.folder()).await?
    else {
        return Ok(false);
    };
    let known = |id: &str| id == home.id() || seen.contains(id);
    if trashed || known(step.folder()) || reach.lies_in(&parents, known).await? {
        return Ok(false);
    }
    if seen.len() >= MOST {
        harvest.denied.push(place().path);
        return Ok(false);
    }
    seen.insert(step.folder().to_owned());
    Ok(true)
}
