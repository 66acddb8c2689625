//! What [`SyncRepository`](wharf_ports::SyncRepository) promises.

use wharf_domain::audit::Action;
use wharf_domain::connection::Event;
use wharf_domain::ids::{JobId, SyncId};
use wharf_domain::job::{Counters, JobEnd, JobPhase, JobStatus, JobTrigger};
use wharf_domain::page::PageRequest;
use wharf_domain::run::commit::Commit;
use wharf_domain::sync::{
    Sync, SyncFilter, SyncMode, SyncSettings, SyncState, SyncStatus, SyncTotals,
};
use wharf_ports::{InsertError, RunError, TriggerOutcome};

use crate::{Harness, LONG, SHORT, Tenant, build, paging};

async fn trigger(
    h: &Harness,
    tenant: &Tenant<'_>,
    sync: &Sync,
    full: bool,
) -> Option<TriggerOutcome> {
    let job: JobId = h.ids.id();
    let audit = h.audit(Action::SyncTriggered);
    let syncs = &h.repositories.syncs;
    let outcome = syncs
        .trigger(
            &tenant.organization,
            &sync.bucket,
            &sync.id,
            &job,
            full,
            audit,
        )
        .await
        .unwrap();
    if let Some(TriggerOutcome::Queued(queued)) = &outcome {
        assert_eq!(
            queued, &job,
            "the job that was asked for is the one that is queued"
        );
    }
    outcome
}

pub async fn a_sync_is_born_due_with_its_first_job_queued(h: Harness) {
    let acme = h.tenant("acme").await;
    let (bucket, connection) = (acme.bucket("media").await, acme.connection("store").await);
    let new = acme.new_sync(&bucket, &connection);
    let audit = h.audit(Action::SyncCreated);
    let insert = h.repositories.syncs.insert(
        &acme.organization,
        new.clone(),
        SyncMode::InitialOnly,
        audit,
    );
    let stored = insert.await.unwrap();
    let expected = Sync {
        id: new.id,
        bucket: bucket.id.clone(),
        namespace: acme.namespace.clone(),
        connection: connection.id.clone(),
        mode: SyncMode::InitialOnly,
        settings: new.settings,
        state: SyncState::Active,
        paused: None,
        pending_full: false,
        held_deletes: None,
        next_run_at: Some(stored.created_at),
        queued_job: Some(new.first_job.clone()),
        lease: None,
        last_pass: 0,
        checkpoint: None,
        totals: SyncTotals::default(),
        last_sync_at: None,
        last_error: None,
        consecutive_failures: 0,
        revision: 1,
        created_by: acme.admin.clone(),
        created_at: stored.created_at,
        updated_at: stored.created_at,
    };
    assert_eq!(stored, expected);
    assert_eq!(acme.stored_sync(&stored).await, stored);
    let jobs = acme.jobs(&stored.id).await;
    assert_eq!(
        (jobs.len(), &jobs[0].id, &jobs[0].sync),
        (1, &new.first_job, &stored.id)
    );
    assert_eq!(
        (&jobs[0].bucket, &jobs[0].namespace),
        (&bucket.id, &acme.namespace)
    );
    assert_eq!(
        (jobs[0].status, jobs[0].phase),
        (JobStatus::Running, JobPhase::Queued),
        "a job is born running"
    );
    assert_eq!(
        (jobs[0].trigger, jobs[0].started_at),
        (JobTrigger::Scheduled, None)
    );
    assert_eq!(
        (jobs[0].complete, &jobs[0].counters),
        (None, &Counters::default())
    );
    assert_eq!(acme.audited(Action::SyncCreated).await, 1);
}

pub async fn a_sync_needs_bucket_and_usable_connection_of_the_organization(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let (bucket, connection) = (acme.bucket("media").await, acme.connection("store").await);
    let (their_bucket, their_connection) =
        (other.bucket("media").await, other.connection("store").await);
    let archived = acme.connection("archived").await;
    acme.apply(&archived, vec![Event::Archive]).await;
    for (bucket, connection) in [
        (&their_bucket, &connection),
        (&bucket, &their_connection),
        (&bucket, &archived),
    ] {
        let new = acme.new_sync(bucket, connection);
        let audit = h.audit(Action::SyncCreated);
        let refused = h
            .repositories
            .syncs
            .insert(&acme.organization, new, SyncMode::Continuous, audit)
            .await;
        assert!(
            matches!(refused, Err(InsertError::ParentMissing)),
            "{refused:?}"
        );
    }
    assert_eq!(h.try_lease(LONG).await, None, "no job was queued");
    assert_eq!(acme.audited(Action::SyncCreated).await, 0);
    let suspended = acme.connection("suspended").await;
    acme.apply(&suspended, vec![Event::Suspend]).await;
    acme.sync(&bucket, &suspended).await;
}

