//! Every promise of the port, on the lab.

use std::sync::Arc;
use std::time::Duration;

use wharf_testkit::BlobHarness;

use crate::stores::on_a_lab;

wharf_testkit::blob_store_suite!(async || {
    let (lab, store) = on_a_lab().await;
    BlobHarness::in_real_time(Arc::new(store))
        .with_grain(Duration::from_secs(1))
        .keeping(lab)
});
