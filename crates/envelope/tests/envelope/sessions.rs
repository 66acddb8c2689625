//! An access token is sealed as credentials are, for one connection, its credentials and their audience.

use wharf_domain::connection::SealedCredentials;
use wharf_envelope::{OpenError, SessionBinding};

use crate::desk::{Desk, secret};
use crate::sealing::bindings;

#[tokio::test]
async fn a_sealed_token_opens_for_its_own_connection_version_and_audience_and_for_nothing_else() {
    let desk = Desk::new();
    let envelope = &desk.envelope;
    for home in bindings() {
        let token = SessionBinding::of(home.clone());
        let sealed = envelope
            .seal_token(&token, &secret("access"))
            .await
            .unwrap();
        for place in bindings() {
            let opened = envelope
                .open_token(&SessionBinding::of(place.clone()), &sealed)
                .await;
            match opened {
                Ok(opened) => assert_eq!((place, opened.expose()), (home.clone(), &b"access"[..])),
                Err(error) => {
                    assert!(matches!(error, OpenError::Integrity), "{error}");
                    assert_ne!(place, home);
                }
            }
        }
    }
}

#[tokio::test]
async fn tokens_do_not_open_as_credentials_nor_credentials_as_tokens() {
    let desk = Desk::new();
    let envelope = &desk.envelope;
    let binding = crate::desk::binding();
    let token = SessionBinding::of(binding.clone());
    let sealed = envelope
        .seal_token(&token, &secret("access"))
        .await
        .unwrap();
    let opened = envelope.open(&binding, &SealedCredentials(sealed)).await;
    assert!(matches!(opened, Err(OpenError::Integrity)));
    let SealedCredentials(sealed) = envelope.seal(&binding, &secret("access")).await.unwrap();
    let opened = envelope.open_token(&token, &sealed).await;
    assert!(matches!(opened, Err(OpenError::Integrity)));
}
