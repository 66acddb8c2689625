//! Files that are still being written.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;

/// No write pauses for this long.
const SCRAP_AGE: Duration = Duration::from_hours(24);

/// The folder that blobs are written in before they get their names. It lies under the root, so that naming a blob moves
/// no bytes.
#[derive(Debug, Clone)]
pub(super) struct Incoming(PathBuf);

impl Incoming {
    pub(super) fn under(root: &Path) -> Self {
        Self(root.join(".incoming"))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// A new file, readable by the owner only, that is removed when it is dropped before it was named.
    pub(super) fn draft(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new()
            .prefix("")
            .rand_bytes(16)
            .tempfile_in(&self.0)
    }

    /// Writes and removes a file.
    pub(super) fn probe(&self) -> io::Result<()> {
        let mut draft = self.draft()?;
        draft.write_all(b"probe")?;
        draft.as_file().sync_all()?;
        draft.close()
    }

    /// Removes what processes that were killed left behind.
    pub(super) fn clear_scraps(&self, now: SystemTime) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            match remove_if_old(&entry, now) {
                Ok(false) => {}
                Ok(true) => {
                    tracing::info!(file = ?entry.file_name(), "removed what an interrupted write left behind");
                }
                // Named or removed by its owner meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn remove_if_old(entry: &fs::DirEntry, now: SystemTime) -> io::Result<bool> {
    let facts = entry.metadata()?;
    let old = now
        .duration_since(facts.modified()?)
        .is_ok_and(|age| age > SCRAP_AGE);
    let remove = old && facts.is_file();
    if remove {
        fs::remove_file(entry.path())?;
    }
    Ok(remove)
}
