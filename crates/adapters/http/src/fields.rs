//! Fields that several bodies share.

use serde_json::{Map, Value};
use wharf_domain::Metadata;
use wharf_domain::input::{FieldError, InvalidInput, Length, Reader};

/// Most characters of a description.
const DESCRIPTION: Length = Length::new(0, 500);

/// How large a free-form object may be.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) keys: usize,
    pub(crate) bytes: usize,
    pub(crate) depth: usize,
}

const METADATA: Bounds = Bounds {
    keys: 50,
    bytes: 16 * 1024,
    depth: 8,
};

/// `description`; an empty one is there, so that a change can clear it.
pub(crate) fn description(reader: &mut Reader) -> Option<String> {
    reader.string("description", DESCRIPTION)
}

/// `metadata`.
pub(crate) fn metadata(reader: &mut Reader) -> Option<Metadata> {
    free_object(reader, "metadata", METADATA)
}

/// A free-form object within bounds.
pub(crate) fn free_object(
    reader: &mut Reader,
    key: &'static str,
    bounds: Bounds,
) -> Option<Map<String, Value>> {
    let fields = Value::Object(reader.object(key)?);
    if fields
        .as_object()
        .is_some_and(|fields| fields.len() > bounds.keys)
    {
        reader.reject(
            key,
            "too_long",
            format!("must have at most {} keys", bounds.keys),
        );
        return None;
    }
    if depth(&fields) > bounds.depth {
        reader.reject(
            key,
            "too_deep",
            format!("must be nested at most {} levels deep", bounds.depth),
        );
        return None;
    }
    if fields.to_string().len() > bounds.bytes {
        reader.reject(
            key,
            "too_large",
            format!("must have at most {} bytes of JSON", bounds.bytes),
        );
        return None;
    }
    match fields {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A field that one of a few words stands in.
pub(crate) fn word<T>(
    reader: &mut Reader,
    key: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
    accepted: &str,
) -> Option<T> {
    let text = reader.string(key, Length::new(0, 100))?;
    let parsed = parse(&text);
    if parsed.is_none() {
        reader.reject(key, "enum", format!("must be one of {accepted}"));
    }
    parsed
}

/// A field of the published service for something that Wharf does not do: accepted as long as it asks for nothing, that
/// is when it is one of `harmless`.
pub(crate) fn not_supported(reader: &mut Reader, key: &'static str, harmless: &[Value], why: &str) {
    let Some(value) = reader.value(key) else {
        return;
    };
    if !harmless.contains(&value) {
        reader.reject(
            key,
            "not_supported",
            format!("is not supported: {why}; leave {key} out"),
        );
    }
}

/// Takes what was parsed elsewhere, or notes its mistakes.
pub(crate) fn noted<T, E: Into<InvalidInput>>(
    reader: &mut Reader,
    parsed: Result<T, E>,
) -> Option<T> {
    parsed.map_err(|errors| reader.absorb(errors.into())).ok()
}

/// An identifier of a known form.
pub(crate) fn identifier<T: std::str::FromStr<Err = wharf_domain::ids::InvalidId>>(
    reader: &mut Reader,
    key: &'static str,
) -> Option<T> {
    let text = reader.string(key, Length::new(0, 200))?;
    let parsed = text.parse::<T>().map_err(|error| {
        FieldError::new(
            key,
            "string_pattern",
            format!("must be an identifier of the form {}", error.expected),
        )
    });
    noted(reader, parsed)
}
