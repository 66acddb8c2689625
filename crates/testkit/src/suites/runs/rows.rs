//! Rows: what a step writes to the sync's catalogue.

use wharf_domain::run::catalogue::LeftOutVersion;
use wharf_domain::run::commit::{Commit, LeftOut, Vanished};

use crate::build::{self, ODD_NAMES, span};
use crate::{Harness, Run};

fn names(objects: &[&str]) -> Vec<String> {
    objects.iter().map(|&object| object.to_owned()).collect()
}

/// Marks a file as missing by that pass.
async fn miss(run: &Run<'_>, pass: u64, object: &str) {
    let drifted = names(&[object]);
    run.commit(Commit {
        drifted,
        ..build::commit(pass)
    })
    .await;
}

/// Remembers that the version of a file is left out.
async fn leave_out(run: &Run<'_>, pass: u64, object: &str, version: &str, rule: &str) {
    let left_out = LeftOut {
        object: object.to_owned(),
        version: version.to_owned(),
        rule: rule.to_owned(),
    };
    run.commit(Commit {
        left_out: vec![left_out],
        ..build::commit(pass)
    })
    .await;
}

fn version_left_out(version: &str, rule: &str) -> LeftOutVersion {
    LeftOutVersion {
        version: version.to_owned(),
        rule: rule.to_owned(),
    }
}

pub async fn what_is_published_is_held_and_not_missing(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let known = run.known_one("media/a").await;
    assert_eq!(
        (known.held, known.missing, &known.left_out),
        (true, false, &None)
    );
    miss(&run, 2, "media/a").await;
    leave_out(&run, 2, "media/a", "2", "mime_types").await;
    let known = run.known_one("media/a").await;
    assert_eq!(
        (known.held, known.missing, known.left_out),
        (true, true, Some(version_left_out("2", "mime_types")))
    );
    run.publish(3, &["media/a"], "3").await;
    let known = run.known_one("media/a").await;
    assert_eq!(
        (known.held, known.missing, known.left_out),
        (true, false, None),
        "a put is the last word"
    );
    assert_eq!(run.rows(3).await, 1);
}

pub async fn what_another_sync_brought_is_adopted(h: Harness) {
    let acme = h.tenant("acme").await;
    let first = acme.run().await;
    let second = acme.second_run(&first).await;
    first.publish(1, &["media/a"], "1").await;
    let (objects, bucket) = (first.objects().await, first.bucket().await);
    let known = second.known_one("media/a").await;
    assert_eq!(
        known.copy.as_ref().map(|copy| copy.copied_by.as_ref()),
        Some(Some(&first.sync.id))
    );
    assert!(!known.held, "only the other sync holds on to it");

    leave_out(&second, 1, "media/a", "1", "mime_types").await;
    miss(&second, 1, "media/a").await;
    second
        .commit(Commit {
            adopted: names(&["media/a"]),
            ..build::commit(2)
        })
        .await;
    let known = second.known_one("media/a").await;
    assert_eq!(
        (known.held, known.missing, known.left_out),
        (true, false, None)
    );
    assert_eq!(
        (first.objects().await, first.bucket().await),
        (objects, bucket),
        "nothing is published"
    );
    second.mark_unseen(2, None, 10).await;
    assert_eq!(
        second.survey(2, &[]).await.missing,
        0,
        "what is adopted is seen"
    );
}

pub async fn a_version_left_out_is_remembered_with_its_rule(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    leave_out(&run, 1, "media/a", "1", "mime_types").await;
    let known = run.known_one("media/a").await;
    assert_eq!(known.left_out, Some(version_left_out("1", "mime_types")));
    assert_eq!(
        (known.copy, known.held, known.missing),
        (None, false, false)
    );
    assert_eq!(run.objects().await, []);
    leave_out(&run, 2, "media/a", "v'2\"%", "tags").await;
    let known = run.known_one("media/a").await;
    assert_eq!(known.left_out, Some(version_left_out("v'2\"%", "tags")));
    assert_eq!(run.rows(3).await, 1, "one row remembers one version");
    run.mark_unseen(2, None, 10).await;
    assert!(!run.known_one("media/a").await.missing, "it was seen");
}

