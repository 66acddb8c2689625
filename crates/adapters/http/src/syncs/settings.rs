//! The settings of a sync, as bodies carry them: those of a new one, and changes of one.

use serde_json::{Map, Value};
use utoipa::ToSchema;
use wharf_domain::Metadata;
use wharf_domain::filter::{FileFilters, ProviderFilters};
use wharf_domain::input::{InvalidInput, Length, Reader};
use wharf_domain::mapping::SchemaMapping;
use wharf_domain::sync_edit::SyncEdit;

use crate::fields::{self, Bounds};

/// Most seconds between two passes: a day.
const POLLING_MOST: u64 = 86_400;
const INGEST_FILTER: Bounds = Bounds {
    keys: 50,
    bytes: 16 * 1024,
    depth: 8,
};

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
    let description = cleared_or(reader, "description", |reader| {
        fields::description(reader).map(|text| (!text.is_empty()).then_some(text))
    });
    let metadata = cleared_or(reader, "metadata", |reader| {
        fields::metadata(reader).map(Some)
    });
    let mut edits: Vec<SyncEdit> = [
        description.map(SyncEdit::Description),
        metadata.map(|metadata| SyncEdit::Metadata(metadata.unwrap_or_else(Metadata::new))),
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
        parsed(reader, "file_filters", FileFilters::parse)
            .map(|filters| SyncEdit::FileFilters(filters.filter(|filters| !filters.is_empty()))),
        parsed(reader, "provider_filters", ProviderFilters::parse).map(|filters| {
            SyncEdit::ProviderFilters(filters.filter(|filters| !filters.is_empty()))
        }),
        cleared_or(reader, "sync_from", |reader| {
            reader.timestamp("sync_from").map(Some)
        })
        .map(SyncEdit::SyncFrom),
        parsed(reader, "schema_mapping", SchemaMapping::parse).map(|mapping| {
            SyncEdit::SchemaMapping(mapping.filter(|mapping| !mapping.mappings.is_empty()))
        }),
        reader
            .boolean("skip_duplicates")
            .map(SyncEdit::SkipDuplicates),
        small(reader, "batch_size", 1, 100).map(SyncEdit::BatchSize),
        reader
            .boolean("skip_batch_submission")
            .map(SyncEdit::SkipBatchSubmission),
        cleared_or(reader, "batch_collection_ids", |reader| {
            let ids = reader.strings("batch_collection_ids", Length::new(1, 100), 100)?;
            Some((!ids.is_empty()).then_some(ids))
        })
        .map(SyncEdit::BatchCollections),
        cleared_or(reader, "ingest_filter", |reader| {
            let filter = fields::free_object(reader, "ingest_filter", INGEST_FILTER)?;
            Some(Some(Value::Object(filter)))
        })
        .map(SyncEdit::IngestFilter),
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
        cleared_or(&mut inner, "re_extract_fields", |inner| {
            let keys = inner.strings("re_extract_fields", Length::new(1, 200), 100)?;
            Some(Some(keys))
        })
        .map(SyncEdit::ReExtractFields),
    ];
    edits.extend(found.into_iter().flatten());
    fields::noted(reader, inner.finish());
}

/// What is read, if the field is there; nothing, if it is `null`.
fn cleared_or<T>(
    reader: &mut Reader,
    key: &'static str,
    read: impl FnOnce(&mut Reader) -> Option<Option<T>>,
) -> Option<Option<T>> {
    if reader.is_null(key) {
        return Some(None);
    }
    read(reader)
}

/// An object that the model reads itself.
fn parsed<T>(
    reader: &mut Reader,
    key: &'static str,
    parse: fn(Map<String, Value>, &str) -> Result<T, InvalidInput>,
) -> Option<Option<T>> {
    cleared_or(reader, key, |reader| {
        let given = reader.object(key)?;
        fields::noted(reader, parse(given, key)).map(Some)
    })
}

/// A whole number whose bounds are small.
fn small(reader: &mut Reader, key: &'static str, min: u64, max: u64) -> Option<u32> {
    let number = reader.integer(key, min, max)?;
    Some(u32::try_from(number).unwrap_or(u32::MAX))
}
