//! Fields of a namespace that several bodies share.

use serde_json::json;
use wharf_domain::input::{Length, Reader};
use wharf_domain::namespace::NamespaceName;

use crate::fields;

/// Why what is for indexes and the like is refused.
pub(super) const PROCESSING: &str = "Wharf keeps files and does not index or process them";
/// Why what is for something else again is refused.
pub(super) const NOTHING_OF_THE_KIND: &str = "Wharf has nothing of the kind";

/// `namespace_name`, if it is there.
pub(super) fn name(reader: &mut Reader) -> Option<NamespaceName> {
    let name = reader.string("namespace_name", Length::new(0, 1000))?;
    fields::noted(reader, NamespaceName::parse(&name))
}

/// Fields for processing that a new namespace and a change of one have in common.
pub(super) fn refuse_processing(reader: &mut Reader) {
    for key in ["feature_extractors", "payload_indexes"] {
        fields::not_supported(reader, key, &[json!([])], PROCESSING);
    }
    for key in ["auto_create_indexes", "adaptive_indexing"] {
        fields::not_supported(reader, key, &[json!(false)], PROCESSING);
    }
    fields::not_supported(reader, "ttl_seconds", &[], "namespaces do not expire");
    fields::not_supported(reader, "trusted_issuers", &[json!([])], NOTHING_OF_THE_KIND);
    for key in [
        "infrastructure",
        "tiering",
        "spend_budget",
        "cost_cap_override",
    ] {
        fields::not_supported(reader, key, &[json!({})], NOTHING_OF_THE_KIND);
    }
}
