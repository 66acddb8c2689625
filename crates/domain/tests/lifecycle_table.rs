//! The whole state × event table of a connection, as one test: read it beside the lifecycle in the architecture notes.

use std::fmt::Write;
use std::time::Duration;

use wharf_domain::Timestamp;
use wharf_domain::connection::{
    AttemptOutcome, AttemptResult, Connection, ConnectionName, Edit, Event, NewConnection,
    SealedCredentials,
};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::provider::{self, CredentialType, Provider};

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(second, 0).expect("in range")
}

fn fresh() -> Connection {
    let fields = serde_json::json!({"credentials": {"type": "access_key", "access_key_id": "a", "secret_access_key": "b"}});
    let serde_json::Value::Object(fields) = fields else {
        unreachable!()
    };
    let parsed =
        provider::parse_new(Provider::S3, fields, "provider_config").expect("a good configuration");
    let new = NewConnection {
        id: "conn_abc123DEF456ghi".parse().expect("an id"),
        organization: "int_abcdefghijklmnopqrstuvwx".parse().expect("an id"),
        name: ConnectionName::parse("Archive").expect("a name"),
        description: None,
        credential_type: parsed.credentials.credential_type(),
        config: parsed.config,
        sealed: SealedCredentials(vec![1]),
        write_enabled: false,
        metadata: serde_json::Map::new(),
        created_by: "usr_abc123DEF456ghi".parse().expect("an id"),
        first_check_in: Duration::from_mins(5),
    };
    Connection::create(new, at(0))
}

fn failure(connection: &Connection, code: ErrorCode) -> AttemptOutcome {
    let result = AttemptResult::Failure {
        code,
        message: code.to_string(),
    };
    AttemptOutcome {
        epoch: connection.epoch,
        credential_version: connection.credential_version,
        started_at: at(1),
        result,
    }
}

fn success(connection: &Connection) -> AttemptOutcome {
    let result = AttemptResult::Success { used: true };
    AttemptOutcome {
        epoch: connection.epoch,
        credential_version: connection.credential_version,
        started_at: at(1),
        result,
    }
}

fn after(connection: Connection, event: Event) -> Connection {
    connection.apply(event, at(1)).expect("allowed").connection
}

fn failed_times(n: u32, code: ErrorCode) -> Connection {
    (0..n).fold(fresh(), |connection, _| {
        let outcome = failure(&connection, code);
        after(connection, ran(outcome, Some(300)))
    })
}

fn edit(connection: &Connection, tested: bool) -> Event {
    let config = (
        connection.config.clone(),
        connection.credential_type,
        SealedCredentials(vec![2]),
    );
    Event::Edit(Box::new(Edit {
        config: Some(config),
        tested,
        ..Edit::default()
    }))
}

/// A run that ended so, and when the watch means to check again.
fn ran(outcome: AttemptOutcome, next: Option<u64>) -> Event {
    Event::Outcome {
        outcome,
        next: next.map(Duration::from_secs),
    }
}

/// A check that ended so, and when the watch means to check again.
fn checked(outcome: AttemptOutcome, next: Option<u64>) -> Event {
    Event::Checked {
        outcome,
        next: next.map(Duration::from_secs),
        expires_at: None,
    }
}

type MakeEvent = fn(&Connection) -> Event;

/// `STATUS/failures`, with the reason where there is one, and the second at which it is checked next.
fn shown(connection: &Connection) -> String {
    let reason = connection
        .status_reason()
        .map(|reason| format!(" {}", reason.as_str()))
        .unwrap_or_default();
    let next = connection
        .next_check_at
        .map_or("never".to_owned(), |next| next.timestamp().to_string());
    format!(
        "{}/{}{reason}, checked {next}",
        connection.status(),
        connection.health.consecutive_failures()
    )
}

