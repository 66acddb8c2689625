//! `ListObjectsV2` and its forerunner: parameters in, document out, right or spoiled as a fault rule asks.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use http::header::CONTENT_TYPE;
use http::{Extensions, HeaderMap, HeaderValue, Method, Uri};
use s3s::route::S3Route;
use s3s::{Body, S3Request, S3Response, S3Result, s3_error};
use url::form_urlencoded;

use super::access::authorize;
use super::listing::{Entry, Page, Position, Token, mixed, page, page_out_of_order};
use super::store::{Bucket, Object, Restore};
use super::target::Target;
use crate::fault::ListingFault;
use crate::operation::Operation;
use crate::world::World;
use crate::xml::Document;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
const MOST_KEYS: usize = 1000;
const LISTINGS: [Operation; 2] = [Operation::ListObjects, Operation::ListObjectsV1];
const OPTIONAL_ATTRIBUTES: &str = "x-amz-optional-object-attributes";

pub(crate) struct ListingRoute(pub(crate) Arc<World>);

#[async_trait]
impl S3Route for ListingRoute {
    fn is_match(&self, _: &Method, _: &Uri, _: &HeaderMap, extensions: &mut Extensions) -> bool {
        extensions
            .get::<Target>()
            .is_some_and(|target| LISTINGS.contains(&target.operation))
    }

    async fn check_access(&self, request: &mut S3Request<Body>) -> S3Result<()> {
        authorize(
            &self.0,
            request.credentials.as_ref(),
            &request.headers,
            &request.uri,
            request.extensions.get::<Target>(),
        )
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let fault = request.extensions.get::<ListingFault>();
        let mut query = ListingQuery::parse(request.uri.query().unwrap_or_default())?;
        query.url_encoded &= fault != Some(&ListingFault::NoUrlEncoding);
        query.restore_status = request
            .headers
            .get_all(OPTIONAL_ATTRIBUTES)
            .iter()
            .any(|value| String::from_utf8_lossy(value.as_bytes()).contains("RestoreStatus"));
        let target = request.extensions.get::<Target>();
        let name = target
            .and_then(|target| target.bucket.as_deref())
            .unwrap_or_default();
        let first_version =
            target.is_some_and(|target| target.operation == Operation::ListObjectsV1);
        let document = self
            .0
            .store
            .in_bucket(name, |bucket| {
                answer(name, bucket, &query, first_version, fault)
            })
            .ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))?;
        let mut response = S3Response::new(Body::from(document));
        response
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        Ok(response)
    }
}

#[derive(Default)]
struct ListingQuery {
    prefix: String,
    delimiter: Option<String>,
    max_keys: Option<usize>,
    token: Option<(String, Token)>,
    start_after: Option<String>,
    marker: Option<String>,
    url_encoded: bool,
    fetch_owner: bool,
    restore_status: bool,
}

