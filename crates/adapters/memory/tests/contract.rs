//! Every promise of the ports, kept in memory.

use std::sync::Arc;

use wharf_memory::{MemoryBlobs, MemoryStore};
use wharf_testkit::{BlobHarness, FakeClock, Harness, TestSeal};

wharf_testkit::repository_suites!(async || {
    let clock = Arc::new(FakeClock::new());
    Harness::with_clock(
        MemoryStore::with_seal(clock.clone(), Arc::new(TestSeal)).repositories(),
        clock,
    )
});

wharf_testkit::blob_store_suite!(async || {
    let clock = Arc::new(FakeClock::new());
    BlobHarness::with_clock(Arc::new(MemoryBlobs::new(clock.clone())), clock)
});
