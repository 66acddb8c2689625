//! How many files a process copies at a time, and how much of their bytes it holds in memory, whoever's they are.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Files copied at a time.
const COPIES: u32 = 64;
/// Bytes of them in memory, in KiB: 256 MiB.
const KIB: u32 = 256 * 1024;
/// What a blob store holds of a large file, in KiB: one part of 8 MiB that fills while another is on its way.
const KIB_OF_LARGE: u64 = 16 * 1024;
/// From here on a blob store's parts grow with the file, and two of them are such a share of it.
const SHARE_OF_HUGE: u64 = 650;

/// The bounds of all copies of a process.
pub(super) struct Room {
    copies: Arc<Semaphore>,
    kib: Arc<Semaphore>,
}

/// What one copy takes of the room until it is dropped.
pub(super) struct Share {
    _copy: OwnedSemaphorePermit,
    _kib: OwnedSemaphorePermit,
}

impl Default for Room {
    fn default() -> Self {
        Self::of(COPIES, KIB)
    }
}

impl Room {
    pub(super) fn of(copies: u32, kib: u32) -> Self {
        Self {
            copies: Arc::new(Semaphore::new(copies as usize)),
            kib: Arc::new(Semaphore::new(kib as usize)),
        }
    }

    /// Waits until there is room for a copy of that many bytes; those who wait get it in turn.
    pub(super) async fn share(&self, size_bytes: Option<u64>) -> Share {
        let never = "the room is never closed";
        let copy = self.copies.clone().acquire_owned().await.expect(never);
        let kib = self.kib.clone().acquire_many_owned(held(size_bytes)).await;
        Share {
            _copy: copy,
            _kib: kib.expect(never),
        }
    }
}

/// How much of a file is in memory while it is copied, in KiB; never more than there is.
fn held(size_bytes: Option<u64>) -> u32 {
    let kib = size_bytes.map_or(KIB_OF_LARGE, |size| {
        let size = size.div_ceil(1024);
        size.min(KIB_OF_LARGE.max(size / SHARE_OF_HUGE))
    });
    u32::try_from(kib).unwrap_or(KIB).clamp(1, KIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_takes_what_a_blob_store_holds_of_it() {
        const MIB: u64 = 1024 * 1024;
        for (size, kib) in [
            (Some(0), 1),
            (Some(1025), 2),
            (Some(MIB), 1024),
            (Some(16 * MIB), 16 * 1024),
            (Some(1024 * MIB), 16 * 1024),
            (Some(20 * 1024 * MIB), 20 * 1024 * 1024 / 650),
            (Some(u64::MAX), KIB),
            (None, 16 * 1024),
        ] {
            assert_eq!(held(size), kib, "{size:?}");
        }
    }
}
