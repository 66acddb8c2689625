//! Servers that are careless, late or hostile, each as it looks on the wire.

use std::time::Duration;

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::types::EncodingType;
use http::StatusCode;
use serde_json::json;
use wharf_lab::{Action, FaultRule, Lab, ListingFault, Match, ObjectFault, Operation};

use crate::client::{client, client_with, refusal, refused, start};

/// The rule a line of JSON stands for, as it comes to the admin surface.
fn rule(json: serde_json::Value) -> FaultRule {
    serde_json::from_value(json).unwrap()
}

async fn lab_with(rules: serde_json::Value) -> Lab {
    let lab = start().await;
    lab.put_object("bkt", "k", "hello");
    lab.set_faults(rules.as_array().unwrap().iter().cloned().map(rule));
    lab
}

#[tokio::test]
async fn a_range_can_be_ignored() {
    let lab = lab_with(json!([{"action": {"object": "range_ignored"}}])).await;
    let get = client(&lab)
        .get_object()
        .bucket("bkt")
        .key("k")
        .range("bytes=1-2");
    let got = get.send().await.unwrap();
    assert_eq!((got.content_range(), got.content_length()), (None, Some(5)));
    assert_eq!(lab.journal()[0].status, Some(200));
}

#[tokio::test]
async fn a_part_can_carry_the_checksum_of_the_whole() {
    let lab = lab_with(json!([{"action": {"object": "range_with_whole_checksum"}}])).await;
    let get = client(&lab)
        .get_object()
        .bucket("bkt")
        .key("k")
        .range("bytes=1-2");
    let got = get.send().await.unwrap();
    assert!(got.checksum_crc64_nvme().is_some());
    assert_eq!(got.content_range(), Some("bytes 1-2/5"));
    let whole = client(&lab)
        .get_object()
        .bucket("bkt")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(whole.checksum_crc64_nvme(), got.checksum_crc64_nvme());
}

#[tokio::test]
async fn an_object_can_lag_behind_its_listing() {
    let lab = lab_with(json!([{"action": {"object": {"lag_ms": 400}}}])).await;
    let sdk = client(&lab);
    let get = || sdk.get_object().bucket("bkt").key("k");
    let listed = sdk.list_objects_v2().bucket("bkt").send().await.unwrap();
    assert_eq!(listed.key_count(), Some(1));
    assert_eq!(refusal(get().send().await), refused(404, "NoSuchKey"));
    assert_eq!(
        refusal(sdk.head_object().bucket("bkt").key("k").send().await).0,
        404
    );
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert!(get().send().await.is_ok());
}

#[tokio::test]
async fn an_object_can_be_missing_in_one_listing() {
    let lab =
        lab_with(json!([{"match": {"times": 1}, "action": {"listing": {"omits": "k"}}}])).await;
    lab.put_object("bkt", "l", "x");
    let sdk = client(&lab);
    for expected in [1, 2] {
        let listed = sdk.list_objects_v2().bucket("bkt").send().await.unwrap();
        assert_eq!(listed.contents().len(), expected);
    }
}

#[tokio::test]
async fn a_body_can_stall_and_go_on_or_not() {
    let lab = lab_with(json!([
        {"match": {"times": 1}, "action": {"stall_at": 2, "stall_ms": 150}},
        {"action": {"stall_at": 2}},
    ]))
    .await;
    let sdk = client(&lab);
    let get = async || {
        sdk.get_object()
            .bucket("bkt")
            .key("k")
            .send()
            .await
            .unwrap()
    };
    let late = get().await;
    assert_eq!(late.content_length(), Some(5));
    assert_eq!(late.body.collect().await.unwrap().to_vec(), b"hello");
    let mut never = get().await;
    assert_eq!(never.body.next().await.unwrap().unwrap(), "he");
    let more = tokio::time::timeout(Duration::from_millis(200), never.body.next()).await;
    assert!(more.is_err());
}

#[tokio::test]
async fn a_precondition_fails_where_one_is_set() {
    let lab = lab_with(json!([
        {"match": {"header": "if-match"}, "action": {"code": "PreconditionFailed"}},
    ]))
    .await;
    let sdk = client(&lab);
    let get = || sdk.get_object().bucket("bkt").key("k");
    assert!(get().send().await.is_ok());
    assert_eq!(
        refusal(
            get()
                .if_match("\"5d41402abc4b2a76b9719d911017c592\"")
                .send()
                .await
        ),
        refused(412, "PreconditionFailed")
    );
}

#[tokio::test]
async fn sizes_can_be_missing() {
    let lab = lab_with(json!([{"action": {"listing": "missing_size"}}])).await;
    let listed = client(&lab)
        .list_objects_v2()
        .bucket("bkt")
        .send()
        .await
        .unwrap();
    assert_eq!(listed.contents()[0].size(), None);
}

