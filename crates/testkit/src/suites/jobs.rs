//! What [`JobRepository`](wharf_ports::JobRepository) promises.

use std::time::Duration;

use wharf_domain::audit::Action;
use wharf_domain::ids::JobId;
use wharf_domain::job::{JobEnd, JobStatus};
use wharf_domain::page::PageRequest;

use crate::{Harness, LONG, Run, paging};

/// Ends the run and starts the next, `count` times.
async fn run_on(h: &Harness, run: &Run<'_>, ends: &[JobEnd]) {
    let mut lease = run.lease.clone();
    for end in ends {
        h.moment().await;
        let audit = h.audit(Action::JobFinished);
        let organization = &run.tenant.organization;
        h.repositories
            .runs
            .finish(organization, &lease, end.clone(), Duration::ZERO, audit)
            .await
            .unwrap();
        h.moment().await;
        lease = h.lease(LONG).await;
    }
}

pub async fn a_job_is_found_under_its_own_sync_and_organization(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    let second = acme.second_run(&run).await;
    let jobs = &h.repositories.jobs;
    let find = |organization, sync, job| jobs.find(organization, sync, job);
    let (sync, job) = (&run.sync.id, &run.lease.job);
    assert_eq!(
        find(&acme.organization, sync, job)
            .await
            .unwrap()
            .unwrap()
            .id,
        *job
    );
    assert_eq!(
        find(&acme.organization, &second.sync.id, job)
            .await
            .unwrap(),
        None
    );
    assert_eq!(find(&other.organization, sync, job).await.unwrap(), None);
    let unknown: JobId = h.ids.id();
    assert_eq!(
        find(&acme.organization, sync, &unknown).await.unwrap(),
        None
    );
    let seen = jobs
        .list(&other.organization, sync, None, &PageRequest::first(10))
        .await
        .unwrap();
    assert_eq!((seen.items.len(), seen.total), (0, seen.items.len() as u64));
}

pub async fn jobs_are_listed_by_status(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let failed = JobEnd::failed("listing_failed", "the bucket is gone".to_owned());
    run_on(
        &h,
        &run,
        &[JobEnd::complete(), failed, JobEnd::incomplete("over_cap")],
    )
    .await;
    let count = async |status| {
        let page = PageRequest {
            include_total: true,
            ..PageRequest::first(10)
        };
        let listed = h
            .repositories
            .jobs
            .list(&acme.organization, &run.sync.id, status, &page)
            .await
            .unwrap();
        assert!(
            listed
                .items
                .iter()
                .all(|job| status.is_none_or(|status| job.status == status))
        );
        assert_eq!(
            listed.items.len() as u64,
            listed.total,
            "the total counts matches only"
        );
        listed.total
    };
    assert_eq!(count(None).await, 4);
    assert_eq!(count(Some(JobStatus::Completed)).await, 2);
    assert_eq!(count(Some(JobStatus::Failed)).await, 1);
    assert_eq!(count(Some(JobStatus::Running)).await, 1);
    assert_eq!(count(Some(JobStatus::Skipped)).await, 0);
}

pub async fn jobs_are_listed_newest_first_in_pages(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let _second = acme.second_run(&run).await;
    run_on(
        &h,
        &run,
        &[JobEnd::complete(), JobEnd::complete(), JobEnd::complete()],
    )
    .await;
    paging::walk(4, async |page| {
        h.repositories
            .jobs
            .list(&acme.organization, &run.sync.id, None, &page)
            .await
            .unwrap()
    })
    .await;
}
