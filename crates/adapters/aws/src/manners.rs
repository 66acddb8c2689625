//! What is done to every request of the SDK.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

const OWN_NAME: &str = concat!("wharf/", env!("CARGO_PKG_VERSION"));

/// Headers in which the SDK tells of itself, of this machine and of its environment.
const CHATTER: [&str; 2] = ["x-amz-user-agent", "x-amzn-trace-id"];

/// Says who asks, and nothing about where Wharf runs.
#[derive(Debug)]
pub struct PlainManners;

impl Intercept for PlainManners {
    fn name(&self) -> &'static str {
        "PlainManners"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        for name in CHATTER {
            headers.remove(name);
        }
        headers.insert("user-agent", OWN_NAME);
        Ok(())
    }
}
