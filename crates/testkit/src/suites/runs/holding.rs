//! Holding: what a complete pass finds missing, and what waits for a second look.

use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::run::catalogue::LeftOutVersion;
use wharf_domain::run::commit::{Commit, LeftOut};
use wharf_domain::run::deletes::{LetGo, Survey};

use crate::{Harness, build};

fn survey(held: u64, missing: u64, agreed: u64) -> Survey {
    Survey {
        held,
        missing,
        agreed,
        hidden: 0,
    }
}

pub async fn unseen_rows_are_marked_a_step_at_a_time(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let all = ["media/a", "media/b", "media/c", "media/d", "media/e"];
    run.publish(1, &all, "1").await;
    run.commit(Commit {
        seen: vec!["media/b".to_owned(), "media/e".to_owned()],
        ..build::commit(2)
    })
    .await;
    let steps = run.mark_unseen(2, None, 2).await;
    assert!((2..=3).contains(&steps), "{steps} steps of two rows each");
    let known = run.known(&all).await;
    let missing: Vec<_> = known.iter().map(|known| known.missing).collect();
    assert_eq!(missing, [true, false, true, true, false]);
    assert_eq!(run.survey(2, &[]).await, survey(5, 3, 0));
}

pub async fn only_rows_beyond_the_merged_part_need_a_mark(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let all = ["Z", "a", "caf\u{e9}", "z", "\u{e4}"];
    run.publish(1, &all, "1").await;
    run.mark_unseen(2, Some("caf\u{e9}"), 2).await;
    let known = run.known(&all).await;
    let missing: Vec<_> = known.iter().map(|known| known.missing).collect();
    assert_eq!(missing, [false, false, false, true, true]);
}

pub async fn rows_of_other_authorities_are_missing_when_a_listing_is_complete(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let elsewhere = ["elsewhere.example.test", "z.example.test"];
    for (authority, object) in elsewhere.iter().zip(["media/a", "media/c"]) {
        let mut put = run.put(object, "1");
        put.source.authority = (*authority).to_owned();
        run.commit(Commit {
            authority: (*authority).to_owned(),
            puts: vec![put],
            ..build::commit(1)
        })
        .await;
    }
    run.publish(1, &["media/a", "media/b"], "1").await;
    run.mark_missing(2, None, 1).await;
    assert_eq!(run.survey(2, &[]).await, survey(4, 2, 0));
    let known = run.known(&["media/a", "media/b"]).await;
    assert!(known.iter().all(|known| !known.missing));
    assert_eq!(run.let_go(2, 10).await, 2);
    let objects = run.objects().await;
    let gone = objects.iter().filter(|object| object.deleted.is_some());
    let gone: Vec<_> = gone
        .map(|object| object.source.authority.as_str())
        .collect();
    assert_eq!(gone, elsewhere);
}

pub async fn a_survey_counts_rows_that_point_at_objects(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    assert_eq!(run.survey(1, &[]).await, survey(0, 0, 0));
    run.publish(1, &["media/a", "media/b", "media/c"], "1")
        .await;
    run.commit(Commit {
        left_out: vec![LeftOut {
            object: "media/x".to_owned(),
            version: "1".to_owned(),
            rule: "mime_types".to_owned(),
        }],
        ..build::commit(1)
    })
    .await;
    run.delete("media/c").await;
    assert_eq!(run.survey(1, &[]).await, survey(3, 0, 0));
    run.mark_unseen(2, None, 10).await;
    assert_eq!(
        run.survey(2, &[]).await,
        survey(3, 3, 0),
        "a person's tombstone counts, a row without an object does not"
    );
    assert_eq!(run.survey(3, &[]).await, survey(3, 0, 0), "in that pass");
    run.hold(2, &[], 10).await;
    assert_eq!(run.survey(2, &[]).await, survey(3, 3, 0));
    run.mark_unseen(3, None, 10).await;
    assert_eq!(run.survey(3, &[]).await, survey(3, 3, 3));
}

