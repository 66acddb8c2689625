//! What an object, a bucket or a key may be, and the answers that come of it.

use aws_sdk_s3::types::{ChecksumMode, OptionalObjectAttributes, RequestPayer, Tag, Tagging};
use wharf_lab::{
    Action, Because, BucketSettings, FaultRule, KeyPair, Lab, LabConfig, Match, Operation, Seed,
    WrongRegion,
};

use crate::client::{client, refusal, refused, start};

async fn seeded(objects: serde_json::Value) -> Lab {
    let lab = start().await;
    let seed = Seed {
        bucket: "bkt".to_owned(),
        objects: serde_json::from_value(objects).unwrap(),
        ..Seed::default()
    };
    lab.seed(seed).unwrap();
    lab
}

#[tokio::test]
async fn tags_are_kept_read_and_can_be_unknown_to_a_bucket() {
    let lab = seeded(serde_json::json!([{"key": "k", "text": "x"}])).await;
    lab.put_object("other", "k", "x");
    let sdk = client(&lab);
    let tag = Tag::builder().key("a").value("b").build().unwrap();
    let tags = Tagging::builder().tag_set(tag.clone()).build().unwrap();
    let put = || sdk.put_object_tagging().tagging(tags.clone()).bucket("bkt");
    assert!(put().key("k").send().await.is_ok());
    assert_eq!(
        refusal(put().key("none").send().await),
        refused(404, "NoSuchKey")
    );
    let get = async |bucket| {
        sdk.get_object_tagging()
            .bucket(bucket)
            .key("k")
            .send()
            .await
    };
    assert_eq!(get("bkt").await.unwrap().tag_set(), [tag]);
    lab.add_fault(FaultRule::new(
        Match::operation(Operation::GetObjectTagging).bucket("other"),
        Action::s3_error("NotImplemented"),
    ));
    assert_eq!(refusal(get("other").await), refused(501, "NotImplemented"));
    assert!(get("bkt").await.is_ok());
}

