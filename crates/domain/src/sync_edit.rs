//! Changes of a sync's settings, one setting at a time.
//!
//! A new sync is the defaults with such changes; a change of a sync is its settings with them. What a setting's values may
//! be is decided where they are read.

use serde_json::Value;

use crate::filter::{FileFilters, ProviderFilters};
use crate::mapping::SchemaMapping;
use crate::sync::{Pipeline, Reconcile, SyncSettings};
use crate::{Metadata, Timestamp};

/// A new value for one setting.
#[derive(Debug, Clone, PartialEq)]
pub enum SyncEdit {
    /// What it is for; `None` for nothing.
    Description(Option<String>),
    /// Its key-value pairs, all of them.
    Metadata(Metadata),
    /// Seconds from the end of a pass to the next.
    PollingInterval(u32),
    /// Most files that one run deals with.
    MaxObjectsPerRun(u64),
    /// Files copied at the same time.
    Concurrency(u32),
    /// Which files it copies; `None` for every one.
    FileFilters(Option<FileFilters>),
    /// What of the source path the provider is asked for; `None` for all.
    ProviderFilters(Option<ProviderFilters>),
    /// Only files modified after this time; `None` for all.
    SyncFrom(Option<Timestamp>),
    /// How fields and blobs are made; `None` for files as they are.
    SchemaMapping(Option<SchemaMapping>),
    /// Whether files that another sync has brought are shared with it.
    SkipDuplicates(bool),
    /// Whether vanished files become tombstones.
    OnDelete(bool),
    /// Whether changed files are copied again.
    OnUpdate(bool),
    /// Whether files that the filters no longer let through become tombstones.
    OnFilterDrift(bool),
    /// Whether fields are extracted again when a file is copied again.
    ReExtractOnUpdate(bool),
    /// Which keys of a file's metadata have its fields extracted again; `None` for any.
    ReExtractFields(Option<Vec<String>>),
    /// Kept, not acted upon.
    BatchSize(u32),
    /// Kept, not acted upon.
    SkipBatchSubmission(bool),
    /// Kept, not acted upon.
    BatchCollections(Option<Vec<String>>),
    /// Kept, not acted upon.
    IngestFilter(Option<Value>),
}

impl SyncEdit {
    /// The setting's name on the wire.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Description(_) => "description",
            Self::Metadata(_) => "metadata",
            Self::PollingInterval(_) => "polling_interval_seconds",
            Self::MaxObjectsPerRun(_) => "max_objects_per_run",
            Self::Concurrency(_) => "sync_concurrency",
            Self::FileFilters(_) => "file_filters",
            Self::ProviderFilters(_) => "provider_filters",
            Self::SyncFrom(_) => "sync_from",
            Self::SchemaMapping(_) => "schema_mapping",
            Self::SkipDuplicates(_) => "skip_duplicates",
            Self::OnDelete(_) => "reconcile.on_delete",
            Self::OnUpdate(_) => "reconcile.on_update",
            Self::OnFilterDrift(_) => "reconcile.on_filter_drift",
            Self::ReExtractOnUpdate(_) => "reconcile.re_extract_on_update",
            Self::ReExtractFields(_) => "reconcile.re_extract_fields",
            Self::BatchSize(_) => "batch_size",
            Self::SkipBatchSubmission(_) => "skip_batch_submission",
            Self::BatchCollections(_) => "batch_collection_ids",
            Self::IngestFilter(_) => "ingest_filter",
        }
    }
}

/// Puts a value in its place; whether it is another one than before.
fn put<T: PartialEq>(place: &mut T, value: T) -> bool {
    let changes = *place != value;
    *place = value;
    changes
}

impl SyncSettings {
    /// What a sync of this path is like when nothing else is said about it.
    pub fn of(source_path: String) -> Self {
        Self {
            source_path,
            polling_interval_seconds: 300,
            max_objects_per_run: 100_000,
            sync_concurrency: 8,
            reconcile: Reconcile::default(),
            file_filters: None,
            provider_filters: None,
            sync_from: None,
            schema_mapping: None,
            skip_duplicates: true,
            description: None,
            metadata: Metadata::new(),
            pipeline: Pipeline {
                batch_size: 50,
                skip_batch_submission: false,
                batch_collection_ids: None,
                ingest_filter: None,
            },
        }
    }

