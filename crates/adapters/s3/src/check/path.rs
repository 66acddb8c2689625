//! What a sync of one source path would need: to list it and to read, decrypt and look up the tags of what lies there.

use wharf_domain::check::Check;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_domain::provider::BucketPath;
use wharf_ports::ListingPage;

use super::patience::{Patience, Timed};
use crate::error::{Call, Fault};
use crate::listing;
use crate::wire::{Hint, Wire};

const LIST: &str = "list";
const READ: &str = "read";
const TAGS: &str = "tags";
const DECRYPT: &str = "decrypt";

/// Among how many objects one to read is looked for.
const LOOKED_AT: u32 = 100;

/// How many of them are tried, if the first is one of those that no sync copies.
const TRIED: usize = 3;

/// The checks of a path, when the connection has passed its own.
pub(super) async fn checks(wire: &Wire, patience: &Patience, source_path: &str) -> Vec<Check> {
    let Ok(path) = BucketPath::parse(source_path, "source_path") else {
        let remedy = "The source path must start with a bucket, as in bucket/prefix.";
        let list = Check::failed(LIST, ErrorCode::ResourceNotFound, None, remedy, 0);
        return and_skipped(list);
    };
    if patience.is_over() {
        return skipped();
    }
    let listed = patience
        .call(|| listing::list_under(wire, &path, None, LOOKED_AT))
        .await;
    let page = match listed.answer {
        Ok(page) => page,
        Err(fault) => {
            let action = Some(Call::list(&path).to_string());
            return and_skipped(Check::failed(
                LIST,
                fault.code,
                action,
                fault.advice(),
                listed.ms,
            ));
        }
    };
    let mut checks = vec![Check::passed(LIST, listed.ms)];
    checks.extend(of_objects(wire, patience, &path, &page).await);
    checks
}

/// The checks of a path that nothing could be asked about.
pub(super) fn skipped() -> Vec<Check> {
    and_skipped(Check::skipped(LIST))
}

fn and_skipped(list: Check) -> Vec<Check> {
    let others = [READ, TAGS, DECRYPT].map(Check::skipped);
    std::iter::once(list).chain(others).collect()
}

async fn of_objects(
    wire: &Wire,
    patience: &Patience,
    path: &BucketPath,
    page: &ListingPage,
) -> [Check; 3] {
    let Some((key, read)) = read(wire, patience, path, page).await else {
        return unread(path, page);
    };
    let tags = if patience.is_over() {
        Check::skipped(TAGS)
    } else {
        let looked_up = patience.call(|| wire.tags(path.bucket(), key)).await;
        tags(patience, path, looked_up)
    };
    let decrypt = decrypt(&path.source_path_of(key), &read);
    [readable(path, read), tags, decrypt]
}

/// Reads the first byte of an object, of the first that is not one of those that no sync copies.
async fn read<'a>(
    wire: &Wire,
    patience: &Patience,
    path: &BucketPath,
    page: &'a ListingPage,
) -> Option<(&'a str, Timed<()>)> {
    let keys = page
        .entries
        .iter()
        .filter_map(|entry| key_with_bytes(path, entry));
    let mut last = None;
    for key in keys.take(TRIED) {
        let read = patience.call(|| wire.first_byte(path.bucket(), key)).await;
        let passed_over = read.answer.as_ref().is_err_and(is_of_object);
        last = Some((key, read));
        if !passed_over || patience.is_over() {
            break;
        }
    }
    last
}

fn key_with_bytes<'a>(path: &BucketPath, entry: &'a Entry) -> Option<&'a str> {
    let key = entry
        .object
        .strip_prefix(path.bucket())?
        .strip_prefix('/')?;
    let has_bytes = entry.unreadable.is_none() && entry.size_bytes != Some(0);
    (has_bytes && !key.trim().is_empty()).then_some(key)
}

/// Whether the fault speaks of this one object, and of nothing beside it.
fn is_of_object(fault: &Fault) -> bool {
    matches!(
        fault.code,
        ErrorCode::ObjectCustomerKey
            | ErrorCode::ResourceArchived
            | ErrorCode::ResourceChanged
            | ErrorCode::ResourceNotFound
    )
}

fn is_of_key(fault: &Fault) -> bool {
    fault.hint == Some(Hint::EncryptionKey)
}

fn readable(path: &BucketPath, read: Timed<()>) -> Check {
    let action = Some(Call::get_under(path).to_string());
    match read.answer {
        Ok(()) => Check::passed(READ, read.ms),
        Err(fault) if is_of_key(&fault) => {
            let remedy =
                "The store got as far as decrypting the object, which the check decrypt is about.";
            Check::inconclusive(READ, fault.code, action, remedy, read.ms)
        }
        Err(fault) if is_of_object(&fault) => {
            Check::inconclusive(READ, fault.code, action, fault.advice(), read.ms)
        }
        Err(fault) => Check::failed(READ, fault.code, action, fault.advice(), read.ms),
    }
}

fn decrypt(object: &str, read: &Timed<()>) -> Check {
    match &read.answer {
        Ok(()) => Check::passed(DECRYPT, read.ms),
        Err(fault) if is_of_key(fault) => {
            let action = Some(Call::decrypt(object).to_string());
            Check::failed(DECRYPT, fault.code, action, fault.advice(), read.ms)
        }
        Err(fault) if is_of_object(fault) => {
            Check::inconclusive(DECRYPT, fault.code, None, fault.advice(), read.ms)
        }
        Err(_) => Check::skipped(DECRYPT),
    }
}

fn tags(patience: &Patience, path: &BucketPath, looked_up: Timed<()>) -> Check {
    let action = Some(Call::tags_under(path).to_string());
    let ms = looked_up.ms;
    match looked_up.answer {
        Ok(()) => Check::passed(TAGS, ms),
        Err(fault) if patience.ended(&fault) => {
            Check::failed(TAGS, fault.code, action, fault.advice(), ms)
        }
        // The store has no tags. Some do not say so, but answer something else.
        Err(fault)
            if matches!(
                fault.code,
                ErrorCode::ConfigEndpointInvalid | ErrorCode::ProtocolUnexpectedResponse
            ) =>
        {
            Check::skipped(TAGS)
        }
        Err(fault) => {
            let remedy = format!("{} Only syncs that map tags need this.", fault.advice());
            Check::inconclusive(TAGS, fault.code, action, remedy, ms)
        }
    }
}

/// The checks of objects where there is none to try them on.
fn unread(path: &BucketPath, page: &ListingPage) -> [Check; 3] {
    let archived = Some(ErrorCode::ResourceArchived.as_str());
    let (code, why) = if page
        .entries
        .iter()
        .any(|entry| entry.unreadable == archived)
    {
        (
            ErrorCode::ResourceArchived,
            "What was looked at there is archived or empty",
        )
    } else if page.entries.is_empty() && page.next.is_none() {
        (ErrorCode::ResourceNotFound, "Nothing lies there")
    } else {
        (
            ErrorCode::ResourceNotFound,
            "What was looked at there has no bytes",
        )
    };
    let remedy = format!(
        "{why}, so nothing could be read. Check the spelling of {path}, or put an object there, and test again."
    );
    [
        (READ, Call::get_under(path)),
        (TAGS, Call::tags_under(path)),
        (DECRYPT, Call::decrypt(&format!("objects under {path}"))),
    ]
    .map(|(name, call)| Check::inconclusive(name, code, Some(call.to_string()), remedy.clone(), 0))
}
