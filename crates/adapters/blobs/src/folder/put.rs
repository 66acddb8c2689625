//! Writing a blob.

use std::io;
use std::sync::{Mutex, PoisonError};

use futures::StreamExt;
use sha2::{Digest, Sha256};
use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use wharf_ports::{BlobError, ByteStream, StoredBlob};

use super::place::Place;
use super::{FolderBlobs, blocking, unavailable};

/// Writes the stream to a draft, which is removed however this ends before it got its name.
pub(super) async fn put(
    store: &FolderBlobs,
    place: Place,
    mut bytes: ByteStream,
) -> Result<StoredBlob, BlobError> {
    let incoming = store.incoming.clone();
    let (file, draft) = blocking(move || incoming.draft())
        .await
        .map_err(unavailable)?
        .into_parts();
    let mut file = File::from_std(file);
    let mut hash = Sha256::new();
    let mut size_bytes = 0;
    while let Some(piece) = bytes.next().await {
        let piece = piece.map_err(BlobError::Source)?;
        file.write_all(&piece).await.map_err(unavailable)?;
        hash.update(&piece);
        size_bytes += piece.len() as u64;
    }
    file.flush().await.map_err(unavailable)?;
    file.sync_all().await.map_err(unavailable)?;
    drop(file);

    let making_folders = store.making_folders.clone();
    let named = blocking(move || name(draft, &place, &making_folders)).await;
    named.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BlobError::Exists,
        _ => unavailable(error),
    })?;
    Ok(StoredBlob {
        size_bytes,
        sha256: hex::encode(hash.finalize()),
    })
}

/// Gives a complete draft its name, unless that is taken.
fn name(draft: TempPath, place: &Place, making_folders: &Mutex<()>) -> io::Result<()> {
    {
        let _one_at_a_time = making_folders
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        place.make_folders()?;
    }
    draft
        .persist_noclobber(place.file())
        .map_err(|error| error.error)?;
    place.sync_name().inspect_err(|_| {
        // A name that may not last is taken back; if even that fails, the blob is one that nothing points at.
        let _ = std::fs::remove_file(place.file());
    })
}
