//! Fourteen ways round a guard that show only once names are looked up and servers answer, each at a dialer that panics
//! when a closed address is dialled.
//!
//! 1. A name that rebinds: public first, private then, with no time to live.
//! 2. A name with A and AAAA answers, of which one is closed.
//! 3. A name that is an alias of an internal one.
//! 4. An answer of ten thousand addresses.
//! 5. A name service that does not answer, or answers too late.
//! 6. Redirects to private addresses: 301, 302, 303, 307 and 308.
//! 7. A 307, which asks for the body to be sent on.
//! 8. A redirect to itself.
//! 9. A redirect from TLS to plain HTTP.
//! 10. A pooled connection, and a policy that has been tightened.
//! 11. A request whose host is not the one that TLS asked for.
//! 12. Proxies in the environment.
//! 13. HTTP/2's `ORIGIN` and `ALTSVC` frames, and `Alt-Svc` headers.
//! 14. Happy eyeballs: a first address that does not answer, and a second that is closed.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::routing::{any, get as on_get, post};
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{Empty, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use wharf_egress::{
    Class, Client, ConnectReason, EgressError, Guard, Policy, Reason, Resolver, TlsMode,
};

use crate::fakes::{
    LateResolver, RecordingDialer, ScriptedResolver, SilentResolver, addr, get, loopback_open,
    opening, reason,
};
use crate::servers::{listen, serve, serve_tls, text, tls_config};

const URL: &str = "https://storage.example.com/";
const METADATA: &str = "http://169.254.169.254/latest/meta-data/";

fn client(policy: Policy, resolver: Arc<dyn Resolver>, dialer: &Arc<RecordingDialer>) -> Client {
    let guard = Guard::with(policy, resolver, dialer.clone());
    Client::new(Arc::new(guard), TlsMode::Verified)
}

/// A client for which every name is 10.0.0.1, which the policy opens on this port and behind which the server stands.
fn client_of(
    server: SocketAddr,
    port: u16,
    tls: TlsMode,
) -> (Client, Arc<ScriptedResolver>, Arc<RecordingDialer>) {
    let resolver = ScriptedResolver::saying(&[&["10.0.0.1"]]);
    let dialer = RecordingDialer::opened(&["10.0.0.1"], Some(server));
    let policy = opening(&format!("10.0.0.1:{port}"));
    let guard = Guard::with(policy, resolver.clone(), dialer.clone());
    (Client::new(Arc::new(guard), tls), resolver, dialer)
}

async fn refused_without_a_dial(answers: &[&str]) {
    let dialer = RecordingDialer::to_nobody();
    let resolver = ScriptedResolver::saying(&[answers]);
    let error = client(Policy::default(), resolver, &dialer)
        .send(get(URL))
        .await
        .unwrap_err();
    assert!(
        matches!(reason(&error), Reason::Address { .. }),
        "{answers:?}: {error}"
    );
    assert_eq!(dialer.dialled(), [], "{answers:?}");
}

#[tokio::test]
async fn case_01_a_name_that_rebinds_to_a_private_address_is_refused_at_the_next_dial() {
    let resolver = ScriptedResolver::saying(&[&["93.184.216.34"], &["10.0.0.1"]]);
    let dialer = RecordingDialer::to_nobody();
    let client = client(Policy::default(), resolver.clone(), &dialer);

    let first = client.send(get(URL)).await.unwrap_err();
    assert!(
        matches!(
            first,
            EgressError::Connect {
                reason: ConnectReason::Refused,
                ..
            }
        ),
        "{first:?}"
    );
    let second = client.send(get(URL)).await.unwrap_err();
    assert!(matches!(
        reason(&second),
        Reason::Address {
            class: Class::Private,
            ..
        }
    ));

    assert_eq!(dialer.dialled(), [addr("93.184.216.34:443")]);
    assert_eq!(resolver.asked().len(), 2, "each dial asks exactly once");
}

#[tokio::test]
async fn case_02_one_closed_answer_refuses_them_all_wherever_it_stands() {
    for answers in [
        &["93.184.216.34", "10.0.0.1"][..],
        &["10.0.0.1", "93.184.216.34"],
        &["93.184.216.34", "2606:4700::1111", "::1"],
        &["2606:4700::1111", "169.254.169.254"],
        &["93.184.216.34", "::ffff:93.184.216.34"],
        &["93.184.216.34", "fd00:ec2::254"],
    ] {
        refused_without_a_dial(answers).await;
    }
}

/// An alias shows in nothing but the addresses that it leads to, whatever the name that is asked for looks like.
#[tokio::test]
async fn case_03_an_alias_of_an_internal_name_is_judged_by_where_it_leads() {
    for internal in [
        "169.254.169.254",
        "127.0.0.1",
        "10.96.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "::1",
    ] {
        refused_without_a_dial(&[internal]).await;
    }
}

#[tokio::test]
async fn case_04_ten_thousand_answers_are_refused_even_when_all_are_public() {
    let answers = (0..10_000_u16).map(|n| {
        let [high, low] = n.to_be_bytes();
        SocketAddr::from(([93, 184, high, low], 443))
    });
    let dialer = RecordingDialer::to_nobody();
    let resolver = ScriptedResolver::answering(answers.collect());
    let client = client(Policy::default(), resolver, &dialer);
    let begun = std::time::Instant::now();
    let error = client.send(get(URL)).await.unwrap_err();
    assert_eq!(reason(&error), &Reason::TooManyAnswers(64));
    assert_eq!(dialer.dialled(), []);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn case_05_a_name_service_that_is_silent_or_late_costs_seconds_and_leads_nowhere() {
    let resolvers: [Arc<dyn Resolver>; 2] = [
        Arc::new(SilentResolver),
        Arc::new(LateResolver(Duration::from_secs(6))),
    ];
    for resolver in resolvers {
        let dialer = RecordingDialer::to_nobody();
        let client = client(Policy::default(), resolver, &dialer);
        let begun = Instant::now();
        let error = client.send(get(URL)).await.unwrap_err();
        assert!(
            matches!(
                error,
                EgressError::Dns {
                    timed_out: true,
                    ..
                }
            ),
            "a silent name service is told from a silent host: {error:?}"
        );
        assert!(begun.elapsed() <= Duration::from_secs(5));
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(dialer.dialled(), [], "a late answer is not dialled");
    }
}

#[tokio::test]
async fn case_06_redirects_to_private_addresses_come_back_unfollowed_whatever_their_code() {
    let router = Router::new().route(
        "/{code}",
        any(|Path(code): Path<u16>| async move {
            let code = StatusCode::from_u16(code).unwrap();
            (code, [(header::LOCATION, METADATA)])
        }),
    );
    let (client, resolver, dialer) = client_of(serve(router).await, 80, TlsMode::Verified);
    for code in [301, 302, 303, 307, 308] {
        let url = format!("http://storage.example.com/{code}");
        let answer = client.send(get(&url)).await.unwrap();
        assert_eq!(answer.status().as_u16(), code);
        assert_eq!(answer.headers()[header::LOCATION], METADATA);
    }
    assert!(
        resolver
            .asked()
            .iter()
            .all(|name| name == "storage.example.com")
    );
    assert!(dialer.dialled().iter().all(|to| *to == addr("10.0.0.1:80")));
    // Whoever would follow by hand meets the guard again.
    let error = client.send(get(METADATA)).await.unwrap_err();
    assert!(matches!(reason(&error), Reason::Address { .. }));
}

#[tokio::test]
async fn case_07_a_307_does_not_get_the_body_sent_on() {
    let (collector, collected) = listen().await;
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&bodies);
    let onward = format!("http://collector.example.com:{}/", collected.port());
    let router = Router::new().route(
        "/",
        post(move |body: Bytes| async move {
            seen.lock().unwrap().push(body);
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, onward)])
        }),
    );
    let (client, resolver, dialer) = client_of(serve(router).await, 80, TlsMode::Verified);
    let request = Request::post("http://storage.example.com/")
        .header(header::AUTHORIZATION, "canary")
        .body(Full::from("secret"))
        .unwrap();
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(*bodies.lock().unwrap(), ["secret"]);
    assert_eq!(resolver.asked(), ["storage.example.com"]);
    assert_eq!(dialer.dialled(), [addr("10.0.0.1:80")]);
    let nobody = tokio::time::timeout(Duration::from_millis(100), collector.accept()).await;
    assert!(nobody.is_err(), "somebody came to the collector");
}

