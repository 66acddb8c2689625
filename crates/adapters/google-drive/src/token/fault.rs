//! What the token service's refusals mean, and how each is mended.

use std::time::Duration;

use chrono::TimeDelta;
use serde::Deserialize;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::error_code::ErrorCode as E;

use super::SCOPE;
use crate::error::{self, Fault, Meaning, retry};

/// Who signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignIn<'a> {
    /// A service account, for a user or for itself.
    Account {
        client_id: &'a str,
        email: &'a str,
        user: Option<&'a str>,
    },
    /// A person who consented once.
    Person,
    /// A person who has consented just now.
    Consenting,
}

/// A refusal, read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Denied {
    status: u16,
    error: String,
    hint: Option<Hint>,
    /// By how much our clock is ahead of Google's.
    ahead: Option<TimeDelta>,
    retry_after: Option<Duration>,
    html: bool,
}

/// What the description gives away beyond the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    Signature,
    Time,
    Account,
    User,
    SessionControl,
}

/// The kinds of signing in that a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Account,
    Delegated,
    Person,
    Consenting,
}

impl SignIn<'_> {
    fn way(&self) -> Way {
        match self {
            Self::Account { user: Some(_), .. } => Way::Delegated,
            Self::Account { user: None, .. } => Way::Account,
            Self::Person => Way::Person,
            Self::Consenting => Way::Consenting,
        }
    }

    /// The words with the names of whom they are about.
    fn named(&self, words: &str) -> String {
        let words = words.replace("{scope}", SCOPE);
        match self {
            Self::Account {
                client_id,
                email,
                user,
            } => words
                .replace("{client_id}", client_id)
                .replace("{client_email}", email)
                .replace("{impersonate_user}", user.unwrap_or_default()),
            Self::Person | Self::Consenting => words,
        }
    }
}

#[derive(Deserialize)]
struct Document {
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_subtype: String,
}

impl Denied {
    pub(super) fn of(
        status: u16,
        body: &[u8],
        ahead: Option<TimeDelta>,
        retry_after: Option<Duration>,
        html: bool,
    ) -> Self {
        let document = serde_json::from_slice::<Document>(body).ok();
        let hint = document.as_ref().and_then(hint);
        Self {
            status,
            error: document.map(|document| document.error).unwrap_or_default(),
            hint,
            ahead,
            retry_after,
            html,
        }
    }
}

/// Looks for fixed phrases, where the error alone is too coarse.
fn hint(document: &Document) -> Option<Hint> {
    if matches!(
        document.error_subtype.as_str(),
        "invalid_rapt" | "rapt_required"
    ) {
        return Some(Hint::SessionControl);
    }
    let description = document.error_description.to_ascii_lowercase();
    let says = |words: &str| description.contains(words);
    if says("signature") {
        Some(Hint::Signature)
    } else if says("short-lived") || says("reasonable timeframe") || says("iat and exp") {
        Some(Hint::Time)
    } else if says("invalid email") || says("valid email") || says("user id") || says("sub field") {
        Some(Hint::User)
    } else if says("account not found") || says("issuer") {
        Some(Hint::Account)
    } else {
        None
    }
}

struct Row {
    errors: &'static [&'static str],
    hint: Option<Hint>,
    ways: &'static [Way],
    meaning: Meaning,
}

const ACCOUNT: &[Way] = &[Way::Account, Way::Delegated];
const PERSON: &[Way] = &[Way::Person];
const CONSENTING: &[Way] = &[Way::Consenting];
const ANY: &[Way] = &[Way::Account, Way::Delegated, Way::Person, Way::Consenting];

const fn means(
    errors: &'static [&'static str],
    hint: Option<Hint>,
    ways: &'static [Way],
    code: ErrorCode,
    says: &'static str,
    remedy: &'static str,
) -> Row {
    Row {
        errors,
        hint,
        ways,
        meaning: Meaning {
            code,
            says,
            remedy: Some(remedy),
        },
    }
}