impl ListingQuery {
    fn parse(query: &str) -> S3Result<Self> {
        let mut parsed = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "prefix" => parsed.prefix = value.into_owned(),
                "delimiter" => {
                    parsed.delimiter = Some(value.into_owned()).filter(|text| !text.is_empty());
                }
                "start-after" => parsed.start_after = Some(value.into_owned()),
                "marker" => {
                    parsed.marker = Some(value.into_owned()).filter(|text| !text.is_empty());
                }
                "fetch-owner" => parsed.fetch_owner = value == "true",
                "max-keys" => {
                    let keys = value.parse().map_err(|_| {
                        s3_error!(
                            InvalidArgument,
                            "max-keys must be a whole number, not negative"
                        )
                    })?;
                    parsed.max_keys = Some(keys);
                }
                "encoding-type" if value == "url" => parsed.url_encoded = true,
                "encoding-type" => {
                    return Err(s3_error!(
                        InvalidArgument,
                        "Invalid Encoding Method specified in Request"
                    ));
                }
                "continuation-token" => {
                    let token = Token::decode(&value).ok_or_else(|| {
                        s3_error!(
                            InvalidArgument,
                            "The continuation token provided is incorrect"
                        )
                    })?;
                    parsed.token = Some((value.into_owned(), token));
                }
                _ => {}
            }
        }
        Ok(parsed)
    }

    /// A token knows better than `start-after`, which clients repeat on every page.
    fn after(&self, first_version: bool) -> Option<Position> {
        match &self.token {
            _ if first_version => self.marker.as_deref().map(|marker| self.position(marker)),
            Some((_, token)) => token.after.clone(),
            None => self.start_after.clone().map(Position::Key),
        }
    }

    /// A marker may be the common prefix the last page ended with.
    fn position(&self, marker: &str) -> Position {
        let rolled_up = self
            .delimiter
            .as_deref()
            .is_some_and(|delimiter| marker.ends_with(delimiter) && marker != self.prefix);
        if rolled_up {
            Position::Prefix(marker.to_owned())
        } else {
            Position::Key(marker.to_owned())
        }
    }

    /// Keys and the like, as the client asked to read them.
    fn written(&self, text: &str) -> String {
        if self.url_encoded {
            // The form encoding, except that S3 leaves slashes alone.
            form_urlencoded::byte_serialize(text.as_bytes())
                .collect::<String>()
                .replace("%2F", "/")
        } else {
            text.to_owned()
        }
    }
}

/// A page and how it says that there is more.
struct Answer<'a> {
    page: Page<'a>,
    asked: usize,
    truncated: bool,
    next_token: Option<String>,
    next_marker: Option<String>,
}

fn answer(
    name: &str,
    bucket: &Bucket,
    query: &ListingQuery,
    first_version: bool,
    fault: Option<&ListingFault>,
) -> String {
    let first_version = first_version || fault == Some(&ListingFault::VersionOne);
    let asked = query.max_keys.unwrap_or(MOST_KEYS).min(MOST_KEYS);
    let after = query.after(first_version);
    let limit = match fault {
        Some(ListingFault::ShortPages(keys)) => asked.min((*keys).max(1)),
        _ => asked,
    };
    let mut page = if fault == Some(&ListingFault::OutOfOrder) {
        page_out_of_order(&bucket.objects, &query.prefix, after.as_ref(), limit)
    } else {
        page(
            &bucket.objects,
            &query.prefix,
            query.delimiter.as_deref(),
            after.as_ref(),
            limit,
        )
    };
    let next = page.next.take();
    let mut answer = Answer {
        page,
        asked,
        truncated: next.is_some(),
        next_marker: next.as_ref().map(|next| next.text().to_owned()),
        next_token: next.map(|next| Token::after(Some(next)).encode()),
    };
    if let Some(fault) = fault {
        spoil(&mut answer, fault, query, after);
    }
    let mut document = Document::open("ListBucketResult", Some(NAMESPACE));
    if first_version {
        write_first_head(&mut document, name, &answer, query);
    } else {
        write_head(&mut document, name, &answer, query);
    }
    write_entries(&mut document, &answer.page, query, first_version, fault);
    document.close()
}

fn spoil(
    answer: &mut Answer<'_>,
    fault: &ListingFault,
    query: &ListingQuery,
    after: Option<Position>,
) {
    match (fault, &query.token) {
        (ListingFault::TruncatedWithoutToken, _) => {
            answer.truncated = true;
            answer.next_token = None;
        }
        (ListingFault::RepeatedToken, Some((token, _))) => {
            answer.truncated = true;
            answer.next_token = Some(token.clone());
        }
        (ListingFault::EmptyPage, Some((_, token))) if token.after_empty_page => {}
        (ListingFault::EmptyPage, _) => {
            answer.page.entries.clear();
            answer.truncated = true;
            let token = Token {
                after,
                after_empty_page: true,
            };
            answer.next_token = Some(token.encode());
        }
        (ListingFault::LosesPercent(share), _) => answer.page.entries.retain(
            |entry| !matches!(entry, Entry::Object(key, _) if mixed(key) % 100 < u64::from(*share)),
        ),
        (ListingFault::Omits(key), _) => {
            answer
                .page
                .entries
                .retain(|entry| !matches!(entry, Entry::Object(listed, _) if listed == key));
        }
        _ => {}
    }
}

