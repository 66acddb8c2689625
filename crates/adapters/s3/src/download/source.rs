//! Where the rest of an object is asked for.

use std::sync::Arc;

use wharf_domain::error_code::ErrorCode;

use super::version::{Version, changed};
use crate::error::Fault;
use crate::wire::{ObjectRequest, Opened, Wire};

/// An object in one version.
pub(super) struct Source {
    pub(super) wire: Arc<Wire>,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) version: Version,
}

impl Source {
    /// The answer with what comes after so many bytes.
    pub(super) async fn rest(&mut self, received: u64) -> Result<Opened, Fault> {
        loop {
            let request = ObjectRequest {
                bucket: &self.bucket,
                key: &self.key,
                condition: &self.version.condition,
                version_id: self.version.id.as_deref(),
                from: received,
            };
            let fault = match self.wire.get(&request).await {
                Ok(opened) => return Ok(opened),
                Err(failure) => Fault::from(failure),
            };
            match fault.code {
                // To name a version takes a permission of its own. The condition guards it as well.
                ErrorCode::PermDenied if self.version.id.is_some() => self.version.id = None,
                // It was there a moment ago.
                ErrorCode::ResourceNotFound => return Err(changed()),
                _ => return Err(fault),
            }
        }
    }
}
