//! Neither keys nor what the store says about them get into any error.

use std::error::Error;
use std::fmt::Write;

use serde_json::json;
use wharf_domain::provider::Provider;
use wharf_lab::{Action, FaultRule, KeyPair, Lab, LabConfig, Match};
use wharf_ports::ProviderError;

use crate::account::{config, only_entry, open_with, policy};

const CANARIES: [&str; 4] = ["CANARYID", "canary-secret", "canary-token", "canary-text"];

fn everything(error: &ProviderError) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, " {cause} {cause:?}").unwrap();
        source = cause.source();
    }
    text
}

#[tokio::test]
async fn no_secret_and_no_text_of_the_store_shows_in_errors_and_reports() {
    let key = KeyPair::new(CANARIES[0], CANARIES[1]).session_token(CANARIES[2]);
    let lab = Lab::start(LabConfig::default().keys([key])).await.unwrap();
    lab.put_object("media", "a", "hello");
    let credentials = json!({
        "type": "access_key",
        "access_key_id": CANARIES[0],
        "secret_access_key": CANARIES[1],
        "session_token": CANARIES[2],
    });
    let provider = open_with(
        policy(),
        config(
            Provider::S3,
            json!({"endpoint_url": lab.endpoint()}),
            credentials,
        ),
    );
    let entry = only_entry(&provider, "media").await;

    let echo = || Some(CANARIES.join(" "));
    let codes = [
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
        "AccessDenied",
        "ExpiredToken",
        "SlowDown",
        "InternalError",
        "PermanentRedirect",
        "NoSuchKey",
        "canary-text",
    ];
    let mut actions: Vec<Action> = codes
        .iter()
        .map(|code| Action {
            message: echo(),
            region: echo(),
            ..Action::s3_error(*code)
        })
        .collect();
    actions.extend([
        Action {
            body: echo(),
            ..Action::html()
        },
        Action {
            body: echo(),
            ..Action::default()
        },
        Action {
            body: Some(format!("<ListBucketResult><{}", CANARIES[3])),
            ..Action::default()
        },
        Action::close(),
        Action::truncate_at(1),
        Action::corrupt_byte_at(0),
        Action::default().header("last-modified", "canary-text"),
        Action::default().header("location", "http://canary-text.example/?canary-text"),
    ]);
    let mut texts = Vec::new();
    for action in actions {
        lab.set_faults([FaultRule::new(Match::any(), action)]);
        if let Err(error) = provider.list("media", None, 10).await {
            texts.push(everything(&error));
        }
        match crate::account::read(&provider, &entry).await {
            Ok(_) => {}
            Err(error) => texts.push(everything(&error)),
        }
        let report = provider.check(crate::account::WHOLE).await;
        texts.push(format!("{report:?} {}", report.message()));
    }
    assert!(texts.len() > 40, "{}", texts.len());
    for text in texts {
        for canary in CANARIES {
            assert!(!text.contains(canary), "{canary} in {text}");
        }
    }
}
