//! What [`ObjectRepository`](wharf_ports::ObjectRepository) promises.

use wharf_domain::audit::Action;
use wharf_domain::ids::ObjectId;
use wharf_domain::object::{DeletedBy, ObjectFilter};
use wharf_domain::page::PageRequest;

use crate::{Harness, Run, paging};

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
