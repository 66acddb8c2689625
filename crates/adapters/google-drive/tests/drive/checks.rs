//! What a test of a connection reports.

use std::time::Duration;

use serde_json::json;
use wharf_domain::check::Outcome;
use wharf_domain::error_code::ErrorCode;
use wharf_google_drive::Addresses;
use wharf_lab::google::{NewItem, Role};
use wharf_lab::{Action, FaultRule, Match, Operation};
use wharf_ports::CheckRequest;

use crate::account::{
    ADA, CLIENT, Off, SCOPE, SERVICE, WHOLE, alone, by_consent, by_key, check, factory, factory_at,
    lab, open, outcomes, service_account, try_open,
};

fn with_path(path: &str) -> CheckRequest<'_> {
    CheckRequest {
        source_path: Some(path),
        ..WHOLE
    }
}

#[tokio::test]
async fn a_service_account_with_something_to_read_passes() {
    let lab = lab().await;
    let google = lab.google();
    let key = service_account(google);
    let drive = google.add_drive("Team", [(SERVICE, Role::Reader)]).unwrap();
    let folder = google
        .add(NewItem::folder("Assets").inside(&drive))
        .unwrap();
    google
        .add(NewItem::blob("a.txt", "hello").inside(&folder))
        .unwrap();
    let account = open(
        &factory(google),
        json!({"shared_drive_id": drive}),
        by_key(&key),
    );
    for path in ["/", "/Assets", folder.as_str(), drive.as_str()] {
        let report = account.check(with_path(path)).await;
        assert!(report.success(), "{path}: {report:?}");
        // No name has to be resolved, and there is no TLS.
        assert_eq!(outcomes(&report), "pspspppppp", "{report:?}");
    }
}

#[tokio::test]
async fn an_identity_that_sees_nothing_passes_and_is_told_how_to_share_with_it() {
    let lab = lab().await;
    let google = lab.google();
    let key = service_account(google);
    let report = open(&factory(google), json!({}), by_key(&key))
        .check(WHOLE)
        .await;
    assert!(report.success(), "{report:?}");
    let visible = check(&report, "drive_visible");
    assert_eq!(visible.outcome, Outcome::Inconclusive);
    let remedy = visible.remedy.as_deref().unwrap();
    assert!(remedy.contains(SERVICE), "{remedy}");
    let for_ada = json!({"impersonate_user": ADA});
    let report = open(&factory(google), for_ada, by_key(&key))
        .check(WHOLE)
        .await;
    assert!(report.success(), "{report:?}");
    let remedy = check(&report, "drive_visible").remedy.as_deref().unwrap();
    assert!(remedy.contains(ADA), "{remedy}");
}

#[tokio::test]
async fn every_test_signs_in_anew() {
    let lab = lab().await;
    let google = lab.google();
    let key = service_account(google);
    let account = open(&factory(google), json!({}), by_key(&key));
    for _ in 0..3 {
        assert!(account.check(WHOLE).await.success());
    }
    let tokens = google.journal().into_iter();
    let tokens = tokens.filter(|entry| entry.operation == Operation::GoogleToken);
    assert_eq!(tokens.count(), 3);
}

#[tokio::test]
async fn a_key_that_does_not_read_is_told_by_its_field() {
    let lab = lab().await;
    let google = lab.google();
    let mut credentials = by_key(&service_account(google));
    credentials["private_key"] =
        json!("-----BEGIN PRIVATE KEY-----\nbm8ga2V5\n-----END PRIVATE KEY-----\n");
    let account = try_open(&factory(google), json!({}), credentials, alone());
    let report = account.expect("opens").check(WHOLE).await;
    let failure = report.first_failure().expect("no key");
    assert_eq!(failure.name, "configuration");
    assert_eq!(failure.error_code, Some(ErrorCode::ConfigInvalid));
    let remedy = failure.remedy.as_deref().unwrap();
    assert!(
        remedy.contains("provider_config.credentials.private_key"),
        "{remedy}"
    );
    assert!(google.journal().is_empty(), "nothing was asked");
}

