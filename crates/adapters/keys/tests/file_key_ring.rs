//! The key ring file: what is accepted, what is refused and how, and what its keys do.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt::Write;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use tempfile::TempDir;
use wharf_domain::Timestamp;
use wharf_domain::ids::Alphabet;
use wharf_domain::secret::SecretKey;
use wharf_keys::{FileKeyRing, InvalidKeyRing, KeyRingFileError};
use wharf_ports::{IdSource, KeyContext, KeyRing, KeyRingError, WrappedKey};

const ONES: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const TWOS: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
const THREES: &str = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";

/// Fills each buffer with a byte of its own.
#[derive(Default)]
struct CountingIds(AtomicU8);

impl IdSource for CountingIds {
    fn token(&self, _: Alphabet, length: usize) -> String {
        "0".repeat(length)
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::SeqCst) + 1);
    }
}

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn context(letter: char, version: u32) -> KeyContext {
    let organization = format!("int_{}", String::from(letter).repeat(24))
        .parse()
        .unwrap();
    KeyContext {
        organization,
        version,
    }
}

fn key(id: &str, state: &str, key: &str) -> String {
    format!(
        r#"{{"id":"{id}","created_at":"2026-01-02T03:04:05Z","state":"{state}","key":"{key}"}}"#
    )
}

fn ring(primary: &str, keys: &[String]) -> String {
    let keys = keys.join(",");
    format!(
        r#"{{"format":"wharf-key-ring/1","primary":"{primary}","keys":[{keys}],"api_key_hash_key":"{TWOS}"}}"#
    )
}

fn sound() -> String {
    ring("k1", &[key("k1", "active", ONES)])
}

fn stored(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("keyring.json");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

fn open(text: &str) -> Result<FileKeyRing, KeyRingFileError> {
    let folder = TempDir::new().unwrap();
    FileKeyRing::open(stored(&folder, text))
}

fn files(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn a_created_key_ring_is_private_and_opens_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("keyring.json");
    let created = FileKeyRing::create(&path, &CountingIds::default(), now()).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(files(folder.path()), ["keyring.json"]);

    let opened = FileKeyRing::open(&path).unwrap();
    let wrapped = created
        .wrap(&context('a', 1), &SecretKey::new([9; 32]))
        .await
        .unwrap();
    assert_eq!(wrapped.ring_key, "k1");
    assert_eq!(
        opened
            .unwrap(&context('a', 1), &wrapped)
            .await
            .unwrap()
            .expose(),
        &[9; 32]
    );
    assert_eq!(
        opened.hash_api_key(b"x").await.unwrap(),
        created.hash_api_key(b"x").await.unwrap()
    );
    opened.check().await.unwrap();
}

#[test]
fn a_created_key_ring_has_the_documented_form() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("keyring.json");
    FileKeyRing::create(&path, &CountingIds::default(), now()).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&sound()).unwrap();
    assert_eq!(written, expected);
}

