//! The key pairs of service accounts.

use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::world::lock;

/// Making one takes a while, and no lab minds having the keys of another in the same process; two accounts
/// of one lab never have the same.
static MADE: Mutex<Vec<Arc<AccountKey>>> = Mutex::new(Vec::new());

/// An RSA key pair.
#[derive(Debug)]
pub(crate) struct AccountKey {
    /// As key files name it.
    pub(crate) id: String,
    /// In PEM, PKCS #8.
    pub(crate) private_pem: String,
    public: Vec<u8>,
}

impl AccountKey {
    /// The `nth` key of a lab; `None` when none can be made.
    pub(crate) fn nth(nth: usize) -> Option<Arc<Self>> {
        let mut made = lock(&MADE);
        while made.len() <= nth {
            let pair = KeyPair::generate(KeySize::Rsa2048).ok()?;
            made.push(Arc::new(Self::of(&pair)?));
        }
        made.get(nth).cloned()
    }

    /// A key that is given, in PEM, PKCS #8.
    pub(crate) fn given(pem: &str) -> Option<Arc<Self>> {
        let text: String = pem
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .map(str::trim)
            .collect();
        let pair = KeyPair::from_pkcs8(&STANDARD.decode(text).ok()?).ok()?;
        Self::of(&pair).map(Arc::new)
    }

    fn of(pair: &KeyPair) -> Option<Self> {
        let der: Pkcs8V1Der<'static> = pair.as_der().ok()?;
        let text = STANDARD.encode(der.as_ref());
        let mut private_pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        for line in text.as_bytes().chunks(64) {
            private_pem.push_str(&String::from_utf8_lossy(line));
            private_pem.push('\n');
        }
        private_pem.push_str("-----END PRIVATE KEY-----\n");
        let public = pair.public_key().as_ref().to_vec();
        Some(Self {
            id: hex::encode(Sha1::digest(&public)),
            private_pem,
            public,
        })
    }

    /// Whether it signed this.
    pub(crate) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public)
            .verify(message, signature)
            .is_ok()
    }
}
