//! AWS Signature Version 4 as a server reads it: what a request claims about its signature, the string
//! that was to be signed, and the signature that should have come of it.

use hmac::{Hmac, KeyInit, Mac};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a request says about its signature, in its `Authorization` header or in the query of a
/// presigned URL. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) access_key_id: String,
    pub(crate) day: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) time: String,
    pub(crate) signed_headers: Vec<String>,
    pub(crate) signature: String,
}

impl Claim {
    /// None when there is no complete claim.
    pub(crate) fn read(headers: &HeaderMap, uri: &Uri) -> Option<Self> {
        match headers.get(AUTHORIZATION) {
            Some(value) => Self::of_header(value.to_str().ok()?, headers),
            None => Self::of_query(uri.query()?),
        }
    }

    fn of_header(authorization: &str, headers: &HeaderMap) -> Option<Self> {
        let parts = authorization.strip_prefix(ALGORITHM)?;
        let part = |name: &str| {
            parts
                .split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let time = headers.get("x-amz-date")?.to_str().ok()?;
        Self::of_parts(
            part("Credential")?,
            part("SignedHeaders")?,
            part("Signature")?,
            time,
        )
    }

    fn of_query(query: &str) -> Option<Self> {
        let part = |wanted: &str| {
            form_urlencoded::parse(query.as_bytes())
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.into_owned())
        };
        Self::of_parts(
            &part("X-Amz-Credential")?,
            &part("X-Amz-SignedHeaders")?,
            &part("X-Amz-Signature")?,
            &part("X-Amz-Date")?,
        )
    }

    fn of_parts(credential: &str, headers: &str, signature: &str, time: &str) -> Option<Self> {
        // The scope is read from its end: an access key id may hold anything, slashes too.
        let mut scope = credential.rsplitn(5, '/');
        if scope.next()? != "aws4_request" {
            return None;
        }
        Some(Self {
            service: scope.next()?.to_owned(),
            region: scope.next()?.to_owned(),
            day: scope.next()?.to_owned(),
            access_key_id: scope.next()?.to_owned(),
            time: time.to_owned(),
            signed_headers: headers.split(';').map(ToOwned::to_owned).collect(),
            signature: signature.to_owned(),
        })
    }

    pub(crate) fn canonical_request(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        payload: &str,
    ) -> String {
        let mut lines = vec![
            method.to_string(),
            uri.path().to_owned(),
            canonical_query(uri.query().unwrap_or_default()),
        ];
        for name in &self.signed_headers {
            let values: Vec<_> = headers
                .get_all(name)
                .iter()
                .map(|value| {
                    let text = String::from_utf8_lossy(value.as_bytes());
                    text.split_whitespace().collect::<Vec<_>>().join(" ")
                })
                .collect();
            lines.push(format!("{name}:{}", values.join(",")));
        }
        lines.extend([
            String::new(),
            self.signed_headers.join(";"),
            payload.to_owned(),
        ]);
        lines.join("\n")
    }

    pub(crate) fn string_to_sign(&self, canonical_request: &str) -> String {
        let Self {
            time,
            day,
            region,
            service,
            ..
        } = self;
        let digest = hex::encode(Sha256::digest(canonical_request));
        format!("{ALGORITHM}\n{time}\n{day}/{region}/{service}/aws4_request\n{digest}")
    }

    /// The signature this secret makes of that string.
    pub(crate) fn sign(&self, secret: &str, string_to_sign: &str) -> String {
        let key = [&self.day, &self.region, &self.service, "aws4_request"]
            .iter()
            .fold(format!("AWS4{secret}").into_bytes(), |key, part| {
                hmac(&key, part.as_bytes())
            });
        hex::encode(hmac(&key, string_to_sign.as_bytes()))
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn canonical_query(query: &str) -> String {
    let coded = |text: &str| {
        let plain: Vec<u8> = percent_decode_str(text).collect();
        percent_encode(&plain, UNRESERVED).to_string()
    };
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(name, _)| *name != "X-Amz-Signature")
        .map(|(name, value)| format!("{}={}", coded(name), coded(value)))
        .collect();
    pairs.sort();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of the documentation: `ListUsers` of IAM.
    #[test]
    fn the_documented_example_gives_the_documented_signature() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date, \
                 Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            ),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let uri = Uri::from_static("/?Action=ListUsers&Version=2010-05-08");
        let claim = Claim::read(&headers, &uri).unwrap();
        let empty = hex::encode(Sha256::digest(b""));
        let canonical = claim.canonical_request(&Method::GET, &uri, &headers, &empty);
        assert_eq!(
            hex::encode(Sha256::digest(&canonical)),
            "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
        );
        assert_eq!(
            claim.sign(
                "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                &claim.string_to_sign(&canonical)
            ),
            claim.signature
        );
    }

    #[test]
    fn what_is_no_claim_is_not_read_as_one() {
        let read = |authorization: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-date", "20150830T123600Z".parse().unwrap());
            headers.insert(AUTHORIZATION, authorization.parse().unwrap());
            Claim::read(&headers, &Uri::from_static("/"))
        };
        assert_eq!(read("Bearer x"), None);
        assert_eq!(read("AWS4-HMAC-SHA256"), None);
        assert_eq!(
            read("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0"),
            None
        );
    }
}
