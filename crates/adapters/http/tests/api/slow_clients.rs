//! Clients that are slow or greedy, over real connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures::future::join_all;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep, timeout};
use wharf_http::{ApiState, Limits};
use wharf_testkit::SeededIds;

use crate::world::{ADMIN, World};

struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(world: &World, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ids = Arc::new(SeededIds::new(12));
        let state = ApiState::new(world.engine.clone(), ids, Duration::from_secs(30));
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(wharf_http::serve(
            listener,
            state.with_limits(limits),
            async {
                let _ = stopped.await;
            },
        ));
        Self {
            address,
            stop: Some(stop),
            task,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        let ended = timeout(Duration::from_secs(15), self.task).await;
        ended.expect("it ends").unwrap();
    }
}

/// Sends what is written and reads until the server ends the connection.
async fn raw(server: &Server, request: &[u8]) -> String {
    let mut stream = server.connect().await;
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(Ok(read @ 1..)) = timeout(Duration::from_secs(5), stream.read(&mut piece)).await {
        answer.extend_from_slice(&piece[..read]);
        if answer.ends_with(b"}") || answer.ends_with(b"\r\n\r\n") && !answer.contains(&b'{') {
            sleep(Duration::from_millis(20)).await;
            break;
        }
    }
    String::from_utf8(answer).unwrap()
}

fn head(method: &str, more: &str) -> String {
    format!(
        "{method} /v1/namespaces HTTP/1.1\r\nhost: wharf\r\nauthorization: Bearer {ADMIN}\r\n{more}"
    )
}

/// How many slow clients there can be: 2,000, or what the machine allows when that is less. Each takes two descriptors here.
fn slow_clients() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wish = 6000;
    let most = limit.maximum.map_or(wish, |most| most.min(wish));
    if limit.current.is_some_and(|current| current < most) {
        let raised = Rlimit {
            current: Some(most),
            ..limit
        };
        setrlimit(Resource::Nofile, raised).unwrap();
    }
    usize::try_from(most).unwrap().min(6000) / 3
}

