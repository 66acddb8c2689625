//! The lab as a place to write to.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier,
};
use bytes::Bytes;
use wharf_lab::{KeyPair, Lab, LabConfig, Operation, generated_content};

use crate::client::{client, refusal, refused, start};

const PART: usize = 5 * 1024 * 1024;

async fn begin(sdk: &Client) -> String {
    let begun = sdk
        .create_multipart_upload()
        .bucket("bkt")
        .key("k")
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .content_type("text/plain");
    begun.send().await.unwrap().upload_id().unwrap().to_owned()
}

async fn part(sdk: &Client, id: &str, number: i32, bytes: Bytes) -> CompletedPart {
    let part = sdk
        .upload_part()
        .bucket("bkt")
        .key("k")
        .upload_id(id)
        .part_number(number)
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .body(bytes.into());
    let taken = part.send().await.unwrap();
    assert!(taken.checksum_sha256().is_some());
    CompletedPart::builder()
        .part_number(number)
        .e_tag(taken.e_tag().unwrap())
        .build()
}

fn complete(
    sdk: &Client,
    id: &str,
    parts: Vec<CompletedPart>,
) -> aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder
{
    let parts = CompletedMultipartUpload::builder()
        .set_parts(Some(parts))
        .build();
    sdk.complete_multipart_upload()
        .bucket("bkt")
        .key("k")
        .upload_id(id)
        .multipart_upload(parts)
}

#[tokio::test]
async fn parts_become_one_object() {
    let lab = start().await;
    lab.create_bucket("bkt");
    let sdk = client(&lab);
    let bytes = generated_content("k", PART + 10);
    let id = begin(&sdk).await;
    let parts = vec![
        part(&sdk, &id, 1, bytes.slice(..PART)).await,
        part(&sdk, &id, 2, bytes.slice(PART..)).await,
    ];
    let listed = sdk.list_parts().bucket("bkt").key("k").upload_id(&id);
    assert_eq!(listed.send().await.unwrap().parts().len(), 2);
    assert!(lab.objects("bkt").is_empty());
    let done = complete(&sdk, &id, parts.clone()).send().await.unwrap();
    assert!(done.e_tag().unwrap().ends_with("-2\""));
    assert!(done.checksum_sha256().unwrap().ends_with("-2"));
    assert_eq!(lab.object_bytes("bkt", "k").unwrap(), bytes);
    assert_eq!(
        refusal(complete(&sdk, &id, parts).send().await),
        refused(404, "NoSuchUpload")
    );
    let operations: Vec<_> = lab.journal().iter().map(|entry| entry.operation).collect();
    assert_eq!(
        operations,
        [
            Operation::CreateMultipartUpload,
            Operation::UploadPart,
            Operation::UploadPart,
            Operation::ListParts,
            Operation::CompleteMultipartUpload,
            Operation::CompleteMultipartUpload,
        ]
    );
}

#[tokio::test]
async fn a_completion_that_names_its_parts_wrongly_is_refused() {
    let lab = start().await;
    lab.create_bucket("bkt");
    let sdk = client(&lab);
    let id = begin(&sdk).await;
    let one = part(&sdk, &id, 1, Bytes::from_static(b"one")).await;
    let two = part(&sdk, &id, 2, Bytes::from_static(b"two")).await;
    let outcome = async |parts| refusal(complete(&sdk, &id, parts).send().await);
    assert_eq!(
        outcome(vec![two.clone(), one.clone()]).await,
        refused(400, "InvalidPartOrder")
    );
    let wrong = CompletedPart::builder()
        .part_number(1)
        .e_tag("\"other\"")
        .build();
    assert_eq!(outcome(vec![wrong]).await, refused(400, "InvalidPart"));
    assert_eq!(
        outcome(vec![one.clone(), two]).await,
        refused(400, "EntityTooSmall")
    );
    assert!(complete(&sdk, &id, vec![one]).send().await.is_ok());
    assert_eq!(lab.object_bytes("bkt", "k").unwrap(), "one");
}

#[tokio::test]
async fn an_upload_can_be_listed_and_given_up() {
    let lab = start().await;
    lab.create_bucket("bkt");
    let sdk = client(&lab);
    let ids = [begin(&sdk).await, begin(&sdk).await];
    let list = || sdk.list_multipart_uploads().bucket("bkt").max_uploads(1);
    let first = list().send().await.unwrap();
    assert_eq!(first.uploads()[0].upload_id(), Some(ids[0].as_str()));
    let second = list()
        .key_marker(first.next_key_marker().unwrap())
        .upload_id_marker(first.next_upload_id_marker().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(second.uploads()[0].upload_id(), Some(ids[1].as_str()));
    assert_eq!(second.is_truncated(), Some(false));
    let abort = async |id: &str| {
        let abort = sdk.abort_multipart_upload().bucket("bkt").key("k");
        abort.upload_id(id).send().await
    };
    assert!(abort(&ids[0]).await.is_ok());
    assert_eq!(refusal(abort(&ids[0]).await), refused(404, "NoSuchUpload"));
    assert!(abort(&ids[1]).await.is_ok());
    assert!(list().send().await.unwrap().uploads().is_empty());
}

#[tokio::test]
async fn what_is_there_already_is_not_overwritten_when_told() {
    let lab = start().await;
    lab.create_bucket("bkt");
    let sdk = client(&lab);
    let id = begin(&sdk).await;
    let parts = vec![part(&sdk, &id, 1, Bytes::from_static(b"late")).await];
    lab.put_object("bkt", "k", "first");
    let exists = refused(412, "PreconditionFailed");
    let late = complete(&sdk, &id, parts.clone()).if_none_match("*");
    assert_eq!(refusal(late.send().await), exists);
    assert!(lab.delete_object("bkt", "k"));
    let again = complete(&sdk, &id, parts).if_none_match("*");
    assert!(again.send().await.is_ok());
}

#[tokio::test]
async fn many_objects_go_at_once_and_denied_ones_are_named() {
    let key = KeyPair::default().deny("s3:DeleteObject", "bkt/kept/*");
    let lab = Lab::start(LabConfig::default().keys([key])).await.unwrap();
    for key in ["a", "b", "kept/c"] {
        lab.put_object("bkt", key, "x");
    }
    let named =
        ["a", "kept/c", "never"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder()
        .set_objects(Some(named.into()))
        .build()
        .unwrap();
    let answer = client(&lab).delete_objects().bucket("bkt").delete(delete);
    let answer = answer.send().await.unwrap();
    let gone: Vec<_> = answer
        .deleted()
        .iter()
        .filter_map(|object| object.key())
        .collect();
    assert_eq!(gone, ["a", "never"]);
    assert_eq!(answer.errors()[0].code(), Some("AccessDenied"));
    assert_eq!(answer.errors()[0].key(), Some("kept/c"));
    let left: Vec<_> = lab
        .objects("bkt")
        .into_iter()
        .map(|object| object.key)
        .collect();
    assert_eq!(left, ["b", "kept/c"]);
}
