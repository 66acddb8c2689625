//! What [`IdempotencyRepository`](wharf_ports::IdempotencyRepository) promises, and every port that stores audit rows with it.

use std::error::Error;
use std::fmt::Debug;
use std::time::Duration;

use wharf_domain::access::Role;
use wharf_domain::audit::{Action, NewAuditRow, ResourceType};
use wharf_domain::bucket::BucketIdentifier;
use wharf_domain::connection::Event;
use wharf_domain::idempotency::{Claim, Claimed, StoredAnswer};
use wharf_domain::ids::WebhookId;
use wharf_ports::{InsertError, RepositoryError};

use crate::{Harness, LONG, SHORT, SOON, Tenant, build};

const KEY: &str = "00000000000000000000000000000000000000000000000000000000000000aa";
const OTHER_KEY: &str = "00000000000000000000000000000000000000000000000000000000000000bb";
const REQUEST: &str = "00000000000000000000000000000000000000000000000000000000000000cc";
const OTHER_REQUEST: &str = "00000000000000000000000000000000000000000000000000000000000000dd";
const DAY: Duration = Duration::from_hours(24);

impl Tenant<'_> {
    /// What a request with this key finds, where a claim is worth `patience`.
    async fn claim(&self, key: &str, request: &str, patience: Duration) -> Claimed {
        let claims = &self.harness.repositories.idempotency;
        let claimed = claims.claim(&self.organization, key, request, patience, DAY);
        claimed.await.unwrap()
    }

    /// Claims a key that is free, for so long.
    async fn granted(&self, patience: Duration) -> Claim {
        match self.claim(KEY, REQUEST, patience).await {
            Claimed::Granted(claim) => claim,
            other => panic!("{other:?} instead of a claim"),
        }
    }

    /// A claim that a later attempt has taken over, and that attempt's.
    async fn overtaken(&self) -> (Claim, Claim) {
        let first = self.granted(LONG).await;
        // Whoever has no patience takes it over.
        (first, self.granted(Duration::ZERO).await)
    }

    async fn answer(&self, claim: &Claim, body: &str) {
        let answer = StoredAnswer {
            status: 201,
            body: body.to_owned(),
        };
        let claims = &self.harness.repositories.idempotency;
        let answered = claims.answer(&self.organization, claim, answer);
        answered.await.unwrap();
    }

    async fn release(&self, claim: &Claim) {
        let claims = &self.harness.repositories.idempotency;
        let released = claims.release(&self.organization, claim);
        released.await.unwrap();
    }
}

/// A row of a request that holds this claim.
fn claimed(h: &Harness, action: Action, claim: &Claim) -> NewAuditRow {
    build::claimed(h.audit(action), claim)
}

/// Such errors tell all the same, whatever port they come from.
fn assert_lost<T: Debug>(answer: Result<T, impl Error>) {
    let error = answer.expect_err("the claim is worth nothing any more");
    assert_eq!(error.to_string(), RepositoryError::ClaimLost.to_string());
}

fn effect(resource_id: &str) -> Claimed {
    Claimed::TookEffect {
        resource_type: ResourceType::Organization,
        resource_id: resource_id.to_owned(),
    }
}

pub async fn a_key_is_claimed_by_one_request_until_patience_ends(h: Harness) {
    let acme = h.tenant("acme").await;
    let first = acme.granted(SOON).await;
    assert_eq!(first.id, KEY);
    assert_eq!(acme.claim(KEY, REQUEST, SOON).await, Claimed::Running);
    h.outlive(SOON).await;
    let second = acme.granted(SOON).await;
    assert!(second.attempt > first.attempt);
    assert_eq!(acme.claim(KEY, REQUEST, LONG).await, Claimed::Running);
}

pub async fn keys_and_organizations_do_not_clash(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    for (tenant, key) in [(&acme, KEY), (&acme, OTHER_KEY), (&other, KEY)] {
        let found = tenant.claim(key, REQUEST, LONG).await;
        assert!(matches!(found, Claimed::Granted(_)), "{found:?}");
    }
}

pub async fn a_key_serves_one_request_alone(h: Harness) {
    let acme = h.tenant("acme").await;
    let claim = acme.granted(LONG).await;
    let found = async || acme.claim(KEY, OTHER_REQUEST, LONG).await;
    assert_eq!(found().await, Claimed::OtherRequest);
    acme.record(claimed(&h, Action::BucketCreated, &claim))
        .await;
    assert_eq!(found().await, Claimed::OtherRequest);
    acme.answer(&claim, "{}").await;
    assert_eq!(found().await, Claimed::OtherRequest);
}

pub async fn of_many_requests_at_once_one_gets_the_claim(h: Harness) {
    let acme = h.tenant("acme").await;
    for patience in [LONG, Duration::ZERO] {
        let tasks = (0..8).map(|_| {
            let claims = h.repositories.idempotency.clone();
            let organization = acme.organization.clone();
            tokio::spawn(async move {
                let claimed = claims.claim(&organization, KEY, REQUEST, patience, DAY);
                claimed.await.unwrap()
            })
        });
        let found = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
        let mut attempts: Vec<u64> = found
            .into_iter()
            .filter_map(|found| match found.unwrap() {
                Claimed::Granted(claim) => Some(claim.attempt),
                Claimed::Running => None,
                other => panic!("{other:?}"),
            })
            .collect();
        let granted = attempts.len();
        attempts.sort_unstable();
        attempts.dedup();
        assert_eq!(attempts.len(), granted, "no two hold the same attempt");
        if patience == LONG {
            assert_eq!(granted, 1);
        }
    }
}

