//! The sweep: ends what has waited long enough. Tombstones give up their bytes when their undo window has passed, dead
//! letters of syncs that do not run any more are closed, old events, deliveries, checks and claims are forgotten, and blobs that no object points at are removed, such as those of
//! replaced objects and of commits that never came.

use std::time::Duration;

use wharf_domain::object::BlobKey;

use crate::{Engine, EngineError};

/// Blobs younger than this are left alone: the commit that publishes them may still be on its way.
const GRACE: Duration = Duration::from_hours(24);
/// Blobs looked at in one step.
const STEP: usize = 1000;
/// Rows changed in one step.
const ROWS: u32 = 1000;

/// What a sweep ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Tombstones whose undo window had passed.
    pub tombstones: u64,
    /// Dead letters of syncs that do not run any more.
    pub dead_letters: u64,
    /// Old events, deliveries, checks and claims of requests.
    pub history: u64,
    /// Blobs that nothing pointed at.
    pub blobs: u64,
}

impl Engine {
    /// Sweeps once through everything.
    pub async fn sweep(&self) -> Result<Swept, EngineError> {
        let mut swept = Swept::default();
        let across = &self.repositories().across;
        let undo = self.parts.settings.undo_window;
        loop {
            let purged = across.purge_tombstones(undo, ROWS).await?;
            swept.tombstones += purged;
            if purged < u64::from(ROWS) {
                break;
            }
        }
        loop {
            let disposed = across.dispose_dead_letters(ROWS).await?;
            swept.dead_letters += disposed;
            if disposed < u64::from(ROWS) {
                break;
            }
        }
        let keep = self.parts.settings.event_retention;
        loop {
            let pruned = across.prune_history(keep, ROWS).await?;
            swept.history += pruned;
            if pruned < u64::from(ROWS) {
                break;
            }
        }
        swept.blobs = self.sweep_blobs().await?;
        Ok(swept)
    }

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
