use std::time::Duration;

use axum::body::Body;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wharf_http::ApiState;
use wharf_testkit::SeededIds;

use crate::world::{ADMIN, World, request};

fn state(world: &World) -> ApiState {
    ApiState::new(
        world.engine.clone(),
        std::sync::Arc::new(SeededIds::new(9)),
        Duration::from_secs(30),
    )
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_what_callers_write() {
    let mut world = World::new().await;
    let recorder = PrometheusBuilder::new().build_recorder();
    world.router = wharf_http::router(state(&world).with_metrics(recorder.handle()));
    let _recording = metrics::set_default_local_recorder(&recorder);
    world.get("/v1/buckets/somebodys-bucket").await.error(404);
    world.get("/somewhere-else").await.error(404);
    let odd = request("BREW", "/v1/health").body(Body::empty()).unwrap();
    world.send(odd).await.error(405);
    let answer = world.get("/metrics").await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(answer.header("content-type").starts_with("text/plain"));
    for series in [
        r#"wharf_http_requests_total{method="GET",route="/v1/buckets/{bucket_identifier}",status="4xx"} 1"#,
        r#"wharf_http_requests_total{method="GET",route="unmatched",status="4xx"} 1"#,
        r#"wharf_http_requests_total{method="other",route="/v1/health",status="4xx"} 1"#,
    ] {
        assert!(text.contains(series), "{series} is missing in {text}");
    }
    for written in ["somebodys", "somewhere", "BREW"] {
        assert!(!text.contains(written), "{text}");
    }
}

#[tokio::test]
async fn a_served_api_answers_over_tcp_and_finishes_what_is_at_hand_when_stopped() {
    let world = World::new().await;
    world.clock.advance(Duration::from_secs(1));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let server = tokio::spawn(wharf_http::serve(listener, state(&world), shutdown));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        format!("POST /v1/namespaces HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\n");
    let body = r#"{"namespace_name":"abc"}"#;
    let head = format!(
        "{head}content-length: {}\r\nconnection: close\r\n\r\n{{",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.write_all(&body.as_bytes()[1..]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains(r#""namespace_name":"abc""#));
    server.await.unwrap();
    let trail = world
        .repositories
        .audit
        .list(
            &world.organization,
            &wharf_domain::audit::AuditFilter::default(),
            0,
            1,
        )
        .await;
    assert_eq!(
        trail.unwrap().rows[0].row.origin.ip_address.as_deref(),
        Some("127.0.0.1")
    );
}
