//! Syncs of a provider that keeps a feed of changes: what is listed, what is only asked of the feed, and what nobody deletes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use wharf_domain::connection::Connection;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::explain::Decision;
use wharf_domain::job::{Job, RING_REST};
use wharf_domain::provider::{EndpointUrl, Provider, parse_new};
use wharf_domain::sync::{Sync, SyncMode, SyncSettings};
use wharf_domain::sync_edit::SyncEdit;
use wharf_engine::{ConfigFields, CreateConnection, UpdateConnection};
use wharf_testkit::provider::{Asked, Failure, FakeDrive, FakeProviderFactory};

use crate::world::{World, fields, new_connection};

const DAY: Duration = Duration::from_hours(24);

/// A world with a drive of these files in the folder `docs`, whose engine opens it.
pub(crate) async fn driven(files: &[&str]) -> (World, FakeDrive) {
    let mut world = World::new().await;
    let drive = FakeDrive::new(world.clock.clone());
    let factory = FakeProviderFactory::new(world.source.clone()).with_drive(drive.clone());
    world.engine = world.engine_with(Arc::new(factory));
    drive.folder("docs", "root");
    drive.folder("old", "root");
    drive.folder("elsewhere", "nowhere");
    for file in files {
        drive.put(
            file,
            "docs",
            &format!("{file}.txt"),
            &format!("text of {file}"),
        );
    }
    (world, drive)
}

pub(crate) fn drive_connection(name: &str, refresh_token: &str) -> CreateConnection {
    let config = json!({
        "credentials": {
            "type": "oauth",
            "client_id": "client",
            "client_secret": "secret of the client",
            "refresh_token": refresh_token,
        },
    });
    CreateConnection {
        provider_config: parse_new(Provider::GoogleDrive, fields(config), "provider_config")
            .unwrap(),
        ..new_connection(name, true)
    }
}

pub(crate) async fn connected(world: &World) -> Connection {
    let new = drive_connection("drive", "refresh-0");
    world
        .engine
        .create_connection(&world.caller, new)
        .await
        .unwrap()
}

/// A continuous sync that has had its first run.
async fn followed(world: &World, drive: &FakeDrive) -> Sync {
    let connection = connected(world).await;
    let settings = SyncSettings::of("root".to_owned());
    let sync = world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await;
    assert!(world.run().await);
    assert_is_as_at(world, drive).await;
    drive.take_asked();
    sync
}

/// The bucket has what is in the source, at the same paths.
async fn assert_is_as_at(world: &World, drive: &FakeDrive) {
    let contents = world.contents().await;
    let found = world.objects(false).await.into_iter().map(|object| {
        let bytes = &contents[&object.source.object];
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        (object.facts.path, text)
    });
    assert_eq!(
        found.collect::<std::collections::BTreeMap<_, _>>(),
        drive.files()
    );
}

async fn next(world: &World, sync: &Sync) -> Job {
    assert!(world.next_run().await);
    world.last_job(sync).await
}

#[tokio::test]
async fn the_first_run_lists_behind_the_start_of_the_feed_and_the_next_ones_ask_the_feed_alone() {
    let (world, drive) = driven(&["a", "b", "c"]).await;
    drive.set_page_size(2);
    let connection = connected(&world).await;
    let settings = SyncSettings::of("root".to_owned());
    let sync = world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await;
    drive.take_asked();
    world.run().await;
    let asked = drive.take_asked();
    assert_eq!(asked[..2], [Asked::FeedStart, Asked::List]);
    assert_eq!(asked.iter().filter(|it| **it == Asked::Fetch).count(), 3);
    assert!(world.stored(&sync).await.feed.is_some());

    let job = next(&world, &sync).await;
    assert_eq!(drive.take_asked(), [Asked::Changes]);
    assert_eq!((job.complete, job.counters.discovered), (Some(true), 0));

    drive.put("b", "docs", "b.txt", "another text");
    drive.put("d", "docs", "d.txt", "a new one");
    let job = next(&world, &sync).await;
    assert_eq!(
        drive.take_asked(),
        [Asked::Changes, Asked::Fetch, Asked::Fetch]
    );
    assert_eq!(job.counters.synced, 2);
    assert_is_as_at(&world, &drive).await;
}

