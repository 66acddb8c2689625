//! Feeds: what lies elsewhere, what is absent, what may only be hidden, and where a sync goes on.

use std::time::Duration;

use wharf_domain::audit::Action;
use wharf_domain::job::JobEnd;
use wharf_domain::run::commit::{Commit, LeftOut, Moved, Put};
use wharf_domain::run::deletes::{LetGo, Survey};
use wharf_domain::run::feed::MissingRow;
use wharf_domain::sync::{Checkpoint, Cursor, Feed, PassKind};

use super::{DAY, finish};
use crate::{Harness, LONG, Run, SHORT, build};

fn survey(held: u64, missing: u64, agreed: u64, hidden: u64) -> Survey {
    Survey {
        held,
        missing,
        agreed,
        hidden,
    }
}

fn names(objects: &[&str]) -> Vec<String> {
    objects.iter().map(|&object| object.to_owned()).collect()
}

fn moved(object: &str, path: &str, lineage: &str) -> Moved {
    Moved {
        object: object.to_owned(),
        path: Some(path.to_owned()),
        lineage: lineage.to_owned(),
    }
}

fn left_out(object: &str) -> LeftOut {
    LeftOut {
        object: object.to_owned(),
        version: "1".to_owned(),
        rule: "mime_types".to_owned(),
    }
}

/// A step that publishes files, each with the folders that it lies in.
async fn placed(run: &Run<'_>, pass: u64, files: &[(&str, &str)]) -> Commit {
    let objects: Vec<_> = files.iter().map(|(object, _)| *object).collect();
    let step = run.step(pass, &objects, "1").await;
    let puts = step.puts.into_iter().zip(files);
    let puts = puts.map(|(put, (_, lineage))| Put {
        lineage: (*lineage).to_owned(),
        ..put
    });
    Commit {
        puts: puts.collect(),
        ..build::commit(pass)
    }
}

async fn place(run: &Run<'_>, pass: u64, files: &[(&str, &str)]) {
    run.commit(placed(run, pass, files).await).await;
}

/// Which of these files are missing.
async fn missing(run: &Run<'_>, objects: &[&str]) -> Vec<String> {
    let known = run.known(objects).await.into_iter();
    known
        .filter(|known| known.missing)
        .map(|known| known.object)
        .collect()
}

async fn missing_rows(
    run: &Run<'_>,
    pass: u64,
    authority: &str,
    after: Option<&str>,
    limit: u32,
) -> Vec<MissingRow> {
    let runs = &run.tenant.harness.repositories.runs;
    let organization = &run.tenant.organization;
    runs.missing_rows(organization, &run.lease, pass, authority, after, limit)
        .await
        .unwrap()
}

pub async fn what_lies_elsewhere_is_told_by_its_row_and_object_alone(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    place(&run, 1, &[("a", "/root/one/"), ("b", "/root/one/")]).await;
    let before = run.object("a").await;
    let (position, rows) = (acme.head().await.position, acme.trail().await.len());
    h.moment().await;
    let step = Commit {
        moved: vec![moved("a", "two/caf\u{e9} %_'", "/root/two/\u{e4}/")],
        ..build::commit(2)
    };
    run.commit_with(step, Some(h.audit(Action::ObjectsCommitted)))
        .await;
    let after = run.object("a").await;
    let mut expected = before.clone();
    "two/caf\u{e9} %_'".clone_into(&mut expected.facts.path);
    expected.updated_at = after.updated_at;
    assert_eq!(after, expected, "the same object with the same bytes");
    assert!(after.updated_at > before.updated_at);
    let everything = Some(build::span(None, None));
    for known in [
        run.known(&["a", "b"]).await,
        run.recall(2, &["a", "b"], everything).await.known,
    ] {
        let told: Vec<_> = known
            .iter()
            .map(|known| {
                let path = known.copy.as_ref().map(|copy| &*copy.path);
                (&*known.lineage, path, known.held, known.missing)
            })
            .collect();
        let (elsewhere, there) = ("/root/two/\u{e4}/", "/root/one/");
        assert_eq!(
            told,
            [
                (elsewhere, Some("two/caf\u{e9} %_'"), true, false),
                (there, Some("b"), true, false)
            ]
        );
    }
    assert_eq!(acme.head().await.position, position, "nobody is told");
    assert_eq!(acme.trail().await.len(), rows);
}

