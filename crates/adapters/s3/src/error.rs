//! From the store's codes, statuses and silences to Wharf's errors, in our own words: what happened, where, and what to do.

mod table;

use std::fmt;
use std::time::Duration;

use wharf_domain::error_code::ErrorCode;
use wharf_domain::provider::BucketPath;
use wharf_egress::{EgressError, TlsReason};
use wharf_ports::{ProviderError, Retry};

use self::table::Meaning;
use crate::wire::{Failure, Hint, Refused};

/// Caps are renewed once a day; asking every hour is often enough.
const CAP_PAUSE: Duration = Duration::from_hours(1);

/// What was asked of the store: `s3:ListBucket on media`.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    action: &'static str,
    on: Option<String>,
}

impl Call {
    pub(crate) fn list_buckets() -> Self {
        let action = "s3:ListAllMyBuckets";
        Self { action, on: None }
    }

    /// Listing a path. A policy may allow it for certain prefixes alone.
    pub(crate) fn list(path: &BucketPath) -> Self {
        let on = match (path.bucket(), path.list_prefix()) {
            (bucket, "") => bucket.to_owned(),
            (bucket, prefix) => format!("{bucket} with the prefix {prefix}"),
        };
        Self::on("s3:ListBucket", on)
    }

    pub(crate) fn get(bucket: &str) -> Self {
        Self::on("s3:GetObject", bucket.to_owned())
    }

    /// Reading an object, given as `bucket/key`.
    pub(crate) fn get_object(object: &str) -> Self {
        Self::on("s3:GetObject", object.to_owned())
    }

    /// Reading what lies under a path.
    pub(crate) fn get_under(path: &BucketPath) -> Self {
        Self::on("s3:GetObject", everything_under(path))
    }

    /// Reading the tags of objects of a bucket.
    pub(crate) fn tags(bucket: &str) -> Self {
        Self::on("s3:GetObjectTagging", bucket.to_owned())
    }

    /// Reading the tags of what lies under a path.
    pub(crate) fn tags_under(path: &BucketPath) -> Self {
        Self::on("s3:GetObjectTagging", everything_under(path))
    }

    /// Which role, only the credentials know.
    pub(crate) fn assume_role() -> Self {
        Self::on("sts:AssumeRole", "credentials.role_arn".to_owned())
    }

    pub(crate) fn caller_identity() -> Self {
        let action = "sts:GetCallerIdentity";
        Self { action, on: None }
    }

    /// Decrypting an object, given as `bucket/key`.
    pub(crate) fn decrypt(object: &str) -> Self {
        Self::on("kms:Decrypt", format!("the key of {object}"))
    }

    fn on(action: &'static str, on: String) -> Self {
        let on = Some(on);
        Self { action, on }
    }
}

fn everything_under(path: &BucketPath) -> String {
    let path = path.to_string();
    format!("{}/*", path.strip_suffix('/').unwrap_or(&path))
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action)?;
        self.on.as_ref().map_or(Ok(()), |on| write!(f, " on {on}"))
    }
}

/// What went wrong, decided, but not yet told to anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: ErrorCode,
    pub(crate) retry: Retry,
    /// What happened: the rest of a sentence that begins with the call.
    pub(crate) words: String,
    /// What a person can do: whole sentences, or none where the words say it.
    pub(crate) remedy: String,
    /// What the store's message gave away.
    pub(crate) hint: Option<Hint>,
    /// Why there was no answer, if there was none.
    pub(crate) silence: Option<Box<EgressError>>,
}

impl Fault {
    pub(crate) fn new(code: ErrorCode, words: impl Into<String>) -> Self {
        Self {
            code,
            retry: retry(code, None),
            words: words.into(),
            remedy: code.remedy().to_owned(),
            hint: None,
            silence: None,
        }
    }

