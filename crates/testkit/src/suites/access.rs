//! What [`AccessRepository`](wharf_ports::AccessRepository) promises.

mod keys;
mod users;

pub use keys::*;
pub use users::*;

use wharf_domain::access::{Grant, Permission, Role};
use wharf_domain::audit::Action;
use wharf_domain::ids::{ApiKeyId, OrganizationId};
use wharf_ports::{InsertError, NewApiKey};

use crate::{Harness, Tenant, build};

async fn insert_key(h: &Harness, tenant: &Tenant<'_>, key: &NewApiKey) -> Result<(), InsertError> {
    let audit = h.audit(Action::ApiKeyCreated);
    h.repositories
        .access
        .insert_api_key(&tenant.organization, key.clone(), audit)
        .await
        .map(drop)
}

pub async fn an_organization_is_found_by_its_identifier(h: Harness) {
    let tenant = h.tenant("acme").await;
    let found = h
        .repositories
        .access
        .organization(&tenant.organization)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (&found.id, found.profile.name.as_str()),
        (&tenant.organization, "acme")
    );
    let unknown: OrganizationId = h.ids.id();
    assert_eq!(
        h.repositories.access.organization(&unknown).await.unwrap(),
        None
    );
}

pub async fn a_user_is_found_by_address_within_its_own_organization(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let new = build::user(&h.ids, "viewer@example.test", Role::Viewer);
    let access = &h.repositories.access;
    let stored = access
        .insert_user(
            &acme.organization,
            new.clone(),
            h.audit(Action::UserCreated),
        )
        .await
        .unwrap();
    assert_eq!(
        (&stored.id, &stored.email, stored.profile.role),
        (&new.id, &new.email, Role::Viewer)
    );
    assert_eq!(
        access
            .find_user(&acme.organization, &new.email)
            .await
            .unwrap(),
        Some(stored)
    );
    assert_eq!(
        access
            .find_user(&other.organization, &new.email)
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        access
            .find_user(&acme.organization, &build::address("nobody@example.test"))
            .await
            .unwrap(),
        None
    );
}

pub async fn an_address_is_unique_within_an_organization(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let access = &h.repositories.access;
    let user = || build::user(&h.ids, "same@example.test", Role::Member);
    access
        .insert_user(&acme.organization, user(), h.audit(Action::UserCreated))
        .await
        .unwrap();
    let again = access
        .insert_user(&acme.organization, user(), h.audit(Action::UserCreated))
        .await;
    assert!(matches!(again, Err(InsertError::NameTaken)), "{again:?}");
    access
        .insert_user(&other.organization, user(), h.audit(Action::UserCreated))
        .await
        .unwrap();
}

pub async fn a_user_needs_an_organization(h: Harness) {
    let user = build::user(&h.ids, "lost@example.test", Role::Member);
    let refused = h
        .repositories
        .access
        .insert_user(&h.ids.id(), user, h.audit(Action::UserCreated))
        .await;
    assert!(
        matches!(refused, Err(InsertError::ParentMissing)),
        "{refused:?}"
    );
}

pub async fn users_are_listed_oldest_first_within_their_organization(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let access = &h.repositories.access;
    for email in ["c@example.test", "a@example.test", "b@example.test"] {
        h.moment().await;
        let user = build::user(&h.ids, email, Role::Member);
        access
            .insert_user(&acme.organization, user, h.audit(Action::UserCreated))
            .await
            .unwrap();
    }
    let listed = access.list_users(&acme.organization).await.unwrap();
    let emails: Vec<_> = listed.iter().map(|user| user.email.as_str()).collect();
    assert_eq!(
        emails,
        [
            "admin@example.test",
            "c@example.test",
            "a@example.test",
            "b@example.test"
        ]
    );
    assert_eq!(
        access.list_users(&other.organization).await.unwrap().len(),
        1
    );
}

pub async fn a_key_is_read_back_unchanged(h: Harness) {
    let acme = h.tenant("acme").await;
    let expires_at = Some(build::instant(4_102_444_800_654_321));
    let new = NewApiKey {
        grant: Grant {
            expires_at,
            ..Grant::of(Permission::Write)
        },
        ..build::api_key(&h.ids, &acme.admin, "deploy")
    };
    let audit = h.audit(Action::ApiKeyCreated);
    let stored = h
        .repositories
        .access
        .insert_api_key(&acme.organization, new.clone(), audit)
        .await
        .unwrap();
    assert_eq!(
        (&stored.id, &stored.user_id, &stored.name),
        (&new.id, &new.user, &new.name)
    );
    assert_eq!((&stored.prefix, &stored.grant), (&new.prefix, &new.grant));
    assert_eq!(stored.revoked_at, None);
    assert_eq!(
        h.repositories
            .access
            .list_api_keys(&acme.organization, &acme.admin)
            .await
            .unwrap(),
        [stored]
    );
}

