//! What [`AcrossOrganizations`](wharf_ports::AcrossOrganizations) promises.

mod channels;
mod checks;
mod dispatch;

pub use channels::*;
pub use checks::*;
pub use dispatch::*;

use std::collections::HashSet;
use std::time::Duration;

use wharf_domain::access::{Grant, Permission, Principal};
use wharf_domain::audit::{Action, AuditFilter};
use wharf_domain::connection::{AttemptResult, Event};
use wharf_domain::dead_letter::DISPOSAL;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::ids::OrganizationId;
use wharf_domain::job::{JobEnd, JobPhase, JobStatus, JobTrigger};
use wharf_domain::namespace::NamespaceIdentifier;
use wharf_domain::rate_limit::RateLimits;
use wharf_domain::run::commit::Commit;
use wharf_domain::sync::{Lease, SyncMode};
use wharf_ports::{InsertError, NewApiKey, RunError, TriggerOutcome};

use crate::{Harness, LONG, Run, SHORT, SOON, build};

const HOUR: Duration = Duration::from_hours(1);

async fn finish(h: &Harness, run: &Run<'_>, delay: Duration) {
    let (end, audit) = (JobEnd::complete(), h.audit(Action::JobFinished));
    h.repositories
        .runs
        .finish(&run.tenant.organization, &run.lease, end, delay, audit)
        .await
        .unwrap();
}

pub async fn of_many_callers_at_once_exactly_one_bootstraps(h: Harness) {
    let tasks = (0..8).map(|n| {
        let organization = build::organization(&h.ids, &format!("organization {n}"));
        let key = build::api_key(&h.ids, &organization.admin.id, "admin");
        let (across, audit) = (
            h.repositories.across.clone(),
            h.audit(Action::OrganizationCreated),
        );
        tokio::spawn(async move { across.bootstrap(organization, key, audit).await.unwrap() })
    });
    let won = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    assert_eq!(
        won.into_iter().filter(|won| *won.as_ref().unwrap()).count(),
        1
    );
    assert_eq!(
        h.repositories
            .across
            .list_organizations()
            .await
            .unwrap()
            .len(),
        1
    );
}

pub async fn bootstrap_makes_organization_admin_key_and_namespace(h: Harness) {
    let organization = build::organization(&h.ids, "first");
    let key = build::api_key(&h.ids, &organization.admin.id, "admin");
    let across = &h.repositories.across;
    let audit = h.audit(Action::OrganizationCreated);
    assert!(
        across
            .bootstrap(organization.clone(), key.clone(), audit.clone())
            .await
            .unwrap()
    );
    let access = &h.repositories.access;
    assert_eq!(
        access
            .organization(&organization.id)
            .await
            .unwrap()
            .unwrap()
            .profile
            .name,
        "first"
    );
    let admin = access
        .find_user(&organization.id, &organization.admin.email)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (&admin.id, admin.profile.role),
        (&organization.admin.id, organization.admin.profile.role)
    );
    let credential = across.find_api_key(&key.hash).await.unwrap().unwrap();
    assert!(credential.valid);
    let default = NamespaceIdentifier::Name("default".to_owned());
    let namespace = h
        .repositories
        .namespaces
        .find(&organization.id, &default)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(namespace.id, organization.default_namespace);
    let trail = h
        .repositories
        .audit
        .list(&organization.id, &AuditFilter::default(), 0, 10)
        .await
        .unwrap()
        .rows;
    assert_eq!(
        trail
            .into_iter()
            .map(|stored| stored.row)
            .collect::<Vec<_>>(),
        [audit]
    );
}

