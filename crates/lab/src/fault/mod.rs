//! Fault rules: which requests are treated how. Data only; [`effect`] carries them out.

pub(crate) mod echo;
pub(crate) mod effect;
mod wire;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;

use crate::operation::Operation;

/// One rule. Rules stand in order; of those that are due for a request, the first acts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// The requests it is about.
    #[serde(default, rename = "match")]
    pub matching: Match,
    /// What happens to them.
    pub action: Action,
}

impl FaultRule {
    /// A rule of these two parts.
    pub fn new(matching: Match, action: Action) -> Self {
        Self { matching, action }
    }
}

/// Which requests a rule is about. What is not said matches everything.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// The HTTP method, in any letter case.
    pub method: Option<String>,
    /// The operation.
    pub operation: Option<Operation>,
    /// The bucket.
    pub bucket: Option<String>,
    /// The account whose access token the request bears.
    pub user: Option<String>,
    /// A header the request has, whatever its value.
    #[serde(deserialize_with = "wire::header_name")]
    pub header: Option<HeaderName>,
    /// A part of the percent-decoded path.
    pub path_contains: Option<String>,
    /// A part of the query as sent.
    pub query_contains: Option<String>,
    /// The first matching request the rule acts on, counted from 1.
    pub nth: Option<u64>,
    /// On how many matching requests it acts from there; on all when not said.
    pub times: Option<u64>,
}

impl Match {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests for this operation.
    pub fn operation(operation: Operation) -> Self {
        Self {
            operation: Some(operation),
            ..Self::default()
        }
    }

    /// Requests with this HTTP method.
    pub fn method(method: impl Into<String>) -> Self {
        Self {
            method: Some(method.into()),
            ..Self::default()
        }
    }

    /// Only in this bucket.
    #[must_use]
    pub fn bucket(mut self, bucket: impl Into<String>) -> Self {
        self.bucket = Some(bucket.into());
        self
    }

    /// Only with an access token of this account.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Only with this header.
    ///
    /// # Panics
    /// When the name cannot stand in a header, or has capital letters.
    #[must_use]
    pub fn header(mut self, name: &'static str) -> Self {
        self.header = Some(HeaderName::from_static(name));
        self
    }

    /// Only where the decoded path contains this.
    #[must_use]
    pub fn path_contains(mut self, part: impl Into<String>) -> Self {
        self.path_contains = Some(part.into());
        self
    }

    /// Only where the query, as sent, contains this.
    #[must_use]
    pub fn query_contains(mut self, part: impl Into<String>) -> Self {
        self.query_contains = Some(part.into());
        self
    }

    /// From the `n`th matching request, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.nth = Some(n);
        self
    }

    /// On this many matching requests.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    fn is_about(&self, request: &Sighting<'_>) -> bool {
        self.method
            .as_ref()
            .is_none_or(|method| method.eq_ignore_ascii_case(request.method))
            && self
                .operation
                .is_none_or(|operation| operation == request.operation)
            && self
                .bucket
                .as_ref()
                .is_none_or(|bucket| request.bucket == Some(bucket.as_str()))
            && self
                .user
                .as_ref()
                .is_none_or(|user| request.user == Some(user.as_str()))
            && self
                .header
                .as_ref()
                .is_none_or(|name| request.headers.contains_key(name))
            && self
                .path_contains
                .as_ref()
                .is_none_or(|part| request.path.contains(part.as_str()))
            && self
                .query_contains
                .as_ref()
                .is_none_or(|part| request.query.contains(part.as_str()))
    }

    fn is_due(&self, count: u64) -> bool {
        let first = self.nth.unwrap_or(1);
        count >= first && self.times.is_none_or(|times| count - first < times)
    }
}

