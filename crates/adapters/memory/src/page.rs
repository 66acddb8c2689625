//! Cuts newest-first lists into pages.

use wharf_domain::Timestamp;
use wharf_domain::page::{Page, PageCursor, PageRequest, PageStart};

/// The requested page of these rows.
pub(crate) fn page<'a, T: Clone + 'a>(
    rows: impl Iterator<Item = &'a T>,
    place: impl Fn(&T) -> (Timestamp, &str),
    request: &PageRequest,
) -> Page<T> {
    let mut rows: Vec<&T> = rows.collect();
    rows.sort_by(|a, b| place(b).cmp(&place(a)));
    let total = rows.len() as u64;
    let start = match &request.start {
        PageStart::Offset(offset) => usize::try_from(*offset).unwrap_or(usize::MAX),
        PageStart::After(cursor) => {
            rows.partition_point(|row| place(row) >= (cursor.created_at, cursor.id.as_str()))
        }
    };
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let rest = rows.get(start..).unwrap_or_default();
    let items = &rest[..limit.min(rest.len())];
    let next = items
        .last()
        .filter(|_| rest.len() > items.len())
        .map(|row| {
            let (created_at, id) = place(row);
            PageCursor {
                created_at,
                id: id.to_owned(),
            }
        });
    Page {
        items: items.iter().map(|row| (*row).clone()).collect(),
        next,
        total,
    }
}