#[tokio::test]
async fn what_is_renamed_or_moved_is_not_copied_again_and_does_not_go_with_its_old_folder() {
    let (world, drive) = driven(&["a", "b"]).await;
    let sync = followed(&world, &drive).await;
    drive.rename("a", "renamed.txt");
    drive.relocate("b", "old");
    drive.relocate("old", "docs");
    next(&world, &sync).await;
    assert_eq!(drive.take_asked(), [Asked::Changes]);
    assert_is_as_at(&world, &drive).await;

    drive.relocate("old", "root");
    drive.trash("docs");
    let job = next(&world, &sync).await;
    assert_eq!(job.counters.deleted, 1);
    assert_is_as_at(&world, &drive).await;
    let paths: Vec<String> = drive.files().into_keys().collect();
    assert_eq!(paths, ["old/b.txt"]);
}

#[tokio::test]
async fn a_folder_that_comes_into_the_source_brings_its_files_and_one_that_leaves_takes_them() {
    let (world, drive) = driven(&["a"]).await;
    let sync = followed(&world, &drive).await;
    drive.put("far", "elsewhere", "far.txt", "from afar");
    next(&world, &sync).await;
    assert_is_as_at(&world, &drive).await;
    drive.relocate("elsewhere", "docs");
    next(&world, &sync).await;
    assert_eq!(world.objects(false).await.len(), 2);
    assert_is_as_at(&world, &drive).await;
    drive.relocate("elsewhere", "nowhere");
    let job = next(&world, &sync).await;
    assert_eq!(job.counters.deleted, 1);
    assert_is_as_at(&world, &drive).await;
}

#[tokio::test]
async fn what_is_hidden_waits_for_a_person_whether_the_feed_tells_or_a_listing() {
    for listed in [false, true] {
        let (world, drive) = driven(&["a", "b"]).await;
        let sync = followed(&world, &drive).await;
        drive.hide("a", true);
        if listed {
            drive.expire_feed();
        }
        let job = next(&world, &sync).await;
        assert_eq!((job.counters.deleted, job.counters.held), (0, 1));
        let held = world.stored(&sync).await.held_deletes.expect("it is told");
        assert!(
            held.reason.contains("only when a person approves"),
            "{}",
            held.reason
        );
        // However often a complete pass agrees.
        for _ in 0..2 {
            world.clock.advance(DAY);
            assert_eq!(next(&world, &sync).await.counters.deleted, 0);
        }
        assert_eq!(world.objects(false).await.len(), 2);

        drive.hide("a", false);
        next(&world, &sync).await;
        assert_eq!(world.stored(&sync).await.held_deletes, None);

        drive.hide("a", true);
        next(&world, &sync).await;
        let (caller, bucket) = (&world.caller, &world.bucket);
        let approved = world
            .engine
            .approve_deletes(caller, bucket, sync.id.as_str())
            .await;
        assert_eq!(approved.unwrap(), 1);
        assert_is_as_at(&world, &drive).await;
    }
}

#[tokio::test]
async fn the_whole_source_is_listed_when_the_place_is_lost_and_once_a_day() {
    let (world, drive) = driven(&["a", "b"]).await;
    let sync = followed(&world, &drive).await;
    drive.expire_feed();
    drive.trash("a");
    let job = next(&world, &sync).await;
    let asked = drive.take_asked();
    let expected = [Asked::Changes, Asked::FeedStart, Asked::List, Asked::Trace];
    assert_eq!(asked, expected);
    assert_eq!((job.complete, job.counters.deleted), (Some(true), 1));

    world.clock.advance(Duration::from_mins(24 * 60 - 10));
    next(&world, &sync).await;
    assert_eq!(drive.take_asked(), [Asked::Changes]);
    next(&world, &sync).await;
    assert_eq!(drive.take_asked(), [Asked::FeedStart, Asked::List]);
    next(&world, &sync).await;
    assert_eq!(drive.take_asked(), [Asked::Changes]);
}

