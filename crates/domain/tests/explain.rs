//! Every decision about one file, with the facts that lead to it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;

use serde_json::json;
use wharf_domain::dead_letter::DeadLetter;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::explain::{Decision, Explanation, Facts, Look, Need, Present, decide};
use wharf_domain::filter::{FileFilters, ProviderFilters, Rules};
use wharf_domain::job::{Counters, Job, JobPhase, JobStatus, JobTrigger};
use wharf_domain::mapping::Mapped;
use wharf_domain::object::{BlobKey, Content, DeletedBy, Object, SourceFacts, SourceId};
use wharf_domain::plan::Entry;
use wharf_domain::provider::Provider;
use wharf_domain::run::catalogue::{Known, LeftOutVersion};
use wharf_domain::sync::{
    Checkpoint, HeldDeletes, LeaseHolder, Order, Pause, Sync, SyncMode, SyncSettings, SyncState,
    SyncTotals,
};
use wharf_domain::{Metadata, Timestamp};

const OURS: &str = "sync_0123456789abcdef";
const OTHER: &str = "sync_fedcba9876543210";
const JOB: &str = "job_0123456789abcdef";

fn at(hour: i64) -> Timestamp {
    Timestamp::from_timestamp(1_767_225_600 + hour * 3600, 0).unwrap()
}

/// Everything that one case can vary, owned.
struct Case {
    located: Option<(String, bool)>,
    sync: Sync,
    filters: FileFilters,
    stopped: Option<&'static str>,
    object: Option<Object>,
    known: Option<Known>,
    letter: Option<DeadLetter>,
    job: Option<Job>,
    restorable_until: Option<Timestamp>,
    look: Asked,
    metadata: Metadata,
}

enum Asked {
    No,
    Present(Entry),
    Absent,
    Refused(ErrorCode),
}

/// A file that nothing is known of, in a sync without rules whose connection works.
fn case() -> Case {
    Case {
        located: Some(("media/a.txt".to_owned(), true)),
        sync: sync(),
        filters: FileFilters::default(),
        stopped: None,
        object: None,
        known: None,
        letter: None,
        job: None,
        restorable_until: Some(at(1000)),
        look: Asked::No,
        metadata: Metadata::new(),
    }
}

impl Case {
    fn with<T>(&self, ask: impl FnOnce(&Facts<'_>) -> T) -> T {
        let rules = Rules::new(&self.filters, &ProviderFilters::default(), None);
        let look = match &self.look {
            Asked::No => Look::NotAsked,
            Asked::Absent => Look::Absent,
            Asked::Refused(code) => Look::Refused {
                code: *code,
                message: "it says no",
            },
            Asked::Present(entry) => Look::Present(Present {
                entry,
                relative_path: "a.txt",
                content_type: Some("text/plain"),
                metadata: &self.metadata,
            }),
        };
        ask(&Facts {
            source: "a.txt",
            located: self
                .located
                .as_ref()
                .map(|(name, within)| (&**name, *within)),
            sync: &self.sync,
            rules: &rules,
            connection_stopped: self.stopped,
            object: self.object.as_ref(),
            known: self.known.as_ref(),
            dead_letter: self.letter.as_ref(),
            last_job: self.job.as_ref(),
            restorable_until: self.restorable_until,
            look,
        })
    }

    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method itself is not general enough in its lifetime"
    )]
    fn need(&self) -> Need {
        self.with(|facts| facts.need())
    }

    fn told(&self) -> Explanation {
        self.with(decide)
    }

    fn ruled(mut self, filters: serde_json::Value) -> Self {
        let serde_json::Value::Object(fields) = filters else {
            panic!("an object");
        };
        self.filters = FileFilters::parse(fields, "file_filters").unwrap();
        self
    }

    fn seen(mut self) -> Self {
        self.look = Asked::Present(entry());
        self
    }
}

fn entry() -> Entry {
    Entry {
        object: "media/a.txt".to_owned(),
        path: "media/a.txt".to_owned(),
        version: "v2".to_owned(),
        size_bytes: Some(5),
        modified_at: Some(at(0)),
        unreadable: None,
        lineage: String::new(),
    }
}

