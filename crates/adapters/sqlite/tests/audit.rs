//! What holds of the audit trail when somebody writes to the file.

mod common;

use sqlx::AssertSqlSafe;
use wharf_domain::audit::{Action, AuditFilter, ChainHead};
use wharf_ports::RepositoryError;
use wharf_testkit::Harness;

#[tokio::test]
async fn rows_that_do_not_read_are_in_the_chain_by_their_place() {
    let (database, folder) = common::empty_database().await;
    let mut bare = common::bare(&folder).await;
    let h = Harness::in_real_time(common::repositories(&database)).keeping(folder);
    let acme = h.tenant("acme").await;
    for _ in 0..4 {
        let audit = h.audit(Action::ConnectionTested);
        let recorded = h.repositories.audit.record(&acme.organization, audit);
        recorded.await.expect("a row");
    }
    for damage in [
        "UPDATE audit_rows SET action = 'gibberish' WHERE position = 2",
        "UPDATE audit_rows SET link = x'00' WHERE position = 3",
        "UPDATE audit_rows SET link = NULL WHERE position = 4",
        "UPDATE audit_rows SET id = CAST(x'fffe' AS TEXT) WHERE position = 5",
    ] {
        sqlx::query(AssertSqlSafe(damage))
            .execute(&mut bare)
            .await
            .expect("damage");
    }
    let chain = h.repositories.audit.chain(&acme.organization, 0, 10).await;
    let chain = chain.expect("the chain");
    let seen: Vec<_> = chain
        .iter()
        .map(|chained| (chained.link.position, chained.row.is_some()))
        .collect();
    assert_eq!(
        seen,
        [(1, true), (2, false), (3, false), (4, false), (5, false)]
    );
    assert_eq!(chain[2].link.hash, ChainHead::EMPTY.hash);
    assert!(chain[1].id.starts_with("aud_"), "{}", chain[1].id);
    let all = AuditFilter::default();
    let trail = h
        .repositories
        .audit
        .before(&acme.organization, &all, None, 10);
    let Err(RepositoryError::Corrupt(place)) = trail.await else {
        panic!("a row that does not read was read")
    };
    assert!(place.starts_with("audit_rows."), "{place}");
}

#[tokio::test]
async fn a_row_before_the_first_place_is_shown_to_nobody_and_comes_first_in_the_chain() {
    for position in ["0", "-7", "NULL"] {
        let (database, folder) = common::empty_database().await;
        let mut bare = common::bare(&folder).await;
        let h = Harness::in_real_time(common::repositories(&database)).keeping(folder);
        let acme = h.tenant("acme").await;
        let audit = &h.repositories.audit;
        let forged = format!(
            "INSERT INTO audit_rows (organization, id, at, action, resource_type, resource_id, actor, changes, position, link) \
             SELECT organization, 'aud_ffffffffffffffff', at, action, resource_type, resource_id, actor, changes, {position}, link \
             FROM audit_rows WHERE position = 1"
        );
        let inserted = sqlx::query(AssertSqlSafe(forged)).execute(&mut bare).await;
        inserted.expect("a row slipped in");
        let organization = &acme.organization;
        let all = AuditFilter::default();
        let trail = audit.list(organization, &all, 0, 10).await.expect("a page");
        assert_eq!((trail.total, trail.rows.len()), (1, 1), "{position}");
        let before = audit.before(organization, &all, None, 10).await;
        assert_eq!(before.expect("rows"), trail.rows, "{position}");
        let id = "aud_ffffffffffffffff".parse().expect("an identifier");
        let found = audit.find(organization, &id).await.expect("an answer");
        assert_eq!(found, None, "{position}");
        let chain = audit.chain(organization, 0, 10).await.expect("the chain");
        assert_eq!(chain[0].id, id.to_string(), "{position}");
        assert_eq!(chain[0].link.position, 0, "{position}");
    }
}