#[tokio::test]
async fn a_sync_whose_rules_change_or_that_is_asked_to_lists_again() {
    let (world, drive) = driven(&["a", "b"]).await;
    let sync = followed(&world, &drive).await;
    let filters = wharf_domain::filter::FileFilters::parse(
        fields(json!({"exclude_patterns": ["docs/a*"]})),
        "file_filters",
    );
    let edit = SyncEdit::FileFilters(Some(filters.unwrap()));
    world.edit(&sync, vec![edit]).await;
    world.run().await;
    let job = world.last_job(&sync).await;
    assert_eq!(drive.take_asked(), [Asked::FeedStart, Asked::List]);
    assert_eq!(job.counters.deleted, 1, "what drifts is not traced");

    next(&world, &sync).await;
    assert_eq!(drive.take_asked(), [Asked::Changes]);
    let (caller, bucket) = (&world.caller, &world.bucket);
    let triggered = world
        .engine
        .trigger_sync(caller, bucket, sync.id.as_str(), true)
        .await;
    triggered.unwrap();
    world.run().await;
    assert_eq!(drive.take_asked(), [Asked::FeedStart, Asked::List]);
}

#[tokio::test]
async fn a_file_that_failed_is_looked_at_again_although_nothing_changed() {
    let (world, drive) = driven(&["a", "b", "c"]).await;
    for file in ["a", "b"] {
        let failure = Failure::permanent(ErrorCode::IntegrityMismatch);
        drive.fail_fetch(file, Some(failure));
    }
    let connection = connected(&world).await;
    let settings = SyncSettings::of("root".to_owned());
    let sync = world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await;
    world.run().await;
    assert_eq!(world.objects(false).await.len(), 1);
    drive.take_asked();

    drive.fail_fetch("a", None);
    drive.hide("b", true);
    let job = next(&world, &sync).await;
    assert_eq!((job.counters.synced, job.counters.failed), (1, 1));
    let looks = [Asked::Changes, Asked::Look, Asked::Look, Asked::Fetch];
    assert_eq!(drive.take_asked(), looks);
    assert_is_as_at(&world, &drive).await;
    // What is not there any more is left alone after some tries.
    next(&world, &sync).await;
    drive.take_asked();
    next(&world, &sync).await;
    assert_eq!(drive.take_asked(), [Asked::Changes]);
}

#[tokio::test]
async fn a_channel_is_opened_renewed_before_it_ends_and_rung() {
    let (mut world, drive) = driven(&["a"]).await;
    let factory = FakeProviderFactory::new(world.source.clone()).with_drive(drive.clone());
    world.engine = world.engine_of(|parts| {
        parts.providers = Arc::new(factory);
        parts.settings.public_url = Some(EndpointUrl::parse("https://wharf.example.net").unwrap());
        parts.settings.full_pass_interval = Duration::from_hours(24 * 365);
    });
    let sync = followed(&world, &drive).await;
    let channel = drive.channels().remove(0);
    let address = format!("https://wharf.example.net/v1/hooks/{}", channel.name);
    assert_eq!(channel.address, address);
    let groups: Vec<usize> = channel.name.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);

    next(&world, &sync).await;
    assert_eq!(drive.take_asked(), [Asked::Changes], "it has time ahead");
    assert!(!world.run().await);
    let (name, token) = (&channel.name, &channel.word);
    assert!(
        !world
            .engine
            .ring_channel(name, "another word")
            .await
            .unwrap()
    );
    assert!(!world.run().await);
    assert!(world.engine.ring_channel(name, token).await.unwrap());
    world.clock.advance(RING_REST);
    assert!(world.run().await, "it need not wait for its interval");
    drive.take_asked();

    world.clock.advance(DAY * 6);
    next(&world, &sync).await;
    assert_eq!(
        drive.take_asked(),
        [Asked::Changes, Asked::Watch, Asked::Unwatch]
    );
    let renewed = drive.channels();
    assert_eq!(renewed.len(), 1);
    assert_ne!(renewed[0].name, channel.name);
    assert!(!world.engine.ring_channel(name, token).await.unwrap());
    let rung = world
        .engine
        .ring_channel(&renewed[0].name, &renewed[0].word);
    assert!(rung.await.unwrap());
}

