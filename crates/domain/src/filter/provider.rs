//! What the provider itself leaves out of a listing.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::input::{InvalidInput, Length, Reader};

/// Bytes of a prefix; no object key is longer.
const PREFIX: usize = 1024;

/// `provider_filters` of a sync from S3 or Tigris.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderFilters {
    /// Only what starts with this text, counted from the sync's source root. It is the beginning of a path, not a
    /// folder: `vid` covers `videos/a` too. 1 to 1024 bytes, no `/` first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

impl ProviderFilters {
    /// Reads the object that stands at `path`, such as `provider_filters`.
    ///
    /// # Errors
    /// Every mistake with its full path; an unknown key with the accepted ones.
    pub fn parse(fields: Map<String, Value>, path: &str) -> Result<Self, InvalidInput> {
        let mut reader = Reader::new(path, fields);
        let prefix = reader
            .string("prefix", Length::new(0, PREFIX))
            .filter(|prefix| !prefix.is_empty());
        if let Some(prefix) = &prefix {
            if prefix.len() > PREFIX {
                let message = format!("must have at most {PREFIX} bytes");
                reader.reject("prefix", "string_too_long", message);
            }
            if prefix.starts_with('/') || prefix.contains('\0') {
                let message = "must not start with a slash nor contain NUL, as in videos/";
                reader.reject("prefix", "invalid_format", message);
            }
        }
        reader.finish()?;
        Ok(Self { prefix })
    }

    /// Whether they let every file through.
    pub fn is_empty(&self) -> bool {
        self.prefix.is_none()
    }
}