pub async fn settings_are_read_back_unchanged(h: Harness) {
    let acme = h.tenant("acme").await;
    let (bucket, connection) = (acme.bucket("media").await, acme.connection("store").await);
    let mut new = acme.new_sync(&bucket, &connection);
    let mut settings = SyncSettings {
        source_path: "média/ 'a'/\n%".to_owned(),
        polling_interval_seconds: 86_400,
        max_objects_per_run: 9_000_000_000,
        description: None,
        ..build::sync_settings()
    };
    settings.reconcile.on_update = false;
    settings.reconcile.re_extract_fields = Some(vec!["title".to_owned()]);
    settings.pipeline.ingest_filter = None;
    new.settings = settings.clone();
    let audit = h.audit(Action::SyncCreated);
    let insert = h
        .repositories
        .syncs
        .insert(&acme.organization, new, SyncMode::Continuous, audit);
    let stored = insert.await.unwrap();
    assert_eq!(acme.stored_sync(&stored).await.settings, settings);
}

pub async fn a_sync_is_found_in_its_bucket_and_organization(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let (bucket, elsewhere) = (acme.bucket("media").await, acme.bucket("elsewhere").await);
    let sync = acme.sync(&bucket, &acme.connection("store").await).await;
    let syncs = &h.repositories.syncs;
    assert_eq!(
        syncs
            .find(&acme.organization, &bucket.id, &sync.id)
            .await
            .unwrap()
            .as_ref(),
        Some(&sync)
    );
    assert_eq!(
        syncs
            .find(&acme.organization, &elsewhere.id, &sync.id)
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        syncs
            .find(&other.organization, &bucket.id, &sync.id)
            .await
            .unwrap(),
        None
    );
    let (filter, page) = (SyncFilter::default(), PageRequest::first(10));
    assert_eq!(
        syncs
            .list(&other.organization, &bucket.id, &filter, &page)
            .await
            .unwrap()
            .items,
        []
    );
    assert_eq!(
        syncs
            .list(&acme.organization, &elsewhere.id, &filter, &page)
            .await
            .unwrap()
            .items,
        []
    );
    let unknown: SyncId = h.ids.id();
    assert_eq!(
        syncs
            .find(&acme.organization, &bucket.id, &unknown)
            .await
            .unwrap(),
        None
    );
}

pub async fn all_conditions_of_a_filter_must_hold(h: Harness) {
    let acme = h.tenant("acme").await;
    let (bucket, store, gone) = (
        acme.bucket("media").await,
        acme.connection("store").await,
        acme.connection("gone").await,
    );
    let done = acme
        .sync_in_mode(&bucket, &store, SyncMode::InitialOnly)
        .await;
    let lease = h.lease(LONG).await;
    let audit = h.audit(Action::JobFinished);
    let end = JobEnd::complete();
    h.repositories
        .runs
        .finish(
            &acme.organization,
            &lease,
            end,
            std::time::Duration::ZERO,
            audit,
        )
        .await
        .unwrap();
    let active = acme.sync(&bucket, &store).await;
    let stopped = acme.sync(&bucket, &gone).await;
    acme.apply(&gone, vec![Event::Archive]).await;

    let find = async |filter: SyncFilter| {
        let page = PageRequest {
            include_total: true,
            ..PageRequest::first(10)
        };
        let listed = h
            .repositories
            .syncs
            .list(&acme.organization, &bucket.id, &filter, &page)
            .await
            .unwrap();
        assert_eq!(
            listed.total,
            listed.items.len() as u64,
            "the total counts matches only"
        );
        let mut ids: Vec<_> = listed.items.into_iter().map(|sync| sync.id).collect();
        ids.sort();
        ids
    };
    let sorted = |syncs: &[&Sync]| {
        let mut ids: Vec<_> = syncs.iter().map(|sync| sync.id.clone()).collect();
        ids.sort();
        ids
    };
    let everything = SyncFilter::default;
    assert_eq!(
        find(everything()).await,
        sorted(&[&done, &active, &stopped])
    );
    let through = |connection: &wharf_domain::connection::Connection| SyncFilter {
        connection: Some(connection.id.clone()),
        ..everything()
    };
    assert_eq!(find(through(&store)).await, sorted(&[&done, &active]));
    assert_eq!(
        find(SyncFilter {
            status: Some(SyncStatus::Completed),
            ..everything()
        })
        .await,
        sorted(&[&done])
    );
    let archived = SyncFilter {
        status: Some(SyncStatus::Archived),
        ..everything()
    };
    assert_eq!(find(archived).await, sorted(&[&stopped]));
    assert_eq!(
        find(SyncFilter {
            is_active: Some(true),
            ..everything()
        })
        .await,
        sorted(&[&active])
    );
    assert_eq!(
        find(SyncFilter {
            is_active: Some(false),
            ..everything()
        })
        .await,
        sorted(&[&done, &stopped])
    );
    assert_eq!(
        find(SyncFilter {
            is_active: Some(true),
            ..through(&gone)
        })
        .await,
        []
    );
}