#[tokio::test]
async fn restored_objects_can_be_read_and_listings_tell_when_asked() {
    let lab = seeded(serde_json::json!([
        {"key": "a", "text": "x", "storage_class": "GLACIER"},
        {"key": "b", "text": "x", "storage_class": "GLACIER", "restore": "ongoing"},
        {"key": "c", "text": "x", "storage_class": "GLACIER", "restore": "done"},
    ]))
    .await;
    let sdk = client(&lab);
    for (key, readable) in [("a", false), ("b", false), ("c", true)] {
        let got = sdk.get_object().bucket("bkt").key(key).send().await;
        assert_eq!(got.is_ok(), readable, "{key}");
    }
    let list = || sdk.list_objects_v2().bucket("bkt");
    let plain = list().send().await.unwrap();
    assert!(
        plain
            .contents()
            .iter()
            .all(|object| object.restore_status().is_none())
    );
    let asked = list().optional_object_attributes(OptionalObjectAttributes::RestoreStatus);
    let told: Vec<_> = asked
        .send()
        .await
        .unwrap()
        .contents()
        .iter()
        .map(|object| {
            let status = object.restore_status()?;
            Some((
                status.is_restore_in_progress()?,
                status.restore_expiry_date().is_some(),
            ))
        })
        .collect();
    assert_eq!(told, [None, Some((true, false)), Some((false, true))]);
    let head = sdk
        .head_object()
        .bucket("bkt")
        .key("b")
        .send()
        .await
        .unwrap();
    assert_eq!(head.restore(), Some(r#"ongoing-request="true""#));
}

#[tokio::test]
async fn encryption_shows_to_readers() {
    let lab = seeded(serde_json::json!([
        {"key": "customer", "text": "x", "encryption": "customer_key"},
        {"key": "denied", "text": "x", "encryption": "kms_denied"},
        {"key": "kms", "text": "x", "encryption": "kms"},
    ]))
    .await;
    let sdk = client(&lab);
    let get = async |key| sdk.get_object().bucket("bkt").key(key).send().await;
    let message = async |key| {
        let error = get(key).await.unwrap_err();
        let says = error
            .as_service_error()
            .unwrap()
            .meta()
            .message()
            .unwrap()
            .to_owned();
        (refusal::<(), _>(Err(error)), says)
    };
    let (code, says) = message("customer").await;
    assert_eq!(code, refused(400, "InvalidRequest"));
    assert!(says.starts_with("The object was stored using a form of Server Side Encryption."));
    let with_key = sdk.get_object().bucket("bkt").key("customer");
    let with_key = with_key
        .sse_customer_algorithm("AES256")
        .sse_customer_key("a2V5")
        .sse_customer_key_md5("bWQ1");
    assert!(with_key.send().await.is_ok());
    let (code, says) = message("denied").await;
    assert_eq!(code, refused(403, "AccessDenied"));
    assert!(says.contains("kms:Decrypt"), "{says}");
    let kms = get("kms").await.unwrap();
    assert_eq!(kms.server_side_encryption().unwrap().as_str(), "aws:kms");
    assert_ne!(kms.e_tag(), Some("\"9dd4e461268c8034f5c8564e155c67a6\""));
}

#[tokio::test]
async fn requesters_pay_or_are_denied() {
    let lab = start().await;
    lab.set_bucket("bkt", BucketSettings::new().requester_pays());
    lab.put_object("bkt", "k", "x");
    let sdk = client(&lab);
    let get = || sdk.get_object().bucket("bkt").key("k");
    let list = || sdk.list_objects_v2().bucket("bkt");
    let denied = refused(403, "AccessDenied");
    assert_eq!(refusal(get().send().await), denied);
    assert_eq!(refusal(list().send().await), denied);
    assert!(
        get()
            .request_payer(RequestPayer::Requester)
            .send()
            .await
            .is_ok()
    );
    assert!(
        list()
            .request_payer(RequestPayer::Requester)
            .send()
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_bucket_elsewhere_names_its_region_one_way_or_the_other() {
    let lab = start().await;
    let there = || BucketSettings::new().region("eu-central-1");
    lab.set_bucket("moved", there());
    lab.set_bucket("strict", there().wrong_region(WrongRegion::Malformed));
    lab.set_bucket("here", BucketSettings::new().region("us-east-1"));
    let sdk = client(&lab);
    let answer = async |bucket| {
        let error = sdk
            .list_objects_v2()
            .bucket(bucket)
            .send()
            .await
            .unwrap_err();
        let raw = error.raw_response().unwrap();
        let header = raw
            .headers()
            .get("x-amz-bucket-region")
            .map(ToOwned::to_owned);
        let body = String::from_utf8(raw.body().bytes().unwrap().to_vec()).unwrap();
        (refusal::<(), _>(Err(error)), header, body)
    };
    let (code, header, body) = answer("moved").await;
    assert_eq!(code, refused(301, "PermanentRedirect"));
    assert_eq!(header.as_deref(), Some("eu-central-1"));
    assert!(body.contains("<Endpoint>moved.s3.eu-central-1.amazonaws.com</Endpoint>"));
    let (code, header, body) = answer("strict").await;
    assert_eq!(code, refused(400, "AuthorizationHeaderMalformed"));
    assert_eq!(header, None);
    assert!(body.contains("<Region>eu-central-1</Region>"));
    assert!(sdk.list_objects_v2().bucket("here").send().await.is_ok());
}

#[tokio::test]
async fn denied_actions_are_refused_in_the_words_of_their_policy() {
    let key = KeyPair::default()
        .deny("s3:GetObject", "media/private/*")
        .deny_because("s3:DeleteObject", "*", Because::ServiceControlPolicy)
        .deny_because("s3:ListBucket", "media/private/*", Because::ResourcePolicy)
        .deny_because("s3:PutObject", "media/*", Because::Unsaid);
    let lab = Lab::start(LabConfig::default().keys([key])).await.unwrap();
    lab.put_object("media", "open", "x");
    lab.put_object("media", "private/k", "x");
    let sdk = client(&lab);
    let get = async |key| sdk.get_object().bucket("media").key(key).send().await;
    assert!(get("open").await.is_ok());
    let error = get("private/k").await.unwrap_err();
    assert_eq!(
        error.as_service_error().unwrap().meta().message(),
        Some(
            "User: arn:aws:iam::999988887777:user/lab is not authorized to perform: s3:GetObject on \
             resource: \"arn:aws:s3:::media/private/k\" because no identity-based policy allows the \
             s3:GetObject action"
        )
    );
    assert_eq!(refusal::<(), _>(Err(error)), refused(403, "AccessDenied"));
    let deleted = sdk.delete_object().bucket("media").key("open").send().await;
    let error = deleted.unwrap_err();
    let says = error.as_service_error().unwrap().meta().message().unwrap();
    assert!(
        says.ends_with("with an explicit deny in a service control policy"),
        "{says}"
    );
    let list = async |prefix| {
        let list = sdk.list_objects_v2().bucket("media").prefix(prefix);
        list.send().await
    };
    assert!(list("").await.is_ok());
    let error = list("private/").await.unwrap_err();
    let says = error.as_service_error().unwrap().meta().message().unwrap();
    assert!(
        says.ends_with("with an explicit deny in a resource-based policy"),
        "{says}"
    );
    let put = sdk.put_object().bucket("media").key("new").send().await;
    let error = put.unwrap_err();
    let says = error.as_service_error().unwrap().meta().message();
    assert_eq!(says, Some("Access Denied"));
}

#[tokio::test]
async fn checksums_are_of_the_whole_or_of_its_parts() {
    let lab = seeded(serde_json::json!([
        {"key": "whole", "text": "hello", "checksums": ["crc32", "crc32c", "sha256"]},
        {"key": "parts", "text": "hello", "checksums": ["sha256"], "part_size": 2},
    ]))
    .await;
    let sdk = client(&lab);
    let get = async |key| {
        let get = sdk.get_object().bucket("bkt").key(key);
        get.checksum_mode(ChecksumMode::Enabled)
            .send()
            .await
            .unwrap()
    };
    let whole = get("whole").await;
    assert_eq!(whole.checksum_type().unwrap().as_str(), "FULL_OBJECT");
    assert_eq!(whole.checksum_crc32(), Some("NhCmhg=="));
    assert_eq!(whole.checksum_crc32_c(), Some("mnG7TA=="));
    assert_eq!(
        whole.checksum_sha256(),
        Some("LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=")
    );
    let parts = get("parts").await;
    assert_eq!(parts.checksum_type().unwrap().as_str(), "COMPOSITE");
    assert!(parts.checksum_sha256().unwrap().ends_with("=-3"));
    assert!(parts.e_tag().unwrap().ends_with("-3\""));
}

#[tokio::test]
async fn a_version_that_is_not_there_is_no_version() {
    let lab = seeded(serde_json::json!([{"key": "k", "text": "x", "version_id": "v1"}])).await;
    let sdk = client(&lab);
    let get = || sdk.get_object().bucket("bkt").key("k");
    assert_eq!(get().send().await.unwrap().version_id(), Some("v1"));
    assert!(get().version_id("v1").send().await.is_ok());
    let other = get().version_id("v2").send().await;
    assert_eq!(refusal(other), refused(404, "NoSuchVersion"));
}
