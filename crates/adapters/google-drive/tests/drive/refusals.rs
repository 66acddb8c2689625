//! Every row of both error tables, as a person who tests a connection sees it.

use serde_json::json;
use wharf_domain::check::Check;
use wharf_domain::error_code::ErrorCode;
use wharf_lab::google::GoogleLab;
use wharf_lab::{Action, FaultRule, Match, Operation};
use wharf_ports::OpenProvider;

use crate::account::{
    ADA, CLIENT, SCOPE, WHOLE, by_consent, by_key, factory, lab, open, service_account,
};

/// Who signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Account,
    Delegated,
    Person,
}

fn account(google: &GoogleLab, who: Who) -> OpenProvider {
    match who {
        Who::Account => open(
            &factory(google),
            json!({}),
            by_key(&service_account(google)),
        ),
        Who::Delegated => {
            let settings = json!({"impersonate_user": ADA});
            open(&factory(google), settings, by_key(&service_account(google)))
        }
        Who::Person => {
            let refresh_token = google.grant(CLIENT, ADA, &[SCOPE]).unwrap();
            open(&factory(google), json!({}), by_consent(&refresh_token))
        }
    }
}

async fn failure(google: &GoogleLab, who: Who, operation: Operation, action: Action) -> Check {
    let account = account(google, who);
    google.set_faults([FaultRule::new(Match::operation(operation), action)]);
    let report = account.check(WHOLE).await;
    google.clear_faults();
    let failure = report.first_failure();
    failure.unwrap_or_else(|| panic!("{report:?}")).clone()
}

const SAID: &str = "WORDS-OF-GOOGLE";

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a row for each row")]
async fn every_refusal_of_the_token_service() {
    use Who::{Account, Delegated, Person};
    let lab = lab().await;
    let google = lab.google();
    for (error, description, who, code, told) in [
        (
            "invalid_grant",
            "Invalid JWT Signature.",
            Account,
            "auth.invalid_credentials",
            "Create a new key for sync@",
        ),
        (
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
            Account,
            "auth.clock_skew",
            "Correct the clock",
        ),
        (
            "invalid_grant",
            "Invalid grant: account not found",
            Account,
            "auth.invalid_credentials",
            "client_email",
        ),
        (
            "invalid_grant",
            "Invalid email or User ID",
            Delegated,
            "auth.invalid_credentials",
            "impersonate_user",
        ),
        (
            "invalid_grant",
            "Token has been expired or revoked.",
            Person,
            "auth.reauthorization_required",
            "six months",
        ),
        (
            "invalid_rapt",
            "",
            Person,
            "auth.reauthorization_required",
            "session control",
        ),
        (
            "unauthorized_client",
            "",
            Delegated,
            "perm.scope_insufficient",
            "Manage Domain Wide Delegation",
        ),
        (
            "invalid_client",
            "",
            Person,
            "auth.invalid_credentials",
            "client_id and client_secret",
        ),
        (
            "invalid_scope",
            "",
            Delegated,
            "config.invalid",
            "domain-wide delegation",
        ),
        (
            "org_internal",
            "",
            Person,
            "perm.policy_blocked",
            "trust the application",
        ),
        (
            "admin_policy_enforced",
            "",
            Person,
            "perm.policy_blocked",
            "trust the application",
        ),
        (
            "access_denied",
            "",
            Person,
            "perm.policy_blocked",
            "trust the application",
        ),
        (
            "rate_limit_exceeded",
            "",
            Person,
            "quota.rate_limited",
            "slows down",
        ),
        (
            "internal_failure",
            "",
            Person,
            "provider.unavailable",
            "outage",
        ),
    ] {
        let mut action = Action::google_error(error);
        if !description.is_empty() {
            action = action.message(format!("{description} {SAID}"));
        }
        let check = failure(google, who, Operation::GoogleToken, action).await;
        let remedy = check.remedy.as_deref().unwrap();
        let found = check.error_code.map(ErrorCode::as_str);
        assert_eq!(found, Some(code), "{error} {description}: {check:?}");
        assert_eq!(check.name, "sign_in", "{check:?}");
        assert!(remedy.contains(told), "{error}: {remedy}");
        assert!(!remedy.contains(SAID), "{remedy}");
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a row for each row")]
async fn every_refusal_of_drive() {
    let lab = lab().await;
    let google = lab.google();
    for (reasons, code, told) in [
        (
            "badRequest invalid invalidParameter",
            "config.invalid",
            "Check the source path",
        ),
        ("authError", "auth.invalid_credentials", "still exists"),
        (
            "fileNotDownloadable",
            "object.not_exportable",
            "no bytes of its own",
        ),
        (
            "userRateLimitExceeded rateLimitExceeded sharingRateLimitExceeded",
            "quota.rate_limited",
            "fewer requests",
        ),
        (
            "dailyLimitExceeded quotaExceeded",
            "quota.exhausted",
            "Raise the project's quota",
        ),
        ("downloadQuotaExceeded", "quota.exhausted", "Wait for a day"),
        (
            "insufficientFilePermissions forbidden",
            "perm.denied",
            "as a viewer or more",
        ),
        (
            "insufficientPermissions ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            "perm.scope_insufficient",
            "https://www.googleapis.com/auth/drive.readonly",
        ),
        (
            "accessNotConfigured SERVICE_DISABLED",
            "perm.api_not_enabled",
            "Enable the Google Drive API",
        ),
        (
            "appNotAuthorizedToFile",
            "perm.scope_insufficient",
            "drive.file alone",
        ),
        (
            "domainPolicy SECURITY_POLICY_VIOLATED",
            "perm.policy_blocked",
            "administers Google Workspace",
        ),
        (
            "teamDriveMembershipRequired",
            "perm.denied",
            "Add the account to the shared drive",
        ),
        (
            "cannotDownloadFile download_restricted_for_revision",
            "object.download_blocked",
            "download",
        ),
        (
            "cannotDownloadAbusiveFile",
            "object.flagged_malware",
            "malware",
        ),
        (
            "exportSizeLimitExceeded",
            "object.too_large_to_export",
            "10 MB",
        ),
        (
            "fileNotExportable cannotExportFile",
            "object.not_exportable",
            "cannot be exported",
        ),
        (
            "notFound",
            "resource.not_found",
            "share the file, folder or drive",
        ),
        (
            "requestedRangeNotSatisfiable",
            "resource.changed",
            "has changed",
        ),
        (
            "backendError internalError transientError",
            "provider.unavailable",
            "outage",
        ),
    ] {
        for reason in reasons.split(' ') {
            let action = Action::google_error(reason).message(SAID);
            let check = failure(google, Who::Person, Operation::DriveFilesList, action).await;
            let found = check.error_code.map(ErrorCode::as_str);
            assert_eq!(found, Some(code), "{reason}: {check:?}");
            let remedy = check.remedy.as_deref().unwrap();
            assert!(remedy.contains(told), "{reason}: {remedy}");
            assert!(!remedy.contains(SAID), "{remedy}");
            assert_eq!(check.action.as_deref(), Some("drive.files.list"));
        }
    }
}

#[tokio::test]
async fn a_wish_for_a_pause_is_heeded_within_the_test() {
    let lab = lab().await;
    let google = lab.google();
    let account = account(google, Who::Person);
    let about = Match::operation(Operation::DriveAbout).times(1);
    let limited = Action::google_error("userRateLimitExceeded").header("retry-after", "1");
    google.add_fault(FaultRule::new(about, limited));
    let begun = std::time::Instant::now();
    assert!(account.check(WHOLE).await.success());
    assert!(begun.elapsed().as_millis() >= 1000);
}