#[test]
fn a_key_ring_is_never_overwritten() {
    let folder = TempDir::new().unwrap();
    let path = stored(&folder, "anything");
    let refused = FileKeyRing::create(&path, &CountingIds::default(), now());
    assert!(matches!(refused, Err(KeyRingFileError::Exists { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "anything");
    assert_eq!(files(folder.path()), ["keyring.json"]);
}

#[test]
fn a_key_ring_in_a_folder_that_is_not_there_cannot_be_created() {
    let folder = TempDir::new().unwrap();
    let refused = FileKeyRing::create(
        folder.path().join("none/keyring.json"),
        &CountingIds::default(),
        now(),
    );
    assert!(matches!(refused, Err(KeyRingFileError::Write { .. })));
}

#[test]
fn a_missing_key_ring_is_named() {
    let refused = FileKeyRing::open("/nowhere/keyring.json").unwrap_err();
    assert!(matches!(refused, KeyRingFileError::Missing { .. }));
    assert_eq!(
        refused.to_string(),
        "there is no key ring at /nowhere/keyring.json"
    );
}

#[test]
fn a_folder_is_no_key_ring() {
    let folder = TempDir::new().unwrap();
    assert!(matches!(
        FileKeyRing::open(folder.path()),
        Err(KeyRingFileError::Read { .. })
    ));
}

#[test]
fn a_key_ring_that_others_can_reach_is_refused_with_the_command_that_helps() {
    let folder = TempDir::new().unwrap();
    let path = stored(&folder, &sound());
    for mode in [0o640, 0o604, 0o620, 0o601, 0o644, 0o777] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let refused = FileKeyRing::open(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("{mode:03o}")), "{refused}");
        assert!(
            refused.ends_with(&format!("chmod 600 {}", path.display())),
            "{refused}"
        );
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        FileKeyRing::open(&path).unwrap();
    }
}

#[test]
fn what_is_no_sound_key_ring_is_refused_with_its_reason() {
    let cut = ONES[..43].to_owned();
    let cases = [
        (String::new(), InvalidKeyRing::Json { line: 1, column: 0 }),
        (
            sound().replace("primary", "first"),
            InvalidKeyRing::Json {
                line: 1,
                column: 36,
            },
        ),
        (
            sound().replace("active", "retired"),
            InvalidKeyRing::Json {
                line: 1,
                column: 116,
            },
        ),
        (
            sound().replace("ring/1", "ring/2"),
            InvalidKeyRing::Format {
                known: "wharf-key-ring/1",
            },
        ),
        (ring("k1", &[]), InvalidKeyRing::UnknownPrimary),
        (
            ring("k2", &[key("k1", "active", ONES)]),
            InvalidKeyRing::UnknownPrimary,
        ),
        (
            ring("k1", &[key("k1", "decrypt_only", ONES)]),
            InvalidKeyRing::InactivePrimary { id: "k1".into() },
        ),
        (
            ring(
                "k1",
                &[key("k1", "active", ONES), key("k1", "decrypt_only", THREES)],
            ),
            InvalidKeyRing::DuplicateKey { id: "k1".into() },
        ),
        (ring("", &[key("", "active", ONES)]), InvalidKeyRing::KeyId),
        (
            ring("k1", &[key("k 1", "active", ONES)]),
            InvalidKeyRing::KeyId,
        ),
        (
            ring("k1", &[key(&"k".repeat(33), "active", ONES)]),
            InvalidKeyRing::KeyId,
        ),
        (
            ring("k1", &[key("k1", "active", &cut)]),
            InvalidKeyRing::KeyLength {
                name: "key \"k1\"".into(),
            },
        ),
        (
            ring("k1", &[key("k1", "active", "AQEB")]),
            InvalidKeyRing::KeyLength {
                name: "key \"k1\"".into(),
            },
        ),
        (
            sound().replace(TWOS, "#"),
            InvalidKeyRing::KeyLength {
                name: "api_key_hash_key".into(),
            },
        ),
        (" ".repeat((1 << 20) + 1), InvalidKeyRing::TooLong),
    ];
    for (text, expected) in cases {
        match open(&text) {
            Err(KeyRingFileError::Invalid { reason, .. }) => {
                assert_eq!(reason, expected, "{text:.200}");
            }
            other => panic!("{text:.200} gave {other:?}"),
        }
    }
}

#[test]
fn no_key_shows_in_debug_or_errors() {
    let misplaced = sound().replace(r#""active""#, &format!("{ONES:?}"));
    let twice = sound().replace(
        r#","primary""#,
        &format!(r#","primary":"{ONES}","primary""#),
    );
    let as_primary = ring(ONES, &[key("k1", "active", TWOS)]);
    let as_id = ring("k1", &[key(ONES, "active", TWOS)]);
    let mut shown = format!("{:?}", open(&sound()).unwrap());
    for text in [
        misplaced,
        twice,
        as_primary,
        as_id,
        sound().replace(ONES, &ONES[1..]),
    ] {
        let refused = open(&text).unwrap_err();
        write!(shown, "{refused} {refused:?}").unwrap();
    }
    assert!(
        !shown.contains("AQEB") && !shown.contains("AgIC") && !shown.contains("1, 1"),
        "{shown}"
    );
}

#[tokio::test]
async fn keys_wrapped_by_the_first_release_open_and_api_keys_keep_their_hash() {
    let ring = open(&sound()).unwrap();
    // Made by an independent implementation.
    let bytes = "000102030405060708090a0bf9e4d76462bc443bbc28a586622b8ae1ec842948b7d3074233887ac2e3c57ff086dc0d7dcc\
                 00856f75ff17a1326ace4d";
    let wrapped = WrappedKey {
        ring_key: "k1".into(),
        bytes: hex::decode(bytes).unwrap(),
    };
    assert_eq!(
        ring.unwrap(&context('a', 3), &wrapped)
            .await
            .unwrap()
            .expose(),
        &[0x42; 32]
    );
    let hash = hex::encode(ring.hash_api_key(b"wh_0123456789abcdef").await.unwrap());
    assert_eq!(
        hash,
        "c11536d57728c91f3dfb95ce23734fda9a306d0d6b0f563e6312b8feb4a36c22"
    );
}

async fn is_refused(ring: &FileKeyRing, context: &KeyContext, wrapped: &WrappedKey) -> bool {
    matches!(
        ring.unwrap(context, wrapped).await,
        Err(KeyRingError::Refused)
    )
}

#[tokio::test]
async fn another_context_or_a_changed_byte_is_refused() {
    let ring = open(&sound()).unwrap();
    let home = context('a', 1);
    let wrapped = ring.wrap(&home, &SecretKey::new([9; 32])).await.unwrap();
    assert!(is_refused(&ring, &context('b', 1), &wrapped).await);
    assert!(is_refused(&ring, &context('a', 2), &wrapped).await);
    for at in 0..wrapped.bytes.len() {
        let mut changed = wrapped.clone();
        changed.bytes[at] ^= 1;
        assert!(is_refused(&ring, &home, &changed).await, "byte {at}");
        changed.bytes.truncate(at);
        assert!(is_refused(&ring, &home, &changed).await, "cut to {at}");
    }
    assert!(!is_refused(&ring, &home, &wrapped).await);
}

#[tokio::test]
async fn after_a_rotation_old_keys_open_new_ones_wrap_and_no_other_key_is_tried() {
    let old = open(&sound()).unwrap();
    let rotated = open(&ring(
        "k2",
        &[key("k1", "decrypt_only", ONES), key("k2", "active", THREES)],
    ))
    .unwrap();
    let home = context('a', 1);
    let before = old.wrap(&home, &SecretKey::new([9; 32])).await.unwrap();
    let after = rotated.wrap(&home, &SecretKey::new([8; 32])).await.unwrap();
    assert_eq!(
        (before.ring_key.as_str(), after.ring_key.as_str()),
        ("k1", "k2")
    );
    assert_eq!(
        rotated.unwrap(&home, &before).await.unwrap().expose(),
        &[9; 32]
    );
    assert_eq!(
        rotated.unwrap(&home, &after).await.unwrap().expose(),
        &[8; 32]
    );
    assert!(
        is_refused(&old, &home, &after).await,
        "the ring does not hold that key"
    );
    let renamed = WrappedKey {
        ring_key: "k1".into(),
        ..after
    };
    assert!(
        is_refused(&rotated, &home, &renamed).await,
        "only the named key may be tried"
    );
    assert_eq!(
        old.hash_api_key(b"x").await.unwrap(),
        rotated.hash_api_key(b"x").await.unwrap()
    );
}

#[tokio::test]
async fn a_key_is_bound_to_the_name_of_the_ring_key_that_wrapped_it() {
    let named = open(&ring(
        "k1",
        &[key("k1", "active", ONES), key("k2", "active", ONES)],
    ))
    .unwrap();
    let home = context('a', 1);
    let wrapped = named.wrap(&home, &SecretKey::new([9; 32])).await.unwrap();
    let renamed = WrappedKey {
        ring_key: "k2".into(),
        ..wrapped
    };
    assert!(is_refused(&named, &home, &renamed).await);
}

#[tokio::test]
async fn the_same_key_is_never_wrapped_to_the_same_bytes() {
    let ring = open(&sound()).unwrap();
    let one = ring
        .wrap(&context('a', 1), &SecretKey::new([9; 32]))
        .await
        .unwrap();
    let other = ring
        .wrap(&context('a', 1), &SecretKey::new([9; 32]))
        .await
        .unwrap();
    assert_ne!(one.bytes[..12], other.bytes[..12]);
    assert_ne!(one.bytes[12..], other.bytes[12..]);
    assert!(!one.bytes.windows(4).any(|window| window == [9; 4]));
}

#[tokio::test]
async fn api_keys_hash_differently_from_each_other_and_on_other_rings() {
    let ring = open(&sound()).unwrap();
    let other = open(&sound().replace(TWOS, THREES)).unwrap();
    let hash = ring.hash_api_key(b"wh_one").await.unwrap();
    assert_ne!(hash, ring.hash_api_key(b"wh_two").await.unwrap());
    assert_ne!(hash, other.hash_api_key(b"wh_one").await.unwrap());
}

#[tokio::test]
async fn requests_are_hashed_part_by_part_under_a_key_of_their_own() {
    let ring = open(&sound()).unwrap();
    let other = open(&sound().replace(TWOS, THREES)).unwrap();
    let hash = ring.hash_request(&[b"ab", b"c"]).await.unwrap();
    assert_eq!(hash, ring.hash_request(&[b"ab", b"c"]).await.unwrap());
    assert_ne!(hash, ring.hash_request(&[b"a", b"bc"]).await.unwrap());
    assert_ne!(hash, other.hash_request(&[b"ab", b"c"]).await.unwrap());
    let alone = ring.hash_request(&[]).await.unwrap();
    assert_ne!(alone, ring.hash_api_key(b"").await.unwrap());
}
