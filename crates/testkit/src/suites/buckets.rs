//! What [`BucketRepository`](wharf_ports::BucketRepository) promises.

use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::bucket::{Bucket, BucketIdentifier, BucketName};
use wharf_domain::ids::{BucketId, OrganizationId};
use wharf_domain::page::PageRequest;
use wharf_ports::{BucketChange, ChangeError, InsertError, RunError};

use crate::{Harness, Tenant, build, paging};

async fn names(h: &Harness, tenant: &Tenant<'_>, search: &str) -> Vec<String> {
    let page = PageRequest::first(100);
    let (organization, namespace) = (&tenant.organization, &tenant.namespace);
    let listed = h
        .repositories
        .buckets
        .list(organization, namespace, Some(search), &page)
        .await
        .unwrap();
    let mut names: Vec<_> = listed
        .items
        .iter()
        .map(|bucket| bucket.name.as_str().to_owned())
        .collect();
    names.sort();
    names
}

pub async fn a_bucket_is_found_by_identifier_and_by_name_in_its_namespace(h: Harness) {
    let acme = h.tenant("acme").await;
    let team = build::namespace(&h.ids, "team-a");
    h.repositories
        .namespaces
        .insert(
            &acme.organization,
            team.clone(),
            h.audit(Action::NamespaceCreated),
        )
        .await
        .unwrap();
    let buckets = &h.repositories.buckets;
    let new = build::bucket(&h.ids, &acme.namespace, "Média files");
    let stored = buckets
        .insert(
            &acme.organization,
            new.clone(),
            h.audit(Action::BucketCreated),
        )
        .await
        .unwrap();
    assert_eq!(
        (&stored.id, &stored.namespace, &stored.name),
        (&new.id, &new.namespace, &new.name)
    );
    assert_eq!(
        (&stored.description, &stored.schema),
        (&new.description, &new.schema)
    );
    assert_eq!(stored.metadata, new.metadata);
    assert_eq!(
        (
            stored.object_count,
            stored.total_size_bytes,
            stored.last_upload_at
        ),
        (0, 0, None)
    );
    for identifier in [
        BucketIdentifier::Id(new.id),
        BucketIdentifier::Name("Média files".to_owned()),
    ] {
        let found = buckets
            .find(&acme.organization, &acme.namespace, &identifier)
            .await
            .unwrap();
        assert_eq!(found.as_ref(), Some(&stored), "{identifier:?}");
        assert_eq!(
            buckets
                .find(&acme.organization, &team.id, &identifier)
                .await
                .unwrap(),
            None
        );
    }
}

pub async fn a_name_is_unique_within_a_namespace(h: Harness) {
    let acme = h.tenant("acme").await;
    let team = build::namespace(&h.ids, "team-a");
    h.repositories
        .namespaces
        .insert(
            &acme.organization,
            team.clone(),
            h.audit(Action::NamespaceCreated),
        )
        .await
        .unwrap();
    let insert = async |namespace| {
        let new = build::bucket(&h.ids, namespace, "media");
        h.repositories
            .buckets
            .insert(&acme.organization, new, h.audit(Action::BucketCreated))
            .await
    };
    insert(&acme.namespace).await.unwrap();
    let refused = insert(&acme.namespace).await;
    assert!(
        matches!(refused, Err(InsertError::NameTaken)),
        "{refused:?}"
    );
    insert(&team.id).await.unwrap();
    assert_eq!(
        acme.audited(Action::BucketCreated).await,
        2,
        "the refused one brings no audit row"
    );
}

pub async fn a_bucket_needs_a_namespace_of_the_organization(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    for namespace in [other.namespace.clone(), h.ids.id()] {
        let new = build::bucket(&h.ids, &namespace, "media");
        let refused = h
            .repositories
            .buckets
            .insert(&acme.organization, new, h.audit(Action::BucketCreated))
            .await;
        assert!(
            matches!(refused, Err(InsertError::ParentMissing)),
            "{refused:?}"
        );
    }
}