/// What happens to a request. The parts combine: wait, then close the connection, or answer in the
/// provider's place, or let the provider answer and spoil what it said.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Action {
    /// Waits this long first.
    #[serde(rename = "delay_ms", deserialize_with = "wire::delay")]
    pub delay: Option<Duration>,
    /// Closes the connection without an answer.
    pub close: bool,
    /// Answers with this status in the provider's place.
    #[serde(deserialize_with = "wire::status")]
    pub status: Option<StatusCode>,
    /// Answers with the provider's error document of this code in its place, which Google calls a reason;
    /// the status is the code's own unless `status` says another.
    #[serde(alias = "reason")]
    pub code: Option<String>,
    /// The message of that document.
    pub message: Option<String>,
    /// The region that document and the `x-amz-bucket-region` header name.
    pub region: Option<String>,
    /// Answers with this body in the provider's place; status 200 unless `status` says another.
    pub body: Option<String>,
    /// Sets headers of the answer; without a value, removes them.
    #[serde(deserialize_with = "wire::headers")]
    pub headers: Vec<(HeaderName, Option<HeaderValue>)>,
    /// Stops the body after this many bytes, though `Content-Length` promised all.
    pub truncate_at: Option<usize>,
    /// Stops sending the body after this many bytes and keeps the connection open.
    pub stall_at: Option<usize>,
    /// Goes on after a stall of this long; never when not said.
    #[serde(rename = "stall_ms", deserialize_with = "wire::delay")]
    pub stall: Option<Duration>,
    /// Flips the bits of the body's byte at this offset.
    pub corrupt_byte_at: Option<usize>,
    /// Spoils a listing.
    pub listing: Option<ListingFault>,
    /// Spoils the reading of an object.
    pub object: Option<ObjectFault>,
    /// Repeats in the answer what the request held: every header as `x-echo-…`, and in an error document
    /// the headers (with `Authorization` and the session token), the canonical request and the string to
    /// sign.
    pub echo: bool,
}

impl Action {
    /// Answers with an S3 error document of this code, such as `SlowDown`.
    pub fn s3_error(code: impl Into<String>) -> Self {
        Self {
            code: Some(code.into()),
            ..Self::default()
        }
    }

    /// Answers with one of Google's error documents: of this reason, such as `userRateLimitExceeded`, or at
    /// the token endpoint with this error, such as `invalid_grant`.
    pub fn google_error(reason: impl Into<String>) -> Self {
        Self::s3_error(reason)
    }

    /// Answers with this status and no body.
    pub fn status(status: StatusCode) -> Self {
        Self {
            status: Some(status),
            ..Self::default()
        }
    }

    /// Answers 200 with a page for people, as a captive portal or a wrong endpoint does.
    pub fn html() -> Self {
        let page = Self {
            body: Some(
                "<!DOCTYPE html><html><head><title>Welcome<body>Sign in to continue".to_owned(),
            ),
            ..Self::default()
        };
        page.header("content-type", "text/html; charset=utf-8")
    }

    /// Closes the connection without an answer.
    pub fn close() -> Self {
        Self {
            close: true,
            ..Self::default()
        }
    }

    /// Waits, then lets the provider answer.
    pub fn delay(delay: Duration) -> Self {
        Self {
            delay: Some(delay),
            ..Self::default()
        }
    }

    /// Stops the body after this many bytes and closes the connection.
    pub fn truncate_at(bytes: usize) -> Self {
        Self {
            truncate_at: Some(bytes),
            ..Self::default()
        }
    }

    /// Flips the bits of one byte of the body.
    pub fn corrupt_byte_at(offset: usize) -> Self {
        Self {
            corrupt_byte_at: Some(offset),
            ..Self::default()
        }
    }

    /// Spoils a listing.
    pub fn listing(fault: ListingFault) -> Self {
        Self {
            listing: Some(fault),
            ..Self::default()
        }
    }

    /// Stops sending the body after this many bytes and keeps the connection open.
    pub fn stall_at(bytes: usize) -> Self {
        Self {
            stall_at: Some(bytes),
            ..Self::default()
        }
    }

    /// Spoils the reading of an object.
    pub fn object(fault: ObjectFault) -> Self {
        Self {
            object: Some(fault),
            ..Self::default()
        }
    }

    /// Lets the provider answer and repeats in its answer what the request held.
    pub fn echo() -> Self {
        Self::default().echoing()
    }

