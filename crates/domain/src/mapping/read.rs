//! Reading a schema mapping from untrusted JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::pattern::{InvalidPattern, Pattern};
use super::{
    BlobKind, BlobMapping, FieldMapping, FolderPath, Mapping, SchemaMapping, Source, Transform,
    python,
};
use crate::filter::{OWN, is_mime_type};
use crate::input::{self, FieldError, InvalidInput, Length, Reader};
use crate::provider::Provider;

const TARGETS: usize = 100;
const NAME: Length = Length::new(1, 200);
const TAG_KEY: Length = Length::new(1, 128);
const KEY: Length = Length::new(1, 1024);
const PATTERN: Length = Length::new(1, 1024);
const WORD: Length = Length::new(0, 100);
/// Bytes of a constant's JSON.
const CONSTANT: usize = 16 * 1024;
/// Largest size of all patterns together.
const PATTERNS: usize = 16_384;
/// Folders deep, either way; no path of 1024 bytes has more.
const SEGMENTS: i64 = 1024;

pub(super) fn schema_mapping(
    fields: Map<String, Value>,
    path: &str,
) -> Result<SchemaMapping, InvalidInput> {
    let mut reader = Reader::new(path, fields);
    let mut mappings = BTreeMap::new();
    let mut room = PATTERNS;
    reader.require("mappings");
    let mut given = reader.object("mappings").unwrap_or_default();
    if given.len() > TARGETS {
        let message = format!("must have at most {TARGETS} targets");
        reader.reject("mappings", "too_long", message);
        given.clear();
    }
    for (target, value) in given {
        let sound = (NAME.min..=NAME.max).contains(&target.chars().count())
            && !target.chars().any(char::is_control);
        let below = reader.path_of(&format!("mappings.{}", input::shown(&target)));
        let parsed = match value {
            _ if !sound => {
                let message =
                    "must be named with 1 to 200 characters, none of them a control character";
                Err(InvalidInput::one(&below, "invalid_format", message))
            }
            Value::Object(fields) => mapping(fields, &below, &mut room),
            _ => Err(InvalidInput::one(
                &below,
                "wrong_type",
                "must be of type object",
            )),
        };
        match parsed {
            Ok(mapping) => {
                mappings.insert(target, mapping);
            }
            Err(errors) => reader.absorb(errors),
        }
    }
    reader.finish()?;
    Ok(SchemaMapping { mappings })
}

fn mapping(
    fields: Map<String, Value>,
    path: &str,
    room: &mut usize,
) -> Result<Mapping, InvalidInput> {
    let mut reader = Reader::new(path, fields);
    let target_type = reader
        .required_string("target_type", WORD)
        .unwrap_or_default();
    let of_field = target_type == "field";
    if !of_field && target_type != "blob" {
        // What else would be said depends on it.
        let message = "must be field or blob";
        return Err(InvalidInput::one(
            &reader.path_of("target_type"),
            "enum",
            message,
        ));
    }
    reader.require("source");
    let below = reader.path_of("source");
    let source = reader.object("source").and_then(|fields| {
        let source = read_source(fields, &below, room);
        source.map_err(|errors| reader.absorb(errors)).ok()
    });
    if of_field && source == Some(Source::File) {
        let message = "must be another type than file, which only a blob can come from: write target_type blob";
        reader.reject("source.type", "conflict", message);
    }
    let mapping = if of_field {
        let transform = one_of(&mut reader, "transform", &Transform::ALL, Transform::as_str);
        let required = reader.boolean("required").unwrap_or(false);
        source.map(|source| {
            Mapping::Field(FieldMapping {
                source,
                transform,
                required,
            })
        })
    } else {
        let blob_type = one_of(&mut reader, "blob_type", &BlobKind::ALL, BlobKind::as_str);
        let blob_property = reader.string("blob_property", NAME);
        let mime_type_override = reader.string("mime_type_override", KEY);
        if mime_type_override
            .as_ref()
            .is_some_and(|text| !is_mime_type(text))
        {
            let message = "must be type/subtype, as in video/mp4";
            reader.reject("mime_type_override", "invalid_format", message);
        }
        source.map(|source| {
            Mapping::Blob(BlobMapping {
                source,
                blob_type: blob_type.unwrap_or_default(),
                blob_property: blob_property.unwrap_or_else(|| "content".into()),
                mime_type_override,
            })
        })
    };
    reader.finish()?;
    mapping.ok_or_else(|| InvalidInput::one(&below, "missing", "is required"))
}

fn one_of<T: Copy>(
    reader: &mut Reader,
    key: &'static str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Option<T> {
    let word = reader.string(key, WORD)?;
    let found = all.iter().copied().find(|&item| name(item) == word);
    if found.is_none() {
        let accepted: Vec<&str> = all.iter().copied().map(name).collect();
        reader.reject(
            key,
            "enum",
            format!("must be one of {}", accepted.join(", ")),
        );
    }
    found
}

