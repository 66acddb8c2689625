//! What [`RunRepository`](wharf_ports::RunRepository) promises.

mod announcements;
mod endings;
mod failures;
mod feeds;
mod holding;
mod leases;
mod letting_go;
mod overtaken;
mod rows;
mod steps;

pub use announcements::*;
pub use endings::*;
pub use failures::*;
pub use feeds::*;
pub use holding::*;
pub use leases::*;
pub use letting_go::*;
pub use overtaken::*;
pub use rows::*;
pub use steps::*;

use std::time::Duration;

use wharf_domain::audit::Action;
use wharf_domain::ids::OrganizationId;
use wharf_domain::job::{Counters, JobEnd, JobPhase};
use wharf_domain::run::commit::Commit;
use wharf_domain::run::deletes::{Hold, MarkAbsent, MarkMissing};
use wharf_domain::sync::Lease;
use wharf_ports::RunError;

use crate::{Harness, LONG, Run, build};

const DAY: Duration = Duration::from_hours(24);

async fn finish(h: &Harness, run: &Run<'_>, lease: &Lease, end: JobEnd, delay: Duration) {
    let audit = h.audit(Action::JobFinished);
    h.repositories
        .runs
        .finish(&run.tenant.organization, lease, end, delay, audit)
        .await
        .unwrap();
}

type Answers = Vec<(&'static str, Result<(), RunError>)>;

/// What each method that publishes, marks or buries answers to a caller with that organization and lease.
async fn every_step(
    h: &Harness,
    run: &Run<'_>,
    organization: &OrganizationId,
    lease: &Lease,
) -> Answers {
    let runs = &h.repositories.runs;
    let standing = run.standing();
    let commit = run.step(9, &["media/stray"], "1").await;
    let published = Some(h.audit(Action::ObjectsCommitted));
    let (holding, letting_go) = (
        h.audit(Action::DeletesHeld),
        h.audit(Action::ObjectsCommitted),
    );
    let mark = MarkMissing {
        pass: 9,
        authority: build::AUTHORITY.to_owned(),
        unseen_beyond: Some(None),
        after: None,
        limit: 10,
    };
    let absent = MarkAbsent {
        pass: 9,
        authority: build::AUTHORITY.to_owned(),
        absent: Vec::new(),
        limit: 10,
    };
    let too_many = Hold {
        pass: 9,
        denied: Vec::new(),
        reason: "too many".to_owned(),
        limit: 10,
    };
    let gone = build::let_go(9, 10);
    vec![
        (
            "commit",
            runs.commit(organization, lease, standing, &commit, published)
                .await,
        ),
        (
            "mark_missing",
            runs.mark_missing(organization, lease, standing, &mark)
                .await
                .map(drop),
        ),
        (
            "mark_absent",
            runs.mark_absent(organization, lease, standing, &absent)
                .await
                .map(drop),
        ),
        (
            "hold",
            runs.hold(organization, lease, standing, &too_many, holding)
                .await
                .map(drop),
        ),
        (
            "let_go",
            runs.let_go(organization, lease, standing, &gone, letting_go)
                .await
                .map(drop),
        ),
    ]
}

/// What each method answers to a caller with that organization and lease.
async fn every_call(
    h: &Harness,
    run: &Run<'_>,
    organization: &OrganizationId,
    lease: &Lease,
) -> Answers {
    let runs = &h.repositories.runs;
    let mut answers = vec![
        ("load", runs.load(organization, lease).await.map(drop)),
        ("extend", runs.extend(organization, lease, LONG).await),
        (
            "survey",
            runs.survey(organization, lease, 9, &[]).await.map(drop),
        ),
    ];
    let missing = runs.missing_rows(organization, lease, 9, build::AUTHORITY, None, 9);
    answers.push(("missing_rows", missing.await.map(drop)));
    let channel = runs.keep_channel(organization, lease, None).await;
    answers.push(("keep_channel", channel));
    answers.extend(every_step(h, run, organization, lease).await);
    let (end, audit) = (JobEnd::complete(), h.audit(Action::JobFinished));
    let finish = runs.finish(organization, lease, end, DAY, audit).await;
    answers.push(("finish", finish));
    answers
}

/// Every step of the run is refused because its connection is not what it was.
async fn assert_stopped(h: &Harness, run: &Run<'_>) {
    for (method, answer) in every_step(h, run, &run.tenant.organization, &run.lease).await {
        assert!(
            matches!(answer, Err(RunError::ConnectionChanged)),
            "{method}: {answer:?}"
        );
    }
}

fn assert_all_lost(answers: &[(&'static str, Result<(), RunError>)]) {
    for (method, answer) in answers {
        assert!(
            matches!(answer, Err(RunError::LeaseLost)),
            "{method}: {answer:?}"
        );
    }
}

/// A step that changes everything a step can change.
async fn rich_step(run: &Run<'_>) -> Commit {
    let mut counters = Counters {
        discovered: 5,
        synced: 2,
        verified: 2,
        bytes: 10,
        ..Counters::default()
    };
    counters.skip("resource.archived");
    counters.filtered_by.insert("too_large".to_owned(), 3);
    Commit {
        counters,
        checkpoint: Some(build::checkpoint(3)),
        phase: JobPhase::Verifying,
        ..run.step(3, &["media/a", "media/b"], "1").await
    }
}
