//! A person's changes and the results of checks and runs, in every order: whatever was under way when something changed comes too
//! late, and nobody but a person says what is wanted.

use std::time::Duration;

use proptest::prelude::*;
use wharf_domain::Timestamp;
use wharf_domain::connection::{
    AttemptOutcome, AttemptResult, Connection, ConnectionName, Edit, Event, Health, Intent,
    NewConnection, SealedCredentials, Transition,
};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::health::Rhythm;
use wharf_domain::provider::{self, CredentialType, Provider};

const RHYTHM: Rhythm = Rhythm {
    interval: Duration::from_mins(5),
    probe_backoff: Duration::from_mins(15),
};

const DAY: i64 = 24 * 3600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(second, 0).expect("in range")
}

/// With a password, which can lock its account.
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
        credential_type: CredentialType::UsernamePassword,
        config: parsed.config,
        sealed: SealedCredentials(vec![1]),
        write_enabled: false,
        metadata: serde_json::Map::new(),
        created_by: "usr_abc123DEF456ghi".parse().expect("an id"),
        first_check_in: RHYTHM.interval,
    };
    Connection::create(new, at(0))
}

/// A check or a run that is under way.
#[derive(Debug, Clone)]
struct Attempt {
    seen: Connection,
    started_at: Timestamp,
    is_check: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Begin {
        is_check: bool,
    },
    End {
        which: usize,
        failure: Option<ErrorCode>,
        expires_at: Option<i64>,
    },
    Edit {
        tested: bool,
    },
    Rename,
    Suspend,
    Activate {
        tested: bool,
    },
    Archive,
}

fn step() -> impl Strategy<Value = Step> {
    let failure = prop_oneof![
        3 => Just(None),
        2 => Just(Some(ErrorCode::NetworkConnect)),
        1 => Just(Some(ErrorCode::PermDenied)),
        1 => Just(Some(ErrorCode::AuthInvalidCredentials)),
        1 => Just(Some(ErrorCode::QuotaRateLimited)),
    ];
    let expiry = prop_oneof![Just(None), Just(Some(3 * DAY)), Just(Some(5 * DAY))];
    prop_oneof![
        20 => any::<bool>().prop_map(|is_check| Step::Begin { is_check }),
        20 => (0..4_usize, failure, expiry).prop_map(|(which, failure, expires_at)| Step::End { which, failure, expires_at }),
        3 => any::<bool>().prop_map(|tested| Step::Edit { tested }),
        2 => Just(Step::Rename),
        3 => Just(Step::Suspend),
        6 => any::<bool>().prop_map(|tested| Step::Activate { tested }),
        1 => Just(Step::Archive),
    ]
}

fn outcome(attempt: &Attempt, failure: Option<ErrorCode>) -> AttemptOutcome {
    AttemptOutcome {
        epoch: attempt.seen.epoch,
        credential_version: attempt.seen.credential_version,
        started_at: attempt.started_at,
        result: match failure {
            None => AttemptResult::Success {
                used: !attempt.is_check,
            },
            Some(code) => AttemptResult::Failure {
                code,
                message: code.to_string(),
            },
        },
    }
}

/// What the end of an attempt tells the connection, as the watch and the workers put it.
fn ended(attempt: &Attempt, failure: Option<ErrorCode>, expires_at: Option<i64>) -> Event {
    let outcome = outcome(attempt, failure);
    let failures = attempt.seen.health.consecutive_failures() + 1;
    let next = RHYTHM.after(failure, attempt.seen.credential_type, failures, 0.5);
    if !attempt.is_check {
        return Event::Outcome { outcome, next };
    }
    Event::Checked {
        outcome,
        next,
        expires_at: expires_at.map(at),
    }
}

