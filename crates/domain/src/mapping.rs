//! placeholder
use crate::Metadata;
use serde::{Deserialize, Serialize};

/// How fields are made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SchemaMapping {}

/// What a mapping made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mapped {
    /// Target → value.
    pub fields: Metadata,
}
