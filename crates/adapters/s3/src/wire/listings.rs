//! What is done to the answers that the SDK reads.

use aws_sdk_s3::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::operation::list_objects::ListObjectsOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_smithy_runtime_api::box_error::BoxError;

/// Refuses listings that are not whole documents. The SDK's reader stops at the first thing it does not understand and
/// takes what it has for everything; files would be missing, and their copies deleted.
#[derive(Debug)]
pub(super) struct WholeListings;

#[derive(Debug, thiserror::Error)]
#[error("the listing is not a whole document")]
struct NotWhole;

impl Intercept for WholeListings {
    fn name(&self) -> &'static str {
        "WholeListings"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Ok(output) = context.output_or_error() else {
            return Ok(());
        };
        let objects = if let Some(listing) = output.downcast_ref::<ListObjectsV2Output>() {
            listing.contents()
        } else if let Some(listing) = output.downcast_ref::<ListObjectsOutput>() {
            listing.contents()
        } else {
            return Ok(());
        };
        let document = context
            .response()
            .body()
            .bytes()
            .and_then(|body| std::str::from_utf8(body).ok());
        match document {
            Some(document) if is_whole(document, objects.len()) => Ok(()),
            _ => Err(NotWhole.into()),
        }
    }
}

/// Whether the document ends as it should and holds as many objects as were read from it. Text cannot look like an end
/// tag, because `<` has to be escaped.
fn is_whole(document: &str, read: usize) -> bool {
    let mut ended = 0;
    let mut last = "";
    for after in document.split("</").skip(1) {
        last = after.split('>').next().map_or("", |name| {
            name.rsplit(':').next().unwrap_or(name).trim_end()
        });
        ended += usize::from(last == "Contents");
    }
    last == "ListBucketResult" && document.trim_end().ends_with('>') && ended == read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_whole_when_it_is_closed_and_every_object_was_read() {
        let whole = "<ListBucketResult><Contents><Key>a</Key></Contents><Contents></Contents></ListBucketResult>\n";
        assert!(is_whole(whole, 2));
        assert!(!is_whole(whole, 1));
        for end in 1..whole.trim_end().len() {
            assert!(!is_whole(&whole[..end], 2), "{}", &whole[..end]);
        }
        let prefixed =
            "<s:ListBucketResult xmlns:s=\"x\"><s:Contents></s:Contents ></s:ListBucketResult>";
        assert!(is_whole(prefixed, 1));
        assert!(is_whole("<ListBucketResult></ListBucketResult>", 0));
    }
}
