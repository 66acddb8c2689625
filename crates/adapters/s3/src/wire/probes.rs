//! Calls of which little but the success matters.

use std::sync::{Arc, OnceLock};

use aws_sdk_s3::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;
use chrono::{DateTime, NaiveDateTime};

use super::{Failure, Wire, failure};

/// By how many seconds the store's clock was ahead of the one that our signature was made with.
pub(crate) type Ahead = i64;

impl Wire {
    /// `ListBuckets`, and what the answer tells of the store's clock, if there is one.
    pub(crate) async fn list_buckets(
        &self,
        most: Option<i32>,
    ) -> (Result<(), Failure>, Option<Ahead>) {
        let clocks = Clocks::default();
        let answer = self
            .by_path
            .list_buckets()
            .set_max_buckets(most)
            .customize()
            .interceptor(clocks.clone())
            .send()
            .await;
        let answer = answer.map(|_| ()).map_err(|error| failure::of(&error));
        let ahead = clocks.ours.get().zip(clocks.theirs.get());
        (
            answer,
            ahead.map(|(ours, theirs)| theirs.saturating_sub(*ours)),
        )
    }

    /// The first byte of an object.
    pub(crate) async fn first_byte(&self, bucket: &str, key: &str) -> Result<(), Failure> {
        let call = self.client(bucket).get_object().bucket(bucket).key(key);
        let answer = call.range("bytes=0-0").send().await;
        let mut object = answer.map_err(|error| failure::of(&error))?;
        match object.body.next().await {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(failure::of_stream(&error)),
            None => Err(Failure::Unreadable { html: false }),
        }
    }
}

/// Reads two clocks off an exchange, in seconds: the one that it was signed with, and the store's.
#[derive(Debug, Clone, Default)]
struct Clocks {
    ours: Arc<OnceLock<i64>>,
    theirs: Arc<OnceLock<i64>>,
}

impl Intercept for Clocks {
    fn name(&self) -> &'static str {
        "Clocks"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        keep(
            &self.ours,
            context.request().headers().get("x-amz-date").and_then(ours),
        );
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        keep(
            &self.theirs,
            context.response().headers().get("date").and_then(theirs),
        );
        Ok(())
    }
}

/// Keeps the time of the first attempt.
fn keep(place: &OnceLock<i64>, seconds: Option<i64>) {
    if let Some(seconds) = seconds {
        place.get_or_init(|| seconds);
    }
}

fn ours(date: &str) -> Option<i64> {
    let date = NaiveDateTime::parse_from_str(date, "%Y%m%dT%H%M%SZ").ok()?;
    Some(date.and_utc().timestamp())
}

fn theirs(date: &str) -> Option<i64> {
    Some(DateTime::parse_from_rfc2822(date.trim()).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_dates_are_read() {
        assert_eq!(
            theirs(" Wed, 21 Oct 2026 07:28:00 GMT "),
            ours("20261021T072800Z")
        );
        assert!(ours("20261021T072800Z").is_some());
        assert_eq!(theirs("yesterday"), None);
        assert_eq!(ours(""), None);
    }
}
