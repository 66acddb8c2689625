//! What [`DeadLetterRepository`](wharf_ports::DeadLetterRepository) promises.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::dead_letter::{DeadLetter, DeadLetterFilter, HEALING_PAUSE};
use wharf_domain::ids::{JobId, OrganizationId, SyncId};
use wharf_domain::page::PageRequest;
use wharf_domain::run::commit::{Commit, LeftOut};

use crate::{Harness, Run, build, paging};

const NET: &str = "net.timeout";
const AUTH: &str = "auth.expired";

/// A file that has failed so often that it is left alone.
async fn exhaust(run: &Run<'_>, object: &str, error_type: &str) {
    for _ in 0..3 {
        run.fail(object, "1", error_type).await;
    }
}

async fn list(
    h: &Harness,
    organization: &OrganizationId,
    sync: &SyncId,
    filter: &DeadLetterFilter,
) -> Vec<String> {
    let page = PageRequest {
        include_total: true,
        ..PageRequest::first(100)
    };
    let dead_letters = &h.repositories.dead_letters;
    let listed = dead_letters.list(organization, sync, filter, &page).await;
    let listed = listed.unwrap();
    assert_eq!(
        listed.total,
        listed.items.len() as u64,
        "the total counts matches only"
    );
    let mut files: Vec<_> = listed
        .items
        .into_iter()
        .map(|letter| letter.source_object)
        .collect();
    files.sort();
    files
}

async fn counts(h: &Harness, run: &Run<'_>) -> BTreeMap<String, u64> {
    let dead_letters = &h.repositories.dead_letters;
    let counts = dead_letters.count_exhausted(&run.tenant.organization, &run.sync.id);
    counts.await.unwrap()
}

async fn requeue(
    h: &Harness,
    organization: &OrganizationId,
    sync: &SyncId,
    codes: Option<&[&str]>,
) -> u64 {
    let codes: Option<Vec<String>> =
        codes.map(|codes| codes.iter().map(|&code| code.to_owned()).collect());
    h.moment().await;
    let audit = h.audit(Action::DeadLettersRequeued);
    let dead_letters = &h.repositories.dead_letters;
    dead_letters
        .requeue(organization, sync, codes.as_deref(), audit)
        .await
        .unwrap()
}

async fn mark(h: &Harness, organization: &OrganizationId, sync: &SyncId, codes: &[&str]) -> u64 {
    let codes: Vec<String> = codes.iter().map(|&code| code.to_owned()).collect();
    h.moment().await;
    let audit = h.audit(Action::DeadLettersMarked);
    let dead_letters = &h.repositories.dead_letters;
    dead_letters
        .mark_exhausted(organization, sync, &codes, audit)
        .await
        .unwrap()
}

fn with_codes(codes: &[&str]) -> DeadLetterFilter {
    DeadLetterFilter {
        error_types: Some(codes.iter().map(|&code| code.to_owned()).collect()),
        ..DeadLetterFilter::default()
    }
}

pub async fn open_dead_letters_are_listed_by_the_conditions_of_a_filter(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let second = acme.second_run(&run).await;
    run.fail("media/a", "1", NET).await;
    run.fail("media/b", "1", AUTH).await;
    exhaust(&run, "media/c", NET).await;
    run.fail("media/copied", "1", NET).await;
    run.publish(1, &["media/copied"], "1").await;
    second.fail("media/theirs", "1", NET).await;
    let find = async |filter| list(&h, &acme.organization, &run.sync.id, &filter).await;
    let everything = DeadLetterFilter::default;
    assert_eq!(find(everything()).await, ["media/a", "media/b", "media/c"]);
    assert_eq!(find(with_codes(&[NET])).await, ["media/a", "media/c"]);
    assert_eq!(find(with_codes(&[NET, AUTH, "x"])).await.len(), 3);
    assert_eq!(find(with_codes(&["net"])).await, [""; 0]);
    assert_eq!(find(with_codes(&[])).await, [""; 0], "with one of none");
    let exhausted = DeadLetterFilter {
        only_exhausted: true,
        ..everything()
    };
    assert_eq!(find(exhausted).await, ["media/c"]);
    let exhausted = DeadLetterFilter {
        only_exhausted: true,
        ..with_codes(&[AUTH])
    };
    assert_eq!(find(exhausted).await, [""; 0]);
}

pub async fn dead_letters_are_listed_newest_first_in_pages(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    for object in ["media/a", "media/b", "media/c"] {
        run.fail(object, "1", NET).await;
        h.moment().await;
    }
    let ids = &h.ids;
    let together = ["media/d", "media/e"].map(|object| crate::build::failed(ids, object, "1", NET));
    run.commit(wharf_domain::run::commit::Commit {
        failed: together.to_vec(),
        ..crate::build::commit(1)
    })
    .await;
    let filter = DeadLetterFilter::default();
    paging::walk(5, async |page| {
        let dead_letters = &h.repositories.dead_letters;
        dead_letters
            .list(&acme.organization, &run.sync.id, &filter, &page)
            .await
            .unwrap()
    })
    .await;
}