    /// The same, to be tried again as the caller knows better.
    pub(crate) fn retried(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// The same in other words, and with the code's own remedy.
    pub(crate) fn worded(self, words: String) -> Self {
        let remedy = self.code.remedy().to_owned();
        Self {
            words,
            remedy,
            ..self
        }
    }

    /// The same, with a remedy that fits better than the code's own.
    pub(crate) fn remedied(self, remedy: impl Into<String>) -> Self {
        let remedy = remedy.into();
        Self { remedy, ..self }
    }

    /// What happened and what to do, as sentences.
    pub(crate) fn advice(&self) -> String {
        let mut words = self.words.chars();
        let first: String = words
            .next()
            .into_iter()
            .flat_map(char::to_uppercase)
            .collect();
        let sentence = format!("{first}{}. {}", words.as_str(), self.remedy);
        sentence.trim_end().to_owned()
    }

    /// The error of a call.
    pub(crate) fn during(self, call: &Call) -> ProviderError {
        let message = format!("{call}: {}. {}", self.words, self.remedy);
        let error = ProviderError {
            code: self.code,
            retry: self.retry,
            message: message.trim_end().to_owned(),
            source: None,
        };
        match self.silence {
            Some(silence) => error.caused_by(*silence),
            None => error,
        }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Egress(error) => of_silence(error),
            Failure::Refused(refused) => of_refusal(&refused),
            Failure::Unreadable { html: true } => Self::new(
                ErrorCode::ProtocolUnexpectedResponse,
                "the endpoint answers with a page for people, not with the S3 protocol",
            ),
            Failure::Unreadable { html: false } => Self::new(
                ErrorCode::ProtocolUnexpectedResponse,
                "the answer is no complete document of the S3 protocol",
            ),
            Failure::Corrupt => Self::new(
                ErrorCode::IntegrityMismatch,
                "the bytes do not match the checksum that the store sent with them",
            ),
            Failure::NotSignedIn(fault) => *fault,
            Failure::Unsendable => Self::new(ErrorCode::Internal, "the request could not be made"),
        }
    }
}

fn of_silence(error: EgressError) -> Fault {
    let code = match &error {
        EgressError::Refused(_) => ErrorCode::EgressRefused,
        EgressError::Dns { .. } => ErrorCode::NetworkDns,
        EgressError::Connect { .. } | EgressError::Broken { .. } => ErrorCode::NetworkConnect,
        EgressError::ConnectTimeout { .. } | EgressError::Timeout { .. } => {
            ErrorCode::NetworkTimeout
        }
        EgressError::Tls { .. } => ErrorCode::NetworkTls,
        EgressError::Request { .. } => ErrorCode::Internal,
    };
    let fault = Fault::new(code, error.to_string());
    let fault = match &error {
        // The guard's words say what to do.
        EgressError::Refused(_) => fault.remedied(""),
        EgressError::Tls { reason, .. } => fault.remedied(tls_remedy(*reason)),
        EgressError::ConnectTimeout { .. } => fault.remedied(
            "Check that the host and port of provider_config.endpoint_url are right and not behind a firewall, and, if \
             the port speaks plain HTTP, that the address starts with http://.",
        ),
        EgressError::Broken { .. } => fault.remedied(
            "Check that the host and port of provider_config.endpoint_url are those of an S3 server, and, if the port \
             speaks TLS, that the address starts with https://.",
        ),
        _ => fault,
    };
    let passes = matches!(
        &error,
        EgressError::Tls {
            reason: TlsReason::Closed | TlsReason::Declined | TlsReason::Other,
            ..
        }
    );
    let retry = if passes {
        Retry::Later { after: None }
    } else {
        fault.retry
    };
    Fault {
        silence: Some(Box::new(error)),
        ..fault.retried(retry)
    }
}

fn tls_remedy(reason: TlsReason) -> &'static str {
    match reason {
        TlsReason::Expired => "Renew the server's certificate.",
        TlsReason::NotYetValid => {
            "Check the clocks of the server and of the machine that runs Wharf, or wait until the certificate is valid."
        }
        TlsReason::UnknownIssuer => {
            "The certificate is self-signed, from a private authority, or shown without its intermediate certificates. \
             Have the server show the whole chain of a public authority; only for an address that an operator opened \
             may provider_config.verify_ssl be false."
        }
        TlsReason::NameMismatch => {
            "Set provider_config.endpoint_url to the name that the certificate is for, or add this name to the \
             certificate."
        }
        TlsReason::Revoked | TlsReason::Certificate => {
            "Have the server show a valid certificate of a public authority."
        }
        TlsReason::NotTls => {
            "Set provider_config.endpoint_url to the port that speaks TLS, or to http:// if plain HTTP is meant and an \
             operator opened the address."
        }
        TlsReason::Incompatible => {
            "Have the server offer TLS 1.2 or 1.3 with a cipher in use today."
        }
        TlsReason::Closed | TlsReason::Declined | TlsReason::Other => {
            "Check that the host and port of provider_config.endpoint_url are those of an S3 server that speaks TLS, and \
             that nothing between breaks into it."
        }
    }
}

