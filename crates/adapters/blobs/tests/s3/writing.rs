//! Writing to a store that fails, and in parts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use sha2::{Digest, Sha256};
use wharf_blobs::S3Fault;
use wharf_lab::{Action, FaultRule, JournalEntry, Lab, Match};
use wharf_ports::{BlobError, BlobStore};

use crate::stores::{BUCKET, MIB, key, later, on_a_lab, pattern, read, stream_of};

fn is_part(entry: &JournalEntry) -> bool {
    let query = entry.query.as_deref().unwrap_or_default();
    entry.method == "PUT" && query.contains("partNumber=")
}

fn parts_arrived(lab: &Lab) -> usize {
    let arrived = |entry: &JournalEntry| is_part(entry) && entry.status == Some(200);
    lab.journal().iter().filter(|entry| arrived(entry)).count()
}

/// Waits until so many parts have arrived.
async fn arrival(lab: &Lab, parts: usize) {
    while parts_arrived(lab) < parts {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn fault(error: &BlobError) -> &S3Fault {
    let BlobError::Unavailable(source) = error else {
        panic!("the store is not available: {error:?}")
    };
    source.downcast_ref().expect("the store's fault")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_megabytes_go_out_in_parts_of_which_two_are_held() {
    let (lab, store) = on_a_lab().await;
    let size = 50 * MIB + 12_345;
    let most_held = Arc::new(AtomicUsize::new(0));
    let watched = {
        let (lab, most_held) = (Arc::clone(&lab), Arc::clone(&most_held));
        let mut taken = 0;
        stream_of(size).inspect(move |piece| {
            taken += piece.as_ref().map_or(0, bytes::Bytes::len);
            let held = taken.saturating_sub(parts_arrived(&lab) * 8 * MIB);
            most_held.fetch_max(held, Ordering::Relaxed);
        })
    };
    let stored = store.put(&key(1), watched.boxed()).await.unwrap();
    assert_eq!(stored.size_bytes, size as u64);
    let whole = pattern(0, size);
    assert_eq!(stored.sha256, hex::encode(Sha256::digest(&whole)));
    assert_eq!(parts_arrived(&lab), 7);
    let held = most_held.load(Ordering::Relaxed);
    assert!(held <= 17 * MIB, "{held} bytes were held at once");
    assert!(read(&store, &key(1), 0, u64::MAX).await == whole);
}

#[tokio::test]
async fn a_store_that_fails_in_the_middle_keeps_nothing() {
    let (lab, store) = on_a_lab().await;
    let third = Match::method("PUT").query_contains("partNumber=3");
    lab.add_fault(FaultRule::new(third, Action::s3_error("AccessDenied")));
    let error = store.put(&key(1), stream_of(40 * MIB)).await.unwrap_err();
    assert!(!fault(&error).may_pass());
    assert_eq!(lab.objects(BUCKET), []);
    assert_eq!(store.list(None, 10).await.unwrap(), []);
    let aborted = |entry: &JournalEntry| entry.method == "DELETE" && entry.status == Some(204);
    assert!(lab.journal().iter().any(aborted), "the upload is aborted");
    lab.clear_faults();
    store
        .put(&key(1), stream_of(9 * MIB))
        .await
        .expect("the key is still free");
}

#[tokio::test]
async fn a_writer_that_goes_away_leaves_nothing_to_see() {
    let (lab, store) = on_a_lab().await;
    let stalled = stream_of(20 * MIB).chain(stream::pending()).boxed();
    let key = key(1);
    let put = store.put(&key, stalled);
    tokio::select! {
        _ = put => unreachable!("the stream never ends"),
        () = arrival(&lab, 2) => {}
    }
    assert_eq!(parts_arrived(&lab), 2);
    assert_eq!(lab.objects(BUCKET), []);
    assert_eq!(store.list(None, 10).await.unwrap(), []);
    assert!(matches!(
        store.open(&key, 0, 1).await.err(),
        Some(BlobError::NotFound)
    ));
}

#[tokio::test]
async fn a_blob_of_many_parts_is_written_once_too() {
    let (_lab, store) = on_a_lab().await;
    store.put(&key(1), stream_of(9 * MIB)).await.unwrap();
    let again = store.put(&key(1), stream_of(10 * MIB)).await;
    assert!(matches!(again, Err(BlobError::Exists)), "{again:?}");
    assert_eq!(read(&store, &key(1), 0, u64::MAX).await.len(), 9 * MIB);
}

#[tokio::test]
async fn what_passes_is_tried_again_when_the_store_wants() {
    let (lab, store) = on_a_lab().await;
    let slow_down = Action::s3_error("SlowDown").header("retry-after", "1");
    let twice = Match::method("PUT").times(2);
    lab.add_fault(FaultRule::new(twice, slow_down));
    let begun = Instant::now();
    store.put(&key(1), stream_of(1000)).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(2));
    lab.set_faults([FaultRule::new(
        Match::method("PUT").times(1),
        Action::close(),
    )]);
    store.put(&key(2), stream_of(1000)).await.unwrap();
    assert_eq!(read(&store, &key(2), 0, 1000).await, pattern(0, 1000));
}

#[tokio::test]
async fn a_store_that_stays_busy_is_given_up() {
    let (lab, store) = on_a_lab().await;
    let busy = FaultRule::new(Match::method("PUT"), Action::s3_error("SlowDown"));
    lab.add_fault(busy);
    let error = store.put(&key(1), stream_of(1000)).await.unwrap_err();
    assert!(fault(&error).may_pass());
    let asked = lab
        .journal()
        .iter()
        .filter(|entry| entry.method == "PUT")
        .count();
    assert_eq!(asked, 4);
    lab.set_faults([FaultRule::new(
        Match::method("PUT"),
        Action::s3_error("SlowDown").header("retry-after", "3600"),
    )]);
    let begun = Instant::now();
    store.put(&key(1), stream_of(1000)).await.unwrap_err();
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "an hour is not waited for"
    );
}

#[tokio::test]
async fn a_store_that_knows_no_conditions_is_written_to_without() {
    let (lab, store) = on_a_lab().await;
    lab.add_fault(FaultRule::new(
        Match::method("PUT").times(1),
        Action::s3_error("NotImplemented"),
    ));
    store.put(&key(1), stream_of(1000)).await.unwrap();
    let again = store.put(&key(1), stream_of(1000)).await;
    assert!(
        matches!(again, Err(BlobError::Exists)),
        "it is looked for first: {again:?}"
    );
}

#[tokio::test]
async fn an_upload_is_ended_when_it_was_left_for_a_week_and_not_before() {
    let (lab, store) = on_a_lab().await;
    let stalled = stream_of(9 * MIB).chain(stream::pending()).boxed();
    let key = key(1);
    tokio::select! {
        _ = store.put(&key, stalled) => unreachable!("the stream never ends"),
        () = arrival(&lab, 1) => {}
    }
    let aborts = || {
        let aborted = |entry: &&JournalEntry| entry.method == "DELETE";
        lab.journal().iter().filter(aborted).count()
    };
    for (days, ended) in [(0, 0), (6, 0), (8, 1), (9, 1)] {
        let store = later(&lab, Duration::from_hours(24 * days));
        assert_eq!(store.list(None, 10).await.unwrap(), []);
        assert_eq!(aborts(), ended, "after {days} days");
    }
}

#[tokio::test]
async fn blobs_grow_old() {
    let (lab, store) = on_a_lab().await;
    store.put(&key(1), stream_of(10)).await.unwrap();
    let day = Duration::from_hours(24);
    let age = later(&lab, day).list(None, 10).await.unwrap()[0].age;
    assert!(age >= day && age < day + Duration::from_mins(1), "{age:?}");
}

#[tokio::test]
async fn a_blob_of_parts_is_not_older_than_its_upload_may_have_taken() {
    let (lab, store) = on_a_lab().await;
    store.put(&key(1), stream_of(9 * MIB)).await.unwrap();
    let day = Duration::from_hours(24);
    for (days, old) in [(0, 0), (2, 0), (7, 0), (8, 1), (9, 2)] {
        let listed = later(&lab, day * days).list(None, 10).await.unwrap();
        let age = listed[0].age;
        assert!(
            age >= day * old && age < day * old + Duration::from_mins(1),
            "{days}: {age:?}"
        );
    }
}
