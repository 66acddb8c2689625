//! Pages on the wire: which slice a request wants, and the links to the next one.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use wharf_domain::Timestamp;
use wharf_domain::input::Reader;
use wharf_domain::page::{Page, PageCursor, PageRequest, PageStart};

use crate::error::ApiError;
use crate::query::Query;

/// Which page of a list is wanted. When several places are named, a cursor wins over an offset and an offset over a
/// page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "documents the parameters that `Paging::read` reads"
)]
pub(crate) struct PageParams {
    /// Items per page; 10 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The same as `limit`.
    #[param(minimum = 1, maximum = 1000)]
    page_size: Option<u32>,
    /// How many items to skip.
    #[param(minimum = 0, maximum = 10000)]
    offset: Option<u32>,
    /// Which page, from 1.
    #[param(minimum = 1)]
    page: Option<u32>,
    /// Where to go on: the `next_cursor` of an earlier page.
    cursor: Option<String>,
    /// The same as `cursor`.
    next_cursor: Option<String>,
    /// The same as `cursor`.
    after: Option<String>,
    /// Whether `pagination.total` and `pagination.total_pages` are wanted.
    include_total: Option<bool>,
}

/// Where a page stands in its list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PaginationResponse)]
pub(crate) struct Pagination {
    /// Items on all pages; null unless `include_total` was set.
    total: Option<u64>,
    /// Which page this is, from 1; null when a cursor was given.
    page: Option<u32>,
    /// Most items per page.
    page_size: u32,
    /// How many pages there are; null unless `include_total` was set.
    total_pages: Option<u64>,
    /// The next page, relative to this server; null on the last one.
    next_page: Option<String>,
    /// The page before, relative to this server; null on the first one and after a cursor.
    previous_page: Option<String>,
    /// The cursor of the next page; null on the last one.
    next_cursor: Option<String>,
}

/// A wish for a page from either part of a request.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Wish {
    limit: Option<u32>,
    offset: Option<u32>,
    page: Option<u32>,
}

impl Wish {
    /// As many as there may be, for a list that the published API has no pages of.
    pub(crate) fn most() -> Self {
        Self {
            limit: Some(PageRequest::MAX_LIMIT),
            ..Self::default()
        }
    }

    /// The wish in the bodies of some lists. The query's wins over it.
    pub(crate) fn read_body(reader: &mut Reader) -> Self {
        let narrow = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
        let limit = narrow(reader.integer("limit", 1, PageRequest::MAX_LIMIT.into()));
        let page_size = narrow(reader.integer("page_size", 1, PageRequest::MAX_LIMIT.into()));
        if limit
            .zip(page_size)
            .is_some_and(|(limit, page_size)| limit != page_size)
        {
            reader.reject(
                "page_size",
                "contradiction",
                "differs from limit; give one of them",
            );
        }
        Self {
            limit: limit.or(page_size),
            offset: narrow(reader.integer("offset", 0, PageRequest::MAX_OFFSET.into())),
            page: narrow(reader.integer("page", 1, i32::MAX.unsigned_abs().into())),
        }
    }

    fn read_query(query: &mut Query) -> Self {
        let limit = query.integer("limit", 1, PageRequest::MAX_LIMIT);
        let page_size = query.integer("page_size", 1, PageRequest::MAX_LIMIT);
        if limit
            .zip(page_size)
            .is_some_and(|(limit, page_size)| limit != page_size)
        {
            query.reject(
                "page_size",
                "contradiction",
                "differs from limit; give one of them",
            );
        }
        Self {
            limit: limit.or(page_size),
            offset: query.integer("offset", 0, PageRequest::MAX_OFFSET),
            page: query.integer("page", 1, i32::MAX.unsigned_abs()),
        }
    }
}

/// The wanted page, and what its links are made of.
#[derive(Debug)]
pub(crate) struct Paging {
    pub(crate) request: PageRequest,
    path: String,
    kept: Vec<(String, String)>,
}

/// All but the characters that mean nothing special anywhere in an address.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const PAGING_KEYS: [&str; 7] = [
    "limit",
    "page_size",
    "offset",
    "page",
    "cursor",
    "next_cursor",
    "after",
];

