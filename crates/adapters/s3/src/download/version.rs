//! Which version of an object is read: what to ask for, and whether an answer is it.

use chrono::{DateTime, Utc};
use wharf_domain::error_code::ErrorCode;

use crate::error::Fault;
use crate::listing::{bare_tag, whole_seconds};
use crate::wire::{Condition, Opened};

/// What to ask for, given the part of an entry's version before the size.
pub(super) fn condition(tag: &str) -> Condition {
    if let Ok(time) = DateTime::parse_from_rfc3339(tag) {
        return Condition::UnmodifiedSince(time.with_timezone(&Utc));
    }
    if is_matchable(tag) {
        Condition::Tag(tag.to_owned())
    } else {
        Condition::Any
    }
}

/// A weak tag never matches, and what is no plain text cannot be sent.
fn is_matchable(tag: &str) -> bool {
    !tag.is_empty() && !tag.starts_with("W/") && tag.bytes().all(|b| b.is_ascii_graphic())
}

/// Not every store heeds conditions, so the first answer is looked at, too.
pub(super) fn is_listed(opened: &Opened, tag: &str, size: Option<u64>) -> bool {
    let about = &opened.about;
    let same_tag = match (&about.etag, about.modified, condition(tag)) {
        (Some(etag), _, Condition::Tag(tag)) => bare_tag(etag).trim_start_matches("W/") == tag,
        (_, Some(modified), Condition::UnmodifiedSince(time)) => {
            whole_seconds(modified) == whole_seconds(time)
        }
        _ => true,
    };
    let total = total(opened);
    let same_size = total.is_none() || size.is_none() || total == size;
    same_tag && same_size
}

/// The size of the object that an answer comes from, if it says.
pub(super) fn total(opened: &Opened) -> Option<u64> {
    if opened.partial {
        range(opened)?.total
    } else {
        opened.about.length
    }
}

/// The first byte of the object that an answer has, if it says.
pub(super) fn start(opened: &Opened) -> Option<u64> {
    if opened.partial {
        range(opened).map(|range| range.start)
    } else {
        Some(0)
    }
}

pub(super) fn changed() -> Fault {
    Fault::new(
        ErrorCode::ResourceChanged,
        "the object has changed since it was listed",
    )
}

pub(super) fn another_part() -> Fault {
    Fault::new(
        ErrorCode::ProtocolUnexpectedResponse,
        "the store sent another part of the object than it was asked for",
    )
}

/// What part of an object an answer has.
struct Range {
    start: u64,
    total: Option<u64>,
}

fn range(opened: &Opened) -> Option<Range> {
    read_range(opened.content_range.as_deref()?)
}

/// `bytes 5-9/10`, or `bytes 5-9/*`.
fn read_range(text: &str) -> Option<Range> {
    let (part, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = part.split_once('-')?;
    let (start, end): (u64, u64) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    let sound = start <= end && total.is_none_or(|total| end < total);
    sound.then_some(Range { start, total })
}

/// The version that the first answer gave, by which later ones are asked for and recognized.
///
/// Only a strong `ETag` will do: two versions can be of the same second, or share a weak one.
#[derive(Debug)]
pub(super) struct Version {
    etag: Option<String>,
    /// What the rest has to be asked for with.
    pub(super) condition: Condition,
    /// The version's own name, where the store keeps versions.
    pub(super) id: Option<String>,
}

impl Version {
    pub(super) fn of(first: &Opened) -> Self {
        let etag = bare(first);
        let condition = match &etag {
            Some(tag) if is_matchable(tag) => Condition::Tag(tag.clone()),
            _ => Condition::Any,
        };
        Self {
            etag,
            condition,
            id: first.about.named_version().map(ToOwned::to_owned),
        }
    }

    /// Whether there is anything to recognize the version by.
    pub(super) fn is_known(&self) -> bool {
        self.condition != Condition::Any
    }

    /// Whether a later answer is of this version, as far as that shows in its head.
    pub(super) fn is_of(&self, later: &Opened) -> bool {
        self.etag == bare(later)
    }
}

fn bare(opened: &Opened) -> Option<String> {
    let etag = opened.about.etag.as_deref().map(bare_tag)?;
    Some(etag.into_owned()).filter(|etag| !etag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listed_version_says_what_to_ask_for() {
        let date = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        for (tag, expected) in [
            (
                "d41d8cd98f00b204e9800998ecf8427e",
                Condition::Tag("d41d8cd98f00b204e9800998ecf8427e".into()),
            ),
            ("abc-3", Condition::Tag("abc-3".into())),
            ("W/abc", Condition::Any),
            ("a\nb", Condition::Any),
            ("", Condition::Any),
            ("2023-11-14T22:13:20Z", Condition::UnmodifiedSince(date)),
        ] {
            assert_eq!(condition(tag), expected, "{tag}");
        }
    }

    #[test]
    fn a_range_is_read_only_if_it_makes_sense() {
        for (text, expected) in [
            ("bytes 5-9/10", Some((5, Some(10)))),
            ("bytes 0-0/1", Some((0, Some(1)))),
            ("bytes 5-9/*", Some((5, None))),
            ("bytes 5-10/10", None),
            ("bytes 9-5/10", None),
            ("bytes */10", None),
            ("bytes -5/10", None),
            ("items 5-9/10", None),
            ("bytes 5-9", None),
            ("", None),
        ] {
            let read = read_range(text).map(|range| (range.start, range.total));
            assert_eq!(read, expected, "{text}");
        }
    }
}
