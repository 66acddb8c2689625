//! Walking the folder in the order of the keys.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

use wharf_domain::ids::{BucketId, OrganizationId};
use wharf_domain::object::BlobKey;
use wharf_ports::BlobPlace;

use super::place::SHARD;

pub(super) fn list(
    root: &Path,
    after: Option<&BlobKey>,
    limit: usize,
    now: SystemTime,
) -> io::Result<Vec<BlobPlace>> {
    let mut walk = Walk {
        after: after.map(BlobKey::as_str),
        limit,
        now,
        found: Vec::new(),
    };
    walk.organizations(root)?;
    Ok(walk.found)
}

/// At every level names are taken in their byte order, which makes the order of the keys.
struct Walk<'a> {
    after: Option<&'a str>,
    limit: usize,
    now: SystemTime,
    found: Vec<BlobPlace>,
}

impl Walk<'_> {
    fn organizations(&mut self, root: &Path) -> io::Result<()> {
        for (name, folder) in entries(root)? {
            if name.parse::<OrganizationId>().is_ok() && self.may_hold(&name) {
                self.buckets(&folder, &name)?;
            }
        }
        Ok(())
    }

    fn buckets(&mut self, organization: &Path, above: &str) -> io::Result<()> {
        for (name, folder) in entries(organization)? {
            let start = format!("{above}/{name}/");
            if name.parse::<BucketId>().is_ok() && self.may_hold(&start) {
                self.shards(&folder, &start)?;
            }
        }
        Ok(())
    }

    fn shards(&mut self, bucket: &Path, above: &str) -> io::Result<()> {
        for (name, folder) in entries(bucket)? {
            let start = format!("{above}{name}");
            if name.len() == SHARD && self.may_hold(&start) {
                self.blobs(&folder, above, &name)?;
            }
        }
        Ok(())
    }

    fn blobs(&mut self, shard: &Path, above: &str, shard_name: &str) -> io::Result<()> {
        for (name, file) in entries(shard)? {
            if self.found.len() >= self.limit {
                return Ok(());
            }
            let key =
                BlobKey::parse(&format!("{above}{name}")).filter(|_| name.starts_with(shard_name));
            let Some(key) = key.filter(|key| self.after.is_none_or(|after| after < key.as_str()))
            else {
                continue;
            };
            // One that was removed meanwhile is not there.
            if let Some(facts) = unless_gone(fs::metadata(&file))? {
                let age = self
                    .now
                    .duration_since(facts.modified()?)
                    .unwrap_or_default();
                self.found.push(BlobPlace { key, age });
            }
        }
        Ok(())
    }

    /// Whether keys that start like this may still be wanted.
    fn may_hold(&self, start: &str) -> bool {
        self.found.len() < self.limit
            && self
                .after
                .is_none_or(|after| after < start || after.starts_with(start))
    }
}

/// What a folder holds, by name; nothing if it is gone or no folder. Names that no key can have are left out.
fn entries(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut entries = Vec::new();
    for entry in unless_gone(fs::read_dir(folder))?.into_iter().flatten() {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            entries.push((name, entry.path()));
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