pub async fn bootstrap_does_nothing_where_an_organization_is(h: Harness) {
    let acme = h.tenant("acme").await;
    let late = build::organization(&h.ids, "late");
    let key = build::api_key(&h.ids, &late.admin.id, "admin");
    let across = &h.repositories.across;
    let audit = h.audit(Action::OrganizationCreated);
    assert!(
        !across
            .bootstrap(late.clone(), key.clone(), audit)
            .await
            .unwrap()
    );
    assert_eq!(
        h.repositories.access.organization(&late.id).await.unwrap(),
        None
    );
    assert_eq!(across.find_api_key(&key.hash).await.unwrap(), None);
    assert_eq!(
        acme.audited(Action::OrganizationCreated).await,
        1,
        "its own"
    );
}

pub async fn organizations_have_names_of_their_own_and_are_listed_oldest_first(h: Harness) {
    for name in ["zeta", "alpha", "beta"] {
        h.tenant(name).await;
        h.moment().await;
    }
    let again = build::organization(&h.ids, "alpha");
    let across = &h.repositories.across;
    let refused = across
        .insert_organization(again.clone(), h.audit(Action::OrganizationCreated))
        .await;
    assert!(
        matches!(refused, Err(InsertError::NameTaken)),
        "{refused:?}"
    );
    let listed = across.list_organizations().await.unwrap();
    let names: Vec<_> = listed
        .iter()
        .map(|organization| organization.profile.name.as_str())
        .collect();
    assert_eq!(names, ["zeta", "alpha", "beta"]);
    let user = h
        .repositories
        .access
        .find_user(&again.id, &again.admin.email)
        .await
        .unwrap();
    assert_eq!(user, None, "nothing of the refused one is stored");
}

pub async fn a_key_is_valid_until_it_expires_or_is_revoked(h: Harness) {
    let acme = h.tenant("acme").await;
    let across = &h.repositories.across;
    let soon = across.now().await.unwrap() + SOON;
    let forever = NewApiKey {
        grant: Grant::of(Permission::Write),
        ..build::api_key(&h.ids, &acme.admin, "forever")
    };
    let brief = NewApiKey {
        grant: Grant {
            expires_at: Some(soon),
            ..Grant::of(Permission::Admin)
        },
        ..build::api_key(&h.ids, &acme.admin, "brief")
    };
    for key in [&forever, &brief] {
        let audit = h.audit(Action::ApiKeyCreated);
        h.repositories
            .access
            .insert_api_key(&acme.organization, key.clone(), audit)
            .await
            .unwrap();
    }
    let found = across.find_api_key(&forever.hash).await.unwrap().unwrap();
    let principal = Principal {
        organization: acme.organization.clone(),
        user: acme.admin.clone(),
        key: forever.id.clone(),
        grant: Grant::of(Permission::Write),
        rate_limits: RateLimits::default(),
    };
    assert_eq!(found.principal, principal);
    let valid = async |key: &NewApiKey| {
        across
            .find_api_key(&key.hash)
            .await
            .unwrap()
            .map(|found| found.valid)
    };
    assert_eq!(
        (valid(&forever).await, valid(&brief).await),
        (Some(true), Some(true))
    );
    h.outlive(SOON).await;
    assert_eq!(
        (valid(&forever).await, valid(&brief).await),
        (Some(true), Some(false)),
        "expired"
    );
    let audit = h.audit(Action::ApiKeyRevoked);
    h.repositories
        .access
        .revoke_api_key(&acme.organization, &forever.id, audit)
        .await
        .unwrap();
    assert_eq!(valid(&forever).await, Some(false), "revoked");
    assert_eq!(
        valid(&build::api_key(&h.ids, &acme.admin, "unknown")).await,
        None
    );
}

