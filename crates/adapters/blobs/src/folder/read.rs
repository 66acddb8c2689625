//! Reading a blob.

use std::io::{self, SeekFrom};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use wharf_domain::error_code::ErrorCode;
use wharf_ports::{BlobError, ByteStream, ProviderError};

use super::unavailable;

const PIECE: usize = 64 * 1024;

/// The file is opened here and stays readable through the stream, whatever becomes of its name.
pub(super) async fn open(path: &Path, offset: u64, length: u64) -> Result<ByteStream, BlobError> {
    let mut file = File::open(path).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => BlobError::NotFound,
        _ => unavailable(error),
    })?;
    let size = file.metadata().await.map_err(unavailable)?.len();
    let left = size.saturating_sub(offset).min(length);
    if left > 0 {
        file.seek(SeekFrom::Start(offset))
            .await
            .map_err(unavailable)?;
    }
    Ok(stream::try_unfold((file, left), next_piece).boxed())
}

async fn next_piece(
    (mut file, left): (File, u64),
) -> Result<Option<(Bytes, (File, u64))>, ProviderError> {
    if left == 0 {
        return Ok(None);
    }
    let most = left.min(PIECE as u64);
    let mut piece = BytesMut::with_capacity(PIECE.min(usize::try_from(left).unwrap_or(PIECE)));
    let read = (&mut file)
        .take(most)
        .read_buf(&mut piece)
        .await
        .map_err(|error| {
            ProviderError::transient(
                ErrorCode::Internal,
                "the blob store failed while a blob was read",
            )
            .caused_by(error)
        })?;
    if read == 0 {
        return Err(ProviderError::permanent(
            ErrorCode::Internal,
            "a blob in the blob store has been cut short",
        ));
    }
    Ok(Some((piece.freeze(), (file, left - read as u64))))
}
