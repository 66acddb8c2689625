//! Google's refusals: an error document with a status, a message, and reasons old and new.

use axum::body::Body;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

/// A refusal of the Drive API.
#[derive(Debug, Clone)]
pub(crate) struct Refusal(Box<Said>);

#[derive(Debug, Clone)]
struct Said {
    status: u16,
    domain: &'static str,
    reason: String,
    message: String,
    location: Option<(&'static str, String)>,
    /// The newer kind of error's status and reason, where the answer has them.
    canonical: Option<&'static str>,
    details: Vec<Value>,
    headers: Vec<(HeaderName, String)>,
}

type Row = (&'static str, u16, &'static str, &'static str);

/// Reasons, with the status, domain and message that come with each.
#[rustfmt::skip]
const REASONS: &[Row] = &[
    ("badRequest", 400, "global", "Bad Request"),
    ("invalid", 400, "global", "Invalid Value"),
    ("invalidParameter", 400, "global", "Invalid Value"),
    ("invalidSharingRequest", 400, "global", "Bad Request. User message: \"You cannot share this item because it has been flagged as inappropriate.\""),
    ("required", 400, "global", "Required"),
    ("failedPrecondition", 400, "global", "Precondition check failed."),
    ("channelIdNotUnique", 400, "global", "Channel id not unique"),
    ("push.webhookUrlNotHttps", 400, "global", "WebHook callback must be HTTPS"),
    ("authError", 401, "global", "Invalid Credentials"),
    ("fileNotDownloadable", 403, "global", "Only files with binary content can be directly downloaded. Use Export with Docs Editors files."),
    ("userRateLimitExceeded", 403, "usageLimits", "User Rate Limit Exceeded. Rate of requests for user exceed configured project quota, you may consider re-evaluating expected per-user traffic to the API and adjust project quota limits accordingly."),
    ("rateLimitExceeded", 403, "usageLimits", "Rate Limit Exceeded"),
    ("sharingRateLimitExceeded", 403, "global", "Rate limit exceeded. User message: \"These item(s) could not be shared because a rate limit was exceeded\""),
    ("dailyLimitExceeded", 403, "usageLimits", "Daily Limit Exceeded"),
    ("quotaExceeded", 403, "usageLimits", "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service 'drive.googleapis.com'."),
    ("downloadQuotaExceeded", 403, "usageLimits", "The download quota for this file has been exceeded."),
    ("insufficientFilePermissions", 403, "global", "The user does not have sufficient permissions for this file."),
    ("forbidden", 403, "global", "The caller does not have permission"),
    ("insufficientPermissions", 403, "global", "Insufficient Permission"),
    ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", 403, "global", "Insufficient Permission"),
    ("accessNotConfigured", 403, "usageLimits", "Access Not Configured"),
    ("SERVICE_DISABLED", 403, "usageLimits", "Access Not Configured"),
    ("appNotAuthorizedToFile", 403, "global", "The user has not granted the app read access to the file."),
    ("domainPolicy", 403, "global", "The domain administrators have disabled Drive apps."),
    ("SECURITY_POLICY_VIOLATED", 403, "global", "Request is prohibited by organization's policy."),
    ("teamDriveMembershipRequired", 403, "global", "The attempted action requires shared drive membership."),
    ("cannotDownloadFile", 403, "global", "This file cannot be downloaded by the user."),
    ("download_restricted_for_revision", 403, "global", "The download of this revision is restricted."),
    ("cannotDownloadAbusiveFile", 403, "global", "This file has been identified as malware or spam and cannot be downloaded."),
    ("exportSizeLimitExceeded", 403, "global", "This file is too large to be exported."),
    ("fileNotExportable", 403, "global", "Export only supports Docs Editors files."),
    ("cannotExportFile", 403, "global", "This file cannot be exported by the user."),
    ("teamDriveIdRequiresTeamDriveCorpora", 400, "global", "The driveId parameter must be specified if and only if corpora is set to drive."),
    ("includeItemsFromAllDrivesRequired", 403, "global", "The includeItemsFromAllDrives parameter must be set to true when driveId is specified or corpora contains drive or allDrives."),
    ("notFound", 404, "global", "Not Found"),
    ("gone", 410, "global", "Gone"),
    ("requestedRangeNotSatisfiable", 416, "global", "Request range not satisfiable"),
    ("backendError", 503, "global", "Backend Error"),
    ("internalError", 500, "global", "Internal Error"),
    ("transientError", 503, "global", "Transient failure"),
];

const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";

impl Refusal {
    /// The refusal of this reason, with what the table says of it; an unknown one is a 400.
    pub(crate) fn of(reason: &str) -> Self {
        let (status, domain, message) = REASONS.iter().find(|(known, ..)| *known == reason).map_or(
            (400, "global", "Bad Request"),
            |(_, status, domain, message)| (*status, *domain, *message),
        );
        let mut refusal = Self(Box::new(Said {
            status,
            domain,
            reason: reason.to_owned(),
            message: message.to_owned(),
            location: None,
            canonical: None,
            details: Vec::new(),
            headers: Vec::new(),
        }));
        refusal.complete();
        refusal
    }

    /// What newer refusals carry beside the reason.
    fn complete(&mut self) {
        match self.0.reason.as_str() {
            "authError" => {
                self.0.canonical = Some("UNAUTHENTICATED");
                self.0.location = Some(("header", "Authorization".to_owned()));
                self.header(
                    WWW_AUTHENTICATE,
                    "Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\"",
                );
            }
            "insufficientPermissions" | "ACCESS_TOKEN_SCOPE_INSUFFICIENT" => {
                self.0.reason = "insufficientPermissions".into();
                self.0.canonical = Some("PERMISSION_DENIED");
                self.told_as("ACCESS_TOKEN_SCOPE_INSUFFICIENT");
                self.header(
                    WWW_AUTHENTICATE,
                    "Bearer realm=\"https://accounts.google.com/\", error=\"insufficient_scope\"",
                );
            }
            "accessNotConfigured" | "SERVICE_DISABLED" => {
                self.0.reason = "accessNotConfigured".into();
                self.0.canonical = Some("PERMISSION_DENIED");
                self.0.message = "Google Drive API has not been used in project 100200300400 before or it \
                    is disabled. Enable it by visiting \
                    https://console.developers.google.com/apis/api/drive.googleapis.com/overview?project=100200300400 \
                    then retry. If you enabled this API recently, wait a few minutes for the action to \
                    propagate to our systems and retry."
                    .into();
                self.told_as("SERVICE_DISABLED");
            }
            "SECURITY_POLICY_VIOLATED" => {
                self.0.reason = "forbidden".into();
                self.0.canonical = Some("PERMISSION_DENIED");
                self.told_as("SECURITY_POLICY_VIOLATED");
            }
            "requestedRangeNotSatisfiable" => {
                self.0.location = Some(("header", "Range".to_owned()));
            }
            "rateLimitExceeded" | "userRateLimitExceeded" => {
                self.0.canonical = Some("PERMISSION_DENIED");
                self.told_as("RATE_LIMIT_EXCEEDED");
            }
            _ => {}
        }
    }

    fn told_as(&mut self, reason: &str) {
        self.0.details.push(json!({
            "@type": ERROR_INFO,
            "reason": reason,
            "domain": "googleapis.com",
            "metadata": {"service": "drive.googleapis.com"},
        }));
    }

    fn header(&mut self, name: HeaderName, value: &str) {
        self.0.headers.push((name, value.to_owned()));
    }

    /// In these words.
    pub(crate) fn saying(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Over this parameter.
    pub(crate) fn about(mut self, parameter: impl Into<String>) -> Self {
        self.0.location = Some(("parameter", parameter.into()));
        self
    }

    /// There is no such file, or not for this caller, which nobody can tell apart.
    pub(crate) fn no_file(id: &str) -> Self {
        Self::of("notFound")
            .saying(format!("File not found: {id}."))
            .about("fileId")
    }

    /// There is no such shared drive, or not for this caller.
    pub(crate) fn no_drive(id: &str) -> Self {
        Self::of("notFound")
            .saying(format!("Shared drive not found: {id}"))
            .about("driveId")
    }

    /// A parameter no method of this name has.
    pub(crate) fn unknown_parameter(name: &str) -> Self {
        let said = format!(
            "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. Field \
             '{name}' could not be found in request message."
        );
        Self::violation(said)
    }

    /// A value its parameter cannot have.
    pub(crate) fn mistyped(name: &str, kind: &str, value: &str) -> Self {
        Self::violation(format!("Invalid value at '{name}' ({kind}), \"{value}\""))
    }

    fn violation(said: String) -> Self {
        let mut refusal = Self::of("invalid");
        refusal.0.canonical = Some("INVALID_ARGUMENT");
        refusal.0.details.push(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"description": said}],
        }));
        refusal.saying(said)
    }

    /// There was no access token.
    pub(crate) fn no_credentials() -> Self {
        let mut refusal = Self::of("authError").saying(
            "Request is missing required authentication credential. Expected OAuth 2 access token, login \
             cookie or other valid authentication credential. See \
             https://developers.google.com/identity/sign-in/web/devconsole-project.",
        );
        refusal.0.reason = "required".into();
        refusal.told_as("CREDENTIALS_MISSING");
        refusal
    }

    pub(crate) fn answer(&self) -> Response<Body> {
        self.text().map(Body::from)
    }

    pub(crate) fn text(&self) -> Response<String> {
        let mut error = Map::new();
        error.insert("message".into(), json!(self.0.message));
        error.insert("domain".into(), json!(self.0.domain));
        error.insert("reason".into(), json!(self.0.reason));
        if let Some((kind, place)) = &self.0.location {
            error.insert("location".into(), json!(place));
            error.insert("locationType".into(), json!(kind));
        }
        let mut body = json!({"error": {
            "code": self.0.status,
            "message": self.0.message,
            "errors": [error],
        }});
        if let Some(status) = self.0.canonical {
            body["error"]["status"] = json!(status);
        }
        if !self.0.details.is_empty() {
            body["error"]["details"] = json!(self.0.details);
        }
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json_text(status, &body);
        for (name, value) in &self.0.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// An answer of JSON.
pub(crate) fn json_answer(status: StatusCode, body: &Value) -> Response<Body> {
    json_text(status, body).map(Body::from)
}

/// The same, whose body can be looked at still.
pub(crate) fn json_text(status: StatusCode, body: &Value) -> Response<String> {
    let mut response = Response::new(body.to_string());
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=UTF-8"),
    );
    response
}