pub async fn a_due_sync_is_leased_with_its_queued_job(h: Harness) {
    let acme = h.tenant("acme").await;
    let sync = acme
        .sync(&acme.bucket("media").await, &acme.connection("store").await)
        .await;
    let queued = sync.queued_job.clone().unwrap();
    h.moment().await;
    let due = h
        .repositories
        .across
        .lease_due_sync("worker 1", LONG, &h.ids.id(), &h.ids.id())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (&due.organization, &due.lease.sync),
        (&acme.organization, &sync.id)
    );
    assert_eq!(due.lease.job, queued);
    let stored = acme.stored_sync(&sync).await;
    let holder = stored.lease.unwrap();
    assert_eq!((&holder.job, holder.worker.as_str()), (&queued, "worker 1"));
    assert_eq!(
        (holder.expires_at - holder.acquired_at).to_std().unwrap(),
        LONG
    );
    assert_eq!(stored.queued_job, None);
    let jobs = acme.jobs(&sync.id).await;
    assert_eq!(
        (jobs.len(), jobs[0].phase, jobs[0].trigger),
        (1, JobPhase::Discovering, JobTrigger::Scheduled)
    );
    assert_eq!(jobs[0].started_at, Some(holder.acquired_at));
    assert_eq!(h.try_lease(LONG).await, None, "somebody holds it");
}

pub async fn a_sync_is_due_when_its_time_has_come_and_gets_a_scheduled_job(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    finish(&h, &run, SOON).await;
    assert_eq!(h.try_lease(LONG).await, None, "its time has not come");
    h.outlive(SOON).await;
    let new_job = h.ids.id();
    let due = h
        .repositories
        .across
        .lease_due_sync("worker", LONG, &new_job, &h.ids.id())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        due.lease,
        Lease {
            sync: run.sync.id.clone(),
            job: new_job.clone(),
            fence: run.lease.fence + 1
        }
    );
    let job = acme.jobs(&run.sync.id).await.remove(0);
    assert_eq!(
        (job.id, job.trigger, job.resumed_from),
        (new_job, JobTrigger::Scheduled, None)
    );
    assert_eq!(
        (job.status, job.phase),
        (JobStatus::Running, JobPhase::Discovering)
    );
    assert!(job.started_at.is_some() && job.completed_at.is_none());
}

pub async fn the_sync_that_has_been_due_longest_comes_first(h: Harness) {
    let acme = h.tenant("acme").await;
    let (bucket, connection) = (acme.bucket("media").await, acme.connection("store").await);
    let mut waiting = Vec::new();
    for _ in 0..4 {
        h.moment().await;
        waiting.push(acme.sync(&bucket, &connection).await.id);
    }
    for sync in waiting {
        assert_eq!(h.lease(LONG).await.sync, sync);
    }
}

pub async fn a_sync_runs_only_while_its_connection_is_active(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let sync = acme.sync(&acme.bucket("media").await, &connection).await;
    let denied = AttemptResult::Failure {
        code: ErrorCode::PermDenied,
        message: "not allowed".to_owned(),
    };
    let stops = [
        vec![Event::Suspend],
        vec![build::outcome(&connection, denied)],
        vec![build::network_failure(&connection); 5],
    ];
    for mut events in stops {
        let epoch = acme.stored_connection(&connection).await.epoch;
        for event in &mut events {
            if let Event::Outcome { outcome, .. } = event {
                outcome.epoch = epoch;
            }
        }
        acme.apply(&connection, events).await;
        assert_eq!(h.try_lease(LONG).await, None);
        acme.apply(&connection, vec![Event::Activate { tested: true }])
            .await;
    }
    assert_eq!(h.lease(LONG).await.sync, sync.id);
}

pub async fn a_transient_failure_does_not_keep_a_sync_from_running(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let sync = acme.sync(&acme.bucket("media").await, &connection).await;
    acme.apply(&connection, vec![build::network_failure(&connection); 4])
        .await;
    assert_eq!(h.lease(LONG).await.sync, sync.id);
}

