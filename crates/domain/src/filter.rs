//! placeholder
use serde::{Deserialize, Serialize};

/// Which files a sync copies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FileFilters {}

/// What is pushed down to the provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProviderFilters {
    /// Beneath the source path.
    pub prefix: Option<String>,
}
