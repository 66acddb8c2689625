//! Secret values: they cannot be printed, cloned or serialized, and are wiped when dropped.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A secret text such as an access key's secret, a password or a private key.
///
/// There is no `Clone`, `Display` or `Serialize`; `Debug` prints a fixed word. [`expose`](Self::expose) is the one way
/// to the value, so that every use can be found by searching for it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SecretString(String);

impl SecretString {
    /// Takes ownership of a secret; the allocation is wiped when this value is dropped.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The secret itself. Hand it only to what sends it to its audience, or to the envelope that seals it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A second holder of the same secret, for the rare caller that needs one: a merge of kept and new credentials.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretString(redacted)")
    }
}

/// A 256-bit key: a key ring's, an organization's or a single-use data key.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// Wraps key bytes; they are wiped when this value is dropped.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key bytes, for a cipher.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(redacted)")
    }
}

/// Plaintext bytes of unknown length, such as serialized credentials on their way into the envelope.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Wraps bytes; they are wiped when this value is dropped.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(redacted)")
    }
}

/// Wipes every string inside a JSON value that may still hold secrets.
pub fn wipe(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => text.zeroize(),
        serde_json::Value::Array(items) => items.iter_mut().for_each(wipe),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(wipe),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_secret() {
        let shown = format!(
            "{:?} {:?} {:?}",
            SecretString::new("hunter2".into()),
            SecretKey::new([7; 32]),
            SecretBytes::new(b"hunter2".to_vec())
        );
        assert!(!shown.contains("hunter2") && !shown.contains('7'));
    }

    #[test]
    fn wiping_empties_strings_at_any_depth() {
        let mut value = serde_json::json!({"a": ["s1", {"b": "s2"}], "n": 1});
        wipe(&mut value);
        assert!(!value.to_string().contains('s'));
    }
}
