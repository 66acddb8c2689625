//! Changes: new settings, and what follows from them.

use std::time::Duration;

use wharf_domain::audit::Action;
use wharf_domain::filter::ProviderFilters;
use wharf_domain::job::{JobEnd, JobStatus};
use wharf_domain::mapping::SchemaMapping;
use wharf_domain::run::commit::{Commit, LeftOut};
use wharf_domain::sync::{Sync, SyncMode, SyncSettings};
use wharf_ports::{RunError, SyncChange, UpdateSyncError};

use super::pause;
use crate::{Harness, LONG, Run, Tenant, build};

const DAY: Duration = Duration::from_hours(24);

fn change(rules_changed: bool) -> SyncChange {
    let mut settings = SyncSettings {
        source_path: "média/ 'b'/".to_owned(),
        polling_interval_seconds: 86_400,
        max_objects_per_run: 1,
        sync_concurrency: 1,
        file_filters: Some(build::file_filters()),
        provider_filters: Some(ProviderFilters::default()),
        sync_from: Some(build::instant(1_700_000_000_123_456)),
        schema_mapping: Some(SchemaMapping::default()),
        skip_duplicates: false,
        description: None,
        ..build::sync_settings()
    };
    settings.reconcile.on_delete = false;
    SyncChange {
        settings,
        rules_changed,
    }
}

async fn update(
    h: &Harness,
    tenant: &Tenant<'_>,
    sync: &Sync,
    revision: u64,
    change: &SyncChange,
) -> Result<Sync, UpdateSyncError> {
    let audit = h.audit(Action::SyncUpdated);
    let syncs = &h.repositories.syncs;
    let organization = &tenant.organization;
    syncs
        .update(
            organization,
            &sync.bucket,
            &sync.id,
            revision,
            change,
            audit,
        )
        .await
}

pub async fn new_settings_are_stored_and_the_revision_grows(h: Harness) {
    let acme = h.tenant("acme").await;
    let sync = acme
        .sync(&acme.bucket("media").await, &acme.connection("store").await)
        .await;
    h.moment().await;
    let change = change(false);
    let updated = update(&h, &acme, &sync, sync.revision, &change)
        .await
        .unwrap();
    assert!(updated.updated_at > sync.updated_at);
    let expected = Sync {
        settings: change.settings,
        revision: sync.revision + 1,
        updated_at: updated.updated_at,
        ..sync.clone()
    };
    assert_eq!(updated, expected);
    assert_eq!(acme.stored_sync(&sync).await, expected);
    assert_eq!(acme.audited(Action::SyncUpdated).await, 1);
}

pub async fn a_change_of_what_somebody_else_has_changed_is_refused(h: Harness) {
    let acme = h.tenant("acme").await;
    let sync = acme
        .sync(&acme.bucket("media").await, &acme.connection("store").await)
        .await;
    let first = update(&h, &acme, &sync, sync.revision, &change(false)).await;
    let stored = first.unwrap();
    for revision in [sync.revision, sync.revision + 2, 0] {
        let refused = update(&h, &acme, &sync, revision, &change(true)).await;
        assert!(
            matches!(refused, Err(UpdateSyncError::Conflict)),
            "{refused:?}"
        );
    }
    assert_eq!(acme.stored_sync(&sync).await, stored);
    assert_eq!(acme.audited(Action::SyncUpdated).await, 1);
}

pub async fn of_many_changes_at_once_one_is_stored(h: Harness) {
    let acme = h.tenant("acme").await;
    let sync = acme
        .sync(&acme.bucket("media").await, &acme.connection("store").await)
        .await;
    let tasks = (0..8).map(|_| {
        let (syncs, organization) = (h.repositories.syncs.clone(), acme.organization.clone());
        let (sync, audit) = (sync.clone(), h.audit(Action::SyncUpdated));
        tokio::spawn(async move {
            let change = change(false);
            let (bucket, id) = (&sync.bucket, &sync.id);
            syncs
                .update(&organization, bucket, id, sync.revision, &change, audit)
                .await
                .is_ok()
        })
    });
    let won = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    assert_eq!(
        won.into_iter().filter(|won| *won.as_ref().unwrap()).count(),
        1
    );
    assert_eq!(acme.stored_sync(&sync).await.revision, sync.revision + 1);
}

pub async fn a_change_of_another_organization_or_bucket_finds_nothing(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let sync = acme
        .sync(&acme.bucket("media").await, &acme.connection("store").await)
        .await;
    let elsewhere = Sync {
        bucket: acme.bucket("elsewhere").await.id,
        ..sync.clone()
    };
    let unknown = Sync {
        id: h.ids.id(),
        ..sync.clone()
    };
    for (tenant, target) in [(&other, &sync), (&acme, &elsewhere), (&acme, &unknown)] {
        let refused = update(&h, tenant, target, 1, &change(true)).await;
        assert!(
            matches!(refused, Err(UpdateSyncError::NotFound)),
            "{refused:?}"
        );
    }
    assert_eq!(acme.stored_sync(&sync).await, sync);
    assert_eq!(
        acme.audited(Action::SyncUpdated).await + other.audited(Action::SyncUpdated).await,
        0
    );
}