#[tokio::test]
async fn control_characters_can_break_a_listing_unless_encoded() {
    let lab = lab_with(json!([{"action": {"listing": "raw_control_characters"}}])).await;
    lab.put_object("bkt", "a\u{1}b", "x");
    let sdk = client(&lab);
    let list = || sdk.list_objects_v2().bucket("bkt");
    let plain = list().send().await;
    let raw = match &plain {
        Ok(listed) => listed.contents()[0].key().unwrap().as_bytes().to_vec(),
        Err(SdkError::ResponseError(error)) => error.raw().body().bytes().unwrap().to_vec(),
        Err(error) => error
            .raw_response()
            .unwrap()
            .body()
            .bytes()
            .unwrap()
            .to_vec(),
    };
    assert!(raw.contains(&1));
    let encoded = list()
        .encoding_type(EncodingType::Url)
        .send()
        .await
        .unwrap();
    assert_eq!(encoded.contents()[0].key(), Some("a%01b"));
}

#[tokio::test]
async fn url_encoding_can_be_unknown() {
    let lab = lab_with(json!([{"action": {"listing": "no_url_encoding"}}])).await;
    lab.put_object("bkt", "a b+c", "x");
    let list = client(&lab).list_objects_v2().bucket("bkt");
    let listed = list.encoding_type(EncodingType::Url).send().await.unwrap();
    assert_eq!(listed.encoding_type(), None);
    assert_eq!(listed.contents()[0].key(), Some("a b+c"));
}

#[tokio::test]
async fn a_server_can_know_the_first_listing_only() {
    let lab = start().await;
    for key in ["a", "b/1", "b/2", "c"] {
        lab.put_object("bkt", key, "x");
    }
    lab.add_fault(FaultRule::new(
        Match::any(),
        Action::listing(ListingFault::VersionOne),
    ));
    let sdk = client(&lab);
    let asked = sdk
        .list_objects_v2()
        .bucket("bkt")
        .max_keys(2)
        .send()
        .await
        .unwrap();
    assert_eq!(asked.is_truncated(), Some(true));
    assert_eq!(
        (asked.next_continuation_token(), asked.key_count()),
        (None, None)
    );

    lab.set_faults([FaultRule::new(
        Match::operation(Operation::ListObjects).query_contains("list-type=2"),
        Action::s3_error("NotImplemented"),
    )]);
    let refused_now = sdk.list_objects_v2().bucket("bkt").send().await;
    assert_eq!(refusal(refused_now), refused(501, "NotImplemented"));
    let page = async |delimiter: Option<&str>, marker: Option<String>| {
        let list = sdk.list_objects().bucket("bkt").max_keys(2);
        let list = list.set_delimiter(delimiter.map(ToOwned::to_owned));
        list.set_marker(marker).send().await.unwrap()
    };
    let first = page(None, None).await;
    assert_eq!(first.next_marker(), None);
    let last = first.contents()[1].key().map(ToOwned::to_owned);
    let keys: Vec<_> = page(None, last)
        .await
        .contents()
        .iter()
        .filter_map(|object| Some(object.key()?.to_owned()))
        .collect();
    assert_eq!(keys, ["b/2", "c"]);
    let first = page(Some("/"), None).await;
    assert_eq!(first.next_marker(), Some("b/"));
    let second = page(Some("/"), Some("b/".to_owned())).await;
    assert_eq!(second.contents()[0].key(), Some("c"));
    assert_eq!(second.is_truncated(), Some(false));
}

#[tokio::test]
async fn gzip_can_be_claimed_of_what_is_none() {
    let lab = lab_with(json!([{"action": {"headers": {"content-encoding": "gzip"}}}])).await;
    let got = client(&lab)
        .get_object()
        .bucket("bkt")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(got.content_encoding(), Some("gzip"));
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"hello");
}

#[tokio::test]
async fn a_wrong_clock_shows_in_dates_and_refuses_the_right_time() {
    let lab = start().await;
    lab.put_object("bkt", "k", "x");
    let get = |sdk: &aws_sdk_s3::Client| sdk.get_object().bucket("bkt").key("k");
    lab.set_clock_offset(10 * 60);
    assert!(get(&client(&lab)).send().await.is_ok());
    for offset in [3600, -3600] {
        lab.set_clock_offset(offset);
        let sdk = client(&lab);
        let error = get(&sdk).send().await.unwrap_err();
        let raw = error.raw_response().unwrap();
        let date = raw.headers().get("date").unwrap().to_owned();
        let date = chrono::DateTime::parse_from_rfc2822(&date).unwrap();
        let ahead = date.timestamp() - wall_clock();
        assert!((offset - 5..=offset + 5).contains(&ahead), "{ahead}");
        let body = String::from_utf8_lossy(raw.body().bytes().unwrap()).into_owned();
        assert!(body.contains("<ServerTime>"), "{body}");
        assert_eq!(
            refusal::<(), _>(Err(error)),
            refused(403, "RequestTimeTooSkewed")
        );
        // This client has learnt from the date how wrong the clock is.
        assert!(get(&sdk).send().await.is_ok());
    }
    lab.set_clock_offset(0);
    assert!(get(&client(&lab)).send().await.is_ok());
}

