use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use wharf_domain::Metadata;
use wharf_domain::bucket::BucketName;
use wharf_domain::input::{FieldError, InvalidInput, Length, Reader};

use super::view::BucketView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields::{self, Bounds};
use crate::scope::{Authorized, InNamespace};

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

/// A new bucket.
#[derive(ToSchema)]
#[schema(as = BucketCreateRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct CreateBucketRequest {
    /// Unique within the namespace; must not start with `bkt_`.
    #[schema(min_length = 1, max_length = 100)]
    bucket_name: String,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Must have `properties`, each with a `type`. Kept and returned, not enforced.
    #[schema(value_type = Object)]
    bucket_schema: Map<String, Value>,
    /// At most 50 keys, 16 KiB and 8 levels.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// Not supported.
    #[schema(value_type = Option<Object>)]
    unique_key: Option<Value>,
    /// `standard` or nothing.
    storage_class: Option<String>,
    /// Not supported.
    #[schema(value_type = Option<Object>)]
    destination: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<Object>)]
    ingest_filter: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<Object>)]
    source_adapter: Option<Value>,
}

/// What a create request asks for.
pub(crate) struct NewBucket {
    name: BucketName,
    description: Option<String>,
    schema: Value,
    metadata: Metadata,
}

impl CreateBucketRequest {
    pub(crate) fn parse(reader: &mut Reader) -> Option<NewBucket> {
        let name = reader.required_string("bucket_name", Length::new(0, 1000));
        let name = name.and_then(|name| fields::noted(reader, BucketName::parse(&name)));
        let description = fields::description(reader).filter(|text| !text.is_empty());
        let schema = reader
            .require("bucket_schema")
            .then(|| fields::free_object(reader, "bucket_schema", SCHEMA));
        let schema = schema.flatten().and_then(|schema| {
            let checked = check_fields(&schema, &mut vec!["bucket_schema".to_owned()], true);
            fields::noted(reader, checked.map(|()| schema))
        });
        let metadata = fields::metadata(reader).unwrap_or_default();
        fields::not_supported(
            reader,
            "unique_key",
            &[],
            "an object's identity is its place at the source",
        );
        fields::not_supported(
            reader,
            "storage_class",
            &[json!("standard")],
            "the blob store decides about storage",
        );
        fields::not_supported(
            reader,
            "destination",
            &[],
            "objects go to the operator's blob store",
        );
        fields::not_supported(
            reader,
            "ingest_filter",
            &[],
            "nothing filters the objects of a bucket",
        );
        fields::not_supported(
            reader,
            "source_adapter",
            &[],
            "objects arrive by syncs only",
        );
        Some(NewBucket {
            name: name?,
            description,
            schema: Value::Object(schema?),
            metadata,
        })
    }
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

/// Create a bucket
#[utoipa::path(
    post,
    path = "/v1/buckets",
    operation_id = "create_bucket",
    tag = "buckets",
    request_body = CreateBucketRequest,
    responses((status = 200, description = "The stored bucket.", body = BucketView)),
)]
pub(super) async fn create(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    body: Body,
) -> Result<Json<BucketView>, ApiError> {
    let NewBucket {
        name,
        description,
        schema,
        metadata,
    } = body.read_whole(CreateBucketRequest::parse)?;
    let bucket = state
        .engine()
        .create_bucket(&caller, &namespace, name, description, schema, metadata)
        .await?;
    Ok(Json(bucket.into()))
}
