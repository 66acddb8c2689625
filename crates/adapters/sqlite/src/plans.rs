//! How the database carries out the statements that runs live on.

use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use tempfile::TempDir;

use crate::runs::{commit, deletes};
use crate::{SqliteDatabase, across_organizations, catalogue, dead_letters, objects, syncs};

async fn plan(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
    sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
        .fetch_all(connection)
        .await
        .expect("a plan")
        .iter()
        .map(|row| row.get("detail"))
        .collect()
}

#[tokio::test]
async fn show() {
    let folder: TempDir = tempfile::tempdir().expect("a folder");
    let database = SqliteDatabase::open(&format!("{}/wharf.db", folder.path().display()))
        .await
        .expect("opens");
    let mut c = database.store.begin().await.expect("c");
    for (name, statement) in [
        ("SPAN", catalogue::SPAN),
        ("LISTED", catalogue::LISTED),
        ("CURRENT", commit::CURRENT),
        ("PUBLISH", commit::PUBLISH),
        ("HOLD_ON", commit::HOLD_ON),
        ("LEAVE_OUT", commit::LEAVE_OUT),
        ("RETURN", commit::RETURN),
        ("SEE", commit::SEE),
        ("DRIFT", commit::DRIFT),
        ("CUT", commit::CUT),
        ("PASS_OVER", commit::PASS_OVER),
        ("STEP_END", deletes::STEP_END),
        ("MARK", deletes::MARK),
        ("SURVEY", deletes::SURVEY),
        ("HOLD", deletes::HOLD),
        ("LET_GO", deletes::LET_GO),
        ("BURY", objects::BURY),
        ("olist", objects::LIST),
        ("dlist", dead_letters::LIST),
        ("dcount", dead_letters::COUNT),
        ("dcex", dead_letters::COUNT_EXHAUSTED),
        ("REATT", dead_letters::REATTEMPTED),
        ("FAILED", dead_letters::FAILED),
        ("RESOLVE", dead_letters::RESOLVE),
        ("DISPOSE", dead_letters::DISPOSE),
        ("RELEASE", across_organizations::RELEASE),
        ("AT_WORK", across_organizations::AT_WORK),
        ("DUE_O", across_organizations::DUE_OF_OTHERS),
        ("DUE", across_organizations::DUE_OF),
        ("PURGE", across_organizations::PURGE),
        ("FORGET", across_organizations::FORGET),
        ("WAITING", syncs::deletes::COUNT_WAITING),
        ("DROP", syncs::deletes::DROP_WAITING),
        ("TELL", syncs::deletes::TELL_RELEASED),
        ("FORGETL", syncs::lifecycle::FORGET_LEFT_OUT),
        ("LETIN", syncs::lifecycle::LET_IN),
    ] {
        eprintln!("== {name}");
        for line in plan(&mut c, statement).await {
            eprintln!("   {line}");
        }
    }
}
