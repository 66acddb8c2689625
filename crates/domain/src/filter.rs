//! Which files of a source a sync takes: the file filters of the contract, the provider's own pre-filter and `sync_from`.
//!
//! [`FileFilters`] and [`ProviderFilters`] are what a person wrote, parsed; [`Rules`] is all of it as one decision about
//! a file. Every rule must let a file through. The decision has two stages, because a listing tells a name, a size and a
//! time, but neither a content type nor metadata.
//!
//! This module must not know how a listing is made, nor what happens to a file that is filtered.

mod content_type;
mod extension;
mod glob;
mod metadata;
mod provider;
mod rules;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

pub(crate) use self::content_type::is_mime_type;
pub use self::content_type::{InvalidMimePattern, MimePattern, content_type};
pub use self::extension::{Extension, InvalidExtension};
pub use self::glob::{Glob, InvalidGlob};
pub use self::metadata::{MetadataFilter, Operator, Scalar};
pub(crate) use self::metadata::{OWN, look_up};
pub use self::provider::{ExportFormats, ProviderFilters};
pub use self::rules::{Facts, Listed, Rule, Rules, Verdict};
use crate::input::{InvalidInput, Length, Reader};
use crate::{Timestamp, time_text};

/// Most items of one list.
const ITEMS: usize = 100;
/// Characters of one item.
const ITEM: Length = Length::new(1, 1024);
/// Most characters of all patterns of one list: what matching one file may cost at worst grows with it.
const PATTERNS_TOGETHER: usize = 10_000;

/// `file_filters`: what a file must be like to be taken. An empty list and an absent setting mean the same: no rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileFilters {
    /// At least one must match. At most 100, of at most 10,000 characters together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include_patterns: Vec<Glob>,
    /// None may match. At most 100, of at most 10,000 characters together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_patterns: Vec<Glob>,
    /// The smallest size that is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_size_bytes: Option<u64>,
    /// The largest size that is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size_bytes: Option<u64>,
    /// Only what was modified later than this.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "time")]
    pub modified_after: Option<Timestamp>,
    /// Only what was modified earlier than this.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "time")]
    pub modified_before: Option<Timestamp>,
    /// At least one must match the content type. At most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mime_types: Vec<MimePattern>,
    /// The file name must end with one of them. At most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<Extension>,
    /// All must hold. At most 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metadata_filters: Vec<MetadataFilter>,
}

impl FileFilters {
    /// Reads the object that stands at `path`, such as `file_filters`.
    ///
    /// # Errors
    /// Every mistake with its full path: an unknown key, a pattern that is none, a bound that is passed, two bounds that
    /// leave nothing between them.
    pub fn parse(fields: Map<String, Value>, path: &str) -> Result<Self, InvalidInput> {
        let mut reader = Reader::new(path, fields);
        let filters = Self {
            include_patterns: patterns(&mut reader, "include_patterns"),
            exclude_patterns: patterns(&mut reader, "exclude_patterns"),
            min_size_bytes: reader.integer("min_size_bytes", 0, u64::MAX),
            max_size_bytes: reader.integer("max_size_bytes", 0, u64::MAX),
            modified_after: reader.timestamp("modified_after"),
            modified_before: reader.timestamp("modified_before"),
            mime_types: list(&mut reader, "mime_types", MimePattern::parse),
            extensions: list(&mut reader, "extensions", Extension::parse),
            metadata_filters: metadata::read(&mut reader),
        };
        if let (Some(min), Some(max)) = (filters.min_size_bytes, filters.max_size_bytes)
            && min > max
        {
            let message = "is more than max_size_bytes, so that no file could pass; swap the two";
            reader.reject("min_size_bytes", "conflict", message);
        }
        if let (Some(after), Some(before)) = (filters.modified_after, filters.modified_before)
            && after >= before
        {
            let message =
                "is not earlier than modified_before, so that no file could pass; swap the two";
            reader.reject("modified_after", "conflict", message);
        }
        reader.finish()?;
        Ok(filters)
    }

    /// Whether they let every file through.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn patterns(reader: &mut Reader, key: &'static str) -> Vec<Glob> {
    let patterns = list(reader, key, Glob::parse);
    let together: usize = patterns
        .iter()
        .map(|glob| glob.as_str().chars().count())
        .sum();
    if together > PATTERNS_TOGETHER {
        let message = format!(
            "must have at most {PATTERNS_TOGETHER} characters in all patterns together; use fewer or shorter ones"
        );
        reader.reject(key, "too_long", message);
    }
    patterns
}

/// A list of texts, each of which must be a `T`.
fn list<T, E: ToString>(
    reader: &mut Reader,
    key: &'static str,
    parse: fn(&str) -> Result<T, E>,
) -> Vec<T> {
    let mut items = Vec::new();
    let texts = reader.strings(key, ITEM, ITEMS).unwrap_or_default();
    for (i, text) in texts.iter().enumerate() {
        match parse(text) {
            Ok(item) => items.push(item),
            Err(error) => {
                reader.reject(&format!("{key}.{i}"), "invalid_format", error.to_string());
            }
        }
    }
    items
}

#[expect(clippy::ref_option, reason = "serde hands the field over like this")]
fn time<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.as_ref().map(time_text).serialize(serializer)
}

/// The part of a path after its last `/`.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests;
