//! What the SDK calls an error, taken apart. Nothing that the store said is kept but a code, a region and a time.

use std::error::Error;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use wharf_aws::answer::{header, is_html, retry_after, text};
use wharf_domain::provider::s3::Region;
use wharf_egress::EgressError;

use super::fault::Reason;

/// Why a call did not succeed: what the writer or reader of a blob goes on with, and else the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// There is no such object.
    Missing,
    /// There is no such unfinished upload (any more).
    NoUpload,
    /// The condition of the request does not hold.
    Precondition,
    /// Another writer of the same key is at work; its outcome is not known yet.
    Conflict,
    /// The range begins at or after the end.
    PastTheEnd,
    /// The store does not know this kind of request.
    NotImplemented,
    /// Anything else.
    Other(Reason),
}

impl Failure {
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Missing => Reason::Gone,
            Self::NoUpload | Self::Precondition | Self::PastTheEnd => Reason::OtherBytes,
            Self::Conflict => Reason::Busy(None),
            Self::NotImplemented => Reason::NotSpoken,
            Self::Other(reason) => reason,
        }
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self::Other(reason)
    }
}

/// Takes an error of a call apart.
pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: Error + ProvideErrorMetadata + 'static,
{
    if let Some(egress) = EgressError::find(error) {
        return Reason::Network(egress.clone()).into();
    }
    let Some(response) = error.raw_response() else {
        return Reason::Unsendable.into();
    };
    let code = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
        .map(str::trim)
        .filter(|code| !code.is_empty());
    of_answer(code, response)
}

/// Takes an error in the middle of a body apart: a broken connection, or else a length that is wrong.
pub(super) fn of_body(error: &(dyn Error + 'static)) -> Failure {
    EgressError::find(error)
        .map_or(Reason::OtherBytes, |egress| Reason::Network(egress.clone()))
        .into()
}

fn of_answer(code: Option<&str>, response: &HttpResponse) -> Failure {
    let status = response.status().as_u16();
    if let Some(failure) = code.and_then(|code| of_code(code, status, response)) {
        return failure;
    }
    let reason = match status {
        200..=299 if is_html(response) => Reason::NoStore,
        200..=299 => Reason::Unreadable,
        300..=399 if region(response).is_some() => Reason::WrongRegion(region(response)),
        300..=399 => Reason::Elsewhere,
        401 | 403 => Reason::Denied,
        // A request for the head of an object is answered without a code.
        404 if code.is_none() && !is_html(response) => return Failure::Missing,
        404 => Reason::NoStore,
        405 | 501 => return Failure::NotImplemented,
        409 => return Failure::Conflict,
        412 => return Failure::Precondition,
        413 => Reason::TooLarge,
        416 => return Failure::PastTheEnd,
        429 => Reason::Busy(retry_after(response)),
        507 => Reason::Full,
        408 | 500..=599 => Reason::Outage(status),
        _ => Reason::Refused(status),
    };
    reason.into()
}

/// What a machine code means.
fn of_code(code: &str, status: u16, response: &HttpResponse) -> Option<Failure> {
    let reason = match code {
        "NoSuchKey" | "NotFound" => return Some(Failure::Missing),
        "NoSuchUpload" => return Some(Failure::NoUpload),
        "PreconditionFailed" => return Some(Failure::Precondition),
        "ConditionalRequestConflict" | "OperationAborted" => return Some(Failure::Conflict),
        "InvalidRange" => return Some(Failure::PastTheEnd),
        "NotImplemented" | "MethodNotAllowed" => return Some(Failure::NotImplemented),
        "AccessDenied" | "AccessPointAccessDenied" | "AllAccessDisabled" | "AccountProblem" => {
            Reason::Denied
        }
        "InvalidAccessKeyId" | "NotSignedUp" => Reason::UnknownKey,
        "SignatureDoesNotMatch" => Reason::WrongSecret,
        "ExpiredToken" | "InvalidToken" | "InvalidSecurity" | "TokenRefreshRequired" => {
            Reason::WrongToken
        }
        "RequestTimeTooSkewed" | "RequestExpired" => Reason::Clock,
        "NoSuchBucket" | "InvalidBucketName" => Reason::NoBucket,
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "InvalidRegion" => Reason::WrongRegion(region(response)),
        "InvalidObjectState" => Reason::Archived,
        "EntityTooLarge" => Reason::TooLarge,
        "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage" => Reason::Full,
        "BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch" | "IncompleteBody" => {
            Reason::OtherBytes
        }
        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "TooManyRequests"
        | "ServiceUnavailable" => Reason::Busy(retry_after(response)),
        "InternalError" | "RequestTimeout" => Reason::Outage(status),
        throttled if throttled.starts_with("Throttling") => Reason::Busy(retry_after(response)),
        kms if kms.starts_with("KMS.") => Reason::Encryption,
        _ => return None,
    };
    Some(reason.into())
}

fn region(response: &HttpResponse) -> Option<Region> {
    let in_body = || {
        let (_, after) = text(response).split_once("<Region>")?;
        after.split_once("</Region>").map(|(region, _)| region)
    };
    header(response, "x-amz-bucket-region")
        .or_else(in_body)
        .and_then(Region::parse)
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> HttpResponse {
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
        for (name, value) in headers {
            response.headers_mut().insert(*name, *value);
        }
        response
    }

    fn words(status: u16, code: Option<&str>, headers: &[(&'static str, &'static str)]) -> String {
        of_answer(code, &answer(status, headers))
            .reason()
            .to_string()
    }

    #[test]
    fn what_to_do_is_said_for_every_mistake_of_an_operator() {
        for (status, code, says) in [
            (403, "AccessDenied", "grant it this action"),
            (403, "InvalidAccessKeyId", "blob_store_s3.access_key_id"),
            (
                403,
                "SignatureDoesNotMatch",
                "blob_store_s3.secret_access_key",
            ),
            (400, "ExpiredToken", "blob_store_s3.session_token"),
            (403, "RequestTimeTooSkewed", "clock of this machine"),
            (404, "NoSuchBucket", "correct blob_store"),
            (301, "PermanentRedirect", "blob_store_s3.region"),
            (400, "KMS.DisabledException", "kms:GenerateDataKey"),
            (403, "InvalidObjectState", "lifecycle rule"),
        ] {
            let words = words(status, Some(code), &[]);
            assert!(words.contains(says), "{code}: {words}");
            assert!(
                !of_answer(Some(code), &answer(status, &[]))
                    .reason()
                    .may_pass()
            );
        }
        let region = ("x-amz-bucket-region", "eu-central-1");
        assert_eq!(
            words(301, None, &[region]),
            "the bucket lies in eu-central-1; set blob_store_s3.region to it"
        );
        let page = ("content-type", "text/html");
        for status in [200, 404] {
            assert!(words(status, None, &[page]).contains("not an S3 store"));
        }
    }

    #[test]
    fn what_may_pass_is_told_from_what_stays() {
        for (status, code) in [
            (503, Some("SlowDown")),
            (500, Some("InternalError")),
            (409, Some("OperationAborted")),
            (429, None),
            (502, None),
            (408, None),
        ] {
            assert!(
                of_answer(code, &answer(status, &[])).reason().may_pass(),
                "{status}"
            );
        }
        for status in [301, 400, 401, 403, 404, 405, 413, 501, 507] {
            assert!(
                !of_answer(None, &answer(status, &[])).reason().may_pass(),
                "{status}"
            );
        }
    }
}