/// A client that sends `at_once` and then one byte per second, until the server ends the connection; how long that took.
async fn trickle(address: SocketAddr, at_once: String, then: &'static [u8]) -> Duration {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let began = Instant::now();
    let (mut read, mut write) = stream.split();
    let _ = write.write_all(at_once.as_bytes()).await;
    let sends = async {
        let mut seconds = interval(Duration::from_secs(1));
        for byte in then.iter().cycle() {
            seconds.tick().await;
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let ends = async {
        let mut piece = [0; 1024];
        while let Ok(1..) = read.read(&mut piece).await {}
    };
    tokio::select! {
        () = sends => {}
        () = ends => {}
    }
    began.elapsed()
}

/// Asks again and again on one connection; how long each answer took.
async fn ask(address: SocketAddr, until: Instant) -> Vec<Duration> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut took = Vec::new();
    while Instant::now() < until {
        let request = Request::get("/v1/namespaces")
            .header("host", "wharf")
            .header("authorization", format!("Bearer {ADMIN}"))
            .body(Body::empty())
            .unwrap();
        let began = Instant::now();
        sender.ready().await.unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
        took.push(began.elapsed());
        sleep(Duration::from_millis(20)).await;
    }
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_slow_clients_are_cut_and_the_others_do_not_notice() {
    let world = World::new().await;
    let server = Server::start(&world, Limits::default()).await;
    let count = slow_clients();
    let slow = (0..count).map(|n| {
        let address = server.address;
        let (at_once, then): (String, &'static [u8]) = match n % 4 {
            0 => (
                String::new(),
                b"GET /v1/namespaces HTTP/1.1\r\nx-a: b\r\nx-c: ",
            ),
            1 => ("G".into(), b"X"),
            2 => (head("POST", "content-length: 1000\r\n\r\n"), b" "),
            _ => (String::new(), b""),
        };
        tokio::spawn(async move {
            // One after the other: what the system's queue has no room for is not the server's to cut.
            sleep(Duration::from_micros(500) * u32::try_from(n).unwrap()).await;
            trickle(address, at_once, then).await
        })
    });
    let slow: Vec<_> = slow.collect();
    sleep(Duration::from_secs(1)).await;
    let until = Instant::now() + Duration::from_secs(13);
    let good = join_all((0..8).map(|_| ask(server.address, until))).await;
    let ends = timeout(Duration::from_secs(10), join_all(slow)).await;
    let mut ends: Vec<Duration> = ends
        .expect("all are cut")
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let mut took: Vec<Duration> = good.into_iter().flatten().collect();
    ends.sort();
    took.sort();
    let (fast, slowest) = (took[took.len() * 99 / 100], took[took.len() - 1]);
    eprintln!(
        "{count} slow clients: cut after {:?} to {:?}; {} good answers: p99 {fast:?}, slowest {slowest:?}",
        ends[0],
        ends[ends.len() - 1],
        took.len(),
    );
    assert!(
        ends[ends.len() - 1] <= Duration::from_secs(15),
        "the last one was cut late"
    );
    assert!(
        ends[0] >= Duration::from_secs(8),
        "the first one was cut early"
    );
    assert!(took.len() > 1000, "{}", took.len());
    assert!(fast < Duration::from_millis(250), "{fast:?}");
    server.stop().await;
}

#[tokio::test]
async fn bombs_get_a_clean_answer() {
    let world = World::new().await;
    let server = Server::start(&world, Limits::default()).await;
    let deep = "[".repeat(100_000);
    let length = format!("content-length: {}\r\n\r\n", deep.len());
    let answer = raw(&server, (head("POST", &length) + &deep).as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("BadRequestError"),
        "{answer}"
    );
    let large = " ".repeat(10 << 20);
    let length = format!("content-length: {}\r\n\r\n", large.len());
    let answer = raw(&server, (head("POST", &length) + &large).as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && answer.contains("PayloadTooLarge"),
        "{answer}"
    );
    let headers = |count: usize| {
        let lines: Vec<String> = (0..count).map(|n| format!("x-{n}: y\r\n")).collect();
        head("GET", &(lines.concat() + "\r\n"))
    };
    let answer = raw(&server, headers(90).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = raw(&server, headers(200).as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 431 ") && answer.contains("\"success\":false"),
        "{answer}"
    );
    let answer = raw(&server, headers(1000).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let long = format!(
        "GET /v1/{} HTTP/1.1\r\nhost: wharf\r\n\r\n",
        "x".repeat(20_000)
    );
    let answer = raw(&server, long.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 414 ") && answer.contains("\"success\":false"),
        "{answer}"
    );
    let wide = head("GET", &format!("x: {}\r\n\r\n", "y".repeat(40_000)));
    let answer = raw(&server, wide.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 431 ") && answer.contains("\"success\":false"),
        "{answer}"
    );
    let answer = raw(&server, b"NONSENSE\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn one_address_has_a_bounded_number_of_connections() {
    let world = World::new().await;
    let limits = Limits {
        connections_per_address: 2,
        ..Limits::default()
    };
    let server = Server::start(&world, limits).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        stream
            .write_all(head("GET", "\r\n").as_bytes())
            .await
            .unwrap();
        stream.read_u8().await.unwrap();
        kept.push(stream);
    }
    assert_eq!(raw(&server, head("GET", "\r\n").as_bytes()).await, "");
    drop(kept);
    sleep(Duration::from_millis(200)).await;
    let answer = raw(&server, head("GET", "\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_flood_of_streams_that_are_reset_at_once_ends_its_connection_alone() {
    let world = World::new().await;
    let server = Server::start(&world, Limits::default()).await;
    let (mut sender, connection) = h2::client::handshake(server.connect().await).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut sent = 0;
    let flood = async {
        while sent < 100_000 {
            let Ok(ready) = sender.clone().ready().await else {
                break;
            };
            sender = ready;
            for _ in 0..100 {
                let request = Request::get("http://wharf/v1/namespaces")
                    .header("authorization", format!("Bearer {ADMIN}"));
                let Ok((_, mut stream)) = sender.send_request(request.body(()).unwrap(), true)
                else {
                    break;
                };
                stream.send_reset(h2::Reason::CANCEL);
                sent += 1;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), flood)
        .await
        .expect("the flood is ended");
    let ended = timeout(Duration::from_secs(5), connection)
        .await
        .expect("it ends")
        .unwrap();
    let error = ended.expect_err("the server ended it");
    assert_eq!(
        error.reason(),
        Some(h2::Reason::ENHANCE_YOUR_CALM),
        "{error}"
    );
    assert!(sent < 100_000);
    let answer = raw(&server, head("GET", "\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // Other clients with HTTP/2 are served.
    let (mut sender, connection) = h2::client::handshake(server.connect().await).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://wharf/v1/health").body(()).unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
    drop(sender);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_of_an_answer_is_cut_over_either_protocol() {
    let world = World::new().await;
    let bytes: &'static [u8] = Box::leak(vec![7; 64 << 20].into_boxed_slice());
    let (_, object) = world.object("large", bytes).await;
    let server = Server::start(&world, Limits::default()).await;
    let began = Instant::now();
    let mut one = server.connect().await;
    let request = format!(
        "GET {object}/content HTTP/1.1\r\nhost: wharf\r\nauthorization: Bearer {ADMIN}\r\n\r\n"
    );
    one.write_all(request.as_bytes()).await.unwrap();
    let (mut sender, mut two) = h2::client::handshake(server.connect().await).await.unwrap();
    let request = Request::get(format!("http://wharf{object}/content"))
        .header("authorization", format!("Bearer {ADMIN}"));
    let (response, _) = sender
        .send_request(request.body(()).unwrap(), true)
        .unwrap();
    let follow = tokio::spawn(async move {
        // The client lives and answers pings, but never takes what it asked for.
        let response = tokio::select! {
            response = response => response.unwrap(),
            _ = &mut two => panic!("it ended before the answer"),
        };
        let _ = (&mut two).await;
        drop(response);
    });
    timeout(Duration::from_secs(45), follow)
        .await
        .expect("the stream is cut")
        .unwrap();
    sleep((began + Duration::from_secs(36)).saturating_duration_since(Instant::now())).await;
    // What the system had taken already comes, and then the end.
    let mut piece = vec![0; 1 << 20];
    let mut came = 0;
    while let Ok(read @ 1..) = one.read(&mut piece).await {
        came += read;
    }
    assert!(came < bytes.len(), "all of it came");
    drop(sender);
    server.stop().await;
}
