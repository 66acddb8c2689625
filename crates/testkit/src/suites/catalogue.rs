//! What [`CatalogueRepository`](wharf_ports::CatalogueRepository) promises.

use std::time::Duration;

use wharf_domain::dead_letter::HEALING_PAUSE;
use wharf_domain::ids::{OrganizationId, SyncId};
use wharf_domain::object::DeletedBy;
use wharf_domain::provider::Provider;
use wharf_domain::run::catalogue::{
    CopyFacts, Known, KnownCopy, KnownDeadLetter, Recall, Recalled,
};
use wharf_domain::run::commit::Commit;

use crate::build::{self, span};
use crate::{Harness, Run};

const HOUR: Duration = Duration::from_hours(1);

async fn recall(
    h: &Harness,
    organization: &OrganizationId,
    sync: &SyncId,
    recall: &Recall,
) -> Recalled {
    let catalogue = &h.repositories.catalogue;
    let recalled = catalogue.recall(organization, sync, 9, recall).await;
    recalled.unwrap()
}

/// What a run asks about these files, and about everything else.
fn question(objects: &[&str]) -> Recall {
    Recall {
        provider: Provider::S3,
        authority: build::AUTHORITY.to_owned(),
        listed: objects.iter().map(|&object| object.to_owned()).collect(),
        span: Some(span(None, None)),
        facts: false,
    }
}

async fn known_copy(run: &Run<'_>, object: &str, deleted: Option<DeletedBy>) -> Option<KnownCopy> {
    let stored = run.object(object).await;
    Some(KnownCopy {
        id: stored.id,
        version: stored.facts.version,
        path: stored.facts.path,
        blob: stored.content.blob,
        deleted,
        copied_by: Some(run.sync.id.clone()),
        facts: None,
    })
}

pub async fn nothing_is_known_of_new_files(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    assert_eq!(
        run.recall(1, &["media/a", "media/b"], None).await,
        Recalled::default()
    );
    let everything = Some(span(None, None));
    assert_eq!(run.recall(1, &[], everything).await, Recalled::default());
}

pub async fn what_the_source_told_of_a_copy_is_known_where_it_is_asked_for(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let stored = run.object("media/a").await;
    for span in [None, Some(span(None, None))] {
        for facts in [false, true] {
            let asked = Recall {
                span: span.clone(),
                facts,
                ..question(&["media/a"])
            };
            let told = recall(&h, &acme.organization, &run.sync.id, &asked).await;
            let copy = told.known[0].copy.clone().expect("it was copied");
            let expected = facts.then(|| CopyFacts {
                content_type: stored.content.content_type.clone(),
                metadata: stored.facts.metadata.clone(),
                tags: stored.facts.tags.clone(),
            });
            assert_eq!(copy.facts.map(|facts| *facts), expected);
        }
    }
}

pub async fn what_the_bucket_has_is_known_tombstones_included(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let elsewhere = acme
        .run_into(&acme.bucket("elsewhere").await, &run.connection)
        .await;
    elsewhere.publish(1, &["media/theirs"], "1").await;
    run.publish(1, &["media/deleted", "media/gone", "media/live"], "7")
        .await;
    run.commit(Commit {
        seen: vec!["media/deleted".to_owned(), "media/live".to_owned()],
        ..build::commit(2)
    })
    .await;
    run.let_unseen_go(2, 10).await;
    run.delete("media/deleted").await;
    let known = |object: &str, copy, held| Known {
        object: object.to_owned(),
        copy,
        held,
        left_out: None,
        dead_letter: None,
        missing: false,
        lineage: String::new(),
    };
    let deleted = known_copy(&run, "media/deleted", Some(DeletedBy::Person)).await;
    let gone = known_copy(&run, "media/gone", Some(DeletedBy::Source)).await;
    let live = known_copy(&run, "media/live", None).await;
    let expected = [
        known("media/deleted", deleted, true),
        known("media/gone", gone, false),
        known("media/live", live, true),
    ];
    let asked = [
        "media/live",
        "media/theirs",
        "media/gone",
        "media/new",
        "media/deleted",
    ];
    assert_eq!(run.known(&asked).await, expected);

    let second = acme.second_run(&run).await;
    let unheld = expected.map(|known| Known {
        held: false,
        ..known
    });
    assert_eq!(
        second.known(&asked).await,
        unheld,
        "what another sync brought is known, but not held"
    );
}

pub async fn a_file_is_known_by_provider_and_authority(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let asked = question(&["media/a"]);
    let others = [
        Recall {
            provider: Provider::Tigris,
            span: None,
            ..asked.clone()
        },
        Recall {
            authority: "elsewhere.example.test".to_owned(),
            ..asked.clone()
        },
        Recall {
            authority: build::AUTHORITY.to_uppercase(),
            ..asked.clone()
        },
    ];
    let found = recall(&h, &acme.organization, &run.sync.id, &asked).await;
    assert_eq!((found.known.len(), found.vanished), (1, 0));
    for other in others {
        let found = recall(&h, &acme.organization, &run.sync.id, &other).await;
        assert!(
            found.known.iter().all(|known| known.copy.is_none()),
            "{other:?} {found:?}"
        );
        assert_eq!(found.vanished, 0);
    }
}