#[test]
fn the_whole_state_by_event_table() {
    let states: Vec<(&str, Connection)> = vec![
        ("healthy", fresh()),
        ("transient 4", failed_times(4, ErrorCode::NetworkConnect)),
        (
            "definite 1",
            failed_times(1, ErrorCode::AuthInvalidCredentials),
        ),
        (
            "definite 4",
            failed_times(4, ErrorCode::AuthInvalidCredentials),
        ),
        (
            "tripped",
            failed_times(5, ErrorCode::AuthInvalidCredentials),
        ),
        ("locked out", {
            let refused = failure(&fresh(), ErrorCode::AuthInvalidCredentials);
            after(fresh(), checked(refused, None))
        }),
        ("suspended", after(fresh(), Event::Suspend)),
        (
            "suspended, definite 1",
            after(failed_times(1, ErrorCode::PermDenied), Event::Suspend),
        ),
        (
            "suspended, tripped",
            after(failed_times(5, ErrorCode::PermDenied), Event::Suspend),
        ),
        ("archived", after(fresh(), Event::Archive)),
    ];
    let events: Vec<(&str, MakeEvent)> = vec![
        ("success", |c| ran(success(c), Some(300))),
        ("definite failure", |c| {
            ran(failure(c, ErrorCode::AuthInvalidCredentials), Some(900))
        }),
        ("transient failure", |c| {
            ran(failure(c, ErrorCode::NetworkConnect), Some(900))
        }),
        ("uncounted failure", |c| {
            ran(failure(c, ErrorCode::QuotaRateLimited), Some(300))
        }),
        ("stale failure", |c| {
            ran(
                AttemptOutcome {
                    epoch: c.epoch + 1,
                    ..failure(c, ErrorCode::PermDenied)
                },
                Some(900),
            )
        }),
        ("check passes", |c| checked(success(c), Some(300))),
        ("check fails, definite", |c| {
            checked(failure(c, ErrorCode::PermDenied), Some(900))
        }),
        ("check fails, transient", |c| {
            checked(failure(c, ErrorCode::NetworkConnect), Some(900))
        }),
        ("check fails, could lock", |c| {
            checked(failure(c, ErrorCode::AuthInvalidCredentials), None)
        }),
        ("check could not tell", |c| {
            checked(failure(c, ErrorCode::ProviderUnavailable), Some(300))
        }),
        ("stale check", |c| {
            let stale = AttemptOutcome {
                credential_version: c.credential_version + 1,
                ..success(c)
            };
            checked(stale, Some(300))
        }),
        ("a check is planned", |_| Event::PlanCheck {
            after: Duration::from_mins(1),
        }),
        ("suspend", |_| Event::Suspend),
        ("activate, tested", |_| Event::Activate { tested: true }),
        ("activate, untested", |_| Event::Activate { tested: false }),
        ("new credentials, tested", |c| edit(c, true)),
        ("new credentials, untested", |c| edit(c, false)),
        ("archive", |_| Event::Archive),
    ];
    let mut table = String::new();
    for (state, connection) in &states {
        let _ = writeln!(table, "{state}: {}", shown(connection));
        for (name, make) in &events {
            let cell = match connection.clone().apply(make(connection), at(2)) {
                Ok(transition) if !transition.changed => "no change".to_owned(),
                Ok(transition) => shown(&transition.connection),
                Err(error) => format!("refused: {error:?}"),
            };
            let _ = writeln!(table, "  {name}: {cell}");
        }
    }
    let expected = include_str!("lifecycle_table.txt");
    assert_eq!(table, expected, "the table is now:\n{table}");
}

#[test]
fn five_failures_in_a_row_trip_however_they_mix_with_uncounted_ones() {
    let mut connection = fresh();
    let codes = [
        ErrorCode::NetworkConnect,
        ErrorCode::QuotaRateLimited,
        ErrorCode::NetworkDns,
        ErrorCode::ProviderUnavailable,
        ErrorCode::NetworkTls,
        ErrorCode::NetworkTimeout,
    ];
    for code in codes {
        let outcome = failure(&connection, code);
        connection = after(connection, ran(outcome, Some(300)));
        assert_eq!(shown(&connection).split('/').next(), Some("ACTIVE"));
    }
    let outcome = failure(&connection, ErrorCode::NetworkConnect);
    assert_eq!(
        shown(&after(connection, ran(outcome, Some(300)))),
        "SUSPENDED/5 consecutive_failures, checked never"
    );
}

#[test]
fn archiving_leaves_no_credentials_and_a_status_change_moves_the_epoch() {
    let connection = fresh();
    let epoch = connection.epoch;
    let transition = connection.apply(Event::Archive, at(9)).expect("allowed");
    assert_eq!(transition.connection.sealed, None);
    assert_eq!(transition.connection.epoch, epoch + 1);
    assert_eq!(transition.connection.status_changed_at, at(9));
    assert!(transition.status_change.is_some());
}

#[test]
fn a_result_from_before_a_credential_change_is_dropped() {
    let connection = fresh();
    let stale = failure(&connection, ErrorCode::AuthInvalidCredentials);
    let event = edit(&connection, true);
    let changed = after(connection, event);
    let transition = changed
        .apply(ran(stale, Some(300)), at(3))
        .expect("allowed");
    assert!(!transition.changed);
}

