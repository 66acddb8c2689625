//! Where under the root a blob lies.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use wharf_domain::object::BlobKey;

/// Digits of a token that name the folder it lies in, so that no folder gets too full.
pub(super) const SHARD: usize = 2;

/// The file of a blob and the folders above it.
#[derive(Debug)]
pub(super) struct Place {
    root: PathBuf,
    organization: PathBuf,
    bucket: PathBuf,
    shard: PathBuf,
    file: PathBuf,
}

impl Place {
    /// `None` for what would not be read as a key again: only identifiers and digits become paths.
    pub(super) fn of(root: &Path, key: &BlobKey) -> Option<Self> {
        BlobKey::parse(key.as_str())?;
        let mut parts = key.as_str().split('/');
        let (organization, bucket, token) = (parts.next()?, parts.next()?, parts.next()?);
        let organization = root.join(organization);
        let bucket = organization.join(bucket);
        let shard = bucket.join(token.get(..SHARD)?);
        let file = shard.join(token);
        Some(Self {
            root: root.to_owned(),
            organization,
            bucket,
            shard,
            file,
        })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Makes the folders that are not there yet, durably.
    pub(super) fn make_folders(&self) -> io::Result<()> {
        let steps = [
            (&self.root, &self.organization),
            (&self.organization, &self.bucket),
            (&self.bucket, &self.shard),
        ];
        for (parent, folder) in steps {
            match super::private_folder().create(folder) {
                Ok(()) => sync(parent)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes the blob's name durable.
    pub(super) fn sync_name(&self) -> io::Result<()> {
        sync(&self.shard)
    }
}

/// Brings a folder's entries to the disk.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
