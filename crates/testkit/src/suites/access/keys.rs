//! What becomes of API keys.

use std::time::Duration;

use wharf_domain::access::{ApiKey, ApiKeyHash, Grant, Permission, ResourceScope, Role};
use wharf_domain::audit::{Action, Actor};
use wharf_domain::ids::{ApiKeyId, OrganizationId};
use wharf_ports::{AccessError, ApiKeyChange, NewApiKey, NewSecret};

use crate::{Harness, Tenant, build};

/// A grant with something in every field.
fn grant() -> Grant {
    let scope = |resource_type: &str, operations: Option<&str>| ResourceScope {
        resource_type: resource_type.to_owned(),
        resource_id: "team-* '%_".to_owned(),
        operations: operations.map(|operation| vec![operation.to_owned()]),
    };
    Grant {
        permissions: vec![Permission::Read, Permission::Delete],
        scopes: vec![
            scope("namespace", None),
            scope("storage_connection", Some("read_data")),
        ],
        rate_limit_override: Some(7),
        allowed_origins: Some(vec!["https://*.example.test".to_owned()]),
        expires_at: Some(build::instant(4_102_444_800_654_321)),
    }
}

async fn key_of(h: &Harness, tenant: &Tenant<'_>, id: &ApiKeyId) -> ApiKey {
    let access = &h.repositories.access;
    let keys = access.list_api_keys(&tenant.organization, &tenant.admin);
    let mut keys = keys.await.unwrap().into_iter();
    keys.find(|key| key.id == *id).unwrap()
}

async fn update(
    h: &Harness,
    organization: &OrganizationId,
    key: &ApiKeyId,
    change: ApiKeyChange,
) -> Result<ApiKey, AccessError> {
    let audit = h.audit(Action::ApiKeyScopeUpdated);
    let access = &h.repositories.access;
    let read = read(h, organization, key).await;
    access
        .update_api_key(organization, key, &read, change, audit)
        .await
}

/// The grant of a key as it is stored; of an unknown key, any.
async fn read(h: &Harness, organization: &OrganizationId, key: &ApiKeyId) -> Grant {
    let access = &h.repositories.access;
    for user in access.list_users(organization).await.unwrap() {
        let keys = access.list_api_keys(organization, &user.id).await.unwrap();
        if let Some(key) = keys.into_iter().find(|stored| stored.id == *key) {
            return key.grant;
        }
    }
    grant()
}

pub async fn a_key_whose_grant_was_changed_in_between_is_neither_changed_nor_rotated(h: Harness) {
    let acme = h.tenant("acme").await;
    let organization = &acme.organization;
    let access = &h.repositories.access;
    let key = acme.api_key(&acme.admin, "deploy").await;
    let old = key_of(&h, &acme, &key.id).await.grant;
    let narrowed = ApiKeyChange {
        grant: Some(grant()),
        ..ApiKeyChange::default()
    };
    let stored = update(&h, organization, &key.id, narrowed).await.unwrap();
    let wider = ApiKeyChange {
        grant: Some(Grant::of(Permission::Admin)),
        ..ApiKeyChange::default()
    };
    let audit = h.audit(Action::ApiKeyScopeUpdated);
    let changed = access.update_api_key(organization, &key.id, &old, wider, audit);
    let secret = NewSecret {
        prefix: "sk_another".to_owned(),
        hash: ApiKeyHash([9; 32]),
    };
    let audit = h.audit(Action::ApiKeyRotated);
    let rotated = access.rotate_api_key(organization, &key.id, &old, secret, audit);
    for late in [changed.await, rotated.await] {
        assert!(matches!(late, Err(AccessError::Conflict)), "{late:?}");
    }
    assert_eq!(key_of(&h, &acme, &key.id).await, stored);
    assert_eq!(acme.audited(Action::ApiKeyScopeUpdated).await, 1);
    assert_eq!(acme.audited(Action::ApiKeyRotated).await, 0);
}