pub async fn what_lies_elsewhere_without_a_row_that_points_at_an_object_is_passed_over(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.commit(Commit {
        left_out: vec![left_out("left out")],
        ..build::commit(1)
    })
    .await;
    let beside = acme.second_run(&run).await;
    place(&beside, 1, &[("others", "/root/")]).await;
    let names = ["left out", "others", "unknown"];
    run.commit(Commit {
        moved: names
            .map(|name| moved(name, "elsewhere", "/root/two/"))
            .into(),
        ..build::commit(2)
    })
    .await;
    assert_eq!(beside.object("others").await.facts.path, "others");
    assert_eq!(beside.known_one("others").await.lineage, "/root/");
    let known = run.known(&names).await;
    let known: Vec<_> = known
        .iter()
        .map(|known| (&*known.object, &*known.lineage))
        .collect();
    assert_eq!(known, [("left out", ""), ("others", "")]);
}

pub async fn a_put_brings_its_place_and_an_adoption_leaves_the_row_where_it_is(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    place(&run, 1, &[("a", "/root/one/")]).await;
    let adopted = Commit {
        adopted: names(&["a"]),
        ..build::commit(2)
    };
    run.commit(adopted.clone()).await;
    assert_eq!(run.known_one("a").await.lineage, "/root/one/");
    place(&run, 3, &[("a", "/root/two/")]).await;
    assert_eq!(run.known_one("a").await.lineage, "/root/two/");

    let beside = acme.second_run(&run).await;
    assert_eq!(beside.known_one("a").await.lineage, "", "without a row");
    beside
        .commit(Commit {
            moved: vec![moved("a", "there/a", "/other/")],
            ..adopted
        })
        .await;
    assert_eq!(beside.known_one("a").await.lineage, "/other/");
    assert_eq!(run.known_one("a").await.lineage, "/root/two/");

    // Of a file that another sync has published meanwhile, the place is known all the same.
    let third = acme.second_run(&run).await;
    let mut stale = placed(&third, 1, &[("a", "/third/")]).await;
    place(&run, 4, &[("a", "/root/three/")]).await;
    stale.counters.synced = 1;
    third.commit(stale).await;
    let known = third.known_one("a").await;
    assert_eq!((known.held, &*known.lineage), (true, "/third/"));
}

pub async fn files_that_a_feed_tells_are_absent_are_missing(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let all = ["a", "b", "c", "d", "e"];
    run.publish(1, &all, "1").await;
    let told = [("b", true), ("d", false), ("unknown", true)];
    assert_eq!(run.mark_absent(2, &told, 10).await, 2);
    assert_eq!(missing(&run, &all).await, ["b", "d"]);
    assert_eq!(run.survey(2, &[]).await, survey(5, 1, 0, 1));
    assert_eq!(run.survey(3, &[]).await, survey(5, 0, 0, 0), "in that pass");
    assert_eq!(run.mark_absent(2, &told, 10).await, 0, "they are marked so");
    assert_eq!(run.mark_absent(3, &told, 10).await, 2, "by that pass");
    assert_eq!(run.mark_absent(4, &[], 10).await, 0);
    assert_eq!(run.mark_absent(4, &[("", true)], 10).await, 0);
}

