//! Conditional requests.

use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue};
use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::backend::timestamp;
use super::store::Object;
use crate::clock::http_date;

/// The conditional headers of a read.
pub(super) struct Conditions<'a> {
    pub(super) tag: Option<&'a ETagCondition>,
    pub(super) other_tag: Option<&'a ETagCondition>,
    pub(super) modified_since: Option<&'a Timestamp>,
    pub(super) unmodified_since: Option<&'a Timestamp>,
}

impl Conditions<'_> {
    /// A condition on the tag, where there is one, overrules that on the date.
    pub(super) fn check(&self, object: &Object) -> S3Result<()> {
        let modified = timestamp(object.modified);
        let changed = match (self.tag, self.unmodified_since) {
            (Some(wanted), _) => !matches(wanted, object),
            (None, Some(since)) => modified > *since,
            (None, None) => false,
        };
        if changed {
            return Err(precondition_failed());
        }
        let unchanged = match (self.other_tag, self.modified_since) {
            (Some(known), _) => matches(known, object),
            (None, Some(since)) => modified <= *since,
            (None, None) => false,
        };
        if unchanged {
            Err(not_modified(object))
        } else {
            Ok(())
        }
    }
}

pub(super) fn matches(condition: &ETagCondition, object: &Object) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(tag) => tag.value() == object.etag,
    }
}

pub(super) fn precondition_failed() -> S3Error {
    s3_error!(
        PreconditionFailed,
        "At least one of the preconditions you specified did not hold."
    )
}

fn not_modified(object: &Object) -> S3Error {
    let mut headers = HeaderMap::new();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", object.etag)) {
        headers.insert(ETAG, tag);
    }
    if let Ok(date) = HeaderValue::try_from(http_date(object.modified)) {
        headers.insert(LAST_MODIFIED, date);
    }
    let mut error = S3Error::new(S3ErrorCode::NotModified);
    error.set_headers(headers);
    error
}

/// Refuses a write whose conditions on what is there do not hold.
pub(super) fn check_write(
    wanted: Option<&ETagCondition>,
    unwanted: Option<&ETagCondition>,
    present: Option<&Object>,
) -> S3Result<()> {
    let blocked = match (wanted, unwanted) {
        (Some(wanted), _) => !present.is_some_and(|object| matches(wanted, object)),
        (None, Some(unwanted)) => present.is_some_and(|object| matches(unwanted, object)),
        (None, None) => false,
    };
    if blocked {
        Err(precondition_failed())
    } else {
        Ok(())
    }
}
