//! Channels on which Drive tells that something has changed.

use std::time::Duration;

use chrono::TimeDelta;
use wharf_domain::Timestamp;
use wharf_domain::error_code::ErrorCode;
use wharf_ports::{ProviderError, WatchRequest, Watching};

use crate::error::{Call, Fault};
use crate::reach::Reach;
use crate::source::Scope;
use crate::wire;

/// Drive keeps a channel for changes no longer.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// Has Drive announce changes in the feed that a source is in. What the source is not concerned with is announced, too.
pub(crate) async fn watch(
    reach: &Reach,
    source_path: &str,
    request: &WatchRequest<'_>,
    now: Timestamp,
) -> Result<Watching, ProviderError> {
    let scope = Scope::parse(source_path);
    let watched = watch_in(reach, &scope, request, now).await;
    watched.map_err(|fault| fault.during(&Call::new("drive.changes.watch").on(scope.path)))
}

async fn watch_in(
    reach: &Reach,
    scope: &Scope,
    request: &WatchRequest<'_>,
    now: Timestamp,
) -> Result<Watching, Fault> {
    let home = reach.home(&scope.path).await?;
    let drive = home.drive_id();
    let token = reach.wire.start_page_token(drive).await?;
    let ttl = TimeDelta::from_std(request.ttl.min(LONGEST)).unwrap_or_default();
    let wanted = now + ttl;
    let channel = reach
        .wire
        .watch_changes(
            &token,
            drive,
            &wire::WatchRequest {
                channel: request.channel,
                address: request.address,
                token: request.token.expose(),
                expires_at_ms: wanted.timestamp_millis(),
            },
        )
        .await?;
    Ok(Watching {
        resource: channel.resource,
        expires_at: channel.expires_at.unwrap_or(wanted),
    })
}

/// Ends a channel, unless it has ended.
pub(crate) async fn unwatch(
    reach: &Reach,
    channel: &str,
    resource: &str,
) -> Result<(), ProviderError> {
    match reach.wire.stop_channel(channel, resource).await {
        Ok(()) => Ok(()),
        Err(failure) => {
            let fault = Fault::from(failure);
            if fault.code == ErrorCode::ResourceNotFound {
                return Ok(());
            }
            Err(fault.during(&Call::new("drive.channels.stop")))
        }
    }
}
