//! What holds of the database file, beyond the promises of the ports.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use common::bare;
use sqlx::AssertSqlSafe;
use tempfile::TempDir;
use wharf_domain::audit::Action;
use wharf_domain::connection::{
    ConnectionFilter, ConnectionIdentifier, Edit, Event, Health, Intent, NewConnection,
    PublicStatus, SealedCredentials, public_status,
};
use wharf_domain::page::PageRequest;
use wharf_domain::provider::CredentialType;
use wharf_ports::{InsertError, RepositoryError, StoredSession, StoredToken, TokenWish};
use wharf_sqlite::{OpenError, SqliteDatabase};
use wharf_testkit::{Harness, build};

async fn harness() -> (Harness, SqliteDatabase, TempDir) {
    let (database, folder) = common::empty_database().await;
    (
        Harness::in_real_time(common::repositories(&database)),
        database,
        folder,
    )
}

fn holds(folder: &TempDir, canary: &[u8]) -> bool {
    let files = std::fs::read_dir(folder.path()).expect("the folder is there");
    files.into_iter().any(|file| {
        let bytes = std::fs::read(file.expect("an entry").path()).expect("a readable file");
        bytes.windows(canary.len()).any(|window| window == canary)
    })
}

#[tokio::test]
async fn a_database_is_opened_again_with_what_it_holds() {
    let (h, database, folder) = harness().await;
    h.tenant("acme").await;
    database.close().await;
    for _ in 0..2 {
        let again = common::open(&folder).await;
        assert_eq!(
            common::repositories(&again)
                .across
                .list_organizations()
                .await
                .expect("a list")
                .len(),
            1
        );
        again.close().await;
    }
}

#[tokio::test]
async fn a_closed_database_is_unavailable() {
    let (database, _folder) = common::empty_database().await;
    database.close().await;
    assert!(matches!(
        common::repositories(&database).across.now().await,
        Err(RepositoryError::Unavailable(_))
    ));
}