#[expect(
    clippy::disallowed_methods,
    reason = "what the lab's clock is compared with"
)]
fn wall_clock() -> i64 {
    chrono::Utc::now().timestamp()
}

#[tokio::test]
async fn an_echo_repeats_what_the_request_held() {
    let lab = start().await;
    let key = wharf_lab::KeyPair::new("TEMPORARY", "secret").session_token("token-1");
    lab.add_key(key);
    lab.put_object("bkt", "k", "x");
    lab.set_faults([
        FaultRule::new(Match::any().times(1), Action::echo()),
        FaultRule::new(
            Match::any(),
            Action::s3_error("SignatureDoesNotMatch")
                .with_status(StatusCode::BAD_REQUEST)
                .echoing(),
        ),
    ]);
    let sdk = client_with(&lab, "TEMPORARY", "secret", Some("token-1"));
    let get = |key: &str| sdk.get_object().bucket("bkt").key(key);
    for key in ["missing", "k"] {
        let error = get(key).send().await.unwrap_err();
        let raw = error.raw_response().unwrap();
        assert_eq!(
            raw.headers().get("x-echo-x-amz-security-token"),
            Some("token-1")
        );
        assert!(
            raw.headers()
                .get("x-echo-authorization")
                .unwrap()
                .contains("TEMPORARY")
        );
        let body = String::from_utf8(raw.body().bytes().unwrap().to_vec()).unwrap();
        for told in [
            "<Header>x-amz-security-token: token-1</Header>",
            "<StringToSign>AWS4-HMAC-SHA256",
            "<CanonicalRequest>GET",
            "Signature=",
        ] {
            assert!(body.contains(told), "{told}: {body}");
        }
        let says = error.as_service_error().unwrap().meta().message().unwrap();
        assert!(says.contains("authorization: AWS4-HMAC-SHA256"), "{says}");
    }
}

#[tokio::test]
async fn sts_can_echo_too() {
    let lab = start().await;
    lab.add_fault(FaultRule::new(Match::any(), Action::echo()));
    let error = crate::sts::assume(&lab)
        .external_id("ext-1")
        .send()
        .await
        .unwrap_err();
    let raw = error.raw_response().unwrap();
    assert!(raw.headers().get("x-echo-authorization").is_some());
    let says = error.as_service_error().unwrap().meta().message().unwrap();
    assert!(says.contains("Signature="), "{says}");
    assert_eq!(refusal::<(), _>(Err(error)), refused(403, "AccessDenied"));
}

#[tokio::test]
async fn object_faults_leave_other_requests_alone() {
    let lab = lab_with(json!([])).await;
    lab.add_fault(FaultRule::new(
        Match::operation(Operation::GetObject).times(1),
        Action::object(ObjectFault::LagMs(60_000)),
    ));
    let sdk = client(&lab);
    assert!(
        sdk.head_object()
            .bucket("bkt")
            .key("k")
            .send()
            .await
            .is_ok()
    );
    assert!(
        sdk.get_object()
            .bucket("bkt")
            .key("k")
            .send()
            .await
            .is_err()
    );
    assert!(sdk.get_object().bucket("bkt").key("k").send().await.is_ok());
}

/// The keys of all pages, in the order in which they came.
async fn keys(lab: &Lab, size: i32) -> Vec<String> {
    let sdk = client(lab);
    let (mut keys, mut token) = (Vec::new(), None);
    loop {
        let call = sdk.list_objects_v2().bucket("bkt").max_keys(size);
        let page = call.set_continuation_token(token).send().await.unwrap();
        keys.extend(
            page.contents()
                .iter()
                .map(|object| object.key().unwrap().to_owned()),
        );
        token = page.next_continuation_token().map(ToOwned::to_owned);
        if token.is_none() {
            return keys;
        }
    }
}

#[tokio::test]
async fn a_listing_can_be_whole_and_out_of_order() {
    let lab = lab_with(json!([{"action": {"listing": "out_of_order"}}])).await;
    lab.seed(serde_json::from_value(json!({"bucket": "bkt", "count": 50})).unwrap())
        .unwrap();
    let in_order: Vec<String> = lab
        .objects("bkt")
        .into_iter()
        .map(|object| object.key)
        .collect();
    let listed = keys(&lab, 7).await;
    assert_ne!(listed, in_order);
    assert_eq!(keys(&lab, 1000).await, listed, "the same order every time");
    let mut sorted = listed;
    sorted.sort();
    assert_eq!(sorted, in_order);
}

#[tokio::test]
async fn a_listing_can_lose_a_share_of_its_keys() {
    let lab = lab_with(json!([{"action": {"listing": {"loses_percent": 60}}}])).await;
    lab.seed(serde_json::from_value(json!({"bucket": "bkt", "count": 400})).unwrap())
        .unwrap();
    let left = keys(&lab, 50).await;
    assert_eq!(keys(&lab, 1000).await, left, "always the same ones");
    assert!((120..200).contains(&left.len()), "{}", left.len());
    lab.set_faults([rule(json!({"action": {"listing": {"loses_percent": 100}}}))]);
    assert!(keys(&lab, 1000).await.is_empty());
}