/// What the errors of the token service mean; the first row that fits counts.
static ROWS: &[Row] = &[
    means(
        &["invalid_grant"],
        Some(Hint::Signature),
        ACCOUNT,
        E::AuthInvalidCredentials,
        "Google does not know the key that the service account signs with",
        "Create a new key for {client_email} (Google Cloud console, IAM & Admin, Service Accounts, Keys) and enter \
         private_key_id and private_key of its file in provider_config.credentials: the old key was deleted, or is another \
         account's.",
    ),
    means(
        &["invalid_grant"],
        Some(Hint::Time),
        ACCOUNT,
        E::AuthClockSkew,
        "Google's clock and ours disagree",
        "Correct the clock of the machine that runs Wharf.",
    ),
    means(
        &["invalid_grant"],
        Some(Hint::User),
        &[Way::Delegated],
        E::AuthInvalidCredentials,
        "Google knows no user {impersonate_user}",
        "Correct provider_config.impersonate_user: it must be the primary e-mail address of an active user of the Google \
         Workspace organization that delegates to the service account.",
    ),
    means(
        &["invalid_grant"],
        None,
        ACCOUNT,
        E::AuthInvalidCredentials,
        "Google knows no service account {client_email}",
        "Correct provider_config.credentials.client_email, or enter the key of another service account if this one was \
         deleted or disabled.",
    ),
    means(
        &["invalid_grant"],
        Some(Hint::SessionControl),
        PERSON,
        E::AuthReauthorizationRequired,
        "the organization's session control wants the person to sign in again",
        "Sign in to the connection again. An administrator can except the application in Google Workspace (Security, Google \
         Cloud session control); a service account is not affected.",
    ),
    means(
        &["invalid_grant"],
        None,
        PERSON,
        E::AuthReauthorizationRequired,
        "the person's consent no longer holds",
        "Sign in to the connection again. Consent ends when the person revokes it or changes the password, when it was not \
         used for six months, when the same application was consented to too often (the oldest consent goes first), after \
         seven days as long as the application's consent screen is in the state Testing, or by an administrator's session \
         policy.",
    ),
    means(
        &["invalid_grant"],
        None,
        CONSENTING,
        E::AuthReauthorizationRequired,
        "Google does not accept the code of the consent",
        "Begin the consent again and finish it within a few minutes; each code works once.",
    ),
    means(
        &["unauthorized_client"],
        None,
        &[Way::Delegated],
        E::PermScopeInsufficient,
        "the service account may not act for {impersonate_user} with the scope {scope}",
        "A super administrator must add the client id {client_id} with exactly the scope {scope} in the Google Admin console \
         (Security, Access and data control, API controls, Manage Domain Wide Delegation); it can take a day to work.",
    ),
    means(
        &["unauthorized_client"],
        None,
        &[Way::Account],
        E::AuthInvalidCredentials,
        "the service account may not sign in this way",
        "Enter the key of a service account in provider_config.credentials, not of another kind of client.",
    ),
    means(
        &["unauthorized_client"],
        None,
        &[Way::Person, Way::Consenting],
        E::AuthInvalidCredentials,
        "the consent was given to another application",
        "Enter provider_config.credentials.client_id and client_secret of the application that the refresh token was issued \
         to, or sign in again with this one.",
    ),
    means(
        &["invalid_client", "deleted_client", "disabled_client"],
        None,
        ANY,
        E::AuthInvalidCredentials,
        "Google does not know the application",
        "Correct provider_config.credentials.client_id and client_secret: check for a truncated paste, or a client that was \
         deleted (Google Cloud console, APIs & Services, Credentials).",
    ),
    means(
        &["invalid_scope"],
        None,
        ANY,
        E::ConfigInvalid,
        "Google does not grant the scope {scope} to this account",
        "Allow the scope for the application (consent screen, Data access) or, for a service account, in the domain-wide \
         delegation.",
    ),
    means(
        &["redirect_uri_mismatch"],
        None,
        CONSENTING,
        E::ConfigInvalid,
        "the application does not know the address that Google comes back to",
        "Add Wharf's callback address to the application's authorized redirect URIs (Google Cloud console, APIs & Services, \
         Credentials).",
    ),
    means(
        &["org_internal", "admin_policy_enforced", "access_denied"],
        None,
        ANY,
        E::PermPolicyBlocked,
        "a policy of the organization does not let the application in",
        "Ask who administers Google Workspace to trust the application (Security, Access and data control, API controls), or \
         make it internal to that organization.",
    ),
    means(
        &["rate_limit_exceeded", "quota_exceeded"],
        None,
        ANY,
        E::QuotaRateLimited,
        "the token service asks for fewer requests",
        "Nothing to do: Wharf slows down and goes on.",
    ),
    means(
        &[
            "internal_failure",
            "server_error",
            "temporarily_unavailable",
        ],
        None,
        ANY,
        E::ProviderUnavailable,
        "the token service has an outage",
        "Nothing to do but to wait: Google has to recover.",
    ),
];