pub async fn a_folder_that_is_absent_stands_for_all_that_lies_in_it(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let files = [
        ("1", "/root/"),
        ("2", "/root/sub/"),
        ("3", "/root/sub/deep/"),
        ("4", "/root/sub/deep/"),
        ("5", "/root/submarine/"),
        ("6", "/root/SUB/"),
        ("7", "/sub/"),
        ("8", ""),
    ];
    place(&run, 1, &files).await;
    let all = files.map(|(object, _)| object);
    assert_eq!(run.mark_absent(2, &[("sub", true)], 10).await, 4);
    assert_eq!(missing(&run, &all).await, ["2", "3", "4", "7"]);
    assert_eq!(
        run.mark_absent(3, &[("deep", false), ("8", false)], 10)
            .await,
        3
    );
    assert_eq!(run.survey(3, &[]).await, survey(8, 0, 0, 3));
    assert_eq!(run.mark_absent(4, &[("root", true)], 10).await, 6);
    assert_eq!(run.mark_absent(5, &[("/root/", true)], 10).await, 0);
    // A file that came back out of it is there, and one that went in is not.
    run.commit(Commit {
        moved: vec![moved("2", "2", "/root/"), moved("8", "sub/8", "/root/sub/")],
        returned: all.map(str::to_owned).into(),
        ..build::commit(5)
    })
    .await;
    assert_eq!(run.mark_absent(6, &[("sub", true)], 10).await, 4);
    assert_eq!(missing(&run, &all).await, ["3", "4", "7", "8"]);
}

pub async fn what_is_certain_outweighs_what_is_not(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let files = [("a", "/root/in/"), ("b", "/root/in/"), ("c", "/root/out/")];
    place(&run, 1, &files).await;
    let told = [("a", false), ("in", true), ("c", true), ("out", false)];
    assert_eq!(run.mark_absent(2, &told, 10).await, 3);
    assert_eq!(run.survey(2, &[]).await, survey(3, 3, 0, 0));
    let doubtful = [("a", false), ("in", false), ("out", false)];
    assert_eq!(run.mark_absent(2, &doubtful, 10).await, 0, "it was certain");
    assert_eq!(run.mark_absent(3, &doubtful, 10).await, 3);
    assert_eq!(run.survey(3, &[]).await, survey(3, 0, 0, 3));
    assert_eq!(
        run.mark_absent(3, &[("in", true)], 10).await,
        2,
        "now it is"
    );
    assert_eq!(run.survey(3, &[]).await, survey(3, 2, 0, 1));
    let both = [("c", false), ("c", true)];
    assert_eq!(run.mark_absent(3, &both, 10).await, 1);
    assert_eq!(run.survey(3, &[]).await, survey(3, 3, 0, 0));
}

pub async fn absent_rows_are_marked_in_portions(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let files = [
        ("a", "/root/one/"),
        ("b", "/root/one/"),
        ("c", "/root/two/"),
        ("d", "/root/two/"),
        ("e", "/root/"),
        ("f", "/root/"),
        ("g", "/root/"),
    ];
    place(&run, 1, &files).await;
    let told = [("one", true), ("two", false), ("e", true), ("f", false)];
    let mut portions = Vec::new();
    for _ in 0..4 {
        portions.push(run.mark_absent(2, &told, 2).await);
    }
    assert_eq!(portions, [2, 2, 2, 0]);
    assert_eq!(run.survey(2, &[]).await, survey(7, 3, 0, 3));
    assert_eq!(run.mark_absent(3, &told, 5).await, 5);
    assert_eq!(run.mark_absent(3, &told, 5).await, 1);
}

pub async fn a_thousand_absences_are_one_step_in_a_large_catalogue(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let files: Vec<_> = (0..1500).map(|n| format!("file {n:04}")).collect();
    let folders: Vec<_> = (0..1500).map(|n| format!("/root/f{n:04}/")).collect();
    let placed_in = files.iter().zip(&folders);
    let placed_in: Vec<_> = placed_in
        .map(|(file, folder)| (file.as_str(), folder.as_str()))
        .collect();
    place(&run, 1, &placed_in).await;
    let absent: Vec<_> = (0..500)
        .map(|n| (format!("file {n:04}"), n % 2 == 0))
        .chain((500..1400).map(|n| (format!("f{n:04}"), n % 2 == 0)))
        .collect();
    let absent = absent.iter().map(|(id, certain)| (id.as_str(), *certain));
    let absent: Vec<_> = absent.collect();
    assert_eq!(run.mark_absent(2, &absent, 1000).await, 1000);
    assert_eq!(run.mark_absent(2, &absent, 1000).await, 400);
    assert_eq!(run.survey(2, &[]).await, survey(1500, 700, 0, 700));
}