pub async fn denied_paths_are_taken_literally(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let all = [
        "media/a%b/1",
        "media/aXb/1",
        "media/a_b/1",
        "media/A_B/1",
        "media/a_bc",
        "media/'/1",
        "media/\\/1",
        "media/caf\u{e9}/1",
        "media/cafe\u{301}/1",
        "other/media/a_b/1",
    ];
    run.publish(1, &all, "1").await;
    run.mark_unseen(2, None, 100).await;
    let left = [
        ("media/a%b/", 1),
        ("media/a_b/", 1),
        ("media/a_b", 2),
        ("media/%", 0),
        ("media/_", 0),
        ("media/'/", 1),
        ("media/\\/", 1),
        ("media/caf\u{e9}/", 1),
        ("media/caf\u{e9}/1", 1),
        ("media/caf\u{e9}/1 and more", 0),
        ("MEDIA/", 0),
        ("media/", 9),
        ("", 10),
    ];
    let total = all.len() as u64;
    for (path, frozen) in left {
        let open = total - frozen;
        assert_eq!(
            run.survey(2, &[path]).await,
            survey(open, open, 0),
            "{path}"
        );
    }
    let two = ["media/a%b/", "media/a_b"];
    assert_eq!(run.survey(2, &two).await, survey(7, 7, 0));
    assert_eq!(run.hold(2, &two, 100).await, 7);
    let step = LetGo {
        denied: two.map(str::to_owned).to_vec(),
        ..build::let_go(2, 100)
    };
    assert_eq!(run.let_go_step(step).await, 7);
    let objects = run.objects().await;
    let live = objects.iter().filter(|object| object.deleted.is_none());
    let live: Vec<_> = live.map(|object| object.source.object.as_str()).collect();
    assert_eq!(live, ["media/a%b/1", "media/a_b/1", "media/a_bc"]);
    assert_eq!(run.let_go(2, 100).await, 3, "their rows were still there");
}

pub async fn the_path_of_an_object_decides_what_is_denied(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let mut put = run.put("media/id-1", "1");
    "Reports/Private/plan.pdf".clone_into(&mut put.facts.path);
    run.commit(Commit {
        puts: vec![put],
        ..build::commit(1)
    })
    .await;
    run.mark_unseen(2, None, 10).await;
    assert_eq!(run.survey(2, &["media/"]).await, survey(1, 1, 0));
    assert_eq!(run.survey(2, &["Reports/Private/"]).await, survey(0, 0, 0));
}

pub async fn held_deletes_are_told_with_their_number_and_reason(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b", "media/c"], "1")
        .await;
    run.commit(Commit {
        seen: vec!["media/c".to_owned()],
        ..build::commit(2)
    })
    .await;
    run.mark_unseen(2, None, 10).await;
    let now = h.repositories.across.now().await.unwrap();
    assert_eq!(run.hold(2, &[], 10).await, 2);
    let held = run.stored().await.held_deletes.unwrap();
    assert_eq!(
        (held.pass, held.count, held.reason.as_str()),
        (2, 2, "too many in pass 2")
    );
    assert!(held.since >= now);
    let (job, totals) = (run.job().await, run.stored().await.totals);
    assert_eq!((job.counters.held, totals.counters.held), (2, 2));
    let row = acme.trail().await.remove(0);
    assert_eq!(
        (row.action, &row.changes["held"]),
        (Action::DeletesHeld, &json!(2))
    );
    assert_eq!(run.tombstones().await, [""; 0], "nothing is deleted yet");
}

pub async fn a_second_hold_keeps_the_beginning_of_the_first(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b"], "1").await;
    run.commit(Commit {
        seen: vec!["media/b".to_owned()],
        ..build::commit(2)
    })
    .await;
    run.mark_unseen(2, None, 10).await;
    run.hold(2, &[], 10).await;
    let first = run.stored().await.held_deletes.unwrap();
    h.moment().await;
    assert_eq!(run.hold(2, &[], 10).await, 0, "it is held already");
    assert_eq!(run.stored().await.held_deletes.as_ref(), Some(&first));
    assert_eq!(run.job().await.counters.held, 1);
    assert_eq!(
        acme.audited(Action::DeletesHeld).await,
        1,
        "what is no news brings no audit row"
    );

    run.mark_unseen(3, None, 10).await;
    assert_eq!(run.survey(3, &[]).await, survey(2, 2, 1));
    assert_eq!(run.hold(3, &[], 10).await, 1);
    let second = run.stored().await.held_deletes.unwrap();
    assert_eq!(
        (second.pass, second.since, second.count),
        (first.pass, first.since, 2)
    );
    assert_eq!(second.reason, "too many in pass 3");
    assert_eq!(run.job().await.counters.held, 2);
    assert_eq!(acme.trail().await[0].changes["held"], json!(2));
}

pub async fn deletes_are_held_in_portions(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let all = ["media/a", "media/b", "media/c", "media/d"];
    run.publish(1, &all, "1").await;
    run.mark_unseen(2, None, 10).await;
    assert_eq!(run.hold(2, &[], 2).await, 2);
    assert_eq!(
        (
            run.stored().await.held_deletes,
            acme.audited(Action::DeletesHeld).await
        ),
        (None, 0),
        "people are told at the end"
    );
    assert_eq!(
        (run.hold(2, &[], 2).await, run.hold(2, &[], 2).await),
        (2, 0)
    );
    let held = run.stored().await.held_deletes.unwrap();
    assert_eq!((held.count, run.job().await.counters.held), (4, 4));
    assert_eq!(acme.audited(Action::DeletesHeld).await, 1);
}

