//! Buckets and objects through the SDK.

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, StorageClass};
use bytes::Bytes;
use wharf_lab::{Seed, SeedObject, generated_content};

use crate::client::{client, refusal, refused, start};

#[tokio::test]
async fn buckets_are_made_found_and_listed() {
    let lab = start().await;
    let sdk = client(&lab);
    sdk.create_bucket().bucket("two").send().await.unwrap();
    sdk.create_bucket().bucket("one").send().await.unwrap();
    assert_eq!(
        refusal(sdk.create_bucket().bucket("one").send().await),
        refused(409, "BucketAlreadyOwnedByYou")
    );
    let listed = sdk.list_buckets().send().await.unwrap();
    let names: Vec<_> = listed
        .buckets()
        .iter()
        .filter_map(|bucket| bucket.name())
        .collect();
    assert_eq!(names, ["one", "two"]);
    let head = sdk.head_bucket().bucket("one").send().await.unwrap();
    assert_eq!(head.bucket_region(), Some("us-east-1"));
    assert_eq!(
        refusal(sdk.head_bucket().bucket("three").send().await).0,
        404
    );
}

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let lab = start().await;
    lab.create_bucket("bkt");
    let sdk = client(&lab);
    let put = sdk
        .put_object()
        .bucket("bkt")
        .key("k")
        .content_type("text/plain")
        .metadata("origin", "quay 7")
        .tagging("kind=note&place=the+quay")
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .body(Bytes::from_static(b"hello").into())
        .send()
        .await
        .unwrap();
    assert_eq!(put.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));

    let get = sdk
        .get_object()
        .bucket("bkt")
        .key("k")
        .checksum_mode(ChecksumMode::Enabled);
    let got = get.send().await.unwrap();
    assert_eq!(got.content_type(), Some("text/plain"));
    assert_eq!(got.metadata().unwrap()["origin"], "quay 7");
    assert_eq!(got.content_length(), Some(5));
    assert_eq!(got.tag_count(), Some(2));
    assert_eq!(
        got.checksum_sha256(),
        Some("LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=")
    );
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"hello");

    let head = sdk
        .head_object()
        .bucket("bkt")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (head.content_length(), head.e_tag()),
        (Some(5), put.e_tag())
    );
    let tags = sdk
        .get_object_tagging()
        .bucket("bkt")
        .key("k")
        .send()
        .await
        .unwrap();
    let tags: Vec<_> = tags
        .tag_set()
        .iter()
        .map(|tag| (tag.key(), tag.value()))
        .collect();
    assert_eq!(tags, [("kind", "note"), ("place", "the quay")]);

    sdk.delete_object()
        .bucket("bkt")
        .key("k")
        .send()
        .await
        .unwrap();
    sdk.delete_object()
        .bucket("bkt")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(
        refusal(sdk.get_object().bucket("bkt").key("k").send().await),
        refused(404, "NoSuchKey")
    );
    assert_eq!(
        refusal(sdk.get_object().bucket("none").key("k").send().await),
        refused(404, "NoSuchBucket")
    );
    assert_eq!(
        refusal(sdk.head_object().bucket("bkt").key("k").send().await).0,
        404
    );
}

#[tokio::test]
async fn ranges_are_cut_out_or_refused() {
    let lab = start().await;
    let bytes = generated_content("k", 1000);
    lab.put_object("bkt", "k", bytes.clone());
    lab.put_object("bkt", "empty", "");
    let sdk = client(&lab);
    let read = async |key: &str, range: &str| {
        sdk.get_object()
            .bucket("bkt")
            .key(key)
            .range(range)
            .send()
            .await
    };
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=990-", 990, 1000),
        ("bytes=990-5000", 990, 1000),
        ("bytes=-10", 990, 1000),
        ("bytes=-5000", 0, 1000),
    ] {
        let got = read("k", range).await.unwrap();
        assert_eq!(
            got.content_range(),
            Some(format!("bytes {from}-{}/1000", to - 1).as_str())
        );
        assert_eq!(
            got.body.collect().await.unwrap().to_vec(),
            bytes[from..to],
            "{range}"
        );
    }
    assert_eq!(lab.journal()[0].status, Some(206));
    assert_eq!(lab.journal()[0].range.as_deref(), Some("bytes=0-0"));
    assert_eq!(
        refusal(read("k", "bytes=1000-").await),
        refused(416, "InvalidRange")
    );
    assert_eq!(
        refusal(read("empty", "bytes=0-").await),
        refused(416, "InvalidRange")
    );
    assert_eq!(
        refusal(read("empty", "bytes=-1").await),
        refused(416, "InvalidRange")
    );
}

