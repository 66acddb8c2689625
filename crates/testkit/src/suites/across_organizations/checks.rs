//! Leases of checks.

use std::collections::HashSet;
use std::time::Duration;

use wharf_domain::connection::{AttemptResult, Connection, Event};
use wharf_domain::error_code::ErrorCode;
use wharf_ports::DueCheck;

use crate::trail::outcome_of;
use crate::{Harness, LONG, SHORT, SOON, Tenant, build};

/// A connection whose check is due at once.
async fn due(tenant: &Tenant<'_>, name: &str) -> Connection {
    tenant.connection_to_check(name, Duration::ZERO).await
}

pub async fn a_check_is_leased_when_its_time_has_come(h: Harness) {
    let acme = h.tenant("acme").await;
    acme.connection_to_check("later", LONG).await;
    let connection = acme.connection_to_check("store", SOON).await;
    let stored = acme.stored_connection(&connection).await;
    assert_eq!(stored.next_check_at, Some(stored.created_at + SOON));
    assert_eq!(h.lease_check(LONG).await, None);
    h.outlive(SOON).await;
    let due = h.lease_check(LONG).await.unwrap();
    let expected = DueCheck {
        organization: acme.organization.clone(),
        connection: acme.stored_connection(&connection).await,
        lease: due.lease.clone(),
        now: due.now,
    };
    assert_eq!(due, expected);
    assert_eq!(due.lease.connection, connection.id);
    assert!(due.now >= stored.created_at + SOON);
    assert_eq!(h.lease_check(LONG).await, None, "it is held");
}

pub async fn the_check_that_has_been_due_longest_comes_first(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let mut wanted = Vec::new();
    for (tenant, name) in [(&acme, "a"), (&other, "b"), (&acme, "c")] {
        wanted.push(due(tenant, name).await.id);
        h.moment().await;
    }
    let mut leased = Vec::new();
    while let Some(due) = h.lease_check(LONG).await {
        leased.push(due.lease.connection);
    }
    assert_eq!(leased, wanted);
}

pub async fn what_rests_is_not_checked_and_what_fails_is(h: Harness) {
    let acme = h.tenant("acme").await;
    for (name, event) in [("suspended", Event::Suspend), ("archived", Event::Archive)] {
        let connection = due(&acme, name).await;
        acme.apply(&connection, vec![event]).await;
    }
    let tripped = due(&acme, "tripped").await;
    let failures = (0..5).map(|_| build::network_failure(&tripped));
    acme.apply(&tripped, failures.collect()).await;
    let failing = due(&acme, "failing").await;
    let refused = AttemptResult::Failure {
        code: ErrorCode::AuthInvalidCredentials,
        message: "refused".to_owned(),
    };
    let refused = Event::Outcome {
        outcome: outcome_of(&failing, refused),
        next: Some(Duration::ZERO),
    };
    acme.apply(&failing, vec![refused]).await;
    let leased = h.lease_check(LONG).await.unwrap();
    assert_eq!(leased.lease.connection, failing.id);
    assert_eq!(h.lease_check(LONG).await, None);
    let back = Event::Activate { tested: true };
    let plan = Event::PlanCheck {
        after: Duration::ZERO,
    };
    acme.apply(&tripped, vec![back, plan]).await;
    let leased = h.lease_check(LONG).await.unwrap();
    assert_eq!(
        leased.lease.connection, tripped.id,
        "its check is planned again"
    );
}

pub async fn an_expired_lease_of_a_check_is_taken_over(h: Harness) {
    let acme = h.tenant("acme").await;
    due(&acme, "store").await;
    let first = h.lease_check(SHORT).await.unwrap();
    assert_eq!(h.lease_check(SHORT).await, None);
    h.outlive(SHORT).await;
    let second = h.lease_check(LONG).await.unwrap();
    assert!(second.lease.fence > first.lease.fence);
    assert_eq!(
        second.connection, first.connection,
        "a lease changes nothing"
    );
}

pub async fn of_many_callers_at_once_no_two_lease_the_same_check(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    for name in ["a", "b", "c"] {
        due(&acme, name).await;
        due(&other, name).await;
    }
    let tasks = (0..8).map(|_| {
        let across = h.repositories.across.clone();
        tokio::spawn(async move { across.lease_due_check(LONG).await.unwrap() })
    });
    let answers = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    let mut leased: Vec<_> = answers.into_iter().filter_map(Result::unwrap).collect();
    while let Some(due) = h.lease_check(LONG).await {
        leased.push(due);
    }
    let distinct: HashSet<_> = leased.iter().map(|due| &due.lease.connection).collect();
    assert_eq!((leased.len(), distinct.len()), (6, 6));
}
