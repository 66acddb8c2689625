//! Which files arrive, what becomes of those that the rules no longer let through, and what is extracted of a file.

use serde_json::{Value, json};
use wharf_domain::filter::{FileFilters, ProviderFilters};
use wharf_domain::job::Job;
use wharf_domain::mapping::SchemaMapping;
use wharf_domain::object::Object;
use wharf_domain::sync::{Reconcile, Sync, SyncMode, SyncSettings};
use wharf_domain::sync_edit::SyncEdit;
use wharf_testkit::build;

use crate::world::{World, fields};

fn filters(value: Value) -> FileFilters {
    FileFilters::parse(fields(value), "file_filters").unwrap()
}

fn mapping(value: Value) -> SchemaMapping {
    SchemaMapping::parse(fields(value), "schema_mapping").unwrap()
}

async fn sync_with(world: &World, settings: SyncSettings) -> Sync {
    let connection = world.connect("store").await;
    world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await
}

async fn next(world: &World, sync: &Sync) -> Job {
    assert!(world.next_run().await);
    world.last_job(sync).await
}

async fn names(world: &World) -> Vec<String> {
    world.contents().await.into_keys().collect()
}

async fn object(world: &World, name: &str) -> Object {
    let objects = world.objects(false).await;
    let found = objects.into_iter().find(|o| o.source.object == name);
    found.unwrap_or_else(|| panic!("no object {name}"))
}

/// Four files, one of which is a picture by its type alone.
async fn world() -> World {
    let world = World::new().await;
    for name in ["media/a.txt", "media/b.bin", "media/sub/c.txt", "media/d"] {
        world.source.put(name, name.to_owned());
    }
    world.source.set_content_type("media/d", "image/png");
    world
}

#[tokio::test]
async fn only_files_that_every_rule_lets_through_arrive_and_the_others_are_counted_by_rule() {
    let world = world().await;
    let settings = SyncSettings {
        file_filters: Some(filters(
            json!({"extensions": ["txt"], "exclude_patterns": ["sub/*"]}),
        )),
        ..build::sync_settings()
    };
    let sync = sync_with(&world, settings).await;
    world.run().await;
    assert_eq!(names(&world).await, ["media/a.txt"]);
    let counters = world.last_job(&sync).await.counters;
    assert_eq!((counters.synced, counters.filtered), (1, 3));
    assert_eq!(counters.filtered_by.values().sum::<u64>(), 3);
    assert_eq!(counters.filtered_by["exclude_patterns"], 1);
    assert_eq!(world.source.calls().fetches, 1, "the listing was enough");
}

#[tokio::test]
async fn a_rule_that_needs_the_file_itself_is_asked_once_per_version() {
    let world = world().await;
    let settings = SyncSettings {
        file_filters: Some(filters(json!({"mime_types": ["image/*"]}))),
        ..build::sync_settings()
    };
    let sync = sync_with(&world, settings).await;
    world.run().await;
    assert_eq!(names(&world).await, ["media/d"]);
    assert_eq!(world.source.calls().fetches, 4);
    world.source.forget_calls();
    let counters = next(&world, &sync).await.counters;
    assert_eq!(
        (counters.filtered_by["mime_types"], counters.verified),
        (3, 1)
    );
    assert_eq!(world.source.calls().fetches, 0, "it is remembered");
    world.source.put("media/a.txt", "a picture now");
    world.source.set_content_type("media/a.txt", "image/gif");
    next(&world, &sync).await;
    assert_eq!(world.source.calls().fetches, 1);
    assert_eq!(names(&world).await, ["media/a.txt", "media/d"]);
    // Other rules: what was left out is asked again.
    world.source.forget_calls();
    let anything = SyncEdit::FileFilters(Some(filters(json!({"mime_types": ["*/*"]}))));
    world.edit(&sync, vec![anything]).await;
    next(&world, &sync).await;
    assert_eq!(world.source.calls().fetches, 2);
    assert_eq!(world.contents().await, world.source.files());
}

#[tokio::test]
async fn what_the_rules_no_longer_let_through_goes_unless_it_is_to_be_kept() {
    for drift in [true, false] {
        let world = world().await;
        let settings = SyncSettings {
            reconcile: Reconcile {
                on_filter_drift: drift,
                ..Reconcile::default()
            },
            ..build::sync_settings()
        };
        let sync = sync_with(&world, settings).await;
        world.run().await;
        let texts = SyncEdit::FileFilters(Some(filters(json!({"extensions": ["txt"]}))));
        world.edit(&sync, vec![texts]).await;
        let counters = next(&world, &sync).await.counters;
        assert_eq!((counters.verified, counters.filtered), (2, 2));
        assert_eq!(counters.deleted, if drift { 2 } else { 0 });
        assert_eq!(names(&world).await.len(), if drift { 2 } else { 4 });
        // And all is let in again.
        world.edit(&sync, vec![SyncEdit::FileFilters(None)]).await;
        next(&world, &sync).await;
        assert_eq!(world.contents().await, world.source.files());
    }
}

#[tokio::test]
async fn a_changed_file_that_the_rules_do_not_let_through_any_more_goes() {
    let world = world().await;
    let settings = SyncSettings {
        file_filters: Some(filters(json!({"mime_types": ["image/*"]}))),
        ..build::sync_settings()
    };
    let sync = sync_with(&world, settings).await;
    world.run().await;
    world.source.put("media/d", "text now");
    let counters = next(&world, &sync).await.counters;
    assert_eq!((counters.deleted, counters.filtered), (1, 4));
    assert!(names(&world).await.is_empty());
}