#[test]
fn outcomes_leave_the_revision_alone_unless_the_status_changes() {
    let connection = fresh();
    let revision = connection.revision;
    let outcome = failure(&connection, ErrorCode::NetworkConnect);
    let once = after(connection, ran(outcome, Some(300)));
    assert_eq!(once.revision, revision);
    let outcome = failure(&once, ErrorCode::AuthExpired);
    assert_eq!(after(once, ran(outcome, Some(300))).revision, revision + 1);
}

#[test]
fn attempts_that_fail_side_by_side_count_as_one() {
    let connection = fresh();
    let first = failure(&connection, ErrorCode::NetworkConnect);
    let second = AttemptOutcome {
        started_at: at(0),
        ..first.clone()
    };
    let once = connection
        .apply(ran(first, Some(300)), at(1))
        .expect("allowed")
        .connection;
    assert_eq!(once.health.consecutive_failures(), 1);
    let transition = once.apply(ran(second, Some(300)), at(2)).expect("allowed");
    assert!(
        !transition.changed,
        "it was under way when the first failed"
    );
}

#[test]
fn a_password_that_a_run_sees_refused_is_not_tried_again_by_a_check() {
    let connection = Connection {
        credential_type: CredentialType::UsernamePassword,
        ..fresh()
    };
    let away = failure(&connection, ErrorCode::NetworkConnect);
    let waiting = after(connection, ran(away, Some(300)));
    assert_eq!(waiting.next_check_at, Some(at(301)));
    let refused = failure(&waiting, ErrorCode::AuthInvalidCredentials);
    let locked = after(waiting, ran(refused, None));
    assert_eq!(locked.next_check_at, None);
    // Not either after a test by a person that comes to nothing.
    for code in [
        ErrorCode::NetworkConnect,
        ErrorCode::QuotaRateLimited,
        ErrorCode::Internal,
    ] {
        let tested = checked(failure(&locked, code), Some(300));
        assert_eq!(after(locked.clone(), tested).next_check_at, None, "{code}");
    }
    let passed = checked(success(&locked), Some(300));
    assert_eq!(after(locked, passed).next_check_at, Some(at(301)));
}

#[test]
fn a_run_plans_the_check_after_it() {
    let connection = fresh();
    let away = checked(failure(&connection, ErrorCode::NetworkConnect), Some(3600));
    let backing_off = after(connection, away);
    assert_eq!(backing_off.next_check_at, Some(at(3601)));
    let worked = ran(success(&backing_off), Some(300));
    let healthy = after(backing_off, worked);
    assert_eq!(healthy.next_check_at, Some(at(301)), "the ordinary rhythm");
    let worked = ran(success(&healthy), Some(400));
    let again = after(healthy, worked);
    assert_eq!(again.next_check_at, Some(at(301)), "not put off");
    let refused = ran(failure(&again, ErrorCode::PermDenied), Some(900));
    let failed = after(again, refused);
    assert_eq!(failed.next_check_at, Some(at(901)), "after the back-off");
}

/// What a check that passed tells of an expiry, and what is warned about then.
fn expiring(connection: &mut Connection, second: i64, expires_at: Option<i64>) -> Option<i64> {
    let event = Event::Checked {
        outcome: success(connection),
        next: Some(Duration::from_mins(5)),
        expires_at: expires_at.map(at),
    };
    let transition = connection.clone().apply(event, at(second));
    let transition = transition.expect("allowed");
    *connection = transition.connection;
    transition.expiring.map(|at| at.timestamp())
}

#[test]
fn an_expiry_is_warned_about_once_from_two_weeks_before_and_another_one_anew() {
    const DAY: i64 = 24 * 3600;
    let mut connection = fresh();
    let end = Some(20 * DAY);
    assert_eq!(expiring(&mut connection, 5 * DAY, end), None);
    assert_eq!(connection.expires_at, end.map(at));
    // Whatever else happens then is not recorded with a warning, and takes none away.
    let used = ran(success(&connection), Some(300));
    let transition = connection.apply(used, at(7 * DAY)).expect("allowed");
    assert_eq!(transition.expiring, None);
    connection = transition.connection;
    assert_eq!(expiring(&mut connection, 7 * DAY, end), end);
    assert_eq!(expiring(&mut connection, 8 * DAY, end), None);
    let away = checked(
        failure(&connection, ErrorCode::ProviderUnavailable),
        Some(300),
    );
    connection = after(connection, away);
    assert_eq!(connection.expires_at, end.map(at), "still known");
    assert_eq!(expiring(&mut connection, 9 * DAY, end), None);
    let renewed = Some(21 * DAY);
    assert_eq!(expiring(&mut connection, 10 * DAY, renewed), renewed);
    assert_eq!(expiring(&mut connection, 11 * DAY, None), None);
    assert_eq!(connection.expires_at, None);
}
