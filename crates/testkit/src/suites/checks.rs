//! What [`CheckRepository`](wharf_ports::CheckRepository) promises.

use std::time::Duration;

use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::connection::{
    Connection, Event, Health, Intent, PublicStatus, Transition, TransitionError,
};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::event::EventType;
use wharf_domain::health::{
    Availability, AvailabilitySummary, CheckCause, CheckRecord, NewCheckRecord,
};
use wharf_domain::ids::OrganizationId;
use wharf_domain::time_text;
use wharf_ports::{ApplyError, CheckLease, RecordError};

use crate::{Harness, LONG, SHORT, SOON, Tenant, build, paging};

const REFUSED: Option<ErrorCode> = Some(ErrorCode::AuthInvalidCredentials);
const THROTTLED: Option<ErrorCode> = Some(ErrorCode::QuotaRateLimited);
const TIMEOUT: Option<ErrorCode> = Some(ErrorCode::NetworkTimeout);

async fn record(
    h: &Harness,
    organization: &OrganizationId,
    connection: &Connection,
    lease: Option<&CheckLease>,
    check: NewCheckRecord,
    event: Event,
) -> Result<Transition, RecordError> {
    let (tested, expiring) = (
        h.audit(Action::ConnectionTested),
        h.audit(Action::ConnectionExpiring),
    );
    h.repositories
        .checks
        .record(
            organization,
            &connection.id,
            lease,
            check,
            event,
            tested,
            expiring,
        )
        .await
}

/// The outcome of a check of the connection, after which it is checked again.
fn and_again(connection: &Connection, failure: Option<ErrorCode>, next: Duration) -> Event {
    match build::checked(connection, failure) {
        Event::Checked { outcome, .. } => Event::Checked {
            outcome,
            next: Some(next),
            expires_at: None,
        },
        other => other,
    }
}

/// A connection whose check is due at once.
async fn unchecked(acme: &Tenant<'_>) -> Connection {
    acme.connection_to_check("store", Duration::ZERO).await
}

pub async fn a_check_is_in_the_history_with_the_status_afterwards(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let mut expected = Vec::new();
    let found = [
        (REFUSED, PublicStatus::Failed),
        (THROTTLED, PublicStatus::Failed),
        (None, PublicStatus::Active),
    ];
    for (failure, status) in found {
        h.moment().await;
        let check = acme.check(&connection, failure).await;
        let at = acme.checks(&connection).await[0].at;
        let record = CheckRecord {
            check,
            connection: connection.id.clone(),
            at,
            status,
        };
        expected.insert(0, record);
    }
    assert_eq!(acme.checks(&connection).await, expected);
}

pub async fn every_field_of_a_check_is_stored(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let open = Check::inconclusive("tags", ErrorCode::PermDenied, None, "Grant it.", 7).of_path();
    let check = NewCheckRecord {
        cause: CheckCause::Person,
        report: CheckReport {
            checks: vec![Check::passed("sign_in", 1), open],
        },
        ..build::check(&h.ids, None)
    };
    let before = h.repositories.across.now().await.unwrap();
    h.moment().await;
    let event = build::checked(&connection, None);
    let organization = &acme.organization;
    let recorded = record(&h, organization, &connection, None, check.clone(), event);
    recorded.await.unwrap();
    let stored = acme.checks(&connection).await.remove(0);
    assert_eq!(stored.check, check);
    assert!(stored.at > before, "stamped by the database's clock");
}

pub async fn a_check_applies_its_event_and_tells_of_it_in_the_same_step(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let before = acme.head().await.position;
    let next = Duration::from_mins(15);
    let event = and_again(&connection, REFUSED, next);
    let check = build::check(&h.ids, REFUSED);
    let applied = record(&h, &acme.organization, &connection, None, check, event)
        .await
        .unwrap();
    let stored = acme.stored_connection(&connection).await;
    assert_eq!(stored, applied.connection);
    assert_eq!(stored.status(), PublicStatus::Failed);
    assert_eq!(
        applied.status_change,
        Some((PublicStatus::Active, PublicStatus::Failed))
    );
    assert_eq!(stored.next_check_at, Some(stored.updated_at + next));
    let row = acme.trail().await.remove(0);
    assert_eq!(
        (row.action, &row.changes["status"]),
        (
            Action::ConnectionTested,
            &json!({"from": "ACTIVE", "to": "FAILED"})
        )
    );
    acme.check(&connection, None).await;
    let told = acme.told_after(before).await;
    let types: Vec<_> = told.into_iter().map(|(event_type, _)| event_type).collect();
    assert_eq!(
        types,
        [EventType::ConnectionFailed, EventType::ConnectionRecovered]
    );
    assert_eq!(acme.chain().await.len(), 4);
}

