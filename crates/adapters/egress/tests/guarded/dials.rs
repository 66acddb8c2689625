//! What the guard makes of the name service's answers, dial by dial.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;
use wharf_egress::{Class, Client, EgressError, Guard, Policy, Reason, Resolver, TlsMode};

use crate::fakes::{RecordingDialer, ScriptedResolver, addr, get, opening, reason};

const URL: &str = "https://storage.example.com/bucket?X-Amz-Signature=canary";

fn client(policy: Policy, resolver: Arc<dyn Resolver>, dialer: &Arc<RecordingDialer>) -> Client {
    let guard = Guard::with(policy, resolver, dialer.clone());
    Client::new(Arc::new(guard), TlsMode::Verified)
}

#[tokio::test]
async fn sixty_four_answers_are_all_tried() {
    let answers: Vec<_> = (1..=64)
        .map(|n| SocketAddr::from(([93, 184, 216, n], 443)))
        .collect();
    let dialer = RecordingDialer::to_nobody();
    let client = client(
        Policy::default(),
        ScriptedResolver::answering(answers.clone()),
        &dialer,
    );
    client.send(get(URL)).await.unwrap_err();
    assert_eq!(dialer.dialled(), answers);
}

#[tokio::test]
async fn a_name_without_addresses_is_an_unresolved_name() {
    let dialer = RecordingDialer::to_nobody();
    let client = client(Policy::default(), ScriptedResolver::saying(&[]), &dialer);
    let error = client.send(get(URL)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the name storage.example.com could not be resolved"
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_answers_costs_five_seconds_however_many_addresses_it_has() {
    for count in 1..=4_u8 {
        let addresses: Vec<_> = (1..=count)
            .map(|n| SocketAddr::from(([93, 184, 216, n], 443)))
            .collect();
        let dialer = RecordingDialer::with_dead(addresses.clone());
        let client = client(
            Policy::default(),
            ScriptedResolver::answering(addresses.clone()),
            &dialer,
        );
        let begun = Instant::now();
        let error = client.send(get(URL)).await.unwrap_err();
        assert!(
            matches!(error, EgressError::ConnectTimeout { .. }),
            "{error:?}"
        );
        assert_eq!(begun.elapsed().as_millis() / 10, 500);
        assert_eq!(dialer.dialled(), addresses, "each had its turn");
    }
}

#[tokio::test]
async fn an_address_as_host_is_judged_like_any_answer() {
    let resolver = ScriptedResolver::saying(&[&["93.184.216.34"]]);
    let dialer = RecordingDialer::to_nobody();
    let client = client(Policy::default(), resolver.clone(), &dialer);
    for url in [
        "https://10.0.0.1/x",
        "https://0x7f.1/x",
        "https://[::1]/x",
        "https://169.254.169.254/latest",
    ] {
        let error = client.send(get(url)).await.unwrap_err();
        assert!(
            matches!(reason(&error), Reason::Address { .. }),
            "{url}: {error}"
        );
    }
    client
        .send(get("https://93.184.216.34/x"))
        .await
        .unwrap_err();
    assert_eq!(dialer.dialled(), [addr("93.184.216.34:443")]);
    assert_eq!(resolver.asked(), [""; 0], "addresses are not looked up");
}

#[tokio::test]
async fn plain_http_to_a_public_address_is_refused_at_the_dial() {
    let dialer = RecordingDialer::to_nobody();
    let client = client(
        Policy::default(),
        ScriptedResolver::saying(&[&["93.184.216.34"]]),
        &dialer,
    );
    let error = client
        .send(get("http://storage.example.com/"))
        .await
        .unwrap_err();
    assert_eq!(reason(&error), &Reason::PlainHttp(80));
    assert_eq!(dialer.dialled(), []);
}

#[tokio::test]
async fn unverified_tls_to_a_public_address_is_refused_at_the_dial() {
    let dialer = RecordingDialer::to_nobody();
    let resolver = ScriptedResolver::saying(&[&["93.184.216.34"]]);
    let guard = Guard::with(Policy::default(), resolver, dialer.clone());
    let client = Client::new(Arc::new(guard), TlsMode::Unverified);
    let error = client.send(get(URL)).await.unwrap_err();
    assert_eq!(reason(&error), &Reason::UnverifiedTls(443));
    assert_eq!(dialer.dialled(), []);
}

#[tokio::test]
async fn an_allow_entry_opens_its_address_and_port_and_leaves_the_next_one_closed() {
    let resolver = ScriptedResolver::saying(&[&["10.1.2.3"]]);
    let dialer = RecordingDialer::opened(&["10.1.2.3"], None);
    let client = client(opening("10.0.0.0/8:9000"), resolver, &dialer);
    client
        .send(get("http://minio.example.com:9000/"))
        .await
        .unwrap_err();
    let closed = client
        .send(get("http://minio.example.com:8443/"))
        .await
        .unwrap_err();
    assert!(matches!(
        reason(&closed),
        Reason::Address {
            class: Class::Private,
            ..
        }
    ));
    assert_eq!(dialer.dialled(), [addr("10.1.2.3:9000")]);
}

#[tokio::test]
async fn no_error_repeats_the_query_of_a_url_or_the_inner_address_of_a_name() {
    for answers in [&["10.77.0.1"][..], &["93.184.216.34"], &[]] {
        let dialer = RecordingDialer::to_nobody();
        let client = client(
            Policy::default(),
            ScriptedResolver::saying(&[answers]),
            &dialer,
        );
        let error = client.send(get(URL)).await.unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(
            !told.contains("canary") && !told.contains("10.77"),
            "{told}"
        );
    }
}
