//! What [`ExternalIdRepository`](wharf_ports::ExternalIdRepository) promises.

use wharf_domain::audit::{Action, AuditFilter};
use wharf_domain::ids::ExternalId;

use crate::{Harness, build};

pub async fn the_first_external_id_is_issued_once_and_stays(h: Harness) {
    let acme = h.tenant("acme").await;
    let external_ids = &h.repositories.external_ids;
    assert_eq!(external_ids.issued(&acme.organization).await.unwrap(), []);
    let (first, second): (ExternalId, ExternalId) = (h.ids.id(), h.ids.id());
    for id in [&first, &second] {
        let audit = build::audit(&h.ids, Action::ExternalIdIssued);
        let issued = external_ids.issue_first(&acme.organization, id.clone(), audit);
        assert_eq!(issued.await.unwrap().as_ref(), Some(&first));
    }
    assert_eq!(
        external_ids.issued(&acme.organization).await.unwrap(),
        [first]
    );
}

pub async fn an_issued_external_id_brings_its_audit_row_and_a_known_one_none(h: Harness) {
    let acme = h.tenant("acme").await;
    for _ in 0..2 {
        let audit = build::audit(&h.ids, Action::ExternalIdIssued);
        let external_ids = &h.repositories.external_ids;
        external_ids
            .issue_first(&acme.organization, h.ids.id(), audit)
            .await
            .unwrap();
    }
    let rows = h
        .repositories
        .audit
        .list(&acme.organization, &AuditFilter::default(), 0, 100)
        .await
        .unwrap()
        .rows;
    let issued = rows
        .iter()
        .filter(|row| row.row.action == Action::ExternalIdIssued);
    assert_eq!(issued.count(), 1);
}

pub async fn of_many_callers_at_once_all_get_the_same_external_id(h: Harness) {
    let acme = h.tenant("acme").await;
    let tasks = (0..8).map(|_| {
        let audit = build::audit(&h.ids, Action::ExternalIdIssued);
        let (external_ids, organization, id) = (
            h.repositories.external_ids.clone(),
            acme.organization.clone(),
            h.ids.id(),
        );
        tokio::spawn(async move {
            external_ids
                .issue_first(&organization, id, audit)
                .await
                .unwrap()
                .unwrap()
        })
    });
    let got = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    let got: Vec<ExternalId> = got.into_iter().map(Result::unwrap).collect();
    assert!(
        got.iter().all(|id| *id == got[0]),
        "one of them won: {got:?}"
    );
}

pub async fn external_ids_are_seen_by_their_own_organization_alone(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let external_ids = &h.repositories.external_ids;
    let audit = || build::audit(&h.ids, Action::ExternalIdIssued);
    let ours = external_ids
        .issue_first(&acme.organization, h.ids.id(), audit())
        .await
        .unwrap();
    assert_eq!(external_ids.issued(&other.organization).await.unwrap(), []);
    let theirs = external_ids
        .issue_first(&other.organization, h.ids.id(), audit())
        .await
        .unwrap();
    assert_ne!(ours, theirs);
    let nobody = h.ids.id();
    let issued = external_ids.issue_first(&nobody, h.ids.id(), audit()).await;
    assert_eq!(issued.unwrap(), None, "an unknown organization has none");
}
