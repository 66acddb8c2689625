//! How many requests an organization and its keys may make.

use serde::{Deserialize, Serialize};

/// What a request costs, as far as limits tell costs apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// Settings: connections, namespaces, buckets, users, keys, webhooks.
    Metadata,
    /// Objects, dead letters, audit rows and events.
    Data,
    /// Looking for something; nothing of Wharf does so yet.
    Search,
    /// Sending files; nothing of Wharf does so yet.
    Upload,
    /// What makes Wharf work: triggers, plans, tests.
    Compute,
}

impl Category {
    /// Every category.
    pub const ALL: [Self; 5] = [
        Self::Metadata,
        Self::Data,
        Self::Search,
        Self::Upload,
        Self::Compute,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Data => "data",
            Self::Search => "search",
            Self::Upload => "upload",
            Self::Compute => "compute",
        }
    }
}

/// Requests per minute of an organization, by category; `None` leaves a category to the operator's setting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimits {
    /// See [`Category::Metadata`].
    pub metadata: Option<u32>,
    /// See [`Category::Data`].
    pub data: Option<u32>,
    /// See [`Category::Search`].
    pub search: Option<u32>,
    /// See [`Category::Upload`].
    pub upload: Option<u32>,
    /// See [`Category::Compute`].
    pub compute: Option<u32>,
}

impl RateLimits {
    /// The limit of one category.
    pub fn of(&self, category: Category) -> Option<u32> {
        match category {
            Category::Metadata => self.metadata,
            Category::Data => self.data,
            Category::Search => self.search,
            Category::Upload => self.upload,
            Category::Compute => self.compute,
        }
    }
}
