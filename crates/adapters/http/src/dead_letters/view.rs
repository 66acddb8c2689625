use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::dead_letter::{DeadLetter, DisposalReason};
use wharf_domain::ids::OrganizationId;

/// A file that a sync could not copy.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncDeadLetterObjectModel)]
pub(crate) struct DeadLetterView {
    /// `dlq_` and 16 hex digits.
    dlq_id: String,
    sync_config_id: String,
    /// The job in which it failed last.
    sync_job_id: String,
    /// The source's identity of the file.
    source_object_id: String,
    /// Where it lies at the source.
    source_path: String,
    /// The version that could not be copied.
    source_version: String,
    /// The dotted code of what went wrong last.
    error_type: String,
    error_message: String,
    /// Always null: the message says what there is to say.
    error_stack_trace: Option<String>,
    #[serde(serialize_with = "crate::time::rfc3339")]
    first_seen_at: DateTime<Utc>,
    /// When it last failed before it was left alone.
    #[serde(serialize_with = "crate::time::rfc3339")]
    last_seen_at: DateTime<Utc>,
    /// When it was last tried after that: once in 24 hours.
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    last_reattempt_at: Option<DateTime<Utc>>,
    /// Runs in which this version failed since it was first seen or last queued again.
    retry_count: u32,
    /// Whether it is left alone: after three tries, or because a person said so.
    max_retries_reached: bool,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    requeued_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    resolved_at: Option<DateTime<Utc>>,
    /// `sync_config_deactivated` or `connection_not_found`: why it was closed without having been copied.
    #[schema(value_type = Option<String>)]
    disposal_reason: Option<&'static str>,
    internal_id: String,
    namespace_id: String,
    bucket_id: String,
}

impl DeadLetterView {
    pub(super) fn new(letter: DeadLetter, organization: &OrganizationId) -> Self {
        Self {
            dlq_id: letter.id.to_string(),
            sync_config_id: letter.sync.to_string(),
            sync_job_id: letter.job.to_string(),
            source_object_id: letter.source_object,
            source_path: letter.path,
            source_version: letter.version,
            error_type: letter.error_type,
            error_message: letter.error_message,
            error_stack_trace: None,
            first_seen_at: letter.first_seen_at,
            last_seen_at: letter.last_seen_at,
            last_reattempt_at: letter.last_reattempt_at,
            retry_count: letter.tries,
            max_retries_reached: letter.exhausted,
            requeued_at: letter.requeued_at,
            resolved_at: letter.resolved_at,
            disposal_reason: letter.disposal_reason.map(DisposalReason::as_str),
            internal_id: organization.to_string(),
            namespace_id: letter.namespace.to_string(),
            bucket_id: letter.bucket.to_string(),
        }
    }
}
