use std::sync::Arc;
use std::time::Duration;

use super::super::catalogue::{Known, KnownCopy};
use super::super::commit::Moved;
use super::super::feed::Absent;
use super::*;
use crate::Timestamp;
use crate::filter::{FileFilters, ProviderFilters, Rules};
use crate::job::JobStatus;
use crate::object::BlobKey;
use crate::sync::Reconcile;

const SYNC: &str = "sync_0123456789abcdef";

fn context() -> RunContext {
    RunContext {
        terms: Terms {
            sync: SYNC.parse().expect("an identifier"),
            reconcile: Reconcile::default(),
            skip_duplicates: true,
            rules: Rules::new(&FileFilters::default(), &ProviderFilters::default(), None),
            relative_path: Arc::new(|path| path),
        },
        mode: SyncMode::Continuous,
        provider: Provider::GoogleDrive,
        authority: "drive.google.com".to_owned(),
        scope: "root".to_owned(),
        credential_version: 1,
        max_objects: 100,
        threshold: DeleteThreshold::default(),
        pace: Pace {
            polling: Duration::from_mins(5),
            failures: 0,
        },
        last_pass: 3,
        feed: None,
    }
}

fn place(place: &str) -> Cursor {
    Cursor(place.to_owned())
}

fn feed() -> Feed {
    Feed {
        cursor: place("7"),
        scope: "root".to_owned(),
        credential_version: 1,
        listed_at: Timestamp::default(),
    }
}

fn following() -> RunContext {
    RunContext {
        feed: Some(feed()),
        ..context()
    }
}

fn entry(object: &str) -> Entry {
    Entry {
        object: object.to_owned(),
        path: format!("docs/{object}"),
        version: "1".to_owned(),
        size_bytes: Some(1),
        modified_at: None,
        unreadable: None,
        lineage: "/root/docs/".to_owned(),
    }
}

/// What is known of that entry, as it lay elsewhere.
fn known(entry: &Entry, copied_by: &str) -> Known {
    let blob = "int_abcdefghijklmnopqrstuvwx/bkt_0123456789abcdef/0123456789abcdef0123456789abcdef";
    Known {
        object: entry.object.clone(),
        copy: Some(KnownCopy {
            id: "obj_0123456789abcdef".parse().expect("an identifier"),
            version: entry.version.clone(),
            path: "old/name".to_owned(),
            blob: BlobKey::parse(blob).expect("a key"),
            deleted: None,
            copied_by: Some(copied_by.parse().expect("an identifier")),
            facts: None,
        }),
        held: true,
        left_out: None,
        dead_letter: None,
        missing: false,
        lineage: "/root/old/".to_owned(),
    }
}

fn changed(entries: Vec<Entry>, absent: Vec<Absent>, next: &str, caught_up: bool) -> Event {
    Event::Changed(Ok(ChangesPage {
        denied: Vec::new(),
        entries,
        absent,
        next: place(next),
        caught_up,
    }))
}

fn trouble(code: ErrorCode, retry: Retry) -> Trouble {
    Trouble {
        retry,
        ..Trouble::permanent(code, "as the test wished")
    }
}

/// The step that is to be published.
fn commit(effect: Effect) -> Commit {
    match effect {
        Effect::Commit(commit) => *commit,
        other => panic!("{other:?}"),
    }
}

fn ending(effect: Effect) -> Ending {
    match effect {
        Effect::End(ending) => ending,
        other => panic!("{other:?}"),
    }
}

/// The checkpoint that is to be stored.
fn stored(effect: Effect) -> Checkpoint {
    commit(effect).checkpoint.expect("a checkpoint")
}

const DONE: Event = Event::Committed(Ok(()));

/// A run over the feed, to where its first page is asked for.
fn over_the_feed() -> Run {
    let (mut run, effect) = Run::start(following(), None);
    let checkpoint = stored(effect);
    assert_eq!((checkpoint.kind, checkpoint.pass), (PassKind::Changes, 4));
    let expected = Effect::Changes {
        cursor: place("7"),
        limit: 100,
    };
    assert_eq!(run.on(DONE), expected);
    run
}

/// A run over the feed that has come to where what failed before is looked at again.
fn caught_up() -> Run {
    let mut run = over_the_feed();
    let checkpoint = stored(run.on(changed(Vec::new(), Vec::new(), "9", true)));
    assert_eq!(
        (checkpoint.cursor, checkpoint.feed),
        (None, Some(place("9")))
    );
    assert_eq!(run.on(DONE), Effect::Revisit { limit: REVISIT });
    run
}

#[test]
fn the_place_of_the_feed_is_asked_for_before_a_listing_and_kept_with_it() {
    let (mut run, effect) = Run::start(context(), None);
    assert_eq!(effect, Effect::FeedStart);
    let checkpoint = stored(run.on(Event::FeedStart(Ok(Some(place("7"))))));
    assert_eq!(checkpoint.kind, PassKind::Listing);
    assert_eq!(checkpoint.feed, Some(place("7")));
    assert!(matches!(run.on(DONE), Effect::List { cursor: None, .. }));
    let page = ListingPage {
        entries: Vec::new(),
        next: Some(place("more")),
        denied: Vec::new(),
    };
    let checkpoint = stored(run.on(Event::Listed(Ok(page))));
    assert_eq!(
        checkpoint.feed,
        Some(place("7")),
        "it is not asked for again"
    );
}