pub async fn an_expired_lease_is_taken_over_by_a_resume(h: Harness) {
    let acme = h.tenant("acme").await;
    let sync = acme
        .sync(&acme.bucket("media").await, &acme.connection("store").await)
        .await;
    let lost = h.lease(SHORT).await;
    h.outlive(SHORT).await;
    let taken = h.lease(LONG).await;
    assert_eq!((&taken.sync, taken.fence), (&sync.id, lost.fence + 1));
    assert_ne!(taken.job, lost.job);
    let jobs = acme.jobs(&sync.id).await;
    let job = |id| jobs.iter().find(|job| job.id == id).unwrap();
    let (old, new) = (job(lost.job.clone()), job(taken.job.clone()));
    assert_eq!(
        (old.status, old.complete),
        (JobStatus::Interrupted, Some(false))
    );
    assert_eq!(old.incomplete_reason.as_deref(), Some("lease_expired"));
    assert!(old.completed_at.is_some());
    assert_eq!(
        acme.audited_ends(&lost.job).await,
        [("interrupted".to_owned(), "lease_expired".to_owned())]
    );
    assert_eq!(
        (new.trigger, &new.resumed_from),
        (JobTrigger::Resume, &Some(lost.job.clone()))
    );
    assert_eq!(
        (new.status, new.phase),
        (JobStatus::Running, JobPhase::Discovering)
    );
    assert_eq!(
        acme.stored_sync(&sync).await.lease.map(|holder| holder.job),
        Some(taken.job)
    );
    let refused = h.repositories.runs.load(&acme.organization, &lost).await;
    assert!(matches!(refused, Err(RunError::LeaseLost)), "{refused:?}");
}

pub async fn an_expired_lease_is_released_while_its_connection_is_not_active(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let sync = acme.sync(&acme.bucket("media").await, &connection).await;
    let lost = h.lease(SHORT).await;
    acme.apply(&connection, vec![Event::Suspend]).await;
    assert_eq!(h.try_lease(LONG).await, None);
    let job = acme.jobs(&sync.id).await.remove(0);
    assert_eq!(job.status, JobStatus::Running, "its lease has not expired");

    h.outlive(SHORT).await;
    let now = h.repositories.across.now().await.unwrap();
    assert_eq!(h.try_lease(LONG).await, None, "it is not leased");
    let stored = acme.stored_sync(&sync).await;
    assert_eq!(stored.lease, None);
    assert!(stored.next_run_at.is_some_and(|at| at >= now));
    let jobs = acme.jobs(&sync.id).await;
    assert_eq!(jobs.len(), 1, "no new job");
    assert_eq!(
        (jobs[0].status, jobs[0].complete, jobs[0].phase),
        (JobStatus::Interrupted, Some(false), JobPhase::Idle)
    );
    assert_eq!(jobs[0].incomplete_reason.as_deref(), Some("lease_expired"));
    let refused = h.repositories.runs.load(&acme.organization, &lost).await;
    assert!(matches!(refused, Err(RunError::LeaseLost)), "{refused:?}");
    assert_eq!(h.try_lease(LONG).await, None);
    assert_eq!(acme.jobs(&sync.id).await, jobs, "it is ended once");
    assert_eq!(
        acme.audited_ends(&lost.job).await,
        [("interrupted".to_owned(), "lease_expired".to_owned())]
    );

    acme.apply(&connection, vec![Event::Activate { tested: true }])
        .await;
    let resumed = h.lease(LONG).await;
    assert_eq!((&resumed.sync, resumed.fence), (&sync.id, lost.fence + 1));
    let jobs = acme.jobs(&sync.id).await;
    let resume = jobs.iter().find(|job| job.id == resumed.job).unwrap();
    assert_eq!(
        (resume.trigger, &resume.resumed_from),
        (JobTrigger::Resume, &Some(lost.job))
    );
}