#[tokio::test]
async fn a_delegation_that_is_missing_names_client_and_scope() {
    let lab = lab().await;
    let google = lab.google();
    let key = service_account(google);
    google.delegate(
        SERVICE,
        ["https://www.googleapis.com/auth/drive".to_owned()],
    );
    let report = open(
        &factory(google),
        json!({"impersonate_user": ADA}),
        by_key(&key),
    )
    .check(WHOLE)
    .await;
    let sign_in = check(&report, "sign_in");
    assert_eq!(sign_in.error_code, Some(ErrorCode::PermScopeInsufficient));
    assert_eq!(sign_in.action.as_deref(), Some("oauth2.token"));
    let remedy = sign_in.remedy.as_deref().unwrap();
    let client_id = by_key(&key)["client_id"].as_str().unwrap().to_owned();
    assert!(remedy.contains(&client_id), "{remedy}");
    assert!(
        remedy.contains(&format!("exactly the scope {SCOPE}")),
        "{remedy}"
    );
    assert!(remedy.contains("Manage Domain Wide Delegation"), "{remedy}");
}

#[tokio::test]
async fn clocks_that_differ_are_told_by_how_much() {
    let lab = lab().await;
    let google = lab.google();
    let key = service_account(google);
    for (off, way) in [(-4000, "behind"), (4000, "ahead of")] {
        let factory = factory_at(crate::account::addresses(google), Off(off));
        let report = open(&factory, json!({}), by_key(&key)).check(WHOLE).await;
        let sign_in = check(&report, "sign_in");
        assert_eq!(
            sign_in.error_code,
            Some(ErrorCode::AuthClockSkew),
            "{report:?}"
        );
        let remedy = sign_in.remedy.as_deref().unwrap();
        let told = [3998, 3999, 4000, 4001, 4002]
            .iter()
            .any(|seconds| remedy.contains(&format!("Our clock is {seconds} s {way} Google's")));
        assert!(told, "{remedy}");
    }
}

#[tokio::test]
async fn an_api_that_is_switched_off_is_its_own_check() {
    let lab = lab().await;
    let google = lab.google();
    let key = service_account(google);
    let about = Match::operation(Operation::DriveAbout);
    google.add_fault(FaultRule::new(
        about,
        Action::google_error("accessNotConfigured"),
    ));
    let report = open(&factory(google), json!({}), by_key(&key))
        .check(WHOLE)
        .await;
    let enabled = check(&report, "api_enabled");
    assert_eq!(enabled.error_code, Some(ErrorCode::PermApiNotEnabled));
    assert_eq!(check(&report, "sign_in").outcome, Outcome::Passed);
    assert_eq!(check(&report, "identity").outcome, Outcome::Skipped);
    assert_eq!(check(&report, "drive_visible").outcome, Outcome::Skipped);
}

#[tokio::test]
async fn a_drive_that_is_not_there_or_not_ours_is_told_with_who_to_add() {
    let lab = lab().await;
    let google = lab.google();
    let key = service_account(google);
    let others = google
        .add_drive("Others", [(ADA, Role::Organizer)])
        .unwrap();
    for drive in ["0ANoSuchDrive", others.as_str()] {
        let report = open(
            &factory(google),
            json!({"shared_drive_id": drive}),
            by_key(&key),
        )
        .check(WHOLE)
        .await;
        let visible = check(&report, "drive_visible");
        assert_eq!(
            visible.error_code,
            Some(ErrorCode::ResourceNotFound),
            "{report:?}"
        );
        let remedy = visible.remedy.as_deref().unwrap();
        assert!(
            remedy.contains(&format!("Add {SERVICE} to the shared drive")),
            "{remedy}"
        );
    }
}

