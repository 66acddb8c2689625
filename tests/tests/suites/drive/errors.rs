//! What a person sees of each failure at Google: the code, what was tried, and what to do about it.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use wharf_tests::{Api, Store, text};

use super::beside_google;

/// What the token endpoint answers: error, description, subtype; of a service account, and with a user to act for; the code.
const TOKEN: [(&str, &str, &str, Account, &str); 12] = [
    (
        "invalid_grant",
        "Invalid JWT Signature.",
        "",
        Account::Service,
        "auth.invalid_credentials",
    ),
    (
        "invalid_grant",
        "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.",
        "",
        Account::Service,
        "auth.clock_skew",
    ),
    (
        "invalid_grant",
        "Invalid grant: account not found",
        "",
        Account::Service,
        "auth.invalid_credentials",
    ),
    (
        "invalid_grant",
        "Invalid email or User ID",
        "",
        Account::Delegated,
        "auth.invalid_credentials",
    ),
    (
        "unauthorized_client",
        "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.",
        "",
        Account::Delegated,
        "perm.scope_insufficient",
    ),
    (
        "invalid_grant",
        "Token has been expired or revoked.",
        "",
        Account::Person,
        "auth.reauthorization_required",
    ),
    (
        "invalid_grant",
        "Bad Request",
        "",
        Account::Person,
        "auth.reauthorization_required",
    ),
    (
        "invalid_grant",
        "reauth related error (invalid_rapt)",
        "invalid_rapt",
        Account::Person,
        "auth.reauthorization_required",
    ),
    (
        "invalid_client",
        "The OAuth client was not found.",
        "",
        Account::Person,
        "auth.invalid_credentials",
    ),
    (
        "invalid_scope",
        "Invalid OAuth scope or ID token audience provided.",
        "",
        Account::Service,
        "config.invalid",
    ),
    (
        "admin_policy_enforced",
        "",
        "",
        Account::Person,
        "perm.policy_blocked",
    ),
    (
        "org_internal",
        "",
        "",
        Account::Person,
        "perm.policy_blocked",
    ),
];

/// Who signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Account {
    Service,
    Delegated,
    Person,
}

/// What Drive refuses a listing with: status, reason; the code.
const DRIVE: [(u16, &str, &str); 13] = [
    (401, "authError", "auth.invalid_credentials"),
    (403, "userRateLimitExceeded", "quota.rate_limited"),
    (403, "rateLimitExceeded", "quota.rate_limited"),
    (403, "dailyLimitExceeded", "quota.exhausted"),
    (403, "quotaExceeded", "quota.exhausted"),
    (403, "insufficientFilePermissions", "perm.denied"),
    (403, "insufficientPermissions", "perm.scope_insufficient"),
    (403, "accessNotConfigured", "perm.api_not_enabled"),
    (403, "appNotAuthorizedToFile", "perm.scope_insufficient"),
    (403, "domainPolicy", "perm.policy_blocked"),
    (403, "teamDriveMembershipRequired", "perm.denied"),
    (429, "rateLimitExceeded", "quota.rate_limited"),
    (503, "backendError", "provider.unavailable"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_has_its_code_and_a_remedy() -> Result<()> {
    let Some((mut wharf, lab)) = beside_google(Store::Sqlite).await? else {
        return Ok(());
    };
    // Tests of connections are bounded, and this makes many.
    wharf.set("WHARF_LIMITS__TESTS_PER_MINUTE_PER_CONNECTION", "1000");
    let google = lab.google();
    let quay = google.quay("reader", 3, 1).await?;
    let mut delegated = quay.config.clone();
    delegated["impersonate_user"] = json!("ada@lab.example");
    let person = google.person(2).await?;
    let server = wharf.start().await?;
    let api = server.api()?;
    let service = api.connect("service", quay.config, true).await?;
    let delegated = api.connect("delegated", delegated, false).await?;
    let person = api.connect("person", person, true).await?;
    for (error, description, subtype, account, code) in TOKEN {
        let mut body = json!({"error": error, "error_description": description});
        if !subtype.is_empty() {
            body["error_subtype"] = json!(subtype);
        }
        let rule = json!({
            "match": {"operation": "google_token"},
            "action": {"status": if error == "invalid_client" { 401 } else { 400 }, "body": body.to_string(), "headers": {"content-type": "application/json"}},
        });
        google.misbehave(&[rule]).await?;
        let connection = match account {
            Account::Service => &service,
            Account::Delegated => &delegated,
            Account::Person => &person,
        };
        let failure = failed(&api, connection, "").await?;
        told(
            &format!("{account:?}: {error}, {description:?} {subtype}"),
            &failure,
            code,
        )?;
    }
    for (status, reason, code) in DRIVE {
        let rule = json!({
            "match": {"path_contains": "/drive/v3/"},
            "action": {"status": status, "body": refusal(status, reason), "headers": {"content-type": "application/json"}},
        });
        google.misbehave(&[rule]).await?;
        let failure = failed(&api, &service, "?source_path=/").await?;
        told(&format!("{status} {reason}"), &failure, code)?;
    }
    google.misbehave(&[]).await?;
    let path = format!("/v1/organizations/connections/{service}/test?source_path=/");
    let report = api.ask(Method::POST, &path, None).await?.ok()?;
    ensure!(report["success"] == true, "{report}");
    Ok(())
}

fn refusal(status: u16, reason: &str) -> String {
    json!({"error": {
        "code": status, "message": "a text of the provider",
        "errors": [{"domain": "global", "reason": reason, "message": "a text of the provider"}],
    }})
    .to_string()
}

/// The first check that failed in a test of a connection, or that was left open.
async fn failed(api: &Api, connection: &str, query: &str) -> Result<Value> {
    let path = format!("/v1/organizations/connections/{connection}/test{query}");
    let report = api.ask(Method::POST, &path, None).await?.ok()?;
    let checks = report["details"]["checks"].as_array().context("checks")?;
    let failed = checks.iter().find(|check| check["outcome"] == "failed");
    let failed = failed.with_context(|| format!("nothing failed: {report}"))?;
    Ok(failed.clone())
}

fn told(what: &str, failure: &Value, code: &str) -> Result<()> {
    eprintln!(
        "{what}\n  {} | {} | {}",
        failure["error_code"], failure["action"], failure["remedy"]
    );
    assert_eq!(failure["error_code"], code, "{what}: {failure}");
    let remedy = text(failure, "remedy")?;
    ensure!(remedy.len() > 20, "{what}: no remedy: {failure}");
    ensure!(
        !remedy.contains("a text of the provider"),
        "{what}: the provider's text: {failure}"
    );
    Ok(())
}
