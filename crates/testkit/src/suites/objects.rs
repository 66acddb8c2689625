//! What [`ObjectRepository`](wharf_ports::ObjectRepository) promises.

use std::time::Duration;

use wharf_domain::audit::Action;
use wharf_domain::event::{Announcement, ObjectChange, ObjectFate};
use wharf_domain::ids::{BucketId, ObjectId, OrganizationId};
use wharf_domain::object::{DeletedBy, Object, ObjectFilter, SourceId};
use wharf_domain::page::PageRequest;
use wharf_domain::provider::Provider;
use wharf_domain::run::commit::Commit;
use wharf_ports::RestoreOutcome;

use crate::{Harness, Run, build, paging};

async fn paths(
    h: &Harness,
    run: &Run<'_>,
    search: Option<&str>,
    include_deleted: bool,
) -> Vec<String> {
    let filter = ObjectFilter {
        search: search.map(str::to_owned),
        include_deleted,
    };
    let page = PageRequest {
        include_total: true,
        ..PageRequest::first(100)
    };
    let listed = h
        .repositories
        .objects
        .list(&run.tenant.organization, &run.bucket.id, &filter, &page)
        .await
        .unwrap();
    assert_eq!(
        listed.total,
        listed.items.len() as u64,
        "the total counts matches only"
    );
    let mut paths: Vec<_> = listed
        .items
        .into_iter()
        .map(|object| object.facts.path)
        .collect();
    paths.sort();
    paths
}

async fn remove(h: &Harness, run: &Run<'_>, object: &ObjectId) -> bool {
    let audit = h.audit(Action::ObjectDeleted);
    h.repositories
        .objects
        .remove(&run.tenant.organization, &run.bucket.id, object, audit)
        .await
        .unwrap()
}

pub async fn an_object_is_found_in_its_bucket_tombstones_included(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let elsewhere = acme.bucket("elsewhere").await;
    run.publish(1, &["media/a"], "1").await;
    let object = run.objects().await.remove(0);
    let objects = &h.repositories.objects;
    let found = objects
        .find(&acme.organization, &run.bucket.id, &object.id)
        .await
        .unwrap();
    assert_eq!(found.as_ref(), Some(&object));
    assert_eq!(
        objects
            .find(&acme.organization, &elsewhere.id, &object.id)
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        objects
            .find(&acme.organization, &run.bucket.id, &h.ids.id())
            .await
            .unwrap(),
        None
    );
    remove(&h, &run, &object.id).await;
    let tombstone = objects
        .find(&acme.organization, &run.bucket.id, &object.id)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(tombstone.deleted, Some((_, DeletedBy::Person))));
    assert_eq!(
        tombstone.content, object.content,
        "a tombstone keeps what it was"
    );
}

pub async fn another_organization_neither_sees_nor_removes_an_object(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let object = run.objects().await.remove(0);
    let objects = &h.repositories.objects;
    assert_eq!(
        objects
            .find(&other.organization, &run.bucket.id, &object.id)
            .await
            .unwrap(),
        None
    );
    assert_eq!(other.objects(&run.bucket.id).await, []);
    let audit = h.audit(Action::ObjectDeleted);
    assert!(
        !objects
            .remove(&other.organization, &run.bucket.id, &object.id, audit)
            .await
            .unwrap()
    );
    assert_eq!(run.objects().await, [object]);
    assert_eq!(
        acme.audited(Action::ObjectDeleted).await + other.audited(Action::ObjectDeleted).await,
        0
    );
}

pub async fn tombstones_are_listed_only_when_asked_for(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b"], "1").await;
    let object = run.objects().await.remove(0);
    remove(&h, &run, &object.id).await;
    assert_eq!(paths(&h, &run, None, false).await, ["media/b"]);
    assert_eq!(paths(&h, &run, None, true).await, ["media/a", "media/b"]);
    assert_eq!(paths(&h, &run, Some("media/a"), false).await, [""; 0]);
}

