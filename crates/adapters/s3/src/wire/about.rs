//! What the head of an answer tells about one object, whether its bytes follow or not.

use std::collections::HashMap;

use wharf_domain::Timestamp;

/// An object, as the store describes it.
#[derive(Debug, Default)]
pub(crate) struct About {
    pub(crate) etag: Option<String>,
    /// How many bytes this answer has, or would have.
    pub(crate) length: Option<u64>,
    pub(crate) modified: Option<Timestamp>,
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) cache_control: Option<String>,
    pub(crate) storage_class: Option<String>,
    /// Whether an archived object can be read for the time being.
    pub(crate) restored: bool,
    pub(crate) version_id: Option<String>,
    /// What its owner attached, without the beginning of the header's name.
    pub(crate) user_metadata: HashMap<String, String>,
}

impl About {
    /// The version's own name, where the store keeps versions. Objects from before their bucket did are all called `null`.
    pub(crate) fn named_version(&self) -> Option<&str> {
        self.version_id
            .as_deref()
            .filter(|id| !id.is_empty() && *id != "null")
    }
}

/// The same fields of two answers.
macro_rules! about {
    ($output:ident) => {
        $crate::wire::about::About {
            etag: $output.e_tag,
            length: $output
                .content_length
                .and_then(|length| u64::try_from(length).ok()),
            modified: $output
                .last_modified
                .as_ref()
                .and_then($crate::wire::timestamp),
            content_type: $output.content_type,
            content_encoding: $output.content_encoding,
            content_language: $output.content_language,
            content_disposition: $output.content_disposition,
            cache_control: $output.cache_control,
            storage_class: $output.storage_class.map(|class| class.as_str().to_owned()),
            restored: $output
                .restore
                .is_some_and(|told| told.contains("ongoing-request=\"false\"")),
            version_id: $output.version_id,
            user_metadata: $output.metadata.unwrap_or_default(),
        }
    };
}

pub(super) use about;
