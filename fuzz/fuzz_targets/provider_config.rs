//! Any JSON as a `provider_config`, of every provider: what is accepted is stored and read back the same, shows no
//! credential, and leads where it says.
//!
//! The first byte picks the provider, the rest is the JSON.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use wharf_domain::provider::s3::Region;
use wharf_domain::provider::{Credentials, Provider, ProviderConfig, parse_new, parse_patch};
use wharf_egress::{Guard, Policy};
use wharf_ports::ProviderFactory;
use wharf_s3::S3;

static FACTORY: LazyLock<S3> = LazyLock::new(|| S3::new(Arc::new(Guard::new(Policy::default()))));

fn assert_sound(config: &ProviderConfig) {
    let shown = config.to_json();
    assert!(!shown.contains_key("credentials"));
    let stored = ProviderConfig::from_stored(config.provider(), shown.clone())
        .expect("what is stored can be read");
    assert_eq!(&stored, config);
    assert_eq!(stored.to_json(), shown);
    assert_eq!(stored.audience(), config.audience());
    match config {
        ProviderConfig::S3(s3) => assert_host_part(&s3.region),
        ProviderConfig::Tigris(tigris) => assert_host_part(&tigris.region),
        ProviderConfig::Snowflake(snowflake) => {
            let host = snowflake.account.host();
            let ours = [".snowflakecomputing.com", ".snowflakecomputing.cn"];
            assert!(ours.iter().any(|end| host.ends_with(end)), "{host}");
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
            assert!(host.bytes().all(plain), "{host}");
        }
        _ => {}
    }
    if matches!(config.provider(), Provider::S3 | Provider::Tigris) {
        let _ = FACTORY.vet(config);
    }
}

fn assert_host_part(region: &Region) {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    assert!(region.as_str().bytes().all(plain), "{region}");
}

fuzz_target!(|input: &[u8]| {
    let Some((provider, json)) = input.split_first() else {
        return;
    };
    let provider = Provider::ALL[usize::from(*provider) % Provider::ALL.len()];
    let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(json) else {
        return;
    };
    if let Ok(config) = ProviderConfig::from_stored(provider, fields.clone()) {
        assert_sound(&config);
    }
    let patch = parse_patch(provider, fields.clone(), "provider_config");
    if let Ok(new) = parse_new(provider, fields, "provider_config") {
        assert!(patch.is_ok(), "a whole configuration is no patch");
        assert_sound(&new.config);
        let bytes = new.credentials.to_secret_bytes();
        let again =
            Credentials::from_secret_bytes(provider, &bytes).expect("what is sealed can be read");
        assert_eq!(again.to_secret_bytes().expose(), bytes.expose());
    }
});
