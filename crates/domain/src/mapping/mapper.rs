//! Applying a schema mapping to one file.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::pattern::Pattern;
use super::{BlobKind, BlobMapping, Mapping, SchemaMapping, Source, Transform, python};
use crate::Metadata;
use crate::filter::{content_type, look_up};

/// What is known of a file.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Its name.
    pub file_name: &'a str,
    /// The path of its folder, without its name; on S3 below the bucket.
    pub folder_path: &'a str,
    /// Its content type, as the provider tells it.
    pub content_type: Option<&'a str>,
    /// Its metadata.
    pub metadata: &'a Metadata,
    /// Its tags; may be empty if the mapping does not need them.
    pub tags: &'a Metadata,
}

/// What a file became.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mapped {
    /// The fields, by target; what had no value is not there.
    pub fields: Metadata,
    /// The blobs, in the order of their targets.
    pub blobs: Vec<MappedBlob>,
}

/// What one blob of a file became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedBlob {
    /// The target of the bucket's schema.
    pub target: String,
    /// Its name among the object's blobs.
    pub property: String,
    /// What kind of content it is; where the mapping says `auto`, what the content type stands for.
    pub kind: BlobKind,
    /// Its content type: the mapping's, or the file's.
    pub mime_type: Option<String>,
}

/// Why a file cannot be mapped. Never repeats a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("schema_mapping.mappings.{target}: {reason}")]
pub struct MappingFailure {
    /// The target that could not be filled.
    pub target: String,
    /// What went wrong.
    pub reason: Reason,
}

/// What goes wrong with one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Reason {
    /// The field is required and its source has no value for this file.
    #[error("the field is required and the file has no value for it")]
    Missing,
    /// The field is required and the value is not JSON, or nested too deeply.
    #[error("the field is required and its value cannot be read as JSON")]
    NotJson,
    /// The search in the file name was given up.
    #[error("the pattern takes too many steps on the file's name; make it simpler")]
    TooManySteps,
    /// The stored pattern is none that this version can use.
    #[error("the pattern cannot be used by this version of Wharf; set the schema mapping anew")]
    UnusablePattern,
}

/// A schema mapping ready to be applied.
#[derive(Debug, Clone)]
pub struct Mapper {
    fields: Vec<Field>,
    blobs: Vec<(String, BlobMapping)>,
}

#[derive(Debug, Clone)]
struct Field {
    target: String,
    source: Source,
    /// Of a `filename_regex`.
    pattern: Option<Pattern>,
    transform: Option<Transform>,
    required: bool,
}

impl Mapper {
    /// Makes a mapping ready; this costs far more than applying it.
    pub fn new(mapping: &SchemaMapping) -> Self {
        let mut mapper = Self {
            fields: Vec::new(),
            blobs: Vec::new(),
        };
        let patterns = mapping
            .mappings
            .values()
            .filter_map(|mapping| mapping.source().pattern())
            .count();
        let compiled = |source: &Source| {
            let translated = python::translate(source.pattern()?).ok()?;
            Pattern::new(&translated, patterns).ok()
        };
        for (target, mapping) in &mapping.mappings {
            match mapping {
                Mapping::Blob(blob) => mapper.blobs.push((target.clone(), blob.clone())),
                Mapping::Field(field) => mapper.fields.push(Field {
                    target: target.clone(),
                    pattern: compiled(&field.source),
                    source: field.source.clone(),
                    transform: field.transform,
                    required: field.required,
                }),
            }
        }
        mapper
    }

    /// Maps one file.
    ///
    /// # Errors
    /// A required field without a value or with one that is not JSON though it should be; a pattern that takes too many
    /// steps, required or not.
    pub fn apply(&self, facts: &Facts<'_>) -> Result<Mapped, MappingFailure> {
        let mut mapped = Mapped::default();
        for field in &self.fields {
            let value = field.value(facts).map_err(|reason| MappingFailure {
                target: field.target.clone(),
                reason,
            })?;
            if let Some(value) = value {
                mapped.fields.insert(field.target.clone(), value);
            }
        }
        let found = content_type(facts.content_type, facts.file_name);
        mapped.blobs = self
            .blobs
            .iter()
            .map(|(target, blob)| blob_of(target, blob, found))
            .collect();
        Ok(mapped)
    }
}

fn blob_of(target: &str, blob: &BlobMapping, found: Option<&str>) -> MappedBlob {
    let mime_type = blob.mime_type_override.as_deref().or(found);
    let kind = match blob.blob_type {
        BlobKind::Auto => mime_type.map_or(BlobKind::Auto, BlobKind::of),
        other => other,
    };
    MappedBlob {
        target: target.to_owned(),
        property: blob.blob_property.clone(),
        kind,
        mime_type: mime_type.map(str::to_owned),
    }
}

impl Field {
    /// The value after the transform; `None` leaves the field out.
    fn value(&self, facts: &Facts<'_>) -> Result<Option<Value>, Reason> {
        let value = match self.found(facts)? {
            Some(value) => transformed(value, self.transform),
            None => Err(Reason::Missing),
        };
        match value {
            Ok(value) => Ok(Some(value)),
            Err(reason) if self.required => Err(reason),
            Err(_) => Ok(None),
        }
    }

    fn found(&self, facts: &Facts<'_>) -> Result<Option<Value>, Reason> {
        Ok(match &self.source {
            Source::Tag { key } => facts
                .tags
                .get(key)
                .filter(|value| !value.is_null())
                .cloned(),
            Source::Metadata { key } => look_up(facts.metadata, key).cloned(),
            Source::FilenameRegex { default, .. } => {
                let pattern = self.pattern.as_ref().ok_or(Reason::UnusablePattern)?;
                let found = pattern
                    .find(facts.file_name)
                    .map_err(|_| Reason::TooManySteps)?;
                found.or(default.as_deref()).map(Value::from)
            }
            Source::DriveProperty { key } => drive_property(facts.metadata, key).cloned(),
            Source::FolderPath(part) => part.of(facts.folder_path).map(Value::from),
            Source::Constant { value } => Some(value.clone()),
            // Sources of providers that tell none of the facts above, and what no field comes from.
            Source::Column { .. }
            | Source::RssField { .. }
            | Source::RtspField { .. }
            | Source::File => None,
        })
    }
}

/// A property of Drive's own, else one that an application or a person attached. Letter case counts.
fn drive_property<'a>(metadata: &'a Metadata, key: &str) -> Option<&'a Value> {
    ["", "appProperties.", "properties."]
        .into_iter()
        .filter_map(|kind| metadata.get(&format!("{kind}{key}")))
        .find(|value| !value.is_null())
}

fn transformed(value: Value, transform: Option<Transform>) -> Result<Value, Reason> {
    let (Value::String(text), Some(transform)) = (&value, transform) else {
        return Ok(value);
    };
    Ok(match transform {
        Transform::Lowercase => text.to_lowercase().into(),
        Transform::Uppercase => text.to_uppercase().into(),
        Transform::Trim => text.trim().into(),
        Transform::JsonParse => serde_json::from_str(text).map_err(|_| Reason::NotJson)?,
    })
}
