//! Stored syncs: what is read back, found and listed.

use wharf_domain::audit::Action;
use wharf_domain::connection::Event;
use wharf_domain::filter::ProviderFilters;
use wharf_domain::ids::SyncId;
use wharf_domain::job::{Counters, JobEnd, JobPhase, JobStatus, JobTrigger};
use wharf_domain::mapping::SchemaMapping;
use wharf_domain::page::PageRequest;
use wharf_domain::sync::{
    Sync, SyncFilter, SyncMode, SyncSettings, SyncState, SyncStatus, SyncTotals,
};
use wharf_ports::{InsertError, RunError};

use super::pause;
use crate::{Harness, LONG, build, paging};

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
        feed: None,
        push: None,
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
        file_filters: Some(build::file_filters()),
        provider_filters: Some(ProviderFilters {
            prefix: Some("jahr/%_'/".to_owned()),
            ..ProviderFilters::default()
        }),
        sync_from: Some(build::instant(1_700_000_000_123_456)),
        schema_mapping: Some(SchemaMapping::default()),
        skip_duplicates: false,
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
    let runs = &h.repositories.runs;
    let delay = std::time::Duration::ZERO;
    runs.finish(&acme.organization, &lease, end, delay, audit)
        .await
        .unwrap();
    let active = acme.sync(&bucket, &store).await;
    let paused = acme.sync(&bucket, &store).await;
    pause(&h, &acme, &paused).await;
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
        sorted(&[&done, &active, &paused, &stopped])
    );
    let through = |connection: &wharf_domain::connection::Connection| SyncFilter {
        connection: Some(connection.id.clone()),
        ..everything()
    };
    assert_eq!(
        find(through(&store)).await,
        sorted(&[&done, &active, &paused])
    );
    let stands = |status| SyncFilter {
        status: Some(status),
        ..everything()
    };
    let each = [
        (SyncStatus::Active, &active),
        (SyncStatus::Suspended, &paused),
        (SyncStatus::Completed, &done),
        (SyncStatus::Archived, &stopped),
    ];
    for (status, sync) in each {
        assert_eq!(find(stands(status)).await, sorted(&[sync]), "{status:?}");
    }
    let running = |is_active, filter| SyncFilter {
        is_active: Some(is_active),
        ..filter
    };
    assert_eq!(find(running(true, everything())).await, sorted(&[&active]));
    assert_eq!(
        find(running(false, everything())).await,
        sorted(&[&done, &paused, &stopped]),
        "a paused one does not run"
    );
    let paused_ones = running(false, stands(SyncStatus::Suspended));
    assert_eq!(find(paused_ones).await, sorted(&[&paused]));
    assert_eq!(find(running(true, through(&gone))).await, []);
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

pub async fn a_removed_sync_takes_jobs_and_dead_letters_along_and_leaves_the_objects(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    run.fail("media/b", "1", "net.timeout").await;
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
    assert_eq!(run.dead_letter("media/b").await, None);
    assert_eq!(run.objects().await, objects);
    let step = run.step(1, &["media/b"], "1").await;
    let runs = &h.repositories.runs;
    let lost = runs
        .commit(&acme.organization, &run.lease, run.standing(), &step, None)
        .await;
    assert!(matches!(lost, Err(RunError::LeaseLost)), "{lost:?}");
    assert_eq!(run.objects().await, objects);
}
