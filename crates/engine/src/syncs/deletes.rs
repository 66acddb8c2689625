//! Deletes that wait for a person.

use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::bucket::Bucket;

use super::{missing, parsed};
use crate::{Caller, Engine, EngineError};

/// Objects dealt with in one step.
const STEP: u32 = 1000;

impl Engine {
    /// Carries out the sync's held deletes; returns how many. Their objects become tombstones, unless another sync holds on to
    /// them.
    pub async fn approve_deletes(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
    ) -> Result<u64, EngineError> {
        let sync = parsed(id)?;
        let mut approved = 0;
        loop {
            let audit = self.audit_sync(caller, Action::DeletesApproved, id, json!({}));
            let step = self
                .repositories()
                .syncs
                .approve_deletes(caller.organization(), &bucket.id, &sync, STEP, audit)
                .await?
                .ok_or_else(|| missing(id))?;
            if step == 0 {
                return Ok(approved);
            }
            approved += step;
        }
    }

    /// Gives the sync's held deletes up; returns how many. Their objects stay as they are, held by this sync no longer.
    pub async fn discard_deletes(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
    ) -> Result<u64, EngineError> {
        let sync = parsed(id)?;
        let mut discarded = 0;
        loop {
            let audit = self.audit_sync(caller, Action::DeletesDiscarded, id, json!({}));
            let step = self
                .repositories()
                .syncs
                .discard_deletes(caller.organization(), &bucket.id, &sync, STEP, audit)
                .await?
                .ok_or_else(|| missing(id))?;
            if step == 0 {
                return Ok(discarded);
            }
            discarded += step;
        }
    }
}