pub async fn a_check_that_changes_nothing_is_audited_and_announced_to_nobody(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let before = acme.head().await.position;
    // Without anything planned, a check that passes leaves the connection as it is.
    acme.check(&connection, None).await;
    let first = acme.stored_connection(&connection).await;
    acme.check(&connection, None).await;
    assert_eq!(acme.stored_connection(&connection).await, first);
    assert_eq!(acme.checks(&connection).await.len(), 2);
    assert_eq!(acme.audited(Action::ConnectionTested).await, 2);
    let row = acme.trail().await.remove(0);
    assert_eq!(row.changes.get("status"), None);
    assert_eq!(acme.entries_after(before).await, []);
}

pub async fn a_stale_outcome_is_in_the_history_and_changes_nothing(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let suspended = acme.apply(&connection, vec![Event::Suspend]).await;
    let check = build::check(&h.ids, REFUSED);
    let stale = and_again(&connection, REFUSED, SOON);
    let organization = &acme.organization;
    let recorded = record(&h, organization, &connection, None, check.clone(), stale);
    assert!(!recorded.await.unwrap().changed);
    assert_eq!(
        acme.stored_connection(&connection).await,
        suspended.connection
    );
    let history = acme.checks(&connection).await;
    assert_eq!(
        (&history[0].check, history[0].status),
        (&check, PublicStatus::Suspended)
    );
    assert_eq!(acme.audited(Action::ConnectionTested).await, 1);
}

pub async fn what_runs_out_soon_is_warned_about_once(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let before = acme.head().await.position;
    let soon = h.repositories.across.now().await.unwrap() + Duration::from_hours(1);
    for _ in 0..2 {
        let event = match build::checked(&connection, None) {
            Event::Checked { outcome, .. } => Event::Checked {
                outcome,
                next: None,
                expires_at: Some(soon),
            },
            other => other,
        };
        let check = build::check(&h.ids, None);
        record(&h, &acme.organization, &connection, None, check, event)
            .await
            .unwrap();
    }
    let stored = acme.stored_connection(&connection).await;
    assert_eq!(
        (stored.expires_at, stored.expiry_warned),
        (Some(soon), true)
    );
    let trail = acme.trail().await;
    let warnings = trail
        .iter()
        .filter(|row| row.action == Action::ConnectionExpiring);
    let told: Vec<_> = warnings
        .map(|row| row.changes["expires_at"].clone())
        .collect();
    assert_eq!(told, [json!(time_text(&soon))]);
    assert_eq!(acme.audited(Action::ConnectionTested).await, 2);
    let told = acme.told_after(before).await;
    let types: Vec<_> = told.into_iter().map(|(event_type, _)| event_type).collect();
    assert_eq!(types, [EventType::ConnectionExpiring]);
    acme.chain().await;
}

pub async fn of_many_checks_at_once_every_one_counts(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let tasks = (0..4).map(|_| {
        let checks = h.repositories.checks.clone();
        let (organization, id) = (acme.organization.clone(), connection.id.clone());
        let (check, event) = (
            build::check(&h.ids, TIMEOUT),
            build::checked(&connection, TIMEOUT),
        );
        let rows = (
            h.audit(Action::ConnectionTested),
            h.audit(Action::ConnectionExpiring),
        );
        tokio::spawn(async move {
            checks
                .record(&organization, &id, None, check, event, rows.0, rows.1)
                .await
                .unwrap();
        })
    });
    for task in futures::future::join_all(tasks.collect::<Vec<_>>()).await {
        task.unwrap();
    }
    let health = acme.stored_connection(&connection).await.health;
    assert_eq!(
        health,
        Health::Failing {
            consecutive_failures: 4,
            definite: false
        }
    );
    assert_eq!(acme.checks(&connection).await.len(), 4);
    assert_eq!(acme.audited(Action::ConnectionTested).await, 4);
    acme.chain().await;
}

