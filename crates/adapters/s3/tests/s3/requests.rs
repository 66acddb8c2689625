//! What goes over the wire, byte by byte, and what does not.

use std::process::Command;
use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wharf_domain::provider::Provider;
use wharf_egress::Guard;
use wharf_lab::{Lab, LabConfig};
use wharf_ports::ProviderFactory;
use wharf_s3::S3;

use crate::account::{Here, config, only_entry, open_with, policy, read, s3_at};
use crate::server::DialHere;

/// Variables that the vendor's own tools heed.
const AMBIENT: [(&str, &str); 10] = [
    ("AWS_ACCESS_KEY_ID", "AMBIENT"),
    ("AWS_SECRET_ACCESS_KEY", "AMBIENT"),
    ("AWS_SESSION_TOKEN", "AMBIENT"),
    ("AWS_REGION", "ambient-1"),
    ("AWS_ENDPOINT_URL", "http://ambient.example"),
    ("AWS_PROFILE", "ambient"),
    ("AWS_EXECUTION_ENV", "AMBIENT"),
    ("AWS_LAMBDA_FUNCTION_NAME", "AMBIENT"),
    ("_X_AMZN_TRACE_ID", "AMBIENT"),
    ("HTTP_PROXY", "http://127.0.0.1:9"),
];

/// The head of the one request that a listing sends.
async fn request_head() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream
            .write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
        String::from_utf8(head).unwrap()
    });
    let provider = open_with(policy(), s3_at(&endpoint, "OWN-ID", "own-secret"));
    provider.list("media/a b", None, 10).await.unwrap_err();
    server.await.unwrap()
}

#[tokio::test]
async fn a_request_says_who_asks_and_nothing_about_this_machine() {
    let head = request_head().await;
    let names: Vec<&str> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    let expected = [
        "accept-encoding",
        "authorization",
        "host",
        "user-agent",
        "x-amz-content-sha256",
        "x-amz-date",
    ];
    assert_eq!(sorted, expected, "{head}");
    assert!(
        head.contains(concat!(
            "user-agent: wharf/",
            env!("CARGO_PKG_VERSION"),
            "\r\n"
        )),
        "{head}"
    );
    assert!(
        head.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date,"),
        "{head}"
    );
    assert!(
        head.starts_with("GET /media/?list-type=2&max-keys=10&prefix=a%20b HTTP/1.1\r\n"),
        "{head}"
    );
}

/// Run in a process of its own by the next test; by itself it proves the same without the variables.
#[tokio::test]
async fn only_the_connection_s_own_key_and_region_are_used() {
    let head = request_head().await;
    assert!(
        head.contains("Credential=OWN-ID/") && head.contains("/us-east-1/s3/aws4_request"),
        "{head}"
    );
    assert!(!head.to_ascii_lowercase().contains("ambient"), "{head}");
}

#[test]
fn the_environment_is_not_heeded() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "requests::only_the_connection_s_own_key_and_region_are_used",
        ])
        .envs(AMBIENT)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

#[tokio::test]
async fn aws_is_asked_in_the_region_with_the_bucket_in_the_host_unless_it_has_dots() {
    let domain = "s3.eu-west-1.amazonaws.com";
    let lab = Lab::start(LabConfig {
        bucket_domains: vec![domain.into()],
        ..LabConfig::default()
    })
    .await
    .unwrap();
    lab.put_object("media", "a b", "x");
    lab.put_object("media.2024", "a b", "x");
    let credentials = json!({
        "type": "access_key",
        "access_key_id": lab.access_key_id(),
        "secret_access_key": lab.secret_access_key(),
    });
    let parts = config(
        Provider::S3,
        json!({"region": "eu-west-1", "use_ssl": false}),
        credentials,
    );
    let guard = Guard::with(policy(), Arc::new(Here), Arc::new(DialHere(lab.address())));
    let provider = S3::new(Arc::new(guard))
        .open(
            &crate::account::connection(),
            &parts.config,
            parts.credentials,
            crate::account::alone(),
        )
        .unwrap();
    for bucket in ["media", "media.2024"] {
        let entry = only_entry(&provider, bucket).await;
        assert_eq!(read(&provider, &entry).await.unwrap(), "x");
    }
    assert!(provider.check(crate::account::WHOLE).await.success());
    let paths: Vec<String> = lab.journal().into_iter().map(|entry| entry.path).collect();
    assert_eq!(
        paths,
        ["/", "/a%20b", "/media.2024/", "/media.2024/a%20b", "/"]
    );
}
