//! What a sync of one source path would need: to list it and to read, decrypt and look up the tags of what lies there.

use wharf_domain::check::Check;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_domain::provider::BucketPath;
use wharf_ports::ListingPage;

use super::patience::{Patience, Timed};
use crate::error::{Call, Fault};
use crate::listing;
use crate::wire::{Hint, Tagged, Wire};

const LIST: &str = "list";
const READ: &str = "read";
const TAGS: &str = "tags";
const DECRYPT: &str = "decrypt";

/// Among how many objects one to read is looked for.
const LOOKED_AT: u32 = 100;

/// How many of them are tried, if the first may not be read or is one of those that no sync copies.
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
    let Some(Tried { key, read, refused }) = read(wire, patience, path, page).await else {
        return unread(path, page);
    };
    let tags = if patience.is_over() {
        Check::skipped(TAGS)
    } else {
        let looked_up = patience.call(|| wire.tags(path.bucket(), key)).await;
        tags(patience, path, looked_up)
    };
    let decrypt = decrypt(&path.source_path_of(key), &read, refused.as_ref());
    [readable(path, read, refused.as_ref()), tags, decrypt]
}

/// What trying to read came to.
struct Tried<'a> {
    key: &'a str,
    read: Timed<()>,
    /// An object that was refused before another one could be read.
    refused: Option<Denial>,
}

/// An object that may not be read.
struct Denial {
    object: String,
    fault: Fault,
}

/// Reads the first byte of an object: of the first that may be read and is none of those that no sync copies.
async fn read<'a>(
    wire: &Wire,
    patience: &Patience,
    path: &BucketPath,
    page: &'a ListingPage,
) -> Option<Tried<'a>> {
    let keys = page
        .entries
        .iter()
        .filter_map(|entry| key_with_bytes(path, entry));
    let mut denied: Option<(&str, Timed<()>)> = None;
    let mut passed_over = None;
    for key in keys.take(TRIED) {
        let read = patience.call(|| wire.first_byte(path.bucket(), key)).await;
        match &read.answer {
            Err(fault) if is_of_object(fault) => passed_over = Some((key, read)),
            Err(fault) if is_denied(fault) => {
                denied.get_or_insert((key, read));
            }
            _ => {
                let refused = denied.and_then(|(key, read)| {
                    let object = path.source_path_of(key);
                    let fault = read.answer.err()?;
                    Some(Denial { object, fault })
                });
                return Some(Tried { key, read, refused });
            }
        }
        if patience.is_over() {
            break;
        }
    }
    let (key, read) = denied.or(passed_over)?;
    let refused = None;
    Some(Tried { key, read, refused })
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

/// Whether the fault may speak of this one object, or of all.
fn is_denied(fault: &Fault) -> bool {
    matches!(
        fault.code,
        ErrorCode::PermDenied | ErrorCode::PermPolicyBlocked
    )
}

fn is_of_key(fault: &Fault) -> bool {
    fault.hint == Some(Hint::EncryptionKey)
}

fn readable(path: &BucketPath, read: Timed<()>, refused: Option<&Denial>) -> Check {
    let action = Some(Call::get_under(path).to_string());
    if let (Ok(()), Some(denial)) = (&read.answer, refused)
        && !is_of_key(&denial.fault)
    {
        let action = Some(Call::get_object(&denial.object).to_string());
        return Check::inconclusive(
            READ,
            denial.fault.code,
            action,
            others_pass(denial),
            read.ms,
        );
    }
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

/// What is refused is left out of a run as failed; it keeps nobody from copying the rest.
fn others_pass(denial: &Denial) -> String {
    let advice = denial.fault.advice();
    format!("Other objects there pass, so that a sync copies those. {advice}")
}

fn decrypt(object: &str, read: &Timed<()>, refused: Option<&Denial>) -> Check {
    if let (Ok(()), Some(denial)) = (&read.answer, refused)
        && is_of_key(&denial.fault)
    {
        let action = Some(Call::decrypt(&denial.object).to_string());
        let remedy = others_pass(denial);
        return Check::inconclusive(DECRYPT, denial.fault.code, action, remedy, read.ms);
    }
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

fn tags(patience: &Patience, path: &BucketPath, looked_up: Timed<Tagged>) -> Check {
    let action = Some(Call::tags_under(path).to_string());
    let ms = looked_up.ms;
    match looked_up.answer {
        Ok(_) => Check::passed(TAGS, ms),
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