pub async fn rows_of_other_authorities_and_syncs_are_not_absent(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    place(&run, 1, &[("a", "/root/in/")]).await;
    let mut put = run.put("a", "1");
    "elsewhere.example.test".clone_into(&mut put.source.authority);
    "/root/in/".clone_into(&mut put.lineage);
    run.commit(Commit {
        authority: put.source.authority.clone(),
        puts: vec![put],
        ..build::commit(1)
    })
    .await;
    let (beside, theirs) = (acme.second_run(&run).await, other.run().await);
    for run in [&beside, &theirs] {
        place(run, 1, &[("a", "/root/in/")]).await;
    }
    for told in ["a", "in"] {
        assert_eq!(
            run.mark_absent(2, &[(told, true)], 10).await,
            u64::from(told == "a")
        );
    }
    assert_eq!(run.survey(2, &[]).await, survey(2, 1, 0, 0));
    assert!(missing(&beside, &["a"]).await.is_empty());
    assert!(missing(&theirs, &["a"]).await.is_empty());
}

pub async fn hidden_rows_wait_through_many_passes_and_go_by_a_persons_word_alone(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["gone", "hidden", "there"], "1").await;
    run.mark_absent(2, &[("hidden", false), ("gone", true)], 10)
        .await;
    assert_eq!(run.let_go(2, 10).await, 1, "only what is certain goes");
    assert_eq!(run.tombstones().await, ["gone"]);
    assert_eq!(run.hold(2, &[], 10).await, 1);
    let held = run.stored().await.held_deletes.expect("it waits");
    assert_eq!((held.count, held.pass), (1, 2));

    for pass in 3..6 {
        run.commit(Commit {
            seen: names(&["there"]),
            ..build::commit(pass)
        })
        .await;
        run.mark_unseen(pass, None, 10).await;
        assert_eq!(run.survey(pass, &[]).await, survey(2, 0, 0, 1));
        for only_agreed in [true, false] {
            let step = LetGo {
                only_agreed,
                ..build::let_go(pass, 10)
            };
            assert_eq!(run.let_go_step(step).await, 0, "pass {pass}");
        }
        assert_eq!(run.hold(pass, &[], 10).await, 0, "it waits already");
        let held = run.stored().await.held_deletes.expect("it still waits");
        assert_eq!((held.count, held.pass), (1, 2));
    }
    // A feed that has nothing to tell of it changes nothing either.
    assert_eq!(run.let_go(6, 10).await, 0);
    assert_eq!(run.tombstones().await, ["gone"]);

    let syncs = &h.repositories.syncs;
    let (organization, bucket, sync) = (&acme.organization, &run.bucket.id, &run.sync.id);
    let audit = h.audit(Action::DeletesApproved);
    let approved = syncs.approve_deletes(organization, bucket, sync, 10, audit);
    assert_eq!(approved.await.unwrap(), Some(1));
    assert_eq!(run.tombstones().await, ["gone", "hidden"]);
    assert_eq!(run.stored().await.held_deletes, None);
}

pub async fn hidden_rows_that_a_person_discards_leave_their_objects_alone(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["hidden"], "1").await;
    run.mark_absent(2, &[("hidden", false)], 10).await;
    run.hold(2, &[], 10).await;
    let syncs = &h.repositories.syncs;
    let (organization, bucket, sync) = (&acme.organization, &run.bucket.id, &run.sync.id);
    let audit = h.audit(Action::DeletesDiscarded);
    let discarded = syncs.discard_deletes(organization, bucket, sync, 10, audit);
    assert_eq!(discarded.await.unwrap(), Some(1));
    assert!(run.tombstones().await.is_empty());
    assert_eq!(run.rows(0).await, 0);
}