pub async fn a_search_takes_every_character_literally(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let all = [
        "media/Report.pdf",
        "media/report.pdf",
        "media/100%.txt",
        "media/a_b",
        "media/ab",
        "media/o'é\\",
    ];
    run.publish(1, &all, "1").await;
    assert_eq!(
        paths(&h, &run, Some("Report"), false).await,
        ["media/Report.pdf"]
    );
    assert_eq!(
        paths(&h, &run, Some("a/report.p"), false).await,
        ["media/report.pdf"]
    );
    assert_eq!(paths(&h, &run, Some("%"), false).await, ["media/100%.txt"]);
    assert_eq!(paths(&h, &run, Some("a_b"), false).await, ["media/a_b"]);
    assert_eq!(paths(&h, &run, Some("'é\\"), false).await, ["media/o'é\\"]);
    assert_eq!(paths(&h, &run, Some("nothing"), false).await, [""; 0]);
}

pub async fn objects_are_listed_newest_first_in_pages_even_when_published_together(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(
        1,
        &["media/a", "media/b", "media/c", "media/d", "media/e"],
        "1",
    )
    .await;
    h.moment().await;
    run.publish(1, &["media/f", "media/g"], "1").await;
    let filter = ObjectFilter {
        search: Some("media".to_owned()),
        include_deleted: false,
    };
    paging::walk(7, async |page| {
        let list = h
            .repositories
            .objects
            .list(&acme.organization, &run.bucket.id, &filter, &page);
        list.await.unwrap()
    })
    .await;
}

pub async fn an_object_is_removed_once(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let object = run.objects().await.remove(0);
    h.moment().await;
    assert!(remove(&h, &run, &object.id).await);
    let tombstone = run.objects().await.remove(0);
    let (deleted_at, deleted_by) = tombstone.deleted.unwrap();
    assert!(deleted_by == DeletedBy::Person && deleted_at > object.created_at);
    assert!(tombstone.updated_at > object.updated_at);
    assert!(!remove(&h, &run, &object.id).await, "there is no live one");
    assert!(!remove(&h, &run, &h.ids.id()).await);
    assert_eq!(
        run.objects().await[0].deleted,
        Some((deleted_at, deleted_by))
    );
    assert_eq!(acme.audited(Action::ObjectDeleted).await, 1);
}

pub async fn what_a_person_removed_is_known_as_removed_by_a_person(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let object = run.objects().await.remove(0);
    remove(&h, &run, &object.id).await;
    let known = run.known_one("media/a").await;
    let copy = known.copy.unwrap();
    assert_eq!(
        (copy.deleted, copy.id, known.held),
        (Some(DeletedBy::Person), object.id, true),
        "and the sync holds on to it"
    );
}

async fn find_by_source(
    h: &Harness,
    organization: &OrganizationId,
    bucket: &BucketId,
    source: &SourceId,
) -> Option<Object> {
    let objects = &h.repositories.objects;
    let found = objects.find_by_source(organization, bucket, source);
    found.await.unwrap()
}

pub async fn an_object_is_found_by_its_source_tombstones_included(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/A", "media/caf\u{e9}"], "1")
        .await;
    run.delete("media/a").await;
    let (organization, bucket) = (&acme.organization, &run.bucket.id);
    for object in run.objects().await {
        let found = find_by_source(&h, organization, bucket, &object.source).await;
        assert_eq!(found, Some(object));
    }
    let source = build::source("media/a");
    let strangers = [
        build::source("media/cafe\u{301}"),
        build::source("media/"),
        SourceId {
            authority: "elsewhere.example.test".to_owned(),
            ..source.clone()
        },
        SourceId {
            provider: Provider::Tigris,
            ..source.clone()
        },
    ];
    for stranger in &strangers {
        let found = find_by_source(&h, organization, bucket, stranger).await;
        assert_eq!(found, None, "{stranger:?}");
    }
    let elsewhere = acme.bucket("elsewhere").await.id;
    assert_eq!(
        find_by_source(&h, organization, &elsewhere, &source).await,
        None
    );
    assert_eq!(
        find_by_source(&h, &other.organization, bucket, &source).await,
        None
    );
}

