use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;
use wharf_domain::access::{Email, Permission};
use wharf_domain::audit::Action;
use wharf_http::ApiState;
use wharf_testkit::{SeededIds, build};

use crate::world::{ADMIN, World, request, text};

/// A stream of events that was asked for.
struct Events {
    body: BodyDataStream,
    read: String,
}

impl Events {
    async fn next_block(&mut self) -> Option<String> {
        loop {
            if let Some((block, _)) = self.read.split_once("\n\n") {
                let block = block.to_owned();
                self.read.drain(..block.len() + 2);
                return Some(block);
            }
            let bytes = self.body.next().await?.unwrap();
            self.read.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next event with its name and data; comments are passed over.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            let block = self.next_block().await?;
            if block.starts_with(':') {
                continue;
            }
            let (name, data) = block.split_once('\n').unwrap();
            let name = name.strip_prefix("event: ").unwrap().to_owned();
            let data = data.strip_prefix("data: ").unwrap();
            return Some((name, serde_json::from_str(data).unwrap()));
        }
    }
}

fn job_path(sync: &Value) -> String {
    format!(
        "/v1/buckets/{}/syncs/{}/jobs/{}",
        text(&sync["bucket_id"]),
        text(&sync["sync_config_id"]),
        text(&sync["current_sync_run_id"])
    )
}

async fn follow(world: &World, job: &str, key: &str) -> Events {
    let request = request("GET", &format!("{job}/events"))
        .header("authorization", format!("Bearer {key}"))
        .body(Body::empty())
        .unwrap();
    let response = world.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    Events {
        body: response.into_body().into_data_stream(),
        read: String::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_is_followed_from_where_it_is_to_its_end() {
    let world = World::new().await;
    world.source.put("media/a", "1");
    let sync = world.sync().await;
    let job = job_path(&sync);
    let mut events = follow(&world, &job, ADMIN).await;
    let (name, first) = events.next().await.unwrap();
    assert_eq!(
        (name.as_str(), &first["phase"]),
        ("progress", &"queued".into())
    );
    world.work().await;
    let (name, last) = events.next().await.unwrap();
    assert_eq!(name, "end");
    assert_eq!(last, world.get(&job).await.ok());
    assert_eq!(last["files_synced"], 1);
    assert_eq!(events.next().await, None);
    let late = follow(&world, &job, ADMIN).await.next().await;
    assert_eq!(
        late.unwrap().0,
        "end",
        "who comes late hears of the end at once"
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_does_not_change_is_kept_alive_by_comments() {
    let world = World::new().await;
    let sync = world.sync().await;
    let mut events = follow(&world, &job_path(&sync), ADMIN).await;
    events.next().await.unwrap();
    let began = Instant::now();
    for n in 1..=4 {
        assert_eq!(events.next_block().await.unwrap(), ":");
        assert_eq!(began.elapsed().as_secs(), 15 * n);
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_key_ends_its_stream() {
    let world = World::new().await;
    let sync = world.sync().await;
    let key = world.key(Permission::Read).await;
    let mut events = follow(&world, &job_path(&sync), &key).await;
    events.next().await.unwrap();
    let organization = &world.organization;
    let access = &world.repositories.access;
    let email = Email::parse("admin@wharf.local").unwrap();
    let user = access
        .find_user(organization, &email)
        .await
        .unwrap()
        .unwrap();
    let keys = access.list_api_keys(organization, &user.id).await.unwrap();
    let audit = build::audit(&SeededIds::new(99), Action::ApiKeyRevoked);
    let revoked = keys.iter().find(|key| key.name == "read key").unwrap();
    access
        .revoke_api_key(organization, &revoked.id, audit)
        .await
        .unwrap()
        .unwrap();
    let began = Instant::now();
    assert_eq!(events.next().await, None);
    assert!(
        began.elapsed() <= Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_deleted_sync_ends_the_streams_of_its_jobs() {
    let world = World::new().await;
    let sync = world.sync().await;
    let mut events = follow(&world, &job_path(&sync), ADMIN).await;
    events.next().await.unwrap();
    let path = format!(
        "/v1/buckets/{}/syncs/{}",
        text(&sync["bucket_id"]),
        text(&sync["sync_config_id"])
    );
    world.call("DELETE", &path, Value::Null).await.ok();
    assert_eq!(events.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn streams_are_bounded_and_make_room_when_their_clients_go() {
    let world = World::new().await;
    let sync = world.sync().await;
    let job = job_path(&sync);
    let mut streams = Vec::new();
    for _ in 0..256 {
        streams.push(follow(&world, &job, ADMIN).await);
    }
    let refused = world.get(&format!("{job}/events")).await;
    assert_eq!(refused.error(503)["code"], "too_many_streams");
    assert_eq!(refused.header("retry-after"), "10");
    streams.pop();
    follow(&world, &job, ADMIN).await;
}

#[tokio::test]
async fn a_stream_does_not_hold_up_a_shutdown() {
    let world = World::new().await;
    let sync = world.sync().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ids = std::sync::Arc::new(SeededIds::new(8));
    let state = ApiState::new(world.engine.clone(), ids, Duration::from_secs(30));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(wharf_http::serve(listener, state, async {
        let _ = stopped.await;
    }));
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {}/events HTTP/1.1\r\nhost: wharf\r\nauthorization: Bearer {ADMIN}\r\n\r\n",
        job_path(&sync)
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let mut heard = String::new();
    while !heard.contains("event: progress") {
        let mut piece = [0; 4096];
        let read = client.read(&mut piece).await.unwrap();
        assert_ne!(read, 0, "{heard}");
        heard.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
    stop.send(()).unwrap();
    let end = timeout(Duration::from_secs(5), server).await;
    end.expect("the stream ends").unwrap();
}