#[tokio::test]
async fn case_08_a_redirect_to_itself_is_one_request_and_one_answer() {
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    let router = Router::new().fallback(move || async move {
        counted.fetch_add(1, Ordering::Relaxed);
        (StatusCode::FOUND, [(header::LOCATION, "/")])
    });
    let (client, _, dialer) = client_of(serve(router).await, 80, TlsMode::Verified);
    let answer = client
        .send(get("http://storage.example.com/"))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND);
    assert_eq!(hits.load(Ordering::Relaxed), 1);
    assert_eq!(dialer.dialled().len(), 1);
}

#[tokio::test]
async fn case_09_nothing_leads_from_tls_down_to_plain_http() {
    let router = Router::new().route(
        "/",
        on_get(|| async {
            let down = "http://storage.example.com/";
            (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, down)])
        }),
    );
    let (server, _) = serve_tls(router).await;
    let (client, _, dialer) = client_of(server, 443, TlsMode::Unverified);
    let answer = client.send(get(URL)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::MOVED_PERMANENTLY);
    let down = client
        .send(get("http://storage.example.com/"))
        .await
        .unwrap_err();
    assert!(matches!(down, EgressError::Refused(_)), "{down:?}");
    assert_eq!(dialer.dialled(), [addr("10.0.0.1:443")]);
}