pub async fn another_organization_neither_sees_nor_removes_a_bucket(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let bucket = acme.bucket("media").await;
    let buckets = &h.repositories.buckets;
    for identifier in [
        BucketIdentifier::Id(bucket.id.clone()),
        BucketIdentifier::Name("media".to_owned()),
    ] {
        for namespace in [&acme.namespace, &other.namespace] {
            assert_eq!(
                buckets
                    .find(&other.organization, namespace, &identifier)
                    .await
                    .unwrap(),
                None
            );
        }
    }
    let page = PageRequest::first(10);
    assert_eq!(
        buckets
            .list(&other.organization, &acme.namespace, None, &page)
            .await
            .unwrap()
            .items,
        []
    );
    assert!(
        !buckets
            .remove(
                &other.organization,
                &bucket.id,
                h.audit(Action::BucketDeleted)
            )
            .await
            .unwrap()
    );
    assert_eq!(other.audited(Action::BucketDeleted).await, 0);
    assert_eq!(names(&h, &acme, "").await, ["media"]);
}

pub async fn a_search_ignores_letter_case_and_takes_every_character_literally(h: Harness) {
    let acme = h.tenant("acme").await;
    for name in [
        "Media Files",
        "media_raw",
        "100% done",
        "back\\slash",
        "other",
    ] {
        acme.bucket(name).await;
    }
    assert_eq!(
        names(&h, &acme, "MEDIA").await,
        ["Media Files", "media_raw"]
    );
    assert_eq!(names(&h, &acme, "ia f").await, ["Media Files"]);
    assert_eq!(names(&h, &acme, "_").await, ["media_raw"]);
    assert_eq!(names(&h, &acme, "%").await, ["100% done"]);
    assert_eq!(names(&h, &acme, "\\").await, ["back\\slash"]);
    assert_eq!(names(&h, &acme, "' OR 1=1 --").await, [""; 0]);
}

pub async fn buckets_are_listed_newest_first_in_pages(h: Harness) {
    let acme = h.tenant("acme").await;
    for name in ["one", "two", "three", "four", "five"] {
        h.moment().await;
        acme.bucket(name).await;
    }
    paging::walk(5, async |page| {
        let list = h
            .repositories
            .buckets
            .list(&acme.organization, &acme.namespace, None, &page);
        list.await.unwrap()
    })
    .await;
}

pub async fn counts_follow_the_live_objects(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let empty = acme.bucket("empty").await;
    let mut step = run.step(1, &["media/a", "media/b", "media/c"], "1").await;
    step.puts[0].content.size_bytes = 5_000_000_000;
    run.commit(step).await;
    let count = async |name: &str| {
        let identifier = BucketIdentifier::Name(name.to_owned());
        let found = h
            .repositories
            .buckets
            .find(&acme.organization, &acme.namespace, &identifier)
            .await
            .unwrap()
            .unwrap();
        let page = PageRequest::first(10);
        let listed = h
            .repositories
            .buckets
            .list(&acme.organization, &acme.namespace, Some(name), &page)
            .await
            .unwrap();
        assert_eq!(
            listed.items.first(),
            Some(&found),
            "a list shows the same counts"
        );
        (
            found.object_count,
            found.total_size_bytes,
            found.last_upload_at.is_some(),
        )
    };
    assert_eq!(count("media").await, (3, 5_000_000_010, true));
    let object = &run.objects().await[0];
    let removed = h.repositories.objects.remove(
        &acme.organization,
        &run.bucket.id,
        &object.id,
        h.audit(Action::ObjectDeleted),
    );
    assert!(removed.await.unwrap());
    assert_eq!(count("media").await, (2, 10, true));
    assert_eq!(count(empty.name.as_str()).await, (0, 0, false));
}

pub async fn a_removed_bucket_takes_syncs_jobs_and_objects_along(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let kept = acme
        .run_into(&acme.bucket("kept").await, &run.connection)
        .await;
    kept.publish(1, &["media/a"], "1").await;
    let remove = || {
        h.repositories.buckets.remove(
            &acme.organization,
            &run.bucket.id,
            h.audit(Action::BucketDeleted),
        )
    };
    assert!(remove().await.unwrap());
    assert!(!remove().await.unwrap(), "it is gone");
    assert_eq!(acme.audited(Action::BucketDeleted).await, 1);
    let identifier = BucketIdentifier::Id(run.bucket.id.clone());
    assert_eq!(
        h.repositories
            .buckets
            .find(&acme.organization, &acme.namespace, &identifier)
            .await
            .unwrap(),
        None
    );
    let sync = h
        .repositories
        .syncs
        .find(&acme.organization, &run.bucket.id, &run.sync.id)
        .await
        .unwrap();
    assert_eq!(sync, None);
    assert_eq!(acme.jobs(&run.sync.id).await, []);
    assert_eq!(run.objects().await, []);
    let lost = h
        .repositories
        .runs
        .load(&acme.organization, &run.lease)
        .await;
    assert!(matches!(lost, Err(RunError::LeaseLost)), "{lost:?}");
    assert_eq!(h.try_lease(crate::LONG).await, None, "nothing of it is due");
    assert_eq!(kept.objects().await.len(), 1, "other buckets keep theirs");
    assert_eq!(acme.jobs(&kept.sync.id).await.len(), 1);
    let unknown: BucketId = h.ids.id();
    let removed =
        h.repositories
            .buckets
            .remove(&acme.organization, &unknown, h.audit(Action::BucketDeleted));
    assert!(!removed.await.unwrap());
}

