use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wharf_domain::sync::Sync;

use super::view::SHARD;
use crate::time;

/// How far a sync is in its source. Cursors are never shown: they are the provider's and may hold tokens.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncPlace)]
pub(crate) struct PlaceView {
    /// The job at work or queued.
    current_sync_run_id: Option<String>,
    /// Always true: a run that was interrupted goes on where it stopped.
    resume_enabled: bool,
    /// Always null.
    resume_cursor: Option<String>,
    /// Always null.
    resume_last_primary_key: Option<String>,
    /// Always null.
    current_cursor: Option<String>,
    /// Files dealt with in a pass that is not complete.
    resume_objects_processed: u64,
    /// Always 1000: a page of a listing.
    resume_checkpoint_frequency: u32,
    /// The place of a pass that is not complete, under the key `__default__`; without its cursor.
    #[schema(value_type = Object)]
    sync_checkpoints: BTreeMap<&'static str, Value>,
    /// `pass`, `objects_processed`, `complete`, `running` and `sync_job_id` of the latest pass.
    #[schema(value_type = Object)]
    sync_progress: Value,
}

impl From<&Sync> for PlaceView {
    fn from(sync: &Sync) -> Self {
        let checkpoint = sync.checkpoint.as_ref();
        let processed = checkpoint.map_or(0, |checkpoint| checkpoint.objects_processed);
        let sync_checkpoints = checkpoint.map(|checkpoint| {
            let shown = json!({
                "pass_id": checkpoint.pass.to_string(),
                "cursor": null,
                "objects_processed": processed,
                "modified_since": sync.settings.sync_from.as_ref().map(time::text),
                "completed_at": null,
            });
            (SHARD, shown)
        });
        let at_work = sync.lease.as_ref().map(|lease| &lease.job);
        let current = at_work
            .or(sync.queued_job.as_ref())
            .map(ToString::to_string);
        let sync_progress = json!({
            "pass": sync.last_pass,
            "objects_processed": processed,
            "complete": sync.last_pass > 0 && checkpoint.is_none(),
            "running": at_work.is_some(),
            "sync_job_id": current,
        });
        Self {
            current_sync_run_id: current,
            resume_enabled: true,
            resume_cursor: None,
            resume_last_primary_key: None,
            current_cursor: None,
            resume_objects_processed: processed,
            resume_checkpoint_frequency: 1000,
            sync_checkpoints: sync_checkpoints.into_iter().collect(),
            sync_progress,
        }
    }
}
