//! What [`NamespaceRepository`](wharf_ports::NamespaceRepository) promises.

use wharf_domain::audit::Action;
use wharf_domain::namespace::NamespaceIdentifier;
use wharf_ports::InsertError;

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
