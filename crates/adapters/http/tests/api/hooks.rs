use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use serde_json::Value;
use sha2::{Digest, Sha256};
use wharf_domain::audit::Action;
use wharf_domain::job::{JobEnd, RING_REST};
use wharf_domain::sync::{Lease, PushChannel};
use wharf_ports::{Clock, IdSource};
use wharf_testkit::{SeededIds, build};

use crate::world::{Answer, World, request, text};

const WORD: &str = "a-word-that-only-the-provider-knows";

async fn push(
    world: &World,
    channel: &str,
    headers: &[(&str, &str)],
    body: &'static str,
) -> Answer {
    let mut request = request("POST", &format!("/v1/hooks/{channel}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let peer = ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 4444)));
    world
        .send(request.extension(peer).body(Body::from(body)).unwrap())
        .await
}

#[tokio::test]
async fn who_does_not_know_a_channels_word_learns_nothing() {
    let world = World::new().await;
    let mut answers = std::collections::BTreeSet::new();
    for headers in [
        &[][..],
        &[("x-goog-channel-token", "wrong")],
        &[("x-goog-channel-token", "")],
        &[
            ("x-goog-channel-token", WORD),
            ("x-goog-channel-token", "wrong"),
        ],
        &[
            ("x-goog-channel-token", "wrong"),
            ("x-goog-resource-state", "sync"),
        ],
    ] {
        let answer = push(&world, "nothing", headers, "{").await;
        answer.error(404);
        answers.insert(answer.body);
    }
    assert_eq!(answers.len(), 1);
    for hostile in ["a%20b", "..%2f", "conn_x", &"x".repeat(300)] {
        let answer = push(&world, hostile, &[("x-goog-channel-token", WORD)], "").await;
        assert_eq!(answer.status, 404, "{hostile}");
    }
    let get = world.call("GET", "/v1/hooks/nothing", Value::Null).await;
    assert_eq!(get.status, 405);
}

#[tokio::test]
async fn news_from_the_provider_make_a_sync_due_and_a_greeting_does_not() {
    let world = World::new().await;
    let sync = world.sync().await;
    let path = format!(
        "/v1/buckets/{}/syncs/{}",
        text(&sync["bucket_id"]),
        text(&sync["sync_config_id"])
    );
    let ids = SeededIds::new(99);
    let across = &world.repositories.across;
    let lease = async || {
        let (job, audit) = ((&ids as &dyn IdSource).id(), (&ids as &dyn IdSource).id());
        let due = across.lease_due_sync("worker", Duration::from_mins(5), &job, &audit);
        due.await.unwrap().map(|due| due.lease)
    };
    let runs = &world.repositories.runs;
    let finish = async |lease: &Lease| {
        let audit = build::audit(&ids, Action::JobFinished);
        let (end, pause) = (JobEnd::complete(), Duration::from_hours(1));
        let finished = runs.finish(&world.organization, lease, end, pause, audit);
        finished.await.unwrap();
    };

    let first = lease().await.unwrap();
    let channel = PushChannel {
        channel: "a-channel".to_owned(),
        resource: "what-is-watched".to_owned(),
        scope: String::new(),
        credential_version: 1,
        token_sha256: hex::encode(Sha256::digest(WORD)),
        began_at: world.clock.now(),
        expires_at: world.clock.now() + Duration::from_hours(24),
    };
    let kept = runs.keep_channel(&world.organization, &first, Some(channel));
    kept.await.unwrap();
    finish(&first).await;
    assert!(world.get(&path).await.ok()["push"]["expires_at"].is_string());

    let right = ("x-goog-channel-token", WORD);
    let greeting = push(
        &world,
        "a-channel",
        &[right, ("x-goog-resource-state", "sync")],
        "",
    )
    .await;
    assert_eq!(greeting.status, 204);
    assert!(lease().await.is_none(), "a greeting is no news");
    for headers in [
        &[
            ("x-goog-channel-token", "wrong"),
            ("x-goog-resource-state", "sync"),
        ],
        &[
            ("x-goog-channel-token", "wrong"),
            ("x-goog-resource-state", "change"),
        ],
    ] {
        push(&world, "a-channel", headers, "").await.error(404);
    }
    assert!(lease().await.is_none());

    let news = [right, ("x-goog-resource-state", "change")];
    let heard = push(&world, "a-channel", &news, "{\"not\": even JSON").await;
    assert_eq!((heard.status.as_u16(), heard.body.len()), (204, 0));
    world.clock.advance(RING_REST);
    let second = lease().await.expect("it is due");
    finish(&second).await;
    world.clock.advance(Duration::from_hours(25));
    push(&world, "a-channel", &news, "").await.error(404);
}