fn sync() -> Sync {
    Sync {
        id: OURS.parse().unwrap(),
        bucket: "bkt_0123456789abcdef".parse().unwrap(),
        namespace: "ns_0123456789abcdef".parse().unwrap(),
        connection: "conn_abcdefghijklmno".parse().unwrap(),
        mode: SyncMode::Continuous,
        settings: SyncSettings {
            max_objects_per_run: 10,
            ..SyncSettings::of("media/".to_owned())
        },
        state: SyncState::Active,
        paused: None,
        pending_full: false,
        held_deletes: None,
        next_run_at: Some(at(5)),
        queued_job: None,
        lease: None,
        last_pass: 1,
        checkpoint: None,
        feed: None,
        push: None,
        totals: SyncTotals::default(),
        last_sync_at: None,
        last_error: None,
        consecutive_failures: 0,
        revision: 1,
        created_by: "usr_abcdefghijklmno".parse().unwrap(),
        created_at: at(0),
        updated_at: at(0),
    }
}

fn object(copied_by: Option<&str>) -> Object {
    let blob = "int_abcdefghijklmnopqrstuvwx/bkt_0123456789abcdef/0123456789abcdef0123456789abcdef";
    Object {
        id: "obj_0123456789abcdef".parse().unwrap(),
        bucket: "bkt_0123456789abcdef".parse().unwrap(),
        namespace: "ns_0123456789abcdef".parse().unwrap(),
        source: SourceId {
            provider: Provider::S3,
            authority: "s3".to_owned(),
            object: "media/a.txt".to_owned(),
        },
        facts: SourceFacts {
            path: "media/a.txt".to_owned(),
            version: "v1".to_owned(),
            modified_at: None,
            version_id: None,
            metadata: Metadata::new(),
            tags: Metadata::new(),
        },
        content: Content {
            blob: BlobKey::parse(blob).unwrap(),
            size_bytes: 5,
            content_type: None,
            sha256: String::new(),
        },
        mapped: Mapped::default(),
        copied_by: copied_by.map(|sync| (sync.parse().unwrap(), JOB.parse().unwrap())),
        deleted: None,
        purged: false,
        created_at: at(1),
        updated_at: at(1),
    }
}

fn tombstone(by: DeletedBy) -> Object {
    Object {
        deleted: Some((at(2), by)),
        ..object(Some(OURS))
    }
}

fn known(held: bool) -> Known {
    Known {
        object: "media/a.txt".to_owned(),
        copy: None,
        held,
        left_out: None,
        dead_letter: None,
        missing: false,
        lineage: String::new(),
    }
}

fn letter(exhausted: bool) -> DeadLetter {
    DeadLetter {
        id: "dlq_0123456789abcdef".parse().unwrap(),
        sync: OURS.parse().unwrap(),
        bucket: "bkt_0123456789abcdef".parse().unwrap(),
        namespace: "ns_0123456789abcdef".parse().unwrap(),
        job: JOB.parse().unwrap(),
        source_object: "media/a.txt".to_owned(),
        path: "media/a.txt".to_owned(),
        version: "v2".to_owned(),
        error_type: "integrity.mismatch".to_owned(),
        error_message: "the bytes differ from the checksum".to_owned(),
        tries: if exhausted { 3 } else { 1 },
        exhausted,
        first_seen_at: at(1),
        last_seen_at: at(2),
        last_reattempt_at: None,
        requeued_at: None,
        resolved_at: None,
        disposal_reason: None,
    }
}

fn over_cap() -> Job {
    Job {
        id: JOB.parse().unwrap(),
        sync: OURS.parse().unwrap(),
        bucket: "bkt_0123456789abcdef".parse().unwrap(),
        namespace: "ns_0123456789abcdef".parse().unwrap(),
        status: JobStatus::Completed,
        trigger: JobTrigger::Scheduled,
        phase: JobPhase::Idle,
        counters: Counters::default(),
        complete: Some(false),
        incomplete_reason: Some("max_objects_per_run".to_owned()),
        error: None,
        resumed_from: None,
        created_at: at(1),
        started_at: Some(at(1)),
        completed_at: Some(at(2)),
        updated_at: at(2),
    }
}

