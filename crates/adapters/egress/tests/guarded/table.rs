//! Every URL of the table gets the verdict beside it, and nothing is dialled on the way.

use std::sync::Arc;

use crate::fakes::{RecordingDialer, ScriptedResolver, get};
use http::Uri;
use url::Host;
use wharf_egress::{Client, EgressError, Guard, Policy, TlsMode};

const TABLE: &str = include_str!("data/urls.txt");

fn rows() -> Vec<(&'static str, &'static str)> {
    TABLE
        .split('\n')
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(" | ").expect("a row is `verdict | URL`"))
        .collect()
}

#[test]
fn every_url_of_the_table_gets_its_verdict() {
    let policy = Policy::default();
    let mut wrong = Vec::new();
    for (verdict, url) in rows() {
        let answer = policy.check_url(url);
        let given = match &answer {
            Err(_) => "closed",
            Ok(endpoint) if matches!(endpoint.origin().host(), Host::Domain(_)) => "name",
            Ok(_) => "public",
        };
        if given != verdict {
            wrong.push(format!(
                "{url:?} is {verdict}, but the answer was {answer:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(
        rows().len() >= 150,
        "the table has shrunk to {}",
        rows().len()
    );
}

#[tokio::test]
async fn no_closed_url_leads_to_a_dial_when_it_is_sent_all_the_same() {
    // A name that slipped through would resolve to a private address.
    let resolver = ScriptedResolver::saying(&[&["10.0.0.1"]]);
    let dialer = RecordingDialer::to_nobody();
    let guard = Guard::with(Policy::default(), resolver, dialer.clone());
    let client = Client::new(Arc::new(guard), TlsMode::Verified);
    let mut sent = 0;
    for (verdict, url) in rows() {
        let is_request = url.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
        });
        if verdict != "closed" || !is_request {
            continue;
        }
        sent += 1;
        let error = client.send(get(url)).await.unwrap_err();
        assert!(matches!(error, EgressError::Refused(_)), "{url}: {error:?}");
    }
    assert!(sent >= 90, "only {sent} rows could be sent");
    assert_eq!(dialer.dialled(), []);
}

#[tokio::test]
async fn checking_a_url_asks_no_name_service() {
    let resolver = ScriptedResolver::saying(&[]);
    let dialer = RecordingDialer::to_nobody();
    let guard = Guard::with(Policy::default(), resolver.clone(), dialer.clone());
    for (_, url) in rows() {
        let _ = guard.policy().check_url(url);
    }
    assert_eq!(resolver.asked(), [""; 0]);
    assert_eq!(dialer.dialled(), []);
}
