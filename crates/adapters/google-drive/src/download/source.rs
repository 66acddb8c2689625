//! Where the rest of a file is asked for, and whether it still is what it was.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use http_body_util::BodyExt;
use wharf_domain::plan::Entry;
use wharf_egress::Body;

use super::{changed, current};
use crate::error::Fault;
use crate::reach::Reach;
use crate::wire::{Failure, Opened, Wanted};

/// How the bytes come.
pub(super) enum Way {
    /// As they lie there.
    Media,
    /// Written anew as this type for every request, so that no two answers belong together.
    Export(&'static str),
    /// From a download that was prepared at this address.
    Prepared(String),
}

/// A file in one version.
pub(super) struct Source {
    pub(super) reach: Arc<Reach>,
    pub(super) entry: Entry,
    pub(super) way: Way,
}

impl Source {
    /// Whether what comes after so many bytes can be asked for.
    pub(super) fn goes_on(&self, received: u64) -> bool {
        received == 0 || !matches!(self.way, Way::Export(_))
    }

    /// The answer with what comes after so many bytes. Drive has no way to ask for a version, so that the file is looked at before.
    pub(super) async fn rest(&self, from: u64) -> Result<Opened, Fault> {
        self.expect_same().await?;
        let wire = &self.reach.wire;
        let wanted = Wanted { from, to: None };
        let id = &self.entry.object;
        let keys = self.reach.keys(id);
        Ok(match &self.way {
            Way::Media => wire.media(id, &keys, wanted, false).await?,
            Way::Export(mime_type) => wire.export(id, mime_type, &keys).await?,
            Way::Prepared(address) => wire.prepared(address, wanted).await?,
        })
    }

    /// An error if the file is in another version by now.
    pub(super) async fn expect_same(&self) -> Result<(), Fault> {
        use wharf_domain::error_code::ErrorCode;
        match current(&self.reach, &self.entry).await {
            Ok(_) => Ok(()),
            // It was there a moment ago.
            Err(fault) if fault.code == ErrorCode::ResourceNotFound => Err(changed()),
            Err(fault) => Err(fault),
        }
    }
}

/// The bytes of an answer as they come.
pub(super) fn chunks(body: Body) -> BoxStream<'static, Result<Bytes, Failure>> {
    body.into_data_stream()
        .map(|chunk| chunk.map_err(Failure::Egress))
        .boxed()
}