#[tokio::test]
async fn a_prefix_narrows_what_is_listed_and_what_lies_outside_drifts() {
    let prefix = || {
        Some(ProviderFilters {
            prefix: Some("sub/".to_owned()),
            ..ProviderFilters::default()
        })
    };
    for (on_delete, on_filter_drift, left) in [
        (true, true, 1),
        (false, true, 1),
        (true, false, 4),
        (false, false, 4),
    ] {
        let world = world().await;
        let settings = SyncSettings {
            reconcile: Reconcile {
                on_delete,
                on_filter_drift,
                ..Reconcile::default()
            },
            ..build::sync_settings()
        };
        let sync = sync_with(&world, settings).await;
        world.run().await;
        world
            .edit(&sync, vec![SyncEdit::ProviderFilters(prefix())])
            .await;
        next(&world, &sync).await;
        let found = names(&world).await.len();
        assert_eq!(
            found, left,
            "on_delete {on_delete}, drift {on_filter_drift}"
        );
    }
}

#[tokio::test]
async fn fields_are_made_of_what_the_source_tells() {
    let world = world().await;
    world.source.set_tags("media/a.txt", &[("team", "Red")]);
    world.source.set_version_id("media/a.txt", "v-7");
    let settings = SyncSettings {
        schema_mapping: Some(mapping(json!({"mappings": {
            "team": {"target_type": "field", "source": {"type": "tag", "key": "team"}, "transform": "lowercase"},
            "folder": {"target_type": "field", "source": {"type": "folder_path", "segment": 0}},
        }}))),
        ..build::sync_settings()
    };
    sync_with(&world, settings).await;
    world.run().await;
    let copied = object(&world, "media/a.txt").await;
    assert_eq!(copied.mapped.fields["team"], "red");
    assert_eq!(copied.facts.version_id.as_deref(), Some("v-7"));
    assert_eq!(copied.facts.tags["team"], "Red");
    assert!(
        !object(&world, "media/d")
            .await
            .mapped
            .fields
            .contains_key("team")
    );
}

#[tokio::test]
async fn a_file_without_a_required_value_fails_for_itself_alone() {
    let world = world().await;
    world.source.set_tags("media/a.txt", &[("team", "red")]);
    let settings = SyncSettings {
        schema_mapping: Some(mapping(json!({"mappings": {
            "team": {"target_type": "field", "source": {"type": "tag", "key": "team"}, "required": true},
        }}))),
        ..build::sync_settings()
    };
    let sync = sync_with(&world, settings).await;
    world.run().await;
    let job = world.last_job(&sync).await;
    assert_eq!(job.complete, Some(true));
    assert_eq!((job.counters.synced, job.counters.failed), (1, 3));
    assert_eq!(job.counters.failed_by["mapping.failed"], 3);
    assert_eq!(names(&world).await, ["media/a.txt"]);
}

#[tokio::test]
async fn mapped_fields_are_extracted_again_as_the_sync_is_set() {
    let team = json!({"mappings": {
        "team": {"target_type": "field", "source": {"type": "tag", "key": "team"}},
    }});
    let fields = |fields: &[&str]| Some(fields.iter().map(|f| (*f).to_owned()).collect());
    for (again, keys, expected) in [
        (true, None, "blue"),
        (false, None, "red"),
        (true, fields(&["team"]), "blue"),
        (true, fields(&["other"]), "red"),
    ] {
        let world = world().await;
        world.source.set_tags("media/a.txt", &[("team", "red")]);
        let settings = SyncSettings {
            schema_mapping: Some(mapping(team.clone())),
            reconcile: Reconcile {
                re_extract_on_update: again,
                re_extract_fields: keys,
                ..Reconcile::default()
            },
            ..build::sync_settings()
        };
        let sync = sync_with(&world, settings).await;
        world.run().await;
        world.source.put("media/a.txt", "changed");
        world.source.set_tags("media/a.txt", &[("team", "blue")]);
        assert_eq!(next(&world, &sync).await.counters.synced, 1);
        let copied = object(&world, "media/a.txt").await;
        assert_eq!(copied.mapped.fields["team"], expected);
        assert_eq!(copied.facts.tags["team"], "blue");
    }
}

#[tokio::test]
async fn a_run_at_work_does_not_remember_what_other_rules_decided() {
    let world = world().await;
    let settings = SyncSettings {
        file_filters: Some(filters(json!({"mime_types": ["image/*"]}))),
        ..build::sync_settings()
    };
    let sync = sync_with(&world, settings).await;
    // The rules change while the first file is on its way.
    let (engine, caller, bucket, id) = (
        world.engine.clone(),
        world.caller.clone(),
        world.bucket.clone(),
        sync.id.clone(),
    );
    let once = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    world.source.before_fetch(move |_| {
        let (engine, caller, bucket, id, once) = (
            engine.clone(),
            caller.clone(),
            bucket.clone(),
            id.clone(),
            once.clone(),
        );
        async move {
            if once.swap(false, std::sync::atomic::Ordering::SeqCst) {
                let update = wharf_engine::UpdateSync {
                    edits: vec![SyncEdit::FileFilters(None)],
                    ..Default::default()
                };
                engine
                    .update_sync(&caller, &bucket, id.as_str(), update)
                    .await
                    .unwrap();
            }
        }
    });
    world.run().await;
    assert!(names(&world).await.is_empty());
    let job = world.last_job(&sync).await;
    assert_eq!(job.incomplete_reason.as_deref(), Some("rules_changed"));
    assert!(world.run().await, "at once");
    assert_eq!(world.contents().await, world.source.files());
}
