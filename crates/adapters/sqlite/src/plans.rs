//! How the database carries out the statements that runs and their readers live on: by which index, never over a whole
//! table, and without sorting. It is asked on an empty database, as the planner has no statistics in use either.

use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use crate::runs::{absent, commit, deletes};
use crate::syncs::{deletes as held_deletes, lifecycle};
use crate::{
    SqliteDatabase, across_organizations, audit, catalogue, checks, connections, consents,
    dead_letters, dispatch, events, objects, sessions, webhooks,
};

/// A row of the catalogue by its whole key.
const ROW: &str =
    "catalogue USING PRIMARY KEY (sync=? AND organization=? AND authority=? AND source_object=?)";
/// The same, beside others.
const CATALOGUE_ROW: &str =
    "c USING PRIMARY KEY (sync=? AND organization=? AND authority=? AND source_object=?)";
/// Rows by their lineage.
const LINEAGE: &str = "INDEX catalogue_lineage (organization=? AND sync=? AND authority=? AND ";
/// The session of a connection.
const SESSION: &str = "sqlite_autoindex_sessions_1 (organization=? AND connection=?)";
/// The rows of a stretch.
const STRETCH: &str =
    " USING PRIMARY KEY (sync=? AND organization=? AND authority=? AND source_object>?";
/// What another pass has found missing, too, or none.
const MISSING: &str = " catalogue_missing (organization=? AND sync=? AND missing_pass";
/// The object of a source.
const SOURCE: &str = "INDEX objects_source (organization=? AND bucket=? AND provider=? AND authority=? AND source_object=?)";
/// The catalogue's rows of an object.
const HOLDERS: &str = "INDEX catalogue_object (organization=? AND object=?)";
/// The open dead letter of a source object.
const LETTER: &str = "INDEX dead_letters_open (organization=? AND sync=? AND source_object=?)";
/// The chain of an organization's audit rows.
const PLACES: &str = "INDEX audit_rows_position (organization=? AND position";
/// What has been due longest, with its organization.
const DUE: &str = "SEARCH s USING INDEX syncs_due (<expr><?)";
/// Tombstones by their age.
const TOMBSTONES: &str = "INDEX objects_tombstones (deleted_at";

