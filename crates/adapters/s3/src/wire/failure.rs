//! What the SDK calls an error, taken apart. Nothing that the store said is kept but codes, a region and a time.

use std::error::Error;
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use wharf_aws::answer::{header, is_html, retry_after, text};
use wharf_domain::provider::s3::Region;
use wharf_egress::EgressError;

use super::signing::NotSignedIn;
use crate::error::Fault;

/// Why a call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is no answer, or only a part of one.
    Egress(EgressError),
    /// The store said no.
    Refused(Refused),
    /// The answer is a success in the store's eyes, and nothing that we understand.
    Unreadable {
        /// Whether it is a page for people.
        html: bool,
    },
    /// The bytes do not match their checksum.
    Corrupt,
    /// There was no key to sign the request with.
    NotSignedIn(Box<Fault>),
    /// The request could not be made.
    Unsendable,
}

/// The store's no.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    /// The machine code, if the answer is an error document.
    pub(crate) code: Option<String>,
    /// What the message gives away beyond the code.
    pub(crate) hint: Option<Hint>,
    /// Where the store says that the bucket lies.
    pub(crate) region: Option<Region>,
    /// When the store wants to be asked again.
    pub(crate) retry_after: Option<Duration>,
}

/// What a message gives away beyond the code, looked for where the code alone is too coarse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    /// The key that encrypts the object may not be used.
    EncryptionKey,
    /// The object is encrypted with a key that each request must bring.
    CustomerKey,
    /// Whoever asks must pay.
    RequesterPays,
    /// A paid-for cap is used up.
    CapExceeded,
    /// A service or resource control policy denies it, or allows it to nobody.
    OrganizationPolicy,
    /// The policy of a VPC endpoint does.
    EndpointPolicy,
    /// A permissions boundary does.
    Boundary,
    /// The bucket's policy denies it explicitly.
    BucketPolicy,
    /// The bucket's policy allows it to nobody.
    BucketGrantsNothing,
    /// A policy of the user or role itself denies it explicitly.
    OwnDeny,
    /// The request must come over TLS.
    PlainHttp,
    /// The access key id has no form of one.
    MalformedKey,
}

#[cfg(test)]
impl Hint {
    /// How the documents say what the message tells.
    pub(crate) fn told_by(self) -> &'static str {
        match self {
            Self::EncryptionKey => "naming KMS",
            Self::CustomerKey => "naming server-side encryption",
            Self::RequesterPays => "naming requester pays",
            Self::CapExceeded => "naming a cap",
            Self::OrganizationPolicy => "naming a service or resource control policy",
            Self::EndpointPolicy => "naming a VPC endpoint policy",
            Self::Boundary => "naming a permissions boundary",
            Self::BucketPolicy => "naming an explicit deny in a resource-based policy",
            Self::BucketGrantsNothing => "naming a resource-based policy that does not allow it",
            Self::OwnDeny => "naming an explicit deny in another policy",
            Self::PlainHttp => "naming a secure connection",
            Self::MalformedKey => "naming the access key",
        }
    }
}

/// Takes an error of a call apart.
pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: Error + ProvideErrorMetadata + 'static,
{
    if let Some(egress) = EgressError::find(error) {
        return Failure::Egress(egress.clone());
    }
    if let Some(fault) = NotSignedIn::find(error) {
        return Failure::NotSignedIn(Box::new(fault.clone()));
    }
    let Some(response) = error.raw_response() else {
        return Failure::Unsendable;
    };
    let status = response.status().as_u16();
    let service = error.as_service_error();
    let code = service
        .and_then(ProvideErrorMetadata::code)
        .filter(|code| !code.trim().is_empty());
    if code.is_none() && response.status().is_success() {
        return Failure::Unreadable {
            html: is_html(response),
        };
    }
    Failure::Refused(Refused {
        status,
        code: code.map(ToOwned::to_owned),
        hint: service
            .and_then(ProvideErrorMetadata::message)
            .and_then(hint)
            .or_else(|| code.and_then(of_key_service)),
        region: region(response),
        retry_after: retry_after(response),
    })
}

