//! The settings of a sync, as bodies carry them: those of a new one, and changes of one.

use serde_json::{Map, Value};
use utoipa::ToSchema;
use wharf_domain::filter::{FileFilters, ProviderFilters};
use wharf_domain::input::{InvalidInput, Length, Reader};
use wharf_domain::mapping::SchemaMapping;
use wharf_domain::sync_edit::SyncEdit;

use crate::fields;

/// Most seconds between two passes: a day.
const POLLING_MOST: u64 = 86_400;

/// What a run does about changes at the source; everything is on unless turned off.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the object that `reconcile` reads")]
pub(crate) struct ReconcileRequest {
    /// Vanished files become tombstones.
    on_delete: Option<bool>,
    /// Changed files are copied again.
    on_update: Option<bool>,
    /// Files that the filters no longer let through become tombstones.
    on_filter_drift: Option<bool>,
    /// Mapped fields are extracted again when a file is copied again; otherwise they stay as they were.
    re_extract_on_update: Option<bool>,
    /// Extracted again only when one of these keys of the file's metadata has changed; `null` for any change.
    re_extract_fields: Option<Vec<String>>,
}

/// Reads every setting that is there. `null` clears what can be nothing and leaves the rest as it is.
pub(super) fn read(reader: &mut Reader, min_polling: u64) -> Vec<SyncEdit> {
    let min_polling = min_polling.clamp(1, POLLING_MOST);
    let mut edits: Vec<SyncEdit> = [
        clearable(reader, "description", fields::description, |text| {
            SyncEdit::Description(text.filter(|text| !text.is_empty()))
        }),
        clearable(reader, "metadata", fields::metadata, |metadata| {
            SyncEdit::Metadata(metadata.unwrap_or_default())
        }),
        small(
            reader,
            "polling_interval_seconds",
            min_polling,
            POLLING_MOST,
        )
        .map(SyncEdit::PollingInterval),
        reader
            .integer("max_objects_per_run", 1, i64::MAX.unsigned_abs())
            .map(SyncEdit::MaxObjectsPerRun),
        small(reader, "sync_concurrency", 1, 100).map(SyncEdit::Concurrency),
        clearable(
            reader,
            "file_filters",
            |reader| parsed(reader, "file_filters", FileFilters::parse),
            |filters| SyncEdit::FileFilters(filters.filter(|filters| !filters.is_empty())),
        ),
        clearable(
            reader,
            "provider_filters",
            |reader| parsed(reader, "provider_filters", ProviderFilters::parse),
            |filters| SyncEdit::ProviderFilters(filters.filter(|filters| !filters.is_empty())),
        ),
        clearable(
            reader,
            "sync_from",
            |reader| reader.timestamp("sync_from"),
            SyncEdit::SyncFrom,
        ),
        clearable(
            reader,
            "schema_mapping",
            |reader| parsed(reader, "schema_mapping", SchemaMapping::parse),
            |mapping| {
                let mapping = mapping.filter(|mapping| !mapping.mappings.is_empty());
                SyncEdit::SchemaMapping(mapping)
            },
        ),
        reader
            .boolean("skip_duplicates")
            .map(SyncEdit::SkipDuplicates),
        small(reader, "batch_size", 1, 100).map(SyncEdit::BatchSize),
        reader
            .boolean("skip_batch_submission")
            .map(SyncEdit::SkipBatchSubmission),
        clearable(
            reader,
            "batch_collection_ids",
            |reader| reader.strings("batch_collection_ids", Length::new(1, 100), 100),
            |ids| SyncEdit::BatchCollections(ids.filter(|ids| !ids.is_empty())),
        ),
        clearable(reader, "ingest_filter", ingest_filter, |filter| {
            SyncEdit::IngestFilter(filter.map(Value::Object))
        }),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let Some(given) = reader.object("reconcile") {
        reconcile(given, reader, &mut edits);
    }
    edits
}

fn reconcile(given: Map<String, Value>, reader: &mut Reader, edits: &mut Vec<SyncEdit>) {
    let mut inner = Reader::new("reconcile", given);
    let found = [
        inner.boolean("on_delete").map(SyncEdit::OnDelete),
        inner.boolean("on_update").map(SyncEdit::OnUpdate),
        inner
            .boolean("on_filter_drift")
            .map(SyncEdit::OnFilterDrift),
        inner
            .boolean("re_extract_on_update")
            .map(SyncEdit::ReExtractOnUpdate),
        clearable(
            &mut inner,
            "re_extract_fields",
            |inner| inner.strings("re_extract_fields", Length::new(1, 200), 100),
            SyncEdit::ReExtractFields,
        ),
    ];
    edits.extend(found.into_iter().flatten());
    fields::noted(reader, inner.finish());
}

/// The published service's filter: of its form, since its client refuses any other when it reads it back.
fn ingest_filter(reader: &mut Reader) -> Option<Map<String, Value>> {
    let given = reader.object("ingest_filter")?;
    let mut inner = Reader::new("ingest_filter", given.clone());
    inner.required_string("retriever_id", Length::new(1, 200));
    inner.integer("retriever_version", 1, i64::MAX.unsigned_abs());
    inner.integer("timeout_seconds", 1, 300);
    for (key, words) in [
        ("action", &["keep", "drop", "tag"][..]),
        ("on_error", &["keep", "drop"]),
    ] {
        let known = |text: &str| words.contains(&text).then_some(());
        fields::word(&mut inner, key, known, &words.join(", "));
    }
    fields::noted(reader, inner.finish()).map(|()| given)
}

/// A setting that `null` clears.
fn clearable<T>(
    reader: &mut Reader,
    key: &'static str,
    read: impl FnOnce(&mut Reader) -> Option<T>,
    edit: impl FnOnce(Option<T>) -> SyncEdit,
) -> Option<SyncEdit> {
    if reader.is_null(key) {
        return Some(edit(None));
    }
    read(reader).map(|value| edit(Some(value)))
}

/// An object that the model reads itself.
fn parsed<T>(
    reader: &mut Reader,
    key: &'static str,
    parse: fn(Map<String, Value>, &str) -> Result<T, InvalidInput>,
) -> Option<T> {
    let given = reader.object(key)?;
    fields::noted(reader, parse(given, key))
}

/// A whole number whose bounds are small.
fn small(reader: &mut Reader, key: &'static str, min: u64, max: u64) -> Option<u32> {
    let number = reader.integer(key, min, max)?;
    Some(u32::try_from(number).unwrap_or(u32::MAX))
}