/// A guard's policy never changes. What was pooled under a wider one is out of reach of a narrower one, and ends with the
/// clients that may use it.
#[tokio::test]
async fn case_10_a_tightened_policy_reaches_no_connection_of_the_wider_one() {
    let (listener, server) = listen().await;
    let (ended, mut endings) = mpsc::unbounded_channel();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            while stream.read(&mut [0; 4096]).await.unwrap_or(0) > 0 {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
            }
            ended.send(()).unwrap();
        }
    });
    let dialer = RecordingDialer::opened(&["10.0.0.1"], Some(server));
    let resolver = ScriptedResolver::saying(&[&["10.0.0.1"]]);
    let wide = client(opening("10.0.0.1:80"), resolver.clone(), &dialer);
    let narrow = client(Policy::default(), resolver, &dialer);
    let url = "http://storage.example.com/";

    assert_eq!(text(wide.send(get(url)).await.unwrap()).await, "ok");
    for _ in 0..3 {
        let error = narrow.send(get(url)).await.unwrap_err();
        assert!(matches!(reason(&error), Reason::Address { .. }), "{error}");
    }
    assert_eq!(accepted.load(Ordering::Relaxed), 1);
    assert_eq!(dialer.dialled(), [addr("10.0.0.1:80")]);

    drop(wide);
    let closed = tokio::time::timeout(Duration::from_secs(5), endings.recv()).await;
    assert_eq!(closed.unwrap(), Some(()), "the idle connection stayed open");
}

#[tokio::test]
async fn case_11_tls_the_request_and_the_dial_name_the_same_host_or_nothing_is_sent() {
    let hosts = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&hosts);
    let router = Router::new().fallback(move |uri: Uri, headers: HeaderMap| async move {
        let named = uri.host().map(str::to_owned);
        let host = headers
            .get(header::HOST)
            .map(|h| h.to_str().unwrap().to_owned());
        seen.lock().unwrap().push(named.or(host).unwrap());
    });
    let (server, mut asked) = serve_tls(router).await;

    // The name that was judged is the one in the handshake and in the request.
    let (client, resolver, dialer) = client_of(server, 443, TlsMode::Unverified);
    client.send(get(URL)).await.unwrap();
    assert_eq!(
        asked.recv().await.unwrap().as_deref(),
        Some("storage.example.com")
    );
    assert_eq!(*hosts.lock().unwrap(), ["storage.example.com"]);
    assert_eq!(resolver.asked(), ["storage.example.com"]);
    assert_eq!(dialer.dialled(), [addr("10.0.0.1:443")]);

    // A request that names another host is not sent, not even over the pooled connection.
    for other in [
        "metadata.google.internal",
        "other.example.com",
        "storage.example.com:80",
        "",
    ] {
        let request = Request::get(URL)
            .header(header::HOST, other)
            .body(Empty::<Bytes>::new())
            .unwrap();
        let error = client.send(request).await.unwrap_err();
        assert!(matches!(error, EgressError::Request { .. }), "{error:?}");
    }
    assert_eq!(hosts.lock().unwrap().len(), 1);

    // A server that cannot prove the name sees the handshake and no request.
    let resolver = ScriptedResolver::saying(&[&["93.184.216.34"]]);
    let dialer = RecordingDialer::to(server);
    let guard = Guard::with(Policy::default(), resolver, dialer.clone());
    let verified = Client::new(Arc::new(guard), TlsMode::Verified);
    let error = verified.send(get(URL)).await.unwrap_err();
    assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
    assert_eq!(
        asked.recv().await.unwrap().as_deref(),
        Some("storage.example.com")
    );
    assert_eq!(dialer.dialled(), [addr("93.184.216.34:443")]);
    assert_eq!(hosts.lock().unwrap().len(), 1);
}

/// Also the body of the next test, run there with proxies in its environment.
#[tokio::test]
async fn the_environment_changes_nothing() {
    let server = serve(Router::new().route("/", on_get(|| async { "straight" }))).await;
    let client = Client::new(Arc::new(Guard::new(loopback_open())), TlsMode::Verified);
    let answer = client
        .send(get(&format!("http://{server}/")))
        .await
        .unwrap();
    assert_eq!(text(answer).await, "straight");
}

