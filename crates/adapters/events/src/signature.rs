//! The signature of a delivery, by which its receiver knows that it comes from this server and is fresh.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wharf_domain::secret::SecretString;

/// The header that carries it.
pub(crate) const HEADER: &str = "x-mixpeek-signature";

/// `t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>." and the body, keyed by the secret>`.
pub(crate) fn sign(secret: &SecretString, unix: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("a key of any length makes an HMAC");
    mac.update(format!("{unix}.").as_bytes());
    mac.update(body);
    format!("t={unix},v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_others_compute() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac hunter2
        let secret = SecretString::new("hunter2".to_owned());
        let expected = "56b25cbf563812b38800e5f4dd1febfde087d36841155e70b3aa285517e1570a";
        assert_eq!(
            sign(&secret, 1_700_000_000, br#"{"a":1}"#),
            format!("t=1700000000,v1={expected}")
        );
    }
}
