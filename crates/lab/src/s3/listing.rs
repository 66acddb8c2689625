//! Paging through a bucket: which entries a page holds and where the next one starts. Keys are ordered
//! by their UTF-8 bytes, which is how strings compare.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Bound;
use std::sync::Arc;

use super::store::Object;

/// The last thing listed: the next page starts after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Position {
    /// A key, listed or merely named by `start-after`.
    Key(String),
    /// A common prefix, with all the keys it stands for.
    Prefix(String),
}

impl Position {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Key(text) | Self::Prefix(text) => text,
        }
    }
}

/// What a continuation token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) after: Option<Position>,
    /// Whether the page that gave it was empty on purpose.
    pub(crate) after_empty_page: bool,
}

impl Token {
    pub(crate) fn after(after: Option<Position>) -> Self {
        Self {
            after,
            after_empty_page: false,
        }
    }

    /// An opaque text for clients to hand back.
    pub(crate) fn encode(&self) -> String {
        let (kind, text) = match &self.after {
            None => ('s', ""),
            Some(Position::Key(key)) => ('k', key.as_str()),
            Some(Position::Prefix(prefix)) => ('p', prefix.as_str()),
        };
        let page = if self.after_empty_page { 'e' } else { 'f' };
        hex::encode(format!("{page}{kind}{text}"))
    }

    pub(crate) fn decode(token: &str) -> Option<Self> {
        let plain = String::from_utf8(hex::decode(token).ok()?).ok()?;
        let (head, text) = plain.split_at_checked(2)?;
        let (page, kind) = head.split_at_checked(1)?;
        let after_empty_page = match page {
            "e" => true,
            "f" => false,
            _ => return None,
        };
        let after = match kind {
            "s" => None,
            "k" => Some(Position::Key(text.to_owned())),
            "p" => Some(Position::Prefix(text.to_owned())),
            _ => return None,
        };
        Some(Self {
            after,
            after_empty_page,
        })
    }
}

pub(crate) enum Entry<'a> {
    Object(&'a str, &'a Object),
    CommonPrefix(&'a str),
}

pub(crate) struct Page<'a> {
    pub(crate) entries: Vec<Entry<'a>>,
    /// Where the next page starts, when there is more.
    pub(crate) next: Option<Position>,
}

/// At most `limit` entries with this prefix, from after this position.
pub(crate) fn page<'a>(
    objects: &'a BTreeMap<String, Arc<Object>>,
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<&Position>,
    limit: usize,
) -> Page<'a> {
    let mut entries = Vec::new();
    if limit == 0 {
        return Page {
            entries,
            next: None,
        };
    }
    let start = match after {
        Some(Position::Key(key)) if key.as_str() >= prefix => Bound::Excluded(key.as_str()),
        Some(Position::Prefix(common)) if common.as_str() >= prefix => {
            Bound::Included(common.as_str())
        }
        _ => Bound::Included(prefix),
    };
    let told = |key: &str| matches!(after, Some(Position::Prefix(common)) if key.starts_with(common.as_str()));
    let mut keys = objects
        .range::<str, _>((start, Bound::Unbounded))
        .skip_while(|(key, _)| told(key))
        .take_while(|(key, _)| key.starts_with(prefix))
        .peekable();
    while let Some((key, object)) = keys.next() {
        let position = if let Some(common) = common_prefix(key, prefix, delimiter) {
            while keys.next_if(|(key, _)| key.starts_with(common)).is_some() {}
            entries.push(Entry::CommonPrefix(common));
            Position::Prefix(common.to_owned())
        } else {
            entries.push(Entry::Object(key, object));
            Position::Key(key.clone())
        };
        if entries.len() == limit {
            let next = keys.peek().is_some().then_some(position);
            return Page { entries, next };
        }
    }
    Page {
        entries,
        next: None,
    }
}

/// The same in an order of no meaning, and without common prefixes.
pub(crate) fn page_out_of_order<'a>(
    objects: &'a BTreeMap<String, Arc<Object>>,
    prefix: &str,
    after: Option<&Position>,
    limit: usize,
) -> Page<'a> {
    let place = |key: &str| (mixed(key), key.to_owned());
    let after = after.map(|after| place(after.text()));
    let mut keys: Vec<_> = objects
        .iter()
        .filter(|(key, _)| key.starts_with(prefix))
        .filter(|(key, _)| after.as_ref().is_none_or(|after| place(key) > *after))
        .collect();
    keys.sort_by_cached_key(|(key, _)| place(key));
    let more = keys.len() > limit;
    keys.truncate(limit);
    let last = keys.last().filter(|_| more);
    Page {
        next: last.map(|(key, _)| Position::Key((*key).clone())),
        entries: keys
            .into_iter()
            .map(|(key, object)| Entry::Object(key, object))
            .collect(),
    }
}

/// A number that says nothing about the key.
pub(crate) fn mixed(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The key up to the first delimiter after the prefix, if it has one there.
fn common_prefix<'a>(key: &'a str, prefix: &str, delimiter: Option<&str>) -> Option<&'a str> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let at = key[prefix.len()..].find(delimiter)?;
    Some(&key[..prefix.len() + at + delimiter.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::store::{NewObject, Store};

    const KEYS: [&str; 8] = ["a", "b/1", "b/2", "b/c/3", "b0", "c//x", "d", "\u{10000}"];

    /// Every entry of all pages of this size, common prefixes marked.
    fn listed(prefix: &str, delimiter: Option<&str>, limit: usize) -> Vec<String> {
        let store = Store::default();
        for key in KEYS {
            store.put("bkt", key, NewObject::of("x".into()));
        }
        store
            .in_bucket("bkt", |bucket| {
                let mut all = Vec::new();
                let mut after = None;
                loop {
                    let page = page(&bucket.objects, prefix, delimiter, after.as_ref(), limit);
                    assert!(page.entries.len() <= limit);
                    all.extend(page.entries.iter().map(|entry| match entry {
                        Entry::Object(key, _) => (*key).to_owned(),
                        Entry::CommonPrefix(prefix) => format!("{prefix}*"),
                    }));
                    let Some(next) = page.next else { return all };
                    let token = Token {
                        after: Some(next),
                        after_empty_page: false,
                    };
                    after = Token::decode(&token.encode()).and_then(|token| token.after);
                    assert!(after.is_some());
                }
            })
            .unwrap()
    }

    #[test]
    fn pages_of_any_size_hold_every_key_once_in_byte_order() {
        for limit in 1..=KEYS.len() + 1 {
            assert_eq!(listed("", None, limit), KEYS);
            assert_eq!(listed("b/", None, limit), ["b/1", "b/2", "b/c/3"]);
            assert_eq!(listed("zz", None, limit), Vec::<String>::new());
        }
    }

    #[test]
    fn keys_below_a_delimiter_are_rolled_up_across_pages() {
        for limit in 1..=KEYS.len() {
            assert_eq!(
                listed("", Some("/"), limit),
                ["a", "b/*", "b0", "c/*", "d", "\u{10000}"]
            );
            assert_eq!(listed("b/", Some("/"), limit), ["b/1", "b/2", "b/c/*"]);
            assert_eq!(listed("c/", Some("/"), limit), ["c//*"]);
        }
    }

    #[test]
    fn a_token_that_was_never_given_is_refused() {
        for token in ["", "zz", "66", "667878", "c3a9"] {
            assert_eq!(Token::decode(token), None, "{token}");
        }
    }
}