/// What a person does, with the check that is planned after it.
fn done_by_person(step: &Step, connection: &Connection) -> Vec<Event> {
    let plan = Event::PlanCheck {
        after: RHYTHM.interval,
    };
    match step {
        Step::Edit { tested } => {
            let config = (
                connection.config.clone(),
                connection.credential_type,
                SealedCredentials(vec![2]),
            );
            let edit = Edit {
                config: Some(config),
                tested: *tested,
                ..Edit::default()
            };
            vec![Event::Edit(Box::new(edit)), plan]
        }
        Step::Rename => {
            let edit = Edit {
                description: Some(Some(connection.revision.to_string())),
                ..Edit::default()
            };
            vec![Event::Edit(Box::new(edit))]
        }
        Step::Suspend => vec![Event::Suspend],
        Step::Activate { tested } => vec![Event::Activate { tested: *tested }, plan],
        Step::Archive => vec![Event::Archive],
        Step::Begin { .. } | Step::End { .. } => Vec::new(),
    }
}

fn is_stopped(connection: &Connection) -> bool {
    connection.intent != Intent::Enabled || matches!(connection.health, Health::Tripped { .. })
}

/// What holds of every step, whoever made it.
fn sound(before: &Connection, transition: &Transition) -> Result<(), TestCaseError> {
    let after = &transition.connection;
    let moved = before.status() != after.status();
    prop_assert_eq!(transition.status_change.is_some(), moved);
    prop_assert_eq!(after.epoch > before.epoch, moved);
    prop_assert!(after.revision >= before.revision);
    prop_assert_eq!(transition.changed, after != before);
    if before.intent == Intent::Archived {
        prop_assert!(!transition.changed, "archived is for good");
    }
    if let Some(told) = transition.expiring {
        prop_assert_eq!(after.expires_at, Some(told));
        prop_assert!(after.expiry_warned);
        prop_assert!(!before.expiry_warned || before.expires_at != after.expires_at);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn late_results_change_nothing_and_only_people_say_what_is_wanted(steps in prop::collection::vec(step(), 1..60)) {
        let mut connection = fresh();
        let mut under_way: Vec<Attempt> = Vec::new();
        // Whether another try could lock the account, so that only a person brings the checks back.
        let mut locked_out = false;
        for (second, step) in (1..).zip(steps) {
            let now = at(second);
            let before = connection.clone();
            match &step {
                Step::Begin { is_check } => {
                    let allowed = if *is_check { !is_stopped(&connection) } else { connection.is_active() };
                    if allowed && under_way.len() < 4 {
                        under_way.push(Attempt { seen: connection.clone(), started_at: now, is_check: *is_check });
                    }
                }
                Step::End { which, failure, expires_at } if !under_way.is_empty() => {
                    let attempt = under_way.swap_remove(which % under_way.len());
                    let stale = attempt.seen.epoch != before.epoch
                        || attempt.seen.credential_version != before.credential_version;
                    let event = ended(&attempt, *failure, *expires_at);
                    let transition = connection.apply(event, now).expect("outcomes never fail");
                    sound(&before, &transition)?;
                    connection = transition.connection;
                    if stale || is_stopped(&before) {
                        prop_assert_eq!(&connection, &before);
                    } else {
                        locked_out = match failure {
                            None => false,
                            Some(code) => locked_out || *code == ErrorCode::AuthInvalidCredentials,
                        };
                    }
                    prop_assert_eq!(connection.intent, before.intent);
                    prop_assert_eq!(connection.credential_version, before.credential_version);
                }
                Step::End { .. } => {}
                person => {
                    let events = done_by_person(person, &before);
                    let plans = events.len() > 1;
                    if let Ok(transition) = connection.clone().apply_all(events, now) {
                        sound(&before, &transition)?;
                        connection = transition.connection;
                        locked_out &= !plans;
                    }
                }
            }
            let waits = is_stopped(&connection) || locked_out;
            prop_assert_eq!(connection.next_check_at.is_none(), waits, "after {:?}", step);
            prop_assert_eq!(connection.sealed.is_none(), connection.intent == Intent::Archived);
        }
    }
}
