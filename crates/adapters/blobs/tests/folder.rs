//! What a folder of blobs promises beside the contract: nothing half written, nothing readable by others, nothing
//! outside the root.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use tempfile::TempDir;
use wharf_blobs::FolderBlobs;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::object::BlobKey;
use wharf_ports::{BlobError, BlobStore, ByteStream, ProviderError};

const HOUR: Duration = Duration::from_hours(1);

fn store() -> (TempDir, FolderBlobs) {
    let folder = TempDir::new().unwrap();
    let store = FolderBlobs::open(folder.path().join("blobs")).unwrap();
    (folder, store)
}

fn key(letter: char, token: u128) -> BlobKey {
    let organization = format!("int_{}", String::from(letter).repeat(24))
        .parse()
        .unwrap();
    BlobKey::new(
        &organization,
        &"bkt_0123456789abcdef".parse().unwrap(),
        &format!("{token:032x}"),
    )
}

fn bytes(pieces: Vec<&'static [u8]>) -> ByteStream {
    stream::iter(pieces)
        .map(|piece| Ok(Bytes::from_static(piece)))
        .boxed()
}

fn broken_off() -> ByteStream {
    let lost = ProviderError::transient(ErrorCode::Internal, "lost");
    stream::iter([Ok(Bytes::from_static(b"first")), Err(lost)]).boxed()
}

async fn whole(store: &FolderBlobs, key: &BlobKey) -> Vec<u8> {
    let pieces: Vec<Bytes> = store
        .open(key, 0, u64::MAX)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    pieces.concat()
}

/// Every file under a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

fn make_older(file: &Path, by: Duration) {
    let file = File::options().write(true).open(file).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    file.set_modified(modified - by).unwrap();
}

#[tokio::test]
async fn a_blob_lies_under_its_organization_bucket_and_first_digits() {
    let (folder, store) = store();
    let key = key('a', 0xab << 120);
    let stored = store.put(&key, bytes(vec![b"hel", b"lo"])).await.unwrap();
    assert_eq!(stored.size_bytes, 5);
    assert_eq!(
        stored.sha256,
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    );
    let place = format!(
        "blobs/int_{}/bkt_0123456789abcdef/ab/ab{}",
        "a".repeat(24),
        "0".repeat(30)
    );
    assert_eq!(fs::read(folder.path().join(place)).unwrap(), b"hello");
}

#[tokio::test]
async fn everything_is_readable_by_the_owner_only() {
    let (folder, store) = store();
    store.put(&key('a', 1), bytes(vec![b"x"])).await.unwrap();
    let blob = files(folder.path()).pop().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&blob), 0o600);
    let above = blob
        .ancestors()
        .skip(1)
        .take_while(|above| *above != folder.path());
    let modes: Vec<_> = above.map(mode).collect();
    assert_eq!(modes, [0o700; 4]);
    assert_eq!(mode(&folder.path().join("blobs/.incoming")), 0o700);
}

