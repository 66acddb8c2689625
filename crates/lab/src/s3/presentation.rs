//! The headers of an object that tell a client what to do with its bytes; the store only keeps them.

use serde::Deserialize;

/// Headers that are kept with an object as they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Presentation {
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`; the bytes are as given.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
}

/// Of a request that has them all.
macro_rules! presentation_of {
    ($input:expr) => {
        $crate::s3::presentation::Presentation {
            cache_control: $input.cache_control.clone(),
            content_disposition: $input.content_disposition.clone(),
            content_encoding: $input.content_encoding.clone(),
            content_language: $input.content_language.clone(),
        }
    };
}

pub(super) use presentation_of;
