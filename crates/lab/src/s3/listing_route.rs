//! `ListObjectsV2`: parameters in, document out, right or spoiled as a fault rule asks.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{Extensions, HeaderMap, HeaderValue, Method, Uri};
use s3s::route::S3Route;
use s3s::{Body, S3Request, S3Response, S3Result, s3_error};
use url::form_urlencoded;

use super::access::authorize;
use super::listing::{Entry, Page, Position, Token, page};
use super::store::Bucket;
use super::target::Target;
use crate::fault::ListingFault;
use crate::operation::Operation;
use crate::world::World;
use crate::xml::Document;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
const MOST_KEYS: usize = 1000;

pub(crate) struct ListingRoute(pub(crate) Arc<World>);

#[async_trait]
impl S3Route for ListingRoute {
    fn is_match(&self, _: &Method, _: &Uri, _: &HeaderMap, extensions: &mut Extensions) -> bool {
        extensions
            .get::<Target>()
            .is_some_and(|target| target.operation == Operation::ListObjects)
    }

    async fn check_access(&self, request: &mut S3Request<Body>) -> S3Result<()> {
        authorize(
            &self.0,
            request.credentials.as_ref(),
            &request.headers,
            &request.uri,
            bucket_of(request),
        )
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let query = ListingQuery::parse(request.uri.query().unwrap_or_default())?;
        let fault = request.extensions.get::<ListingFault>().copied();
        let name = bucket_of(&request).unwrap_or_default();
        let document = self
            .0
            .store
            .in_bucket(name, |bucket| answer(name, bucket, &query, fault))
            .ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))?;
        let mut response = S3Response::new(Body::from(document));
        response
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        Ok(response)
    }
}

fn bucket_of(request: &S3Request<Body>) -> Option<&str> {
    request.extensions.get::<Target>()?.bucket.as_deref()
}

#[derive(Default)]
struct ListingQuery {
    prefix: String,
    delimiter: Option<String>,
    max_keys: Option<usize>,
    token: Option<(String, Token)>,
    start_after: Option<String>,
    url_encoded: bool,
    fetch_owner: bool,
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
    fn after(&self) -> Option<Position> {
        match &self.token {
            Some((_, token)) => token.after.clone(),
            None => self.start_after.clone().map(Position::Key),
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

fn answer(
    name: &str,
    bucket: &Bucket,
    query: &ListingQuery,
    fault: Option<ListingFault>,
) -> String {
    let asked = query.max_keys.unwrap_or(MOST_KEYS).min(MOST_KEYS);
    let after = query.after();
    let limit = match fault {
        Some(ListingFault::ShortPages(keys)) => asked.min(keys.max(1)),
        _ => asked,
    };
    let mut listed = page(
        &bucket.objects,
        &query.prefix,
        query.delimiter.as_deref(),
        after.as_ref(),
        limit,
    );
    let mut next_token = listed.next.take().map(|next| {
        Token {
            after: Some(next),
            after_empty_page: false,
        }
        .encode()
    });
    let mut truncated = next_token.is_some();
    match fault {
        Some(ListingFault::TruncatedWithoutToken) => {
            truncated = true;
            next_token = None;
        }
        Some(ListingFault::RepeatedToken) => {
            if let Some((token, _)) = &query.token {
                truncated = true;
                next_token = Some(token.clone());
            }
        }
        Some(ListingFault::EmptyPage)
            if !query
                .token
                .as_ref()
                .is_some_and(|(_, token)| token.after_empty_page) =>
        {
            listed.entries.clear();
            truncated = true;
            next_token = Some(
                Token {
                    after,
                    after_empty_page: true,
                }
                .encode(),
            );
        }
        _ => {}
    }

    let mut document = Document::open("ListBucketResult", Some(NAMESPACE));
    document.element("Name", name);
    document.element("Prefix", &query.written(&query.prefix));
    if let Some(delimiter) = &query.delimiter {
        document.element("Delimiter", &query.written(delimiter));
    }
    if let Some(start_after) = &query.start_after {
        document.element("StartAfter", &query.written(start_after));
    }
    document.element("KeyCount", &listed.entries.len().to_string());
    document.element("MaxKeys", &asked.to_string());
    if query.url_encoded {
        document.element("EncodingType", "url");
    }
    document.element("IsTruncated", if truncated { "true" } else { "false" });
    if let Some((token, _)) = &query.token {
        document.element("ContinuationToken", token);
    }
    if let Some(token) = &next_token {
        document.element("NextContinuationToken", token);
    }
    write_entries(&mut document, &listed, query, fault);
    document.close()
}

fn write_entries(
    document: &mut Document,
    listed: &Page<'_>,
    query: &ListingQuery,
    fault: Option<ListingFault>,
) {
    for entry in &listed.entries {
        let Entry::Object(key, object) = entry else {
            continue;
        };
        document.group("Contents", |document| {
            document.element("Key", &query.written(key));
            if fault != Some(ListingFault::MissingLastModified) {
                document.element(
                    "LastModified",
                    &object.modified.format("%Y-%m-%dT%H:%M:%S.000Z").to_string(),
                );
            }
            let quote = if fault == Some(ListingFault::UnquotedEtag) {
                ""
            } else {
                "\""
            };
            document.element("ETag", &format!("{quote}{}{quote}", object.etag));
            document.element("Size", &object.size().to_string());
            if query.fetch_owner {
                document.group("Owner", |document| {
                    document.element("ID", super::backend::OWNER);
                });
            }
            document.element("StorageClass", &object.storage_class);
        });
    }
    for entry in &listed.entries {
        let Entry::CommonPrefix(prefix) = entry else {
            continue;
        };
        document.group("CommonPrefixes", |document| {
            document.element("Prefix", &query.written(prefix));
        });
    }
}
