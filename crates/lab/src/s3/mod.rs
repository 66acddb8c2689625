//! The simulated S3 store, which serves Tigris too.
//!
//! The protocol (signatures, request parsing, most answers) is the `s3s` crate's; the store, access and
//! listings are ours. Listings are written by hand because they must be able to be wrong, and because
//! keys may hold characters that XML can only carry as references.

mod access;
mod backend;
mod listing;
mod listing_route;
mod put;
pub(crate) mod sample;
pub(crate) mod seed;
pub(crate) mod store;
pub(crate) mod target;

use std::sync::Arc;

use s3s::service::{S3Service, S3ServiceBuilder};

use crate::world::World;

pub(crate) fn service(world: &Arc<World>) -> S3Service {
    let mut builder = S3ServiceBuilder::new(backend::Backend(Arc::clone(world)));
    builder.set_auth(access::Gate(Arc::clone(world)));
    builder.set_access(access::Gate(Arc::clone(world)));
    builder.set_host(target::BucketDomains(world.bucket_domains.clone()));
    builder.set_route(listing_route::ListingRoute(Arc::clone(world)));
    builder.build()
}
