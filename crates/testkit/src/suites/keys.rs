//! What [`OrganizationKeyRepository`](wharf_ports::OrganizationKeyRepository) promises.

use std::sync::Arc;

use wharf_ports::{OrganizationKey, WrappedKey};

use crate::Harness;

fn key(version: u32, byte: u8) -> OrganizationKey {
    OrganizationKey {
        version,
        wrapped: WrappedKey {
            ring_key: "kek_1".to_owned(),
            bytes: vec![byte, 0, 255],
        },
    }
}

pub async fn the_highest_version_is_the_newest(h: Harness) {
    let acme = h.tenant("acme").await;
    let keys = &h.repositories.keys;
    assert_eq!(keys.newest(&acme.organization).await.unwrap(), None);
    for version in [2, 10, 1] {
        let new = key(version, 7);
        assert_eq!(
            keys.insert_if_absent(&acme.organization, new.clone())
                .await
                .unwrap(),
            Some(new)
        );
    }
    assert_eq!(
        keys.newest(&acme.organization).await.unwrap(),
        Some(key(10, 7))
    );
    assert_eq!(
        keys.find(&acme.organization, 2).await.unwrap(),
        Some(key(2, 7))
    );
    assert_eq!(keys.find(&acme.organization, 3).await.unwrap(), None);
}

pub async fn a_version_is_never_replaced(h: Harness) {
    let acme = h.tenant("acme").await;
    let keys = &h.repositories.keys;
    keys.insert_if_absent(&acme.organization, key(1, 1))
        .await
        .unwrap();
    assert_eq!(
        keys.insert_if_absent(&acme.organization, key(1, 2))
            .await
            .unwrap(),
        Some(key(1, 1))
    );
    assert_eq!(
        keys.find(&acme.organization, 1).await.unwrap(),
        Some(key(1, 1))
    );
}

pub async fn of_many_callers_at_once_all_get_the_same_key(h: Harness) {
    let acme = h.tenant("acme").await;
    let organization = Arc::new(acme.organization.clone());
    let tasks = (0..8).map(|byte| {
        let (keys, organization) = (h.repositories.keys.clone(), organization.clone());
        tokio::spawn(async move {
            keys.insert_if_absent(&organization, key(1, byte))
                .await
                .unwrap()
                .unwrap()
        })
    });
    let got = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    let got: Vec<_> = got.into_iter().map(Result::unwrap).collect();
    assert!(
        got.iter().all(|key| *key == got[0]),
        "one of them won: {got:?}"
    );
    assert_eq!(
        h.repositories
            .keys
            .newest(&acme.organization)
            .await
            .unwrap()
            .as_ref(),
        Some(&got[0])
    );
}

pub async fn keys_are_seen_by_their_own_organization_alone(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let keys = &h.repositories.keys;
    keys.insert_if_absent(&acme.organization, key(1, 1))
        .await
        .unwrap();
    assert_eq!(keys.newest(&other.organization).await.unwrap(), None);
    assert_eq!(keys.find(&other.organization, 1).await.unwrap(), None);
    assert_eq!(
        keys.insert_if_absent(&other.organization, key(1, 2))
            .await
            .unwrap(),
        Some(key(1, 2))
    );
    assert_eq!(
        keys.insert_if_absent(&h.ids.id(), key(1, 3)).await.unwrap(),
        None,
        "an unknown organization has none"
    );
}
