use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::error_code::ErrorCode;
use wharf_engine::Watcher;
use wharf_ports::Clock;

use crate::world::{World, text};

const CONNECTIONS: &str = "/v1/organizations/connections";

async fn watched(world: &World) -> bool {
    let watcher = Watcher::new(world.engine.clone());
    watcher.watch_once(&CancellationToken::new()).await.unwrap()
}

fn failing(code: ErrorCode) -> CheckReport {
    CheckReport {
        checks: vec![Check::failed("sign_in", code, None, "Do that.", 2)],
    }
}

#[tokio::test]
async fn the_history_of_checks_tells_who_asked_what_was_found_and_how_available_it_was() {
    let world = World::new().await;
    let connection = world.connection("store").await;
    let path = format!("{CONNECTIONS}/{}", text(&connection["connection_id"]));
    let empty = world.get(&format!("{path}/checks")).await.ok();
    assert_eq!(empty["results"], json!([]));
    let none = json!({"passed": 0, "failed": 0, "undecided": 0, "share": null});
    assert_eq!(
        empty["availability"],
        json!({"last_24h": none, "last_7d": none, "last_30d": none, "last_passed_at": null, "last_failed_at": null})
    );

    let end = world.clock.now() + Duration::from_hours(90 * 24);
    world.source.next_report(CheckReport {
        checks: vec![Check::passed("sign_in", 1).until(Some(end))],
    });
    world.clock.advance(Duration::from_mins(5));
    assert!(watched(&world).await);
    world.source.set_report(failing(ErrorCode::PermDenied));
    world.clock.advance(Duration::from_mins(1));
    world
        .call("POST", &format!("{path}/test"), Value::Null)
        .await
        .ok();

    let listed = world.get(&format!("{path}/checks")).await.ok();
    assert_eq!(listed["total"], 2);
    let by_person = &listed["results"][0];
    assert!(text(&by_person["check_id"]).starts_with("chk_"));
    assert_eq!(by_person["cause"], "person");
    assert_eq!(by_person["started_at"], "2026-01-01T00:06:00.000000Z");
    assert_eq!(by_person["at"], "2026-01-01T00:06:00.000000Z");
    assert!(by_person["ms"].is_u64());
    assert_eq!(by_person["success"], false);
    assert_eq!(by_person["error_code"], "perm.denied");
    assert_eq!(
        by_person["message"],
        "Check sign_in failed: perm.denied. Do that."
    );
    assert_eq!(by_person["status"], "FAILED");
    assert_eq!(by_person["checks"][0]["name"], "sign_in");
    let by_watch = &listed["results"][1];
    assert_eq!(by_watch["cause"], "watch");
    assert_eq!(by_watch["success"], true);
    assert_eq!(by_watch["error_code"], Value::Null);
    assert_eq!(by_watch["status"], "ACTIVE");
    assert_eq!(
        by_watch["checks"][0]["expires_at"],
        "2026-04-01T00:00:00.000000Z"
    );
    let day = &listed["availability"]["last_24h"];
    assert_eq!(
        *day,
        json!({"passed": 1, "failed": 1, "undecided": 0, "share": 0.5})
    );
    assert_eq!(listed["availability"]["last_30d"], *day);
    assert_eq!(
        listed["availability"]["last_passed_at"],
        "2026-01-01T00:05:00.000000Z"
    );
    assert_eq!(
        listed["availability"]["last_failed_at"],
        "2026-01-01T00:06:00.000000Z"
    );

    let shown = world.get(&path).await.ok();
    assert_eq!(
        shown["credentials_expire_at"],
        "2026-04-01T00:00:00.000000Z"
    );
    assert!(text(&shown["next_health_check_at"]) > "2026-01-01T00:19");
}

#[tokio::test]
async fn the_history_comes_page_by_page_by_name_and_to_nobody_else() {
    let world = World::new().await;
    let connection = world.connection("store").await;
    for _ in 0..3 {
        world.clock.advance(Duration::from_mins(5));
        assert!(watched(&world).await);
    }
    let first = world
        .get(&format!(
            "{CONNECTIONS}/store/checks?limit=2&include_total=true"
        ))
        .await
        .ok();
    assert_eq!(first["results"].as_array().unwrap().len(), 2);
    assert_eq!(first["pagination"]["total"], 3);
    let cursor = text(&first["pagination"]["next_cursor"]);
    let rest = world
        .get(&format!(
            "{CONNECTIONS}/store/checks?limit=2&cursor={cursor}"
        ))
        .await
        .ok();
    assert_eq!(rest["results"].as_array().unwrap().len(), 1);
    assert_eq!(rest["pagination"]["next_cursor"], Value::Null);
    world
        .get(&format!("{CONNECTIONS}/store/checks?limit=0"))
        .await
        .error(422);

    let path = format!(
        "{CONNECTIONS}/{}/checks",
        text(&connection["connection_id"])
    );
    let stranger = world.stranger().await;
    let theirs = world.call_as(&stranger, "GET", &path, Value::Null).await;
    theirs.error(404);
    world
        .get(&format!("{CONNECTIONS}/conn_abcdefghijklmno/checks"))
        .await
        .error(404);
}

#[tokio::test]
async fn a_connection_shows_when_it_is_checked_next_and_that_nothing_is_planned_while_it_rests() {
    let world = World::new().await;
    let connection = world.connection("store").await;
    let next = text(&connection["next_health_check_at"]);
    assert!(("2026-01-01T00:04:30".."2026-01-01T00:05:01").contains(&next));
    let path = format!("{CONNECTIONS}/store");
    let status = |status: &str| json!({"status": status});
    let resting = world.call("PATCH", &path, status("SUSPENDED")).await.ok();
    assert_eq!(resting["next_health_check_at"], Value::Null);
    world.clock.advance(Duration::from_hours(1));
    assert!(!watched(&world).await);
    let back = world.call("PATCH", &path, status("ACTIVE")).await.ok();
    assert!(text(&back["next_health_check_at"]) > "2026-01-01T01:04");
}