#[tokio::test]
async fn a_stream_that_fails_leaves_no_file() {
    let (folder, store) = store();
    assert!(matches!(
        store.put(&key('a', 1), broken_off()).await,
        Err(BlobError::Source(_))
    ));
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_write_that_is_given_up_leaves_no_file() {
    let (folder, store) = store();
    let key = key('a', 1);
    let endless = bytes(vec![b"first"]).chain(stream::pending()).boxed();
    let mut writing = store.put(&key, endless);
    for _ in 0..1000 {
        assert!(writing.as_mut().now_or_never().is_none());
        if files(folder.path())
            .iter()
            .any(|file| fs::metadata(file).unwrap().len() == 5)
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(files(folder.path()).len(), 1, "it was being written");
    assert_eq!(store.list(None, 10).await.unwrap(), []);
    drop(writing);
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_taken_key_keeps_its_bytes_and_the_second_write_leaves_nothing() {
    let (folder, store) = store();
    store
        .put(&key('a', 1), bytes(vec![b"first"]))
        .await
        .unwrap();
    assert!(matches!(
        store.put(&key('a', 1), bytes(vec![b"second"])).await,
        Err(BlobError::Exists)
    ));
    assert_eq!(whole(&store, &key('a', 1)).await, b"first");
    assert_eq!(files(folder.path()).len(), 1);
}

#[tokio::test]
async fn of_many_writers_of_one_key_one_wins() {
    let (folder, store) = store();
    let writers = (0..16).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.put(&key('a', 1), bytes(vec![b"same"])).await })
    });
    let ended = futures::future::join_all(writers.collect::<Vec<_>>()).await;
    let (stored, refused): (Vec<_>, Vec<_>) = ended
        .into_iter()
        .map(Result::unwrap)
        .partition(Result::is_ok);
    assert_eq!((stored.len(), refused.len()), (1, 15));
    assert!(
        refused
            .iter()
            .all(|refusal| matches!(refusal, Err(BlobError::Exists)))
    );
    assert_eq!(files(folder.path()).len(), 1);
}

#[tokio::test]
async fn a_reader_gets_every_byte_of_a_blob_that_is_removed_meanwhile() {
    let (_folder, store) = store();
    let text: &'static [u8] = vec![b'x'; 300_000].leak();
    store.put(&key('a', 1), bytes(vec![text])).await.unwrap();
    let mut reading = store.open(&key('a', 1), 0, u64::MAX).await.unwrap();
    let first = reading.next().await.unwrap().unwrap();
    store.remove(&key('a', 1)).await.unwrap();
    let rest: Vec<Bytes> = reading.try_collect().await.unwrap();
    assert!(rest.iter().all(|piece| piece.len() <= 64 * 1024));
    assert_eq!([vec![first], rest].concat().concat(), text);
    assert!(matches!(
        store.open(&key('a', 1), 0, 1).await,
        Err(BlobError::NotFound)
    ));
}

#[tokio::test]
async fn a_blob_that_was_cut_short_behind_our_back_is_an_error_and_no_end() {
    let (folder, store) = store();
    let text: &'static [u8] = vec![b'x'; 300_000].leak();
    store.put(&key('a', 1), bytes(vec![text])).await.unwrap();
    let reading = store.open(&key('a', 1), 0, u64::MAX).await.unwrap();
    File::options()
        .write(true)
        .open(&files(folder.path())[0])
        .unwrap()
        .set_len(100_000)
        .unwrap();
    let error = reading.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Internal);
    assert_eq!(error.message, "a blob in the blob store has been cut short");
}

#[tokio::test]
async fn scraps_older_than_a_day_are_cleared_by_opening_and_by_listing() {
    let (folder, store) = store();
    let root = folder.path().join("blobs");
    let (old, young) = (root.join(".incoming/old"), root.join(".incoming/young"));
    for round in ["open", "list"] {
        fs::write(&old, "x").unwrap();
        fs::write(&young, "x").unwrap();
        make_older(&old, 25 * HOUR);
        make_older(&young, 23 * HOUR);
        if round == "open" {
            FolderBlobs::open(&root).unwrap();
        } else {
            assert_eq!(store.list(None, 10).await.unwrap(), []);
        }
        assert_eq!(
            files(folder.path()),
            std::slice::from_ref(&young),
            "{round}"
        );
    }
}

#[tokio::test]
async fn the_list_tells_ages_and_leaves_out_what_is_no_blob() {
    let (folder, store) = store();
    store.put(&key('a', 1), bytes(vec![b"x"])).await.unwrap();
    make_older(&files(folder.path())[0], 2 * HOUR);
    let shard = files(folder.path())[0].parent().unwrap().to_owned();
    let root = folder.path().join("blobs");
    let misplaced = format!("{:032x}", 0xab_u128 << 120);
    for foreign in [
        root.join("README"),
        shard.join("notes"),
        shard.join(misplaced),
        shard.join("../zz"),
    ] {
        fs::write(foreign, "x").unwrap();
    }
    fs::create_dir(root.join("lost+found")).unwrap();
    let listed = store.list(None, 10).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].key, key('a', 1));
    assert!(listed[0].age >= 2 * HOUR && listed[0].age < 3 * HOUR);
}