impl Paging {
    /// Reads the wish in the query, with a body's wish beneath it, and ends the reading of the query.
    ///
    /// # Errors
    /// Every mistake in the query.
    pub(crate) fn read(mut query: Query, body: Wish) -> Result<Self, ApiError> {
        let in_query = Wish::read_query(&mut query);
        // The query wins, so that a link of ours leads on whatever body it is followed with.
        let limit = in_query
            .limit
            .or(body.limit)
            .unwrap_or(PageRequest::DEFAULT_LIMIT);
        let place = if in_query.offset.or(in_query.page).is_some() {
            in_query
        } else {
            body
        };
        let cursor = Self::cursor(&mut query);
        let include_total = query.boolean("include_total").unwrap_or(false);
        let start = match (cursor, place.offset, place.page) {
            (Some(cursor), _, _) => PageStart::After(cursor),
            (None, Some(offset), _) => PageStart::Offset(offset),
            (None, None, Some(page)) => {
                let offset = u64::from(page - 1) * u64::from(limit);
                let offset = u32::try_from(offset)
                    .ok()
                    .filter(|offset| *offset <= PageRequest::MAX_OFFSET);
                if offset.is_none() {
                    let message = "lies too far into the list; follow next_cursor instead";
                    query.reject("page", "out_of_range", message);
                }
                PageStart::Offset(offset.unwrap_or(0))
            }
            (None, None, None) => PageStart::Offset(0),
        };
        let kept = query
            .known()
            .filter(|(key, _)| !PAGING_KEYS.contains(&key.as_str()))
            .cloned()
            .collect();
        let path = query.path().to_owned();
        query.finish()?;
        Ok(Self {
            request: PageRequest {
                limit,
                start,
                include_total,
            },
            path,
            kept,
        })
    }

    fn cursor(query: &mut Query) -> Option<PageCursor> {
        let mut given: Vec<(&str, String)> = Vec::new();
        for name in ["cursor", "next_cursor", "after"] {
            if let Some(text) = query.string(name, 200) {
                given.push((name, text));
            }
        }
        let (name, text) = given.first()?.clone();
        if given.iter().any(|(_, other)| *other != text) {
            query.reject(
                name,
                "contradiction",
                "differs from another cursor; give one of them",
            );
            return None;
        }
        let cursor = PageCursor::parse(&text).filter(|cursor| storable(cursor.created_at));
        if cursor.is_none() {
            query.reject(
                name,
                "cursor",
                "is no cursor of this list; take it from next_cursor",
            );
        }
        cursor
    }

    /// Where a page that was found stands.
    pub(crate) fn describe<T>(&self, page: &Page<T>) -> Pagination {
        let PageRequest {
            limit,
            start,
            include_total,
        } = &self.request;
        let (number, next, previous) = match start {
            PageStart::Offset(offset) => {
                let following = offset + limit;
                let next = page.next.as_ref().map(|cursor| {
                    if following <= PageRequest::MAX_OFFSET {
                        self.link("offset", &following.to_string())
                    } else {
                        self.link("cursor", &cursor.to_string())
                    }
                });
                let previous = (*offset > 0).then(|| self.link_to_page_before(*offset, page.total));
                (Some(offset / limit + 1), next, previous)
            }
            PageStart::After(_) => (
                None,
                page.next
                    .as_ref()
                    .map(|cursor| self.link("cursor", &cursor.to_string())),
                None,
            ),
        };
        Pagination {
            total: include_total.then_some(page.total),
            page: number,
            page_size: *limit,
            total_pages: include_total.then(|| page.total.div_ceil(u64::from(*limit))),
            next_page: next,
            previous_page: previous,
            next_cursor: page.next.as_ref().map(ToString::to_string),
        }
    }

    /// The page that ends where this one starts; from beyond the end of the list, its last page.
    fn link_to_page_before(&self, offset: u32, total: u64) -> String {
        let end = u32::try_from(total).unwrap_or(u32::MAX).min(offset);
        let limit = self.request.limit.min(end.max(1));
        let before = end.saturating_sub(limit).to_string();
        self.link_of(limit, "offset", &before)
    }

    fn link(&self, key: &str, value: &str) -> String {
        self.link_of(self.request.limit, key, value)
    }

