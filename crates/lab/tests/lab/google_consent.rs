//! Consent and the code it gives.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;
use wharf_lab::Lab;
use wharf_lab::google::NewClient;

use crate::google_client::{ANNA, Answer, BEN, Caller, READ, harbour, send, token};

const CLIENT: &str = "client-2";
const SECRET: &str = "secret-2";
const BACK: &str = "http://127.0.0.1:9/oauth/back";
const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more";

async fn with_client() -> Lab {
    let (lab, _) = harbour().await;
    lab.google().add_client(NewClient {
        client_id: CLIENT.to_owned(),
        client_secret: SECRET.to_owned(),
        redirect_uris: vec![BACK.to_owned()],
    });
    lab
}

async fn consent(lab: &Lab, changes: &[(&str, &str)]) -> Answer {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let mut fields = HashMap::from([
        ("client_id", CLIENT),
        ("redirect_uri", BACK),
        ("response_type", "code"),
        ("scope", READ),
        ("state", "state/1"),
        ("access_type", "offline"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ]);
    fields.extend(changes.iter().copied());
    let url = Url::parse_with_params(&lab.google().consent_url(), fields).unwrap();
    send(Method::GET, url.as_str(), &[], "").await.unwrap()
}

fn sent_back(answer: &Answer) -> HashMap<String, String> {
    assert_eq!(answer.status, 302);
    let target = Url::parse(answer.header("location")).unwrap();
    assert!(target.as_str().starts_with(BACK));
    target.query_pairs().into_owned().collect()
}

async fn exchange(lab: &Lab, code: &str, back: &str, verifier: &str) -> (u16, serde_json::Value) {
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("client_secret", SECRET),
        ("code", code),
        ("redirect_uri", back),
        ("code_verifier", verifier),
    ];
    token(lab.google(), &fields).await
}

#[tokio::test]
async fn a_person_consents_and_the_client_gets_tokens_once() {
    let lab = with_client().await;
    let google = lab.google();
    google.consent_as(BEN);
    let back = sent_back(&consent(&lab, &[]).await);
    assert_eq!(back["state"], "state/1");
    let code = &back["code"];
    assert_eq!(
        exchange(&lab, code, "http://127.0.0.1:9/other", VERIFIER)
            .await
            .1["error"],
        "redirect_uri_mismatch"
    );
    assert_eq!(
        exchange(&lab, code, BACK, "another verifier").await,
        (
            400,
            json!({"error": "invalid_grant", "error_description": "Invalid code verifier."})
        )
    );
    assert_eq!(
        exchange(&lab, code, BACK, "").await.1["error_description"],
        "Missing code verifier."
    );
    let (status, answer) = exchange(&lab, code, BACK, VERIFIER).await;
    assert_eq!(status, 200);
    let caller = Caller::with(google, answer["access_token"].as_str().unwrap());
    assert_eq!(
        caller.json("about?fields=user").await["user"]["emailAddress"],
        BEN
    );
    let grant = google
        .grant_of(answer["refresh_token"].as_str().unwrap())
        .unwrap();
    assert_eq!(
        (grant.user.as_str(), grant.scopes.as_slice()),
        (BEN, &[READ.to_owned()][..])
    );
    assert_eq!(
        exchange(&lab, code, BACK, VERIFIER).await.1["error"],
        "invalid_grant"
    );
}

#[tokio::test]
async fn another_refresh_token_is_given_only_when_consent_is_asked_again() {
    let lab = with_client().await;
    let mut given = Vec::new();
    for changes in [
        &[][..],
        &[],
        &[("prompt", "consent")],
        &[("access_type", "online")],
    ] {
        let code = sent_back(&consent(&lab, changes).await)["code"].clone();
        let (_, answer) = exchange(&lab, &code, BACK, VERIFIER).await;
        given.push(answer.get("refresh_token").is_some());
    }
    assert_eq!(given, [true, false, true, false]);
    assert_eq!(lab.google().grants()[0].user, ANNA);
}

#[tokio::test]
async fn a_person_may_refuse() {
    let lab = with_client().await;
    lab.google().deny_consent(true);
    let back = sent_back(&consent(&lab, &[]).await);
    assert_eq!(back["error"], "access_denied");
    assert_eq!(back["state"], "state/1");
    assert_eq!(back.get("code"), None);
}

#[tokio::test]
async fn nobody_is_sent_to_a_place_that_cannot_be_trusted() {
    let lab = with_client().await;
    for (changes, error) in [
        (("client_id", "other"), "invalid_client"),
        (
            ("redirect_uri", "http://127.0.0.1:9/elsewhere"),
            "redirect_uri_mismatch",
        ),
        (("scope", "everything"), "invalid_scope"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
    ] {
        let answer = consent(&lab, &[changes]).await;
        assert_eq!(answer.status, 400);
        let page = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(page.contains(error), "{page}");
    }
    let code = sent_back(&consent(&lab, &[]).await)["code"].clone();
    lab.google().advance_clock(601);
    assert_eq!(exchange(&lab, &code, BACK, VERIFIER).await.0, 400);
}
