//! The organization itself, and its users.

use wharf_domain::access::{OrganizationProfile, Role, User, UserProfile, UserStatus};
use wharf_domain::audit::{Action, Actor};
use wharf_domain::ids::{OrganizationId, UserId};
use wharf_domain::rate_limit::RateLimits;
use wharf_domain::sync::SyncMode;
use wharf_ports::{AccessError, InsertError, NewApiKey};

use crate::{Harness, build};

fn profile(name: &str) -> OrganizationProfile {
    OrganizationProfile {
        name: name.to_owned(),
        logo_url: Some("https://example.test/logo?a='%_".to_owned()),
        billing_email: Some("bills@example.test".to_owned()),
        notifications_email: Some("news@example.test".to_owned()),
        metadata: build::metadata(),
        rate_limits: RateLimits {
            metadata: Some(10),
            data: Some(0),
            search: None,
            upload: None,
            compute: Some(u32::MAX),
        },
    }
}

async fn update_organization(
    h: &Harness,
    organization: &OrganizationId,
    profile: OrganizationProfile,
) -> Result<OrganizationProfile, AccessError> {
    let audit = h.audit(Action::OrganizationUpdated);
    let access = &h.repositories.access;
    let stored = access.organization(organization).await?;
    let read = stored.map_or_else(OrganizationProfile::default, |stored| stored.profile);
    let updated = access.update_organization(organization, &read, profile, audit);
    updated.await.map(|organization| organization.profile)
}

pub async fn an_organizations_profile_is_changed_whole(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let access = &h.repositories.access;
    let before = access.organization(&acme.organization).await.unwrap();
    let before = before.unwrap();
    assert_eq!(before.updated_at, before.created_at);
    h.moment().await;
    for _ in 0..2 {
        let updated = update_organization(&h, &acme.organization, profile("renamed")).await;
        assert_eq!(updated.unwrap(), profile("renamed"));
    }
    let after = access.organization(&acme.organization).await.unwrap();
    let after = after.unwrap();
    assert!(after.updated_at > before.updated_at);
    assert_eq!(
        (&after.profile, after.created_at),
        (&profile("renamed"), before.created_at)
    );
    assert_eq!(
        acme.audited(Action::OrganizationUpdated).await,
        1,
        "the second time changes nothing"
    );
    let stranger = access.organization(&other.organization).await.unwrap();
    assert_eq!(stranger.unwrap().profile.name, "other");
    let listed = h.repositories.across.list_organizations().await.unwrap();
    assert!(listed.contains(&after), "{listed:?}");
}

pub async fn an_organization_takes_no_name_of_another(h: Harness) {
    let acme = h.tenant("acme").await;
    h.tenant("other").await;
    let taken = update_organization(&h, &acme.organization, profile("other")).await;
    assert!(matches!(taken, Err(AccessError::NameTaken)), "{taken:?}");
    let unknown = update_organization(&h, &h.ids.id(), profile("free")).await;
    assert!(matches!(unknown, Err(AccessError::NotFound)), "{unknown:?}");
    let kept = update_organization(&h, &acme.organization, profile("acme")).await;
    kept.unwrap();
    assert_eq!(acme.audited(Action::OrganizationUpdated).await, 1);
}

pub async fn limits_of_an_organization_are_known_with_its_keys(h: Harness) {
    let acme = h.tenant("acme").await;
    let key = acme.api_key(&acme.admin, "deploy").await;
    update_organization(&h, &acme.organization, profile("acme"))
        .await
        .unwrap();
    let found = h.repositories.across.find_api_key(&key.hash).await;
    let principal = found.unwrap().unwrap().principal;
    assert_eq!(principal.rate_limits, profile("acme").rate_limits);
}

async fn update(
    h: &Harness,
    organization: &OrganizationId,
    user: &UserId,
    profile: UserProfile,
) -> Result<User, AccessError> {
    let audit = h.audit(Action::UserUpdated);
    let access = &h.repositories.access;
    let listed = access.list_users(organization).await?;
    let stored = listed.into_iter().find(|stored| stored.id == *user);
    let read = stored.map_or_else(member, |stored| stored.profile);
    access
        .update_user(organization, user, &read, profile, audit)
        .await
}