pub async fn a_version_left_out_leaves_the_object_and_the_mark_alone(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b"], "1").await;
    let objects = run.objects().await;
    miss(&run, 2, "media/b").await;
    for object in ["media/a", "media/b"] {
        leave_out(&run, 2, object, "2", "mime_types").await;
        let known = run.known_one(object).await;
        assert_eq!(
            (known.held, known.missing, known.left_out),
            (
                true,
                object == "media/b",
                Some(version_left_out("2", "mime_types"))
            )
        );
    }
    assert_eq!(run.objects().await, objects);
}

pub async fn returned_rows_are_missing_no_more(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b"], "1").await;
    run.mark_unseen(2, None, 10).await;
    assert_eq!(run.hold(2, &[], 10).await, 2);
    run.commit(Commit {
        returned: names(&["media/a", "media/unknown"]),
        ..build::commit(3)
    })
    .await;
    let known = run.known(&["media/a", "media/b", "media/unknown"]).await;
    let missing: Vec<_> = known
        .iter()
        .map(|known| (known.object.as_str(), known.missing))
        .collect();
    assert_eq!(missing, [("media/a", false), ("media/b", true)]);
    run.mark_unseen(3, None, 10).await;
    let survey = run.survey(3, &[]).await;
    assert_eq!(
        (survey.missing, survey.agreed),
        (2, 1),
        "what was there in between was found missing by no pass before"
    );
}

pub async fn seen_rows_carry_the_pass_and_are_missing_no_more(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b", "media/c"], "1")
        .await;
    run.mark_unseen(2, None, 10).await;
    run.hold(2, &[], 10).await;
    run.commit(Commit {
        seen: names(&["media/a", "media/b", "media/unknown"]),
        ..build::commit(3)
    })
    .await;
    assert_eq!(run.rows(9).await, 3, "names without a row make none");
    assert!(!run.known_one("media/a").await.missing);
    run.mark_unseen(3, None, 10).await;
    let survey = run.survey(3, &[]).await;
    assert_eq!((survey.held, survey.missing, survey.agreed), (3, 1, 1));
    run.mark_unseen(4, None, 10).await;
    let survey = run.survey(4, &[]).await;
    assert_eq!(
        (survey.missing, survey.agreed),
        (3, 1),
        "both marks of what was seen are gone"
    );
}

pub async fn drifted_rows_are_missing_though_they_are_seen(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b"], "1").await;
    run.commit(Commit {
        seen: names(&["media/a", "media/b"]),
        drifted: names(&["media/b", "media/unknown"]),
        ..build::commit(2)
    })
    .await;
    assert!(!run.known_one("media/a").await.missing);
    assert!(run.known_one("media/b").await.missing);
    run.mark_unseen(2, None, 10).await;
    assert_eq!(run.let_go(2, 10).await, 1);
    assert_eq!(run.tombstones().await, ["media/b"]);
}

/// The names that are missing, of all that the catalogue has.
async fn missing(run: &Run<'_>) -> Vec<String> {
    let known = run.known(&ODD_NAMES).await;
    assert_eq!(known.len(), ODD_NAMES.len());
    known
        .into_iter()
        .filter(|known| known.missing)
        .map(|known| known.object)
        .collect()
}

