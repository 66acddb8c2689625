//! No text that a user can type reaches a host that it should not: every field of a connection, and the bucket of a
//! source path, against hostile texts, at a name service and a dialer that write everything down.
//!
//! Each text is refused with the name of its field, or leads nowhere but to the provider's own hosts: AWS's suffixes
//! where the region decides, the given endpoint where there is one, and a bucket's name before it at Tigris.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use wharf_domain::input::InvalidInput;
use wharf_domain::plan::Entry;
use wharf_domain::provider::{Provider, parse_new};
use wharf_egress::{Dialer, Guard, Policy, Resolver};
use wharf_ports::{FetchWish, ProviderFactory};
use wharf_s3::S3;

use crate::account::{WHOLE, connection};

/// What stands alone, and after something harmless, in each field.
const HOSTILE: &[&str] = &[
    "",
    "/",
    "#",
    "?",
    "@",
    ":",
    "\\",
    "%2f",
    "%2F..%2F",
    "%00",
    "%0d%0a",
    "%23",
    "%40evil.com",
    "..",
    ".",
    "../..",
    "/../evil.com",
    "\r\nHost: evil.com",
    "\r\n\r\nGET / HTTP/1.1\r\nHost: evil.com",
    "\n",
    "\0",
    "\t",
    " ",
    "\u{a0}",
    "\u{200b}",
    "\u{202e}moc.live",
    "\u{3002}evil\u{3002}com",
    "\u{ff0e}evil\u{ff0e}com",
    "\u{ff61}evil\u{ff61}com",
    "\u{ff0f}evil.com",
    "\u{ff20}evil.com",
    "\u{2024}evil\u{2024}com",
    "\u{2044}evil.com",
    "\u{ff45}\u{ff56}\u{ff49}\u{ff4c}.com",
    "\u{2488}evil.com",
    "\u{df}.com",
    "x.evil.com/#",
    "x.evil.com?",
    "x.evil.com\\",
    ".evil.com",
    ".evil.com/",
    ".evil.com#",
    ".evil.com?x=",
    "evil.com",
    "evil.com:443",
    "evil.com:22",
    "@evil.com",
    ":x@evil.com",
    "user:pass@evil.com",
    "us-east-1.evil.com",
    "-evil-com",
    "-1",
    "--x-s3",
    "--use1-az4--x-s3",
    "--op-s3",
    "--table-s3",
    "-s3alias",
    "xn--evil-com",
    "xn--80ak6aa92e.com",
    "evil.com.",
    "[::1]",
    "[::ffff:169.254.169.254]",
    "@[fd00:ec2::254]",
    "127.0.0.1",
    "2130706433",
    "0x7f.1",
    "169.254.169.254",
    "169.254.169.254/latest/meta-data/",
    "metadata.google.internal",
    "localhost",
    "{bucket}",
    "${jndi:ldap://evil.com}",
    "arn:aws:s3:::evil",
    "arn:aws:s3:us-east-1:123456789012:accesspoint/evil",
    "arn:aws:s3-outposts:us-east-1:123456789012:outpost/op-1/accesspoint/evil",
    "https://evil.com",
    "//evil.com",
    "javascript:alert(1)",
    "file:///etc/passwd",
    LONG,
];

/// Longer than any label, any name and any field.
const LONG: &str = {
    const BYTES: [u8; 5000] = [b'a'; 5000];
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => panic!("ASCII is UTF-8"),
    }
};

const REGION: &str = "provider_config.region";
const ENDPOINT: &str = "provider_config.endpoint_url";
const ROLE: &str = "provider_config.credentials.role_arn";
const SOURCE_PATH: &str = "source_path";

/// Under these answers AWS, partition by partition.
const AWS: &[&str] = &[
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".c2s.ic.gov",
    ".sc2s.sgov.gov",
    ".cloud.adc-e.uk",
    ".csp.hci.ic.gov",
];

