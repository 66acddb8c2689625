//! Sessions: temporary keys of a role.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, SubsecRound, Utc};
use sha2::{Digest, Sha256};

use super::key::KeyPair;
use super::role::Role;
use super::{Assumption, Principal};
use crate::clock;

const KEY_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

pub(super) struct Session(Principal);

impl Session {
    /// No two of one lab's sessions are alike; nothing about them is secret from a test.
    pub(super) fn open(role: &Role, asked: &Assumption, number: u64) -> Self {
        let opened = clock::now();
        let bytes = |part: &str| {
            Sha256::new()
                .chain_update(part)
                .chain_update(number.to_be_bytes())
                .chain_update(opened.timestamp_micros().to_be_bytes())
                .chain_update(&asked.role_arn)
                .finalize()
        };
        let letters: String = bytes("id")
            .iter()
            .take(16)
            .map(|byte| char::from(KEY_ALPHABET[usize::from(byte % 32)]))
            .collect();
        let token = [bytes("one"), bytes("two"), bytes("three"), bytes("four")].concat();
        let mut key = KeyPair::new(
            format!("ASIA{letters}"),
            STANDARD.encode(&bytes("secret")[..30]),
        )
        .session_token(format!("IQoJb3JpZ2luX2Vj{}", STANDARD.encode(token)));
        key.only_buckets.clone_from(&role.only_buckets);
        key.denials.clone_from(&role.denials);
        let seconds = role.session_seconds.unwrap_or(asked.seconds);
        let (account, name) = names(&role.arn);
        Self(Principal {
            key,
            arn: format!(
                "arn:aws:sts::{account}:assumed-role/{name}/{}",
                asked.session_name
            ),
            user_id: format!("{}:{}", role_id(&role.arn), asked.session_name),
            account: account.to_owned(),
            expires: Some(whole_second(opened + Duration::seconds(seconds.into()))),
        })
    }

    pub(super) fn principal(&self) -> Principal {
        self.0.clone()
    }

    pub(super) fn end(&mut self) {
        self.0.expires = Some(clock::now());
    }
}

/// Account and last name of a role's ARN.
fn names(arn: &str) -> (&str, &str) {
    let account = arn.split(':').nth(4).unwrap_or_default();
    let name = arn.rsplit('/').next().unwrap_or_default();
    (account, name)
}

/// The same role has the same id in every session.
fn role_id(arn: &str) -> String {
    let letters: String = Sha256::digest(arn)
        .iter()
        .take(17)
        .map(|byte| char::from(KEY_ALPHABET[usize::from(byte % 32)]))
        .collect();
    format!("AROA{letters}")
}

/// `Expiration` is written in whole seconds: rounded up, so that no session is shorter than asked.
fn whole_second(time: DateTime<Utc>) -> DateTime<Utc> {
    let floor = time.trunc_subsecs(0);
    if floor < time {
        floor + Duration::seconds(1)
    } else {
        floor
    }
}
