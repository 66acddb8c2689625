//! Downloads that Drive prepares: of what is too large to export at once, and of videos made with Google Vids.

use std::time::Duration;

use wharf_domain::error_code::ErrorCode;
use wharf_ports::Retry;

use super::source::Way;
use crate::error::Fault;
use crate::reach::Reach;
use crate::remote::{Preparation, RemoteFile};
use crate::wire::{Opened, Wanted};

/// Between the first two questions whether it is ready; each pause is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What takes longer is left to the next try.
const LONGEST: Duration = Duration::from_mins(5);

/// Has a document prepared and opens it. `refused` is what it means that it cannot be.
pub(super) async fn open(
    reach: &Reach,
    file: &RemoteFile,
    mime_type: &str,
    refused: Fault,
) -> Result<(Opened, Way), Fault> {
    let mut state = match reach.wire.prepare(&file.id, mime_type).await {
        Ok(state) => state,
        Err(failure) => {
            let fault = Fault::from(failure);
            return Err(if fault.retry == Retry::Never && is_of_file(fault.code) {
                refused
            } else {
                fault
            });
        }
    };
    let (mut pause, mut waited) = (PAUSE, Duration::ZERO);
    loop {
        let name = match state {
            Preparation::Ready(address) => {
                let opened = reach.wire.prepared(&address, Wanted::WHOLE).await?;
                return Ok((opened, Way::Prepared(address)));
            }
            Preparation::Failed(_) => return Err(refused),
            Preparation::Pending(name) => name,
        };
        if waited >= LONGEST {
            let words = "Google is still preparing the download";
            return Err(Fault::new(ErrorCode::ProviderUnavailable, words));
        }
        tokio::time::sleep(pause).await;
        waited += pause;
        pause = (pause * 2).min(LONGEST_PAUSE);
        state = reach.wire.preparation(&name).await?;
    }
}

/// Whether a refusal may be about the document, and not about the account.
fn is_of_file(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ConfigInvalid
            | ErrorCode::ConfigEndpointInvalid
            | ErrorCode::ObjectNotExportable
            | ErrorCode::ObjectTooLargeToExport
            | ErrorCode::PermDenied
            | ErrorCode::ResourceNotFound
    )
}