pub async fn only_what_two_complete_passes_agree_on_goes(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b", "media/c"], "1")
        .await;
    let agreed = |pass| LetGo {
        only_agreed: true,
        ..build::let_go(pass, 10)
    };
    let seen = |pass, objects: &[&str]| Commit {
        seen: objects.iter().map(|&object| object.to_owned()).collect(),
        ..build::commit(pass)
    };
    // Pass 2 misses the first, pass 3 the first two; neither is the last word on its own.
    run.commit(seen(2, &["media/b", "media/c"])).await;
    run.mark_unseen(2, None, 10).await;
    assert_eq!(run.let_go_step(agreed(2)).await, 0);
    run.hold(2, &[], 10).await;
    assert_eq!(run.let_go_step(agreed(2)).await, 0, "that is the same pass");
    run.commit(seen(3, &["media/c"])).await;
    run.mark_unseen(3, None, 10).await;
    assert_eq!(run.let_go_step(agreed(3)).await, 1);
    assert_eq!(run.tombstones().await, ["media/a"]);
    assert_eq!(run.let_go_step(agreed(3)).await, 0);
    assert_eq!(run.let_go(3, 10).await, 1, "the other one was missing too");
    assert_eq!(run.tombstones().await, ["media/a", "media/b"]);
}

pub async fn an_incomplete_pass_agrees_with_nobody(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    run.pass_over(2, build::span(None, None), &[]).await;
    run.mark_unseen(3, None, 10).await;
    assert_eq!(
        run.survey(3, &[]).await,
        survey(1, 1, 0),
        "pass 2 never was complete"
    );
    let step = LetGo {
        only_agreed: true,
        ..build::let_go(3, 10)
    };
    assert_eq!(run.let_go_step(step).await, 0);
}

pub async fn what_another_pass_missed_is_not_let_go(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    run.pass_over(2, build::span(None, None), &[]).await;
    assert_eq!((run.let_go(1, 10).await, run.let_go(3, 10).await), (0, 0));
    assert_eq!(run.tombstones().await, [""; 0]);
    assert_eq!(run.let_go(2, 10).await, 1);
}

pub async fn missing_rows_without_an_object_just_go(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.commit(Commit {
        left_out: vec![LeftOut {
            object: "media/x".to_owned(),
            version: "1".to_owned(),
            rule: "mime_types".to_owned(),
        }],
        ..build::commit(1)
    })
    .await;
    run.mark_unseen(2, None, 10).await;
    let remembered = Some(LeftOutVersion {
        version: "1".to_owned(),
        rule: "mime_types".to_owned(),
    });
    let known = run.known_one("media/x").await;
    assert_eq!((known.missing, known.left_out), (true, remembered));
    assert_eq!(run.hold(2, &[], 10).await, 0, "there is nothing to delete");
    assert_eq!(run.stored().await.held_deletes, None);
    let step = LetGo {
        only_agreed: true,
        denied: vec!["media/".to_owned()],
        ..build::let_go(2, 10)
    };
    assert_eq!(run.let_go_step(step).await, 1);
    assert_eq!(run.known(&["media/x"]).await, []);
    assert_eq!(run.job().await.counters.deleted, 0);
    assert_eq!(acme.audited(Action::ObjectsCommitted).await, 0);
}

pub async fn held_deletes_are_over_when_nothing_waits_any_more(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b", "media/private/c"], "1")
        .await;
    run.mark_unseen(2, None, 10).await;
    run.hold(2, &[], 10).await;
    run.commit(Commit {
        returned: vec!["media/a".to_owned()],
        ..build::commit(3)
    })
    .await;
    run.pass_over(3, build::span(None, None), &["media/a"])
        .await;
    let step = LetGo {
        denied: vec!["media/private/".to_owned()],
        ..build::let_go(3, 10)
    };
    assert_eq!(run.let_go_step(step.clone()).await, 1);
    assert_eq!(run.let_go_step(step).await, 0);
    assert!(
        run.stored().await.held_deletes.is_some(),
        "one still waits, though nobody may look at it"
    );
    run.commit(Commit {
        returned: vec!["media/private/c".to_owned()],
        ..build::commit(4)
    })
    .await;
    assert_eq!(run.let_go(4, 10).await, 0);
    assert_eq!(run.stored().await.held_deletes, None);
    assert_eq!(run.tombstones().await, ["media/b"]);
}
