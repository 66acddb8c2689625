//! Pages of newest-first lists.

use sqlx::postgres::PgRow;
use wharf_domain::Timestamp;
use wharf_domain::page::{Page, PageCursor, PageRequest, PageStart};

use crate::error::Fault;

/// Later than any row.
const END_OF_TIME: Timestamp = Timestamp::MAX_UTC;

/// A page request as the statements take it: rows before `(at, id)`, at most `limit` of them, without the first
/// `offset`. A request without a cursor starts before the end of time, so that every list is one statement.
pub(crate) struct Bounds {
    pub(crate) at: Timestamp,
    pub(crate) id: String,
    pub(crate) limit: i64,
    pub(crate) offset: i64,
}

impl Bounds {
    pub(crate) fn of(request: &PageRequest) -> Self {
        // One row more than asked for tells whether another page follows.
        let limit = i64::from(request.limit) + 1;
        match &request.start {
            PageStart::Offset(offset) => Self {
                at: END_OF_TIME,
                id: String::new(),
                limit,
                offset: i64::from(*offset),
            },
            PageStart::After(cursor) => {
                // Every row is later than 1970; the server refuses what lies before its own first year.
                let at = cursor.created_at.max(Timestamp::UNIX_EPOCH);
                Self {
                    at,
                    id: cursor.id.clone(),
                    limit,
                    offset: 0,
                }
            }
        }
    }
}

/// Makes a page of the rows that [`Bounds`] selected.
pub(crate) fn page<T>(
    request: &PageRequest,
    rows: &[PgRow],
    total: i64,
    read: impl Fn(&PgRow) -> Result<T, Fault>,
    position: impl Fn(&T) -> PageCursor,
) -> Result<Page<T>, Fault> {
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let items = rows
        .iter()
        .take(limit)
        .map(read)
        .collect::<Result<Vec<_>, _>>()?;
    let next = if rows.len() > limit {
        items.last().map(position)
    } else {
        None
    };
    Ok(Page {
        items,
        next,
        total: u64::try_from(total).unwrap_or(0),
    })
}
