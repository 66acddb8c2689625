//! Versions of objects, and what is said of each.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::put_object::PutObjectOutput;
use aws_sdk_s3::types::{BucketVersioningStatus, Tag, Tagging, VersioningConfiguration};
use serde_json::json;
use wharf_lab::{BucketSettings, Lab, Versioning};

use crate::client::{client, refusal, refused, start};

async fn versioned() -> (Lab, Client) {
    let lab = start().await;
    lab.create_bucket("bkt");
    let sdk = client(&lab);
    let enabled = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    let call = sdk.put_bucket_versioning().bucket("bkt");
    let answer = call.versioning_configuration(enabled).send().await;
    answer.unwrap();
    (lab, sdk)
}

async fn put(sdk: &Client, text: &'static str) -> PutObjectOutput {
    let call = sdk.put_object().bucket("bkt").key("k");
    let call = call.tagging(format!("text={text}"));
    call.body(text.as_bytes().to_vec().into())
        .send()
        .await
        .unwrap()
}

async fn text(sdk: &Client, version: Option<&str>) -> String {
    let call = sdk.get_object().bucket("bkt").key("k");
    let got = call
        .set_version_id(version.map(ToOwned::to_owned))
        .send()
        .await
        .unwrap();
    let bytes = got.body.collect().await.unwrap().to_vec();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn every_version_is_named_and_can_be_read() {
    let (_lab, sdk) = versioned().await;
    let status = sdk.get_bucket_versioning().bucket("bkt").send().await;
    let status = status.unwrap().status;
    assert_eq!(status, Some(BucketVersioningStatus::Enabled));

    let (one, two) = (put(&sdk, "one").await, put(&sdk, "two").await);
    let (one, two) = (one.version_id().unwrap(), two.version_id().unwrap());
    assert_ne!(one, two);
    assert_eq!(text(&sdk, None).await, "two");
    assert_eq!(text(&sdk, Some(one)).await, "one");
    let head = sdk.head_object().bucket("bkt").key("k");
    assert_eq!(head.send().await.unwrap().version_id(), Some(two));
    let listed = sdk.list_objects_v2().bucket("bkt").send().await.unwrap();
    assert_eq!(listed.key_count(), Some(1));
    let unknown = sdk.get_object().bucket("bkt").key("k").version_id("v0");
    assert_eq!(refusal(unknown.send().await), refused(404, "NoSuchVersion"));
}

#[tokio::test]
async fn a_deletion_leaves_a_marker_that_can_be_taken_away() {
    let (_lab, sdk) = versioned().await;
    let one = put(&sdk, "one").await;
    let object = || sdk.get_object().bucket("bkt").key("k");
    let delete = || sdk.delete_object().bucket("bkt").key("k");
    let deleted = delete().send().await.unwrap();
    let marker = deleted.version_id().unwrap();
    assert_eq!(deleted.delete_marker(), Some(true));

    let gone = object().send().await;
    let raw = gone.as_ref().unwrap_err().raw_response().unwrap();
    assert_eq!(raw.headers().get("x-amz-delete-marker"), Some("true"));
    assert_eq!(raw.headers().get("x-amz-version-id"), Some(marker));
    assert_eq!(refusal(gone), refused(404, "NoSuchKey"));
    let listed = sdk.list_objects_v2().bucket("bkt").send().await.unwrap();
    assert_eq!(listed.key_count(), Some(0));
    let by_name = object().version_id(marker).send().await;
    assert_eq!(refusal(by_name), refused(405, "MethodNotAllowed"));
    assert_eq!(text(&sdk, one.version_id()).await, "one");

    let undone = delete().version_id(marker).send().await.unwrap();
    assert_eq!(undone.delete_marker(), Some(true));
    assert_eq!(text(&sdk, None).await, "one");
}

#[tokio::test]
async fn each_version_has_tags_of_its_own() {
    let (_lab, sdk) = versioned().await;
    let (one, two) = (put(&sdk, "one").await, put(&sdk, "two").await);
    let tag = Tag::builder().key("text").value("eins").build().unwrap();
    let tagging = Tagging::builder().tag_set(tag).build().unwrap();
    let call = sdk.put_object_tagging().bucket("bkt").key("k");
    let call = call.set_version_id(one.version_id.clone()).tagging(tagging);
    assert_eq!(call.send().await.unwrap().version_id(), one.version_id());
    for (version, expected) in [
        (one.version_id, "eins"),
        (two.version_id, "two"),
        (None, "two"),
    ] {
        let call = sdk.get_object_tagging().bucket("bkt").key("k");
        let tagged = call.set_version_id(version).send().await.unwrap();
        assert_eq!(tagged.tag_set()[0].value(), expected);
        assert!(tagged.version_id().is_some());
    }
}

#[tokio::test]
async fn what_came_before_versions_is_called_null() {
    let lab = start().await;
    lab.put_object("bkt", "k", "old");
    let sdk = client(&lab);
    let head = || sdk.head_object().bucket("bkt").key("k").send();
    assert_eq!(head().await.unwrap().version_id(), None);
    let settings: BucketSettings =
        serde_json::from_value(json!({"versioning": "enabled"})).unwrap();
    lab.set_bucket("bkt", settings);
    assert_eq!(head().await.unwrap().version_id(), Some("null"));
    put(&sdk, "new").await;
    assert_eq!(text(&sdk, Some("null")).await, "old");
    lab.set_bucket(
        "bkt",
        BucketSettings::new().versioning(Versioning::Suspended),
    );
    let put = put(&sdk, "newer").await;
    assert_eq!(put.version_id(), Some("null"));
    assert_eq!(text(&sdk, Some("null")).await, "newer");
}

#[tokio::test]
async fn what_is_said_of_an_object_is_kept_and_sent_as_headers_can_carry_it() {
    let lab = start().await;
    lab.create_bucket("bkt");
    let seed = json!({"bucket": "bkt", "objects": [
        {"key": "k", "text": "x", "cache_control": "no-store", "metadata": {"title": "\u{dc}ber"}},
    ]});
    lab.seed(serde_json::from_value(seed).unwrap()).unwrap();
    let sdk = client(&lab);
    let got = sdk.head_object().bucket("bkt").key("k").send().await;
    let got = got.unwrap();
    assert_eq!(got.cache_control(), Some("no-store"));
    assert_eq!(got.metadata().unwrap()["title"], "=?UTF-8?B?w5xiZXI=?=");

    let call = sdk.put_object().bucket("bkt").key("l");
    let call = call.content_language("de").content_disposition("inline");
    call.metadata("Tide", "high").send().await.unwrap();
    let got = sdk.get_object().bucket("bkt").key("l").send().await;
    let got = got.unwrap();
    assert_eq!(got.content_language(), Some("de"));
    assert_eq!(got.content_disposition(), Some("inline"));
    assert_eq!(got.metadata().unwrap()["tide"], "high");
}
