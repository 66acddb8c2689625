//! What [`NamespaceRepository`](wharf_ports::NamespaceRepository) promises.

use wharf_domain::audit::Action;
use wharf_domain::ids::{NamespaceId, OrganizationId};
use wharf_domain::namespace::{Namespace, NamespaceIdentifier, NamespaceName};
use wharf_ports::{ChangeError, InsertError, NamespaceChange, RemoveOutcome};

use crate::{Harness, build, paging};

pub async fn a_namespace_is_found_by_identifier_and_by_name(h: Harness) {
    let acme = h.tenant("acme").await;
    let new = build::namespace(&h.ids, "team-a");
    let namespaces = &h.repositories.namespaces;
    let stored = namespaces
        .insert(
            &acme.organization,
            new.clone(),
            h.audit(Action::NamespaceCreated),
        )
        .await
        .unwrap();
    assert_eq!(
        (&stored.id, &stored.name, &stored.description),
        (&new.id, &new.name, &new.description)
    );
    for identifier in [
        NamespaceIdentifier::Id(new.id),
        NamespaceIdentifier::Name("team-a".to_owned()),
    ] {
        let found = namespaces
            .find(&acme.organization, &identifier)
            .await
            .unwrap();
        assert_eq!(found.as_ref(), Some(&stored), "{identifier:?}");
    }
    let unknown = NamespaceIdentifier::Name("team-b".to_owned());
    assert_eq!(
        namespaces.find(&acme.organization, &unknown).await.unwrap(),
        None
    );
}

pub async fn every_organization_has_its_default_namespace(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    for tenant in [&acme, &other] {
        let identifier = NamespaceIdentifier::Name("default".to_owned());
        let found = h
            .repositories
            .namespaces
            .find(&tenant.organization, &identifier)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.id, tenant.namespace);
    }
}

pub async fn a_name_is_unique_within_an_organization(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let namespaces = &h.repositories.namespaces;
    let insert = async |organization, name| {
        namespaces
            .insert(
                organization,
                build::namespace(&h.ids, name),
                h.audit(Action::NamespaceCreated),
            )
            .await
    };
    insert(&acme.organization, "team-a").await.unwrap();
    for taken in ["team-a", "default"] {
        let refused = insert(&acme.organization, taken).await;
        assert!(
            matches!(refused, Err(InsertError::NameTaken)),
            "{refused:?}"
        );
    }
    insert(&other.organization, "team-a").await.unwrap();
    let refused = insert(&h.ids.id(), "team-a").await;
    assert!(
        matches!(refused, Err(InsertError::ParentMissing)),
        "{refused:?}"
    );
    assert_eq!(
        acme.audited(Action::NamespaceCreated).await,
        1,
        "refused ones bring no audit row"
    );
}

pub async fn namespaces_are_listed_newest_first_in_pages(h: Harness) {
    let (acme, _other) = (h.tenant("acme").await, h.tenant("other").await);
    for name in ["one", "two", "three"] {
        h.moment().await;
        let new = build::namespace(&h.ids, name);
        h.repositories
            .namespaces
            .insert(&acme.organization, new, h.audit(Action::NamespaceCreated))
            .await
            .unwrap();
    }
    paging::walk(4, async |page| {
        h.repositories
            .namespaces
            .list(&acme.organization, &page)
            .await
            .unwrap()
    })
    .await;
}

pub async fn namespaces_are_seen_by_their_own_organization_alone(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let identifier = NamespaceIdentifier::Id(acme.namespace.clone());
    assert_eq!(
        h.repositories
            .namespaces
            .find(&other.organization, &identifier)
            .await
            .unwrap(),
        None
    );
}

async fn update(
    h: &Harness,
    organization: &OrganizationId,
    namespace: &NamespaceId,
    change: NamespaceChange,
) -> Result<Namespace, ChangeError> {
    let audit = h.audit(Action::NamespaceUpdated);
    let namespaces = &h.repositories.namespaces;
    namespaces
        .update(organization, namespace, change, audit)
        .await
}

fn named(name: &str) -> NamespaceChange {
    NamespaceChange {
        name: Some(NamespaceName::parse(name).unwrap()),
        description: None,
    }
}