/// Takes an error in the middle of an object apart: a broken connection, or else a checksum or a length that is wrong.
pub(super) fn of_stream(error: &(dyn Error + 'static)) -> Failure {
    EgressError::find(error).map_or(Failure::Corrupt, |egress| Failure::Egress(egress.clone()))
}

/// Codes that the store passes on from its key service.
fn of_key_service(code: &str) -> Option<Hint> {
    let passed_on = code.starts_with("KMS") || code.starts_with("kms");
    passed_on.then_some(Hint::EncryptionKey)
}

/// Looks for fixed phrases, never in the names of users and resources, which are anybody's choice.
fn hint(message: &str) -> Option<Hint> {
    let message = without_names(&message.to_ascii_lowercase());
    let says = |words: &str| message.contains(words);
    let denies = says("explicit deny") || says("explicitly denies");
    if says("cap exceeded") || says("caps exceeded") {
        Some(Hint::CapExceeded)
    } else if says("secure connection") {
        Some(Hint::PlainHttp)
    } else if says("kms") {
        Some(Hint::EncryptionKey)
    } else if says("server side encryption")
        || says("server-side encryption")
        || says("customer-provided")
        || says("customer provided")
    {
        Some(Hint::CustomerKey)
    } else if says("requester pays") || says("requester-pays") || says("request-payer") {
        Some(Hint::RequesterPays)
    } else if says("service control policy") || says("resource control policy") {
        Some(Hint::OrganizationPolicy)
    } else if says("endpoint policy") {
        Some(Hint::EndpointPolicy)
    } else if says("permissions boundary") {
        Some(Hint::Boundary)
    } else if says("resource-based policy") {
        Some(if denies {
            Hint::BucketPolicy
        } else {
            Hint::BucketGrantsNothing
        })
    } else if denies {
        Some(Hint::OwnDeny)
    } else if says("(akid)") || says("the credential is mal-formed") {
        Some(Hint::MalformedKey)
    } else {
        None
    }
}

/// A message without the user and the resource that it speaks of, nor anything else that it quotes.
fn without_names(message: &str) -> String {
    if let Some((_, denied)) = message.split_once(" is not authorized to perform: ") {
        let action = denied.split(' ').next().unwrap_or_default();
        let reason = denied.rfind(" because ").max(denied.rfind(" with an "));
        return [action, reason.map_or("", |at| &denied[at..])].concat();
    }
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) => [&message[..first], &message[last + 1..]].concat(),
        _ => message.to_owned(),
    }
}

fn region(response: &HttpResponse) -> Option<Region> {
    let document = text(response);
    header(response, "x-amz-bucket-region")
        .or_else(|| element(document, "Region"))
        .and_then(Region::parse)
        .or_else(|| region_of_host(element(document, "Endpoint")?))
}

/// The text of the first element of this name.
fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim())
}

/// Vendors that name the region after `s3` in their hosts.
const WITH_REGION: [&str; 4] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".wasabisys.com",
    ".backblazeb2.com",
];