async fn rotate(
    h: &Harness,
    organization: &OrganizationId,
    key: &ApiKeyId,
    secret: NewSecret,
) -> Result<ApiKey, AccessError> {
    let audit = h.audit(Action::ApiKeyRotated);
    let access = &h.repositories.access;
    let read = read(h, organization, key).await;
    access
        .rotate_api_key(organization, key, &read, secret, audit)
        .await
}

async fn revoke(h: &Harness, tenant: &Tenant<'_>, key: &ApiKeyId) -> ApiKey {
    let mut audit = h.audit(Action::ApiKeyRevoked);
    audit.origin.actor = Actor::User {
        user_id: "usr_1".to_owned(),
        key_id: "key_1".to_owned(),
    };
    let access = &h.repositories.access;
    let revoked = access.revoke_api_key(&tenant.organization, key, audit);
    revoked.await.unwrap().unwrap()
}

pub async fn every_field_of_a_key_is_read_back(h: Harness) {
    let acme = h.tenant("acme").await;
    let new = NewApiKey {
        description: "for the d\u{e9}ploy '%_".to_owned(),
        grant: grant(),
        principal_id: Some("end user 7".to_owned()),
        created_by: acme.admin.to_string(),
        ..build::api_key(&h.ids, &acme.admin, "deploy")
    };
    let access = &h.repositories.access;
    let audit = h.audit(Action::ApiKeyCreated);
    let stored = access.insert_api_key(&acme.organization, new.clone(), audit);
    let stored = stored.await.unwrap();
    let expected = ApiKey {
        id: new.id.clone(),
        user_id: new.user,
        name: new.name,
        description: new.description,
        prefix: new.prefix,
        hash: new.hash.clone(),
        grant: new.grant.clone(),
        principal_id: new.principal_id,
        created_by: new.created_by,
        created_at: stored.created_at,
        last_used_at: None,
        revoked_at: None,
        revoked_by: None,
    };
    assert_eq!(stored, expected);
    assert_eq!(key_of(&h, &acme, &new.id).await, expected);
    let found = h.repositories.across.find_api_key(&new.hash).await;
    let found = found.unwrap().unwrap();
    assert_eq!(
        (&found.principal.grant, &found.hash, found.valid),
        (&new.grant, &new.hash, true)
    );
}

pub async fn a_key_is_changed_field_by_field(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let key = acme.api_key(&acme.admin, "deploy").await;
    let mut expected = key_of(&h, &acme, &key.id).await;
    let name = ApiKeyChange {
        name: Some("renamed".to_owned()),
        ..ApiKeyChange::default()
    };
    "renamed".clone_into(&mut expected.name);
    let changed = update(&h, &acme.organization, &key.id, name.clone()).await;
    assert_eq!(changed.unwrap(), expected);
    let rest = ApiKeyChange {
        name: None,
        description: Some("new".to_owned()),
        grant: Some(grant()),
    };
    "new".clone_into(&mut expected.description);
    expected.grant = grant();
    for _ in 0..2 {
        let changed = update(&h, &acme.organization, &key.id, rest.clone()).await;
        assert_eq!(changed.unwrap(), expected);
    }
    assert_eq!(key_of(&h, &acme, &key.id).await, expected);
    let found = h.repositories.across.find_api_key(&key.hash).await;
    assert_eq!(found.unwrap().unwrap().principal.grant, grant());
    assert_eq!(
        acme.audited(Action::ApiKeyScopeUpdated).await,
        2,
        "the third time changes nothing"
    );
    let unknown = h.ids.id();
    for (organization, id) in [
        (&other.organization, &key.id),
        (&acme.organization, &unknown),
    ] {
        let refused = update(&h, organization, id, name.clone()).await;
        assert!(matches!(refused, Err(AccessError::NotFound)), "{refused:?}");
    }
}

