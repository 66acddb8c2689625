//! The channels of webhooks are sealed as credentials are, and neither opens as the other.

use wharf_domain::connection::SealedCredentials;
use wharf_domain::webhook::SealedChannels;
use wharf_envelope::{Binding, ChannelsBinding, OpenError};

use crate::desk::{Desk, binding, organization, secret};

fn channels() -> ChannelsBinding {
    ChannelsBinding {
        organization: organization('a'),
        webhook: "wh_0123456789abcdef".parse().unwrap(),
        secret_version: 1,
        audience: "https://a.example".to_owned(),
    }
}

#[tokio::test]
async fn sealed_channels_open_under_their_own_binding_and_no_other() {
    let desk = Desk::new();
    let sealed = desk
        .envelope
        .seal_channels(&channels(), &secret("[1]"))
        .await
        .unwrap();
    let opened = desk.envelope.open_channels(&channels(), &sealed).await;
    assert_eq!(opened.unwrap().expose(), b"[1]");
    for other in [
        ChannelsBinding {
            organization: organization('b'),
            ..channels()
        },
        ChannelsBinding {
            webhook: "wh_0123456789abcde0".parse().unwrap(),
            ..channels()
        },
        ChannelsBinding {
            secret_version: 2,
            ..channels()
        },
        ChannelsBinding {
            audience: "https://b.example".to_owned(),
            ..channels()
        },
    ] {
        let refused = desk.envelope.open_channels(&other, &sealed).await;
        assert!(matches!(refused, Err(OpenError::Integrity)), "{other:?}");
    }
}

#[tokio::test]
async fn channels_do_not_open_as_credentials_nor_credentials_as_channels() {
    let desk = Desk::new();
    let binding: Binding = binding();
    let sealed = desk
        .envelope
        .seal_channels(&channels(), &secret("[]"))
        .await
        .unwrap();
    let opened = desk
        .envelope
        .open(&binding, &SealedCredentials(sealed.0))
        .await;
    assert!(matches!(opened, Err(OpenError::Integrity)));
    let sealed = desk.envelope.seal(&binding, &secret("{}")).await.unwrap();
    let opened = desk
        .envelope
        .open_channels(&channels(), &SealedChannels(sealed.0))
        .await;
    assert!(matches!(opened, Err(OpenError::Integrity)));
}

#[tokio::test]
async fn channels_without_a_version_or_an_audience_are_not_sealed() {
    let desk = Desk::new();
    for incomplete in [
        ChannelsBinding {
            secret_version: 0,
            ..channels()
        },
        ChannelsBinding {
            audience: String::new(),
            ..channels()
        },
    ] {
        assert!(
            desk.envelope
                .seal_channels(&incomplete, &secret("[]"))
                .await
                .is_err()
        );
    }
}
