//! How what a source tells of a file becomes fields and blobs of an object: the schema mapping of the contract.
//!
//! [`SchemaMapping`] is what a person wrote, parsed, and serializes to what was accepted; [`Mapper`] is the same ready to
//! be applied, once per file.
//!
//! This module must not know how metadata or tags are fetched, nor where the result is kept.

mod mapper;
mod pattern;
mod python;
mod read;
mod source;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::mapper::{Facts, Mapped, MappedBlob, Mapper, MappingFailure, Reason};
pub use self::source::{FolderPath, Source};
use crate::input::InvalidInput;
use crate::provider::Provider;

/// `schema_mapping`: for each target of the bucket's schema, where its value comes from. At most 100 targets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SchemaMapping {
    /// By target name, which has 1 to 200 characters.
    pub mappings: BTreeMap<String, Mapping>,
}

/// Where the value of one target comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "target_type", rename_all = "snake_case")]
pub enum Mapping {
    /// The target is a field.
    Field(FieldMapping),
    /// The target is a blob.
    Blob(BlobMapping),
}

/// A field of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldMapping {
    /// Where its value comes from.
    pub source: Source,
    /// What is done to the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<Transform>,
    /// Whether a file without the value fails. Otherwise the field is left out.
    #[serde(default)]
    pub required: bool,
}

/// A blob of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlobMapping {
    /// Where its bytes come from.
    pub source: Source,
    /// What kind of content it is.
    #[serde(default)]
    pub blob_type: BlobKind,
    /// Its name among the object's blobs; 1 to 200 characters, `content` by default.
    pub blob_property: String,
    /// The content type to go by, `type/subtype`, whatever the source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type_override: Option<String>,
}

/// What is done to a field's value. A value that is no text is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// To lower case.
    Lowercase,
    /// To upper case.
    Uppercase,
    /// Without white space at both ends.
    Trim,
    /// Read as JSON.
    JsonParse,
}

/// What kind of content a blob is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlobKind {
    /// What its content type says. A mapped blob has it only where the content type is none of the others.
    #[default]
    Auto,
    /// An image, a GIF included.
    Image,
    /// A video.
    Video,
    /// A sound.
    Audio,
    /// A text.
    Text,
    /// A PDF document.
    Pdf,
    /// A spreadsheet, CSV included.
    Excel,
}

impl SchemaMapping {
    /// Reads the object that stands at `path`, such as `schema_mapping`. Sources of every provider are accepted;
    /// [`check_for`](Self::check_for) refuses those that the provider at hand does not have.
    ///
    /// # Errors
    /// Every mistake with its full path: an unknown key or word, a bound that is passed, a pattern that is no Python
    /// pattern with exactly one capture group.
    pub fn parse(fields: Map<String, Value>, path: &str) -> Result<Self, InvalidInput> {
        read::schema_mapping(fields, path)
    }

    /// Refuses sources that a provider does not have.
    ///
    /// # Errors
    /// Every such source, with its path below `path` and the ones that the provider has.
    pub fn check_for(&self, provider: Provider, path: &str) -> Result<(), InvalidInput> {
        read::check_for(self, provider, path)
    }

    /// Whether a value comes from the file's tags, which cost a call per file.
    pub fn needs_tags(&self) -> bool {
        let mut mappings = self.mappings.values();
        mappings.any(|mapping| matches!(mapping.source(), Source::Tag { .. }))
    }
}

impl Mapping {
    /// Where the value comes from.
    pub fn source(&self) -> &Source {
        match self {
            Self::Field(field) => &field.source,
            Self::Blob(blob) => &blob.source,
        }
    }
}

impl Transform {
    const ALL: [Self; 4] = [
        Self::Lowercase,
        Self::Uppercase,
        Self::Trim,
        Self::JsonParse,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
            Self::Trim => "trim",
            Self::JsonParse => "json_parse",
        }
    }
}

impl BlobKind {
    const ALL: [Self; 7] = [
        Self::Auto,
        Self::Image,
        Self::Video,
        Self::Audio,
        Self::Text,
        Self::Pdf,
        Self::Excel,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Text => "text",
            Self::Pdf => "pdf",
            Self::Excel => "excel",
        }
    }

    /// The kind that a content type without parameters stands for; `Auto` if it is none of the others.
    pub fn of(mime_type: &str) -> Self {
        const SPREADSHEETS: [&str; 4] = [
            "text/csv",
            "application/csv",
            "application/vnd.ms-excel",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ];
        const TEXTS: [&str; 4] = [
            "application/json",
            "application/xml",
            "application/xhtml+xml",
            "application/yaml",
        ];
        let mime_type = mime_type.to_ascii_lowercase();
        let mime_type = mime_type.as_str();
        let kind = mime_type.split('/').next().unwrap_or_default();
        match kind {
            _ if SPREADSHEETS.contains(&mime_type) => Self::Excel,
            _ if TEXTS.contains(&mime_type) => Self::Text,
            _ if mime_type == "application/pdf" => Self::Pdf,
            "image" => Self::Image,
            "video" => Self::Video,
            "audio" => Self::Audio,
            "text" => Self::Text,
            _ => Self::Auto,
        }
    }
}

#[cfg(test)]
mod tests;
