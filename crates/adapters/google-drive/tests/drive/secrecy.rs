//! Neither credentials nor tokens, nor what Google says about them, get into any error or report.

use std::error::Error;
use std::fmt::Write;

use serde_json::json;
use wharf_lab::{Action, FaultRule, Match};
use wharf_ports::ProviderError;

use crate::account::{
    ADA, CLIENT, CLIENT_SECRET, SCOPE, WHOLE, by_consent, by_key, factory, lab, open,
    service_account,
};

const TOLD: &str = "canary-text";

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
async fn no_secret_and_no_text_of_google_shows_in_errors_and_reports() {
    let lab = lab().await;
    let google = lab.google();
    let refresh_token = google.grant(CLIENT, ADA, &[SCOPE]).unwrap();
    let key = by_key(&service_account(google));
    let factory = factory(google);
    let accounts = [
        open(&factory, json!({}), by_consent(&refresh_token)),
        open(&factory, json!({}), key.clone()),
        open(&factory, json!({"impersonate_user": ADA}), key.clone()),
    ];
    let reasons = [
        "invalid_grant",
        "invalid_client",
        "unauthorized_client",
        "authError",
        "forbidden",
        "userRateLimitExceeded",
        "backendError",
        "notFound",
        TOLD,
    ];
    let mut actions: Vec<Action> = reasons
        .iter()
        .map(|reason| Action::google_error(*reason).message(format!("{TOLD} {refresh_token}")))
        .collect();
    let saying = |body: &str| Action {
        body: Some(body.to_owned()),
        ..Action::default()
    };
    actions.extend([
        saying(TOLD),
        saying(r#"{"error": "canary-text", "error_description": "canary-text"}"#),
        saying(r#"{"access_token": "canary-text\n", "expires_in": 9, "token_type": "Bearer"}"#),
        saying(
            r#"{"files": [{"id": "canary-text/../x"}], "user": {"emailAddress": "canary-text"}}"#,
        ),
        Action {
            body: Some(format!("<html>{TOLD}")),
            ..Action::html()
        },
        Action::close(),
        Action::truncate_at(1),
        Action::default().header("location", "http://canary-text.example/?canary-text"),
    ]);
    let mut texts = vec![format!("{factory:?}")];
    for action in actions {
        google.set_faults([FaultRule::new(Match::any(), action)]);
        for account in &accounts {
            let report = account.check(WHOLE).await;
            texts.push(format!("{report:?} {}", report.message()));
            if let Err(error) = account.list("/", None, 10).await {
                texts.push(everything(&error));
            }
        }
    }
    let private_key = key["private_key"].as_str().unwrap();
    let canaries = [
        TOLD,
        CLIENT_SECRET,
        refresh_token.as_str(),
        &private_key[100..140],
        "ya29.",
        "eyJ",
    ];
    assert!(texts.len() > 60, "{}", texts.len());
    for text in texts {
        for canary in canaries {
            assert!(!text.contains(canary), "{canary} in {text}");
        }
    }
}