pub async fn a_change_of_what_was_changed_in_between_is_refused(h: Harness) {
    let acme = h.tenant("acme").await;
    let organization = &acme.organization;
    let access = &h.repositories.access;
    let user = acme.user("viewer@example.test", Role::Viewer).await;
    let suspended = UserProfile {
        status: UserStatus::Suspended,
        ..user.profile.clone()
    };
    update(&h, organization, &user.id, suspended.clone())
        .await
        .unwrap();
    let renamed = UserProfile {
        name: "Renamed".to_owned(),
        ..user.profile.clone()
    };
    let audit = h.audit(Action::UserUpdated);
    let late = access.update_user(organization, &user.id, &user.profile, renamed, audit);
    let late = late.await;
    assert!(matches!(late, Err(AccessError::Conflict)), "{late:?}");
    let stored = access.find_user(organization, &user.email).await.unwrap();
    assert_eq!(stored.unwrap().profile, suspended);
    assert_eq!(acme.audited(Action::UserUpdated).await, 1);

    update_organization(&h, organization, profile("acme"))
        .await
        .unwrap();
    let audit = h.audit(Action::OrganizationUpdated);
    let read = OrganizationProfile {
        name: "acme".to_owned(),
        ..OrganizationProfile::default()
    };
    let late = access.update_organization(organization, &read, profile("late"), audit);
    let late = late.await;
    assert!(matches!(late, Err(AccessError::Conflict)), "{late:?}");
    let stored = access.organization(organization).await.unwrap();
    assert_eq!(stored.unwrap().profile, profile("acme"));
    assert_eq!(acme.audited(Action::OrganizationUpdated).await, 1);
}

async fn remove(
    h: &Harness,
    organization: &OrganizationId,
    user: &UserId,
) -> Result<(), AccessError> {
    let audit = h.audit(Action::UserDeleted);
    let access = &h.repositories.access;
    access.remove_user(organization, user, audit).await
}

fn member() -> UserProfile {
    UserProfile {
        name: "M\u{e9}mber '%_".to_owned(),
        avatar_url: Some("https://example.test/face".to_owned()),
        role: Role::Member,
        status: UserStatus::Pending,
        metadata: build::metadata(),
    }
}

pub async fn a_users_profile_is_changed_whole(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let user = acme.user("viewer@example.test", Role::Viewer).await;
    h.moment().await;
    let mut updated = None;
    for _ in 0..2 {
        updated = Some(
            update(&h, &acme.organization, &user.id, member())
                .await
                .unwrap(),
        );
    }
    let updated = updated.unwrap();
    assert!(updated.updated_at > user.updated_at);
    let expected = User {
        profile: member(),
        updated_at: updated.updated_at,
        ..user.clone()
    };
    let access = &h.repositories.access;
    let stored = access.find_user(&acme.organization, &user.email).await;
    assert_eq!(
        (updated, stored.unwrap()),
        (expected.clone(), Some(expected))
    );
    assert_eq!(
        acme.audited(Action::UserUpdated).await,
        1,
        "the second time changes nothing"
    );
    let unknown = h.ids.id();
    for (organization, id) in [
        (&other.organization, &user.id),
        (&acme.organization, &unknown),
    ] {
        let refused = update(&h, organization, id, member()).await;
        assert!(matches!(refused, Err(AccessError::NotFound)), "{refused:?}");
    }
}

pub async fn the_last_active_admin_stays(h: Harness) {
    let acme = h.tenant("acme").await;
    let organization = &acme.organization;
    let listed = h.repositories.access.list_users(organization).await;
    let admin = listed.unwrap().remove(0);
    let second = acme.user("second@example.test", Role::Admin).await;
    let with = |role, status| UserProfile {
        role,
        status,
        ..admin.profile.clone()
    };
    let resting = with(Role::Admin, UserStatus::Suspended);
    update(&h, organization, &second.id, resting).await.unwrap();
    for profile in [
        with(Role::Member, UserStatus::Active),
        with(Role::Admin, UserStatus::Suspended),
        with(Role::Admin, UserStatus::Pending),
    ] {
        let refused = update(&h, organization, &admin.id, profile).await;
        assert!(
            matches!(refused, Err(AccessError::LastAdmin)),
            "{refused:?}"
        );
    }
    let refused = remove(&h, organization, &admin.id).await;
    assert!(
        matches!(refused, Err(AccessError::LastAdmin)),
        "{refused:?}"
    );
    let listed = h.repositories.access.list_users(organization).await;
    assert_eq!(listed.unwrap()[0], admin);
    assert_eq!(acme.audited(Action::UserUpdated).await, 1);
    let back = with(Role::Admin, UserStatus::Active);
    update(&h, organization, &second.id, back).await.unwrap();
    remove(&h, organization, &admin.id).await.unwrap();
    let refused = remove(&h, organization, &second.id).await;
    assert!(
        matches!(refused, Err(AccessError::LastAdmin)),
        "{refused:?}"
    );
}

