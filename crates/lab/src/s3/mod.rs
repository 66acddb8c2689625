//! The simulated S3 store, which serves Tigris too.
//!
//! The protocol (signatures, request parsing, most answers) is the `s3s` crate's; the store, access and
//! listings are ours. Listings are written by hand because they must be able to be wrong, and because
//! keys may hold characters that XML can only carry as references.

mod access;
mod backend;
pub(crate) mod bucket;
pub(crate) mod checksum;
mod conditions;
mod listing;
mod listing_route;
mod multipart;
pub(crate) mod presentation;
mod put;
mod read;
pub(crate) mod refusal;
pub(crate) mod region;
pub(crate) mod sample;
pub(crate) mod seed;
pub(crate) mod store;
pub(crate) mod target;
mod uploads;
mod versions;

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};

use self::refusal::Refusal;
use self::target::Target;
use crate::clock;
use crate::sigv4::Claim;
use crate::world::World;

pub(crate) fn service(world: &Arc<World>) -> S3Service {
    let mut builder = S3ServiceBuilder::new(backend::Backend(Arc::clone(world)));
    builder.set_auth(access::Gate(Arc::clone(world)));
    builder.set_access(access::Gate(Arc::clone(world)));
    builder.set_host(target::BucketDomains(world.bucket_domains.clone()));
    builder.set_route(listing_route::ListingRoute(Arc::clone(world)));
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(patient()))));
    builder.build()
}

/// The lab has a clock of its own, which may be wrong, and judges the time of requests by that one.
fn patient() -> S3Config {
    let mut config = S3Config::default();
    config.presigned_url_max_skew_time_secs = u32::MAX;
    config
}

/// What is refused before the signature is looked at: the wrong time and the wrong region.
pub(crate) fn refuse_early(world: &World, target: &Target, request: &Parts) -> Option<Refusal> {
    skewed(world, request).or_else(|| region::elsewhere(world, target, request))
}

fn skewed(world: &World, request: &Parts) -> Option<Refusal> {
    // A presigned URL is made long before it is used, and says itself for how long it is good.
    if !request.headers.contains_key(AUTHORIZATION) {
        return None;
    }
    let claim = Claim::read(&request.headers, &request.uri)?;
    let time = clock::of_signature(&claim.time)?;
    let server = world.clock.now();
    world.clock.refuses(time).then(|| {
        Refusal::new(
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        )
        .detail("RequestTime", claim.time)
        .detail(
            "ServerTime",
            server.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        )
        .detail(
            "MaxAllowedSkewMilliseconds",
            clock::MOST_SKEW.num_milliseconds().to_string(),
        )
    })
}
