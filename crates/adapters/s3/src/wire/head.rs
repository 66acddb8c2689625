//! What the SDK does not hand on of an answer's head.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;

/// Of one answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    /// Whether the answer is a part of the object, by its status.
    pub(super) partial: bool,
    /// What the server calls itself.
    pub(super) server: Option<String>,
}

/// Keeps the head of a call's last answer; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct KeepHead(Arc<Mutex<Head>>);

impl KeepHead {
    /// The head, once there was an answer.
    pub(super) fn kept(&self) -> Head {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Intercept for KeepHead {
    fn name(&self) -> &'static str {
        "KeepHead"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Head {
            partial: response.status().as_u16() == 206,
            server: response.headers().get("server").map(ToOwned::to_owned),
        };
        Ok(())
    }
}
