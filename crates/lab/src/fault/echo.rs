//! A careless or hostile server: its answers repeat what the request held, secrets first.

use axum::body::Body;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response};
use http_body_util::BodyExt;

use crate::sigv4::Claim;
use crate::xml::Document;

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// What is repeated.
pub(crate) struct Echo {
    headers: Vec<(String, String)>,
    signed: Option<(Claim, String, String)>,
}

impl Echo {
    /// `payload` is the digest the signature covers where no header says it.
    pub(crate) fn of(request: &Parts, payload: Option<String>) -> Self {
        let headers: Vec<_> = request
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.to_string(), value)
            })
            .collect();
        let said = headers
            .iter()
            .find(|(name, _)| name == "x-amz-content-sha256")
            .map(|(_, value)| value.clone());
        let payload = said.or(payload).unwrap_or_else(|| UNSIGNED.to_owned());
        let signed = Claim::read(&request.headers, &request.uri).map(|claim| {
            let canonical =
                claim.canonical_request(&request.method, &request.uri, &request.headers, &payload);
            let string_to_sign = claim.string_to_sign(&canonical);
            (claim, canonical, string_to_sign)
        });
        Self { headers, signed }
    }

    /// Every header of the request comes back as `x-echo-…`; an error document tells of them too, in its
    /// message and in elements of its own.
    pub(crate) async fn onto(&self, response: Response<Body>) -> Response<Body> {
        let (mut head, body) = response.into_parts();
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(format!("x-echo-{name}"));
            if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
                head.headers.append(name, value);
            }
        }
        if head.status.is_success() {
            return Response::from_parts(head, body);
        }
        let Ok(collected) = body.collect().await else {
            return Response::from_parts(head, Body::empty());
        };
        let told = String::from_utf8_lossy(&collected.to_bytes())
            .replace("</Message>", &format!(" {}</Message>", self.sentence()))
            .replace("</Error>", &format!("{}</Error>", self.elements()));
        head.headers.remove(CONTENT_LENGTH);
        Response::from_parts(head, Body::from(told))
    }

    fn sentence(&self) -> String {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"));
        let signed = self.signed.iter().map(|(_, _, string)| string.clone());
        Document::escaped(&headers.chain(signed).collect::<Vec<_>>().join("; "))
    }

    /// AWS itself answers `SignatureDoesNotMatch` with most of these.
    fn elements(&self) -> String {
        let mut document = Document::fragment();
        if let Some((claim, canonical, string_to_sign)) = &self.signed {
            document.element("AWSAccessKeyId", &claim.access_key_id);
            document.element("StringToSign", string_to_sign);
            document.element("SignatureProvided", &claim.signature);
            document.element("CanonicalRequest", canonical);
        }
        document.group("RequestHeaders", |document| {
            for (name, value) in &self.headers {
                document.element("Header", &format!("{name}: {value}"));
            }
        });
        document.text()
    }
}