fn read_source(
    fields: Map<String, Value>,
    path: &str,
    room: &mut usize,
) -> Result<Source, InvalidInput> {
    // `null` is a constant like any other, which a reader takes for absent.
    let is_null = fields.get("value").is_some_and(Value::is_null);
    let mut reader = Reader::new(path, fields);
    let kind = reader.required_string("type", WORD).unwrap_or_default();
    let source = match kind.as_str() {
        "tag" => reader
            .required_string("key", TAG_KEY)
            .map(|key| Source::Tag { key }),
        "metadata" => metadata(&mut reader),
        "filename_regex" => filename_regex(&mut reader, room),
        "column" => reader
            .required_string("name", KEY)
            .map(|name| Source::Column { name }),
        "drive_property" => reader
            .required_string("key", KEY)
            .map(|key| Source::DriveProperty { key }),
        "folder_path" => Some(Source::FolderPath(FolderPath {
            segment: segment(&mut reader),
            full_path: reader.boolean("full_path").unwrap_or(false),
        })),
        "file" => Some(Source::File),
        "constant" => constant(&mut reader, is_null),
        "rss_field" => reader
            .required_string("field", KEY)
            .map(|field| Source::RssField { field }),
        "rtsp_field" => reader
            .required_string("field", KEY)
            .map(|field| Source::RtspField { field }),
        _ => {
            // What else would be said depends on it.
            let message = format!("must be one of {}", Source::TYPES.join(", "));
            return Err(InvalidInput::one(&reader.path_of("type"), "enum", message));
        }
    };
    reader.finish()?;
    source.ok_or_else(|| InvalidInput::one(path, "missing", "is required"))
}

fn metadata(reader: &mut Reader) -> Option<Source> {
    let key = reader.required_string("key", KEY)?;
    if key.to_ascii_lowercase().starts_with(OWN) {
        let message = format!("must be the key without {OWN}");
        reader.reject("key", "invalid_format", message);
    }
    Some(Source::Metadata { key })
}

/// `room` is the size that is left for patterns.
fn filename_regex(reader: &mut Reader, room: &mut usize) -> Option<Source> {
    let default = reader.string("default", Length::new(0, KEY.max));
    let pattern = reader.required_string("pattern", PATTERN)?;
    let compiled = python::translate(&pattern).and_then(|translated| {
        *room = room
            .checked_sub(translated.size.memory)
            .ok_or(InvalidPattern {
                reason: "all patterns together are too large; repeat less".into(),
                at: None,
            })?;
        Pattern::new(&translated, 1)
    });
    if let Err(error) = compiled {
        reader.reject("pattern", "invalid_format", error.to_string());
    }
    Some(Source::FilenameRegex { pattern, default })
}

fn segment(reader: &mut Reader) -> Option<i64> {
    let value = reader.value("segment")?;
    let segment = value
        .as_i64()
        .filter(|segment| (-SEGMENTS..=SEGMENTS).contains(segment));
    if segment.is_none() {
        let message = format!(
            "must be a whole number from -{SEGMENTS} to {SEGMENTS}; -1 is the file's own folder"
        );
        reader.reject("segment", "out_of_range", message);
    }
    segment
}

fn constant(reader: &mut Reader, is_null: bool) -> Option<Source> {
    if is_null {
        reader.value("value");
        return Some(Source::Constant { value: Value::Null });
    }
    if !reader.require("value") {
        return None;
    }
    let value = reader.value("value")?;
    if value.to_string().len() > CONSTANT {
        let message = format!("must have at most {CONSTANT} bytes of JSON");
        reader.reject("value", "too_large", message);
    }
    Some(Source::Constant { value })
}

pub(super) fn check_for(
    mapping: &SchemaMapping,
    provider: Provider,
    path: &str,
) -> Result<(), InvalidInput> {
    let mut errors = Vec::new();
    for (target, mapping) in &mapping.mappings {
        let (of, accepted): (_, &[&str]) = match mapping {
            Mapping::Field(_) => ("fields", Source::field_types_of(provider)),
            Mapping::Blob(_) => ("blobs", &[Source::blob_type_of(provider)]),
        };
        let kind = mapping.source().type_name();
        if accepted.contains(&kind) {
            continue;
        }
        let below = format!("{path}.mappings.{}.source.type", input::shown(target));
        let accepted = accepted.join(", ");
        let message =
            format!("is {kind}, which {provider} does not have for {of}; it has: {accepted}");
        errors.push(FieldError::new(&below, "not_supported", message));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(InvalidInput(errors))
    }
}
