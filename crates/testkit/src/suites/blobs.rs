//! What [`BlobStore`](wharf_ports::BlobStore) promises.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::ids::{BucketId, OrganizationId};
use wharf_domain::object::BlobKey;
use wharf_ports::{BlobError, ByteStream, ProviderError};

use crate::{BlobHarness, build};

fn key(h: &BlobHarness) -> BlobKey {
    build::blob_key(&h.ids, &h.ids.id(), &h.ids.id())
}

fn chunks(parts: &[&[u8]]) -> ByteStream {
    let parts: Vec<_> = parts
        .iter()
        .map(|part| Ok(Bytes::copy_from_slice(part)))
        .collect();
    stream::iter(parts).boxed()
}

async fn put(h: &BlobHarness, bytes: &[u8]) -> BlobKey {
    let key = key(h);
    h.store.put(&key, chunks(&[bytes])).await.unwrap();
    key
}

async fn read(h: &BlobHarness, key: &BlobKey, offset: u64, length: u64) -> Vec<u8> {
    let parts: Vec<Bytes> = h
        .store
        .open(key, offset, length)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    parts.concat()
}

async fn listed(h: &BlobHarness) -> Vec<BlobKey> {
    h.store
        .list(None, 1000)
        .await
        .unwrap()
        .into_iter()
        .map(|place| place.key)
        .collect()
}

pub async fn a_blob_is_read_back_byte_for_byte(h: BlobHarness) {
    let key = key(&h);
    let stored = h
        .store
        .put(&key, chunks(&[b"hel", b"", b"lo"]))
        .await
        .unwrap();
    assert_eq!(stored.size_bytes, 5);
    assert_eq!(
        stored.sha256,
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    );
    assert_eq!(read(&h, &key, 0, u64::MAX).await, b"hello");
    h.store.check().await.expect("it can be written to");
}

