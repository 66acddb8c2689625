//! Buckets in the path, at a store that an endpoint names.
//!
//! The SDK's own rules put some buckets into the host even when told not to: those whose names end like the names of
//! directory buckets. At a store of one's own that would be another host.

use aws_sdk_s3::config::endpoint::{Endpoint, EndpointFuture, Params, ResolveEndpoint};
use wharf_domain::provider::EndpointUrl;

/// The endpoint, whatever the bucket is called.
#[derive(Debug)]
pub(super) struct InPath(EndpointUrl);

impl InPath {
    pub(super) fn at(endpoint: &EndpointUrl) -> Self {
        Self(endpoint.clone())
    }
}

impl ResolveEndpoint for InPath {
    fn resolve_endpoint<'a>(&'a self, params: &'a Params) -> EndpointFuture<'a> {
        let endpoint = &self.0;
        // The characters of a bucket's name need no escaping.
        let url = match params.bucket() {
            Some(bucket) => format!("{endpoint}/{bucket}"),
            None => endpoint.to_string(),
        };
        EndpointFuture::ready(Ok(Endpoint::builder().url(url).build()))
    }
}
