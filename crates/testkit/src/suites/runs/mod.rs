//! What [`RunRepository`](wharf_ports::RunRepository) promises.

mod endings;
mod leases;
mod letting_go;
mod overtaken;
mod steps;

pub use endings::*;
pub use leases::*;
pub use letting_go::*;
pub use overtaken::*;
pub use steps::*;

use std::time::Duration;

use wharf_domain::audit::Action;
use wharf_domain::ids::OrganizationId;
use wharf_domain::job::{Counters, JobEnd, JobPhase};
use wharf_domain::plan::Known;
use wharf_domain::sync::{Checkpoint, Cursor, Lease};
use wharf_ports::{Commit, LetGo, RunError};

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

async fn known(h: &Harness, run: &Run<'_>, objects: &[&str]) -> Vec<Known> {
    let sources: Vec<_> = objects.iter().map(|object| build::source(object)).collect();
    let mut known = h
        .repositories
        .runs
        .known(&run.tenant.organization, &run.lease, &sources)
        .await
        .unwrap();
    known.sort_by(|a, b| a.object.cmp(&b.object));
    known
}

/// What each method answers to a caller with that organization and lease.
async fn every_call(
    h: &Harness,
    run: &Run<'_>,
    organization: &OrganizationId,
    lease: &Lease,
) -> Vec<(&'static str, Result<(), RunError>)> {
    let runs = &h.repositories.runs;
    let commit = Commit {
        audit: Some(h.audit(Action::ObjectsCommitted)),
        ..run.step(9, &["media/stray"], "1").await
    };
    let (end, audit) = (JobEnd::complete(), h.audit(Action::JobFinished));
    vec![
        ("load", runs.load(organization, lease).await.map(drop)),
        ("extend", runs.extend(organization, lease, LONG).await),
        (
            "known",
            runs.known(organization, lease, &[build::source("media/a")])
                .await
                .map(drop),
        ),
        ("commit", runs.commit(organization, lease, commit).await),
        (
            "let_go",
            runs.let_go(organization, lease, letting_go(h, run, 9))
                .await
                .map(drop),
        ),
        (
            "finish",
            runs.finish(organization, lease, end, DAY, audit).await,
        ),
    ]
}

/// A step that lets go of up to ten entries not seen from `pass` on.
fn letting_go(h: &Harness, run: &Run<'_>, pass: u64) -> LetGo {
    LetGo {
        epoch: run.connection.epoch,
        credential_version: run.connection.credential_version,
        pass,
        limit: 10,
        audit: h.audit(Action::ObjectsCommitted),
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
async fn rich_step(h: &Harness, run: &Run<'_>) -> Commit {
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
        checkpoint: Some(Checkpoint {
            pass: 3,
            cursor: Some(Cursor("seite 2 ✓".to_owned())),
            objects_processed: 5,
            unsettled: 2,
            extra_passes: 1,
            credential_version: 1,
        }),
        phase: JobPhase::Verifying,
        audit: Some(h.audit(Action::ObjectsCommitted)),
        ..run.step(3, &["media/a", "media/b"], "1").await
    }
}
