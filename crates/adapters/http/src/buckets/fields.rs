//! Fields of a bucket that several bodies share.

use serde_json::{Map, Value, json};
use wharf_domain::bucket::BucketName;
use wharf_domain::input::{FieldError, InvalidInput, Length, Reader};

use crate::fields::{self, Bounds};

const SCHEMA: Bounds = Bounds {
    keys: 100,
    bytes: 64 * 1024,
    depth: 16,
};

/// The types that a field of a schema may have.
const FIELD_TYPES: [&str; 15] = [
    "string", "number", "integer", "float", "boolean", "object", "array", "date", "datetime",
    "text", "image", "audio", "video", "pdf", "excel",
];

/// `bucket_name`, if it is there.
pub(super) fn name(reader: &mut Reader) -> Option<BucketName> {
    let name = reader.string("bucket_name", Length::new(0, 1000))?;
    fields::noted(reader, BucketName::parse(&name))
}

/// `bucket_schema`, if it is there.
pub(super) fn schema(reader: &mut Reader) -> Option<Value> {
    let schema = fields::free_object(reader, "bucket_schema", SCHEMA)?;
    let checked = check_fields(&schema, &mut vec!["bucket_schema".to_owned()], true);
    fields::noted(reader, checked.map(|()| Value::Object(schema)))
}

/// What is somebody else's to decide.
pub(super) fn refuse_elsewhere(reader: &mut Reader) {
    fields::not_supported(
        reader,
        "unique_key",
        &[json!({})],
        "an object's identity is its place at the source",
    );
    fields::not_supported(
        reader,
        "destination",
        &[json!({})],
        "objects go to the operator's blob store",
    );
    fields::not_supported(
        reader,
        "ingest_filter",
        &[json!({})],
        "nothing filters the objects of a bucket",
    );
}

/// `storage_class`.
pub(super) fn refuse_storage_class(reader: &mut Reader) {
    fields::not_supported(
        reader,
        "storage_class",
        &[json!("standard")],
        "the blob store decides about storage",
    );
}

/// `source_adapter`.
pub(super) fn refuse_source_adapter(reader: &mut Reader) {
    fields::not_supported(
        reader,
        "source_adapter",
        &[json!({})],
        "objects arrive by syncs only",
    );
}

/// Checks that every field of a schema has a known type, so that every reader of the bucket can read its schema.
fn check_fields(
    schema: &Map<String, Value>,
    path: &mut Vec<String>,
    root: bool,
) -> Result<(), InvalidInput> {
    let mut errors = Vec::new();
    let refuse = |path: &[String], last: &str, kind, message: String| FieldError {
        location: path.iter().cloned().chain([last.to_owned()]).collect(),
        kind,
        message,
    };
    let mut inner = Vec::new();
    match schema.get("properties") {
        Some(Value::Object(properties)) => {
            inner.extend(
                properties
                    .iter()
                    .map(|(name, field)| (vec!["properties".to_owned(), name.clone()], field)),
            );
        }
        None | Some(Value::Null) if root => {
            errors.push(refuse(
                path,
                "properties",
                "missing",
                "is required".to_owned(),
            ));
        }
        None | Some(Value::Null) => {}
        Some(_) => errors.push(refuse(
            path,
            "properties",
            "wrong_type",
            "must be of type object".to_owned(),
        )),
    }
    if !root {
        if !schema
            .get("type")
            .and_then(Value::as_str)
            .is_some_and(|word| FIELD_TYPES.contains(&word))
        {
            errors.push(refuse(
                path,
                "type",
                "enum",
                format!("must be one of {}", FIELD_TYPES.join(", ")),
            ));
        }
        let free = [
            (
                "description",
                Value::is_string as fn(&Value) -> bool,
                "string",
            ),
            ("required", Value::is_boolean, "boolean"),
        ];
        let lists = [
            ("enum", Value::is_array as fn(&Value) -> bool, "array"),
            ("examples", Value::is_array, "array"),
        ];
        for (key, fits, expected) in free.into_iter().chain(lists) {
            if schema
                .get(key)
                .is_some_and(|value| !value.is_null() && !fits(value))
            {
                errors.push(refuse(
                    path,
                    key,
                    "wrong_type",
                    format!("must be of type {expected}"),
                ));
            }
        }
        if let Some(items) = schema.get("items").filter(|items| !items.is_null()) {
            inner.push((vec!["items".to_owned()], items));
        }
    }
    for (steps, field) in inner {
        let depth = path.len();
        path.extend(steps);
        match field {
            Value::Object(field) => {
                errors.extend(check_fields(field, path, false).err().unwrap_or_default().0);
            }
            _ => errors.push(FieldError {
                location: path.clone(),
                kind: "wrong_type",
                message: "must be of type object".to_owned(),
            }),
        }
        path.truncate(depth);
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(InvalidInput(errors))
    }
}
