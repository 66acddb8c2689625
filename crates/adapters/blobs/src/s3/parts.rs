//! A stream cut into parts, hashed on the way.

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use md5::Md5;
use sha2::{Digest, Sha256};
use wharf_ports::{BlobError, ByteStream, StoredBlob};

/// A part, and the MD5 by which the store sees that it arrived as it was sent.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) bytes: Bytes,
    pub(super) md5: [u8; 16],
}

/// What is left of a stream.
pub(super) struct Parts {
    stream: ByteStream,
    /// The rest of a piece that did not fit into the part before.
    rest: Bytes,
    ended: bool,
    sha256: Sha256,
    size_bytes: u64,
}

impl Parts {
    pub(super) fn of(stream: ByteStream) -> Self {
        Self {
            stream,
            rest: Bytes::new(),
            ended: false,
            sha256: Sha256::new(),
            size_bytes: 0,
        }
    }

    /// The next `size` bytes, or fewer at the end of the stream.
    pub(super) async fn next(&mut self, size: usize) -> Result<Part, BlobError> {
        let mut part = BytesMut::new();
        let mut md5 = Md5::new();
        loop {
            let taken = self.rest.split_to(self.rest.len().min(size - part.len()));
            md5.update(&taken);
            self.sha256.update(&taken);
            part.extend_from_slice(&taken);
            if part.len() == size {
                break;
            }
            let Some(piece) = self.stream.next().await else {
                self.ended = true;
                break;
            };
            self.rest = piece.map_err(BlobError::Source)?;
        }
        self.size_bytes += part.len() as u64;
        Ok(Part {
            bytes: part.freeze(),
            md5: md5.finalize().into(),
        })
    }

    /// Whether the stream is known to have no more bytes.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Bytes taken so far.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// What the parts taken so far make together.
    pub(super) fn stored(self) -> StoredBlob {
        StoredBlob {
            size_bytes: self.size_bytes,
            sha256: hex::encode(self.sha256.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn parts_have_their_size_whatever_the_pieces_are() {
        let whole: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for piece in [1, 7, 100, 250, 999, 1000] {
            let pieces: Vec<_> = whole
                .chunks(piece)
                .flat_map(|piece| [Ok(Bytes::new()), Ok(Bytes::copy_from_slice(piece))])
                .collect();
            let mut parts = Parts::of(stream::iter(pieces).boxed());
            let mut together = Vec::new();
            while !parts.ended() {
                let part = parts.next(250).await.unwrap();
                assert!(part.bytes.len() == 250 || parts.ended(), "{piece}");
                assert_eq!(part.md5[..], Md5::digest(&part.bytes)[..]);
                together.extend_from_slice(&part.bytes);
            }
            assert_eq!(together, whole);
            let stored = parts.stored();
            assert_eq!(stored.size_bytes, 1000);
            assert_eq!(stored.sha256, hex::encode(Sha256::digest(&whole)));
        }
    }
}