/// What a refusal means for whoever signs in.
pub(super) fn of(denied: &Denied, sign_in: &SignIn<'_>) -> Fault {
    let way = sign_in.way();
    let row = ROWS
        .iter()
        .filter(|row| row.errors.contains(&denied.error.as_str()) && row.ways.contains(&way))
        .find(|row| row.hint.is_none() || row.hint == denied.hint);
    // Behind a throttle or an outage, any text may stand.
    let passes = matches!(denied.status, 429 | 500..);
    let Some(row) = row.filter(|_| !passes) else {
        return of_status(denied);
    };
    let Meaning { code, says, remedy } = row.meaning;
    let mut fault = Fault::new(code, sign_in.named(says))
        .remedied(sign_in.named(remedy.unwrap_or_else(|| code.remedy())))
        .retried(retry(code, denied.retry_after));
    if code == E::AuthClockSkew
        && let Some(ahead) = denied.ahead
    {
        fault.words = skew(ahead);
    }
    fault
}

/// By how much the clocks differ, in words.
fn skew(ahead: TimeDelta) -> String {
    let way = if ahead < TimeDelta::zero() {
        "behind"
    } else {
        "ahead of"
    };
    let seconds = ahead.num_seconds().unsigned_abs();
    format!("our clock is {seconds} s {way} Google's")
}

fn of_status(denied: &Denied) -> Fault {
    let (code, says) = match denied.status {
        429 => (
            E::QuotaRateLimited,
            "the token service asks for fewer requests",
        ),
        408 | 504 => (
            E::NetworkTimeout,
            "the token service, or what stands before it, took too long",
        ),
        500.. => (E::ProviderUnavailable, "the token service has an outage"),
        _ if denied.html || denied.error.is_empty() => (
            E::ConfigEndpointInvalid,
            "what answers is not Google's token service",
        ),
        _ => (
            E::AuthInvalidCredentials,
            "the token service refuses for a reason that is not known",
        ),
    };
    let fault = Fault::new(code, says).retried(retry(code, denied.retry_after));
    match code {
        E::ConfigEndpointInvalid => fault.remedied(error::ADDRESSES),
        _ => fault,
    }
}

#[cfg(test)]
impl Hint {
    /// How the documents say what the description tells.
    fn told_by(self) -> &'static str {
        match self {
            Self::Signature => "naming the signature",
            Self::Time => "naming `iat` and `exp`",
            Self::Account => "naming the account",
            Self::User => "naming the user",
            Self::SessionControl => "with the subtype `invalid_rapt`",
        }
    }
}

/// The table, as the documents show it.
#[cfg(test)]
pub(crate) fn written() -> String {
    use std::fmt::Write as _;

    let mut text =
        "| the token service answers | to | Wharf says | what happened | what to do |\n|---|---|---|---|---|\n".to_owned();
    for row in ROWS {
        let errors: Vec<_> = row
            .errors
            .iter()
            .map(|error| format!("`{error}`"))
            .collect();
        let hint = row
            .hint
            .map_or_else(String::new, |hint| format!(", {}", hint.told_by()));
        let ways = match row.ways {
            ACCOUNT => "a service account",
            [Way::Delegated] => "a service account that acts for a user",
            [Way::Account] => "a service account on its own",
            PERSON => "a person's consent",
            CONSENTING => "a consent that is being given",
            [Way::Person, Way::Consenting] => "a person",
            _ => "anyone",
        };
        let Meaning { code, says, remedy } = row.meaning;
        let remedy = remedy.unwrap_or_else(|| code.remedy());
        let errors = errors.join(", ");
        writeln!(
            text,
            "| {errors}{hint} | {ways} | `{code}` | {says} | {remedy} |"
        )
        .unwrap();
    }
    for (answer, status, error) in [
        ("status 429", 429, ""),
        ("status 408 or 504", 408, ""),
        ("any other status from 500 on", 500, ""),
        ("no error document", 404, ""),
        ("any other error", 400, "other"),
    ] {
        let denied = Denied {
            status,
            error: error.to_owned(),
            ..Denied::default()
        };
        let Fault {
            code,
            words,
            remedy,
            ..
        } = of_status(&denied);
        writeln!(
            text,
            "| {answer} | anyone | `{code}` | {words} | {remedy} |"
        )
        .unwrap();
    }
    text
}

#[cfg(test)]
mod tests {
    use wharf_ports::Retry;

    use super::*;