pub async fn a_key_name_is_unique_among_the_users_keys_that_are_not_revoked(h: Harness) {
    let acme = h.tenant("acme").await;
    let access = &h.repositories.access;
    let member = build::user(&h.ids, "member@example.test", Role::Member);
    access
        .insert_user(
            &acme.organization,
            member.clone(),
            h.audit(Action::UserCreated),
        )
        .await
        .unwrap();
    let first = build::api_key(&h.ids, &acme.admin, "deploy");
    insert_key(&h, &acme, &first).await.unwrap();
    let again = insert_key(&h, &acme, &build::api_key(&h.ids, &acme.admin, "deploy")).await;
    assert!(matches!(again, Err(InsertError::NameTaken)), "{again:?}");
    insert_key(&h, &acme, &build::api_key(&h.ids, &member.id, "deploy"))
        .await
        .unwrap();
    access
        .revoke_api_key(
            &acme.organization,
            &first.id,
            h.audit(Action::ApiKeyRevoked),
        )
        .await
        .unwrap()
        .unwrap();
    insert_key(&h, &acme, &build::api_key(&h.ids, &acme.admin, "deploy"))
        .await
        .unwrap();
}

pub async fn a_known_hash_is_refused_wherever_it_is_known(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let first = build::api_key(&h.ids, &acme.admin, "one");
    insert_key(&h, &acme, &first).await.unwrap();
    let same = NewApiKey {
        hash: first.hash.clone(),
        ..build::api_key(&h.ids, &acme.admin, "two")
    };
    let elsewhere = NewApiKey {
        hash: first.hash.clone(),
        ..build::api_key(&h.ids, &other.admin, "three")
    };
    for (tenant, key) in [(&acme, same), (&other, elsewhere)] {
        let refused = insert_key(&h, tenant, &key).await;
        assert!(
            matches!(refused, Err(InsertError::NameTaken)),
            "{refused:?}"
        );
    }
}

pub async fn a_key_needs_a_user_of_the_organization(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    for user in [other.admin.clone(), h.ids.id()] {
        let refused = insert_key(&h, &acme, &build::api_key(&h.ids, &user, "deploy")).await;
        assert!(
            matches!(refused, Err(InsertError::ParentMissing)),
            "{refused:?}"
        );
    }
    assert_eq!(
        h.repositories
            .access
            .list_api_keys(&other.organization, &other.admin)
            .await
            .unwrap(),
        []
    );
}

pub async fn a_revoked_key_stays_listed_and_is_revoked_once(h: Harness) {
    let acme = h.tenant("acme").await;
    let access = &h.repositories.access;
    let (old, new) = (
        build::api_key(&h.ids, &acme.admin, "old"),
        build::api_key(&h.ids, &acme.admin, "new"),
    );
    insert_key(&h, &acme, &old).await.unwrap();
    h.moment().await;
    insert_key(&h, &acme, &new).await.unwrap();
    let revoke =
        || access.revoke_api_key(&acme.organization, &old.id, h.audit(Action::ApiKeyRevoked));
    let revoked = revoke().await.unwrap().unwrap();
    assert!(revoked.revoked_at.is_some());
    h.moment().await;
    assert_eq!(
        revoke().await.unwrap().as_ref(),
        Some(&revoked),
        "it stays as it was"
    );
    assert_eq!(acme.audited(Action::ApiKeyRevoked).await, 1);
    let listed = access
        .list_api_keys(&acme.organization, &acme.admin)
        .await
        .unwrap();
    let ids: Vec<_> = listed.iter().map(|key| &key.id).collect();
    assert_eq!(
        ids,
        [&old.id, &new.id],
        "oldest first, revoked ones included"
    );
    assert_eq!((&listed[0], listed[1].revoked_at), (&revoked, None));
}

pub async fn keys_of_another_organization_are_neither_listed_nor_revoked(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let access = &h.repositories.access;
    let key = build::api_key(&h.ids, &acme.admin, "deploy");
    insert_key(&h, &acme, &key).await.unwrap();
    let revoked = access
        .revoke_api_key(&other.organization, &key.id, h.audit(Action::ApiKeyRevoked))
        .await
        .unwrap();
    assert_eq!(revoked, None);
    let unknown: ApiKeyId = h.ids.id();
    let revoked = access
        .revoke_api_key(&acme.organization, &unknown, h.audit(Action::ApiKeyRevoked))
        .await
        .unwrap();
    assert_eq!(revoked, None);
    assert_eq!(
        access
            .list_api_keys(&other.organization, &acme.admin)
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        access
            .list_api_keys(&acme.organization, &acme.admin)
            .await
            .unwrap()[0]
            .revoked_at,
        None
    );
    assert_eq!(
        acme.audited(Action::ApiKeyRevoked).await + other.audited(Action::ApiKeyRevoked).await,
        0
    );
}

pub async fn a_new_user_or_key_brings_its_audit_row_and_a_refused_one_none(h: Harness) {
    let acme = h.tenant("acme").await;
    let access = &h.repositories.access;
    for _ in 0..2 {
        let user = build::user(&h.ids, "same@example.test", Role::Member);
        let _ = access
            .insert_user(&acme.organization, user, h.audit(Action::UserCreated))
            .await;
        let _ = insert_key(&h, &acme, &build::api_key(&h.ids, &acme.admin, "same")).await;
    }
    assert_eq!(acme.audited(Action::UserCreated).await, 1);
    assert_eq!(acme.audited(Action::ApiKeyCreated).await, 1);
}