pub async fn a_released_lease_does_not_keep_others_from_theirs(h: Harness) {
    let acme = h.tenant("acme").await;
    let bucket = acme.bucket("media").await;
    let (idle, busy) = (acme.connection("idle").await, acme.connection("busy").await);
    let abandoned = acme.sync(&bucket, &idle).await;
    let lost = h.lease(SHORT).await;
    let due = acme.sync(&bucket, &busy).await;
    let held = acme.sync(&bucket, &busy).await;
    assert_eq!(h.lease(LONG).await.sync, due.id);
    acme.apply(&idle, vec![Event::Suspend]).await;
    h.outlive(SHORT).await;
    assert_eq!(h.lease(LONG).await.sync, held.id);
    let jobs = acme.jobs(&abandoned.id).await;
    assert_eq!(
        (&jobs[0].id, jobs[0].status),
        (&lost.job, JobStatus::Interrupted)
    );
    for sync in [due, held] {
        let job = acme.jobs(&sync.id).await.remove(0);
        assert_eq!(job.status, JobStatus::Running);
    }
}

pub async fn a_take_over_keeps_the_progress_of_the_pass(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run_for(SHORT).await;
    let checkpoint = build::checkpoint(1);
    run.commit(Commit {
        checkpoint: Some(checkpoint.clone()),
        ..build::commit(1)
    })
    .await;
    h.outlive(SHORT).await;
    let taken = h.lease(LONG).await;
    let loaded = h
        .repositories
        .runs
        .load(&acme.organization, &taken)
        .await
        .unwrap();
    assert_eq!(
        (loaded.id, loaded.checkpoint, loaded.last_pass),
        (run.sync.id, Some(checkpoint), 1)
    );
}

pub async fn a_queued_job_takes_over_an_expired_lease(h: Harness) {
    let acme = h.tenant("acme").await;
    let sync = acme
        .sync(&acme.bucket("media").await, &acme.connection("store").await)
        .await;
    let lost = h.lease(SHORT).await;
    h.outlive(SHORT).await;
    let (job, audit) = (h.ids.id(), h.audit(Action::SyncTriggered));
    let trigger = h.repositories.syncs.trigger(
        &acme.organization,
        &sync.bucket,
        &sync.id,
        &job,
        false,
        audit,
    );
    assert_eq!(
        trigger.await.unwrap(),
        Some(TriggerOutcome::Queued(job.clone()))
    );
    let taken = h.lease(LONG).await;
    assert_eq!((&taken.job, taken.fence), (&job, lost.fence + 1));
    let jobs = acme.jobs(&sync.id).await;
    assert_eq!(jobs.len(), 2, "no third job");
    assert!(
        jobs.iter()
            .any(|job| job.id == lost.job && job.status == JobStatus::Interrupted)
    );
    assert!(
        jobs.iter()
            .any(|job| job.id == taken.job && job.trigger == JobTrigger::Manual)
    );
}

pub async fn of_many_callers_at_once_no_two_lease_the_same_sync(h: Harness) {
    let acme = h.tenant("acme").await;
    let (bucket, connection) = (acme.bucket("media").await, acme.connection("store").await);
    for _ in 0..6 {
        acme.sync(&bucket, &connection).await;
    }
    let tasks = (0..8).map(|_| {
        let across = h.repositories.across.clone();
        let jobs = [(h.ids.id(), h.ids.id()), (h.ids.id(), h.ids.id())];
        tokio::spawn(async move {
            let mut leased = Vec::new();
            for (job, audit) in &jobs {
                let due = across.lease_due_sync("worker", LONG, job, audit).await;
                leased.extend(due.unwrap());
            }
            leased
        })
    });
    let answers = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    let mut leases: Vec<Lease> = answers
        .into_iter()
        .flat_map(Result::unwrap)
        .map(|due| due.lease)
        .collect();
    while let Some(lease) = h.try_lease(LONG).await {
        leases.push(lease);
    }
    assert_eq!(leases.len(), 6, "each sync exactly once: {leases:?}");
    assert_eq!(
        leases
            .iter()
            .map(|lease| &lease.sync)
            .collect::<HashSet<_>>()
            .len(),
        6
    );
}