#[test]
fn a_place_that_cannot_be_had_ends_the_run_before_anything_is_listed() {
    let (mut run, _) = Run::start(context(), None);
    let away = trouble(ErrorCode::ProviderUnavailable, Retry::Never);
    let ending = ending(run.on(Event::FeedStart(Err(away))));
    assert_eq!(ending.end.status, JobStatus::Failed);
}

#[test]
fn a_sync_that_looks_but_once_asks_for_no_feed() {
    let once = RunContext {
        mode: SyncMode::InitialOnly,
        ..following()
    };
    let (_, effect) = Run::start(once, None);
    let checkpoint = stored(effect);
    assert_eq!(
        (checkpoint.kind, checkpoint.feed),
        (PassKind::Listing, None)
    );
}

#[test]
fn a_feed_of_another_scope_or_under_other_credentials_is_not_followed() {
    let (other_scope, other_credentials) = (following(), following());
    let contexts = [
        RunContext {
            scope: "another".to_owned(),
            ..other_scope
        },
        RunContext {
            credential_version: 2,
            ..other_credentials
        },
    ];
    for context in contexts {
        assert_eq!(Run::start(context, None).1, Effect::FeedStart);
    }
}

#[test]
fn a_place_that_is_no_longer_valid_turns_the_run_to_a_listing_once() {
    let mut run = over_the_feed();
    let expired = || trouble(ErrorCode::CursorExpired, Retry::Restart);
    let effect = run.on(Event::Changed(Err(expired())));
    assert_eq!(effect, Effect::FeedStart);
    let checkpoint = stored(run.on(Event::FeedStart(Ok(None))));
    assert_eq!((checkpoint.kind, checkpoint.pass), (PassKind::Listing, 5));
    run.on(DONE);
    let ending = ending(run.on(Event::Listed(Err(expired()))));
    assert_eq!(ending.end.status, JobStatus::Failed);
}

#[test]
fn what_the_feed_tells_is_absent_is_marked_before_what_it_tells_is_there() {
    let mut run = over_the_feed();
    let absent = vec![Absent {
        id: "folder".to_owned(),
        certain: true,
    }];
    let effect = run.on(changed(vec![entry("a")], absent.clone(), "8", false));
    let Effect::MarkAbsent(step) = effect else {
        panic!("{effect:?}");
    };
    assert_eq!((step.pass, &step.absent), (4, &absent));
    // A full step has more behind it.
    let again = run.on(Event::Absent(Ok(u64::from(step.limit))));
    assert_eq!(again, Effect::MarkAbsent(step));
    assert!(matches!(
        run.on(Event::Absent(Ok(3))),
        Effect::Recall { .. }
    ));
}

#[test]
fn where_vanished_files_stay_the_feed_marks_none() {
    let mut context = following();
    context.terms.reconcile.on_delete = false;
    let (mut run, _) = Run::start(context, None);
    run.on(DONE);
    let absent = vec![Absent {
        id: "a".to_owned(),
        certain: true,
    }];
    let checkpoint = stored(run.on(changed(Vec::new(), absent, "8", false)));
    assert_eq!(checkpoint.cursor, Some(place("8")));
}

#[test]
fn a_feed_that_comes_to_the_same_place_twice_is_not_believed() {
    let mut run = over_the_feed();
    let ending = ending(run.on(changed(Vec::new(), Vec::new(), "7", false)));
    let reason = ending.end.incomplete_reason.as_deref();
    assert_eq!(reason, Some("protocol.unexpected_response"));
}

#[test]
fn a_run_goes_on_where_the_feed_was_left_even_when_a_listing_is_due() {
    let mut run = over_the_feed();
    let checkpoint = stored(run.on(changed(Vec::new(), Vec::new(), "8", false)));
    let later = RunContext {
        last_pass: 4,
        ..context()
    };
    let (_, effect) = Run::start(later, Some(checkpoint));
    assert!(matches!(effect, Effect::Changes { cursor, .. } if cursor == place("8")));
}

#[test]
fn a_file_that_lies_elsewhere_is_not_copied_again() {
    for (copied_by, path) in [
        (SYNC, Some("docs/a".to_owned())),
        ("sync_fedcba9876543210", None),
    ] {
        let mut run = over_the_feed();
        run.on(changed(vec![entry("a")], Vec::new(), "9", true));
        let recalled = Recalled {
            known: vec![known(&entry("a"), copied_by)],
            vanished: 0,
        };
        let commit = commit(run.on(Event::Recalled(Ok(recalled))));
        let moved = Moved {
            object: "a".to_owned(),
            path,
            lineage: "/root/docs/".to_owned(),
        };
        assert_eq!(commit.moved, [moved]);
        assert_eq!(commit.seen, ["a"]);
    }
}