fn truth(holds: bool) -> &'static str {
    if holds { "true" } else { "false" }
}

fn write_head(document: &mut Document, name: &str, answer: &Answer<'_>, query: &ListingQuery) {
    document.element("Name", name);
    document.element("Prefix", &query.written(&query.prefix));
    if let Some(delimiter) = &query.delimiter {
        document.element("Delimiter", &query.written(delimiter));
    }
    if let Some(start_after) = &query.start_after {
        document.element("StartAfter", &query.written(start_after));
    }
    document.element("KeyCount", &answer.page.entries.len().to_string());
    document.element("MaxKeys", &answer.asked.to_string());
    if query.url_encoded {
        document.element("EncodingType", "url");
    }
    document.element("IsTruncated", truth(answer.truncated));
    if let Some((token, _)) = &query.token {
        document.element("ContinuationToken", token);
    }
    if let Some(token) = &answer.next_token {
        document.element("NextContinuationToken", token);
    }
}

fn write_first_head(
    document: &mut Document,
    name: &str,
    answer: &Answer<'_>,
    query: &ListingQuery,
) {
    document.element("Name", name);
    document.element("Prefix", &query.written(&query.prefix));
    let marker = query.marker.as_deref().unwrap_or_default();
    document.element("Marker", &query.written(marker));
    if let Some(delimiter) = &query.delimiter {
        document.element("Delimiter", &query.written(delimiter));
        if let Some(next) = &answer.next_marker {
            document.element("NextMarker", &query.written(next));
        }
    }
    document.element("MaxKeys", &answer.asked.to_string());
    if query.url_encoded {
        document.element("EncodingType", "url");
    }
    document.element("IsTruncated", truth(answer.truncated));
}

fn write_entries(
    document: &mut Document,
    page: &Page<'_>,
    query: &ListingQuery,
    owner: bool,
    fault: Option<&ListingFault>,
) {
    let raw = fault == Some(&ListingFault::RawControlCharacters) && !query.url_encoded;
    for entry in &page.entries {
        let Entry::Object(key, object) = entry else {
            continue;
        };
        document.group("Contents", |document| {
            if raw && key.chars().any(char::is_control) {
                document.raw_element("Key", key);
            } else {
                document.element("Key", &query.written(key));
            }
            if fault != Some(&ListingFault::MissingLastModified) {
                document.element("LastModified", &iso(object.modified));
            }
            let quote = if fault == Some(&ListingFault::UnquotedEtag) {
                ""
            } else {
                "\""
            };
            document.element("ETag", &format!("{quote}{}{quote}", object.etag));
            if fault != Some(&ListingFault::MissingSize) {
                document.element("Size", &object.size().to_string());
            }
            if owner || query.fetch_owner {
                document.group("Owner", |document| {
                    document.element("ID", super::backend::OWNER);
                });
            }
            document.element("StorageClass", &object.storage_class);
            if query.restore_status {
                write_restore(document, object);
            }
        });
    }
    for entry in &page.entries {
        let Entry::CommonPrefix(prefix) = entry else {
            continue;
        };
        document.group("CommonPrefixes", |document| {
            document.element("Prefix", &query.written(prefix));
        });
    }
}

fn write_restore(document: &mut Document, object: &Object) {
    let Some(restore) = object.restore else {
        return;
    };
    document.group("RestoreStatus", |document| {
        let ongoing = restore == Restore::Ongoing;
        document.element("IsRestoreInProgress", truth(ongoing));
        if !ongoing {
            document.element("RestoreExpiryDate", &iso(object.restored_until()));
        }
    });
}

fn iso(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}
