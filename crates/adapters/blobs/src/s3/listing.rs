//! Going through the bucket in the order of the keys, and clearing away uploads that nobody will complete.

use chrono::TimeDelta;
use wharf_domain::Timestamp;
use wharf_domain::object::BlobKey;
use wharf_ports::{BlobError, BlobPlace};

use super::S3Blobs;
use super::fault::Reason;
use super::put::may_be_of_parts;
use super::tries::patiently;

const LIST: &str = "s3:ListBucket";
/// So long after it was begun, an upload is ended by the next list.
const ABANDONED_AFTER: TimeDelta = TimeDelta::days(7);

pub(super) async fn list(
    store: &S3Blobs,
    after: Option<&BlobKey>,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<BlobPlace>, BlobError> {
    let prefix = store.place.prefix();
    let after_object = after.map(|key| format!("{prefix}{}", key.as_str()));
    let mut found: Vec<BlobPlace> = Vec::new();
    let mut token = None;
    while found.len() < limit {
        let left = limit - found.len();
        let page = patiently(|| {
            store
                .wire
                .list(prefix, after_object.as_deref(), token.clone(), left)
        })
        .await
        .map_err(|failure| store.unavailable(LIST, failure))?;
        for listed in page.objects {
            let Some(key) = store.place.blob(&listed.object) else {
                continue;
            };
            let last = found.last().map(|place| &place.key).or(after);
            if last.is_some_and(|last| key <= *last) {
                // Not every store heeds where to begin; but what comes later must not have come before.
                if found.is_empty() {
                    continue;
                }
                return Err(store.unavailable(LIST, Reason::Unordered.into()));
            }
            // Amazon dates what was written in parts by the beginning of its upload.
            let written_by = if may_be_of_parts(listed.size) {
                listed.modified.map(|begun| begun + ABANDONED_AFTER)
            } else {
                listed.modified
            };
            // The store's clock is within a quarter of an hour of ours, or it would take no request.
            let age = written_by
                .and_then(|written| (now - written).to_std().ok())
                .unwrap_or_default();
            found.push(BlobPlace { key, age });
            if found.len() == limit {
                break;
            }
        }
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    Ok(found)
}

/// Ends uploads of blobs that were begun long ago. The key may lack the permission, or the store the request; then the
/// bucket's lifecycle rule has to do it.
pub(super) async fn clear_abandoned(store: &S3Blobs, now: Timestamp) {
    let Ok(unfinished) = store.wire.unfinished(store.place.prefix()).await else {
        return;
    };
    for upload in unfinished {
        let ours = store.place.blob(&upload.object).is_some();
        let old = upload
            .begun
            .is_some_and(|begun| now - begun > ABANDONED_AFTER);
        if ours && old && store.wire.abort(&upload.object, &upload.id).await.is_ok() {
            tracing::info!(object = %upload.object, "ended an upload that was left unfinished");
        }
    }
}