fn of_refusal(refused: &Refused) -> Fault {
    let Meaning { code, says, remedy } = table::meaning(refused);
    let mut fault = Fault::new(code, says);
    if let Some(remedy) = remedy {
        fault = fault.remedied(remedy);
    }
    if let (ErrorCode::ConfigWrongRegion, Some(region)) = (code, &refused.region) {
        fault.words = format!("the bucket lies in {region}");
        fault.remedy = format!(
            "Set provider_config.region to {region} and, if provider_config.endpoint_url names a region, that one, too."
        );
    }
    Fault {
        hint: refused.hint,
        ..fault.retried(retry(code, refused.retry_after))
    }
}

/// Whether the code is one of the protocol's, so that what it means is not merely read off the status.
pub(crate) fn is_known(code: &str) -> bool {
    table::row(code, None).is_some()
}

fn retry(code: ErrorCode, after: Option<Duration>) -> Retry {
    use ErrorCode as E;
    match code {
        E::QuotaRateLimited
        | E::ProviderUnavailable
        | E::NetworkDns
        | E::NetworkConnect
        | E::NetworkTimeout
        | E::AuthClockSkew
        | E::IntegrityMismatch
        | E::ProtocolUnexpectedResponse => Retry::Later { after },
        E::QuotaExhausted => Retry::Later {
            after: Some(after.unwrap_or(CAP_PAUSE)),
        },
        _ => Retry::Never,
    }
}

#[cfg(test)]
mod tests {
    use wharf_domain::provider::s3::Region;

    use super::*;

    fn refusal(status: u16, code: Option<&str>) -> Refused {
        Refused {
            status,
            code: code.map(ToOwned::to_owned),
            ..Refused::default()
        }
    }

    fn path(text: &str) -> BucketPath {
        BucketPath::parse(text, "source_path").unwrap()
    }

    fn code_of(refused: Refused) -> ErrorCode {
        Fault::from(Failure::Refused(refused)).code
    }

    #[test]
    fn every_code_of_the_protocol_has_its_meaning() {
        use ErrorCode as E;
        for (codes, status, meaning) in [
            (
                "InvalidAccessKeyId SignatureDoesNotMatch InvalidSecurity",
                403,
                E::AuthInvalidCredentials,
            ),
            ("InvalidToken", 400, E::AuthInvalidCredentials),
            ("ExpiredToken TokenRefreshRequired", 400, E::AuthExpired),
            ("RequestTimeTooSkewed RequestExpired", 403, E::AuthClockSkew),
            ("AccessDenied AccessPointAccessDenied", 403, E::PermDenied),
            ("InvalidPayer", 403, E::ObjectRequesterPays),
            ("UserProjectMissing", 400, E::ObjectRequesterPays),
            (
                "AllAccessDisabled AccountProblem NotSignedUp",
                403,
                E::AuthAccountDisabled,
            ),
            (
                "NoSuchBucket NoSuchKey NoSuchVersion",
                404,
                E::ResourceNotFound,
            ),
            ("InvalidBucketName", 400, E::ConfigInvalid),
            ("PermanentRedirect", 301, E::ConfigWrongRegion),
            ("TemporaryRedirect", 307, E::ConfigWrongRegion),
            (
                "AuthorizationHeaderMalformed IllegalLocationConstraintException InvalidRegion",
                400,
                E::ConfigWrongRegion,
            ),
            ("InvalidObjectState", 403, E::ResourceArchived),
            ("PreconditionFailed", 412, E::ResourceChanged),
            ("InvalidRange", 416, E::ResourceChanged),
            (
                "SlowDown BandwidthLimitExceeded RequestLimitExceeded",
                503,
                E::QuotaRateLimited,
            ),
            (
                "Throttling ThrottlingException ThrottledByThrottlingRule TooManyRequests",
                429,
                E::QuotaRateLimited,
            ),
            ("ServiceUnavailable", 503, E::ProviderUnavailable),
            ("InternalError", 500, E::ProviderUnavailable),
            ("OperationAborted", 409, E::ProviderUnavailable),
            ("RequestTimeout", 400, E::NetworkTimeout),
            ("NotImplemented", 501, E::ConfigEndpointInvalid),
            ("MethodNotAllowed", 405, E::ConfigEndpointInvalid),
            (
                "KMS.DisabledException KMS.NotFoundException KMS.InvalidStateException",
                400,
                E::PermDenied,
            ),
            ("UserSuspended", 403, E::QuotaExhausted),
        ] {
            for code in codes.split(' ') {
                assert_eq!(code_of(refusal(status, Some(code))), meaning, "{code}");
            }
        }
    }