/// A name service for which every name is public, and a dialer that reaches nobody. Both write everything down.
#[derive(Debug, Default)]
struct Watched {
    resolved: Mutex<Vec<String>>,
    dialled: Mutex<Vec<SocketAddr>>,
}

const PUBLIC: [u8; 4] = [93, 184, 216, 34];

#[async_trait]
impl Resolver for Watched {
    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.resolved.lock().unwrap().push(host.to_owned());
        Ok(vec![(PUBLIC, port).into()])
    }
}

#[async_trait]
impl Dialer for Watched {
    async fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        self.dialled.lock().unwrap().push(addr);
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

/// A connection and a source path with one hostile text in them.
#[derive(Debug, Clone)]
struct Attempt {
    provider: Provider,
    settings: Value,
    credentials: Value,
    source_path: String,
}

impl Attempt {
    fn s3(settings: Value) -> Self {
        Self {
            provider: Provider::S3,
            settings,
            credentials: json!({"type": "access_key", "access_key_id": "id", "secret_access_key": "secret"}),
            source_path: "media/2024".to_owned(),
        }
    }

    fn tigris(settings: Value) -> Self {
        Self {
            provider: Provider::Tigris,
            credentials: json!({"access_key_id": "id", "secret_access_key": "secret"}),
            ..Self::s3(settings)
        }
    }

    fn at(self, source_path: String) -> Self {
        Self {
            source_path,
            ..self
        }
    }