#[test]
fn a_file_that_fails_where_it_was_moved_to_does_not_go_with_its_old_folder() {
    let mut run = over_the_feed();
    let newer = Entry {
        version: "2".to_owned(),
        ..entry("a")
    };
    run.on(changed(vec![newer], Vec::new(), "9", true));
    let recalled = Recalled {
        known: vec![known(&entry("a"), SYNC)],
        vanished: 0,
    };
    let Effect::Copy(mut orders) = run.on(Event::Recalled(Ok(recalled))) else {
        panic!("a new version");
    };
    let outcome = FileOutcome::Failed {
        new_id: "dlq_0123456789abcdef".parse().expect("an identifier"),
        trouble: trouble(ErrorCode::IntegrityMismatch, Retry::Never),
    };
    let order = Box::new(orders.remove(0));
    let commit = commit(run.on(Event::File(order, outcome)));
    assert_eq!(commit.moved[0].lineage, "/root/docs/");
    assert_eq!((commit.failed.len(), commit.seen.len()), (1, 1));
}

#[test]
fn what_failed_before_is_looked_at_once_behind_the_changes() {
    let mut run = caught_up();
    let failed = FailedFile {
        new_id: "dlq_0123456789abcdef".parse().expect("an identifier"),
        object: "b".to_owned(),
        path: "docs/b".to_owned(),
        version: "1".to_owned(),
        error_type: "resource.not_found".to_owned(),
        error_message: "it is not there".to_owned(),
    };
    let revisited = Revisited {
        entries: vec![entry("a")],
        failed: vec![failed.clone()],
    };
    assert!(matches!(
        run.on(Event::Revisited(Ok(revisited))),
        Effect::Recall { .. }
    ));
    let recalled = Recalled {
        known: vec![known(&entry("a"), SYNC)],
        vanished: 0,
    };
    let commit = commit(run.on(Event::Recalled(Ok(recalled))));
    assert_eq!(commit.failed, [failed]);
    assert_eq!((commit.counters.failed, commit.counters.verified), (1, 1));
    assert!(commit.counters.conserved());
    let checkpoint = commit.checkpoint.expect("the last step of a page");
    assert_eq!(checkpoint.feed, Some(place("9")), "the place stays");
    assert!(matches!(run.on(DONE), Effect::Gather { pass: 4, .. }));
}

#[test]
fn what_is_missing_is_traced_and_what_is_hidden_or_there_is_noted() {
    let mut run = caught_up();
    run.on(Event::Revisited(Ok(Revisited::default())));
    run.on(DONE);
    let rows: Vec<MissingRow> = ["a", "b", "c"]
        .map(|object| MissingRow {
            object: object.to_owned(),
            lineage: "/root/docs/".to_owned(),
        })
        .to_vec();
    assert_eq!(
        run.on(Event::Gathered(Ok(rows.clone()))),
        Effect::Trace(rows)
    );
    let fates = vec![Fate::Gone, Fate::Hidden, Fate::Present];
    let commit = commit(run.on(Event::Traced(Ok(fates))));
    assert_eq!(
        (commit.hidden, commit.returned),
        (vec!["b".to_owned()], vec!["c".to_owned()])
    );
    assert!(matches!(run.on(DONE), Effect::Survey { pass: 4, .. }));
    let survey = Survey {
        held: 10,
        missing: 1,
        agreed: 0,
        hidden: 1,
    };
    let effect = run.on(Event::Surveyed(Ok(survey)));
    assert!(matches!(&effect, Effect::LetGo(step) if !step.only_agreed));
    assert_eq!(run.on(Event::LetGone(Ok(1))), effect);
    let Effect::Hold(hold) = run.on(Event::LetGone(Ok(0))) else {
        panic!("what is hidden waits");
    };
    assert!(
        hold.reason.contains("only when a person approves"),
        "{}",
        hold.reason
    );
    let ending = ending(run.on(Event::Held(Ok(1))));
    assert_eq!(ending.end.status, JobStatus::Completed);
}

#[test]
fn answers_that_do_not_fit_the_questions_delete_nothing() {
    let mut run = caught_up();
    run.on(Event::Revisited(Ok(Revisited::default())));
    run.on(DONE);
    let row = MissingRow {
        object: "a".to_owned(),
        lineage: String::new(),
    };
    run.on(Event::Gathered(Ok(vec![row])));
    let ending = ending(run.on(Event::Traced(Ok(Vec::new()))));
    assert_eq!(ending.end.status, JobStatus::Failed);
}

#[test]
fn a_lease_that_is_lost_while_gathering_leaves_everything_as_it_is() {
    for (refusal, reason) in [
        (Refusal::LeaseLost, None),
        (Refusal::ConnectionChanged, Some("connection_changed")),
    ] {
        let mut run = caught_up();
        run.on(Event::Revisited(Ok(Revisited::default())));
        run.on(DONE);
        let effect = run.on(Event::Gathered(Err(refusal)));
        match reason {
            None => assert_eq!(effect, Effect::GiveUp),
            Some(reason) => {
                let told = ending(effect).end.incomplete_reason;
                assert_eq!(told.as_deref(), Some(reason));
            }
        }
    }
}