pub async fn hidden_rows_without_an_object_just_go(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.commit(Commit {
        left_out: vec![left_out("left out")],
        ..build::commit(1)
    })
    .await;
    assert_eq!(run.mark_absent(2, &[("left out", false)], 10).await, 1);
    assert_eq!(run.survey(2, &[]).await, survey(0, 0, 0, 0));
    assert_eq!(run.let_go(2, 10).await, 1);
}

pub async fn what_was_hidden_and_is_there_again_is_hidden_no_more(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let all = ["adopted", "drifted", "put", "returned", "seen"];
    run.publish(1, &all, "1").await;
    let absent = all.map(|object| (object, false));
    assert_eq!(run.mark_absent(2, &absent, 10).await, 5);
    assert_eq!(run.survey(2, &[]).await, survey(5, 0, 0, 5));
    run.hold(2, &[], 10).await;
    run.commit(Commit {
        puts: vec![run.put_over("put", "2").await],
        adopted: names(&["adopted"]),
        returned: names(&["returned"]),
        seen: names(&["seen"]),
        drifted: names(&["drifted"]),
        ..build::commit(3)
    })
    .await;
    assert_eq!(missing(&run, &all).await, ["drifted"]);
    assert_eq!(run.survey(3, &[]).await, survey(5, 1, 1, 0));
    run.mark_unseen(4, None, 10).await;
    assert_eq!(run.survey(4, &[]).await, survey(5, 5, 1, 0));
}

pub async fn only_missing_rows_become_hidden(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["missing", "there"], "1").await;
    run.commit(Commit {
        seen: names(&["there"]),
        ..build::commit(2)
    })
    .await;
    run.mark_unseen(2, None, 10).await;
    let hide = |pass| Commit {
        hidden: names(&["missing", "there", "unknown"]),
        ..build::commit(pass)
    };
    run.commit(hide(2)).await;
    assert_eq!(run.survey(2, &[]).await, survey(2, 0, 0, 1));
    assert_eq!(
        missing(&run, &["missing", "there", "unknown"]).await,
        ["missing"]
    );
    run.mark_unseen(3, None, 10).await;
    assert_eq!(
        run.survey(3, &[]).await,
        survey(2, 1, 0, 1),
        "what was there was not hidden"
    );
    // A pass that finds a hidden row missing does not know better.
    run.pass_over(4, build::span(None, None), &[]).await;
    assert_eq!(run.survey(4, &[]).await, survey(2, 1, 0, 1));
}

pub async fn what_the_provider_is_to_be_asked_about_is_read_in_order(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let files = [
        ("Z", "/root/"),
        ("a", "/root/one/"),
        ("caf\u{e9}", ""),
        ("hidden", "/root/"),
        ("there", "/root/"),
        ("z", "/root/"),
        ("\u{e4}", "/root/two/"),
    ];
    place(&run, 1, &files).await;
    run.commit(Commit {
        left_out: vec![left_out("left out")],
        seen: names(&["there"]),
        ..build::commit(2)
    })
    .await;
    run.mark_absent(2, &[("hidden", false)], 10).await;
    run.mark_unseen(2, None, 10).await;
    let expected: Vec<MissingRow> = files
        .iter()
        .filter(|(object, _)| !["hidden", "there"].contains(object))
        .map(|(object, lineage)| MissingRow {
            object: (*object).to_owned(),
            lineage: (*lineage).to_owned(),
        })
        .collect();
    let all = missing_rows(&run, 2, build::AUTHORITY, None, 100).await;
    assert_eq!(all, expected);
    let mut read = Vec::new();
    loop {
        let after = read.last().map(|row: &MissingRow| row.object.clone());
        let portion = missing_rows(&run, 2, build::AUTHORITY, after.as_deref(), 2).await;
        assert!(portion.len() <= 2);
        if portion.is_empty() {
            break;
        }
        read.extend(portion);
    }
    assert_eq!(read, expected);
    assert!(
        missing_rows(&run, 1, build::AUTHORITY, None, 9)
            .await
            .is_empty()
    );
    assert!(missing_rows(&run, 2, "elsewhere", None, 9).await.is_empty());
}

