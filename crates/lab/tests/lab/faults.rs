//! Fault rules act on the requests they name, and on no other.

use std::time::{Duration, Instant};

use aws_sdk_s3::error::SdkError;
use http::StatusCode;
use wharf_lab::{Action, FaultRule, Match, Operation, generated_content};

use crate::client::{client, refusal, refused, start};

#[tokio::test]
async fn an_error_answers_as_often_as_told_with_its_headers() {
    let lab = start().await;
    lab.put_object("bkt", "a", "x");
    lab.add_fault(FaultRule::new(
        Match::operation(Operation::GetObject)
            .path_contains("/a")
            .nth(2)
            .times(2),
        Action::s3_error("SlowDown").header("retry-after", "7"),
    ));
    let sdk = client(&lab);
    let mut outcomes = Vec::new();
    for _ in 0..5 {
        let result = sdk.get_object().bucket("bkt").key("a").send().await;
        if let Err(error) = &result {
            assert_eq!(
                error.raw_response().unwrap().headers().get("retry-after"),
                Some("7")
            );
        }
        outcomes.push(result.is_ok());
    }
    assert_eq!(outcomes, [true, false, false, true, true]);
    let statuses: Vec<_> = lab
        .journal()
        .iter()
        .map(|entry| (entry.status, entry.fault))
        .collect();
    assert_eq!(
        statuses,
        [
            (Some(200), None),
            (Some(503), Some(0)),
            (Some(503), Some(0)),
            (Some(200), None),
            (Some(200), None)
        ]
    );
}

#[tokio::test]
async fn the_first_rule_that_is_due_acts() {
    let lab = start().await;
    lab.create_bucket("bkt");
    lab.set_faults([
        FaultRule::new(
            Match::method("get").times(1),
            Action::s3_error("ExpiredToken"),
        ),
        FaultRule::new(
            Match::any().query_contains("prefix=x"),
            Action::status(StatusCode::TOO_MANY_REQUESTS),
        ),
    ]);
    let sdk = client(&lab);
    let list = async || sdk.list_objects_v2().bucket("bkt").prefix("x").send().await;
    assert_eq!(refusal(list().await), refused(400, "ExpiredToken"));
    assert_eq!(refusal(list().await), refused(429, ""));
    assert!(
        sdk.list_objects_v2()
            .bucket("bkt")
            .prefix("y")
            .send()
            .await
            .is_ok()
    );
    lab.clear_faults();
    assert!(list().await.is_ok());
}

#[tokio::test]
async fn a_wrong_region_is_named_in_body_and_header() {
    let lab = start().await;
    let moved = Action::s3_error("PermanentRedirect")
        .with_status(StatusCode::MOVED_PERMANENTLY)
        .region("eu-central-1");
    lab.add_fault(FaultRule::new(Match::any(), moved));
    let error = client(&lab)
        .list_objects_v2()
        .bucket("bkt")
        .send()
        .await
        .unwrap_err();
    let response = error.raw_response().unwrap();
    assert_eq!(response.status().as_u16(), 301);
    assert_eq!(
        response.headers().get("x-amz-bucket-region"),
        Some("eu-central-1")
    );
    let body = String::from_utf8(response.body().bytes().unwrap().to_vec()).unwrap();
    assert!(body.contains("<Region>eu-central-1</Region>"), "{body}");
}

#[tokio::test]
async fn a_page_for_people_is_no_listing() {
    let lab = start().await;
    lab.add_fault(FaultRule::new(Match::any(), Action::html()));
    let error = client(&lab)
        .list_objects_v2()
        .bucket("bkt")
        .send()
        .await
        .unwrap_err();
    let answer = error.raw_response().unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(
        answer.headers().get("content-type"),
        Some("text/html; charset=utf-8")
    );
}

#[tokio::test]
async fn a_closed_connection_gives_no_answer() {
    let lab = start().await;
    lab.add_fault(FaultRule::new(Match::any().times(1), Action::close()));
    let sdk = client(&lab);
    let error = sdk.list_buckets().send().await.unwrap_err();
    assert!(matches!(&error, SdkError::DispatchFailure(_)), "{error:?}");
    assert_eq!(
        (lab.journal()[0].status, lab.journal()[0].fault),
        (None, Some(0))
    );
    assert!(sdk.list_buckets().send().await.is_ok());
}

#[tokio::test]
async fn a_body_stops_early_after_the_bytes_told() {
    let lab = start().await;
    let bytes = generated_content("k", 50_000);
    lab.put_object("bkt", "k", bytes.clone());
    lab.add_fault(FaultRule::new(
        Match::operation(Operation::GetObject),
        Action::truncate_at(30_000),
    ));
    let mut got = client(&lab)
        .get_object()
        .bucket("bkt")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(got.content_length(), Some(50_000));
    let mut received = Vec::new();
    let end = loop {
        match got.body.next().await {
            Some(Ok(chunk)) => received.extend_from_slice(&chunk),
            end => break end,
        }
    };
    assert!(matches!(end, Some(Err(_))), "{end:?}");
    assert_eq!(received, bytes[..30_000]);
}

#[tokio::test]
async fn a_listing_stops_early_too() {
    let lab = start().await;
    lab.put_object("bkt", "k", "x");
    lab.add_fault(FaultRule::new(Match::any(), Action::truncate_at(40)));
    assert!(
        client(&lab)
            .list_objects_v2()
            .bucket("bkt")
            .send()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn one_byte_of_a_body_is_corrupted() {
    let lab = start().await;
    lab.put_object("bkt", "k", "hello");
    let spoiled = Action::corrupt_byte_at(1).without_header("etag");
    lab.add_fault(FaultRule::new(
        Match::operation(Operation::GetObject),
        spoiled,
    ));
    let got = client(&lab)
        .get_object()
        .bucket("bkt")
        .key("k")
        .range("bytes=0-")
        .send()
        .await
        .unwrap();
    assert_eq!(got.e_tag(), None);
    assert_eq!(
        got.body.collect().await.unwrap().to_vec(),
        [b'h', !b'e', b'l', b'l', b'o']
    );
}

#[tokio::test]
async fn an_answer_is_late_as_told() {
    let lab = start().await;
    let delay = Duration::from_millis(150);
    lab.add_fault(FaultRule::new(Match::any().times(1), Action::delay(delay)));
    let sdk = client(&lab);
    let start = Instant::now();
    sdk.list_buckets().send().await.unwrap();
    assert!(start.elapsed() >= delay);
}