#[tokio::test]
async fn a_channel_is_renewed_when_the_credentials_are_others() {
    let (mut world, drive) = driven(&["a"]).await;
    let factory = FakeProviderFactory::new(world.source.clone()).with_drive(drive.clone());
    world.engine = world.engine_of(|parts| {
        parts.providers = Arc::new(factory);
        parts.settings.public_url = Some(EndpointUrl::parse("https://wharf.example.net").unwrap());
    });
    let sync = followed(&world, &drive).await;
    let before = drive.channels();
    let again = json!({
        "credentials": {
            "type": "oauth",
            "client_id": "client",
            "client_secret": "secret of the client",
            "refresh_token": "refresh-0",
        },
    });
    let update = UpdateConnection {
        provider_config: Some(ConfigFields::new(fields(again))),
        ..UpdateConnection::default()
    };
    world
        .engine
        .update_connection(&world.caller, sync.connection.as_str(), update)
        .await
        .unwrap();
    next(&world, &sync).await;
    let asked = drive.take_asked();
    assert!(
        asked.ends_with(&[Asked::Watch, Asked::Unwatch]),
        "{asked:?}"
    );
    let renewed = drive.channels();
    assert_eq!(renewed.len(), 1);
    assert_ne!(renewed[0].name, before[0].name);
    next(&world, &sync).await;
    assert!(!drive.take_asked().contains(&Asked::Watch), "once");
}

#[tokio::test]
async fn without_an_address_that_a_provider_may_call_there_is_no_channel() {
    for public_url in [None, Some("http://wharf.example.net")] {
        let (mut world, drive) = driven(&["a"]).await;
        let factory = FakeProviderFactory::new(world.source.clone()).with_drive(drive.clone());
        world.engine = world.engine_of(|parts| {
            parts.providers = Arc::new(factory);
            parts.settings.public_url = public_url.map(|url| EndpointUrl::parse(url).unwrap());
        });
        followed(&world, &drive).await;
        assert!(drive.channels().is_empty());
    }
}

#[tokio::test]
async fn a_file_is_explained_by_its_path_in_the_bucket_or_at_the_provider() {
    let (world, drive) = driven(&["a", "b"]).await;
    let sync = followed(&world, &drive).await;
    let explain = async |source: &str| {
        world
            .engine
            .explain(&world.caller, &world.bucket, &sync, source)
            .await
            .unwrap()
    };
    assert_eq!(explain("docs/a.txt").await.decision, Decision::Ingested);
    assert!(
        !drive.take_asked().contains(&Asked::Look),
        "the bucket knows"
    );

    drive.put("new", "docs", "new.txt", "not copied yet");
    drive.put("twin", "docs", "new.txt", "of the same name");
    let told = explain("docs/new.txt").await;
    assert_eq!(told.decision, Decision::NotReached);
    assert_eq!(told.evidence["other_source_object_ids"], json!(["twin"]));

    drive.put("far", "elsewhere", "far.txt", "from afar");
    assert_eq!(explain("far").await.decision, Decision::OutOfScope);
    drive.hide("b", true);
    assert_eq!(explain("nowhere.txt").await.decision, Decision::NotVisible);
    assert_eq!(explain("unknown").await.decision, Decision::NotVisible);
}
