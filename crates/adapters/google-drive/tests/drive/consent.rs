//! A person's consent, from the page to the refresh token.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::provider::Provider;
use wharf_domain::secret::SecretString;
use wharf_egress::{Client, Guard, Policy, TlsMode};
use wharf_lab::google::GoogleLab;
use wharf_ports::{ConsentAnswer, ConsentClient, ConsentFlow, ProviderError, ProviderFactory};

use crate::account::{ADA, CLIENT, CLIENT_SECRET, SCOPE, WHOLE, by_consent, factory, lab, open};

const REDIRECT: &str = "https://wharf.example.com/callback";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0123456789";

fn flow(google: &GoogleLab) -> Arc<dyn ConsentFlow> {
    factory(google).consent(Provider::GoogleDrive).unwrap()
}

/// What the person's browser is sent back with.
async fn answered(google: &GoogleLab) -> Url {
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let address = flow(google).address(CLIENT, REDIRECT, "a-state", &challenge);
    let policy = Policy {
        allow_loopback: true,
        ..Policy::default()
    };
    let browser = Client::new(Arc::new(Guard::new(policy)), TlsMode::Verified);
    let page = Request::get(address).body(Empty::<Bytes>::new()).unwrap();
    let answer = browser.send(page).await.unwrap();
    let place = answer.headers().get("location").unwrap();
    place.to_str().unwrap().parse().unwrap()
}

fn parameter(url: &Url, name: &str) -> String {
    let (_, value) = url.query_pairs().find(|(found, _)| found == name).unwrap();
    value.into_owned()
}

async fn exchanged(
    google: &GoogleLab,
    code: &str,
    verifier: &str,
    redirect_uri: &str,
) -> Result<SecretString, ProviderError> {
    let secret = |text: &str| SecretString::new(text.to_owned());
    let client = ConsentClient {
        client_id: CLIENT,
        client_secret: &secret(CLIENT_SECRET),
    };
    let answer = ConsentAnswer {
        code: &secret(code),
        verifier: &secret(verifier),
        redirect_uri,
    };
    flow(google).exchange(client, answer).await
}

#[tokio::test]
async fn a_consent_becomes_a_refresh_token_that_signs_in() {
    let lab = lab().await;
    let google = lab.google();
    google.consent_as(ADA);
    let back = answered(google).await;
    assert!(back.as_str().starts_with(REDIRECT), "{back}");
    assert_eq!(parameter(&back, "state"), "a-state");
    let code = parameter(&back, "code");
    let refresh_token = exchanged(google, &code, VERIFIER, REDIRECT).await.unwrap();
    let account = open(
        &factory(google),
        json!({}),
        by_consent(refresh_token.expose()),
    );
    assert!(account.check(WHOLE).await.success());
    let grant = google.grant_of(refresh_token.expose()).unwrap();
    assert_eq!(grant.scopes, [SCOPE]);
}

#[tokio::test]
async fn a_code_works_once_and_only_for_whoever_began() {
    let lab = lab().await;
    let google = lab.google();
    google.consent_as(ADA);
    let code = parameter(&answered(google).await, "code");
    let another = "another-verifier-of-at-least-forty-three-characters-01";
    let error = exchanged(google, &code, another, REDIRECT)
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::AuthReauthorizationRequired);
    assert!(
        error.message.contains("each code works once"),
        "{}",
        error.message
    );
    let code = parameter(&answered(google).await, "code");
    exchanged(google, &code, VERIFIER, REDIRECT).await.unwrap();
    let error = exchanged(google, &code, VERIFIER, REDIRECT)
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::AuthReauthorizationRequired);
    assert!(!error.message.contains(&code), "{}", error.message);
}
