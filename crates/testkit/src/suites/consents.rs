//! What [`ConsentRepository`](wharf_ports::ConsentRepository) promises, and what is taken across organizations of it.

use std::time::Duration;

use wharf_ports::{ConsentError, MOST_CONSENTS, StoredConsent};

use crate::{Harness, LONG, SHORT, Tenant, build};

fn consent(tenant: &Tenant<'_>, number: u32) -> StoredConsent {
    StoredConsent {
        state_sha256: format!("{}{number:032x}", tenant.organization.as_str().len()),
        organization: tenant.organization.clone(),
        user: tenant.admin.clone(),
        api_key: tenant.harness.ids.id(),
        sealed: vec![0, 1, 254, 255],
        expires_at: build::instant(0),
    }
}

async fn begin(
    h: &Harness,
    consent: StoredConsent,
    ttl: Duration,
) -> Result<StoredConsent, ConsentError> {
    h.repositories.consents.begin(consent, ttl).await
}

async fn take(h: &Harness, consent: &StoredConsent) -> Option<StoredConsent> {
    let across = &h.repositories.across;
    across.take_consent(&consent.state_sha256).await.unwrap()
}

pub async fn a_consent_is_taken_out_once_as_it_was_begun(h: Harness) {
    let acme = h.tenant("acme").await;
    let before = h.repositories.across.now().await.unwrap();
    let new = consent(&acme, 1);
    let begun = begin(&h, new.clone(), LONG).await.unwrap();
    assert!(begun.expires_at >= before + LONG && begun.expires_at < before + 2 * LONG);
    let expires_at = begun.expires_at;
    assert_eq!(begun, StoredConsent { expires_at, ..new });
    let beside = begin(&h, consent(&acme, 2), LONG).await.unwrap();
    assert_eq!(take(&h, &begun).await, Some(begun.clone()));
    assert_eq!(take(&h, &begun).await, None);
    assert_eq!(take(&h, &beside).await, Some(beside));
}

pub async fn of_many_callers_at_once_one_takes_a_consent_out(h: Harness) {
    let acme = h.tenant("acme").await;
    let begun = begin(&h, consent(&acme, 1), LONG).await.unwrap();
    let tasks = (0..8).map(|_| {
        let (across, state) = (h.repositories.across.clone(), begun.state_sha256.clone());
        tokio::spawn(async move { across.take_consent(&state).await.unwrap() })
    });
    let taken = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    let taken = taken.into_iter().filter_map(Result::unwrap);
    assert_eq!(taken.collect::<Vec<_>>(), [begun]);
}

pub async fn an_expired_consent_is_not_to_be_had(h: Harness) {
    let acme = h.tenant("acme").await;
    let begun = begin(&h, consent(&acme, 1), SHORT).await.unwrap();
    let lasting = begin(&h, consent(&acme, 2), LONG).await.unwrap();
    h.outlive(SHORT).await;
    assert_eq!(take(&h, &begun).await, None);
    // It has left nothing: its state is free.
    let again = begin(&h, consent(&acme, 1), LONG).await.unwrap();
    assert_eq!(take(&h, &again).await, Some(again));
    assert_eq!(take(&h, &lasting).await, Some(lasting));
}

pub async fn an_organization_has_so_many_consents_under_way_and_no_more(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("a longer name").await);
    let mut begun = Vec::new();
    for number in 0..MOST_CONSENTS {
        begun.push(begin(&h, consent(&acme, number), LONG).await.unwrap());
    }
    let one_more = consent(&acme, MOST_CONSENTS);
    let refused = begin(&h, one_more.clone(), LONG).await;
    assert!(matches!(refused, Err(ConsentError::TooMany)), "{refused:?}");
    assert_eq!(take(&h, &one_more).await, None, "nothing of it is stored");
    let mut theirs = consent(&other, MOST_CONSENTS);
    theirs.state_sha256.push_str("theirs");
    begin(&h, theirs, LONG)
        .await
        .expect("others have a number of their own");
    assert!(take(&h, &begun[7]).await.is_some());
    begin(&h, one_more, LONG)
        .await
        .expect("there is room again");
}

pub async fn of_many_callers_at_once_no_more_begin_a_consent_than_may(h: Harness) {
    let acme = h.tenant("acme").await;
    for number in 0..MOST_CONSENTS - 1 {
        begin(&h, consent(&acme, number), LONG).await.unwrap();
    }
    let tasks = (0..8).map(|number| {
        let consents = h.repositories.consents.clone();
        let new = consent(&acme, MOST_CONSENTS + number);
        tokio::spawn(async move { consents.begin(new, LONG).await })
    });
    let begun = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    let begun = begun.into_iter().map(Result::unwrap);
    assert_eq!(begun.flatten().count(), 1);
}

pub async fn expired_consents_make_room(h: Harness) {
    let acme = h.tenant("acme").await;
    for number in 0..MOST_CONSENTS {
        begin(&h, consent(&acme, number), SHORT).await.unwrap();
        if number % 10 == 0 {
            h.moment().await;
        }
    }
    h.outlive(SHORT).await;
    begin(&h, consent(&acme, 0), LONG)
        .await
        .expect("there is room again");
}
