//! The promises of every repository port, kept on Postgres.

mod common;

use wharf_testkit::Harness;

wharf_testkit::repository_suites!(async || {
    let (database, guard) = common::migrated_database().await;
    let url = guard.url.clone();
    Harness::in_real_time(database.repositories())
        .ageing(move |by| {
            let url = url.clone();
            Box::pin(async move {
                sqlx::query(
                    "UPDATE dead_letters SET first_seen_at = first_seen_at - $1, last_seen_at = last_seen_at - $1, \
                     last_reattempt_at = last_reattempt_at - $1, requeued_at = requeued_at - $1",
                )
                .bind(by)
                .execute(&mut common::bare(&url).await)
                .await
                .expect("older dead letters");
            })
        })
        .keeping(guard)
});