/// A statement, and what its plan must name.
type Case = (&'static str, &'static [&'static str]);

const CASES: &[Case] = &[
    (catalogue::SPAN, &[STRETCH, SOURCE, LETTER]),
    (
        catalogue::LISTED,
        &["c USING PRIMARY KEY (sync=?", SOURCE, LETTER],
    ),
    (commit::CURRENT, &[SOURCE]),
    (commit::HOLD_ON, &[SOURCE]),
    (commit::RETURN, &[ROW]),
    (commit::SEE, &[ROW]),
    (commit::DRIFT, &[ROW]),
    (commit::HIDE, &[ROW]),
    (
        commit::MOVE_OBJECTS,
        &[
            CATALOGUE_ROW,
            "o USING COVERING INDEX sqlite_autoindex_objects_1 (organization=? AND id=?)",
            "objects USING INTEGER PRIMARY KEY (rowid=?)",
        ],
    ),
    (commit::MOVE_ROWS, &[CATALOGUE_ROW]),
    (commit::CUT, &[STRETCH]),
    (commit::PASS_OVER, &[STRETCH]),
    (
        deletes::STEP_END,
        &[STRETCH, "(authority,source_object)>(?,?) AND authority<?)"],
    ),
    (deletes::MARK, &[ROW, STRETCH]),
    (
        deletes::SURVEY,
        &["c USING PRIMARY KEY (sync=? AND organization=?)"],
    ),
    (deletes::HOLD, &[ROW, MISSING, "missing_since=?"]),
    (deletes::LET_GO, &[ROW, MISSING]),
    (absent::MARK_NAMED, &[CATALOGUE_ROW, ROW]),
    (absent::MARK_IN, &[ROW, LINEAGE, "lineage=?"]),
    (absent::LINEAGES, &[LINEAGE, "lineage>?"]),
    (
        absent::TO_TRACE,
        &[
            "catalogue_to_trace (organization=? AND sync=? AND authority=? AND missing_pass=? AND source_object>?)",
        ],
    ),
    (held_deletes::COUNT_WAITING, &[MISSING]),
    (held_deletes::DROP_WAITING, &[ROW, MISSING]),
    (held_deletes::TELL_RELEASED, &[MISSING]),
    (
        lifecycle::LET_IN,
        &["PRIMARY KEY (sync=? AND organization=?)"],
    ),
    (
        lifecycle::FORGET_LEFT_OUT,
        &["(organization=? AND object=? AND sync=?)"],
    ),
    (objects::BURY, &["(organization=? AND id=?)", HOLDERS]),
    (
        objects::LIST,
        &["objects_by_age (organization=? AND bucket=? AND (created_at,id)<(?,?))"],
    ),
    (
        dead_letters::LIST,
        &["dead_letters_by_age (organization=? AND sync=? AND (first_seen_at,id)<(?,?))"],
    ),
    (
        dead_letters::COUNT,
        &["INDEX dead_letters_due (organization=? AND sync=?)"],
    ),
    (
        dead_letters::COUNT_EXHAUSTED,
        &["INDEX dead_letters_exhausted (organization=? AND sync=?)"],
    ),
    (
        dead_letters::DUE,
        &[
            "MERGE (UNION ALL)",
            "INDEX dead_letters_due (organization=? AND sync=? AND exhausted=?)",
            "INDEX dead_letters_due (organization=? AND sync=? AND exhausted=? AND <expr><?)",
        ],
    ),
    (dead_letters::REATTEMPTED, &[LETTER]),
    (dead_letters::RESOLVE, &[LETTER]),
    (
        across_organizations::CREDENTIAL,
        &[
            "k USING INDEX api_keys_hash (hash=?)",
            "u USING INDEX sqlite_autoindex_users_1 (organization=? AND id=?)",
        ],
    ),
    (audit::LIST, &[PLACES, "position>? AND position<?)"]),
    (
        audit::LIST_OF,
        &[
            "INDEX audit_rows_resource (organization=? AND resource_id=? AND position>? AND position<?)",
        ],
    ),
    (audit::COUNT, &[PLACES]),
    (
        audit::COUNT_OF,
        &[
            "INDEX audit_rows_resource (organization=? AND resource_id=? AND position>? AND position<?)",
        ],
    ),
    (audit::CHAIN, &[PLACES, "position>?)"]),
    (
        audit::UNCHAINED,
        &["INDEX audit_rows_unchained (organization=?)"],
    ),
    (connections::UPDATE, &["(organization=? AND id=?)"]),
    (across_organizations::DUE_OF_OTHERS, &[DUE]),
    (across_organizations::DUE_OF, &[DUE]),
    (
        across_organizations::CHANNEL,
        &["INDEX syncs_push_channel (push_channel=?)"],
    ),
    (across_organizations::RING, &["(organization=? AND id=?)"]),
    (
        sessions::LOOK,
        &[
            "c USING INDEX sqlite_autoindex_connections_1 (organization=? AND id=?)",
            SESSION,
        ],
    ),
    (sessions::KEEP, &[SESSION]),
    (sessions::LET_GO, &[SESSION]),
    (
        sessions::ROTATE,
        &[
            "connections USING INDEX sqlite_autoindex_connections_1 (organization=? AND id=?)",
            SESSION,
        ],
    ),
    (
        consents::COUNT,
        &["INDEX consents_under_way (organization=?)"],
    ),
    (
        consents::PRUNE,
        &["INDEX consents_under_way (organization=? AND expires_at<?)"],
    ),
    (
        consents::PRUNE_ALL,
        &["INDEX consents_expired (expires_at<?)"],
    ),
    (consents::TAKE, &["(state_sha256=?)"]),
    (across_organizations::PURGE, &[TOMBSTONES]),
    // The rows that go with an object are found by it.
    (across_organizations::FORGET, &[TOMBSTONES, HOLDERS]),
    (
        checks::LIST,
        &["connection_checks_by_age (organization=? AND connection=? AND (at,id)<(?,?))"],
    ),
    (
        checks::COUNT,
        &["COVERING INDEX connection_checks_by_age (organization=? AND connection=?)"],
    ),
    (
        checks::AVAILABILITY,
        &["COVERING INDEX connection_checks_by_age (organization=? AND connection=?)"],
    ),
    (events::FROM, &["(organization=? AND position>?)"]),
    (events::BEFORE, &["(organization=? AND position<?)"]),
    (
        events::OF_ROWS,
        &["INDEX events_audit (organization=? AND audit=?)"],
    ),
    (
        webhooks::LIST,
        &["webhooks_by_age (organization=? AND (created_at,id)<(?,?))"],
    ),
    (
        webhooks::DELIVERIES,
        &["webhook_deliveries_by_age (organization=? AND webhook=? AND (at,id)<(?,?))"],
    ),
    (
        webhooks::COUNT_DELIVERIES,
        &["COVERING INDEX webhook_deliveries_by_age (organization=? AND webhook=?)"],
    ),
    (
        dispatch::DUE_CHECK,
        &["INDEX connections_to_check (next_check_at<?)"],
    ),
    (
        dispatch::DUE_WEBHOOK,
        &[
            "SEARCH s USING INDEX webhooks_due (<expr><?)",
            "SEARCH h USING INDEX sqlite_autoindex_audit_heads_1 (organization=?)",
            "(organization=? AND webhook=?)",
        ],
    ),
    (
        dispatch::DUE_STREAM,
        &["SEARCH s USING INDEX event_streams_due (<expr><?)"],
    ),
    (dispatch::PRUNE_EVENTS, &["INDEX events_old (at<?)"]),
    (
        dispatch::PRUNE_DELIVERIES,
        &["INDEX webhook_deliveries_old (at<?)"],
    ),
    (
        dispatch::PRUNE_CHECKS,
        &["INDEX connection_checks_old (at<?)"],
    ),
    (
        dispatch::PRUNE_CLAIMS,
        &["INDEX idempotency_claims_old (claimed_at<?)"],
    ),
    // What goes with a webhook is found by it.
    (
        "DELETE FROM webhooks WHERE organization = $1 AND id = $2",
        &[
            "webhook_deliveries USING COVERING INDEX webhook_deliveries_by_age (organization=? AND webhook=?)",
            "webhook_redeliveries USING",
        ],
    ),
    // What goes with a sync is found by it.
    (
        "DELETE FROM syncs WHERE organization = $1 AND id = $2",
        &[
            "catalogue USING PRIMARY KEY (sync=? AND organization=?)",
            "dead_letters USING COVERING INDEX sqlite_autoindex_dead_letters_1 (organization=? AND sync=?)",
            "jobs USING COVERING INDEX jobs_by_age (organization=? AND sync=?)",
        ],
    ),
];

async fn plan(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
    sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
        .fetch_all(connection)
        .await
        .expect("a plan")
        .iter()
        .map(|row| row.get("detail"))
        .collect()
}

/// Whether a step of a plan goes over a whole table, or sorts. Lists that were bound, and what a step before has selected,
/// are gone over as they are, and so is what a recursion or a subquery has found.
fn is_slow(step: &str) -> bool {
    let scanned = step.strip_prefix("SCAN ").unwrap_or_default();
    let bounded = scanned.contains("VIRTUAL TABLE")
        || scanned.starts_with("(subquery-")
        || matches!(scanned, "CONSTANT ROW" | "folder" | "found");
    (!scanned.is_empty() && !bounded) || step.contains("TEMP B-TREE") || step.contains("AUTOMATIC")
}

#[tokio::test]
async fn hot_statements_use_their_index_and_neither_scan_nor_sort() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wharf.db");
    let database = SqliteDatabase::open(file.to_str().expect("UTF-8"))
        .await
        .expect("the database opens");
    let mut connection = database.reads.acquire().await.expect("a connection");
    for (statement, named) in CASES {
        let plan = plan(&mut connection, statement).await;
        for name in *named {
            assert!(
                plan.iter().any(|step| step.contains(name)),
                "{name} is not used by\n{statement}\n{plan:#?}"
            );
        }
        // What is due is few, and comes in the order of who has least: that order is in no index.
        let sorts = *statement == dispatch::DUE_WEBHOOK;
        let slow = plan.iter().filter(|step| is_slow(step));
        let slow: Vec<_> = slow
            .filter(|step| !(sorts && step.contains("TEMP B-TREE FOR ORDER BY")))
            .collect();
        assert!(slow.is_empty(), "{slow:?} in\n{statement}\n{plan:#?}");
    }
}

#[tokio::test]
async fn leases_are_counted_and_released_over_held_syncs_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wharf.db");
    let database = SqliteDatabase::open(file.to_str().expect("UTF-8"))
        .await
        .expect("the database opens");
    let mut connection = database.reads.acquire().await.expect("a connection");
    for statement in [across_organizations::AT_WORK, across_organizations::RELEASE] {
        let plan = plan(&mut connection, statement).await;
        let scans: Vec<_> = plan
            .iter()
            .filter(|step| step.starts_with("SCAN"))
            .collect();
        assert!(
            scans.iter().all(|step| step.ends_with("INDEX syncs_held")),
            "{plan:#?}"
        );
        assert_eq!(scans.len(), 1, "{plan:#?}");
    }
}