#[test]
fn case_12_a_proxy_in_the_environment_is_not_used() {
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap());
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(name, &url).env(name.to_lowercase(), &url);
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    let output = child
        .args(["--exact", "dynamic::the_environment_changes_nothing"])
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("1 passed"),
        "the test above was renamed"
    );
    assert!(proxy.accept().is_err(), "the proxy was contacted");
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[a, b, c, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A text after its length.
fn counted(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&length, text.as_bytes()].concat()
}

/// An HTTP/2 server that claims another origin and an alternative place in every way there is. It counts connections.
async fn serve_claims() -> (SocketAddr, Arc<AtomicUsize>) {
    const ALTERNATIVE: &str = "h2=\"elsewhere.example.com:443\", h3=\":443\"";
    let (listener, server) = listen().await;
    let acceptor = TlsAcceptor::from(tls_config());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let mut stream = acceptor.accept(stream).await.unwrap();
            tokio::spawn(async move {
                let origin = counted("https://elsewhere.example.com");
                let alternative =
                    [counted("https://storage.example.com"), ALTERNATIVE.into()].concat();
                let claims = [
                    frame(0x4, 0, 0, &[]),
                    frame(0xc, 0, 0, &origin),
                    frame(0xa, 0, 0, &alternative),
                ];
                stream.write_all(&claims.concat()).await.unwrap();
                stream.read_exact(&mut [0; 24]).await.unwrap();
                let mut head = [0; 9];
                while stream.read_exact(&mut head).await.is_ok() {
                    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                    let mut payload = vec![0; length as usize];
                    stream.read_exact(&mut payload).await.unwrap();
                    let (kind, flags, id) = (head[3], head[4], head[8]);
                    let reply = match kind {
                        0x4 if flags & 1 == 0 => frame(0x4, 1, 0, &[]),
                        0x1 => {
                            // 200, and a header without compression.
                            let mut fields = vec![0x88, 0x00, 7];
                            fields.extend(b"alt-svc");
                            fields.push(u8::try_from(ALTERNATIVE.len()).unwrap());
                            fields.extend(ALTERNATIVE.as_bytes());
                            [frame(0x1, 4, id, &fields), frame(0x0, 1, id, b"ok")].concat()
                        }
                        _ => continue,
                    };
                    stream.write_all(&reply).await.unwrap();
                }
            });
        }
    });
    (server, accepted)
}

#[tokio::test]
async fn case_13_claims_of_other_origins_and_alternative_places_change_nothing() {
    let (server, accepted) = serve_claims().await;
    let dialer = RecordingDialer::opened(&["10.0.0.1"], Some(server));
    let resolver = ScriptedResolver::saying(&[&["10.0.0.1"], &["169.254.169.254"]]);
    let guard = Guard::with(opening("10.0.0.1:443"), resolver.clone(), dialer.clone());
    let client = Client::new(Arc::new(guard), TlsMode::Unverified);
    for _ in 0..3 {
        let answer = client.send(get(URL)).await.unwrap();
        assert_eq!(answer.version(), Version::HTTP_2);
        assert!(answer.headers().contains_key(header::ALT_SVC));
        assert_eq!(text(answer).await, "ok");
    }
    assert_eq!(resolver.asked(), ["storage.example.com"]);
    // The origin that the server claimed has a name and addresses of its own to be judged.
    let error = client
        .send(get("https://elsewhere.example.com/"))
        .await
        .unwrap_err();
    assert!(matches!(reason(&error), Reason::Address { .. }), "{error}");
    assert_eq!(
        resolver.asked(),
        ["storage.example.com", "elsewhere.example.com"]
    );
    assert_eq!(dialer.dialled(), [addr("10.0.0.1:443")]);
    assert_eq!(accepted.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn case_14_a_closed_second_address_is_judged_before_the_first_is_tried() {
    for (first, second) in [
        ("93.184.216.34", "10.0.0.1"),
        ("93.184.216.34", "fd00:ec2::254"),
        ("2606:4700::1111", "169.254.169.254"),
    ] {
        // The first would never answer, as if to have the second tried in its place.
        let dialer = RecordingDialer::with_dead(vec![SocketAddr::new(addr(first).ip(), 443)]);
        let resolver = ScriptedResolver::saying(&[&[first, second]]);
        let begun = Instant::now();
        let error = client(Policy::default(), resolver, &dialer)
            .send(get(URL))
            .await
            .unwrap_err();
        assert!(matches!(reason(&error), Reason::Address { .. }), "{error}");
        assert_eq!(dialer.dialled(), []);
        assert_eq!(begun.elapsed(), Duration::ZERO, "nothing was waited for");
    }
}
