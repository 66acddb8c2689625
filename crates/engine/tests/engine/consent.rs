//! Consent in a browser, below the API: what is stored of it, and what it proves to the provider.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use wharf_domain::connection::ConnectionName;
use wharf_domain::provider::{EndpointUrl, Provider};
use wharf_domain::secret::SecretString;
use wharf_engine::{
    BeginConsent, BegunConsent, ConsentAnswered, ConsentClientFields, ConsentGoal, Engine,
    EngineError, Visitor,
};
use wharf_testkit::provider::{FakeConsent, FakeProviderFactory};

use crate::world::World;

fn engine(world: &World) -> (Engine, FakeConsent) {
    let factory = FakeProviderFactory::new(world.source.clone());
    let factory = factory.supporting(&[Provider::GoogleDrive]);
    let flow = factory.consent_flow();
    let at = EndpointUrl::parse("https://wharf.example").unwrap();
    (world.engine_at(at, Arc::new(factory)), flow)
}

async fn begin(engine: &Engine, world: &World, name: &str) -> Result<BegunConsent, EngineError> {
    let begin = BeginConsent {
        provider: Provider::GoogleDrive,
        client: ConsentClientFields {
            id: "app".to_owned(),
            secret: SecretString::new("app-secret".to_owned()),
        },
        goal: ConsentGoal::New {
            name: ConnectionName::parse(name).unwrap(),
            description: None,
            metadata: serde_json::Map::new(),
            settings: serde_json::Map::new(),
            test_before_save: true,
        },
    };
    engine.begin_consent(&world.caller, begin).await
}

fn parameter(begun: &BegunConsent, name: &str) -> String {
    let (_, query) = begun.authorization_url.split_once('?').unwrap();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(found, _)| *found == name)
        .unwrap()
        .1
        .to_owned()
}

async fn finish(engine: &Engine, state: &str) -> Result<String, EngineError> {
    let state = SecretString::new(state.to_owned());
    let code = ConsentAnswered::Code(SecretString::new("code".to_owned()));
    let finished = engine
        .finish_consent(Provider::GoogleDrive, &state, code, Visitor::default())
        .await;
    finished.map(|connection| connection.name.as_str().to_owned())
}

#[tokio::test]
async fn what_the_exchange_brings_hashes_to_what_the_address_began_with() {
    let world = World::new().await;
    let (engine, flow) = engine(&world);
    let begun = begin(&engine, &world, "drive").await.unwrap();
    let another = begin(&engine, &world, "another").await.unwrap();
    for name in ["state", "code_challenge"] {
        assert_ne!(parameter(&begun, name), parameter(&another, name));
    }
    finish(&engine, &parameter(&begun, "state")).await.unwrap();
    let verifier = &flow.exchanges()[0].verifier;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    assert_eq!(challenge, parameter(&begun, "code_challenge"));
    assert!(!begun.authorization_url.contains(verifier.as_str()));
}

#[tokio::test]
async fn nothing_that_is_stored_finishes_a_consent_or_says_a_secret_and_a_row_moved_elsewhere_does_not_open()
 {
    let world = World::new().await;
    let (engine, flow) = engine(&world);
    let across = &world.repositories.across;
    let begun = begin(&engine, &world, "drive").await.unwrap();
    let state = parameter(&begun, "state");
    let hash = |state: &str| hex::encode(Sha256::digest(state.as_bytes()));
    let stored = across.take_consent(&hash(&state)).await.unwrap().unwrap();
    let told = format!("{stored:?} {}", String::from_utf8_lossy(&stored.sealed));
    for secret in [state.as_str(), "app-secret"] {
        assert!(!told.contains(secret), "{told}");
    }
    // Under the hash of another state it does not open.
    let moved = wharf_ports::StoredConsent {
        state_sha256: hash("another"),
        ..stored
    };
    let ttl = std::time::Duration::from_mins(1);
    world.repositories.consents.begin(moved, ttl).await.unwrap();
    let refused = finish(&engine, "another").await;
    assert!(
        matches!(refused, Err(EngineError::Internal(_))),
        "{refused:?}"
    );
    assert!(flow.exchanges().is_empty());
}

#[tokio::test]
async fn of_two_browsers_with_one_state_one_finishes() {
    let world = World::new().await;
    let (engine, flow) = engine(&world);
    let begun = begin(&engine, &world, "drive").await.unwrap();
    let state = parameter(&begun, "state");
    let (one, other) = tokio::join!(finish(&engine, &state), finish(&engine, &state));
    assert_eq!([&one, &other].iter().filter(|done| done.is_ok()).count(), 1);
    assert_eq!(flow.exchanges().len(), 1);
}

#[tokio::test]
async fn an_organization_has_a_hundred_consents_under_way_at_most() {
    let world = World::new().await;
    let (engine, _) = engine(&world);
    for number in 0..100 {
        begin(&engine, &world, &format!("drive {number}"))
            .await
            .unwrap();
    }
    let refused = begin(&engine, &world, "one more").await;
    assert!(matches!(
        refused,
        Err(EngineError::Conflict {
            code: "too_many_consents",
            ..
        })
    ));
    world.clock.advance(std::time::Duration::from_mins(11));
    begin(&engine, &world, "one more").await.unwrap();
}
