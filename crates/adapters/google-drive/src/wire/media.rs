//! What the crate cannot say: bytes in ranges, resource keys, addresses of prepared downloads. Straight over the guarded
//! client.

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_RANGE, LOCATION, RANGE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use serde_json::Value;
use url::Url;
use wharf_egress::{Body, EgressError, Origin};

use super::failure::{Failure, Refused, is_html};
use super::{LARGEST_ANSWER, OWN_NAME, Wire, id_in_path};
use crate::pace::Cost;
use crate::remote::ResourceKey;
use crate::token::Token;

const RESOURCE_KEYS: HeaderName = HeaderName::from_static("x-goog-drive-resource-keys");

/// Of an error's document, more is not read.
const LARGEST_REFUSAL: usize = 64 * 1024;

/// Elsewhere, bytes may be handed on from place to place this often.
const MOST_REDIRECTS: usize = 3;

/// The bytes that are wanted, from the first of them on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The first byte; 0 asks for the whole.
    pub(crate) from: u64,
    /// The last one, if not all of the rest is wanted.
    pub(crate) to: Option<u64>,
}

impl Wanted {
    pub(crate) const WHOLE: Self = Self { from: 0, to: None };

    fn header(self) -> Option<HeaderValue> {
        let text = match (self.from, self.to) {
            (0, None) => return None,
            (from, None) => format!("bytes={from}-"),
            (from, Some(to)) => format!("bytes={from}-{to}"),
        };
        Some(HeaderValue::try_from(text).expect("digits make a header"))
    }
}

/// Bytes on their way.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) body: Body,
    /// The range that they are, if they are not the whole.
    pub(crate) range: Option<ContentRange>,
}

/// Which bytes of how many an answer brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContentRange {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) total: Option<u64>,
}

impl ContentRange {
    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (from, to) = range.split_once('-')?;
        Some(Self {
            from: from.parse().ok()?,
            to: to.parse().ok()?,
            total: total.parse().ok(),
        })
    }
}

impl Wire {
    /// The bytes of a file as they lie there.
    pub(crate) async fn media(
        &self,
        id: &str,
        keys: &[ResourceKey],
        wanted: Wanted,
        acknowledge_abuse: bool,
    ) -> Result<Opened, Failure> {
        let mut url = self.url(&["files", id_in_path(id)?]);
        url.query_pairs_mut()
            .append_pair("alt", "media")
            .append_pair("supportsAllDrives", "true");
        if acknowledge_abuse {
            url.query_pairs_mut()
                .append_pair("acknowledgeAbuse", "true");
        }
        self.bytes(url, keys, wanted).await
    }

    /// A document of Google's own, written as another type.
    pub(crate) async fn export(
        &self,
        id: &str,
        mime_type: &str,
        keys: &[ResourceKey],
    ) -> Result<Opened, Failure> {
        let mut url = self.url(&["files", id_in_path(id)?, "export"]);
        url.query_pairs_mut().append_pair("mimeType", mime_type);
        self.bytes(url, keys, Wanted::WHOLE).await
    }

    /// The bytes of a download that Drive has prepared at this address.
    pub(crate) async fn prepared(&self, address: &str, wanted: Wanted) -> Result<Opened, Failure> {
        let url = Url::parse(address).map_err(|_| Failure::Unreadable { html: false })?;
        // Never from TLS to plain HTTP.
        if url.scheme() != "https" && url.scheme() != self.api.scheme() {
            return Err(Failure::Unreadable { html: false });
        }
        self.bytes(url, &[], wanted).await
    }