async fn update(
    h: &Harness,
    organization: &OrganizationId,
    bucket: &BucketId,
    change: BucketChange,
) -> Result<Bucket, ChangeError> {
    let audit = h.audit(Action::BucketUpdated);
    let buckets = &h.repositories.buckets;
    buckets.update(organization, bucket, change, audit).await
}

fn named(name: &str) -> BucketChange {
    BucketChange {
        name: Some(BucketName::parse(name).unwrap()),
        ..BucketChange::default()
    }
}

pub async fn a_bucket_is_changed_field_by_field_and_keeps_its_counts(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b"], "1").await;
    let mut expected = run.bucket().await;
    let id = expected.id.clone();
    let changes = [
        named("renamed"),
        BucketChange {
            description: Some(None),
            ..BucketChange::default()
        },
        BucketChange {
            schema: Some(json!({"new": [1.5, null]})),
            metadata: Some(wharf_domain::Metadata::new()),
            ..BucketChange::default()
        },
    ];
    for change in changes {
        h.moment().await;
        if let Some(name) = &change.name {
            expected.name = name.clone();
        }
        if let Some(description) = &change.description {
            expected.description.clone_from(description);
        }
        if let Some(schema) = &change.schema {
            expected.schema = schema.clone();
        }
        if let Some(metadata) = &change.metadata {
            expected.metadata = metadata.clone();
        }
        let bucket = update(&h, &acme.organization, &id, change.clone()).await;
        let bucket = bucket.unwrap();
        assert!(bucket.updated_at > expected.updated_at);
        expected.updated_at = bucket.updated_at;
        assert_eq!(bucket, expected);
        let again = update(&h, &acme.organization, &id, change).await;
        assert_eq!(again.unwrap(), expected, "which changes nothing");
    }
    let nothing = update(&h, &acme.organization, &id, BucketChange::default()).await;
    assert_eq!(nothing.unwrap(), expected);
    assert_eq!(run.bucket().await, expected);
    assert_eq!(expected.object_count, 2);
    assert_eq!(acme.audited(Action::BucketUpdated).await, 3);
    let unknown = h.ids.id();
    for (organization, id) in [(&other.organization, &id), (&acme.organization, &unknown)] {
        let refused = update(&h, organization, id, named("stolen")).await;
        assert!(matches!(refused, Err(ChangeError::NotFound)), "{refused:?}");
    }
}

pub async fn a_bucket_takes_no_name_of_another_in_its_namespace(h: Harness) {
    let acme = h.tenant("acme").await;
    let bucket = acme.bucket("media").await;
    acme.bucket("taken").await;
    let taken = update(&h, &acme.organization, &bucket.id, named("taken")).await;
    assert!(matches!(taken, Err(ChangeError::NameTaken)), "{taken:?}");
    assert_eq!(acme.audited(Action::BucketUpdated).await, 0);
    let namespaces = &h.repositories.namespaces;
    let namespace = build::namespace(&h.ids, "team-a");
    let elsewhere = build::bucket(&h.ids, &namespace.id, "free");
    let audit = h.audit(Action::NamespaceCreated);
    namespaces
        .insert(&acme.organization, namespace, audit)
        .await
        .unwrap();
    let audit = h.audit(Action::BucketCreated);
    let inserted = h
        .repositories
        .buckets
        .insert(&acme.organization, elsewhere, audit);
    inserted.await.unwrap();
    let free = update(&h, &acme.organization, &bucket.id, named("free")).await;
    free.unwrap();
}