pub async fn a_dead_letter_is_found_by_its_source_as_it_is_listed(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    for object in ["media/a", "media/A", "media/caf\u{e9}", "media/%"] {
        run.fail(object, "1", NET).await;
    }
    let dead_letters = &h.repositories.dead_letters;
    let listed = dead_letters
        .list(
            &acme.organization,
            &run.sync.id,
            &DeadLetterFilter::default(),
            &PageRequest::first(10),
        )
        .await
        .unwrap();
    assert_eq!(listed.items.len(), 4);
    for letter in listed.items {
        let found = run.dead_letter(&letter.source_object).await;
        assert_eq!(found, Some(letter));
    }
    assert_eq!(run.dead_letter("media/unknown").await, None);
    assert_eq!(run.dead_letter("media/cafe\u{301}").await, None);
}

pub async fn exhausted_ones_are_counted_by_error_code(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    assert_eq!(counts(&h, &run).await, BTreeMap::new());
    exhaust(&run, "media/a", NET).await;
    exhaust(&run, "media/b", NET).await;
    exhaust(&run, "media/c", AUTH).await;
    exhaust(&run, "media/copied", AUTH).await;
    run.publish(1, &["media/copied"], "1").await;
    run.fail("media/young", "1", NET).await;
    let expected = BTreeMap::from([(NET.to_owned(), 2), (AUTH.to_owned(), 1)]);
    assert_eq!(counts(&h, &run).await, expected);
}

pub async fn requeued_dead_letters_have_their_tries_back(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    exhaust(&run, "media/a", NET).await;
    exhaust(&run, "media/b", AUTH).await;
    run.fail("media/young", "1", AUTH).await;
    let before = run.dead_letter("media/b").await.unwrap();
    let young = run.dead_letter("media/young").await;
    h.moment().await;
    let (organization, sync) = (&acme.organization, &run.sync.id);
    assert_eq!(requeue(&h, organization, sync, Some(&["x"])).await, 0);
    assert_eq!(requeue(&h, organization, sync, Some(&[])).await, 0);
    assert_eq!(acme.audited(Action::DeadLettersRequeued).await, 0);
    assert_eq!(requeue(&h, organization, sync, Some(&[AUTH])).await, 1);
    let after = run.dead_letter("media/b").await.unwrap();
    let requeued_at = after.requeued_at.unwrap();
    assert!(requeued_at > before.last_seen_at);
    let expected = DeadLetter {
        tries: 0,
        exhausted: false,
        requeued_at: Some(requeued_at),
        ..before
    };
    assert_eq!(after, expected);
    assert_eq!(
        run.dead_letter("media/young").await,
        young,
        "it has tries left"
    );
    let row = acme.trail().await.remove(0);
    assert_eq!(
        (row.action, &row.changes["requeued"]),
        (Action::DeadLettersRequeued, &json!(1))
    );
    run.fail("media/b", "1", AUTH).await;
    assert_eq!(run.dead_letter("media/b").await.unwrap().tries, 1);
    assert_eq!(
        requeue(&h, organization, sync, None).await,
        1,
        "the other one"
    );
    assert_eq!(counts(&h, &run).await, BTreeMap::new());
}

pub async fn marked_dead_letters_are_left_alone(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.fail("media/a", "1", NET).await;
    run.fail("media/b", "1", AUTH).await;
    exhaust(&run, "media/c", NET).await;
    let before = run.dead_letter("media/a").await.unwrap();
    let (organization, sync) = (&acme.organization, &run.sync.id);
    assert_eq!(mark(&h, organization, sync, &["x"]).await, 0);
    assert_eq!(mark(&h, organization, sync, &[]).await, 0);
    assert_eq!(acme.audited(Action::DeadLettersMarked).await, 0);
    assert_eq!(mark(&h, organization, sync, &[NET, "x"]).await, 1);
    let expected = DeadLetter {
        exhausted: true,
        ..before
    };
    assert_eq!(run.dead_letter("media/a").await, Some(expected));
    assert!(!run.dead_letter("media/b").await.unwrap().exhausted);
    let row = acme.trail().await.remove(0);
    assert_eq!(
        (row.action, &row.changes["marked"]),
        (Action::DeadLettersMarked, &json!(1))
    );
}

pub async fn closed_dead_letters_are_neither_listed_nor_changed(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    exhaust(&run, "media/a", NET).await;
    run.publish(1, &["media/a"], "1").await;
    let (organization, sync) = (&acme.organization, &run.sync.id);
    let all = DeadLetterFilter::default();
    assert_eq!(list(&h, organization, sync, &all).await, [""; 0]);
    assert_eq!(requeue(&h, organization, sync, None).await, 0);
    run.fail("media/b", "1", NET).await;
    run.publish(1, &["media/b"], "1").await;
    assert_eq!(mark(&h, organization, sync, &[NET]).await, 0);
}