pub async fn a_namespace_is_changed_field_by_field(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let namespaces = &h.repositories.namespaces;
    let new = build::namespace(&h.ids, "team-a");
    let audit = h.audit(Action::NamespaceCreated);
    let mut expected = namespaces
        .insert(&acme.organization, new, audit)
        .await
        .unwrap();
    let id = expected.id.clone();
    let described = |text: Option<&str>| NamespaceChange {
        name: None,
        description: Some(text.map(str::to_owned)),
    };
    let changes = [
        (named("team-b"), "team-b", Some("What a test needs.")),
        (described(Some("new")), "team-b", Some("new")),
        (described(None), "team-b", None),
    ];
    for (change, name, description) in changes {
        expected.name = NamespaceName::parse(name).unwrap();
        expected.description = description.map(str::to_owned);
        // The second time changes nothing.
        for _ in 0..2 {
            let namespace = update(&h, &acme.organization, &id, change.clone()).await;
            assert_eq!(namespace.unwrap(), expected);
        }
    }
    let nothing = update(&h, &acme.organization, &id, NamespaceChange::default()).await;
    assert_eq!(nothing.unwrap(), expected);
    let identifier = NamespaceIdentifier::Name("team-b".to_owned());
    let found = namespaces.find(&acme.organization, &identifier).await;
    assert_eq!(found.unwrap(), Some(expected));
    assert_eq!(acme.audited(Action::NamespaceUpdated).await, 3);
    let unknown = h.ids.id();
    for (organization, id) in [(&other.organization, &id), (&acme.organization, &unknown)] {
        let refused = update(&h, organization, id, named("stolen")).await;
        assert!(matches!(refused, Err(ChangeError::NotFound)), "{refused:?}");
    }
}

pub async fn a_namespace_takes_no_name_of_another(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let namespaces = &h.repositories.namespaces;
    for (tenant, name) in [(&acme, "team-a"), (&other, "team-b")] {
        let new = build::namespace(&h.ids, name);
        let audit = h.audit(Action::NamespaceCreated);
        let inserted = namespaces.insert(&tenant.organization, new, audit);
        inserted.await.unwrap();
    }
    let taken = update(&h, &acme.organization, &acme.namespace, named("team-a")).await;
    assert!(matches!(taken, Err(ChangeError::NameTaken)), "{taken:?}");
    assert_eq!(acme.audited(Action::NamespaceUpdated).await, 0);
    let free = update(&h, &acme.organization, &acme.namespace, named("team-b")).await;
    free.unwrap();
}

async fn remove(
    h: &Harness,
    organization: &OrganizationId,
    namespace: &NamespaceId,
    force: bool,
) -> RemoveOutcome {
    let audit = h.audit(Action::NamespaceDeleted);
    let namespaces = &h.repositories.namespaces;
    let removed = namespaces.remove(organization, namespace, force, audit);
    removed.await.unwrap()
}

pub async fn a_namespace_with_buckets_is_removed_only_by_force_and_takes_them_along(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    acme.bucket("second").await;
    let (organization, namespace) = (&acme.organization, &acme.namespace);
    for force in [false, true] {
        let stranger = remove(&h, &other.organization, namespace, force).await;
        assert_eq!(stranger, RemoveOutcome::NotFound);
    }
    let full = remove(&h, organization, namespace, false).await;
    assert_eq!(full, RemoveOutcome::NotEmpty(2));
    assert_eq!(run.bucket().await.object_count, 1);
    assert_eq!(acme.audited(Action::NamespaceDeleted).await, 0);
    let forced = remove(&h, organization, namespace, true).await;
    assert_eq!(forced, RemoveOutcome::Removed);
    let gone = remove(&h, organization, namespace, true).await;
    assert_eq!(gone, RemoveOutcome::NotFound);
    let identifier = NamespaceIdentifier::Id(namespace.clone());
    let found = h.repositories.namespaces.find(organization, &identifier);
    assert_eq!(found.await.unwrap(), None);
    assert_eq!(run.objects().await, []);
    let syncs = &h.repositories.syncs;
    let sync = syncs.find(organization, &run.bucket.id, &run.sync.id).await;
    assert_eq!(sync.unwrap(), None);
    assert_eq!(acme.audited(Action::NamespaceDeleted).await, 1);
    assert_eq!(acme.audited(Action::BucketDeleted).await, 0);
    acme.stored_connection(&run.connection).await;
    acme.chain().await;
}

pub async fn an_empty_namespace_is_removed_and_its_name_free(h: Harness) {
    let acme = h.tenant("acme").await;
    let namespaces = &h.repositories.namespaces;
    for _ in 0..2 {
        let new = build::namespace(&h.ids, "team-a");
        let id = new.id.clone();
        let audit = h.audit(Action::NamespaceCreated);
        let inserted = namespaces.insert(&acme.organization, new, audit);
        inserted.await.unwrap();
        let removed = remove(&h, &acme.organization, &id, false).await;
        assert_eq!(removed, RemoveOutcome::Removed);
    }
    assert_eq!(acme.audited(Action::NamespaceDeleted).await, 2);
}