    #[test]
    fn a_message_refines_a_denial() {
        use ErrorCode as E;
        for (code, hint, meaning) in [
            (
                "AccessDenied",
                Hint::OrganizationPolicy,
                E::PermPolicyBlocked,
            ),
            ("AccessDenied", Hint::EndpointPolicy, E::PermPolicyBlocked),
            ("AccessDenied", Hint::Boundary, E::PermPolicyBlocked),
            ("AccessDenied", Hint::BucketPolicy, E::PermPolicyBlocked),
            ("AccessDenied", Hint::BucketGrantsNothing, E::PermDenied),
            ("AccessDenied", Hint::OwnDeny, E::PermDenied),
            ("AccessDenied", Hint::CapExceeded, E::QuotaExhausted),
            ("AccessDenied", Hint::EncryptionKey, E::PermDenied),
            ("AccessDenied", Hint::RequesterPays, E::ObjectRequesterPays),
            ("AccessDenied", Hint::MalformedKey, E::PermDenied),
            ("InvalidRequest", Hint::CustomerKey, E::ObjectCustomerKey),
            ("InvalidArgument", Hint::PlainHttp, E::ConfigInvalid),
            (
                "AuthorizationHeaderMalformed",
                Hint::MalformedKey,
                E::AuthInvalidCredentials,
            ),
            ("NoSuchKey", Hint::EncryptionKey, E::ResourceNotFound),
        ] {
            let refused = Refused {
                hint: Some(hint),
                ..refusal(403, Some(code))
            };
            assert_eq!(code_of(refused), meaning, "{code} {hint:?}");
        }
    }

    #[test]
    fn unknown_and_missing_codes_are_told_by_their_status() {
        use ErrorCode as E;
        for (status, meaning) in [
            (302, E::ConfigEndpointInvalid),
            (400, E::ConfigInvalid),
            (401, E::AuthInvalidCredentials),
            (403, E::PermDenied),
            (404, E::ResourceNotFound),
            (405, E::ConfigEndpointInvalid),
            (408, E::NetworkTimeout),
            (409, E::ResourceChanged),
            (410, E::ResourceNotFound),
            (412, E::ResourceChanged),
            (416, E::ResourceChanged),
            (418, E::ConfigInvalid),
            (429, E::QuotaRateLimited),
            (500, E::ProviderUnavailable),
            (501, E::ConfigEndpointInvalid),
            (502, E::ProviderUnavailable),
            (503, E::ProviderUnavailable),
            (504, E::NetworkTimeout),
            (509, E::QuotaRateLimited),
        ] {
            assert_eq!(code_of(refusal(status, None)), meaning, "{status}");
            assert_eq!(
                code_of(refusal(status, Some("NeverHeardOf"))),
                meaning,
                "{status}"
            );
        }
    }