#[tokio::test]
async fn conditions_on_the_tag_hold_or_refuse() {
    let lab = start().await;
    lab.put_object("bkt", "k", "hello");
    let sdk = client(&lab);
    let tag = "\"5d41402abc4b2a76b9719d911017c592\"";
    let get = || sdk.get_object().bucket("bkt").key("k");
    assert!(get().if_match(tag).send().await.is_ok());
    assert_eq!(
        refusal(get().if_match("\"other\"").send().await),
        refused(412, "PreconditionFailed")
    );
    assert!(get().if_none_match("\"other\"").send().await.is_ok());
    let unchanged = get().if_none_match(tag).send().await.unwrap_err();
    let SdkError::ServiceError(answer) = unchanged else {
        panic!("{unchanged:?}")
    };
    assert_eq!(answer.raw().status().as_u16(), 304);
    assert_eq!(answer.raw().headers().get("etag"), Some(tag));

    let put = || {
        sdk.put_object()
            .bucket("bkt")
            .key("k")
            .body(Bytes::from_static(b"new").into())
    };
    assert_eq!(
        refusal(put().if_none_match("*").send().await),
        refused(412, "PreconditionFailed")
    );
    assert!(put().if_match(tag).send().await.is_ok());
    assert_eq!(lab.object_bytes("bkt", "k").unwrap(), "new");
}

#[tokio::test]
async fn what_does_not_match_its_digest_is_not_stored() {
    let lab = start().await;
    lab.create_bucket("bkt");
    let sdk = client(&lab);
    let put = || {
        sdk.put_object()
            .bucket("bkt")
            .key("k")
            .body(Bytes::from_static(b"hello").into())
    };
    let right = put().content_md5("XUFAKrxLKna5cZ2REBfFkg==").send().await;
    assert!(right.is_ok());
    assert!(lab.delete_object("bkt", "k"));
    let other = put().content_md5("CY9rzUYh03PK3k6DJie09g==").send().await;
    assert_eq!(refusal(other), refused(400, "BadDigest"));
    assert_eq!(
        refusal(put().content_md5("?").send().await),
        refused(400, "InvalidDigest")
    );
    let sha = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=";
    assert_eq!(
        refusal(put().checksum_sha256(sha).send().await),
        refused(400, "BadDigest")
    );
    assert!(lab.objects("bkt").is_empty());
    assert_eq!(
        refusal(put().bucket("none").send().await),
        refused(404, "NoSuchBucket")
    );
}

#[tokio::test]
async fn archived_objects_are_listed_and_not_read() {
    let lab = start().await;
    let objects: Vec<SeedObject> = serde_json::from_value(serde_json::json!([
        {"key": "seeded", "text": "x", "storage_class": "DEEP_ARCHIVE"},
        {"key": "standard", "text": "x"},
    ]))
    .unwrap();
    let seed = Seed {
        bucket: "bkt".to_owned(),
        objects,
        ..Seed::default()
    };
    assert_eq!(lab.seed(seed), Ok(2));
    let sdk = client(&lab);
    let put = sdk.put_object().bucket("bkt").key("put");
    put.storage_class(StorageClass::Glacier)
        .send()
        .await
        .unwrap();
    let listed = sdk.list_objects_v2().bucket("bkt").send().await.unwrap();
    let classes: Vec<_> = listed
        .contents()
        .iter()
        .filter_map(|object| Some((object.key()?, object.storage_class()?.as_str())))
        .collect();
    assert_eq!(
        classes,
        [
            ("put", "GLACIER"),
            ("seeded", "DEEP_ARCHIVE"),
            ("standard", "STANDARD")
        ]
    );
    let get = async |key: &str| sdk.get_object().bucket("bkt").key(key).send().await;
    for key in ["put", "seeded"] {
        assert_eq!(refusal(get(key).await), refused(403, "InvalidObjectState"));
    }
    assert!(get("standard").await.is_ok());
}

#[tokio::test]
async fn seeded_objects_carry_a_checksum_the_sdk_verifies() {
    let lab = start().await;
    let objects: Vec<SeedObject> = serde_json::from_value(serde_json::json!([
        {"key": "text", "text": "ahoy", "content_type": "text/plain", "metadata": {"a": "b"}},
        {"key": "binary", "base64": "AP8=", "tags": {"t": "v"}},
        {"key": "generated", "size": 70_000},
    ]))
    .unwrap();
    let seed = Seed {
        bucket: "bkt".to_owned(),
        objects,
        ..Seed::default()
    };
    assert_eq!(lab.seed(seed), Ok(3));
    let sdk = client(&lab);
    for (key, expected) in [
        ("text", Bytes::from_static(b"ahoy")),
        ("binary", Bytes::from_static(&[0, 255])),
        ("generated", generated_content("generated", 70_000)),
    ] {
        let get = sdk
            .get_object()
            .bucket("bkt")
            .key(key)
            .checksum_mode(ChecksumMode::Enabled);
        let got = get.send().await.unwrap();
        assert!(got.checksum_crc64_nvme().is_some());
        assert_eq!(got.body.collect().await.unwrap().into_bytes(), expected);
    }
}