    /// Changes one setting; whether it had another value before.
    pub fn edit(&mut self, edit: SyncEdit) -> bool {
        let Self {
            reconcile,
            pipeline,
            ..
        } = self;
        match edit {
            SyncEdit::Description(text) => put(&mut self.description, text),
            SyncEdit::Metadata(metadata) => put(&mut self.metadata, metadata),
            SyncEdit::PollingInterval(seconds) => put(&mut self.polling_interval_seconds, seconds),
            SyncEdit::MaxObjectsPerRun(most) => put(&mut self.max_objects_per_run, most),
            SyncEdit::Concurrency(files) => put(&mut self.sync_concurrency, files),
            SyncEdit::FileFilters(filters) => put(&mut self.file_filters, filters),
            SyncEdit::ProviderFilters(filters) => put(&mut self.provider_filters, filters),
            SyncEdit::SyncFrom(time) => put(&mut self.sync_from, time),
            SyncEdit::SchemaMapping(mapping) => put(&mut self.schema_mapping, mapping),
            SyncEdit::SkipDuplicates(skip) => put(&mut self.skip_duplicates, skip),
            SyncEdit::OnDelete(on) => put(&mut reconcile.on_delete, on),
            SyncEdit::OnUpdate(on) => put(&mut reconcile.on_update, on),
            SyncEdit::OnFilterDrift(on) => put(&mut reconcile.on_filter_drift, on),
            SyncEdit::ReExtractOnUpdate(on) => put(&mut reconcile.re_extract_on_update, on),
            SyncEdit::ReExtractFields(keys) => put(&mut reconcile.re_extract_fields, keys),
            SyncEdit::BatchSize(size) => put(&mut pipeline.batch_size, size),
            SyncEdit::SkipBatchSubmission(skip) => put(&mut pipeline.skip_batch_submission, skip),
            SyncEdit::BatchCollections(ids) => put(&mut pipeline.batch_collection_ids, ids),
            SyncEdit::IngestFilter(filter) => put(&mut pipeline.ingest_filter, filter),
        }
    }

    /// Whether the same files are listed and let through under both, and the same ones go: the same source path, narrowed,
    /// filtered and reconciled alike.
    pub fn same_rules(&self, other: &Self) -> bool {
        let rules = |settings: &Self| {
            (
                settings.source_path.clone(),
                settings.file_filters.clone(),
                settings.provider_filters.clone(),
                settings.sync_from,
                settings.reconcile.on_delete,
                settings.reconcile.on_filter_drift,
            )
        };
        rules(self) == rules(other)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn an_edit_tells_whether_it_changes_anything() {
        let mut settings = SyncSettings::of("media".to_owned());
        assert!(settings.edit(SyncEdit::OnDelete(false)));
        assert!(!settings.edit(SyncEdit::OnDelete(false)));
        assert!(!settings.edit(SyncEdit::Description(None)));
        assert!(settings.edit(SyncEdit::PollingInterval(60)));
        assert_eq!(
            (
                settings.reconcile.on_delete,
                settings.polling_interval_seconds
            ),
            (false, 60)
        );
    }

    #[test]
    fn only_what_decides_which_files_are_taken_changes_the_rules() {
        let before = SyncSettings::of("media".to_owned());
        let after = |edit: SyncEdit| {
            let mut settings = before.clone();
            assert!(settings.edit(edit));
            settings
        };
        for edit in [
            SyncEdit::ProviderFilters(Some(ProviderFilters {
                prefix: Some("a".to_owned()),
                ..ProviderFilters::default()
            })),
            SyncEdit::FileFilters(Some(FileFilters::default())),
            SyncEdit::SyncFrom(Some(DateTime::UNIX_EPOCH)),
        ] {
            assert!(!before.same_rules(&after(edit.clone())), "{edit:?}");
        }
        for edit in [
            SyncEdit::Concurrency(1),
            SyncEdit::OnUpdate(false),
            SyncEdit::BatchSize(1),
            SyncEdit::Description(Some("x".to_owned())),
        ] {
            assert!(before.same_rules(&after(edit.clone())), "{edit:?}");
        }
    }
}