#[tokio::test]
async fn lists_go_on_after_any_key_in_the_order_of_the_keys() {
    let (_folder, store) = store();
    let mut keys: Vec<_> = (0..40)
        .map(|n| key(['a', 'B'][n % 2], 0x9e37_79b9 * n as u128))
        .collect();
    keys.extend((0..40).map(|n| key('a', (0x9e37_79b9_u128 * n) << 96)));
    keys.sort();
    keys.dedup();
    for key in &keys {
        store.put(key, bytes(vec![b"x"])).await.unwrap();
    }
    let listed = async |after: Option<&BlobKey>, limit| {
        let places = store.list(after, limit).await.unwrap();
        places
            .into_iter()
            .map(|place| place.key)
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(None, 1000).await, keys);
    assert_eq!(listed(None, 0).await, []);
    for (at, after) in keys.iter().enumerate() {
        assert_eq!(listed(Some(after), 1000).await, keys[at + 1..]);
        assert_eq!(
            listed(Some(after), 3).await,
            keys[at + 1..(at + 4).min(keys.len())]
        );
    }
    assert_eq!(
        listed(Some(&key('0', 0)), 1).await,
        keys[..1],
        "the key need not be there"
    );
    store.remove(&keys[5]).await.unwrap();
    assert_eq!(listed(Some(&keys[4]), 1).await, [keys[6].clone()]);
}

#[tokio::test]
async fn a_token_that_is_no_token_never_becomes_a_path() {
    let (folder, store) = store();
    let bucket = "bkt_0123456789abcdef".parse().unwrap();
    for token in [
        "../../../../../../outside",
        "/tmp/outside",
        "ab",
        "",
        "..",
        "é",
    ] {
        let key = BlobKey::new(
            &format!("int_{}", "a".repeat(24)).parse().unwrap(),
            &bucket,
            token,
        );
        assert!(
            matches!(
                store.put(&key, bytes(vec![b"x"])).await,
                Err(BlobError::Unavailable(_))
            ),
            "{token}"
        );
        assert!(store.open(&key, 0, 1).await.is_err(), "{token}");
        assert!(store.remove(&key).await.is_err(), "{token}");
    }
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn blobs_are_there_after_opening_again() {
    let (folder, store) = store();
    store.put(&key('a', 1), bytes(vec![b"x"])).await.unwrap();
    drop(store);
    let again = FolderBlobs::open(folder.path().join("blobs")).unwrap();
    assert_eq!(whole(&again, &key('a', 1)).await, b"x");
    again.check().await.unwrap();
    assert_eq!(
        files(folder.path()).len(),
        1,
        "the check leaves nothing behind"
    );
}

#[tokio::test]
async fn a_store_whose_folder_is_gone_is_not_available() {
    let (folder, store) = store();
    fs::remove_dir_all(folder.path().join("blobs")).unwrap();
    assert!(matches!(
        store.check().await,
        Err(BlobError::Unavailable(_))
    ));
    assert!(matches!(
        store.put(&key('a', 1), bytes(vec![b"x"])).await,
        Err(BlobError::Unavailable(_))
    ));
    assert!(matches!(
        store.list(None, 1).await,
        Err(BlobError::Unavailable(_))
    ));
}

#[test]
fn a_file_in_the_place_of_the_folder_cannot_be_opened() {
    let folder = TempDir::new().unwrap();
    let taken = folder.path().join("blobs");
    fs::write(&taken, "x").unwrap();
    assert!(matches!(
        FolderBlobs::open(taken),
        Err(BlobError::Unavailable(_))
    ));
}
