//! What became of files that a complete listing did not name.
//!
//! What lay in one folder is asked about together: a folder that is in the trash or elsewhere took its files with it, and one that is
//! hidden hides them. Only where the folder is still in its place, each file is asked for.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use wharf_domain::run::feed::{Fate, MissingRow};
use wharf_ports::ProviderError;

use crate::error::{Call, Fault};
use crate::reach::{Home, Reach, is_hidden};
use crate::source::Scope;
use crate::tree::{Folder, Standing, UpTo};

/// Files that are asked for at the same time.
const AT_ONCE: usize = 8;

/// One fate per row, in their order.
pub(crate) async fn trace(
    reach: &Reach,
    source_path: &str,
    missing: &[MissingRow],
) -> Result<Vec<Fate>, ProviderError> {
    let scope = Scope::parse(source_path);
    let traced = trace_in(reach, &scope, missing).await;
    traced.map_err(|fault| fault.during(&Call::new("drive.files.get").on(scope.path)))
}

async fn trace_in(
    reach: &Reach,
    scope: &Scope,
    missing: &[MissingRow],
) -> Result<Vec<Fate>, Fault> {
    // This is the last word before files go: what was remembered while the listing ran is too old for it.
    reach.forget_folders();
    let home = reach.home(&scope.path).await?;
    let mut folders: HashMap<&str, Option<Told>> = HashMap::new();
    for row in missing {
        // What the feed has just told of the file itself needs no other word.
        let is_told = reach.is_told_trashed(&row.object);
        if !is_told && !folders.contains_key(row.lineage.as_str()) {
            let told = of_folder(reach, &home, &row.lineage).await?;
            folders.insert(&row.lineage, told);
        }
    }
    let rows: Vec<_> = missing
        .iter()
        .map(|row| {
            let of_folder = folders.get(row.lineage.as_str()).copied().flatten();
            let told = reach.is_told_trashed(&row.object).then_some(GONE);
            (row.clone(), told.or(of_folder))
        })
        .collect();
    let told = stream::iter(rows).map(|(row, of_folder)| {
        let home = Arc::clone(&home);
        async move {
            match of_folder {
                Some(told) => Ok(told),
                None => of_file(reach, &home, &row).await,
            }
        }
    });
    let told: Vec<_> = told.buffered(AT_ONCE).try_collect().await?;
    settled(reach, &home, missing, told).await
}

/// What Drive tells of a file, or of the folder that it lay in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Fate(Fate),
    /// It is not there, or not for us.
    Unseen,
}

const GONE: Told = Told::Fate(Fate::Gone);
const HIDDEN: Told = Told::Fate(Fate::Hidden);

/// What a lineage's last folder tells of all that lay in it; nothing where each file has to be asked for.
async fn of_folder(reach: &Reach, home: &Home, lineage: &str) -> Result<Option<Told>, Fault> {
    let Some(last) = above(home, lineage).last() else {
        return Ok(None);
    };
    let folder = match reach.file(last).await {
        Ok(Some(folder)) => folder,
        Ok(None) => return Ok(Some(Told::Unseen)),
        Err(fault) if is_hidden(&fault) => return Ok(Some(HIDDEN)),
        Err(fault) => return Err(fault),
    };
    reach.note_folder(last, Folder::of(&folder));
    if folder.trashed {
        return Ok(Some(GONE));
    }
    let standing = reach.standing(home, last, &folder.parents).await?;
    elsewhere(reach, home, &standing, lineage).await
}

async fn of_file(reach: &Reach, home: &Home, row: &MissingRow) -> Result<Told, Fault> {
    let MissingRow {
        object: id,
        lineage,
    } = row;
    if reach.is_told_trashed(id) {
        return Ok(GONE);
    }
    let file = match reach.file(id).await {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(Told::Unseen),
        Err(fault) if is_hidden(&fault) => return Ok(HIDDEN),
        Err(fault) => return Err(fault),
    };
    if file.trashed {
        return Ok(GONE);
    }
    let standing = reach.standing(home, id, &file.parents).await?;
    let elsewhere = elsewhere(reach, home, &standing, lineage).await?;
    Ok(elsewhere.unwrap_or(Told::Fate(Fate::Present)))
}

async fn elsewhere(
    reach: &Reach,
    home: &Home,
    standing: &Standing,
    lineage: &str,
) -> Result<Option<Told>, Fault> {
    Ok(match standing {
        Standing::Inside { .. } => None,
        Standing::Trashed | Standing::Outside { up_to: UpTo::Top } => Some(GONE),
        Standing::Outside {
            up_to: UpTo::Hidden,
        } => Some(HIDDEN),
        // It may lie where it lay, below a folder that only we do not see any more.
        Standing::Outside {
            up_to: UpTo::Shared,
        } => {
            for id in above(home, lineage) {
                if reach.known_folder(id).await? == Folder::Hidden {
                    return Ok(Some(HIDDEN));
                }
            }
            Some(GONE)
        }
    })
}

/// The folders and shortcuts of a lineage below the root.
fn above<'a>(home: &Home, lineage: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
    let home = home.id().to_owned();
    let ids = lineage.split('/').filter(|id| !id.is_empty());
    ids.filter(move |id| *id != home)
}

/// The fates, where what cannot be seen is gone only if we see everything that the drive has, and it lay in the drive.
async fn settled(
    reach: &Reach,
    home: &Home,
    missing: &[MissingRow],
    told: Vec<Told>,
) -> Result<Vec<Fate>, Fault> {
    let is_managed = told.contains(&Told::Unseen) && sees_everything_still(reach, home).await?;
    let mut ways = HashMap::new();
    let mut fates = Vec::with_capacity(told.len());
    for (row, told) in missing.iter().zip(told) {
        fates.push(match told {
            Told::Fate(fate) => fate,
            Told::Unseen if is_managed && lay_in_drive(reach, home, row, &mut ways).await? => {
                Fate::Gone
            }
            Told::Unseen => Fate::Hidden,
        });
    }
    Ok(fates)
}

/// Whether we manage the drive, asked behind all else: who may be a member no longer.
async fn sees_everything_still(reach: &Reach, home: &Home) -> Result<bool, Fault> {
    let Some(drive) = home.drive_id().filter(|_| home.sees_everything()) else {
        return Ok(false);
    };
    match reach.wire.drive(drive).await.map_err(Fault::from) {
        Ok(drive) => Ok(drive.can_manage_members),
        Err(fault) if is_hidden(&fault) => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// What a folder or shortcut of a lineage is by now.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// A folder of the drive.
    On,
    /// Not there.
    Ends,
    /// A shortcut, a folder of somewhere else, or forbidden: what lay behind it need not lie in the drive.
    Away,
}

/// Whether a file lay in the drive itself. Whatever led to it and is not there any more did.
async fn lay_in_drive<'a>(
    reach: &Reach,
    home: &Home,
    row: &'a MissingRow,
    ways: &mut HashMap<&'a str, Way>,
) -> Result<bool, Fault> {
    for id in above(home, &row.lineage) {
        let way = match ways.get(id) {
            Some(way) => *way,
            None => match reach.file(id).await {
                Ok(None) => Way::Ends,
                Ok(Some(file))
                    if file.is_folder() && file.drive_id.as_deref() == home.drive_id() =>
                {
                    Way::On
                }
                Ok(Some(_)) => Way::Away,
                Err(fault) if is_hidden(&fault) => Way::Away,
                Err(fault) => return Err(fault),
            },
        };
        ways.insert(id, way);
        match way {
            Way::On => {}
            Way::Ends => return Ok(true),
            Way::Away => return Ok(false),
        }
    }
    Ok(true)
}
