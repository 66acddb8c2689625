//! What every list promises about its pages.

use std::collections::HashSet;

use wharf_domain::Timestamp;
use wharf_domain::audit::AuditRow;
use wharf_domain::bucket::Bucket;
use wharf_domain::connection::Connection;
use wharf_domain::dead_letter::DeadLetter;
use wharf_domain::health::CheckRecord;
use wharf_domain::job::Job;
use wharf_domain::namespace::Namespace;
use wharf_domain::object::Object;
use wharf_domain::page::{Page, PageCursor, PageRequest, PageStart};
use wharf_domain::sync::Sync;
use wharf_domain::webhook::{Delivery, Webhook};

/// What is listed newest first.
pub(crate) trait Listed {
    /// Its creation time and identifier.
    fn place(&self) -> (Timestamp, String);
}

macro_rules! listed {
    ($($row:ty),*) => {
        $(impl Listed for $row {
            fn place(&self) -> (Timestamp, String) {
                (self.created_at, self.id.to_string())
            }
        })*
    };
}

listed!(Bucket, Connection, Job, Namespace, Object, Sync, Webhook);

impl Listed for DeadLetter {
    fn place(&self) -> (Timestamp, String) {
        (self.first_seen_at, self.id.to_string())
    }
}

impl Listed for CheckRecord {
    fn place(&self) -> (Timestamp, String) {
        (self.at, self.check.id.to_string())
    }
}

impl Listed for Delivery {
    fn place(&self) -> (Timestamp, String) {
        (self.at, self.id.to_string())
    }
}

impl Listed for AuditRow {
    fn place(&self) -> (Timestamp, String) {
        (self.at, self.row.id.to_string())
    }
}

/// Walks a list of `count` rows, at least 3, in every way and checks that each row comes exactly once, newest first.
pub(crate) async fn walk<T: Listed>(count: usize, list: impl AsyncFn(PageRequest) -> Page<T>) {
    assert!(count >= 3, "a walk needs three rows");
    let request = |limit, start| PageRequest {
        limit,
        start,
        include_total: true,
    };
    let places = |page: &Page<T>| page.items.iter().map(Listed::place).collect::<Vec<_>>();

    let whole = list(request(1000, PageStart::Offset(0))).await;
    let all = places(&whole);
    assert_eq!(all.len(), count, "one page holds everything");
    assert_eq!(
        all.iter().map(|(_, id)| id).collect::<HashSet<_>>().len(),
        count,
        "no row comes twice"
    );
    assert!(
        all.windows(2).all(|pair| pair[0].0 >= pair[1].0),
        "newest first: {all:?}"
    );
    assert_eq!(
        (whole.total, whole.next),
        (count as u64, None),
        "the total counts all, and nothing follows"
    );

    let brim = u32::try_from(count).expect("a small list");
    assert_eq!(
        list(request(brim, PageStart::Offset(0))).await.next,
        None,
        "a page that is just full is the last one"
    );

    let mut by_offset = Vec::new();
    for offset in (0..brim).step_by(2) {
        let page = list(request(2, PageStart::Offset(offset))).await;
        assert_eq!(
            page.total, count as u64,
            "the total does not depend on the page"
        );
        assert_eq!(
            page.next.is_none(),
            offset + 2 >= brim,
            "exactly the last page has no next"
        );
        by_offset.extend(places(&page));
    }
    assert_eq!(by_offset, all, "offsets cut the same list");

    let mut by_cursor = Vec::new();
    let mut start = PageStart::Offset(0);
    loop {
        let page = list(request(2, start)).await;
        assert_eq!(
            page.total, count as u64,
            "the total does not depend on the cursor"
        );
        by_cursor.extend(places(&page));
        assert!(by_cursor.len() <= count, "cursors lead to an end");
        match page.next {
            Some(next) => {
                let read_back = PageCursor::parse(&next.to_string());
                assert_eq!(
                    read_back.as_ref(),
                    Some(&next),
                    "a cursor survives its text form"
                );
                start = PageStart::After(next);
            }
            None => break,
        }
    }
    assert_eq!(by_cursor, all, "cursors cut the same list, ties included");

    let past = list(request(2, PageStart::Offset(brim + 5))).await;
    assert_eq!(
        (past.items.len(), past.total, past.next),
        (0, count as u64, None),
        "past the end there is nothing"
    );
}
