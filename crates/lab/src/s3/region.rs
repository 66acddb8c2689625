//! Requests signed for a region their bucket does not stand in.

use http::Method;
use http::request::Parts;

use super::bucket::WrongRegion;
use super::refusal::Refusal;
use super::target::Target;
use crate::sigv4::Claim;
use crate::world::World;

const HEADER: &str = "x-amz-bucket-region";

/// The refusal of a request that went to the wrong region, if it did.
pub(crate) fn elsewhere(world: &World, target: &Target, request: &Parts) -> Option<Refusal> {
    let name = target.bucket.as_deref()?;
    let settings = world.store.settings(name)?;
    let region = settings.region.as_deref()?;
    let claim = Claim::read(&request.headers, &request.uri)?;
    if claim.region == region {
        return None;
    }
    Some(match settings.wrong_region {
        WrongRegion::Redirect => Refusal::new(
            "PermanentRedirect",
            "The bucket you are attempting to access must be addressed using the specified endpoint. \
             Please send all future requests to this endpoint.",
        )
        .detail("Endpoint", format!("{name}.s3.{region}.amazonaws.com"))
        .detail("Bucket", name)
        .header(HEADER, region),
        WrongRegion::Malformed => {
            let refusal = Refusal::new(
                "AuthorizationHeaderMalformed",
                format!(
                    "The authorization header is malformed; the region '{}' is wrong; expecting '{region}'",
                    claim.region
                ),
            )
            .detail("Region", region);
            // Such answers have no body to read the region from.
            if request.method == Method::HEAD {
                refusal.header(HEADER, region)
            } else {
                refusal
            }
        }
    })
}