#[tokio::test]
async fn paths_that_lead_nowhere_or_to_several_folders_are_told() {
    let lab = lab().await;
    let google = lab.google();
    let refresh_token = google.grant(CLIENT, ADA, &[SCOPE]).unwrap();
    let root = google.root_of(ADA).unwrap();
    let twins = [
        google.add(NewItem::folder("Twin").inside(&root)).unwrap(),
        google.add(NewItem::folder("Twin").inside(&root)).unwrap(),
    ];
    let file = google
        .add(NewItem::blob("a.txt", "hello").inside(&root))
        .unwrap();
    google.add(NewItem::folder("50/50").inside(&root)).unwrap();
    google.add(NewItem::folder("It's").inside(&root)).unwrap();
    let account = open(&factory(google), json!({}), by_consent(&refresh_token));
    let report = account.check(with_path("/Twin")).await;
    let listable = check(&report, "folder_listable");
    assert!(listable.of_path);
    assert_eq!(listable.error_code, Some(ErrorCode::ConfigInvalid));
    let remedy = listable.remedy.as_deref().unwrap();
    assert!(
        twins.iter().all(|id| remedy.contains(id.as_str())),
        "{remedy}"
    );
    for (path, code) in [
        ("/Nowhere", ErrorCode::ResourceNotFound),
        ("/twin", ErrorCode::ResourceNotFound),
        ("1NoSuchFolder", ErrorCode::ResourceNotFound),
        (file.as_str(), ErrorCode::ConfigInvalid),
    ] {
        let report = account.check(with_path(path)).await;
        assert_eq!(
            check(&report, "folder_listable").error_code,
            Some(code),
            "{path}: {report:?}"
        );
        assert!(report.of_connection().success());
    }
    for path in ["/50\u{ff0f}50", "/It's"] {
        let report = account.check(with_path(path)).await;
        assert_eq!(
            check(&report, "folder_listable").outcome,
            Outcome::Passed,
            "{path}: {report:?}"
        );
        assert_eq!(
            check(&report, "file_readable").outcome,
            Outcome::Inconclusive,
            "{path}"
        );
    }
    let report = account.check(with_path("/")).await;
    assert!(report.success(), "{report:?}");
    assert_eq!(check(&report, "file_readable").outcome, Outcome::Passed);
}

#[tokio::test]
async fn a_document_of_google_s_own_is_read_by_exporting_it() {
    let lab = lab().await;
    let google = lab.google();
    let refresh_token = google.grant(CLIENT, ADA, &[SCOPE]).unwrap();
    let root = google.root_of(ADA).unwrap();
    let document = NewItem::native("Report", "document").export("application/pdf", "%PDF");
    google.add(document.inside(&root)).unwrap();
    let account = open(&factory(google), json!({}), by_consent(&refresh_token));
    let report = account.check(with_path("/")).await;
    assert_eq!(
        check(&report, "file_readable").outcome,
        Outcome::Passed,
        "{report:?}"
    );
}

#[tokio::test]
async fn where_nothing_answers_the_network_is_named_and_the_rest_is_skipped() {
    let lab = lab().await;
    let google = lab.google();
    let key = service_account(google);
    let nobody = Addresses::default()
        .with_api("http://127.0.0.1:9")
        .and_then(|addresses| addresses.with_token("http://127.0.0.1:9/token"))
        .unwrap();
    let report = open(&factory_at(nobody, Off(0)), json!({}), by_key(&key))
        .check(CheckRequest {
            budget: Duration::from_secs(2),
            ..with_path("/")
        })
        .await;
    let connection = check(&report, "connection");
    assert_eq!(
        connection.error_code,
        Some(ErrorCode::NetworkConnect),
        "{report:?}"
    );
    assert_eq!(outcomes(&report), "psfsssssss", "{report:?}");
}

#[tokio::test]
async fn an_address_of_this_network_that_no_operator_named_is_never_dialled() {
    let lab = lab().await;
    let google = lab.google();
    let key = service_account(google);
    // The operator named the token service alone: the API is Google's own, which this test must not reach.
    let token = google.token_url();
    let elsewhere = Addresses::default()
        .with_token(&token)
        .and_then(|addresses| addresses.with_api("http://169.254.169.254"))
        .unwrap();
    let report = open(&factory_at(elsewhere, Off(0)), json!({}), by_key(&key))
        .check(WHOLE)
        .await;
    let connection = check(&report, "connection");
    assert_eq!(
        connection.error_code,
        Some(ErrorCode::EgressRefused),
        "{report:?}"
    );
}