pub async fn changed_rules_drop_progress_forget_what_was_left_out_and_are_due_at_once(h: Harness) {
    let acme = h.tenant("acme").await;
    for rules_changed in [false, true] {
        let name = if rules_changed { "rules" } else { "names" };
        let (bucket, connection) = (acme.bucket(name).await, acme.connection(name).await);
        let run = acme.run_into(&bucket, &connection).await;
        let left_out = |object: &str| LeftOut {
            object: object.to_owned(),
            version: "2".to_owned(),
            rule: "mime_types".to_owned(),
        };
        run.commit(Commit {
            left_out: vec![left_out("media/a"), left_out("media/b")],
            checkpoint: Some(build::checkpoint(1)),
            ..run.step(1, &["media/a"], "1").await
        })
        .await;
        let audit = h.audit(Action::JobFinished);
        let runs = &h.repositories.runs;
        let end = JobEnd::incomplete("over_cap");
        runs.finish(&acme.organization, &run.lease, end, DAY, audit)
            .await
            .unwrap();
        let before = run.stored().await;
        let updated = update(&h, &acme, &before, before.revision, &change(rules_changed)).await;
        let updated = updated.unwrap();
        let known = run.known(&["media/a", "media/b"]).await;
        let held: Vec<_> = known
            .iter()
            .map(|known| (known.object.as_str(), known.held, known.left_out.is_some()))
            .collect();
        if rules_changed {
            assert_eq!(updated.checkpoint, None);
            assert_eq!(held, [("media/a", true, false)]);
            assert_eq!(run.rows(9).await, 1, "a row of nothing is no row");
            assert_eq!(h.lease(LONG).await.sync, run.sync.id);
            assert_eq!(run.stored().await.last_pass, 1, "passes go on counting");
        } else {
            assert_eq!(updated.checkpoint, before.checkpoint);
            assert_eq!(held, [("media/a", true, true), ("media/b", false, true)]);
            assert_eq!(updated.next_run_at, before.next_run_at);
            assert_eq!(h.try_lease(LONG).await, None);
        }
    }
}

pub async fn changed_rules_leave_what_is_not_active_at_rest(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run_in_mode(SyncMode::InitialOnly).await;
    let audit = h.audit(Action::JobFinished);
    let runs = &h.repositories.runs;
    let end = JobEnd::complete();
    runs.finish(&acme.organization, &run.lease, end, DAY, audit)
        .await
        .unwrap();
    let paused = acme.sync(&run.bucket, &run.connection).await;
    pause(&h, &acme, &paused).await;
    for sync in [&run.sync, &paused] {
        let stored = acme.stored_sync(sync).await;
        update(&h, &acme, &stored, stored.revision, &change(true))
            .await
            .unwrap();
    }
    assert_eq!(run.stored().await.next_run_at, None);
    assert_eq!(h.try_lease(LONG).await, None);
}

pub async fn changed_rules_stop_the_run_at_work_and_agree_with_no_earlier_pass(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b"], "1").await;
    run.pass_over(2, build::span(None, None), &["media/a"])
        .await;
    run.hold(2, &[], 10).await;
    let before = run.stored().await;
    assert!(before.held_deletes.is_some());

    let updated = update(&h, &acme, &before, before.revision, &change(true))
        .await
        .unwrap();
    assert_eq!((updated.held_deletes, updated.lease), (None, None));
    let late = h.repositories.runs.load(&acme.organization, &run.lease);
    assert!(matches!(late.await, Err(RunError::LeaseLost)));
    let ended = run.job().await;
    assert_eq!(
        (ended.status, ended.incomplete_reason.as_deref()),
        (JobStatus::Interrupted, Some("rules_changed"))
    );

    let next = h.lease(LONG).await;
    assert_eq!(next.sync, run.sync.id, "it is due at once");
    let run = Run { lease: next, ..run };
    run.pass_over(3, build::span(None, None), &["media/a"])
        .await;
    assert_eq!(run.survey(3, &[]).await.agreed, 0, "by other rules");
}

pub async fn changed_rules_forget_where_the_feed_stands(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.list_all(1, "seven").await;
    let before = run.stored().await;
    assert!(before.feed.is_some());
    let renamed = update(&h, &acme, &before, 1, &change(false)).await.unwrap();
    assert_eq!(renamed.feed, before.feed);
    let ruled = update(&h, &acme, &before, 2, &change(true)).await.unwrap();
    assert_eq!(ruled.feed, None);
    assert_eq!(run.stored().await.feed, None);
}