pub async fn blobs_of_live_objects_and_tombstones_are_referenced(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b"], "1").await;
    let before = run.objects().await;
    run.publish(1, &["media/a"], "2").await;
    let audit = h.audit(Action::ObjectDeleted);
    h.repositories
        .objects
        .remove(&acme.organization, &run.bucket.id, &before[1].id, audit)
        .await
        .unwrap();
    let theirs = other.run().await;
    theirs.publish(1, &["media/a"], "1").await;

    let replaced = before[0].content.blob.clone();
    let after = run.objects().await;
    let mut expected: Vec<_> = after
        .iter()
        .map(|object| object.content.blob.clone())
        .collect();
    expected.push(theirs.objects().await[0].content.blob.clone());
    let mut asked = vec![replaced];
    asked.extend((0..1000).map(|_| build::blob_key(&h.ids, &acme.organization, &run.bucket.id)));
    asked.extend(expected.clone());
    let mut referenced = h
        .repositories
        .across
        .referenced_blobs(&asked)
        .await
        .unwrap();
    referenced.sort();
    expected.sort();
    assert_eq!(referenced, expected);
    assert_eq!(
        h.repositories.across.referenced_blobs(&[]).await.unwrap(),
        []
    );
}

pub async fn the_clock_goes_on_in_microseconds(h: Harness) {
    let across = &h.repositories.across;
    let before = across.now().await.unwrap();
    h.pass(Duration::from_millis(20)).await;
    let after = across.now().await.unwrap();
    assert!(
        after - before >= chrono::TimeDelta::milliseconds(19),
        "{before} {after}"
    );
    assert_eq!(after.timestamp_subsec_nanos() % 1000, 0);
}

/// The organizations of all that is due, in the order in which it is leased.
async fn lease_all(h: &Harness) -> Vec<OrganizationId> {
    let mut turns = Vec::new();
    let across = &h.repositories.across;
    while let Some(due) = across
        .lease_due_sync("worker", LONG, &h.ids.id(), &h.ids.id())
        .await
        .unwrap()
    {
        turns.push(due.organization);
    }
    turns
}

pub async fn many_syncs_of_one_organization_keep_nobody_waiting(h: Harness) {
    let (many, few) = (h.tenant("many").await, h.tenant("few").await);
    for (tenant, syncs) in [(&many, 4), (&few, 2)] {
        let (bucket, connection) = (
            tenant.bucket("media").await,
            tenant.connection("store").await,
        );
        for _ in 0..syncs {
            h.moment().await;
            tenant.sync(&bucket, &connection).await;
        }
    }
    let (many, few) = (&many.organization, &few.organization);
    let turns = lease_all(&h).await;
    let turns: Vec<_> = turns.iter().collect();
    assert_eq!(
        turns,
        [many, few, many, few, many, many],
        "whoever has the fewest runs at work comes first, and among equals what is due longest"
    );
}

pub async fn an_expired_lease_counts_as_no_run_at_work(h: Harness) {
    let (first, second) = (h.tenant("first").await, h.tenant("second").await);
    let lost = first.run_for(SHORT).await;
    h.outlive(SHORT).await;
    h.moment().await;
    let held = second
        .sync(
            &second.bucket("media").await,
            &second.connection("store").await,
        )
        .await;
    let taken = h.lease(LONG).await;
    assert_eq!(taken.sync, lost.sync.id, "it has been due for longer");
    assert_eq!(h.lease(LONG).await.sync, held.id);
}

async fn pause(h: &Harness, run: &Run<'_>) {
    let (tenant, audit) = (run.tenant, h.audit(Action::SyncPaused));
    let syncs = &h.repositories.syncs;
    let (organization, by) = (&tenant.organization, &tenant.admin);
    let paused = syncs.pause(organization, &run.bucket.id, &run.sync.id, by, None, audit);
    assert!(paused.await.unwrap().unwrap().paused.is_some());
}

