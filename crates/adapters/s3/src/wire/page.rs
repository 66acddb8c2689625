//! `ListObjectsV2`, and the older `ListObjects` for stores that know no other.

use aws_sdk_s3::types::{EncodingType, Object, OptionalObjectAttributes};
use wharf_domain::Timestamp;

use super::{Failure, Wire, failure, timestamp};

/// What page of a listing is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageRequest<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) prefix: &'a str,
    pub(crate) position: &'a Position,
    pub(crate) limit: i32,
    /// Has the store write keys in URL encoding, for those that XML cannot carry.
    pub(crate) url_encoded: bool,
}

/// Where in a listing a page begins, which also says in what version of the protocol it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Position {
    /// At the start, by `ListObjectsV2`.
    Start,
    /// Where this token was given, by `ListObjectsV2`.
    Token(String),
    /// After this key, or at the start if it is empty, by `ListObjects`.
    Marker(String),
}

/// A page of a listing, as the store gave it.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Listed>,
    /// Whether the store says that it wrote keys in URL encoding.
    pub(crate) url_encoded: bool,
    pub(crate) truncated: Option<bool>,
    /// The token or marker of the next page.
    pub(crate) next: Option<String>,
    /// Whether the answer has a mark of the version of the protocol that was asked for, and of that alone.
    pub(crate) of_asked_version: bool,
}

/// An object of a listing, as the store gave it.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) etag: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) modified: Option<Timestamp>,
    pub(crate) storage_class: Option<String>,
    /// Whether an archived object can be read for the time being, if the store tells.
    pub(crate) restored: Option<bool>,
}

impl Wire {
    /// Whether it makes sense to ask for keys in URL encoding.
    pub(crate) fn knows_url_encoding(&self) -> bool {
        self.store.profile.url_encoding
    }

    /// One page.
    pub(crate) async fn list(&self, request: &PageRequest<'_>) -> Result<Page, Failure> {
        match request.position {
            Position::Start => self.list_by_token(request, None).await,
            Position::Token(token) => self.list_by_token(request, Some(token)).await,
            Position::Marker(marker) => self.list_by_marker(request, marker).await,
        }
    }

    async fn list_by_token(
        &self,
        request: &PageRequest<'_>,
        token: Option<&str>,
    ) -> Result<Page, Failure> {
        let call = self
            .client(request.bucket)
            .list_objects_v2()
            .bucket(request.bucket)
            .max_keys(request.limit)
            .set_prefix(not_empty(request.prefix))
            .set_continuation_token(token.map(ToOwned::to_owned))
            .set_encoding_type(request.url_encoded.then_some(EncodingType::Url))
            .set_optional_object_attributes(self.attributes());
        let page = call.send().await.map_err(|error| failure::of(&error))?;
        Ok(Page {
            url_encoded: page.encoding_type == Some(EncodingType::Url),
            truncated: page.is_truncated,
            of_asked_version: page.key_count.is_some()
                || page.continuation_token.is_some()
                || page.next_continuation_token.is_some()
                || page.start_after.is_some(),
            next: page.next_continuation_token,
            objects: self.listed(page.contents),
        })
    }

    async fn list_by_marker(
        &self,
        request: &PageRequest<'_>,
        marker: &str,
    ) -> Result<Page, Failure> {
        let call = self
            .client(request.bucket)
            .list_objects()
            .bucket(request.bucket)
            .max_keys(request.limit)
            .set_prefix(not_empty(request.prefix))
            .set_marker(not_empty(marker))
            .set_encoding_type(request.url_encoded.then_some(EncodingType::Url))
            .set_optional_object_attributes(self.attributes());
        let page = call.send().await.map_err(|error| failure::of(&error))?;
        Ok(Page {
            url_encoded: page.encoding_type == Some(EncodingType::Url),
            truncated: page.is_truncated,
            // Empty on a first page, but there.
            of_asked_version: page.marker.is_some(),
            next: page.next_marker,
            objects: self.listed(page.contents),
        })
    }

    fn attributes(&self) -> Option<Vec<OptionalObjectAttributes>> {
        let asked = self.store.profile.restore_status;
        asked.then(|| vec![OptionalObjectAttributes::RestoreStatus])
    }

    fn listed(&self, objects: Option<Vec<Object>>) -> Vec<Listed> {
        let objects = objects.unwrap_or_default().into_iter();
        objects.map(|object| self.object(object)).collect()
    }

    fn object(&self, object: Object) -> Listed {
        let restored = match object.restore_status {
            Some(status) => Some(
                status.is_restore_in_progress != Some(true) && status.restore_expiry_date.is_some(),
            ),
            // Asked for, it is left away where there is nothing to tell.
            None => self.store.profile.restore_status.then_some(false),
        };
        Listed {
            key: object.key.unwrap_or_default(),
            etag: object.e_tag,
            size: object.size.and_then(|size| u64::try_from(size).ok()),
            modified: object.last_modified.as_ref().and_then(timestamp),
            storage_class: object.storage_class.map(|class| class.as_str().to_owned()),
            restored,
        }
    }
}

fn not_empty(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}
