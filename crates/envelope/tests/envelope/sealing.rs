//! What the envelope promises.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use wharf_domain::connection::SealedCredentials;
use wharf_domain::provider::{CredentialType, Provider};
use wharf_domain::secret::{SecretBytes, SecretKey};
use wharf_envelope::{Binding, OpenError, SealError};
use wharf_ports::{KeyContext, KeyRing, OrganizationKey};

use crate::desk::{Desk, Keys, binding, google_audience, organization, s3_audience, secret};

const TEXT: &str = r#"{"type":"access_key","secret_access_key":"wJalrXUtnFEMI"}"#;

async fn opens(desk: &Desk, binding: &Binding, sealed: &SealedCredentials) -> bool {
    match desk.envelope.open(binding, sealed).await {
        Ok(_) => true,
        Err(OpenError::Integrity | OpenError::Malformed) => false,
        Err(other) => panic!("{other}"),
    }
}

/// Every combination of two values in each part of a binding.
pub(crate) fn bindings() -> Vec<Binding> {
    let mut all = Vec::new();
    for owner in ['a', 'b'] {
        for connection in ["conn_ccccccccccccccc", "conn_ddddddddddddddd"] {
            for provider in [Provider::S3, Provider::Tigris] {
                for credential_type in [CredentialType::AccessKey, CredentialType::IamRole] {
                    for credential_version in [1, 2] {
                        for audience in
                            [s3_audience("https://store.example.com"), google_audience()]
                        {
                            all.push(Binding {
                                organization: organization(owner),
                                connection: connection.parse().unwrap(),
                                provider,
                                credential_type,
                                credential_version,
                                audience,
                            });
                        }
                    }
                }
            }
        }
    }
    all
}

#[tokio::test]
async fn sealed_credentials_open_under_their_own_binding_and_no_other() {
    let desk = Desk::new();
    let bindings = bindings();
    for home in &bindings {
        let sealed = desk.envelope.seal(home, &secret(TEXT)).await.unwrap();
        for place in &bindings {
            assert_eq!(
                opens(&desk, place, &sealed).await,
                place == home,
                "from {home:?} to {place:?}"
            );
        }
    }
}

#[tokio::test]
async fn another_organization_is_refused_even_with_the_same_key() {
    let desk = Desk::new();
    let key = SecretKey::new([9; 32]);
    for owner in ['a', 'b'] {
        let organization = organization(owner);
        let context = KeyContext {
            organization: organization.clone(),
            version: 1,
        };
        let wrapped = desk.ring.wrap(&context, &key).await.unwrap();
        desk.keys.stored.lock().unwrap().insert(
            (organization, 1),
            OrganizationKey {
                version: 1,
                wrapped,
            },
        );
    }
    let sealed = desk.envelope.seal(&binding(), &secret(TEXT)).await.unwrap();
    let other = Binding {
        organization: organization('b'),
        ..binding()
    };
    assert!(opens(&desk, &binding(), &sealed).await);
    assert!(!opens(&desk, &other, &sealed).await);
}

#[tokio::test]
async fn every_flipped_bit_is_refused() {
    let desk = Desk::new();
    let sealed = desk.envelope.seal(&binding(), &secret(TEXT)).await.unwrap();
    for at in 0..sealed.0.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed.0[at] ^= 1 << bit;
            assert!(
                !opens(&desk, &binding(), &changed).await,
                "bit {bit} of byte {at}"
            );
        }
    }
}

#[tokio::test]
async fn every_truncation_and_any_addition_is_refused() {
    let desk = Desk::new();
    let sealed = desk
        .envelope
        .seal(&binding(), &secret(&TEXT.repeat(10)))
        .await
        .unwrap();
    for length in 0..sealed.0.len() {
        let cut = SealedCredentials(sealed.0[..length].to_vec());
        assert!(!opens(&desk, &binding(), &cut).await, "cut to {length}");
    }
    for more in [1, 16, 256, 512] {
        let longer = SealedCredentials([sealed.0.as_slice(), &vec![0; more]].concat());
        assert!(!opens(&desk, &binding(), &longer).await, "{more} more");
    }
}