pub async fn a_recorded_check_ends_its_lease(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = unchecked(&acme).await;
    let due = h.lease_check(LONG).await.unwrap();
    let event = and_again(&due.connection, None, Duration::ZERO);
    let check = build::check(&h.ids, None);
    let organization = &acme.organization;
    let recorded = record(
        &h,
        organization,
        &connection,
        Some(&due.lease),
        check.clone(),
        event.clone(),
    );
    recorded.await.unwrap();
    let again = record(
        &h,
        organization,
        &connection,
        Some(&due.lease),
        build::check(&h.ids, None),
        event,
    );
    let again = again.await;
    assert!(matches!(again, Err(RecordError::LeaseLost)), "{again:?}");
    assert_eq!(acme.checks(&connection).await.len(), 1);
    let next = h.lease_check(LONG).await.expect("it is due again");
    assert!(next.lease.fence > due.lease.fence);
}

pub async fn a_lease_that_was_taken_over_records_nothing(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = unchecked(&acme).await;
    let first = h.lease_check(SHORT).await.unwrap();
    h.outlive(SHORT).await;
    let second = h.lease_check(LONG).await.unwrap();
    let before = acme.stored_connection(&connection).await;
    let organization = &acme.organization;
    let attempt = async |lease: &CheckLease| {
        let check = build::check(&h.ids, REFUSED);
        let event = build::checked(&before, REFUSED);
        record(&h, organization, &connection, Some(lease), check, event).await
    };
    let lost = attempt(&first.lease).await;
    assert!(matches!(lost, Err(RecordError::LeaseLost)), "{lost:?}");
    assert_eq!(acme.checks(&connection).await, []);
    assert_eq!(acme.stored_connection(&connection).await, before);
    assert_eq!(acme.audited(Action::ConnectionTested).await, 0);
    attempt(&second.lease).await.unwrap();
    assert_eq!(acme.checks(&connection).await.len(), 1);
}

pub async fn an_expired_lease_that_nobody_took_over_still_records(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = unchecked(&acme).await;
    let due = h.lease_check(SHORT).await.unwrap();
    h.outlive(SHORT).await;
    let event = build::checked(&due.connection, None);
    let check = build::check(&h.ids, None);
    let organization = &acme.organization;
    let recorded = record(
        &h,
        organization,
        &connection,
        Some(&due.lease),
        check,
        event,
    );
    recorded.await.unwrap();
}

pub async fn a_lease_of_another_connection_records_nothing(h: Harness) {
    let acme = h.tenant("acme").await;
    let mine = unchecked(&acme).await;
    let due = h.lease_check(LONG).await.unwrap();
    assert_eq!(due.lease.connection, mine.id);
    let other = acme.connection("other").await;
    let event = build::checked(&other, REFUSED);
    let check = build::check(&h.ids, REFUSED);
    let organization = &acme.organization;
    let lost = record(&h, organization, &other, Some(&due.lease), check, event).await;
    assert!(matches!(lost, Err(RecordError::LeaseLost)), "{lost:?}");
    assert_eq!(acme.checks(&other).await, []);
    assert_eq!(acme.stored_connection(&other).await, other);
}

pub async fn a_released_lease_is_due_again_and_a_lost_one_releases_nothing(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    unchecked(&acme).await;
    let checks = &h.repositories.checks;
    let first = h.lease_check(LONG).await.unwrap();
    assert_eq!(h.lease_check(LONG).await, None);
    checks
        .release(&other.organization, &first.lease)
        .await
        .unwrap();
    assert_eq!(h.lease_check(LONG).await, None, "nobody else releases it");
    checks
        .release(&acme.organization, &first.lease)
        .await
        .unwrap();
    let second = h.lease_check(LONG).await.unwrap();
    assert!(second.lease.fence > first.lease.fence);
    checks
        .release(&acme.organization, &first.lease)
        .await
        .unwrap();
    assert_eq!(h.lease_check(LONG).await, None, "the second one is held");
}

