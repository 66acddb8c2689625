//! Tokens on their way: to Google and to nobody else.

use serde_json::json;
use wharf_domain::error_code::ErrorCode;
use wharf_lab::google::GrantState;
use wharf_lab::{Action, FaultRule, Match, Operation};

use crate::account::{
    ADA, CLIENT, SCOPE, WHOLE, by_consent, by_key, check, factory, lab, open, service_account,
};

#[tokio::test]
async fn a_person_s_consent_signs_in_as_that_person() {
    let lab = lab().await;
    let google = lab.google();
    let refresh_token = google.grant(CLIENT, ADA, &[SCOPE]).unwrap();
    let account = open(&factory(google), json!({}), by_consent(&refresh_token));
    assert!(account.check(WHOLE).await.success());
    let journal = google.journal();
    let about = journal
        .iter()
        .find(|entry| entry.operation == Operation::DriveAbout)
        .unwrap();
    assert_eq!(about.user.as_deref(), Some(ADA));
    assert!(about.path.ends_with("/drive/v3/about"), "{}", about.path);
}

#[tokio::test]
async fn accounts_of_one_user_and_project_share_a_quota() {
    let lab = lab().await;
    let google = lab.google();
    let key = service_account(google);
    let factory = factory(google);
    let quota = |settings| open(&factory, settings, by_key(&key)).quota_account();
    assert_eq!(quota(json!({})), quota(json!({"shared_drive_id": "0AB"})));
    assert_ne!(quota(json!({})), quota(json!({"impersonate_user": ADA})));
    let one = google.grant(CLIENT, ADA, &[SCOPE]).unwrap();
    let account = open(&factory, json!({}), by_consent(&one));
    let told = account.quota_account().unwrap();
    assert!(!told.contains(&one), "{told}");
}

#[tokio::test]
async fn a_token_that_the_api_no_longer_takes_is_replaced_without_a_word() {
    let lab = lab().await;
    let google = lab.google();
    let key = service_account(google);
    let account = open(&factory(google), json!({}), by_key(&key));
    let expired = Match::operation(Operation::DriveAbout).times(1);
    google.add_fault(FaultRule::new(expired, Action::google_error("authError")));
    assert!(account.check(WHOLE).await.success());
    google.clear_journal();
    let expired = Match::operation(Operation::DriveAbout);
    google.add_fault(FaultRule::new(expired, Action::google_error("authError")));
    let report = account.check(WHOLE).await;
    let sign_in = check(&report, "sign_in");
    assert_eq!(
        sign_in.error_code.map(ErrorCode::as_str),
        Some("auth.invalid_credentials"),
        "{report:?}"
    );
    let asked = google.journal();
    let of = |operation| {
        let asked = asked.iter().filter(|entry| entry.operation == operation);
        asked.count()
    };
    assert_eq!(
        (of(Operation::GoogleToken), of(Operation::DriveAbout)),
        (2, 2)
    );
}

#[tokio::test]
async fn a_dead_grant_says_how_it_can_die() {
    let lab = lab().await;
    let google = lab.google();
    let refresh_token = google.grant(CLIENT, ADA, &[SCOPE]).unwrap();
    google.set_grant(&refresh_token, GrantState::Revoked);
    let account = open(&factory(google), json!({}), by_consent(&refresh_token));
    let report = account.check(WHOLE).await;
    let sign_in = check(&report, "sign_in");
    let remedy = sign_in.remedy.as_deref().unwrap();
    for cause in [
        "revokes",
        "password",
        "six months",
        "too often",
        "Testing",
        "session policy",
    ] {
        assert!(remedy.contains(cause), "{cause}: {remedy}");
    }
    let asked = google.journal().into_iter();
    let asked = asked.filter(|entry| entry.operation == Operation::GoogleToken);
    assert_eq!(asked.count(), 1, "never in a loop");
}