    fn link_of(&self, limit: u32, key: &str, value: &str) -> String {
        let limit = limit.to_string();
        let place = [("limit", limit.as_str()), (key, value)];
        let kept = self
            .kept
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        let pairs: Vec<String> = kept
            .chain(place)
            .map(|(key, value)| {
                let encode = |text| utf8_percent_encode(text, ENCODED).to_string();
                format!("{}={}", encode(key), encode(value))
            })
            .collect();
        format!("{}?{}", self.path, pairs.join("&"))
    }
}

/// Whether a time that a caller made up fits into every database.
fn storable(time: Timestamp) -> bool {
    let last = Timestamp::from_timestamp(253_402_300_799, 0);
    time.timestamp() >= 0 && last.is_none_or(|last| time <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str) -> Result<Paging, ApiError> {
        Paging::read(Query::parse(uri), Wish::default())
    }

    fn page(next: bool, total: u64) -> Page<()> {
        let next = next.then(|| PageCursor::parse("1767225600000000-bkt_x").expect("a cursor"));
        Page {
            items: Vec::new(),
            next,
            total,
        }
    }

    #[test]
    fn a_cursor_wins_over_an_offset_and_an_offset_over_a_page() {
        let start = |uri| read(uri).expect("good parameters").request.start;
        assert!(matches!(
            start("/x?cursor=1-a&offset=5&page=3"),
            PageStart::After(_)
        ));
        assert_eq!(start("/x?offset=5&page=3"), PageStart::Offset(5));
        assert_eq!(start("/x?page=3&page_size=20"), PageStart::Offset(40));
        assert_eq!(start("/x?ignored=1"), PageStart::Offset(0));
    }

    #[test]
    fn the_query_wins_over_the_body() {
        let body = Wish {
            limit: Some(3),
            offset: None,
            page: Some(2),
        };
        let paging =
            Paging::read(Query::parse("/x?limit=50&offset=7"), body).expect("good parameters");
        assert_eq!(
            (paging.request.limit, paging.request.start),
            (50, PageStart::Offset(7))
        );
        let paging = Paging::read(Query::parse("/x"), body).expect("good parameters");
        assert_eq!(
            (paging.request.limit, paging.request.start),
            (3, PageStart::Offset(3))
        );
    }

    #[test]
    fn forged_and_contradictory_parameters_are_refused() {
        for query in [
            "limit=0",
            "limit=1001",
            "limit=x",
            "limit=1&page_size=2",
            "limit=1&limit=2",
            "offset=10001",
            "offset=-1",
            "page=0",
            "page=4294967295",
            "page=10000&limit=1000",
            "cursor=zzz",
            "cursor=1-a&after=2-a",
            "cursor=-9000000000000000000-a",
            "cursor=9000000000000000000-a",
            "cursor=99999999999999999999999-a",
            "include_total=maybe",
        ] {
            assert!(read(&format!("/x?{query}")).is_err(), "{query}");
        }
    }

    #[test]
    fn links_keep_the_parameters_that_were_read_and_are_null_at_the_ends() {
        let mut query = Query::parse("/x?offset=10&search=a%20b&api_key=secret&include_total=true");
        query.string("search", 100);
        let paging = Paging::read(query, Wish::default()).expect("good parameters");
        let described = paging.describe(&page(true, 35));
        assert_eq!(
            described.next_page.as_deref(),
            Some("/x?search=a%20b&include_total=true&limit=10&offset=20")
        );
        assert_eq!(
            described.previous_page.as_deref(),
            Some("/x?search=a%20b&include_total=true&limit=10&offset=0")
        );
        assert_eq!(
            (described.page, described.total, described.total_pages),
            (Some(2), Some(35), Some(4))
        );
        let last = read("/x")
            .expect("good parameters")
            .describe(&page(false, 1));
        assert_eq!(
            (
                last.next_page,
                last.previous_page,
                last.next_cursor,
                last.total
            ),
            (None, None, None, None)
        );
    }

    #[test]
    fn beyond_the_largest_offset_links_go_on_with_a_cursor() {
        let paging = read("/x?offset=10000").expect("good parameters");
        let next = paging
            .describe(&page(true, 20_000))
            .next_page
            .expect("a next page");
        assert!(next.contains("cursor=1767225600000000-bkt_x"), "{next}");
    }
}