/// Progress of a pass that has come to where the feed stands at this place.
fn at(pass: u64, kind: PassKind, place: Option<&str>) -> Checkpoint {
    Checkpoint {
        kind,
        feed: place.map(|place| Cursor(place.to_owned())),
        ..build::checkpoint(pass)
    }
}

/// Ends a run that has come to that checkpoint, and begins the next.
async fn end_at<'a>(h: &Harness, run: Run<'a>, checkpoint: Checkpoint, end: JobEnd) -> Run<'a> {
    run.commit(Commit {
        checkpoint: Some(checkpoint.clone()),
        ..build::commit(checkpoint.pass)
    })
    .await;
    finish(h, &run, &run.lease, end, Duration::ZERO).await;
    let lease = h.lease(LONG).await;
    Run { lease, ..run }
}

pub async fn a_complete_pass_keeps_where_the_feed_stands(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    assert_eq!(run.stored().await.feed, None);
    let before = h.repositories.across.now().await.unwrap();
    let listing = at(1, PassKind::Listing, Some("seven ✓"));
    let run = end_at(&h, run, listing.clone(), JobEnd::complete()).await;
    let first = run
        .stored()
        .await
        .feed
        .expect("the feed goes on from there");
    let expected = Feed {
        cursor: listing.feed.clone().unwrap(),
        scope: listing.scope.clone(),
        credential_version: listing.credential_version,
        listed_at: first.listed_at,
    };
    assert_eq!(first, expected);
    assert!(first.listed_at >= before && first.listed_at < before + LONG);

    h.moment().await;
    let changes = at(2, PassKind::Changes, Some("eight"));
    let run = end_at(&h, run, changes, JobEnd::complete()).await;
    let second = run.stored().await.feed.expect("it goes on");
    let expected = Feed {
        cursor: Cursor("eight".to_owned()),
        ..first
    };
    assert_eq!(second, expected, "the whole source was listed when it was");
    let listed_at = second.listed_at;

    let changes = at(3, PassKind::Changes, Some("nine"));
    let interrupted = JobEnd::interrupted("shutdown");
    let run = end_at(&h, run, changes.clone(), interrupted).await;
    let stored = run.stored().await;
    assert_eq!(
        (stored.feed, stored.checkpoint),
        (Some(second.clone()), Some(changes))
    );
    let changes = at(3, PassKind::Changes, Some("nine"));
    let run = end_at(&h, run, changes, JobEnd::incomplete("over_cap")).await;
    assert_eq!(run.stored().await.feed, Some(second));

    h.moment().await;
    let listing = at(4, PassKind::Listing, Some("ten"));
    let run = end_at(&h, run, listing, JobEnd::complete()).await;
    let third = run.stored().await.feed.expect("it goes on");
    assert!(third.listed_at > listed_at, "listed anew");
    let listing = at(5, PassKind::Listing, None);
    let run = end_at(&h, run, listing, JobEnd::complete()).await;
    assert_eq!(run.stored().await.feed, None, "there is none any more");
}

pub async fn a_take_over_keeps_where_the_feed_stands(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let listing = at(1, PassKind::Listing, Some("one"));
    let run = end_at(&h, run, listing, JobEnd::complete()).await;
    let feed = run.stored().await.feed;
    assert!(feed.is_some());
    finish(
        &h,
        &run,
        &run.lease,
        JobEnd::interrupted("shutdown"),
        Duration::ZERO,
    )
    .await;
    let lease = h.lease(SHORT).await;
    let run = Run { lease, ..run };
    h.outlive(SHORT).await;
    let lease = h.lease(LONG).await;
    let run = Run { lease, ..run };
    assert_eq!(run.stored().await.feed, feed);
    finish(
        &h,
        &run,
        &run.lease,
        JobEnd::failed("listing_failed", "no".to_owned()),
        DAY,
    )
    .await;
    assert_eq!(run.stored().await.feed, feed);
}
