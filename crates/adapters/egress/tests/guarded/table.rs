//! Every URL of the table gets the verdict beside it, and leads to the dial that the verdict allows or to none.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Uri;
use url::{Host, Url};
use wharf_egress::{Client, EgressError, Guard, Policy, Reason, TlsMode};

use crate::fakes::{RecordingDialer, ScriptedResolver, get, reason};

const TABLE: &str = include_str!("data/urls.txt");

/// The line behind which rows were added to the first hundred and fifty.
const ADDED: &str = "# the same and more, met elsewhere";

fn rows_of(table: &'static str) -> Vec<(&'static str, &'static str)> {
    table
        .split('\n')
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(" | ").expect("a row is `verdict | URL`"))
        .collect()
}

fn rows() -> Vec<(&'static str, &'static str)> {
    rows_of(TABLE)
}

/// How many rows there are with each verdict: closed, name, public.
fn counts(rows: &[(&str, &str)]) -> [usize; 3] {
    ["closed", "name", "public"]
        .map(|verdict| rows.iter().filter(|(given, _)| *given == verdict).count())
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
}

#[test]
fn the_table_has_not_shrunk() {
    let (first, added) = TABLE.split_once(ADDED).expect("the table has two parts");
    assert_eq!(counts(&rows_of(first)), [140, 7, 3]);
    let added = rows_of(added);
    assert!(added.len() >= 18, "only {} rows were added", added.len());
    assert_eq!(counts(&added), [added.len(), 0, 0]);
}

#[tokio::test]
async fn every_url_of_the_table_leads_to_the_dial_it_may_have_or_to_none() {
    let (mut refused, mut names, mut allowed, mut wrongly) = (0, 0, 0, 0);
    for (verdict, url) in rows() {
        // What lies behind a name is bad news first, and good news then.
        let resolver = ScriptedResolver::saying(&[&["169.254.169.254"], &["93.184.216.34"]]);
        let dialer = RecordingDialer::to_nobody();
        let guard = Guard::with(Policy::default(), resolver.clone(), dialer.clone());
        let client = Client::new(Arc::new(guard), TlsMode::Verified);
        // As a program with endpoints does it: what is not vetted is not sent. What the parser took as something else
        // than it looks like is sent as what it was taken for.
        let vetted = Policy::default().check_url(url);
        let target = Url::parse(url).map_or(url.to_owned(), String::from);
        let is_request = target.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
        });
        match verdict {
            "closed" => {
                assert!(vetted.is_err(), "{url}");
                refused += 1;
                if is_request {
                    let error = client.send(get(&target)).await.unwrap_err();
                    assert!(matches!(error, EgressError::Refused(_)), "{url}: {error:?}");
                }
                assert_eq!(dialer.dialled(), [], "{url}");
            }
            "name" => {
                assert!(vetted.is_ok(), "{url}");
                names += 1;
                let error = client.send(get(&target)).await.unwrap_err();
                assert!(matches!(reason(&error), Reason::Address { .. }), "{url}");
                assert_eq!(dialer.dialled(), [], "{url}");
                client.send(get(&target)).await.unwrap_err();
                let port = Url::parse(url).unwrap().port_or_known_default().unwrap();
                assert_eq!(
                    dialer.dialled(),
                    [SocketAddr::from(([93, 184, 216, 34], port))]
                );
                assert_eq!(resolver.asked().len(), 2, "{url}");
            }
            _ => {
                allowed += 1;
                let error = client.send(get(&target)).await.unwrap_err();
                assert!(matches!(error, EgressError::Connect { .. }), "{url}");
                let host = url.strip_prefix("https://").unwrap();
                assert_eq!(
                    dialer.dialled(),
                    [format!("{host}:443").parse::<SocketAddr>().unwrap()]
                );
                assert_eq!(resolver.asked(), [""; 0], "{url}");
            }
        }
        wrongly += dialer.wrongly_dialled();
    }
    let cases = rows().len();
    eprintln!(
        "{cases} cases: {refused} refused, {names} resolved, {allowed} allowed, {wrongly} dialled wrongly"
    );
    assert_eq!([refused, names, allowed], counts(&rows()));
    assert_eq!(refused + names + allowed, cases);
    assert_eq!(wrongly, 0);
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