pub async fn dead_letters_are_seen_and_changed_by_their_own_organization_and_sync(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    let second = acme.second_run(&run).await;
    exhaust(&run, "media/a", NET).await;
    run.fail("media/b", "1", NET).await;
    let strangers = [
        (&other.organization, &run.sync.id),
        (&acme.organization, &second.sync.id),
        (&acme.organization, &h.ids.id()),
    ];
    let all = DeadLetterFilter::default();
    let dead_letters = &h.repositories.dead_letters;
    for (organization, sync) in strangers {
        assert_eq!(list(&h, organization, sync, &all).await, [""; 0]);
        let found = dead_letters.find_by_source(organization, sync, "media/a");
        assert_eq!(found.await.unwrap(), None);
        let counted = dead_letters.count_exhausted(organization, sync);
        assert_eq!(counted.await.unwrap(), BTreeMap::new());
        assert_eq!(requeue(&h, organization, sync, None).await, 0);
        assert_eq!(mark(&h, organization, sync, &[NET]).await, 0);
    }
    assert_eq!(
        counts(&h, &run).await,
        BTreeMap::from([(NET.to_owned(), 1)])
    );
    assert!(!run.dead_letter("media/b").await.unwrap().exhausted);
    for tenant in [&acme, &other] {
        assert_eq!(tenant.audited(Action::DeadLettersRequeued).await, 0);
        assert_eq!(tenant.audited(Action::DeadLettersMarked).await, 0);
    }
}

/// The files whose dead letters a run of that job may try, in their order.
async fn due(h: &Harness, run: &Run<'_>, job: &JobId, limit: u32) -> Vec<String> {
    let dead_letters = &h.repositories.dead_letters;
    let (organization, sync) = (&run.tenant.organization, &run.sync.id);
    let due = dead_letters.due(organization, sync, job, limit).await;
    let files = due.unwrap().into_iter();
    files.map(|letter| letter.source_object).collect()
}

pub async fn what_a_run_may_try_comes_in_the_order_of_its_last_try(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let (own, next): (JobId, JobId) = (run.lease.job.clone(), h.ids.id());
    for object in ["media/c", "media/a", "media/d", "media/b"] {
        run.fail(object, "1", NET).await;
        h.moment().await;
    }
    run.fail("media/c", "1", NET).await;
    h.moment().await;
    exhaust(&run, "media/x", NET).await;
    run.commit(Commit {
        left_out: vec![LeftOut {
            object: "media/d".to_owned(),
            version: "1".to_owned(),
            rule: "mime_types".to_owned(),
        }],
        ..build::commit(1)
    })
    .await;
    assert!(due(&h, &run, &own, 10).await.is_empty(), "they just failed");
    let all = ["media/a", "media/b", "media/c"];
    assert_eq!(due(&h, &run, &next, 10).await, all);
    assert_eq!(due(&h, &run, &next, 2).await, all[..2]);
    let first = run.dead_letter("media/a").await;
    let dead_letters = &h.repositories.dead_letters;
    let read = dead_letters.due(&acme.organization, &run.sync.id, &next, 1);
    assert_eq!(read.await.unwrap(), Vec::from_iter(first));
}

pub async fn an_exhausted_file_may_be_tried_when_it_was_left_alone_for_long_enough(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let next: JobId = h.ids.id();
    exhaust(&run, "media/x", NET).await;
    h.moment().await;
    run.fail("media/a", "1", NET).await;
    assert_eq!(due(&h, &run, &next, 10).await, ["media/a"]);
    h.age(HEALING_PAUSE + Duration::from_mins(1)).await;
    assert_eq!(due(&h, &run, &next, 10).await, ["media/x", "media/a"]);
    assert_eq!(due(&h, &run, &next, 1).await, ["media/x"]);
    run.fail("media/x", "1", NET).await;
    assert_eq!(due(&h, &run, &next, 10).await, ["media/a"], "tried again");
    let requeued = requeue(&h, &acme.organization, &run.sync.id, None).await;
    assert_eq!(requeued, 1);
    assert_eq!(due(&h, &run, &next, 10).await, ["media/a", "media/x"]);
}

pub async fn what_may_be_tried_is_the_own_syncs_and_organizations(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    let beside = acme.second_run(&run).await;
    let next: JobId = h.ids.id();
    run.fail("media/a", "1", NET).await;
    assert_eq!(due(&h, &run, &next, 10).await, ["media/a"]);
    assert!(due(&h, &beside, &next, 10).await.is_empty());
    let dead_letters = &h.repositories.dead_letters;
    let theirs = dead_letters.due(&other.organization, &run.sync.id, &next, 10);
    assert_eq!(theirs.await.unwrap(), []);
}