#[tokio::test]
async fn parts_of_two_sealed_texts_do_not_combine() {
    let desk = Desk::new();
    let one = desk.envelope.seal(&binding(), &secret(TEXT)).await.unwrap();
    let other = desk.envelope.seal(&binding(), &secret(TEXT)).await.unwrap();
    for at in 21..one.0.len() {
        let spliced = SealedCredentials([&one.0[..at], &other.0[at..]].concat());
        assert!(!opens(&desk, &binding(), &spliced).await, "spliced at {at}");
    }
}

#[tokio::test]
async fn equal_texts_are_sealed_to_bytes_that_share_no_block() {
    let desk = Desk::new();
    let one = desk.envelope.seal(&binding(), &secret(TEXT)).await.unwrap();
    let other = desk.envelope.seal(&binding(), &secret(TEXT)).await.unwrap();
    for (first, second) in one.0[9..].chunks(16).zip(other.0[9..].chunks(16)) {
        assert_ne!(first, second);
    }
}

#[tokio::test]
async fn nothing_of_the_text_shows_in_bytes_or_debug() {
    let desk = Desk::new();
    let sealed = desk.envelope.seal(&binding(), &secret(TEXT)).await.unwrap();
    let shown = format!("{sealed:?} {:?} {:?}", desk.envelope, binding());
    for piece in TEXT.as_bytes().windows(4) {
        assert!(!sealed.0.windows(4).any(|window| window == piece));
    }
    assert!(!shown.contains("wJalr") && !shown.contains("secret"));
}

#[tokio::test]
async fn secrets_of_different_length_are_equally_long_when_sealed() {
    let desk = Desk::new();
    let short = desk.envelope.seal(&binding(), &secret("a")).await.unwrap();
    let long = desk
        .envelope
        .seal(&binding(), &secret(&"a".repeat(252)))
        .await
        .unwrap();
    let longer = desk
        .envelope
        .seal(&binding(), &secret(&"a".repeat(253)))
        .await
        .unwrap();
    assert_eq!(
        (short.0.len(), long.0.len(), longer.0.len()),
        (417, 417, 673)
    );
}

#[tokio::test]
async fn an_incomplete_binding_is_refused_before_any_key_is_touched() {
    let desk = Desk::new();
    desk.keys.down.store(true, Ordering::SeqCst);
    let unbound = Binding {
        credential_version: 0,
        ..binding()
    };
    let sealing = desk.envelope.seal(&unbound, &secret(TEXT)).await;
    let opening = desk
        .envelope
        .open(&unbound, &SealedCredentials(vec![]))
        .await;
    assert!(matches!(sealing, Err(SealError::Binding(_))));
    assert!(matches!(opening, Err(OpenError::Binding(_))));
}

#[tokio::test]
async fn too_long_a_text_and_an_unknown_organization_are_refused() {
    let desk = Desk::new();
    let long = desk
        .envelope
        .seal(&binding(), &SecretBytes::new(vec![0; (1 << 20) + 1]))
        .await;
    assert!(matches!(long, Err(SealError::TooLong)));
    let stranger = Binding {
        organization: organization('z'),
        ..binding()
    };
    let unknown = desk.envelope.seal(&stranger, &secret(TEXT)).await;
    assert!(matches!(unknown, Err(SealError::UnknownOrganization)));
}

