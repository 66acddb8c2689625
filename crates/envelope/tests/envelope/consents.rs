//! What is needed to finish a consent is sealed as credentials are, for one organization and one state.

use wharf_domain::connection::SealedCredentials;
use wharf_envelope::{ConsentBinding, OpenError};

use crate::desk::{Desk, binding, organization, secret};

fn consent() -> ConsentBinding {
    ConsentBinding {
        organization: organization('a'),
        state_sha256: "5".repeat(64),
    }
}

#[tokio::test]
async fn a_sealed_consent_opens_for_its_own_state_and_organization_and_for_nothing_else() {
    let desk = Desk::new();
    let envelope = &desk.envelope;
    let sealed = envelope.seal_consent(&consent(), &secret("{1}")).await;
    let sealed = sealed.unwrap();
    let opened = envelope.open_consent(&consent(), &sealed).await;
    assert_eq!(opened.unwrap().expose(), b"{1}");
    for other in [
        ConsentBinding {
            organization: organization('b'),
            ..consent()
        },
        ConsentBinding {
            state_sha256: "6".repeat(64),
            ..consent()
        },
    ] {
        let refused = envelope.open_consent(&other, &sealed).await;
        assert!(matches!(refused, Err(OpenError::Integrity)), "{other:?}");
    }
    let refused = envelope.open(&binding(), &SealedCredentials(sealed)).await;
    assert!(matches!(refused, Err(OpenError::Integrity)));
}
