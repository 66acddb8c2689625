//! Blobs as files of a folder.

mod incoming;
mod listing;
mod place;
mod put;
mod read;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use wharf_domain::object::BlobKey;
use wharf_ports::{BlobError, BlobPlace, BlobStore, ByteStream, StoredBlob};

use self::incoming::Incoming;
use self::place::Place;

/// A blob store in a folder of a local disk.
///
/// A blob is `<organization>/<bucket>/<first two digits>/<32 digits>` under the root. It is written to `.incoming` first
/// and gets its name once every byte is on the disk. Everything is readable by the owner only. Folders stay when their
/// last blob is removed.
#[derive(Debug, Clone)]
pub struct FolderBlobs {
    root: PathBuf,
    incoming: Incoming,
    /// Held while folders are made, so that a folder that is there is known to be on the disk too.
    making_folders: Arc<Mutex<()>>,
}

impl FolderBlobs {
    /// Opens the store at this folder, which is made if it is not there, and clears away what interrupted writes left
    /// there more than a day ago. Waits for the disk: call it while the program starts.
    ///
    /// # Errors
    /// The folder cannot be made or written to.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, BlobError> {
        Self::open_folder(root.into()).map_err(unavailable)
    }

    fn open_folder(root: PathBuf) -> io::Result<Self> {
        let incoming = Incoming::under(&root);
        private_folder().recursive(true).create(incoming.folder())?;
        place::sync(&root)?;
        incoming.clear_scraps(now())?;
        Ok(Self {
            root,
            incoming,
            making_folders: Arc::default(),
        })
    }

    fn place(&self, key: &BlobKey) -> Result<Place, BlobError> {
        Place::of(&self.root, key)
            .ok_or_else(|| BlobError::Unavailable("this is not the key of a blob".into()))
    }
}

#[async_trait]
impl BlobStore for FolderBlobs {
    async fn put(&self, key: &BlobKey, bytes: ByteStream) -> Result<StoredBlob, BlobError> {
        put::put(self, self.place(key)?, bytes).await
    }

    async fn open(&self, key: &BlobKey, offset: u64, length: u64) -> Result<ByteStream, BlobError> {
        read::open(self.place(key)?.file(), offset, length).await
    }

    /// The removal may be undone by a power failure; then the blob shows up in the next list again.
    async fn remove(&self, key: &BlobKey) -> Result<(), BlobError> {
        match tokio::fs::remove_file(self.place(key)?.file()).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unavailable(error)),
            _ => Ok(()),
        }
    }

    /// A list from the start clears away old scraps too.
    async fn list(
        &self,
        after: Option<&BlobKey>,
        limit: usize,
    ) -> Result<Vec<BlobPlace>, BlobError> {
        let (store, after) = (self.clone(), after.cloned());
        blocking(move || {
            let now = now();
            if after.is_none() {
                store.incoming.clear_scraps(now)?;
            }
            listing::list(&store.root, after.as_ref(), limit, now)
        })
        .await
        .map_err(unavailable)
    }

    async fn check(&self) -> Result<(), BlobError> {
        let incoming = self.incoming.clone();
        blocking(move || incoming.probe())
            .await
            .map_err(unavailable)
    }
}

fn private_folder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

#[expect(
    clippy::disallowed_methods,
    reason = "ages are told from times that the file system stamped by this clock"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Runs work that waits for the disk where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

fn unavailable(error: io::Error) -> BlobError {
    BlobError::Unavailable(error.into())
}