    const DELEGATED: SignIn<'static> = SignIn::Account {
        client_id: "114",
        email: "sync@p.iam.gserviceaccount.com",
        user: Some("ada@example.com"),
    };
    const ALONE: SignIn<'static> = SignIn::Account {
        client_id: "114",
        email: "sync@p.iam.gserviceaccount.com",
        user: None,
    };

    fn fault(status: u16, body: &str, sign_in: SignIn<'_>) -> Fault {
        let ahead = Some(TimeDelta::seconds(-400));
        let denied = Denied::of(status, body.as_bytes(), ahead, None, false);
        of(&denied, &sign_in)
    }

    fn denied(error: &str, description: &str) -> String {
        serde_json::json!({"error": error, "error_description": description}).to_string()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a row for each row")]
    fn every_row_is_told_with_what_to_do() {
        use ErrorCode as E;
        for (error, description, sign_in, code, told) in [
            (
                "invalid_grant",
                "Invalid JWT Signature.",
                ALONE,
                E::AuthInvalidCredentials,
                "private_key_id",
            ),
            (
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat \
                 and exp values in the JWT claim.",
                ALONE,
                E::AuthClockSkew,
                "our clock is 400 s behind Google's",
            ),
            (
                "invalid_grant",
                "Invalid grant: account not found",
                ALONE,
                E::AuthInvalidCredentials,
                "credentials.client_email",
            ),
            (
                "invalid_grant",
                "Invalid email or User ID",
                DELEGATED,
                E::AuthInvalidCredentials,
                "no user ada@example.com",
            ),
            (
                "invalid_grant",
                "Token has been expired or revoked.",
                SignIn::Person,
                E::AuthReauthorizationRequired,
                "in the state Testing",
            ),
            (
                "invalid_grant",
                "Bad Request",
                SignIn::Person,
                E::AuthReauthorizationRequired,
                "six months",
            ),
            (
                "invalid_grant",
                "Bad Request",
                SignIn::Consenting,
                E::AuthReauthorizationRequired,
                "each code works once",
            ),
            (
                "unauthorized_client",
                "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of \
                 the scopes requested.",
                DELEGATED,
                E::PermScopeInsufficient,
                "add the client id 114 with exactly the scope https://www.googleapis.com/auth/drive.readonly",
            ),
            (
                "unauthorized_client",
                "Unauthorized",
                ALONE,
                E::AuthInvalidCredentials,
                "service account",
            ),
            (
                "unauthorized_client",
                "Unauthorized",
                SignIn::Person,
                E::AuthInvalidCredentials,
                "refresh token was issued",
            ),
            (
                "invalid_client",
                "The OAuth client was not found.",
                SignIn::Person,
                E::AuthInvalidCredentials,
                "client_secret",
            ),
            (
                "invalid_scope",
                "Some requested scopes were invalid",
                DELEGATED,
                E::ConfigInvalid,
                "drive.readonly",
            ),
            (
                "org_internal",
                "",
                SignIn::Person,
                E::PermPolicyBlocked,
                "trust the application",
            ),
            (
                "admin_policy_enforced",
                "",
                SignIn::Person,
                E::PermPolicyBlocked,
                "trust the application",
            ),
            (
                "access_denied",
                "",
                ALONE,
                E::PermPolicyBlocked,
                "trust the application",
            ),
            (
                "something_new",
                "",
                ALONE,
                E::AuthInvalidCredentials,
                "not known",
            ),
        ] {
            let fault = fault(400, &denied(error, description), sign_in);
            let all = format!("{} {}", fault.words, fault.remedy);
            assert_eq!(fault.code, code, "{error} {description}");
            assert!(all.contains(told), "{error}: {all}");
            assert!(!all.contains('{'), "{all}");
            assert!(
                description.is_empty() || !all.contains(description),
                "{all}"
            );
        }
        let rapt = r#"{"error": "invalid_grant", "error_subtype": "invalid_rapt"}"#;
        let rapt = fault(400, rapt, SignIn::Person);
        assert_eq!(rapt.code, E::AuthReauthorizationRequired);
        assert!(rapt.remedy.contains("session control"), "{}", rapt.remedy);
    }

    #[test]
    fn what_passes_by_itself_is_tried_again_and_what_is_dead_is_not() {
        for (status, code) in [
            (429, E::QuotaRateLimited),
            (500, E::ProviderUnavailable),
            (503, E::ProviderUnavailable),
            (504, E::NetworkTimeout),
        ] {
            let fault = fault(status, &denied("invalid_grant", ""), SignIn::Person);
            assert_eq!(fault.code, code);
            assert_eq!(fault.retry, Retry::Later { after: None });
        }
        let dead = fault(400, &denied("invalid_grant", ""), SignIn::Person);
        assert_eq!(dead.retry, Retry::Never);
        let nonsense = fault(404, "<html>", ALONE);
        assert_eq!(nonsense.code, E::ConfigEndpointInvalid);
    }
}
