//! The fields of a key's grant, as bodies give them.

use serde_json::Value;
use utoipa::ToSchema;
use wharf_domain::access::{Permission, ResourceScope};
use wharf_domain::input::{Length, Reader};
use wharf_domain::scope::{OPERATIONS, RESOURCE_TYPES};

/// Scopes of one key.
const MOST_SCOPES: usize = 100;
/// Origins of one key.
const MOST_ORIGINS: usize = 50;

/// A part of the organization that a key is confined to.
#[derive(ToSchema)]
#[schema(as = ResourceScope)]
#[expect(dead_code, reason = "documents what `read_scopes` reads")]
pub(super) struct ScopeFields {
    /// Such as `namespace`, `bucket`, `storage_connection`, `user` or `organization`.
    resource_type: String,
    /// An identifier or a name, where `*` stands for any characters.
    #[schema(min_length = 1, max_length = 100)]
    resource_id: String,
    /// What may be done there: `read_data`, `write_data`, `delete_data`, `manage_permissions`; what the key's permissions allow
    /// unless given. Others are accepted and allow nothing.
    operations: Option<Vec<String>>,
}

/// `permissions`: at least one.
pub(super) fn read_permissions(reader: &mut Reader) -> Option<Vec<Permission>> {
    let words = reader.strings("permissions", Length::new(1, 20), 10)?;
    let parsed: Option<Vec<Permission>> = words.iter().map(|word| word.parse().ok()).collect();
    let parsed = parsed.filter(|permissions| !permissions.is_empty());
    if parsed.is_none() {
        let message = "must be some of read, write, delete, admin";
        reader.reject("permissions", "enum", message);
    }
    parsed
}

/// `scopes`.
pub(super) fn read_scopes(reader: &mut Reader) -> Option<Vec<ResourceScope>> {
    let items = match reader.value("scopes")? {
        Value::Array(items) if items.len() <= MOST_SCOPES => items,
        Value::Array(_) => {
            let message = format!("must have at most {MOST_SCOPES} items");
            reader.reject("scopes", "too_long", message);
            return None;
        }
        _ => {
            reader.reject("scopes", "wrong_type", "must be an array of scopes");
            return None;
        }
    };
    let mut scopes = Vec::with_capacity(items.len());
    for (i, item) in items.into_iter().enumerate() {
        let path = format!("scopes.{i}");
        let Value::Object(fields) = item else {
            reader.reject(&path, "wrong_type", "must be an object");
            continue;
        };
        let mut inner = Reader::new(&reader.path_of(&path), fields);
        let scope = read_scope(&mut inner);
        match inner.finish() {
            Ok(()) => scopes.extend(scope),
            Err(errors) => reader.absorb(errors),
        }
    }
    Some(scopes)
}

fn read_scope(reader: &mut Reader) -> Option<ResourceScope> {
    let resource_type = reader.required_string("resource_type", Length::new(1, 100));
    let resource_type = one_of(reader, "resource_type", resource_type, &RESOURCE_TYPES);
    let resource_id = reader.required_string("resource_id", Length::new(1, 100));
    let operations = reader.strings("operations", Length::new(1, 100), OPERATIONS.len());
    if let Some(words) = &operations {
        let known = words.iter().all(|word| OPERATIONS.contains(&word.as_str()));
        if words.is_empty() || !known {
            let message = format!("must be some of {}", OPERATIONS.join(", "));
            reader.reject("operations", "enum", message);
        }
    }
    Some(ResourceScope {
        resource_type: resource_type?,
        resource_id: resource_id?,
        operations,
    })
}

fn one_of(
    reader: &mut Reader,
    key: &'static str,
    word: Option<String>,
    known: &[&str],
) -> Option<String> {
    let word = word?;
    if known.contains(&word.as_str()) {
        return Some(word);
    }
    reader.reject(key, "enum", format!("must be one of {}", known.join(", ")));
    None
}

/// `allowed_origins`; an empty list is any origin.
#[expect(clippy::option_option, reason = "absent, any, or these")]
pub(super) fn read_origins(reader: &mut Reader) -> Option<Option<Vec<String>>> {
    let origins = reader.strings("allowed_origins", Length::new(1, 300), MOST_ORIGINS)?;
    if let Some(i) = origins.iter().position(|origin| !is_origin(origin)) {
        let message = "must be an origin such as https://app.example.com, or https://*.example.com for any subdomain";
        reader.reject(&format!("allowed_origins.{i}"), "string_pattern", message);
        return None;
    }
    let lower = origins
        .into_iter()
        .map(|origin| origin.to_ascii_lowercase());
    let lower: Vec<String> = lower.collect();
    Some((!lower.is_empty()).then_some(lower))
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let host = rest.strip_prefix("*.").unwrap_or(rest);
    ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str())
        && !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
}

/// `rate_limit_override`.
pub(super) fn read_rate_limit(reader: &mut Reader) -> Option<u32> {
    let limit = reader.integer("rate_limit_override", 1, 1_000_000)?;
    u32::try_from(limit).ok()
}