    #[test]
    fn the_bucket_s_region_is_named_if_the_store_names_it() {
        let refused = Refused {
            region: Region::parse("eu-central-1"),
            ..refusal(301, Some("PermanentRedirect"))
        };
        let error = Fault::from(Failure::Refused(refused)).during(&Call::list(&path("media")));
        let text = "s3:ListBucket on media: the bucket lies in eu-central-1. Set provider_config.region to eu-central-1 \
                    and, if provider_config.endpoint_url names a region, that one, too.";
        assert_eq!(error.message, text);
        let bare = Refused {
            region: Region::parse("eu-central-1"),
            ..refusal(301, None)
        };
        assert_eq!(code_of(bare), ErrorCode::ConfigWrongRegion);
        let elsewhere = Refused {
            region: Region::parse("eu-central-1"),
            ..refusal(403, Some("AccessDenied"))
        };
        assert_eq!(code_of(elsewhere), ErrorCode::PermDenied);
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_not_before_the_store_wants() {
        let after = Some(Duration::from_secs(7));
        let retry = |status, code| {
            Fault::from(Failure::Refused(Refused {
                retry_after: after,
                ..refusal(status, Some(code))
            }))
            .retry
        };
        assert_eq!(retry(503, "SlowDown"), Retry::Later { after });
        assert_eq!(retry(503, "ServiceUnavailable"), Retry::Later { after });
        assert_eq!(retry(403, "AccessDenied"), Retry::Never);
        assert_eq!(retry(412, "PreconditionFailed"), Retry::Never);
        assert_eq!(
            Fault::from(Failure::Corrupt).retry,
            Retry::Later { after: None }
        );
        assert_eq!(
            Fault::from(Failure::Refused(refusal(403, Some("UserSuspended")))).retry,
            Retry::Later {
                after: Some(CAP_PAUSE)
            }
        );
    }

    #[test]
    fn silences_keep_their_kind_and_words() {
        let target = || "h:1".to_owned();
        let tls = |reason| EgressError::Tls {
            target: target(),
            reason,
        };
        let later = Retry::Later { after: None };
        for (error, code, retry) in [
            (
                EgressError::Dns {
                    host: target(),
                    timed_out: false,
                },
                ErrorCode::NetworkDns,
                later,
            ),
            (
                EgressError::Broken { target: target() },
                ErrorCode::NetworkConnect,
                later,
            ),
            (
                EgressError::ConnectTimeout { target: target() },
                ErrorCode::NetworkTimeout,
                later,
            ),
            (tls(TlsReason::Expired), ErrorCode::NetworkTls, Retry::Never),
            (tls(TlsReason::Closed), ErrorCode::NetworkTls, later),
            (
                EgressError::Request { target: target() },
                ErrorCode::Internal,
                Retry::Never,
            ),
        ] {
            let fault = Fault::from(Failure::Egress(error.clone()));
            assert_eq!(
                (fault.code, fault.retry, &fault.words),
                (code, retry, &error.to_string())
            );
            assert!(fault.during(&Call::list_buckets()).source.is_some());
        }
    }

    #[test]
    fn every_reason_against_tls_has_its_own_remedy() {
        for (reason, word) in [
            (TlsReason::Expired, "Renew"),
            (TlsReason::NotYetValid, "clocks"),
            (TlsReason::UnknownIssuer, "verify_ssl"),
            (
                TlsReason::NameMismatch,
                "the name that the certificate is for",
            ),
            (TlsReason::Revoked, "valid certificate"),
            (TlsReason::NotTls, "http://"),
            (TlsReason::Incompatible, "TLS 1.2"),
            (TlsReason::Closed, "host and port"),
        ] {
            let target = "h:1".to_owned();
            let fault = Fault::from(Failure::Egress(EgressError::Tls { target, reason }));
            let advice = fault.advice();
            assert!(
                advice.starts_with("No TLS with h:1: ") && advice.contains(word),
                "{advice}"
            );
        }
    }

    #[test]
    fn calls_name_the_action_and_what_it_is_on() {
        for (call, text) in [
            (Call::list_buckets(), "s3:ListAllMyBuckets"),
            (Call::list(&path("media")), "s3:ListBucket on media"),
            (
                Call::list(&path("media/photos/")),
                "s3:ListBucket on media with the prefix photos/",
            ),
            (Call::get_under(&path("media")), "s3:GetObject on media/*"),
            (
                Call::get_under(&path("media/photos/")),
                "s3:GetObject on media/photos/*",
            ),
            (
                Call::tags_under(&path("media/photos")),
                "s3:GetObjectTagging on media/photos/*",
            ),
            (
                Call::decrypt("media/photos/a"),
                "kms:Decrypt on the key of media/photos/a",
            ),
        ] {
            assert_eq!(call.to_string(), text);
        }
    }
}