/// The region in the host that a redirect names, such as `media.s3.eu-west-1.amazonaws.com` or, of older days,
/// `s3-eu-west-1.amazonaws.com`.
fn region_of_host(host: &str) -> Option<Region> {
    let own = WITH_REGION
        .iter()
        .find_map(|vendor| host.strip_suffix(vendor))?;
    let mut labels = own
        .split('.')
        .skip_while(|label| *label != "s3" && !label.starts_with("s3-"));
    let region = match labels.next()?.strip_prefix("s3-") {
        Some("external-1") => None,
        Some("fips") | None => labels.find(|label| *label != "dualstack"),
        dashed => dashed,
    };
    // A host without one is the oldest region's.
    Region::parse(region.unwrap_or("us-east-1"))
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn answer(headers: &[(&'static str, &'static str)], body: &'static str) -> HttpResponse {
        let mut response = HttpResponse::new(503.try_into().unwrap(), SdkBody::from(body));
        for (name, value) in headers {
            response.headers_mut().insert(*name, *value);
        }
        response
    }

    #[test]
    fn a_region_is_read_from_header_or_document_if_it_is_one() {
        let named =
            |headers: &[_], body| region(&answer(headers, body)).map(|region| region.to_string());
        let document = "<Error><Region>eu-west-1</Region></Error>";
        assert_eq!(
            named(&[("x-amz-bucket-region", "eu-central-1")], document).as_deref(),
            Some("eu-central-1")
        );
        assert_eq!(named(&[], document).as_deref(), Some("eu-west-1"));
        assert_eq!(
            named(&[], "<Error><Region>evil text!</Region></Error>"),
            None
        );
        assert_eq!(named(&[], "<Region>"), None);
        for (host, region) in [
            ("s3-eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("s3.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("media.s3.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("media.2024.s3-us-west-2.amazonaws.com", Some("us-west-2")),
            (
                "media.s3.dualstack.eu-west-1.amazonaws.com",
                Some("eu-west-1"),
            ),
            ("s3-fips.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("s3.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("s3.amazonaws.com", Some("us-east-1")),
            ("media.s3.eu-central-1.wasabisys.com", Some("eu-central-1")),
            ("s3.us-west-004.backblazeb2.com", Some("us-west-004")),
            ("minio.example.com", None),
            ("s3.example.com", None),
            ("s3.<evil>.amazonaws.com", None),
            ("amazonaws.com", None),
            ("", None),
        ] {
            let document: &'static str =
                format!("<Error><Endpoint>{host}</Endpoint></Error>").leak();
            assert_eq!(named(&[], document).as_deref(), region, "{host}");
        }
    }

    #[test]
    fn messages_refine_what_codes_leave_open() {
        let aws = |reason: &str| {
            format!(
                "User: arn:aws:iam::123456789012:user/kms is not authorized to perform: s3:GetObject on resource: \
                 \"arn:aws:s3:::media/kms cap exceeded\" {reason}"
            )
        };
        for (reason, told) in [
            (
                "because no identity-based policy allows the s3:GetObject action",
                None,
            ),
            (
                "with an explicit deny in an identity-based policy",
                Some(Hint::OwnDeny),
            ),
            (
                "with an explicit deny in a resource-based policy",
                Some(Hint::BucketPolicy),
            ),
            (
                "because no resource-based policy allows the s3:GetObject action",
                Some(Hint::BucketGrantsNothing),
            ),
            (
                "with an explicit deny in a service control policy",
                Some(Hint::OrganizationPolicy),
            ),
            (
                "because no service control policy allows the s3:GetObject action",
                Some(Hint::OrganizationPolicy),
            ),
            (
                "with an explicit deny in a resource control policy",
                Some(Hint::OrganizationPolicy),
            ),
            (
                "with an explicit deny in a VPC endpoint policy",
                Some(Hint::EndpointPolicy),
            ),
            (
                "because no permissions boundary allows the s3:GetObject action",
                Some(Hint::Boundary),
            ),
        ] {
            assert_eq!(hint(&aws(reason)), told, "{reason}");
        }
        for (message, told) in [
            (
                "Cannot download file, download bandwidth or transaction (Class B) cap exceeded.",
                Some(Hint::CapExceeded),
            ),
            (
                "User: arn:aws:iam::123456789012:user/reader is not authorized to perform: kms:Decrypt on the resource \
                 associated with this ciphertext because the resource does not exist in this Region, no resource-based \
                 policies allow access, or a resource-based policy explicitly denies access",
                Some(Hint::EncryptionKey),
            ),
            (
                "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to \
                 retrieve the object.",
                Some(Hint::CustomerKey),
            ),
            (
                "Requests specifying Server Side Encryption with AWS KMS managed keys must be made over a secure \
                 connection.",
                Some(Hint::PlainHttp),
            ),
            (
                "Bucket is a requester pays bucket but no user project provided.",
                Some(Hint::RequesterPays),
            ),
            (
                "The authorization header is malformed; a non-empty Access Key (AKID) must be provided in the credential.",
                Some(Hint::MalformedKey),
            ),
            ("Access Denied", None),
        ] {
            assert_eq!(hint(message), told, "{message}");
        }
        assert_eq!(
            of_key_service("KMS.DisabledException"),
            Some(Hint::EncryptionKey)
        );
        assert_eq!(of_key_service("AccessDenied"), None);
    }
}
