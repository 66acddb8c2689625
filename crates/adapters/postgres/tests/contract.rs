//! The promises of every repository port, kept on Postgres.

mod common;

use wharf_testkit::Harness;

wharf_testkit::repository_suites!(async || {
    let (database, guard) = common::migrated_database().await;
    let url = guard.url.clone();
    Harness::in_real_time(common::repositories(&database))
        .ageing(move |by| {
            let url = url.clone();
            Box::pin(async move {
                let mut bare = common::bare(&url).await;
                for older in [
                    "UPDATE dead_letters SET first_seen_at = first_seen_at - $1, last_seen_at = last_seen_at - $1, \
                     last_reattempt_at = last_reattempt_at - $1, requeued_at = requeued_at - $1",
                    "UPDATE connection_checks SET at = at - $1",
                    "UPDATE idempotency_claims SET claimed_at = claimed_at - $1",
                    "UPDATE api_keys SET last_used_at = last_used_at - $1",
                    "UPDATE sessions SET right_ends_at = right_ends_at - $1",
                ] {
                    sqlx::query(older)
                        .bind(by)
                        .execute(&mut bare)
                        .await
                        .expect("older rows");
                }
            })
        })
        .keeping(guard)
});
