//! Reading from a store that breaks off.

use bytes::Bytes;
use futures::TryStreamExt;
use wharf_lab::{Action, FaultRule, Match};
use wharf_ports::BlobStore;

use crate::stores::{BUCKET, key, on_a_lab, pattern, read, stream_of, words};

fn get() -> Match {
    Match::method("GET").query_contains("x-id=GetObject")
}

#[tokio::test]
async fn a_body_that_breaks_goes_on_where_it_broke() {
    let (lab, store) = on_a_lab().await;
    store.put(&key(1), stream_of(300_000)).await.unwrap();
    for (offset, length) in [(0, u64::MAX), (1000, 250_000)] {
        lab.clear_journal();
        lab.set_faults([FaultRule::new(get().times(3), Action::truncate_at(70_000))]);
        let bytes = read(&store, &key(1), offset, length).await;
        let at = usize::try_from(offset).unwrap();
        let length = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(300_000 - at);
        assert!(bytes == pattern(at, length), "from {offset}");
        let ranges: Vec<_> = lab
            .journal()
            .into_iter()
            .filter_map(|entry| entry.range)
            .collect();
        assert!(ranges.len() >= 3, "{ranges:?}");
    }
}

#[tokio::test]
async fn a_body_goes_on_in_the_same_version_or_not_at_all() {
    let (lab, store) = on_a_lab().await;
    store.put(&key(1), stream_of(300_000)).await.unwrap();
    lab.add_fault(FaultRule::new(get().times(1), Action::truncate_at(70_000)));
    let stream = store.open(&key(1), 0, u64::MAX).await.unwrap();
    let object = lab.objects(BUCKET)[0].key.clone();
    lab.put_object(BUCKET, &object, vec![7; 300_000]);
    let error = stream.try_collect::<Vec<Bytes>>().await.unwrap_err();
    assert!(words(&error).contains("not the ones"), "{}", words(&error));
}

#[tokio::test]
async fn a_body_that_always_breaks_fails_in_the_end() {
    let (lab, store) = on_a_lab().await;
    store.put(&key(1), stream_of(300_000)).await.unwrap();
    let stream = store.open(&key(1), 0, u64::MAX).await.unwrap();
    drop(stream);
    lab.add_fault(FaultRule::new(get(), Action::truncate_at(0)));
    let stream = store.open(&key(1), 0, u64::MAX).await.unwrap();
    let error = stream.try_collect::<Vec<Bytes>>().await.unwrap_err();
    assert_eq!(error.message, "the blob store failed while a blob was read");
}