pub async fn an_expired_lease_of_a_paused_sync_is_released(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run_for(SHORT).await;
    pause(&h, &run).await;
    h.outlive(SHORT).await;
    assert_eq!(h.try_lease(LONG).await, None, "it is not leased");
    let job = run.job().await;
    assert_eq!(
        (job.status, job.incomplete_reason.as_deref()),
        (JobStatus::Interrupted, Some("lease_expired"))
    );
    assert_eq!(
        acme.audited_ends(&run.lease.job).await,
        [("interrupted".to_owned(), "lease_expired".to_owned())]
    );
    let refused = h
        .repositories
        .runs
        .load(&acme.organization, &run.lease)
        .await;
    assert!(matches!(refused, Err(RunError::LeaseLost)), "{refused:?}");
    assert_eq!(h.try_lease(LONG).await, None);
    assert_eq!(acme.audited_ends(&run.lease.job).await.len(), 1);

    let audit = h.audit(Action::SyncResumed);
    let syncs = &h.repositories.syncs;
    let resumed = syncs.resume(&acme.organization, &run.bucket.id, &run.sync.id, audit);
    resumed.await.unwrap();
    let next = h.lease(LONG).await;
    let jobs = acme.jobs(&run.sync.id).await;
    let resume = jobs.iter().find(|job| job.id == next.job).unwrap();
    assert_eq!(
        (resume.trigger, &resume.resumed_from),
        (JobTrigger::Resume, &Some(run.lease.job.clone()))
    );
}

pub async fn tombstones_are_purged_when_their_undo_window_has_passed(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let (run, theirs) = (acme.run().await, other.run().await);
    let second = acme.second_run(&run).await;
    run.publish(1, &["media/deleted", "media/live", "media/vanished"], "1")
        .await;
    theirs.publish(1, &["media/vanished"], "1").await;
    run.delete("media/deleted").await;
    run.commit(Commit {
        seen: vec!["media/deleted".to_owned(), "media/live".to_owned()],
        ..build::commit(2)
    })
    .await;
    run.let_unseen_go(2, 10).await;
    theirs.let_unseen_go(2, 10).await;
    let before = run.objects().await;
    let purge = async |undo| {
        let across = &h.repositories.across;
        across.purge_tombstones(undo, 10).await.unwrap()
    };
    assert_eq!(purge(LONG).await, 0, "they may still be wanted back");
    assert_eq!(run.objects().await, before);
    second
        .commit(Commit {
            adopted: vec!["media/vanished".to_owned()],
            ..build::commit(1)
        })
        .await;
    h.outlive(SHORT).await;
    assert_eq!(purge(SHORT).await, 3);
    assert_eq!(purge(SHORT).await, 0, "once");

    let after = run.objects().await;
    assert_eq!(after.len(), 2, "what vanished at the source is gone");
    let deleted = &after[0];
    assert!(deleted.purged && deleted.deleted == before[0].deleted);
    assert_eq!(
        (&deleted.id, &deleted.facts),
        (&before[0].id, &before[0].facts),
        "what a person deleted is remembered"
    );
    assert_eq!(after[1], before[1]);
    assert!(run.known_one("media/deleted").await.held);
    assert_eq!(theirs.objects().await, []);
    assert_eq!(run.known(&["media/vanished"]).await, []);
    assert_eq!(
        (
            second.known(&["media/vanished"]).await,
            second.rows(9).await
        ),
        (vec![], 0),
        "with the rows that pointed at it"
    );
    let asked: Vec<_> = before
        .iter()
        .map(|object| object.content.blob.clone())
        .collect();
    let across = &h.repositories.across;
    assert_eq!(
        across.referenced_blobs(&asked).await.unwrap(),
        [after[1].content.blob.clone()],
        "only what is not purged points at a blob"
    );
}