pub async fn a_key_takes_no_name_of_another_that_is_not_revoked(h: Harness) {
    let acme = h.tenant("acme").await;
    let member = acme.user("member@example.test", Role::Member).await;
    let (first, second) = (
        acme.api_key(&acme.admin, "first").await,
        acme.api_key(&acme.admin, "second").await,
    );
    acme.api_key(&member.id, "theirs").await;
    let named = |name: &str| ApiKeyChange {
        name: Some(name.to_owned()),
        ..ApiKeyChange::default()
    };
    let refused = update(&h, &acme.organization, &first.id, named("second")).await;
    assert!(
        matches!(refused, Err(AccessError::NameTaken)),
        "{refused:?}"
    );
    revoke(&h, &acme, &second.id).await;
    for name in ["second", "theirs"] {
        let changed = update(&h, &acme.organization, &first.id, named(name)).await;
        assert_eq!(changed.unwrap().name, name);
    }
}

pub async fn a_rotated_key_has_another_secret_and_the_old_one_stops_at_once(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let key = acme.api_key(&acme.admin, "deploy").await;
    let before = key_of(&h, &acme, &key.id).await;
    let secret = NewSecret {
        prefix: "whk_ghijkl".to_owned(),
        hash: ApiKeyHash([7; 32]),
    };
    let stranger = rotate(&h, &other.organization, &key.id, secret.clone()).await;
    assert!(
        matches!(stranger, Err(AccessError::NotFound)),
        "{stranger:?}"
    );
    let rotated = rotate(&h, &acme.organization, &key.id, secret.clone()).await;
    let expected = ApiKey {
        prefix: secret.prefix.clone(),
        hash: secret.hash.clone(),
        ..before
    };
    assert_eq!(rotated.unwrap(), expected);
    let across = &h.repositories.across;
    assert_eq!(across.find_api_key(&key.hash).await.unwrap(), None);
    let found = across.find_api_key(&secret.hash).await.unwrap().unwrap();
    assert_eq!((&found.principal.key, found.valid), (&key.id, true));
    assert_eq!(acme.audited(Action::ApiKeyRotated).await, 1);
}

pub async fn a_revoked_key_is_neither_changed_nor_rotated(h: Harness) {
    let acme = h.tenant("acme").await;
    let key = acme.api_key(&acme.admin, "deploy").await;
    let revoked = revoke(&h, &acme, &key.id).await;
    assert_eq!(revoked.revoked_by.as_deref(), Some("usr_1"));
    let secret = NewSecret {
        prefix: "whk_ghijkl".to_owned(),
        hash: ApiKeyHash([7; 32]),
    };
    let change = ApiKeyChange {
        grant: Some(grant()),
        ..ApiKeyChange::default()
    };
    for refused in [
        update(&h, &acme.organization, &key.id, change).await,
        rotate(&h, &acme.organization, &key.id, secret).await,
    ] {
        assert!(matches!(refused, Err(AccessError::NotFound)), "{refused:?}");
    }
    assert_eq!(key_of(&h, &acme, &key.id).await, revoked);
    let rows =
        acme.audited(Action::ApiKeyScopeUpdated).await + acme.audited(Action::ApiKeyRotated).await;
    assert_eq!(rows, 0);
}

pub async fn a_use_is_noted_once_a_minute_without_an_audit_row(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let key = acme.api_key(&acme.admin, "deploy").await;
    let access = &h.repositories.access;
    let used = async || key_of(&h, &acme, &key.id).await.last_used_at;
    let head = acme.head().await;
    access
        .note_key_used(&other.organization, &key.id)
        .await
        .unwrap();
    assert_eq!(used().await, None);
    let before = h.repositories.across.now().await.unwrap();
    h.moment().await;
    access
        .note_key_used(&acme.organization, &key.id)
        .await
        .unwrap();
    let first = used().await.unwrap();
    assert!(first > before);
    h.moment().await;
    access
        .note_key_used(&acme.organization, &key.id)
        .await
        .unwrap();
    assert_eq!(used().await, Some(first));
    h.age(Duration::from_mins(1)).await;
    h.moment().await;
    access
        .note_key_used(&acme.organization, &key.id)
        .await
        .unwrap();
    assert!(used().await.unwrap() > first);
    assert_eq!(acme.head().await, head);
}