#[tokio::test]
async fn an_organization_has_one_key_which_the_ring_opens_once() {
    let desk = Desk::new();
    for _ in 0..5 {
        let sealed = desk.envelope.seal(&binding(), &secret(TEXT)).await.unwrap();
        assert_eq!(
            desk.envelope
                .open(&binding(), &sealed)
                .await
                .unwrap()
                .expose(),
            TEXT.as_bytes()
        );
    }
    assert_eq!(desk.keys.stored.lock().unwrap().len(), 1);
    assert_eq!(desk.ring.unwraps.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn two_servers_share_the_key_that_was_stored_first() {
    let first = Desk::new();
    let second = Desk::over(first.keys.clone());
    let sealed = first
        .envelope
        .seal(&binding(), &secret(TEXT))
        .await
        .unwrap();
    let again = second
        .envelope
        .seal(&binding(), &secret(TEXT))
        .await
        .unwrap();
    assert!(opens(&second, &binding(), &sealed).await);
    assert!(opens(&first, &binding(), &again).await);
}

#[tokio::test]
async fn the_newest_key_seals_and_older_ones_still_open() {
    let desk = Desk::new();
    let old = desk.envelope.seal(&binding(), &secret(TEXT)).await.unwrap();
    let context = KeyContext {
        organization: organization('a'),
        version: 2,
    };
    let wrapped = desk
        .ring
        .wrap(&context, &SecretKey::new([3; 32]))
        .await
        .unwrap();
    desk.keys.stored.lock().unwrap().insert(
        (organization('a'), 2),
        OrganizationKey {
            version: 2,
            wrapped,
        },
    );
    let new = desk.envelope.seal(&binding(), &secret(TEXT)).await.unwrap();
    assert_eq!(
        (&old.0[5..9], &new.0[5..9]),
        ([0, 0, 0, 1].as_slice(), [0, 0, 0, 2].as_slice())
    );
    assert!(opens(&desk, &binding(), &old).await && opens(&desk, &binding(), &new).await);
}

#[tokio::test]
async fn a_key_that_is_gone_opens_nothing() {
    let desk = Desk::new();
    let sealed = desk.envelope.seal(&binding(), &secret(TEXT)).await.unwrap();
    let emptied = Desk::over(Arc::new(Keys {
        known: vec![organization('a')],
        ..Keys::default()
    }));
    assert!(matches!(
        emptied.envelope.open(&binding(), &sealed).await,
        Err(OpenError::Integrity)
    ));
}

#[tokio::test]
async fn outages_are_told_from_broken_seals_and_opened_keys_outlast_them() {
    let desk = Desk::new();
    let sealed = desk.envelope.seal(&binding(), &secret(TEXT)).await.unwrap();
    let fresh = Desk::over(desk.keys.clone());
    fresh.ring.down.store(true, Ordering::SeqCst);
    assert!(matches!(
        fresh.envelope.open(&binding(), &sealed).await,
        Err(OpenError::KeyRing(_))
    ));
    assert!(matches!(
        fresh.envelope.seal(&binding(), &secret(TEXT)).await,
        Err(SealError::KeyRing(_))
    ));
    desk.keys.down.store(true, Ordering::SeqCst);
    desk.ring.down.store(true, Ordering::SeqCst);
    assert!(matches!(
        fresh.envelope.open(&binding(), &sealed).await,
        Err(OpenError::Repository(_))
    ));
    assert!(matches!(
        desk.envelope.seal(&binding(), &secret(TEXT)).await,
        Err(SealError::Repository(_))
    ));
    assert!(opens(&desk, &binding(), &sealed).await);
}

fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(work)
}

proptest! {
    #[test]
    fn any_text_comes_back(text in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let desk = Desk::new();
        let opened = now(async {
            let sealed = desk.envelope.seal(&binding(), &SecretBytes::new(text.clone())).await.unwrap();
            desk.envelope.open(&binding(), &sealed).await.unwrap()
        });
        prop_assert_eq!(opened.expose(), text);
    }

    #[test]
    fn any_other_bytes_are_refused(
        head in prop_oneof![Just(vec![]), Just(b"SCE1\x01\0\0\0\x01".to_vec())],
        rest in proptest::collection::vec(any::<u8>(), 0..1000),
    ) {
        let desk = Desk::new();
        now(async {
            desk.envelope.seal(&binding(), &secret(TEXT)).await.unwrap();
            assert!(!opens(&desk, &binding(), &SealedCredentials([head, rest].concat())).await);
        });
    }
}
