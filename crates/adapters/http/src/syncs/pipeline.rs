use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use wharf_domain::sync::Pipeline;

/// What the published service's own pipeline would do with the objects. Wharf has no such pipeline: settings are kept and
/// returned, not acted upon, and there are no batches.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PipelineSettings)]
pub(crate) struct PipelineView {
    /// Kept, not acted upon.
    batch_size: u32,
    /// Kept, not acted upon.
    skip_batch_submission: bool,
    /// Kept, not acted upon.
    batch_collection_ids: Option<Vec<String>>,
    /// Kept, not acted upon.
    #[schema(value_type = Option<Object>)]
    ingest_filter: Option<Value>,
    /// Always 1000.
    max_batch_chunk_size: u32,
    /// Always 100.
    batch_chunk_size: u32,
    /// Always empty.
    batch_ids: Vec<String>,
    /// Always empty.
    task_ids: Vec<String>,
    /// Always 0.
    batches_created: u64,
}

impl From<Pipeline> for PipelineView {
    fn from(pipeline: Pipeline) -> Self {
        Self {
            batch_size: pipeline.batch_size,
            skip_batch_submission: pipeline.skip_batch_submission,
            batch_collection_ids: pipeline.batch_collection_ids,
            ingest_filter: pipeline.ingest_filter,
            max_batch_chunk_size: 1000,
            batch_chunk_size: 100,
            batch_ids: Vec::new(),
            task_ids: Vec::new(),
            batches_created: 0,
        }
    }
}