pub async fn syncs_are_listed_newest_first_in_pages(h: Harness) {
    let acme = h.tenant("acme").await;
    let (bucket, connection) = (acme.bucket("media").await, acme.connection("store").await);
    for _ in 0..4 {
        h.moment().await;
        acme.sync(&bucket, &connection).await;
    }
    let filter = SyncFilter::default();
    paging::walk(4, async |page| {
        h.repositories
            .syncs
            .list(&acme.organization, &bucket.id, &filter, &page)
            .await
            .unwrap()
    })
    .await;
}

pub async fn a_removed_sync_takes_its_jobs_along_and_leaves_the_objects(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let objects = run.objects().await;
    let elsewhere = acme.bucket("elsewhere").await;
    let remove = async |organization, bucket| {
        let audit = h.audit(Action::SyncDeleted);
        h.repositories
            .syncs
            .remove(organization, bucket, &run.sync.id, audit)
            .await
            .unwrap()
    };
    assert!(
        !remove(&other.organization, &run.bucket.id).await,
        "it is another organization's"
    );
    assert!(
        !remove(&acme.organization, &elsewhere.id).await,
        "it is another bucket's"
    );
    assert_eq!(acme.stored_sync(&run.sync).await.id, run.sync.id);
    assert!(remove(&acme.organization, &run.bucket.id).await);
    assert!(
        !remove(&acme.organization, &run.bucket.id).await,
        "it is gone"
    );
    assert_eq!(
        acme.audited(Action::SyncDeleted).await + other.audited(Action::SyncDeleted).await,
        1
    );
    assert_eq!(acme.jobs(&run.sync.id).await, []);
    assert_eq!(run.objects().await, objects);
    let step = run.step(1, &["media/b"], "1").await;
    let runs = &h.repositories.runs;
    let lost = runs
        .commit(&acme.organization, &run.lease, run.standing(), &step, None)
        .await;
    assert!(matches!(lost, Err(RunError::LeaseLost)), "{lost:?}");
    assert_eq!(run.objects().await, objects);
}

pub async fn a_trigger_queues_one_job_and_makes_the_sync_due(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let at_work = trigger(&h, &acme, &run.sync, false).await;
    assert_eq!(
        at_work,
        Some(TriggerOutcome::AlreadyRunning(run.lease.job.clone())),
        "a job is at work"
    );
    let day = std::time::Duration::from_hours(24);
    let audit = h.audit(Action::JobFinished);
    h.repositories
        .runs
        .finish(
            &acme.organization,
            &run.lease,
            JobEnd::complete(),
            day,
            audit,
        )
        .await
        .unwrap();
    assert_eq!(h.try_lease(LONG).await, None, "not due for a day");

    h.moment().await;
    let Some(TriggerOutcome::Queued(job)) = trigger(&h, &acme, &run.sync, false).await else {
        panic!("nothing is at work or queued");
    };
    let queued = acme.jobs(&run.sync.id).await.remove(0);
    assert_eq!(
        (&queued.id, queued.trigger, queued.phase),
        (&job, JobTrigger::Manual, JobPhase::Queued)
    );
    assert_eq!(
        acme.stored_sync(&run.sync).await.queued_job,
        Some(job.clone())
    );
    let again = trigger(&h, &acme, &run.sync, true).await;
    assert_eq!(
        again,
        Some(TriggerOutcome::AlreadyRunning(job.clone())),
        "a job is queued"
    );
    assert_eq!(h.lease(LONG).await.job, job);
    assert_eq!(acme.stored_sync(&run.sync).await.queued_job, None);
    assert_eq!(
        acme.audited(Action::SyncTriggered).await,
        1,
        "wishes that changed nothing bring no audit row"
    );
}

