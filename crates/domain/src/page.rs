//! Pages of a list: what was asked for, and what came back.

use std::fmt;

use crate::Timestamp;

/// Which slice of a newest-first list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Most items to return, 1 to 1000.
    pub limit: u32,
    /// Where to start.
    pub start: PageStart,
    /// Whether the caller wants the number of pages.
    pub include_total: bool,
}

impl PageRequest {
    /// Items returned when the caller does not say.
    pub const DEFAULT_LIMIT: u32 = 10;
    /// Most items per page.
    pub const MAX_LIMIT: u32 = 1000;
    /// Largest offset; further pages need a cursor.
    pub const MAX_OFFSET: u32 = 10_000;

    /// The first `limit` items.
    pub fn first(limit: u32) -> Self {
        Self {
            limit,
            start: PageStart::Offset(0),
            include_total: false,
        }
    }
}

/// Where a page starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageStart {
    /// After skipping this many items.
    Offset(u32),
    /// After the item at this position.
    After(PageCursor),
}

/// The position of one item in a newest-first list: its creation time and, to break ties, its identifier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageCursor {
    /// The item's creation time.
    pub created_at: Timestamp,
    /// The item's identifier.
    pub id: String,
}

impl PageCursor {
    /// Reads the text form, `<microseconds since 1970>-<identifier>`.
    pub fn parse(text: &str) -> Option<Self> {
        let (micros, id) = text.split_once('-')?;
        let created_at = Timestamp::from_timestamp_micros(micros.parse().ok()?)?;
        let sound = !id.is_empty()
            && id.len() <= 64
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        sound.then(|| Self {
            created_at,
            id: id.to_owned(),
        })
    }
}

impl fmt::Display for PageCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.created_at.timestamp_micros(), self.id)
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// Where the next page starts; `None` on the last page.
    pub next: Option<PageCursor>,
    /// How many items match, before paging.
    pub total: u64,
}

impl<T> Page<T> {
    /// The page of a list that holds nothing.
    pub fn empty() -> Self {
        Self {
            items: Vec::new(),
            next: None,
            total: 0,
        }
    }

    /// The same page with every item turned into something else.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(f).collect(),
            next: self.next,
            total: self.total,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_form() {
        let created_at = Timestamp::from_timestamp_micros(1_700_000_000_123_456).expect("in range");
        let cursor = PageCursor {
            created_at,
            id: "conn_abc123DEF456ghi".into(),
        };
        assert_eq!(PageCursor::parse(&cursor.to_string()), Some(cursor));
    }

    #[test]
    fn forged_cursors_are_refused() {
        for text in [
            "",
            "-",
            "x-conn_1",
            "1-",
            "1-a b",
            "9223372036854775807-conn_1",
            "1-'; drop",
        ] {
            assert_eq!(PageCursor::parse(text), None, "{text}");
        }
    }
}
