//! Leases: who may write.

use wharf_domain::job::{JobEnd, JobStatus};
use wharf_domain::sync::Lease;

use super::{DAY, assert_all_lost, every_call, finish};
use crate::{Harness, LONG, Run, SHORT};

pub async fn the_leased_sync_is_loaded_as_it_is_stored(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let loaded = h
        .repositories
        .runs
        .load(&acme.organization, &run.lease)
        .await
        .unwrap();
    assert_eq!(loaded, run.stored().await);
    assert_eq!(
        loaded.lease.map(|holder| holder.job),
        Some(run.lease.job.clone())
    );
}

pub async fn a_stale_fence_is_refused_by_every_call(h: Harness) {
    let acme = h.tenant("acme").await;
    let (bucket, connection) = (acme.bucket("media").await, acme.connection("store").await);
    let sync = acme.sync(&bucket, &connection).await;
    let stale = h.lease(SHORT).await;
    h.outlive(SHORT).await;
    let run = Run {
        tenant: &acme,
        bucket,
        connection,
        sync,
        lease: h.lease(LONG).await,
    };
    let before = (run.stored().await, run.objects().await, acme.trail().await);
    assert_all_lost(&every_call(&h, &run, &acme.organization, &stale).await);
    let old_fence = Lease {
        fence: stale.fence,
        ..run.lease.clone()
    };
    assert_all_lost(&every_call(&h, &run, &acme.organization, &old_fence).await);
    assert_eq!(
        (run.stored().await, run.objects().await, acme.trail().await),
        before,
        "nothing was stored"
    );
    assert_eq!(
        run.job().await.status,
        JobStatus::Running,
        "the run that took over goes on"
    );
}

pub async fn a_lease_of_another_job_or_organization_is_refused_by_every_call(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    let before = (run.stored().await, run.objects().await, acme.trail().await);
    assert_all_lost(&every_call(&h, &run, &other.organization, &run.lease).await);
    let forged = Lease {
        job: h.ids.id(),
        ..run.lease.clone()
    };
    assert_all_lost(&every_call(&h, &run, &acme.organization, &forged).await);
    let forged = Lease {
        sync: h.ids.id(),
        ..run.lease.clone()
    };
    assert_all_lost(&every_call(&h, &run, &acme.organization, &forged).await);
    assert_eq!(
        (run.stored().await, run.objects().await, acme.trail().await),
        before,
        "nothing was stored"
    );
}

pub async fn a_finished_run_has_no_lease_any_more(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    finish(&h, &run, &run.lease, JobEnd::complete(), DAY).await;
    assert_eq!(run.stored().await.lease, None);
    assert_all_lost(&every_call(&h, &run, &acme.organization, &run.lease).await);
    assert_eq!(run.stored().await.totals.runs_completed, 1);
}

pub async fn an_expired_lease_that_nobody_took_over_is_still_the_runs(h: Harness) {
    let acme = h.tenant("acme").await;
    let (bucket, connection) = (acme.bucket("media").await, acme.connection("store").await);
    let sync = acme.sync(&bucket, &connection).await;
    let lease = h.lease(SHORT).await;
    let run = Run {
        tenant: &acme,
        bucket,
        connection,
        sync,
        lease,
    };
    h.outlive(SHORT).await;
    h.repositories
        .runs
        .extend(&acme.organization, &run.lease, LONG)
        .await
        .expect("nobody took it over");
    assert_eq!(h.try_lease(LONG).await, None, "it is held again");
    for (method, answer) in every_call(&h, &run, &acme.organization, &run.lease).await {
        assert!(answer.is_ok(), "{method}: {answer:?}");
    }
}

pub async fn extending_a_lease_counts_from_now(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let now = h.repositories.across.now().await.unwrap();
    h.repositories
        .runs
        .extend(&acme.organization, &run.lease, 2 * DAY)
        .await
        .unwrap();
    let expires_at = run.stored().await.lease.unwrap().expires_at;
    assert!(
        expires_at >= now + 2 * DAY && expires_at < now + 3 * DAY,
        "{expires_at}"
    );
}

pub async fn every_write_extends_the_lease(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let mut last = run.stored().await.lease.unwrap().expires_at;
    for write in ["commit", "mark_missing", "hold", "let_go"] {
        h.moment().await;
        match write {
            "commit" => run.publish(1, &["media/a"], "1").await,
            "mark_missing" => assert_eq!(run.mark_unseen(1, None, 10).await, 1),
            "hold" => assert_eq!(run.hold(1, &[], 10).await, 0),
            _ => assert_eq!(run.let_go(1, 10).await, 0),
        }
        let expires_at = run.stored().await.lease.unwrap().expires_at;
        assert!(
            expires_at > last && expires_at < last + DAY,
            "{write}: {last} {expires_at}"
        );
        last = expires_at;
    }
}