pub async fn of_two_admins_that_step_down_at_once_one_stays(h: Harness) {
    for nth in 0..6 {
        let acme = h.tenant(&format!("acme {nth}")).await;
        let second = acme.user("second@example.test", Role::Admin).await;
        let listed = h.repositories.access.list_users(&acme.organization).await;
        let first = listed
            .unwrap()
            .into_iter()
            .find(|user| user.id != second.id);
        let tasks = [first.unwrap(), second].map(|user| {
            let access = h.repositories.access.clone();
            let organization = acme.organization.clone();
            let audit = h.audit(Action::UserUpdated);
            tokio::spawn(async move {
                let stepped =
                    access.update_user(&organization, &user.id, &user.profile, member(), audit);
                match stepped.await {
                    Ok(_) => true,
                    Err(AccessError::LastAdmin) => false,
                    Err(other) => panic!("{other:?}"),
                }
            })
        });
        let answers = futures::future::join_all(tasks).await;
        let stepped = answers.into_iter().map(Result::unwrap);
        assert_eq!(stepped.filter(|stepped| *stepped).count(), 1);
    }
}

async fn is_valid(h: &Harness, key: &NewApiKey) -> bool {
    let found = h.repositories.across.find_api_key(&key.hash).await;
    found.unwrap().is_some_and(|found| found.valid)
}

pub async fn a_removed_user_is_gone_and_their_keys_are_revoked(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let user = acme.user("leaver@example.test", Role::Member).await;
    let (theirs, ours) = (
        acme.api_key(&user.id, "theirs").await,
        acme.api_key(&acme.admin, "ours").await,
    );
    let organization = &acme.organization;
    let stranger = remove(&h, &other.organization, &user.id).await;
    assert!(
        matches!(stranger, Err(AccessError::NotFound)),
        "{stranger:?}"
    );
    assert!(is_valid(&h, &theirs).await);
    let mut audit = h.audit(Action::UserDeleted);
    audit.origin.actor = Actor::User {
        user_id: acme.admin.to_string(),
        key_id: "key_1".to_owned(),
    };
    let access = &h.repositories.access;
    access
        .remove_user(organization, &user.id, audit)
        .await
        .unwrap();
    assert_eq!(
        access.find_user(organization, &user.email).await.unwrap(),
        None
    );
    assert_eq!(access.list_users(organization).await.unwrap().len(), 1);
    assert!(!is_valid(&h, &theirs).await);
    assert!(is_valid(&h, &ours).await);
    let keys = access.list_api_keys(organization, &user.id).await.unwrap();
    assert!(keys.iter().all(|key| key.revoked_at.is_some()), "{keys:?}");
    let by: Vec<_> = keys.iter().map(|key| key.revoked_by.as_deref()).collect();
    assert_eq!(by, [Some(acme.admin.as_str())]);
    for again in [
        remove(&h, organization, &user.id).await,
        update(&h, organization, &user.id, member()).await.map(drop),
    ] {
        assert!(matches!(again, Err(AccessError::NotFound)), "{again:?}");
    }
    let key = build::api_key(&h.ids, &user.id, "late");
    let late = access.insert_api_key(organization, key, h.audit(Action::ApiKeyCreated));
    assert!(matches!(late.await, Err(InsertError::ParentMissing)));
    assert_eq!(acme.audited(Action::UserDeleted).await, 1);
}

pub async fn what_a_removed_user_made_stays_and_their_address_is_free(h: Harness) {
    let acme = h.tenant("acme").await;
    let user = acme.user("leaver@example.test", Role::Member).await;
    let (bucket, store) = (acme.bucket("media").await, acme.connection("store").await);
    let new = build::sync(&h.ids, &acme.namespace, &bucket.id, &store, &user.id);
    let syncs = &h.repositories.syncs;
    let mode = SyncMode::Continuous;
    let audit = h.audit(Action::SyncCreated);
    let sync = syncs.insert(&acme.organization, new, mode, audit).await;
    let sync = sync.unwrap();
    remove(&h, &acme.organization, &user.id).await.unwrap();
    assert_eq!(acme.stored_sync(&sync).await, sync);
    let again = acme.user("leaver@example.test", Role::Viewer).await;
    let access = &h.repositories.access;
    let found = access.find_user(&acme.organization, &user.email).await;
    assert_eq!(found.unwrap(), Some(again.clone()));
    assert_ne!(again.id, user.id);
}

pub async fn keys_work_while_their_user_is_not_suspended(h: Harness) {
    let acme = h.tenant("acme").await;
    let user = acme.user("member@example.test", Role::Member).await;
    let key = acme.api_key(&user.id, "deploy").await;
    for (status, valid) in [
        (UserStatus::Suspended, false),
        (UserStatus::Pending, true),
        (UserStatus::Active, true),
    ] {
        let profile = UserProfile { status, ..member() };
        update(&h, &acme.organization, &user.id, profile)
            .await
            .unwrap();
        assert_eq!(is_valid(&h, &key).await, valid, "{status:?}");
    }
}