async fn restore(
    h: &Harness,
    organization: &OrganizationId,
    bucket: &BucketId,
    object: &ObjectId,
) -> Option<RestoreOutcome> {
    let audit = h.audit(Action::ObjectRestored);
    let objects = &h.repositories.objects;
    let restored = objects.restore(organization, bucket, object, audit);
    restored.await.unwrap()
}

pub async fn a_tombstone_is_restored_whoever_deleted_it(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b"], "1").await;
    let before = run.objects().await;
    run.delete("media/a").await;
    run.commit(Commit {
        seen: vec!["media/a".to_owned()],
        ..build::commit(2)
    })
    .await;
    run.let_unseen_go(2, 10).await;
    assert_eq!(run.bucket().await.object_count, 0);
    h.moment().await;
    for object in &before {
        let outcome = restore(&h, &acme.organization, &run.bucket.id, &object.id).await;
        let Some(RestoreOutcome::Restored(restored)) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(restored.updated_at > object.updated_at);
        let expected = Object {
            updated_at: restored.updated_at,
            ..object.clone()
        };
        assert_eq!(*restored, expected, "all else is as it was");
    }
    assert_eq!(run.tombstones().await, [""; 0]);
    assert_eq!(run.bucket().await.object_count, 2);
    assert_eq!(acme.audited(Action::ObjectRestored).await, 2);
    let known = run.known(&["media/a", "media/b"]).await;
    let held: Vec<_> = known.iter().map(|known| known.held).collect();
    assert_eq!(held, [true, false], "restoring makes no sync hold on to it");
}

pub async fn a_live_or_purged_object_is_not_restored(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let object = run.object("media/a").await;
    let (organization, bucket) = (&acme.organization, &run.bucket.id);
    let live = restore(&h, organization, bucket, &object.id).await;
    assert_eq!(live, Some(RestoreOutcome::NotDeleted));
    run.delete("media/a").await;
    h.moment().await;
    let across = &h.repositories.across;
    assert_eq!(
        across.purge_tombstones(Duration::ZERO, 10).await.unwrap(),
        1
    );
    let purged = run.object("media/a").await;
    assert!(purged.purged && purged.deleted.is_some());
    let outcome = restore(&h, organization, bucket, &object.id).await;
    assert_eq!(outcome, Some(RestoreOutcome::Purged));
    assert_eq!(run.object("media/a").await, purged);
    assert_eq!(acme.audited(Action::ObjectRestored).await, 0);
}

pub async fn another_organization_or_bucket_restores_nothing(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    run.delete("media/a").await;
    let object = run.object("media/a").await;
    let elsewhere = acme.bucket("elsewhere").await.id;
    let unknown = h.ids.id();
    let strangers = [
        (&other.organization, &run.bucket.id, &object.id),
        (&acme.organization, &elsewhere, &object.id),
        (&acme.organization, &run.bucket.id, &unknown),
    ];
    for (organization, bucket, id) in strangers {
        assert_eq!(restore(&h, organization, bucket, id).await, None);
    }
    assert_eq!(run.object("media/a").await, object);
    assert_eq!(
        acme.audited(Action::ObjectRestored).await + other.audited(Action::ObjectRestored).await,
        0
    );
}

pub async fn what_a_person_deletes_and_restores_is_announced(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let object = run.object("media/a").await;
    let (organization, bucket) = (&acme.organization, &run.bucket.id);
    let before = acme.head().await.position;
    // The second time, there is nothing to be done.
    for deleted in [true, false] {
        assert_eq!(remove(&h, &run, &object.id).await, deleted);
    }
    for _ in 0..2 {
        restore(&h, organization, bucket, &object.id).await;
    }
    let announced = |fate| Announcement::Objects {
        bucket_id: bucket.clone(),
        sync_config_id: None,
        sync_job_id: None,
        changes: vec![ObjectChange {
            object_id: object.id.clone(),
            fate,
            source_path: "media/a".to_owned(),
            size_bytes: object.content.size_bytes,
        }],
        own: None,
    };
    let entries = acme.entries_after(before).await.into_iter();
    let told: Vec<_> = entries.map(|entry| entry.announcement).collect();
    assert_eq!(
        told,
        [
            announced(ObjectFate::Deleted),
            announced(ObjectFate::Restored)
        ]
    );
}