pub async fn a_stretch_counts_what_it_has_and_the_page_does_not_name(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["B", "a", "b", "c", "d", "\u{e4}"], "1")
        .await;
    let vanished = async |after, through, listed: &[&str]| {
        let stretch = Some(span(after, through));
        run.recall(2, listed, stretch).await.vanished
    };
    assert_eq!(vanished(None, None, &[]).await, 6);
    assert_eq!(
        vanished(None, Some("a"), &[]).await,
        2,
        "its end belongs to it"
    );
    assert_eq!(
        vanished(Some("a"), None, &[]).await,
        4,
        "its beginning does not"
    );
    assert_eq!(vanished(Some("a"), Some("c"), &["b"]).await, 1);
    assert_eq!(
        vanished(Some("a"), Some("c"), &["a", "b", "c", "x"]).await,
        0
    );
    assert_eq!(vanished(Some("aa"), Some("bb"), &[]).await, 1);
    assert_eq!(vanished(Some("d"), None, &[]).await, 1);
    let recalled = run
        .recall(2, &["a", "d"], Some(span(Some("a"), Some("b"))))
        .await;
    assert_eq!(
        (recalled.known.len(), recalled.vanished),
        (2, 1),
        "what is listed is known, wherever it lies"
    );
    assert_eq!(
        run.recall(2, &["a"], None).await.vanished,
        0,
        "without a stretch nothing is counted"
    );
}

pub async fn what_this_pass_has_marked_does_not_count_again(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b"], "1").await;
    run.pass_over(2, span(None, None), &["media/b"]).await;
    assert_eq!((run.rows(2).await, run.rows(3).await), (1, 2));
    let known = run.known(&["media/a", "media/b"]).await;
    assert_eq!((known[0].missing, known[1].missing), (true, false));
    assert!(known[0].held, "what is missing is held until it is let go");
}

pub async fn rows_of_other_syncs_and_organizations_do_not_count(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    let second = acme.second_run(&run).await;
    let theirs = other.run().await;
    run.publish(1, &["media/a"], "1").await;
    second.publish(1, &["media/b", "media/c"], "1").await;
    theirs.publish(1, &["media/a", "media/d"], "9").await;
    assert_eq!((run.rows(9).await, second.rows(9).await), (1, 2));
    let known = run.known(&["media/a", "media/d"]).await;
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].copy, known_copy(&run, "media/a", None).await);
}

pub async fn nothing_is_known_to_another_organization_or_of_a_sync_that_is_not_there(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    run.fail("media/b", "1", "net.timeout").await;
    let asked = question(&["media/a", "media/b"]);
    let foreign = recall(&h, &other.organization, &run.sync.id, &asked).await;
    assert_eq!(foreign, Recalled::default());
    let unknown = recall(&h, &acme.organization, &h.ids.id(), &asked).await;
    assert_eq!(unknown, Recalled::default());
}

pub async fn a_page_of_a_thousand_is_recalled_from_a_large_catalogue(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let names: Vec<_> = (0..3000).map(|n| format!("media/{n:04}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    for some in names.chunks(1000) {
        let puts = some.iter().map(|name| run.put(name, "1")).collect();
        run.commit(Commit {
            puts,
            ..build::commit(1)
        })
        .await;
    }
    let whole = Some(span(None, None));
    let recalled = run.recall(2, &names[1000..2000], whole).await;
    assert_eq!((recalled.known.len(), recalled.vanished), (1000, 2000));
    assert!(
        recalled
            .known
            .iter()
            .zip(&names[1000..])
            .all(|(known, name)| known.object == *name && known.held)
    );
    let page = Some(span(Some(names[999]), Some(names[1999])));
    let recalled = run.recall(2, &names[1000..1999], page).await;
    assert_eq!((recalled.known.len(), recalled.vanished), (999, 1));
}

pub async fn an_open_dead_letter_is_known(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.fail("media/a", "1", "net.timeout").await;
    run.fail("media/b", "1", "net.timeout").await;
    run.publish(1, &["media/b"], "1").await;
    let letter = run.dead_letter("media/a").await.unwrap();
    let known = run.known(&["media/a", "media/b"]).await;
    let expected = KnownDeadLetter {
        id: letter.id,
        version: "1".to_owned(),
        error_type: "net.timeout".to_owned(),
        tries: 1,
        exhausted: false,
        healing_due: false,
    };
    assert_eq!(known[0].dead_letter, Some(expected));
    assert_eq!((&known[0].copy, known[0].held), (&None, false));
    assert_eq!(known[1].dead_letter, None, "it was copied");
}

/// Whether the file is exhausted and may be tried again to heal.
async fn healing(run: &Run<'_>, object: &str) -> (bool, bool) {
    let letter = run.known_one(object).await.dead_letter.unwrap();
    (letter.exhausted, letter.healing_due)
}

pub async fn an_exhausted_dead_letter_may_heal_once_a_day(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.fail("media/young", "1", "net.timeout").await;
    for _ in 0..3 {
        run.fail("media/a", "1", "net.timeout").await;
    }
    assert_eq!(healing(&run, "media/a").await, (true, false));
    h.age(HEALING_PAUSE.saturating_sub(HOUR)).await;
    assert_eq!(healing(&run, "media/a").await, (true, false));
    h.age(HOUR).await;
    assert_eq!(healing(&run, "media/a").await, (true, true));
    assert_eq!(
        healing(&run, "media/young").await,
        (false, false),
        "it is tried in every run anyway"
    );
    run.fail("media/a", "1", "net.timeout").await;
    assert_eq!(
        healing(&run, "media/a").await,
        (true, false),
        "it was tried"
    );
    h.age(HEALING_PAUSE.saturating_sub(HOUR)).await;
    assert_eq!(healing(&run, "media/a").await, (true, false));
    h.age(HOUR).await;
    assert_eq!(healing(&run, "media/a").await, (true, true));
}