pub async fn exactly_the_unlisted_rows_of_a_stretch_are_marked_in_the_order_of_bytes(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &ODD_NAMES, "1").await;
    let last = ODD_NAMES.len() - 1;
    let mut pass = 1;
    for (from, name) in ODD_NAMES.into_iter().enumerate() {
        // From behind one name, and from the very beginning, over a few names and to the very end.
        let to = (from + 5).min(last);
        let after = (from > 0).then_some(name);
        let through = (to < last).then(|| ODD_NAMES[to]);
        let first = if from > 0 { from + 1 } else { 0 };
        let inside = ODD_NAMES.get(first..=to).unwrap_or_default();
        let (listed, gone): (Vec<&str>, Vec<&str>) =
            inside.iter().partition(|name| name.len() % 2 == 1);
        pass += 1;
        let stretch = span(after, through);
        let recalled = run.recall(pass, &listed, Some(stretch.clone())).await;
        assert_eq!(
            recalled.vanished,
            gone.len() as u64,
            "{stretch:?} without {listed:?}"
        );
        run.pass_over(pass, stretch.clone(), &listed).await;
        assert_eq!(missing(&run).await, gone, "{stretch:?} without {listed:?}");
        run.commit(Commit {
            returned: names(&ODD_NAMES),
            ..build::commit(pass)
        })
        .await;
    }
    assert_eq!(missing(&run).await, [""; 0]);
}

pub async fn a_stretch_without_ends_is_the_whole_catalogue(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &ODD_NAMES, "1").await;
    run.pass_over(2, span(None, None), &[]).await;
    assert_eq!(missing(&run).await, ODD_NAMES);
    assert_eq!(run.rows(2).await, 0);
    assert_eq!(run.let_go(2, 100).await, ODD_NAMES.len() as u64);
}

pub async fn a_stretch_may_be_empty(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b", "media/c"], "1")
        .await;
    for (after, through) in [("media/b", "media/b"), ("media/c", "media/a")] {
        let stretch = span(Some(after), Some(through));
        let recalled = run.recall(2, &[], Some(stretch.clone())).await;
        assert_eq!(recalled.vanished, 0);
        run.pass_over(2, stretch, &[]).await;
    }
    assert_eq!(run.survey(2, &[]).await.missing, 0);
}

pub async fn a_stretch_covers_rows_of_its_own_sync_and_authority(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    let second = acme.second_run(&run).await;
    let theirs = other.run().await;
    for run in [&run, &second, &theirs] {
        run.publish(1, &["media/a"], "1").await;
    }
    let vanished = Some(Vanished {
        span: span(None, None),
        listed: Vec::new(),
    });
    run.commit(Commit {
        authority: "elsewhere.example.test".to_owned(),
        vanished: vanished.clone(),
        ..build::commit(2)
    })
    .await;
    assert!(!run.known_one("media/a").await.missing);
    run.commit(Commit {
        vanished,
        ..build::commit(2)
    })
    .await;
    assert!(run.known_one("media/a").await.missing);
    for untouched in [&second, &theirs] {
        assert!(!untouched.known_one("media/a").await.missing);
    }
}

pub async fn what_a_put_and_a_stretch_say_of_one_page_fits_together(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b", "media/d"], "1")
        .await;
    let vanished = Some(Vanished {
        span: span(None, Some("media/c")),
        listed: names(&["media/a", "media/c"]),
    });
    run.commit(Commit {
        vanished,
        ..run.step(2, &["media/a", "media/c"], "2").await
    })
    .await;
    let known = run
        .known(&["media/a", "media/b", "media/c", "media/d"])
        .await;
    let missing: Vec<_> = known.iter().map(|known| known.missing).collect();
    assert_eq!(missing, [false, true, false, false]);
}

pub async fn a_step_without_names_writes_nothing_to_the_catalogue(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    miss(&run, 2, "media/a").await;
    let before = (run.known_one("media/a").await, run.objects().await);
    run.commit(Commit {
        checkpoint: Some(build::checkpoint(3)),
        ..build::commit(3)
    })
    .await;
    assert_eq!(
        (run.known_one("media/a").await, run.objects().await),
        before
    );
    assert_eq!(run.rows(2).await, 0, "the mark of the pass before stays");
    run.mark_unseen(3, None, 10).await;
    assert_eq!(run.survey(3, &[]).await.missing, 1, "nothing was seen");
}