pub async fn an_answer_is_given_again(h: Harness) {
    let acme = h.tenant("acme").await;
    let claim = acme.granted(SHORT).await;
    acme.record(claimed(&h, Action::BucketCreated, &claim))
        .await;
    let body = "{\"name\": \"sp\u{e4}t '\\\" \"}";
    acme.answer(&claim, body).await;
    h.outlive(SHORT).await;
    let answer = StoredAnswer {
        status: 201,
        body: body.to_owned(),
    };
    for _ in 0..2 {
        let found = acme.claim(KEY, REQUEST, SHORT).await;
        assert_eq!(found, Claimed::Answered(answer.clone()));
    }
}

pub async fn an_effect_without_an_answer_is_told_and_the_first_one_counts(h: Harness) {
    let acme = h.tenant("acme").await;
    let claim = acme.granted(SHORT).await;
    for resource_id in ["first", "second"] {
        acme.record(NewAuditRow {
            resource_id: resource_id.to_owned(),
            ..claimed(&h, Action::BucketCreated, &claim)
        })
        .await;
    }
    assert_eq!(acme.claim(KEY, REQUEST, LONG).await, effect("first"));
    h.outlive(SHORT).await;
    assert_eq!(acme.claim(KEY, REQUEST, SHORT).await, effect("first"));
    assert_eq!(acme.audited(Action::BucketCreated).await, 2);
}

pub async fn a_claim_that_was_given_up_is_free_at_once(h: Harness) {
    let acme = h.tenant("acme").await;
    let first = acme.granted(LONG).await;
    acme.release(&first).await;
    let second = acme.granted(LONG).await;
    assert!(second.attempt > first.attempt);
    acme.release(&first).await;
    assert_eq!(
        acme.claim(KEY, REQUEST, LONG).await,
        Claimed::Running,
        "an earlier attempt gives nothing up"
    );
}

pub async fn a_claim_that_took_effect_is_not_given_up(h: Harness) {
    let acme = h.tenant("acme").await;
    let claim = acme.granted(LONG).await;
    acme.record(claimed(&h, Action::BucketCreated, &claim))
        .await;
    acme.release(&claim).await;
    assert_eq!(acme.claim(KEY, REQUEST, LONG).await, effect("any"));
}

pub async fn an_earlier_attempt_never_passes_for_a_later_one(h: Harness) {
    let acme = h.tenant("acme").await;
    let (first, second) = acme.overtaken().await;
    acme.release(&second).await;
    let third = acme.granted(LONG).await;
    assert!(![first.attempt, second.attempt].contains(&third.attempt));
    for stale in [&first, &second] {
        let row = claimed(&h, Action::BucketCreated, stale);
        let refused = h.repositories.audit.record(&acme.organization, row).await;
        assert_lost(refused);
        acme.answer(stale, "\"stale\"").await;
    }
    assert_eq!(acme.claim(KEY, REQUEST, LONG).await, Claimed::Running);
    acme.record(claimed(&h, Action::BucketCreated, &third))
        .await;
    assert_eq!(acme.chain().await.len(), 2);
}

pub async fn an_old_claim_is_as_if_it_were_not_there(h: Harness) {
    let acme = h.tenant("acme").await;
    let first = acme.granted(LONG).await;
    acme.record(claimed(&h, Action::BucketCreated, &first))
        .await;
    acme.answer(&first, "{}").await;
    h.age(DAY).await;
    let found = acme.claim(KEY, OTHER_REQUEST, LONG).await;
    let Claimed::Granted(second) = found else {
        panic!("{found:?}");
    };
    assert!(second.attempt > first.attempt);
    let found = acme.claim(KEY, OTHER_REQUEST, LONG).await;
    assert_eq!(found, Claimed::Running, "nothing is left of the first");
}

pub async fn a_claim_of_another_organization_or_of_nobody_is_worth_nothing(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let claim = other.granted(LONG).await;
    let unknown = Claim {
        id: OTHER_KEY.to_owned(),
        attempt: 1,
    };
    for claim in [&claim, &unknown] {
        let row = claimed(&h, Action::BucketCreated, claim);
        let refused = h.repositories.audit.record(&acme.organization, row).await;
        assert_lost(refused);
    }
    assert_eq!(acme.chain().await.len(), 1);
    assert_eq!(other.claim(KEY, REQUEST, LONG).await, Claimed::Running);
}

