//! The promises of every repository port, kept on `SQLite`.

mod common;

use std::sync::Arc;

use wharf_testkit::Harness;

wharf_testkit::repository_suites!(async || {
    let (database, folder) = common::empty_database().await;
    let folder = Arc::new(folder);
    let kept = folder.clone();
    Harness::in_real_time(common::repositories(&database))
        .ageing(move |by| {
            let folder = folder.clone();
            Box::pin(async move {
                let mut bare = common::bare(&folder).await;
                for older in [
                    "UPDATE dead_letters SET first_seen_at = first_seen_at - $1, last_seen_at = last_seen_at - $1, \
                     last_reattempt_at = last_reattempt_at - $1, requeued_at = requeued_at - $1",
                    "UPDATE connection_checks SET at = at - $1",
                    "UPDATE idempotency_claims SET claimed_at = claimed_at - $1",
                    "UPDATE api_keys SET last_used_at = last_used_at - $1",
                    "UPDATE sessions SET right_ends_at = right_ends_at - $1",
                ] {
                    sqlx::query(older)
                        .bind(i64::try_from(by.as_micros()).expect("a span of days"))
                        .execute(&mut bare)
                        .await
                        .expect("older rows");
                }
            })
        })
        .keeping(kept)
});
