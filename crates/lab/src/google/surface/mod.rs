//! What of Google's published interface the lab serves: one table, from which requests are routed, their
//! parameters checked and field masks read, so that what the table says and what is served cannot differ.

mod methods;
mod schemas;

pub use methods::METHODS;
pub use schemas::SCHEMAS;

use serde_json::{Value, json};

use crate::operation::Operation;

/// The path in front of every method's.
pub const SERVICE_PATH: &str = "/drive/v3/";

/// Query parameters every method knows.
pub const COMMON_PARAMETERS: &[&str] = &[
    "$.xgafv",
    "access_token",
    "alt",
    "callback",
    "fields",
    "key",
    "oauth_token",
    "prettyPrint",
    "quotaUser",
    "uploadType",
    "upload_protocol",
];

/// One method of the interface.
#[derive(Debug)]
pub struct Method {
    /// Its name, such as `drive.files.list`.
    pub id: &'static str,
    /// Its HTTP method.
    pub http: &'static str,
    /// Its path behind [`SERVICE_PATH`], with parts such as `{fileId}`.
    pub path: &'static str,
    /// Its query parameters.
    pub parameters: &'static [Parameter],
    /// The schema of its answer.
    pub response: Option<&'static str>,
    /// The fields it answers with when not asked for any; `None` when it must be asked.
    pub default_fields: Option<&'static str>,
    /// Whether it gives the bytes of a file.
    pub media: bool,
    /// The scopes of which a token needs one, without `https://www.googleapis.com/auth/`.
    pub scopes: &'static [&'static str],
    /// How the journal calls it.
    pub operation: Operation,
}

/// A query parameter.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What may stand in it.
    pub kind: ParameterKind,
    /// Whether a request must have it.
    pub required: bool,
}

/// What may stand in a query parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// Any text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A number from 1 to this.
    UpTo(usize),
}

/// An object of the interface.
#[derive(Debug)]
pub struct Schema {
    /// Its name; a part without a name of its own is called after its place, such as `File.capabilities`.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [(&'static str, Shape)],
}

/// The shape of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A text, number or truth value, or a list of them.
    Plain,
    /// An object, or list of objects, of this schema.
    Object(&'static str),
    /// A part of the interface that the lab does not fill, or a map of free keys.
    Free,
}

/// The whole table.
#[derive(Debug, Clone, Copy)]
pub struct Surface {
    /// The methods.
    pub methods: &'static [Method],
    /// The schemas their answers are made of.
    pub schemas: &'static [Schema],
    /// The query parameters all of them know.
    pub common_parameters: &'static [&'static str],
}

impl Surface {
    /// The table as JSON.
    pub(crate) fn told(&self) -> Value {
        let parameter = |parameter: &Parameter| {
            let (kind, most) = match parameter.kind {
                ParameterKind::Text => ("text", None),
                ParameterKind::Flag => ("flag", None),
                ParameterKind::UpTo(most) => ("number", Some(most)),
            };
            json!({"name": parameter.name, "kind": kind, "most": most, "required": parameter.required})
        };
        let method = |method: &Method| {
            let parameters: Vec<Value> = method.parameters.iter().map(parameter).collect();
            json!({
                "id": method.id, "http": method.http, "path": method.path, "parameters": parameters,
                "response": method.response, "scopes": method.scopes,
            })
        };
        let field = |(name, shape): &(&str, Shape)| {
            let shape = match shape {
                Shape::Plain => "plain",
                Shape::Object(_) => "object",
                Shape::Free => "free",
            };
            json!({"name": name, "shape": shape})
        };
        let schema = |schema: &Schema| {
            let fields: Vec<Value> = schema.fields.iter().map(field).collect();
            json!({"name": schema.name, "fields": fields})
        };
        json!({
            "service_path": SERVICE_PATH,
            "common_parameters": self.common_parameters,
            "methods": self.methods.iter().map(method).collect::<Vec<_>>(),
            "schemas": self.schemas.iter().map(schema).collect::<Vec<_>>(),
        })
    }
}

/// What of Drive v3 the lab serves.
pub fn surface() -> Surface {
    Surface {
        methods: METHODS,
        schemas: SCHEMAS,
        common_parameters: COMMON_PARAMETERS,
    }
}

/// The method a request is for, and what stands in the variable part of its path.
pub(crate) fn route<'a>(http: &str, path: &'a str) -> Option<(&'static Method, &'a str)> {
    let path = path.strip_prefix(SERVICE_PATH)?;
    // A literal path wins over one with a variable part: `changes/watch` is no `changes/{…}`.
    let candidates = || METHODS.iter().filter(|method| method.http == http);
    candidates()
        .find(|method| method.path == path)
        .map(|method| (method, ""))
        .or_else(|| {
            candidates().find_map(|method| {
                let (before, rest) = method.path.split_once('{')?;
                let (_, after) = rest.split_once('}')?;
                let part = path.strip_prefix(before)?.strip_suffix(after)?;
                (!part.is_empty() && !part.contains('/')).then_some((method, part))
            })
        })
}

pub(crate) fn schema(name: &str) -> Option<&'static Schema> {
    SCHEMAS.iter().find(|schema| schema.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_methods() {
        let id = |http, path| route(http, path).map(|(method, part)| (method.id, part));
        assert_eq!(id("GET", "/drive/v3/files"), Some(("drive.files.list", "")));
        assert_eq!(
            id("GET", "/drive/v3/files/1a"),
            Some(("drive.files.get", "1a"))
        );
        assert_eq!(
            id("GET", "/drive/v3/files/1a/export"),
            Some(("drive.files.export", "1a"))
        );
        assert_eq!(
            id("POST", "/drive/v3/changes/watch"),
            Some(("drive.changes.watch", ""))
        );
        for (http, path) in [
            ("GET", "/drive/v3/files/"),
            ("GET", "/drive/v3/files/a/b"),
            ("PUT", "/drive/v3/files"),
            ("GET", "/drive/v2/files"),
        ] {
            assert_eq!(id(http, path), None, "{http} {path}");
        }
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let named = SCHEMAS
            .iter()
            .flat_map(|schema| schema.fields)
            .filter_map(|(_, shape)| match shape {
                Shape::Object(name) => Some(*name),
                _ => None,
            })
            .chain(METHODS.iter().filter_map(|method| method.response));
        for name in named {
            assert!(schema(name).is_some(), "{name}");
        }
    }
}