    fn role(role_arn: &str) -> Self {
        Self {
            credentials: json!({"type": "iam_role", "role_arn": role_arn, "external_id": "wharf-12345678"}),
            ..Self::s3(json!({}))
        }
    }
}

/// What became of an attempt.
#[derive(Debug)]
enum Outcome {
    /// Nothing was opened; the fields that were named.
    Refused(Vec<String>),
    /// Every text is sound, but a role needs an identity to assume it with, and there is none.
    Unopened,
    /// It was opened, checked, listed and fetched from.
    Used {
        resolved: Vec<String>,
        dialled: Vec<SocketAddr>,
    },
}

fn fields(error: &InvalidInput) -> Vec<String> {
    error
        .0
        .iter()
        .map(wharf_domain::input::FieldError::path)
        .collect()
}

async fn outcome(attempt: &Attempt) -> Outcome {
    let Value::Object(mut settings) = attempt.settings.clone() else {
        panic!("settings are an object")
    };
    settings.insert("credentials".into(), attempt.credentials.clone());
    let watched = Arc::new(Watched::default());
    let guard = Guard::with(Policy::default(), watched.clone(), watched.clone());
    let factory = S3::new(Arc::new(guard));
    let accepted = parse(attempt.provider, settings).and_then(|parts| {
        factory.vet(&parts.config)?;
        factory.vet_source_path(attempt.provider, &attempt.source_path)?;
        Ok(parts)
    });
    let parts = match accepted {
        Ok(parts) => parts,
        Err(error) => {
            assert_eq!(watched.resolved.lock().unwrap().len(), 0, "{attempt:?}");
            return Outcome::Refused(fields(&error));
        }
    };
    match factory.open(
        &connection(),
        &parts.config,
        parts.credentials,
        crate::account::alone(),
    ) {
        Err(error) => {
            let field = "provider_config.credentials.type: ";
            assert!(error.message.starts_with(field), "{attempt:?}: {error}");
            return Outcome::Unopened;
        }
        Ok(account) => {
            // Nobody answers, so each of them fails; where they went is what counts.
            account.check(WHOLE).await;
            let path = &attempt.source_path;
            account.list(path, None, 10).await.unwrap_err();
            account
                .fetch(&entry_at(path), FetchWish::default())
                .await
                .err()
                .unwrap();
        }
    }
    let resolved = watched.resolved.lock().unwrap().clone();
    let dialled = watched.dialled.lock().unwrap().clone();
    Outcome::Used { resolved, dialled }
}

fn parse(
    provider: Provider,
    settings: Map<String, Value>,
) -> Result<wharf_domain::provider::NewProviderConfig, InvalidInput> {
    parse_new(provider, settings, "provider_config")
}

fn entry_at(source_path: &str) -> Entry {
    let object = format!("{}/a.txt", source_path.trim_end_matches('/'));
    Entry {
        path: object.clone(),
        object,
        version: "\"tag\"|1".to_owned(),
        size_bytes: Some(1),
        modified_at: None,
        unreadable: None,
        lineage: String::new(),
    }
}

/// Runs a table of attempts on one field, prints what became of them, and fails unless every refusal names the field and
/// every host that was resolved is as `belongs` says. Gives the texts that were not refused, with the hosts they led to.
async fn run(
    field: &str,
    attempts: Vec<(String, Attempt)>,
    belongs: impl Fn(&str, &str) -> bool,
) -> BTreeMap<String, Vec<String>> {
    let (cases, mut refused, mut hosts, mut wrong) = (attempts.len(), 0, 0, Vec::new());
    let mut accepted = BTreeMap::new();
    for (text, attempt) in attempts {
        let (mut resolved, dialled) = match outcome(&attempt).await {
            Outcome::Refused(fields) => {
                refused += 1;
                if !fields.iter().any(|named| named == field) {
                    wrong.push(format!("{text:?} was refused for {fields:?}"));
                }
                continue;
            }
            Outcome::Unopened => (Vec::new(), Vec::new()),
            Outcome::Used { resolved, dialled } => (resolved, dialled),
        };
        hosts += resolved.len();
        if resolved.len() != dialled.len() {
            wrong.push(format!("{text:?}: {resolved:?}, but {dialled:?}"));
        }
        let strangers = resolved.iter().filter(|host| !belongs(&text, host));
        wrong.extend(strangers.map(|host| format!("{text:?} led to {host}")));
        let foreign = dialled.iter().filter(|to| to.ip() != IpAddr::from(PUBLIC));
        wrong.extend(foreign.map(|to| format!("{text:?} dialled {to}")));
        resolved.sort();
        resolved.dedup();
        accepted.insert(text, resolved);
    }
    eprintln!(
        "{field}: {cases} cases, {refused} refused, {} accepted, {hosts} dials, {} wrong",
        accepted.len(),
        wrong.len()
    );
    assert!(cases >= 2 * HOSTILE.len(), "only {cases} cases");
    assert_eq!(refused + accepted.len(), cases);
    assert!(wrong.is_empty(), "{wrong:#?}");
    accepted
}

fn is_aws(host: &str) -> bool {
    AWS.iter().any(|suffix| host.ends_with(suffix))
}

/// Alone, and after a harmless beginning.
fn after(beginning: &str) -> Vec<String> {
    let alone = HOSTILE.iter().map(|text| (*text).to_owned());
    let joined = HOSTILE.iter().map(|text| format!("{beginning}{text}"));
    alone.chain(joined).collect()
}

#[tokio::test(start_paused = true)]
async fn harmless_texts_lead_where_they_should() {
    for (attempt, expected) in [
        (
            Attempt::s3(json!({})),
            &[
                "media.s3.us-east-1.amazonaws.com",
                "s3.us-east-1.amazonaws.com",
            ][..],
        ),
        (
            Attempt::s3(json!({"endpoint_url": "https://minio.example.com:9000"})),
            &["minio.example.com"],
        ),
        (
            Attempt::tigris(json!({})),
            &["fly.storage.tigris.dev", "media.fly.storage.tigris.dev"],
        ),
    ] {
        let Outcome::Used {
            mut resolved,
            dialled,
        } = outcome(&attempt).await
        else {
            panic!("{attempt:?} was refused")
        };
        assert_eq!(resolved.len(), dialled.len());
        resolved.sort();
        resolved.dedup();
        assert_eq!(resolved, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_leads_to_no_host_but_those_of_aws() {
    let attempts = after("us-east-1")
        .into_iter()
        .map(|region| (region.clone(), Attempt::s3(json!({"region": region}))))
        .collect();
    let used = run(REGION, attempts, |_, host| is_aws(host)).await;
    // The second is a region that AWS does not have, but under AWS's own name all the same.
    let regions: Vec<_> = used.keys().collect();
    assert_eq!(regions, ["us-east-1", "us-east-12130706433"]);
}

#[tokio::test(start_paused = true)]
async fn every_partition_answers_under_its_own_suffix() {
    for (region, suffix) in [
        ("eu-central-1", ".amazonaws.com"),
        ("cn-north-1", ".amazonaws.com.cn"),
        ("us-gov-west-1", ".amazonaws.com"),
        ("us-iso-east-1", ".c2s.ic.gov"),
        ("us-isob-east-1", ".sc2s.sgov.gov"),
        ("eu-isoe-west-1", ".cloud.adc-e.uk"),
        ("us-isof-south-1", ".csp.hci.ic.gov"),
        ("eusc-de-east-1", ".amazonaws.eu"),
        ("zz-nowhere-7", ".amazonaws.com"),
    ] {
        let Outcome::Used { resolved, .. } = outcome(&Attempt::s3(json!({"region": region}))).await
        else {
            panic!("{region} was refused")
        };
        let service = format!("s3.{region}{suffix}");
        let bucket = format!("media.{service}");
        assert!(!resolved.is_empty());
        for host in resolved {
            assert!(host == service || host == bucket, "{region}: {host}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_there_is_an_endpoint_no_region_changes_the_host() {
    for (provider, settings, hosts) in [
        (
            "S3",
            json!({"endpoint_url": "https://minio.example.com"}),
            ["minio.example.com"; 2],
        ),
        (
            "Tigris",
            json!({}),
            ["fly.storage.tigris.dev", "media.fly.storage.tigris.dev"],
        ),
    ] {
        let attempts = after("iad")
            .into_iter()
            .map(|region| {
                let mut settings = settings.clone();
                settings["region"] = json!(region);
                let attempt = match provider {
                    "S3" => Attempt::s3(settings),
                    _ => Attempt::tigris(settings),
                };
                (region, attempt)
            })
            .collect();
        let used = run(REGION, attempts, |_, host| hosts.contains(&host)).await;
        // What is sound as a label, and names a host of its own in none of them.
        assert!(used.keys().all(|region| region.bytes().all(is_of_a_label)));
        assert!(used.contains_key("iad-evil-com"), "{used:?}");
    }
}

fn is_of_a_label(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// The host that a text names when nothing in it is out of the ordinary.
fn plain_host(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let host = rest
        .strip_suffix(":443")
        .unwrap_or(rest)
        .to_ascii_lowercase();
    host.bytes()
        .all(|byte| is_of_a_label(byte) || byte == b'.')
        .then_some(host)
}

/// What the URL standard makes of texts that are out of the ordinary, which is what a read of the connection shows: other
/// dots are dots, letters in disguise are letters, other letters are encoded, a backslash is a slash, and what stands for
/// nothing falls away.
const NORMALISED: &[(&str, &str)] = &[
    ("https:////", "https://"),
    (
        "https://storage.example.com:",
        "https://storage.example.com",
    ),
    ("\\", "/"),
    ("\u{200b}", ""),
    ("\u{3002}", "."),
    ("\u{ff0e}", "."),
    ("\u{ff61}", "."),
    ("\u{ff45}\u{ff56}\u{ff49}\u{ff4c}", "evil"),
    ("storage.example.com\u{df}", "storage.example.xn--com-7ka"),
    (
        "storage.example.com\u{2044}evil",
        "storage.example.xn--comevil-3d7c",
    ),
    ("\u{df}", "xn--zca"),
    ("\u{2044}evil", "xn--evil-zg7a"),
];

#[tokio::test(start_paused = true)]
async fn an_endpoint_leads_to_the_host_that_it_names_and_to_no_other() {
    for provider in ["S3", "Tigris"] {
        let mut urls = after("https://storage.example.com");
        urls.extend(HOSTILE.iter().map(|text| format!("https://{text}")));
        urls.extend(
            HOSTILE
                .iter()
                .map(|text| format!("https://{text}.example.com")),
        );
        urls.sort();
        urls.dedup();
        let attempts = urls
            .into_iter()
            .map(|url| {
                let settings = json!({"endpoint_url": url});
                let attempt = match provider {
                    "S3" => Attempt::s3(settings),
                    _ => Attempt::tigris(settings),
                };
                (url, attempt)
            })
            .collect();
        let belongs = |url: &str, host: &str| {
            let mut url = url.to_owned();
            for (text, meant) in NORMALISED {
                url = url.replace(text, meant);
            }
            plain_host(&url).is_some_and(|named| {
                host == named || (provider == "Tigris" && host == format!("media.{named}"))
            })
        };
        let used = run(ENDPOINT, attempts, belongs).await;
        assert!(used.contains_key("https://storage.example.com.evil.com"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_leads_to_no_host_but_the_providers() {
    let mut paths = after("media");
    paths.extend(HOSTILE.iter().map(|text| format!("{text}/2024")));
    paths.extend(HOSTILE.iter().map(|text| format!("media/{text}")));
    paths.sort();
    paths.dedup();
    let table = |base: &Attempt| {
        paths
            .iter()
            .map(|path| (path.clone(), base.clone().at(path.clone())))
            .collect::<Vec<_>>()
    };

    let aws = Attempt::s3(json!({}));
    let used = run(SOURCE_PATH, table(&aws), |_, host| is_aws(host)).await;
    assert!(used.contains_key("evil.com"), "{used:?}");

    let minio = Attempt::s3(json!({"endpoint_url": "https://minio.example.com"}));
    let used = run(SOURCE_PATH, table(&minio), |_, host| {
        host == "minio.example.com"
    })
    .await;
    assert!(used.contains_key("media--x-s3"), "{used:?}");

    let tigris = Attempt::tigris(json!({}));
    let own = |path: &str, host: &str| {
        let bucket = path.split('/').next().unwrap_or_default();
        let service = "fly.storage.tigris.dev";
        // A dot in the bucket keeps it in the path.
        host == service
            || (!bucket.contains('.') && host == format!("{bucket}.{service}").to_ascii_lowercase())
    };
    let used = run(SOURCE_PATH, table(&tigris), own).await;
    assert!(used.contains_key("media-evil-com"), "{used:?}");
}

#[tokio::test(start_paused = true)]
async fn a_role_leads_to_no_host_but_those_of_aws() {
    let mut arns: Vec<String> = after("arn:aws:iam::123456789012:role/reader");
    for text in HOSTILE {
        arns.push(format!("arn:{text}:iam::123456789012:role/reader"));
        arns.push(format!("arn:aws{text}:iam::123456789012:role/reader"));
        arns.push(format!("arn:aws-iso{text}:iam::123456789012:role/reader"));
        arns.push(format!("arn:aws:iam:{text}:123456789012:role/reader"));
        arns.push(format!("arn:aws:iam::{text}:role/reader"));
    }
    arns.sort();
    arns.dedup();
    let attempts = arns
        .into_iter()
        .map(|arn| (arn.clone(), Attempt::role(&arn)))
        .collect();
    let accepted = run(ROLE, attempts, |_, host| is_aws(host)).await;
    // What follows a sound beginning is the role's name, whatever it looks like.
    let sound = |arn: &String| {
        let own = arn.strip_prefix("arn:aws:iam::123456789012:role/reader");
        own.is_some() || arn == "arn:aws-iso:iam::123456789012:role/reader"
    };
    assert!(accepted.keys().all(sound), "{accepted:?}");
}