pub async fn another_organization_neither_records_nor_sees_a_check(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let connection = acme.connection("store").await;
    acme.check(&connection, None).await;
    let check = build::check(&h.ids, REFUSED);
    let event = build::checked(&connection, REFUSED);
    let refused = record(&h, &other.organization, &connection, None, check, event).await;
    assert!(
        matches!(refused, Err(RecordError::Apply(ApplyError::NotFound))),
        "{refused:?}"
    );
    assert_eq!(other.checks(&connection).await, []);
    let checks = &h.repositories.checks;
    let summary = checks.availability(&other.organization, &connection.id);
    assert_eq!(summary.await.unwrap(), AvailabilitySummary::default());
    assert_eq!(acme.checks(&connection).await.len(), 1);
    assert_eq!(other.audited(Action::ConnectionTested).await, 0);
}

pub async fn what_the_state_does_not_allow_is_not_recorded(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let archived = acme.apply(&connection, vec![Event::Archive]).await;
    assert_eq!(archived.connection.intent, Intent::Archived);
    let check = build::check(&h.ids, None);
    let event = Event::Suspend;
    let refused = record(&h, &acme.organization, &connection, None, check, event).await;
    assert!(
        matches!(
            refused,
            Err(RecordError::Apply(ApplyError::Transition(
                TransitionError::Archived
            )))
        ),
        "{refused:?}"
    );
    assert_eq!(acme.checks(&connection).await, []);
    assert_eq!(acme.audited(Action::ConnectionTested).await, 0);
}

pub async fn checks_are_listed_newest_first_in_pages(h: Harness) {
    let acme = h.tenant("acme").await;
    let (connection, other) = (acme.connection("store").await, acme.connection("b").await);
    for nth in 0..5 {
        if nth % 2 == 0 {
            h.moment().await;
        }
        acme.check(&connection, None).await;
        acme.check(&other, None).await;
    }
    let checks = &h.repositories.checks;
    paging::walk(5, async |page| {
        let listed = checks.list(&acme.organization, &connection.id, &page);
        listed.await.unwrap()
    })
    .await;
}

pub async fn availability_counts_what_could_tell(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let other = acme.connection("other").await;
    acme.check(&other, None).await;
    for failure in [None, TIMEOUT, None, THROTTLED, REFUSED, None, THROTTLED] {
        h.moment().await;
        acme.check(&connection, failure).await;
    }
    // What is wrong with one path alone says nothing of the connection.
    let of_path = Check::failed("read", ErrorCode::PermDenied, None, "Grant it.", 1).of_path();
    let check = NewCheckRecord {
        report: CheckReport {
            checks: vec![Check::passed("sign_in", 1), of_path],
        },
        ..build::check(&h.ids, None)
    };
    h.moment().await;
    let event = build::checked(&connection, None);
    let organization = &acme.organization;
    record(&h, organization, &connection, None, check, event)
        .await
        .unwrap();
    let history = acme.checks(&connection).await;
    let checks = &h.repositories.checks;
    let summary = checks.availability(organization, &connection.id);
    let summary = summary.await.unwrap();
    let counted = Availability {
        passed: 4,
        failed: 2,
        undecided: 2,
    };
    assert_eq!(
        (summary.day, summary.week, summary.month),
        (counted, counted, counted)
    );
    assert_eq!(summary.last_passed_at, Some(history[0].at));
    assert_eq!(summary.last_failed_at, Some(history[3].at));
}

pub async fn availability_looks_back_a_day_a_week_and_a_month(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let day = Duration::from_hours(24);
    // Of these, the first is more than a month old in the end, the last some moments.
    for pause in [day * 25, day * 5, day, Duration::from_hours(1)] {
        acme.check(&connection, None).await;
        h.age(pause).await;
    }
    acme.check(&connection, TIMEOUT).await;
    let checks = &h.repositories.checks;
    let summary = checks.availability(&acme.organization, &connection.id);
    let summary = summary.await.unwrap();
    let (day, week, month) = (summary.day, summary.week, summary.month);
    assert_eq!((day.passed, week.passed, month.passed), (1, 3, 3));
    assert_eq!((day.failed, week.failed, month.failed), (1, 1, 1));
    h.age(Duration::from_hours(24 * 31)).await;
    let summary = checks.availability(&acme.organization, &connection.id);
    let summary = summary.await.unwrap();
    assert_eq!(summary.month, Availability::default());
    assert!(summary.last_passed_at.is_some() && summary.last_failed_at.is_some());
}
