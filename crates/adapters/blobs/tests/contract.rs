//! The folder keeps every promise of the blob store port.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use tempfile::TempDir;
use wharf_blobs::FolderBlobs;
use wharf_testkit::BlobHarness;

wharf_testkit::blob_store_suite!(async || {
    let folder = TempDir::new().unwrap();
    let store = FolderBlobs::open(folder.path()).unwrap();
    BlobHarness::in_real_time(Arc::new(store)).keeping(folder)
});