#[tokio::test]
async fn a_plain_path_names_a_file_as_a_url_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("with space % and ?.db");
    let database = SqliteDatabase::open(path.to_str().expect("UTF-8"))
        .await
        .expect("the database opens");
    common::repositories(&database)
        .across
        .now()
        .await
        .expect("it answers");
    assert!(path.exists());
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let (database, folder) = common::empty_database().await;
    database.close().await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'from the future', true, x'00', 0)",
    )
    .execute(&mut bare(&folder).await)
    .await
    .expect("a row");
    let refused = SqliteDatabase::open(&common::url(&folder))
        .await
        .expect_err("it is newer");
    assert!(
        matches!(refused, OpenError::Newer { migration: 9999 }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("newer version"));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = b"something else that somebody may still want, long enough to be taken for a page of a database. ";
    std::fs::write(common::file(&folder), text.repeat(50)).expect("a file");
    assert!(SqliteDatabase::open(&common::url(&folder)).await.is_err());
    assert_eq!(
        std::fs::read(common::file(&folder)).expect("the file"),
        text.repeat(50)
    );
    let nowhere = folder.path().join("missing/wharf.db");
    let refused = SqliteDatabase::open(nowhere.to_str().expect("UTF-8")).await;
    assert!(
        matches!(refused, Err(OpenError::File { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn only_the_owner_may_read_the_file_and_its_log() {
    let (h, _database, folder) = harness().await;
    h.tenant("acme").await;
    let mode = |path: &Path| {
        std::fs::metadata(path)
            .expect("the file is there")
            .permissions()
            .mode()
            & 0o777
    };
    let modes: Vec<_> = std::fs::read_dir(folder.path())
        .expect("the folder")
        .map(|entry| mode(&entry.expect("an entry").path()))
        .collect();
    assert!(modes.len() >= 2, "the database and its log");
    assert!(modes.iter().all(|mode| *mode == 0o600), "{modes:?}");
}

#[tokio::test]
async fn archived_and_replaced_credentials_are_nowhere_in_the_files() {
    let (h, _database, folder) = harness().await;
    let acme = h.tenant("acme").await;
    let canaries: [&[u8]; 2] = [b"canary-4fd1c2a7-first", b"canary-90be55d3-second"];
    // One within a page, one that needs pages of its own.
    let sealed = [
        SealedCredentials(canaries[0].to_vec()),
        SealedCredentials(canaries[1].repeat(2000)),
    ];
    let new = NewConnection {
        sealed: sealed[0].clone(),
        ..build::connection(&h.ids, &acme.organization, &acme.admin, "store")
    };
    let audit = h.audit(Action::ConnectionCreated);
    let connection = h
        .repositories
        .connections
        .insert(new, audit)
        .await
        .expect("a connection");
    assert!(
        holds(&folder, canaries[0]),
        "the canary can be seen while it is stored"
    );

    let config = (
        build::tigris_config(),
        CredentialType::AccessKey,
        sealed[1].clone(),
    );
    acme.apply(
        &connection,
        vec![Event::Edit(Box::new(Edit {
            config: Some(config),
            ..Edit::default()
        }))],
    )
    .await;
    assert!(!holds(&folder, canaries[0]), "replaced");
    assert!(holds(&folder, canaries[1]));

    acme.apply(&connection, vec![Event::Archive]).await;
    assert!(!holds(&folder, canaries[1]), "archived");
}

#[tokio::test]
async fn rotated_credentials_and_tokens_of_what_is_over_are_nowhere_in_the_files() {
    let (h, _database, folder) = harness().await;
    let acme = h.tenant("acme").await;
    let canaries: [&[u8]; 4] = [
        b"canary-11aa5c1e-sealed",
        b"canary-22bb6d2f-rotated",
        b"canary-33cc7e30-token",
        b"canary-44dd8f41-token",
    ];
    let new = NewConnection {
        sealed: SealedCredentials(canaries[0].to_vec()),
        ..build::connection(&h.ids, &acme.organization, &acme.admin, "store")
    };
    let audit = h.audit(Action::ConnectionCreated);
    let connections = &h.repositories.connections;
    let connection = connections.insert(new, audit).await.expect("a connection");
    let sessions = &h.repositories.sessions;
    let (organization, id) = (&acme.organization, &connection.id);
    let keep = async |version, token: &[u8], rotated| {
        let answer = sessions
            .take(organization, id, version, TokenWish::Any)
            .await;
        let Ok(StoredSession::Refresh(right)) = answer else {
            panic!("{answer:?}");
        };
        let token = StoredToken {
            sealed: token.to_vec(),
            renew_at: build::instant(4_000_000_000_000_000),
            serial: right.serial,
        };
        let kept = sessions.keep(organization, id, version, right, token, rotated);
        assert!(kept.await.expect("an answer"));
    };
    let rotated = SealedCredentials(canaries[1].to_vec());
    keep(1, canaries[2], Some(rotated)).await;
    assert!(!holds(&folder, canaries[0]), "rotated");
    assert!(holds(&folder, canaries[1]) && holds(&folder, canaries[2]));

    let config = (
        build::tigris_config(),
        CredentialType::AccessKey,
        SealedCredentials(vec![1]),
    );
    let edit = Edit {
        config: Some(config),
        ..Edit::default()
    };
    acme.apply(&connection, vec![Event::Edit(Box::new(edit))])
        .await;
    assert!(!holds(&folder, canaries[1]) && !holds(&folder, canaries[2]));
    keep(2, canaries[3], None).await;
    assert!(holds(&folder, canaries[3]));
    acme.apply(&connection, vec![Event::Archive]).await;
    assert!(!holds(&folder, canaries[3]), "archived");
}

#[tokio::test]
async fn credentials_are_shredded_while_others_read_and_write() {
    let (h, _database, folder) = harness().await;
    let acme = h.tenant("acme").await;
    let canary = b"canary-c0ffee11-shredded";
    let new = NewConnection {
        sealed: SealedCredentials(canary.repeat(300)),
        ..build::connection(&h.ids, &acme.organization, &acme.admin, "store")
    };
    let audit = h.audit(Action::ConnectionCreated);
    let connection = h
        .repositories
        .connections
        .insert(new, audit)
        .await
        .expect("a connection");
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (connections, organization) = (
                h.repositories.connections.clone(),
                acme.organization.clone(),
            );
            tokio::spawn(async move {
                for _ in 0..50 {
                    let page = PageRequest::first(100);
                    connections
                        .list(&organization, &ConnectionFilter::default(), &page)
                        .await
                        .expect("a list");
                }
            })
        })
        .collect();
    acme.apply(&connection, vec![Event::Archive]).await;
    assert!(!holds(&folder, canary));
    for reader in readers {
        reader.await.expect("a reader that did not fail");
    }
}

#[tokio::test]
async fn a_log_that_a_killed_process_left_is_emptied_when_the_file_is_opened() {
    let (h, _database, folder) = harness().await;
    let acme = h.tenant("acme").await;
    let canary = b"canary-77aa02be-left-behind";
    let new = NewConnection {
        sealed: SealedCredentials(canary.repeat(300)),
        ..build::connection(&h.ids, &acme.organization, &acme.admin, "store")
    };
    let audit = h.audit(Action::ConnectionCreated);
    let connections = &h.repositories.connections;
    connections.insert(new, audit).await.expect("a connection");
    let mut bare = bare(&folder).await;
    for statement in [
        "PRAGMA secure_delete = ON",
        "UPDATE connections SET intent = 'archived', sealed = NULL",
    ] {
        sqlx::query(statement)
            .execute(&mut bare)
            .await
            .expect("archived without a truncation");
    }
    // What a process that was killed right now would leave.
    let left = tempfile::tempdir().expect("a folder");
    for file in ["wharf.db", "wharf.db-wal"] {
        std::fs::copy(folder.path().join(file), left.path().join(file)).expect("a copy");
    }
    assert!(holds(&left, canary));
    let again = common::open(&left).await;
    assert!(!holds(&left, canary));
    let repositories = common::repositories(&again);
    let found = repositories
        .connections
        .list(
            &acme.organization,
            &ConnectionFilter::default(),
            &PageRequest::first(10),
        )
        .await
        .expect("a list");
    assert_eq!(found.items[0].intent, Intent::Archived);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_leaves_no_archived_credentials_behind() {
    let (h, _database, folder) = harness().await;
    let acme = h.tenant("acme").await;
    let connections = &h.repositories.connections;
    for round in 0..20 {
        let canary = format!("canary-5e0c91d3-{round:02}-abandoned");
        let new = NewConnection {
            sealed: SealedCredentials(canary.as_bytes().repeat(300)),
            ..build::connection(
                &h.ids,
                &acme.organization,
                &acme.admin,
                &format!("store {round}"),
            )
        };
        let audit = h.audit(Action::ConnectionCreated);
        let connection = connections.insert(new, audit).await.expect("a connection");
        let audit = vec![h.audit(Action::ConnectionUpdated)];
        let events = vec![Event::Archive];
        let archiving = connections.apply(&acme.organization, &connection.id, None, events, audit);
        let patience = Duration::from_micros(150 * round);
        let _ = tokio::time::timeout(patience, archiving).await;
        let mut looks = 0;
        while holds(&folder, canary.as_bytes()) {
            looks += 1;
            assert!(looks < 500, "round {round}: it stays");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let stored = acme.stored_connection(&connection).await;
        assert_eq!(stored.intent, Intent::Archived);
    }
}

#[tokio::test]
async fn a_refused_statement_is_told_by_step_and_code_and_not_as_unavailable() {
    let (h, _database, folder) = harness().await;
    let acme = h.tenant("acme").await;
    sqlx::query(
        "CREATE TRIGGER refuses BEFORE INSERT ON buckets BEGIN SELECT RAISE(ABORT, 'a value'); END",
    )
    .execute(&mut bare(&folder).await)
    .await
    .expect("a trigger");
    let new = build::bucket(&h.ids, &acme.namespace, "media");
    let audit = h.audit(Action::BucketCreated);
    let refused = h
        .repositories
        .buckets
        .insert(&acme.organization, new, audit)
        .await;
    let Err(InsertError::Repository(RepositoryError::Corrupt(place))) = refused else {
        panic!("{refused:?}")
    };
    assert!(place.starts_with("buckets, line "), "{place}");
    assert!(!place.contains("a value"), "{place}");
}

#[tokio::test]
async fn the_status_that_filters_see_is_the_models() {
    let (h, _database, folder) = harness().await;
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let mut bare = bare(&folder).await;
    for intent in [Intent::Enabled, Intent::Suspended, Intent::Archived] {
        for (failures, definite) in
            (0..=6).flat_map(|failures| [(failures, false), (failures, true)])
        {
            sqlx::query(
                "UPDATE connections SET intent = $1, consecutive_failures = $2, definite_failure = $3, \
                 sealed = CASE WHEN $1 = 'archived' THEN NULL ELSE x'00' END",
            )
            .bind(intent.as_str())
            .bind(failures)
            .bind(definite && failures > 0)
            .execute(&mut bare)
            .await
            .expect("an update");
            let status = public_status(intent, Health::from_stored(failures, definite));
            for wanted in PublicStatus::ALL {
                let filter = ConnectionFilter {
                    status: Some(wanted),
                    ..ConnectionFilter::default()
                };
                let list = h
                    .repositories
                    .connections
                    .list(&acme.organization, &filter, &PageRequest::first(10))
                    .await;
                let found = !list.expect("a list").items.is_empty();
                assert_eq!(
                    found,
                    wanted == status,
                    "{intent:?} {failures} {definite} as {wanted}"
                );
            }
            let identifier = ConnectionIdentifier::Id(connection.id.clone());
            let stored = h
                .repositories
                .connections
                .find(&acme.organization, &identifier)
                .await
                .expect("an answer");
            assert_eq!(stored.expect("the connection").status(), status);
        }
    }
}

#[tokio::test]
async fn a_row_that_does_not_make_sense_is_named_without_its_value() {
    let (h, _database, folder) = harness().await;
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let mut bare = bare(&folder).await;
    for (column, value) in [
        ("intent", "'gibberish'"),
        ("config", "'gibberish'"),
        ("created_at", "9223372036854775807"),
    ] {
        sqlx::query(AssertSqlSafe(format!(
            "UPDATE connections SET {column} = {value}"
        )))
        .execute(&mut bare)
        .await
        .expect("an update");
        let identifier = ConnectionIdentifier::Id(connection.id.clone());
        let found = h
            .repositories
            .connections
            .find(&acme.organization, &identifier)
            .await;
        let Err(RepositoryError::Corrupt(place)) = found else {
            panic!("{column}: {found:?}")
        };
        assert!(
            place.starts_with(&format!("connections.{column}:")),
            "{place}"
        );
        assert!(!place.contains("gibberish"), "{place}");
        sqlx::query("UPDATE connections SET intent = 'enabled'")
            .execute(&mut bare)
            .await
            .expect("an update");
        sqlx::query("UPDATE connections SET config = $1")
            .bind(serde_json::to_string(&connection.config.to_json()).expect("JSON"))
            .execute(&mut bare)
            .await
            .expect("an update");
    }
}

#[tokio::test]
async fn rows_written_within_one_millisecond_keep_their_order() {
    let (h, _database, _folder) = harness().await;
    let acme = h.tenant("acme").await;
    let mut written = Vec::new();
    for n in 0..30 {
        written.push(acme.bucket(&format!("bucket {n}")).await.id);
    }
    let page = PageRequest::first(100);
    let listed = h
        .repositories
        .buckets
        .list(&acme.organization, &acme.namespace, None, &page)
        .await
        .expect("a list");
    let mut listed: Vec<_> = listed.items.into_iter().map(|bucket| bucket.id).collect();
    listed.reverse();
    assert_eq!(listed, written);
}

#[tokio::test]
async fn a_second_process_waits_for_the_writer_instead_of_failing() {
    let (h, _database, folder) = harness().await;
    let acme = h.tenant("acme").await;
    let mut bare = bare(&folder).await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut bare)
        .await
        .expect("the write lock");
    let insert = async {
        acme.bucket("media").await;
    };
    let release = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        sqlx::query("COMMIT")
            .execute(&mut bare)
            .await
            .expect("a commit");
    };
    tokio::join!(insert, release);
}
