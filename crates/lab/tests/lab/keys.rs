//! Who gets in, and by which address.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Credentials;
use wharf_lab::{KeyPair, Lab, LabConfig, Operation};

use crate::client::{builder, client, client_with, refusal, refused, start};

#[tokio::test]
async fn a_wrong_secret_and_an_unknown_key_have_their_own_codes() {
    let lab = start().await;
    lab.create_bucket("bkt");
    let wrong = client_with(&lab, lab.access_key_id(), "not the secret", None);
    let unknown = client_with(&lab, "NOBODY", "whatever", None);
    assert_eq!(
        refusal(wrong.list_buckets().send().await),
        refused(403, "SignatureDoesNotMatch")
    );
    assert_eq!(
        refusal(wrong.list_objects_v2().bucket("bkt").send().await),
        refused(403, "SignatureDoesNotMatch")
    );
    assert_eq!(
        refusal(unknown.list_buckets().send().await),
        refused(403, "InvalidAccessKeyId")
    );
    assert!(client(&lab).list_buckets().send().await.is_ok());
}

#[tokio::test]
async fn a_session_token_must_be_the_right_one() {
    let key = KeyPair::new("TEMPORARY", "secret").session_token("token-1");
    let lab = Lab::start(LabConfig::default().keys([key, KeyPair::default()]))
        .await
        .unwrap();
    lab.create_bucket("bkt");
    let listing = async |token| {
        client_with(&lab, "TEMPORARY", "secret", token)
            .list_objects_v2()
            .bucket("bkt")
            .send()
            .await
    };
    assert!(listing(Some("token-1")).await.is_ok());
    assert_eq!(
        refusal(listing(Some("token-2")).await),
        refused(400, "InvalidToken")
    );
    assert_eq!(refusal(listing(None).await), refused(400, "InvalidToken"));
}

#[tokio::test]
async fn a_restricted_key_sees_its_buckets_only() {
    let key = KeyPair::new("NARROW", "secret").only_buckets(["mine"]);
    let lab = Lab::start(LabConfig::default().keys([key])).await.unwrap();
    lab.put_object("mine", "k", "x");
    lab.put_object("theirs", "k", "x");
    let sdk = client(&lab);
    assert!(sdk.list_objects_v2().bucket("mine").send().await.is_ok());
    assert!(
        sdk.get_object()
            .bucket("mine")
            .key("k")
            .send()
            .await
            .is_ok()
    );
    let denied = refused(403, "AccessDenied");
    assert_eq!(refusal(sdk.list_buckets().send().await), denied);
    assert_eq!(
        refusal(sdk.list_objects_v2().bucket("theirs").send().await),
        denied
    );
    assert_eq!(
        refusal(sdk.get_object().bucket("theirs").key("k").send().await),
        denied
    );
    assert_eq!(
        refusal(sdk.list_objects_v2().bucket("missing").send().await),
        denied
    );
}

#[tokio::test]
async fn the_host_may_name_the_bucket() {
    let lab = start().await;
    lab.put_object("bkt", "a b/+c", "x");
    let credentials = Credentials::new(
        lab.access_key_id(),
        lab.secret_access_key(),
        None,
        None,
        "test",
    );
    let config = builder(lab.address())
        .endpoint_url(format!("http://localhost:{}", lab.address().port()))
        .force_path_style(false)
        .credentials_provider(credentials)
        .build();
    let sdk = Client::from_conf(config);
    let got = sdk
        .get_object()
        .bucket("bkt")
        .key("a b/+c")
        .send()
        .await
        .unwrap();
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"x");
    let listed = sdk.list_objects_v2().bucket("bkt").send().await.unwrap();
    assert_eq!(listed.contents()[0].key(), Some("a b/+c"));

    let journal = lab.journal();
    assert_eq!(journal[0].path, "/a%20b/%2Bc");
    assert_eq!(journal[0].operation, Operation::GetObject);
    assert_eq!(journal[0].bucket.as_deref(), Some("bkt"));
    assert_eq!(journal[1].operation, Operation::ListObjects);
}