pub async fn tombstones_are_purged_in_portions_the_oldest_first(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let names = ["media/c", "media/a", "media/b"];
    run.publish(1, &names, "1").await;
    for name in names {
        h.moment().await;
        run.delete(name).await;
    }
    h.moment().await;
    let across = &h.repositories.across;
    let portion = async || across.purge_tombstones(Duration::ZERO, 2).await.unwrap();
    assert_eq!(portion().await, 2);
    let purged = run.objects().await.into_iter();
    let purged: Vec<_> = purged
        .filter(|object| object.purged)
        .map(|object| object.source.object)
        .collect();
    assert_eq!(purged, ["media/a", "media/c"]);
    assert_eq!((portion().await, portion().await), (1, 0));
}

pub async fn a_purged_tombstone_comes_back_to_life_with_its_new_bytes(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    run.delete("media/a").await;
    h.moment().await;
    let across = &h.repositories.across;
    assert_eq!(
        across.purge_tombstones(Duration::ZERO, 10).await.unwrap(),
        1
    );
    let planned = run.put_over("media/a", "2").await;
    run.commit(Commit {
        puts: vec![planned.clone()],
        ..build::commit(2)
    })
    .await;
    let object = run.object("media/a").await;
    assert_eq!(
        (object.deleted, object.purged, &object.content),
        (None, false, &planned.content)
    );
    let blobs = [planned.content.blob];
    assert_eq!(across.referenced_blobs(&blobs).await.unwrap(), blobs);
}

pub async fn exhausted_dead_letters_of_syncs_that_rest_are_disposed_of(h: Harness) {
    let (running, paused) = (h.tenant("running").await, h.tenant("paused").await);
    let (once, archived) = (h.tenant("once").await, h.tenant("archived").await);
    let (running, paused, archived) = (
        running.run().await,
        paused.run().await,
        archived.run().await,
    );
    let once = once.run_in_mode(SyncMode::InitialOnly).await;
    let runs = [&running, &paused, &once, &archived];
    for run in runs {
        for _ in 0..3 {
            run.fail("media/a", "1", "net.timeout").await;
        }
        run.fail("media/young", "1", "net.timeout").await;
    }
    finish(&h, &once, Duration::ZERO).await;
    pause(&h, &paused).await;
    let gone = &archived.connection;
    archived.tenant.apply(gone, vec![Event::Archive]).await;
    let dispose = async |limit| {
        let across = &h.repositories.across;
        across.dispose_dead_letters(limit).await.unwrap()
    };
    assert_eq!(dispose(10).await, 0, "they are young");
    h.age(DISPOSAL.saturating_sub(HOUR)).await;
    assert_eq!(dispose(10).await, 0);
    h.age(HOUR).await;
    let portions = [dispose(2).await, dispose(2).await, dispose(2).await];
    assert_eq!(portions, [2, 1, 0]);
    for run in runs {
        let open = run.dead_letter("media/a").await.is_some();
        assert_eq!(open, run.sync.id == running.sync.id);
        let young = run.dead_letter("media/young").await;
        assert!(young.is_some(), "it has tries left");
    }
}

pub async fn a_dead_letter_is_disposed_of_long_after_its_last_try(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    pause(&h, &run).await;
    for _ in 0..3 {
        run.fail("media/a", "1", "net.timeout").await;
    }
    h.age(DISPOSAL).await;
    run.fail("media/a", "1", "net.timeout").await;
    let dispose = async || {
        let across = &h.repositories.across;
        across.dispose_dead_letters(10).await.unwrap()
    };
    assert_eq!(dispose().await, 0, "it was tried just now");
    h.age(DISPOSAL).await;
    assert_eq!(dispose().await, 1);
    assert_eq!(run.dead_letter("media/a").await, None);
    run.fail("media/a", "1", "net.timeout").await;
    let anew = run.dead_letter("media/a").await.unwrap();
    assert_eq!(anew.tries, 1, "the next failure is another matter");
}
