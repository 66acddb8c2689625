//! What a writer in the database could do to sealed credentials: all of it is refused.

use std::sync::Arc;

use serde_json::{Value, json};
use wharf_domain::connection::SealedCredentials;
use wharf_domain::provider::{CredentialType, Provider, ProviderConfig};
use wharf_domain::secret::SecretKey;
use wharf_envelope::{Binding, OpenError};
use wharf_ports::{KeyContext, KeyRing, OrganizationKey};

use crate::desk::{Desk, Keys, binding, organization, secret};

/// Different for every row, as secrets are.
fn text(row: usize) -> String {
    format!(r#"{{"type":"access_key","secret_access_key":"secret of row {row}"}}"#)
}

fn audience_settings(provider: Provider) -> [Value; 2] {
    match provider {
        Provider::GoogleDrive => [json!({}), json!({"impersonate_user": "a@example.com"})],
        Provider::S3 => [
            json!({"endpoint_url": "https://one.example.com"}),
            json!({"endpoint_url": "https://one.example.com", "verify_ssl": false}),
        ],
        Provider::Snowflake => [
            json!({"account": "org-one", "warehouse": "w"}),
            json!({"account": "org-two", "warehouse": "w"}),
        ],
        Provider::SharePoint => [
            json!({}),
            json!({"site_id": "https://contoso.sharepoint.us/sites/a"}),
        ],
        Provider::Tigris => [json!({}), json!({"endpoint_url": "https://t3.storage.dev"})],
    }
}

/// Rows of every provider, kind of credentials and audience, of two organizations, in three versions each.
fn rows() -> Vec<Binding> {
    let mut rows = Vec::new();
    for provider in Provider::ALL {
        for credential_type in provider.credential_types() {
            for settings in audience_settings(provider) {
                let Value::Object(settings) = settings else {
                    panic!("settings are an object")
                };
                let config = ProviderConfig::from_stored(provider, settings).unwrap();
                for owner in ['a', 'b'] {
                    for connection in ["conn_ccccccccccccccc", "conn_ddddddddddddddd"] {
                        for credential_version in 1..=3 {
                            rows.push(Binding {
                                organization: organization(owner),
                                connection: connection.parse().unwrap(),
                                provider,
                                credential_type,
                                credential_version,
                                audience: config.audience(),
                            });
                        }
                    }
                }
            }
        }
    }
    rows
}

#[tokio::test]
async fn no_row_opens_what_was_sealed_for_another() {
    let desk = Desk::new();
    let rows = rows();
    assert!(rows.len() >= 200, "{} rows", rows.len());
    let mut sealed = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let text = secret(&text(number));
        sealed.push(desk.envelope.seal(row, &text).await.unwrap());
    }
    let (mut refused, mut opened) = (0, 0);
    for (home, sealed) in sealed.iter().enumerate() {
        for (place, row) in rows.iter().enumerate() {
            match desk.envelope.open(row, sealed).await {
                Ok(found) => {
                    assert_eq!(home, place, "from {:?} to {row:?}", rows[home]);
                    assert_eq!(found.expose(), text(home).as_bytes());
                    opened += 1;
                }
                Err(error) => {
                    assert!(matches!(error, OpenError::Integrity), "{error:?}");
                    assert_ne!(home, place, "{row:?} does not open its own");
                    refused += 1;
                }
            }
        }
    }
    assert_eq!(opened, rows.len());
    assert_eq!(refused, rows.len() * (rows.len() - 1));
    eprintln!(
        "{} rows: {refused} swaps refused, {opened} opened at home",
        rows.len()
    );
}

#[tokio::test]
async fn every_flip_every_cut_and_every_addition_is_refused_with_a_type() {
    let desk = Desk::new();
    let text = text(1).repeat(6);
    let sealed = desk
        .envelope
        .seal(&binding(), &secret(&text))
        .await
        .unwrap();
    let mut attempts = Vec::new();
    for at in 0..sealed.0.len() {
        for bit in 0..8 {
            let mut flipped = sealed.0.clone();
            flipped[at] ^= 1 << bit;
            attempts.push(flipped);
        }
    }
    let flips = attempts.len();
    attempts.extend((0..sealed.0.len()).map(|length| sealed.0[..length].to_vec()));
    attempts.extend((1..sealed.0.len()).map(|from| sealed.0[from..].to_vec()));
    let cuts = attempts.len() - flips;
    for more in 1..=600 {
        for filling in [0, 0xff] {
            attempts.push([sealed.0.as_slice(), &vec![filling; more]].concat());
            attempts.push([&vec![filling; more], sealed.0.as_slice()].concat());
        }
    }
    attempts.push([sealed.0.as_slice(), &sealed.0].concat());
    let additions = attempts.len() - flips - cuts;
    for (number, attempt) in attempts.into_iter().enumerate() {
        let attempt = SealedCredentials(attempt);
        let refusal = desk.envelope.open(&binding(), &attempt).await.err();
        assert!(
            matches!(refusal, Some(OpenError::Integrity | OpenError::Malformed)),
            "attempt {number}: {refusal:?}"
        );
    }
    eprintln!("{flips} flips, {cuts} cuts, {additions} additions refused");
}

#[tokio::test]
async fn under_another_organization_key_of_the_same_version_nothing_opens() {
    let desk = Desk::new();
    let rows = rows();
    let mut sealed = Vec::new();
    for row in &rows {
        sealed.push(desk.envelope.seal(row, &secret("a text")).await.unwrap());
    }
    let foreign = Desk::over(Arc::new(Keys::default()));
    for owner in ['a', 'b'] {
        let context = KeyContext {
            organization: organization(owner),
            version: 1,
        };
        let key = SecretKey::new([0x5a; 32]);
        let wrapped = foreign.ring.wrap(&context, &key).await.unwrap();
        foreign.keys.stored.lock().unwrap().insert(
            (context.organization, 1),
            OrganizationKey {
                version: 1,
                wrapped,
            },
        );
    }
    for (row, sealed) in rows.iter().zip(&sealed) {
        let refusal = foreign.envelope.open(row, sealed).await.err();
        assert!(matches!(refusal, Some(OpenError::Integrity)), "{refusal:?}");
    }
}

#[tokio::test]
async fn an_older_version_put_back_is_refused_in_every_provider() {
    let desk = Desk::new();
    for row in rows().iter().filter(|row| row.credential_version == 1) {
        let old = desk
            .envelope
            .seal(row, &secret("the old text"))
            .await
            .unwrap();
        let now = Binding {
            credential_version: 2,
            ..row.clone()
        };
        let refusal = desk.envelope.open(&now, &old).await.err();
        assert!(matches!(refusal, Some(OpenError::Integrity)), "{refusal:?}");
    }
}

/// The refusals themselves say nothing of what was refused.
#[tokio::test]
async fn a_refusal_shows_nothing_of_the_bytes_or_the_binding() {
    let desk = Desk::new();
    let sealed = desk
        .envelope
        .seal(&binding(), &secret(&text(7)))
        .await
        .unwrap();
    let other = Binding {
        connection: "conn_ddddddddddddddd".parse().unwrap(),
        provider: Provider::Tigris,
        credential_type: CredentialType::AccessKey,
        ..binding()
    };
    let refusal = desk.envelope.open(&other, &sealed).await.unwrap_err();
    let told = format!("{refusal} {refusal:?} {refusal:#?}");
    assert_eq!(
        told,
        "the sealed credentials were changed or belong elsewhere Integrity Integrity"
    );
}