pub async fn nothing_that_an_overtaken_request_makes_is_stored(h: Harness) {
    let acme = h.tenant("acme").await;
    let (stale, newest) = acme.overtaken().await;
    let row = |action| claimed(&h, action, &stale);
    let organization = &acme.organization;
    let repositories = &h.repositories;
    let before = acme.head().await;

    let bucket = build::bucket(&h.ids, &acme.namespace, "media");
    let refused = repositories
        .buckets
        .insert(organization, bucket.clone(), row(Action::BucketCreated))
        .await;
    assert_lost(refused);
    let user = build::user(&h.ids, "new@example.test", Role::Admin);
    let refused = repositories
        .access
        .insert_user(organization, user.clone(), row(Action::UserCreated))
        .await;
    assert_lost(refused);
    let hook: WebhookId = h.ids.id();
    let refused = repositories
        .webhooks
        .insert(
            organization,
            hook.clone(),
            build::webhook("hook"),
            row(Action::WebhookCreated),
        )
        .await;
    assert_lost(refused);
    let connection = build::connection(&h.ids, organization, &acme.admin, "store");
    let refused = repositories
        .connections
        .insert(connection, row(Action::ConnectionCreated))
        .await;
    assert_lost(refused);

    assert_eq!(acme.head().await, before);
    let found = repositories
        .buckets
        .find(
            organization,
            &acme.namespace,
            &BucketIdentifier::Id(bucket.id),
        )
        .await;
    assert_eq!(found.unwrap(), None);
    let found = repositories
        .access
        .find_user(organization, &user.email)
        .await;
    assert_eq!(found.unwrap(), None);
    let found = repositories.webhooks.find(organization, &hook).await;
    assert_eq!(found.unwrap(), None);
    acme.bucket("media").await;
    acme.connection("store").await;
    acme.record(claimed(&h, Action::BucketCreated, &newest))
        .await;
}

pub async fn nothing_that_an_overtaken_request_changes_is_stored(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let (stale, newest) = acme.overtaken().await;
    let row = |action| claimed(&h, action, &stale);
    let organization = &acme.organization;
    let repositories = &h.repositories;
    let (object, head) = (run.object("media/a").await, acme.head().await);
    let (connection, sync) = (
        acme.stored_connection(&run.connection).await,
        run.stored().await,
    );

    let refused = repositories
        .connections
        .apply(
            organization,
            &connection.id,
            None,
            vec![Event::Archive],
            vec![
                h.audit(Action::ConnectionUpdated),
                row(Action::ConnectionDeleted),
            ],
        )
        .await;
    assert_lost(refused);
    let refused = repositories
        .objects
        .remove(
            organization,
            &run.bucket.id,
            &object.id,
            row(Action::ObjectDeleted),
        )
        .await;
    assert_lost(refused);
    let refused = repositories
        .syncs
        .unlock(
            organization,
            &run.bucket.id,
            &sync.id,
            row(Action::SyncUnlocked),
        )
        .await;
    assert_lost(refused);
    let refused = repositories
        .buckets
        .remove(organization, &run.bucket.id, row(Action::BucketDeleted))
        .await;
    assert_lost(refused);
    let step = run.step(1, &["media/b"], "1").await;
    let refused = repositories
        .runs
        .commit(
            organization,
            &run.lease,
            run.standing(),
            &step,
            Some(row(Action::ObjectsCommitted)),
        )
        .await;
    assert_lost(refused);

    assert_eq!(acme.head().await, head);
    assert_eq!(acme.stored_connection(&run.connection).await, connection);
    assert_eq!(
        run.objects().await.as_slice(),
        std::slice::from_ref(&object)
    );
    assert_eq!(run.stored().await, sync);
    assert_eq!(run.bucket().await.object_count, 1);
    let removed = repositories.objects.remove(
        organization,
        &run.bucket.id,
        &object.id,
        claimed(&h, Action::ObjectDeleted, &newest),
    );
    assert!(removed.await.unwrap(), "the newest attempt takes effect");
    assert_eq!(acme.claim(KEY, REQUEST, LONG).await, effect("any"));
}

pub async fn of_an_effect_and_a_take_over_at_once_one_wins(h: Harness) {
    let acme = h.tenant("acme").await;
    for nth in 0..12 {
        let key = format!("{nth:064x}");
        let Claimed::Granted(claim) = acme.claim(&key, REQUEST, LONG).await else {
            panic!("the key is new");
        };
        let (claims, buckets) = (
            h.repositories.idempotency.clone(),
            h.repositories.buckets.clone(),
        );
        let (mine, theirs) = (acme.organization.clone(), acme.organization.clone());
        let bucket = build::bucket(&h.ids, &acme.namespace, &format!("bucket {nth}"));
        let row = claimed(&h, Action::BucketCreated, &claim);
        let write = tokio::spawn(async move { buckets.insert(&mine, bucket, row).await });
        let take_over = tokio::spawn(async move {
            let claimed = claims.claim(&theirs, &key, REQUEST, Duration::ZERO, DAY);
            claimed.await.unwrap()
        });
        let (written, found) = (write.await.unwrap(), take_over.await.unwrap());
        match (&written, &found) {
            (Ok(_), Claimed::TookEffect { .. })
            | (Err(InsertError::Repository(RepositoryError::ClaimLost)), Claimed::Granted(_)) => {}
            both => panic!("{both:?}"),
        }
    }
    acme.chain().await;
}