pub async fn an_empty_blob_is_a_blob(h: BlobHarness) {
    let key = key(&h);
    let stored = h.store.put(&key, chunks(&[])).await.unwrap();
    assert_eq!(stored.size_bytes, 0);
    assert_eq!(
        stored.sha256,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!(read(&h, &key, 0, 10).await, b"");
    assert_eq!(listed(&h).await, [key]);
}

pub async fn eight_mebibytes_arrive_whole_with_the_right_hash(h: BlobHarness) {
    let bytes: Vec<u8> = (0..8 * 1024 * 1024_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    let parts: Vec<_> = bytes
        .chunks(100_003)
        .map(|part| Ok(Bytes::copy_from_slice(part)))
        .collect();
    let key = key(&h);
    let stored = h
        .store
        .put(&key, stream::iter(parts).boxed())
        .await
        .unwrap();
    assert_eq!(stored.size_bytes, bytes.len() as u64);
    assert_eq!(stored.sha256, hex::encode(Sha256::digest(&bytes)));
    assert!(
        read(&h, &key, 0, u64::MAX).await == bytes,
        "the bytes differ"
    );
    assert!(
        read(&h, &key, 4_000_001, 70_000).await == bytes[4_000_001..4_070_001],
        "the range differs"
    );
}

pub async fn a_failing_stream_leaves_nothing_behind(h: BlobHarness) {
    let key = key(&h);
    let failure = ProviderError::transient(ErrorCode::NetworkTimeout, "no more bytes came");
    let failing = stream::iter(vec![Ok(Bytes::from(vec![7; 100_000])), Err(failure)]).boxed();
    let refused = h.store.put(&key, failing).await;
    let Err(BlobError::Source(error)) = refused else {
        panic!("the source's own error comes through: {refused:?}")
    };
    assert_eq!(error.code, ErrorCode::NetworkTimeout);
    assert!(matches!(
        h.store.open(&key, 0, 1).await.err(),
        Some(BlobError::NotFound)
    ));
    assert_eq!(listed(&h).await, []);
    h.store
        .put(&key, chunks(&[b"second try"]))
        .await
        .expect("the key is still free");
    assert_eq!(read(&h, &key, 0, 100).await, b"second try");
}

pub async fn an_abandoned_put_leaves_nothing_to_see(h: BlobHarness) {
    let key = key(&h);
    let stalled = chunks(&[b"some"]).chain(stream::pending()).boxed();
    let abandoned =
        tokio::time::timeout(Duration::from_millis(50), h.store.put(&key, stalled)).await;
    assert!(abandoned.is_err(), "the stream never ends");
    assert_eq!(listed(&h).await, []);
    assert!(matches!(
        h.store.open(&key, 0, 1).await.err(),
        Some(BlobError::NotFound)
    ));
    h.store
        .put(&key, chunks(&[b"whole"]))
        .await
        .expect("the key is still free");
}

pub async fn a_blob_appears_only_when_it_is_whole(h: BlobHarness) {
    let key = key(&h);
    let (ended, end) = futures::channel::oneshot::channel::<()>();
    let last = stream::once(async move {
        let _ = end.await;
        Ok(Bytes::from_static(b"end"))
    });
    let (store, put_key) = (h.store.clone(), key.clone());
    let writing = tokio::spawn(async move {
        store
            .put(&put_key, chunks(&[b"start "]).chain(last).boxed())
            .await
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(matches!(
        h.store.open(&key, 0, 1).await.err(),
        Some(BlobError::NotFound)
    ));
    assert_eq!(listed(&h).await, []);
    ended.send(()).unwrap();
    assert_eq!(writing.await.unwrap().unwrap().size_bytes, 9);
    assert_eq!(read(&h, &key, 0, 100).await, b"start end");
}

pub async fn a_key_is_written_once(h: BlobHarness) {
    let key = put(&h, b"first").await;
    let refused = h.store.put(&key, chunks(&[b"second"])).await;
    assert!(matches!(refused, Err(BlobError::Exists)), "{refused:?}");
    assert_eq!(read(&h, &key, 0, 100).await, b"first");
}

pub async fn of_many_writers_of_one_key_exactly_one_wins(h: BlobHarness) {
    let key = key(&h);
    let tasks = (0..8_u8).map(|n| {
        let (store, key) = (h.store.clone(), key.clone());
        tokio::spawn(async move { store.put(&key, chunks(&[&[n; 1000], &[n; 1000]])).await })
    });
    let answers = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(
        answers.iter().filter(|answer| answer.is_ok()).count(),
        1,
        "{answers:?}"
    );
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Ok(_) | Err(BlobError::Exists))),
        "{answers:?}"
    );
    let bytes = read(&h, &key, 0, 10_000).await;
    assert!(
        bytes.len() == 2000 && bytes.iter().all(|byte| *byte == bytes[0]),
        "the winner's bytes and no other's"
    );
}

pub async fn any_range_can_be_read(h: BlobHarness) {
    let key = put(&h, b"0123456789").await;
    assert_eq!(read(&h, &key, 0, 3).await, b"012");
    assert_eq!(read(&h, &key, 4, 2).await, b"45");
    assert_eq!(
        read(&h, &key, 7, 100).await,
        b"789",
        "at most what is there"
    );
    assert_eq!(read(&h, &key, 3, u64::MAX).await, b"3456789");
    assert_eq!(read(&h, &key, 3, 0).await, b"");
    assert_eq!(
        read(&h, &key, 10, 1).await,
        b"",
        "at the end there is nothing"
    );
    assert_eq!(
        read(&h, &key, u64::MAX, u64::MAX).await,
        b"",
        "past the end neither"
    );
}

pub async fn what_is_not_there_cannot_be_opened(h: BlobHarness) {
    put(&h, b"another").await;
    assert!(matches!(
        h.store.open(&key(&h), 0, 1).await.err(),
        Some(BlobError::NotFound)
    ));
}

pub async fn removing_is_for_good_and_may_be_repeated(h: BlobHarness) {
    let (gone, kept) = (put(&h, b"gone").await, put(&h, b"kept").await);
    h.store.remove(&gone).await.unwrap();
    h.store
        .remove(&gone)
        .await
        .expect("one that is not there is no error");
    h.store
        .remove(&key(&h))
        .await
        .expect("one that never was neither");
    assert!(matches!(
        h.store.open(&gone, 0, 1).await.err(),
        Some(BlobError::NotFound)
    ));
    assert_eq!(listed(&h).await, std::slice::from_ref(&kept));
    assert_eq!(read(&h, &kept, 0, 100).await, b"kept");
}

pub async fn reading_goes_on_when_the_blob_is_removed_meanwhile(h: BlobHarness) {
    let bytes = vec![5; 3 * 1024 * 1024];
    let key = put(&h, &bytes).await;
    let mut reading = h.store.open(&key, 0, u64::MAX).await.unwrap();
    let first = reading.next().await.unwrap().unwrap();
    h.store.remove(&key).await.unwrap();
    let rest: Vec<Bytes> = reading.try_collect().await.unwrap();
    assert_eq!(
        first.len() + rest.iter().map(Bytes::len).sum::<usize>(),
        bytes.len()
    );
}

pub async fn blobs_are_listed_in_the_order_of_their_keys(h: BlobHarness) {
    let organizations: Vec<OrganizationId> = vec![h.ids.id(), h.ids.id()];
    let buckets: Vec<BucketId> = vec![h.ids.id(), h.ids.id()];
    let mut keys = Vec::new();
    for organization in &organizations {
        for bucket in &buckets {
            for _ in 0..3 {
                let key = build::blob_key(&h.ids, organization, bucket);
                h.store.put(&key, chunks(&[b"x"])).await.unwrap();
                keys.push(key);
            }
        }
    }
    keys.sort();
    assert_eq!(listed(&h).await, keys);
    let mut walked: Vec<BlobKey> = Vec::new();
    loop {
        let page = h.store.list(walked.last(), 5).await.unwrap();
        assert!(page.len() <= 5, "at most as many as asked for");
        if page.is_empty() {
            break;
        }
        walked.extend(page.into_iter().map(|place| place.key));
    }
    assert_eq!(walked, keys, "each exactly once");
    h.store.remove(&keys[4]).await.unwrap();
    let after = h.store.list(Some(&keys[4]), 2).await.unwrap();
    let after: Vec<_> = after.into_iter().map(|place| place.key).collect();
    assert_eq!(
        after,
        keys[5..7],
        "a place to go on from need not exist any more"
    );
}

pub async fn a_blob_tells_its_age(h: BlobHarness) {
    let old = put(&h, b"old").await;
    h.pass(h.grain * 3 / 2).await;
    let new = put(&h, b"new").await;
    let places = h.store.list(None, 10).await.unwrap();
    let age = |key: &BlobKey| places.iter().find(|place| place.key == *key).unwrap().age;
    assert!(
        age(&old) >= Duration::from_millis(250) && age(&old) < Duration::from_mins(1),
        "{:?}",
        age(&old)
    );
    assert!(age(&new) < age(&old), "{:?} {:?}", age(&new), age(&old));
}
