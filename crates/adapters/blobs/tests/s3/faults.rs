//! What a store's no looks like to the operator, and answers that are none.

use std::sync::Arc;
use std::time::Duration;

use wharf_blobs::S3Fault;
use wharf_lab::{Action, FaultRule, KeyPair, Lab, LabConfig, Match};
use wharf_ports::{BlobError, BlobStore};

use crate::stores::{BUCKET, at, key, on_a_lab, stream_of, words};

#[tokio::test]
async fn what_the_operator_has_to_mend_is_said() {
    let restricted = KeyPair::new("RESTRICTED", "its-secret").only_buckets(["another"]);
    let config = LabConfig::default().keys([KeyPair::default(), restricted]);
    let lab = Lab::start(config).await.unwrap();
    lab.create_bucket(BUCKET);
    let (id, secret) = (lab.access_key_id(), lab.secret_access_key());
    let here = format!("s3://{BUCKET}");
    for (url, id, secret, says) in [
        (
            here.as_str(),
            id,
            "hunter2",
            "blob_store_s3.secret_access_key",
        ),
        (&here, "UNKNOWN", secret, "blob_store_s3.access_key_id"),
        (
            &here,
            "RESTRICTED",
            "its-secret",
            "s3:PutObject on the bucket wharf-blobs: the access key may not do this",
        ),
        (
            "s3://elsewhere",
            id,
            secret,
            "there is no such bucket; create it, or correct blob_store",
        ),
    ] {
        let error = at(&lab.endpoint(), url, id, secret)
            .check()
            .await
            .unwrap_err();
        let words = words(&error);
        assert!(words.contains(says), "{words}");
        assert!(!words.contains(secret), "{words}");
    }
    lab.add_fault(FaultRule::new(
        Match::any(),
        Action::s3_error("PermanentRedirect").region("eu-central-1"),
    ));
    let error = at(&lab.endpoint(), &here, id, secret)
        .check()
        .await
        .unwrap_err();
    assert!(words(&error).contains("set blob_store_s3.region to it"));
}

#[tokio::test]
async fn a_store_that_is_away_is_told_from_one_that_refuses() {
    let (lab, store) = on_a_lab().await;
    store.check().await.unwrap();
    let lab = Arc::into_inner(lab).unwrap();
    lab.shutdown().await;
    let Err(BlobError::Unavailable(source)) = store.check().await else {
        panic!("nobody answers")
    };
    let fault: &S3Fault = source.downcast_ref().unwrap();
    assert!(fault.may_pass() && fault.to_string().contains("the connection was refused"));
}

#[tokio::test]
async fn a_check_does_not_wait_for_ever_and_leaves_nothing() {
    let (lab, store) = on_a_lab().await;
    store.check().await.unwrap();
    assert_eq!(lab.objects(BUCKET), []);
    lab.add_fault(FaultRule::new(
        Match::any(),
        Action::delay(Duration::from_mins(1)),
    ));
    let error = store.check().await.unwrap_err();
    assert!(words(&error).contains("did not answer in time"));
}

#[tokio::test]
async fn a_page_for_people_is_no_store() {
    let (lab, store) = on_a_lab().await;
    store.put(&key(1), stream_of(10)).await.unwrap();
    lab.add_fault(FaultRule::new(Match::any(), Action::html()));
    let says = |error: BlobError| assert!(words(&error).contains("not an S3 store"), "{error:?}");
    says(store.put(&key(2), stream_of(10)).await.unwrap_err());
    says(store.open(&key(1), 0, 10).await.err().unwrap());
    says(store.list(None, 10).await.unwrap_err());
    says(store.check().await.unwrap_err());
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let (lab, store) = on_a_lab().await;
    let huge = Action {
        body: Some("<Error><Code>x</Code>".repeat(1_000_000)),
        ..Action::default()
    };
    let refusal = huge.clone().with_status(http::StatusCode::FORBIDDEN);
    for action in [huge, refusal] {
        lab.set_faults([FaultRule::new(Match::any(), action)]);
        for answer in [
            store.put(&key(1), stream_of(10)).await.map(|_| ()),
            store.list(None, 10).await.map(|_| ()),
            store.open(&key(1), 0, 10).await.map(|_| ()),
        ] {
            assert!(
                matches!(answer, Err(BlobError::Unavailable(_))),
                "{answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn foreign_objects_are_no_blobs() {
    let (lab, store) = on_a_lab().await;
    store.put(&key(1), stream_of(10)).await.unwrap();
    let ours = lab.objects(BUCKET)[0].key.clone();
    for foreign in [
        "some/prefix/README".to_owned(),
        "some/prefixes".to_owned(),
        format!("{ours}0"),
        ours.replace("some/prefix/", ""),
    ] {
        lab.put_object(BUCKET, &foreign, "x");
    }
    for limit in [1, 2, 100] {
        let listed = store.list(None, limit).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].key, key(1));
    }
    assert_eq!(store.list(Some(&key(1)), 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_listing_cut_short_is_not_taken_for_a_whole_one() {
    use wharf_lab::ListingFault;
    let (lab, store) = on_a_lab().await;
    for number in 0..5 {
        store.put(&key(number), stream_of(1)).await.unwrap();
    }
    let spoil = |fault| lab.set_faults([FaultRule::new(Match::any(), Action::listing(fault))]);
    spoil(ListingFault::ShortPages(2));
    assert_eq!(store.list(None, 10).await.unwrap().len(), 5);
    spoil(ListingFault::EmptyPage);
    assert_eq!(store.list(None, 3).await.unwrap().len(), 3);
    spoil(ListingFault::MissingLastModified);
    let ages = store.list(None, 10).await.unwrap();
    assert!(
        ages.iter().all(|place| place.age.is_zero()),
        "what has no date is never old enough to be swept"
    );
}
