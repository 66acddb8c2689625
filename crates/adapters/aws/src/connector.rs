//! The guarded HTTP client, as the SDK wants one.

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http::header::ACCEPT_ENCODING;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::Limited;
use wharf_egress::Client;

/// No answer but an object's bytes is longer: a thousand of the longest keys, with every byte of them escaped.
const LONGEST_DOCUMENT: usize = 16 * 1024 * 1024;

/// Unsigned headers in which the SDK counts its attempts, of which there is always one.
const COUNTERS: [&str; 2] = ["amz-sdk-invocation-id", "amz-sdk-request"];

/// The guarded client as the SDK's. Without `tls`, requests go out in plain HTTP, whatever the SDK says.
pub fn http_client(client: Client, tls: bool) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(GuardedHttp { client, tls });
    http_client_fn(move |_, _| connector.clone())
}

#[derive(Debug, Clone)]
struct GuardedHttp {
    client: Client,
    tls: bool,
}

impl GuardedHttp {
    async fn exchange(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let mut request = request
            .try_into_http1x()
            .map_err(|error| ConnectorError::user(error.into()))?;
        for name in COUNTERS {
            request.headers_mut().remove(name);
        }
        // Not signed, since some stores see it changed by what stands before them.
        request
            .headers_mut()
            .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if !self.tls {
            // The SDK knows AWS by https only. The scheme is no part of the signature.
            *request.uri_mut() =
                plain(request.uri()).map_err(|error| ConnectorError::user(error.into()))?;
        }
        let gets_object = asks_for_object(&request);
        let response = self
            .client
            .send(request)
            .await
            .map_err(|error| ConnectorError::io(error.into()))?;
        let (mut head, body) = response.into_parts();
        keep_usable(&mut head.headers);
        let body = if gets_object && head.status.is_success() {
            SdkBody::from_body_1_x(body)
        } else {
            SdkBody::from_body_1_x(Limited::new(body, LONGEST_DOCUMENT))
        };
        HttpResponse::try_from(http::Response::from_parts(head, body))
            .map_err(|error| ConnectorError::other(error.into(), None))
    }
}

impl HttpConnector for GuardedHttp {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().exchange(request))
    }
}

fn plain(uri: &Uri) -> Result<Uri, http::uri::InvalidUriParts> {
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    Uri::from_parts(parts)
}

/// The SDK names the operation in the query.
fn asks_for_object<B>(request: &Request<B>) -> bool {
    request
        .uri()
        .query()
        .is_some_and(|query| query.split('&').any(|pair| pair == "x-id=GetObject"))
}

/// Takes out headers that are no text, over which the SDK would give up the whole answer.
fn keep_usable(headers: &mut HeaderMap) {
    let unusable: Vec<HeaderName> = headers
        .iter()
        .filter(|(_, value)| std::str::from_utf8(value.as_bytes()).is_err())
        .map(|(name, _)| name.clone())
        .collect();
    for name in unusable {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_are_no_text_are_taken_out() {
        let mut headers = HeaderMap::new();
        headers.insert("etag", HeaderValue::from_static("\"x\""));
        headers.insert(
            "x-amz-meta-author",
            HeaderValue::from_bytes(b"Andr\xe9").unwrap(),
        );
        headers.insert("x-amz-checksum-crc32", HeaderValue::from_static("AAAAAA=="));
        keep_usable(&mut headers);
        assert_eq!(
            headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["etag", "x-amz-checksum-crc32"]
        );
    }

    #[test]
    fn a_plain_request_differs_in_the_scheme_alone() {
        let uri = Uri::from_static("https://s3.us-east-1.amazonaws.com/a//b%2B?x-id=GetObject");
        let plain = plain(&uri).unwrap().to_string();
        assert_eq!(
            plain,
            "http://s3.us-east-1.amazonaws.com/a//b%2B?x-id=GetObject"
        );
    }
}