fn stopped_at(order: Order) -> Checkpoint {
    Checkpoint {
        order,
        ..Checkpoint::start(0, "media/".to_owned(), 1)
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn every_set_of_facts_has_its_decision_and_says_what_to_do() {
    use Decision as D;
    use Need as N;

    let left_out = || Known {
        left_out: Some(LeftOutVersion {
            version: "v2".to_owned(),
            rule: "metadata_filters".to_owned(),
        }),
        ..known(false)
    };
    let metadata_rule =
        json!({"metadata_filters": [{"field": "team", "operator": "equals", "value": "a"}]});
    let sorted = |last: &str| {
        stopped_at(Order::Sorted {
            last: Some(last.to_owned()),
        })
    };
    let with_sync = |change: fn(&mut Sync)| {
        let mut case = case();
        change(&mut case.sync);
        case
    };
    let updates_off = |case: Case| {
        let mut case = Case {
            object: Some(object(Some(OURS))),
            known: Some(known(true)),
            ..case
        };
        case.sync.settings.reconcile.on_update = false;
        case
    };
    let capped = |checkpoint: Checkpoint| {
        let mut case = Case {
            job: Some(over_cap()),
            ..case().seen()
        };
        case.sync.checkpoint = Some(checkpoint);
        case
    };
    let held_delete = || {
        let mut case = Case {
            object: Some(object(Some(OURS))),
            known: Some(Known {
                missing: true,
                ..known(true)
            }),
            ..case()
        };
        case.sync.held_deletes = Some(HeldDeletes {
            pass: 1,
            count: 3,
            since: at(2),
            reason: "Too many at once.".to_owned(),
        });
        case
    };
    let table: Vec<(Case, Need, Decision, &str)> = vec![
        (
            Case {
                located: None,
                ..case()
            },
            N::Settled,
            D::OutOfScope,
            "names no file",
        ),
        (
            Case {
                located: None,
                look: Asked::Absent,
                ..case()
            },
            N::Settled,
            D::NotVisible,
            "shows no such file",
        ),
        (
            Case {
                located: Some(("other/a".to_owned(), false)),
                ..case()
            },
            N::Settled,
            D::OutOfScope,
            "create a sync whose source_path covers it",
        ),
        (
            Case {
                located: Some(("other/a".to_owned(), false)),
                object: Some(object(Some(OTHER))),
                ..case()
            },
            N::Settled,
            D::OutOfScope,
            "does not lie under media/",
        ),
        (
            Case {
                object: Some(object(Some(OURS))),
                known: Some(known(true)),
                ..case()
            },
            N::Settled,
            D::Ingested,
            "as obj_0123456789abcdef",
        ),
        (
            Case {
                object: Some(object(None)),
                known: Some(known(true)),
                ..case()
            },
            N::Settled,
            D::Ingested,
            "Nothing has to be done",
        ),
        (
            Case {
                located: Some(("other/a".to_owned(), false)),
                object: Some(object(Some(OURS))),
                known: Some(known(true)),
                ..case()
            },
            N::Settled,
            D::Ingested,
            "in the bucket",
        ),
        (held_delete(), N::Settled, D::Ingested, "Approve or discard"),
        (
            Case {
                object: Some(object(Some(OTHER))),
                known: Some(known(true)),
                ..case()
            },
            N::Settled,
            D::Duplicate,
            "copied by sync_fedcba9876543210. This sync shares it,",
        ),
        (
            Case {
                object: Some(object(Some(OTHER))),
                ..case()
            },
            N::Settled,
            D::Duplicate,
            "from its next run on",
        ),
        (
            updates_off(case().seen()),
            N::Better,
            D::Skipped,
            "turn reconcile.on_update on",
        ),
        (updates_off(case()), N::Better, D::Ingested, "in the bucket"),
        (
            Case {
                letter: Some(letter(false)),
                ..case()
            },
            N::Settled,
            D::DeadLetter,
            "(integrity.mismatch): the bytes differ from the checksum. 1 of 3 tries have failed. The next run",
        ),
        (
            Case {
                letter: Some(letter(true)),
                object: Some(object(Some(OURS))),
                ..case()
            },
            N::Settled,
            D::DeadLetter,
            "still has the version before it. 3 of 3 tries have failed. It is tried again once a day",
        ),
        (
            Case {
                object: Some(tombstone(DeletedBy::Person)),
                ..case()
            },
            N::Settled,
            D::Deleted,
            "A person deleted it",
        ),
        (
            Case {
                object: Some(tombstone(DeletedBy::Source)),
                ..case()
            },
            N::Better,
            D::Deleted,
            "It can be restored until 2026-02-11T16:00:00.000000Z.",
        ),
        (
            Case {
                object: Some(tombstone(DeletedBy::Source)),
                look: Asked::Absent,
                restorable_until: None,
                ..case()
            },
            N::Better,
            D::Deleted,
            "cannot be restored",
        ),
        (
            Case {
                object: Some(tombstone(DeletedBy::Source)),
                ..case().seen()
            },
            N::Better,
            D::NotReached,
            "The next run starts at",
        ),
        (
            Case {
                object: Some(tombstone(DeletedBy::Source)),
                ..case().seen()
            }
            .ruled(json!({"max_size_bytes": 4})),
            N::Better,
            D::Filtered,
            "the file is 5 bytes, max_size_bytes is 4",
        ),
        (
            case().seen().ruled(json!({"exclude_patterns": ["*.txt"]})),
            N::Needed,
            D::Filtered,
            "Change exclude_patterns",
        ),
        (
            case().seen().ruled(json!({"mime_types": ["image/*"]})),
            N::Needed,
            D::Filtered,
            "the content type is text/plain",
        ),
        (
            case().seen().ruled(json!({"mime_types": ["text/*"]})),
            N::Needed,
            D::NotReached,
            "No run has come to it",
        ),
        (
            Case {
                known: Some(left_out()),
                ..case()
            },
            N::Better,
            D::Filtered,
            "metadata_filters",
        ),
        (
            Case {
                known: Some(left_out()),
                ..case().seen().ruled(metadata_rule.clone())
            },
            N::Better,
            D::Filtered,
            "the metadata does not satisfy",
        ),
        (
            case().seen().ruled(metadata_rule),
            N::Needed,
            D::NotReached,
            "depends on its tags",
        ),
        (
            Case {
                look: Asked::Present(Entry {
                    unreadable: Some("resource.archived"),
                    ..entry()
                }),
                ..case()
            },
            N::Needed,
            D::Skipped,
            "Restore the object from its archive class",
        ),
        (
            Case {
                look: Asked::Refused(ErrorCode::ObjectCustomerKey),
                ..case()
            },
            N::Needed,
            D::Skipped,
            "left out (object.customer_key): it says no. Store the object",
        ),
        (
            Case {
                look: Asked::Refused(ErrorCode::PermDenied),
                ..case()
            },
            N::Needed,
            D::NotVisible,
            "Grant the named action",
        ),
        (
            Case {
                look: Asked::Absent,
                ..case()
            },
            N::Needed,
            D::NotVisible,
            "Check the spelling",
        ),
        (
            capped(sorted("media/Z")),
            N::Needed,
            D::OverCap,
            "at most 10 files",
        ),
        (
            capped(stopped_at(Order::Sorted { last: None })),
            N::Needed,
            D::OverCap,
            "raise max_objects_per_run",
        ),
        (
            capped(stopped_at(Order::Marked { beyond: None })),
            N::Needed,
            D::OverCap,
            "not come so far",
        ),
        (
            capped(sorted("media/b")),
            N::Needed,
            D::NotReached,
            "since it was last changed",
        ),
        (
            case().seen(),
            N::Needed,
            D::NotReached,
            "The next run starts at 2026-01-01T05:00:00.000000Z.",
        ),
        (
            with_sync(|sync| sync.last_error = Some("perm.denied: no".to_owned())).seen(),
            N::Needed,
            D::NotReached,
            "The last run failed: perm.denied: no.",
        ),
        (
            with_sync(|sync| sync.queued_job = Some(JOB.parse().unwrap())).seen(),
            N::Needed,
            D::NotReached,
            "job_0123456789abcdef waits for a worker",
        ),
        (
            with_sync(|sync| {
                sync.lease = Some(LeaseHolder {
                    job: JOB.parse().unwrap(),
                    worker: "w".to_owned(),
                    acquired_at: at(1),
                    expires_at: at(2),
                });
            })
            .seen(),
            N::Needed,
            D::NotReached,
            "job_0123456789abcdef is at work",
        ),
        (
            with_sync(|sync| {
                sync.paused = Some(Pause {
                    at: at(1),
                    by: "usr_abcdefghijklmno".parse().unwrap(),
                    reason: None,
                });
            })
            .seen(),
            N::Needed,
            D::NotReached,
            "resume it",
        ),
        (
            with_sync(|sync| sync.state = SyncState::Completed).seen(),
            N::Needed,
            D::NotReached,
            "trigger it",
        ),
        (
            with_sync(|sync| sync.next_run_at = None).seen(),
            N::Needed,
            D::NotReached,
            "trigger the sync",
        ),
        (
            with_sync(|sync| sync.state = SyncState::ConnectionArchived).seen(),
            N::Needed,
            D::NotReached,
            "is archived",
        ),
        (
            Case {
                stopped: Some("user_suspended"),
                ..case().seen()
            },
            N::Needed,
            D::NotReached,
            "not in use (user_suspended)",
        ),
    ];
    let mut reached = BTreeSet::new();
    for (n, (case, need, decision, message)) in table.iter().enumerate() {
        let told = case.told();
        assert_eq!(
            (case.need(), told.decision),
            (*need, *decision),
            "row {n}: {}",
            told.message
        );
        assert!(told.message.contains(message), "row {n}: {}", told.message);
        assert!(told.message.ends_with('.'), "row {n}: {}", told.message);
        assert!(
            !told.message.contains("..") && !told.message.contains("  "),
            "row {n}: {}",
            told.message
        );
        assert!(
            told.evidence.values().all(|value| !value.is_null()),
            "row {n}"
        );
        assert_eq!(
            told.object,
            case.object.as_ref().map(|object| object.id.clone()),
            "row {n}"
        );
        reached.insert(decision.as_str());
    }
    let all: BTreeSet<&str> = Decision::ALL
        .iter()
        .map(|decision| decision.as_str())
        .collect();
    assert_eq!(reached, all);
}

#[test]
fn evidence_tells_when_a_dead_letter_is_tried_next() {
    let soon = Case {
        letter: Some(letter(false)),
        ..case()
    };
    assert_eq!(
        soon.told().evidence["next_try_at"],
        "2026-01-01T05:00:00.000000Z"
    );
    let mut healing = letter(true);
    assert_eq!(
        Case {
            letter: Some(healing.clone()),
            ..case()
        }
        .told()
        .evidence["next_try_at"],
        "2026-01-02T02:00:00.000000Z"
    );
    healing.last_reattempt_at = Some(at(30));
    let told = Case {
        letter: Some(healing),
        ..case()
    }
    .told();
    assert_eq!(told.evidence["next_try_at"], "2026-01-03T06:00:00.000000Z");
    assert_eq!(told.job.unwrap().as_str(), JOB);
    assert_eq!(told.dead_letter.unwrap().as_str(), "dlq_0123456789abcdef");
}

#[test]
fn evidence_of_a_duplicate_names_the_object_and_the_sync_that_copied_it() {
    let case = Case {
        object: Some(object(Some(OTHER))),
        known: Some(known(true)),
        ..case()
    };
    let told = case.told();
    assert_eq!(told.evidence["copied_by_sync"], OTHER);
    assert_eq!(told.object.unwrap().as_str(), "obj_0123456789abcdef");
    assert_eq!(told.job.unwrap().as_str(), JOB);
}