    /// And repeats what the request held.
    #[must_use]
    pub fn echoing(mut self) -> Self {
        self.echo = true;
        self
    }

    /// Goes on after a stall of this long.
    #[must_use]
    pub fn stalling_for(mut self, pause: Duration) -> Self {
        self.stall = Some(pause);
        self
    }

    /// With this message in the error document.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// With this status instead of the code's own.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// With this region in the error document and the `x-amz-bucket-region` header.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// After this long.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// With this header on the answer.
    ///
    /// # Panics
    /// When name or value cannot stand in a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((
            HeaderName::from_static(name),
            Some(HeaderValue::from_static(value)),
        ));
        self
    }

    /// Without this header on the answer.
    ///
    /// # Panics
    /// When the name cannot stand in a header.
    #[must_use]
    pub fn without_header(mut self, name: &'static str) -> Self {
        self.headers.push((HeaderName::from_static(name), None));
        self
    }
}

/// What can be wrong with a listing that is otherwise well-formed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListingFault {
    /// Says that more follows, and gives no token to ask for it.
    TruncatedWithoutToken,
    /// Gives the token it was asked with as the next one.
    RepeatedToken,
    /// Lists at most this many keys a page, whatever was asked; tokens are right.
    ShortPages(usize),
    /// Lists nothing, says that more follows and gives a token; asked with that token, lists a page.
    EmptyPage,
    /// Leaves the quotes of the `ETag`s away.
    UnquotedEtag,
    /// Leaves `LastModified` away.
    MissingLastModified,
    /// Leaves `Size` away.
    MissingSize,
    /// Leaves this key away, though it is there; at Google this file id, in listings and in the feed of
    /// changes.
    Omits(String),
    /// Leaves so many of a hundred keys away, always the same ones, though they are there.
    LosesPercent(u8),
    /// Lists keys in an order of no meaning, the same every time; tokens are right.
    OutOfOrder,
    /// Writes control characters of keys as they are, which is no XML, unless asked for `encoding-type=url`.
    RawControlCharacters,
    /// Lists keys as they are though asked for `encoding-type=url`, and does not say that it encodes.
    NoUrlEncoding,
    /// Says that the search was incomplete. Google's.
    IncompleteSearch,
    /// Lists every entry twice. Google's.
    Duplicates,
    /// Knows the first version of listings only and answers that whatever was asked: pages start after
    /// `marker`, and `NextMarker` is given with a delimiter only.
    VersionOne,
}

/// What can be wrong with the reading of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectFault {
    /// Sends the whole object with 200 whatever range was asked for.
    RangeIgnored,
    /// Sends the checksum of the whole object with a part of it.
    RangeWithWholeChecksum,
    /// Denies for this many milliseconds after an object was put that it is there.
    LagMs(u32),
    /// Does not say how long the content is.
    NoLength,
}

/// What of a request the rules look at.
pub(crate) struct Sighting<'a> {
    pub(crate) method: &'a str,
    pub(crate) operation: Operation,
    pub(crate) bucket: Option<&'a str>,
    pub(crate) user: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
}

/// The rules in force, with the count of matching requests of each.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<(FaultRule, u64)>,
}

impl Faults {
    pub(crate) fn replace(&mut self, rules: Vec<FaultRule>) {
        self.rules = rules.into_iter().map(|rule| (rule, 0)).collect();
    }

    pub(crate) fn add(&mut self, rule: FaultRule) {
        self.rules.push((rule, 0));
    }

    /// Counts the request with every rule it matches; the first rule due acts.
    pub(crate) fn next(&mut self, request: &Sighting<'_>) -> Option<(usize, Action)> {
        let mut acting = None;
        for (position, (rule, count)) in self.rules.iter_mut().enumerate() {
            if rule.matching.is_about(request) {
                *count += 1;
                if acting.is_none() && rule.matching.is_due(*count) {
                    acting = Some((position, rule.action.clone()));
                }
            }
        }
        acting
    }
}