pub async fn a_trigger_runs_a_completed_sync_once_more(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run_in_mode(SyncMode::InitialOnly).await;
    let finish = async |lease| {
        let audit = h.audit(Action::JobFinished);
        let delay = std::time::Duration::ZERO;
        h.repositories
            .runs
            .finish(&acme.organization, lease, JobEnd::complete(), delay, audit)
            .await
            .unwrap();
    };
    finish(&run.lease).await;
    assert_eq!(h.try_lease(LONG).await, None, "nothing is planned");
    assert!(matches!(
        trigger(&h, &acme, &run.sync, true).await,
        Some(TriggerOutcome::Queued(_))
    ));
    finish(&h.lease(LONG).await).await;
    let stored = run.stored().await;
    assert_eq!(
        (
            stored.state,
            stored.next_run_at,
            stored.totals.runs_completed
        ),
        (SyncState::Completed, None, 2)
    );
}

pub async fn a_trigger_counts_an_expired_lease_as_nobody_at_work(h: Harness) {
    let acme = h.tenant("acme").await;
    let sync = acme
        .sync(&acme.bucket("media").await, &acme.connection("store").await)
        .await;
    let lease = h.lease(SHORT).await;
    h.outlive(SHORT).await;
    assert_eq!(
        acme.stored_sync(&sync).await.lease,
        None,
        "an expired lease is nobody's"
    );
    let Some(TriggerOutcome::Queued(job)) = trigger(&h, &acme, &sync, false).await else {
        panic!("the lease has expired");
    };
    assert_ne!(job, lease.job);
}

pub async fn a_full_trigger_drops_the_progress_of_an_incomplete_pass(h: Harness) {
    let acme = h.tenant("acme").await;
    for full in [false, true] {
        let bucket = acme.bucket(if full { "full" } else { "plain" }).await;
        let connection = acme.connection(if full { "full" } else { "plain" }).await;
        let run = acme.run_into(&bucket, &connection).await;
        let checkpoint = build::checkpoint(1);
        let step = run.step(1, &["media/a"], "1").await;
        run.commit(Commit {
            checkpoint: Some(checkpoint.clone()),
            ..step
        })
        .await;
        let (end, audit) = (JobEnd::incomplete("over_cap"), h.audit(Action::JobFinished));
        let day = std::time::Duration::from_hours(24);
        h.repositories
            .runs
            .finish(&acme.organization, &run.lease, end, day, audit)
            .await
            .unwrap();
        trigger(&h, &acme, &run.sync, full).await;
        let kept = (!full).then_some(checkpoint);
        let stored = run.stored().await;
        assert_eq!(
            (stored.checkpoint, stored.last_pass),
            (kept, 1),
            "full: {full}"
        );
        h.lease(LONG).await;
    }
}

pub async fn a_trigger_of_another_organization_or_bucket_finds_nothing(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let sync = acme
        .sync(&acme.bucket("media").await, &acme.connection("store").await)
        .await;
    let elsewhere = Sync {
        bucket: acme.bucket("elsewhere").await.id,
        ..sync.clone()
    };
    assert_eq!(trigger(&h, &other, &sync, true).await, None);
    assert_eq!(trigger(&h, &acme, &elsewhere, true).await, None);
    assert_eq!(acme.jobs(&sync.id).await.len(), 1);
    assert_eq!(
        acme.audited(Action::SyncTriggered).await + other.audited(Action::SyncTriggered).await,
        0
    );
}