    async fn bytes(
        &self,
        mut url: Url,
        keys: &[ResourceKey],
        wanted: Wanted,
    ) -> Result<Opened, Failure> {
        self.pace.spend(Cost::Download).await;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.extend(wanted.header().map(|range| (RANGE, range)));
        headers.extend(resource_keys(keys)?);
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.send(&url, &headers).await?;
            match redirected(&answer, &url) {
                Some(next) => url = next,
                None => return opened(answer),
            }
        }
        Err(Failure::Unreadable { html: false })
    }

    /// A document, asked for with resource keys.
    pub(super) async fn document(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        keys: &[ResourceKey],
        cost: Cost,
    ) -> Result<Value, Failure> {
        self.pace.spend(cost).await;
        let mut url = self.url(path);
        url.query_pairs_mut().extend_pairs(query);
        let headers = HeaderMap::from_iter(resource_keys(keys)?);
        let answer = self.send(&url, &headers).await?;
        if answer.status() != StatusCode::OK {
            return Err(Failure::Unreadable { html: false });
        }
        let (head, body) = answer.into_parts();
        let body = read(body, LARGEST_ANSWER).await?;
        serde_json::from_slice(&body).map_err(|_| Failure::Unreadable {
            html: is_html(&head.headers, &body),
        })
    }

    /// Sends a request. What is no success and points nowhere else is a refusal.
    async fn send(&self, url: &Url, headers: &HeaderMap) -> Result<Response<Body>, Failure> {
        // A token is for the API alone, wherever an answer points, and so are keys.
        if Origin::of(url) != Origin::of(&self.api) {
            let mut headers = headers.clone();
            headers.remove(RESOURCE_KEYS);
            return self.send_with(url, &headers, None).await;
        }
        self.signed_in(|token| async move { self.send_with(url, headers, Some(&token)).await })
            .await
    }

    async fn send_with(
        &self,
        url: &Url,
        headers: &HeaderMap,
        token: Option<&Token>,
    ) -> Result<Response<Body>, Failure> {
        let mut request = Request::get(url.as_str())
            .header(USER_AGENT, OWN_NAME)
            .body(Empty::<Bytes>::new())
            .map_err(|_| Failure::Unsendable)?;
        request.headers_mut().extend(headers.clone());
        if let Some(token) = token {
            request.headers_mut().insert(AUTHORIZATION, token.header());
        }
        let answer = self.http.send(request).await.map_err(Failure::Egress)?;
        let status = answer.status();
        if status.is_success() || redirected(&answer, url).is_some() {
            Ok(answer)
        } else {
            Err(refused(answer).await)
        }
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.api.clone();
        url.path_segments_mut()
            .expect("an address of HTTP has a path")
            .extend(path);
        url
    }
}

fn resource_keys(keys: &[ResourceKey]) -> Result<Option<(HeaderName, HeaderValue)>, Failure> {
    if keys.is_empty() {
        return Ok(None);
    }
    let keys: Vec<_> = keys
        .iter()
        .map(|each| format!("{}/{}", each.id, each.key))
        .collect();
    let value = HeaderValue::try_from(keys.join(",")).map_err(|_| Failure::Unsendable)?;
    Ok(Some((RESOURCE_KEYS, value)))
}

/// Where an answer points instead of bringing bytes. Never from TLS to plain HTTP.
fn redirected(answer: &Response<Body>, from: &Url) -> Option<Url> {
    let moved = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let place = answer.headers().get(LOCATION)?.to_str().ok()?;
    let url = from.join(place).ok()?;
    let sound = url.scheme() == from.scheme() || url.scheme() == "https";
    (moved && sound).then_some(url)
}

fn opened(answer: Response<Body>) -> Result<Opened, Failure> {
    let (status, headers) = (answer.status(), answer.headers());
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let encoded = text(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    let range = text(CONTENT_RANGE).and_then(ContentRange::parse);
    let range = match status {
        StatusCode::OK if !encoded => None,
        StatusCode::PARTIAL_CONTENT if !encoded && range.is_some() => range,
        _ => return Err(Failure::Unreadable { html: false }),
    };
    Ok(Opened {
        body: answer.into_body(),
        range,
    })
}

async fn refused(answer: Response<Body>) -> Failure {
    let (head, body) = answer.into_parts();
    // What is too large for a refusal, or breaks off, still has its status.
    let body = read(body, LARGEST_REFUSAL).await.unwrap_or_default();
    Failure::Refused(Refused::of(head.status.as_u16(), &head.headers, &body))
}

/// Reads a body whole, up to a limit.
async fn read(body: Body, most: usize) -> Result<Bytes, Failure> {
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(match EgressError::find(error.as_ref()) {
            Some(egress) => Failure::Egress(egress.clone()),
            None => Failure::CutShort,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_written_and_read() {
        let header = |from, to| {
            let header = Wanted { from, to }.header()?;
            Some(header.to_str().unwrap().to_owned())
        };
        assert_eq!(header(0, None), None);
        assert_eq!(header(5, None).as_deref(), Some("bytes=5-"));
        assert_eq!(header(0, Some(0)).as_deref(), Some("bytes=0-0"));
        let range = ContentRange::parse("bytes 5-9/10").unwrap();
        assert_eq!((range.from, range.to, range.total), (5, 9, Some(10)));
        assert_eq!(ContentRange::parse("bytes 5-9/*").unwrap().total, None);
        for wrong in ["", "bytes", "bytes */10", "5-9/10", "bytes a-b/c"] {
            assert_eq!(ContentRange::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn resource_keys_go_into_one_header_or_nowhere() {
        let key = |id: &str, key: &str| ResourceKey {
            id: id.into(),
            key: key.into(),
        };
        assert_eq!(resource_keys(&[]), Ok(None));
        let (_, value) = resource_keys(&[key("a", "0-x"), key("b", "0-y")])
            .unwrap()
            .unwrap();
        assert_eq!(value, "a/0-x,b/0-y");
        let hostile = resource_keys(&[key("a", "x\r\nAuthorization: y")]);
        assert_eq!(hostile, Err(Failure::Unsendable));
    }
}
