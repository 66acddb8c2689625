//! What holds of the catalogue's set statements, beyond the promises of the ports.

mod common;

use wharf_domain::run::catalogue::Span;
use wharf_domain::run::commit::{Commit, LeftOut, Vanished};
use wharf_testkit::{Harness, build};

const WHOLE: Span = Span {
    after: None,
    through: None,
};

/// Names that are awkward as JSON, as text and as bytes, in the order of their bytes.
const AWKWARD: [&str; 9] = [
    "\u{1}",
    "\"quoted\" \\ and $.path",
    "12",
    "[1,\"a\"]",
    "a\0b",
    "a\0c",
    "null",
    "ä/ø",
    "\u{10ffff}\u{10ffff}",
];

#[tokio::test]
async fn names_of_any_characters_are_kept_by_all_parts_of_a_step() {
    let (database, folder) = common::empty_database().await;
    let h = Harness::in_real_time(common::repositories(&database)).keeping(folder);
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &AWKWARD, "v\0\"1\"").await;
    let recalled = run.recall(1, &AWKWARD, Some(WHOLE)).await;
    assert_eq!(recalled.vanished, 0);
    let names: Vec<_> = recalled.known.iter().map(|known| &*known.object).collect();
    assert_eq!(names, AWKWARD);
    for known in &recalled.known {
        assert_eq!(
            known.copy.as_ref().map(|copy| &*copy.version),
            Some("v\0\"1\"")
        );
        assert!(known.held && !known.missing);
    }
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let left_out = AWKWARD.map(|name| LeftOut {
        object: name.to_owned(),
        version: name.to_owned(),
        rule: "mime_types".to_owned(),
    });
    let failed = AWKWARD.map(|name| build::failed(&h.ids, name, name, "network.timeout"));
    run.commit(Commit {
        left_out: left_out.into(),
        failed: failed.into(),
        drifted: owned(&AWKWARD),
        seen: owned(&AWKWARD[..4]),
        vanished: Some(Vanished {
            span: WHOLE,
            listed: owned(&AWKWARD),
        }),
        ..build::commit(2)
    })
    .await;
    for known in run.recall(2, &AWKWARD, Some(WHOLE)).await.known {
        let left_out = known.left_out.expect("it was left out");
        let dead_letter = known.dead_letter.expect("it failed");
        assert_eq!(
            (left_out.version, dead_letter.version),
            (known.object.clone(), known.object)
        );
        assert!(known.missing);
    }
}

#[tokio::test]
async fn a_stretch_of_many_rows_is_marked_and_counted_to_its_end() {
    let (database, folder) = common::empty_database().await;
    let mut bare = common::bare(&folder).await;
    let h = Harness::in_real_time(common::repositories(&database)).keeping(folder);
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    sqlx::query(
        "INSERT INTO catalogue (organization, sync, authority, source_object, left_out_version, left_out_rule, seen_pass) \
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 24999) \
         SELECT $1, $2, $3, format('%05d', i), 'v1', 'mime_types', 1 FROM n",
    )
    .bind(acme.organization.as_str())
    .bind(run.sync.id.as_str())
    .bind(build::AUTHORITY)
    .execute(&mut bare)
    .await
    .expect("rows");
    let listed = ["00000", "09999", "10000", "19999", "24999"];
    let stretch = Span {
        after: Some("00004".to_owned()),
        through: None,
    };
    let recalled = run.recall(2, &listed[1..], Some(stretch.clone())).await;
    assert_eq!((recalled.known.len(), recalled.vanished), (4, 24_991));
    run.commit(Commit {
        vanished: Some(Vanished {
            span: stretch.clone(),
            listed: listed.iter().map(|&name| name.to_owned()).collect(),
        }),
        ..build::commit(2)
    })
    .await;
    let marked: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM catalogue WHERE missing_pass = 2")
        .fetch_one(&mut bare)
        .await
        .expect("a count");
    assert_eq!(marked, 24_991);
    let recalled = run.recall(2, &listed[1..], Some(stretch)).await;
    assert_eq!((recalled.known.len(), recalled.vanished), (4, 0));
    assert!(recalled.known.iter().all(|known| !known.missing));
}
