use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::namespace::Namespace;

/// A namespace.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NamespaceModel)]
pub(crate) struct NamespaceView {
    /// Always `namespace`.
    #[schema(value_type = String)]
    object: &'static str,
    /// `ns_` and 16 hex digits.
    namespace_id: String,
    namespace_name: String,
    /// Always `standard`.
    #[schema(value_type = String)]
    namespace_type: &'static str,
    /// Always `org`: it belongs to one organization.
    #[schema(value_type = String)]
    scope: &'static str,
    description: Option<String>,
    /// Always true: a namespace can be used as soon as it exists.
    namespace_ready: bool,
    #[serde(serialize_with = "crate::time::rfc3339")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "crate::time::rfc3339")]
    updated_at: DateTime<Utc>,
}

impl From<Namespace> for NamespaceView {
    fn from(namespace: Namespace) -> Self {
        Self {
            object: "namespace",
            namespace_id: namespace.id.to_string(),
            namespace_name: namespace.name.as_str().to_owned(),
            namespace_type: "standard",
            scope: "org",
            description: namespace.description,
            namespace_ready: true,
            created_at: namespace.created_at,
            updated_at: namespace.created_at,
        }
    }
}
