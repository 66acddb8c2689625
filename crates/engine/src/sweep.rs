//! The sweep: removes blobs that no object points at, such as those of replaced objects and of commits that never came.

use std::time::Duration;

use wharf_domain::object::BlobKey;

use crate::{Engine, EngineError};

/// Blobs younger than this are left alone: the commit that publishes them may still be on its way.
const GRACE: Duration = Duration::from_hours(24);
/// Blobs looked at in one step.
const STEP: usize = 1000;

impl Engine {
    /// Goes once through all blobs and removes those that are older than a day and that nothing points at. Returns how
    /// many were removed.
    pub async fn sweep_blobs(&self) -> Result<u64, EngineError> {
        // Blobs of organizations that this database has never heard of are another database's: not ours to judge.
        let organizations = self.list_organizations().await?;
        let ours = |key: &BlobKey| {
            organizations
                .iter()
                .any(|organization| organization.id.as_str() == key.organization())
        };
        let mut after: Option<BlobKey> = None;
        let mut removed = 0;
        loop {
            let places = self.parts.blobs.list(after.as_ref(), STEP).await?;
            let Some(last) = places.last() else {
                return Ok(removed);
            };
            after = Some(last.key.clone());
            let old: Vec<BlobKey> = places
                .into_iter()
                .filter(|place| place.age >= GRACE && ours(&place.key))
                .map(|place| place.key)
                .collect();
            if old.is_empty() {
                continue;
            }
            let referenced = self.repositories().across.referenced_blobs(&old).await?;
            for key in old.iter().filter(|key| !referenced.contains(key)) {
                self.parts.blobs.remove(key).await?;
                removed += 1;
            }
        }
    }
}
