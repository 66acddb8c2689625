//! Values that must not turn up anywhere.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A secret with a name, searched for in every form it could leave in.
#[derive(Debug, Clone)]
pub struct Canary {
    name: &'static str,
    value: &'static str,
    forms: Vec<Vec<u8>>,
}

impl Canary {
    /// A canary of at least twelve characters, so that no form of it turns up by chance.
    pub fn new(name: &'static str, value: &'static str) -> Self {
        assert!(value.len() >= 12, "{name} is too short to be searched for");
        let bytes = value.as_bytes();
        let mut forms = vec![
            bytes.to_vec(),
            hex::encode(bytes).into_bytes(),
            hex::encode_upper(bytes).into_bytes(),
            bytes.iter().flat_map(|byte| [*byte, 0]).collect(),
        ];
        // What base64 makes of a text depends on how many bytes stand before it.
        for before in 0..3 {
            let shifted = [&b"..."[..before], bytes].concat();
            let (from, to) = ((before * 8).div_ceil(6), shifted.len() * 8 / 6);
            for alphabet in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                forms.push(alphabet.encode(&shifted).into_bytes()[from..to].to_vec());
            }
        }
        Self { name, value, forms }
    }

    /// The secret.
    pub fn value(&self) -> &'static str {
        self.value
    }

    /// Whether it stands in there, in whatever form.
    pub fn is_in(&self, haystack: &[u8]) -> bool {
        self.forms.iter().any(|form| contains(haystack, form))
    }

    /// Fails when it stands in there, telling where.
    pub fn assert_absent(&self, haystack: &[u8], place: &str) {
        let found = self.forms.iter().find_map(|form| position(haystack, form));
        if let Some(position) = found {
            let around =
                &haystack[position.saturating_sub(200)..haystack.len().min(position + 100)];
            let around = String::from_utf8_lossy(around);
            panic!(
                "{} stands in {place}, around byte {position}: …{around}…",
                self.name
            );
        }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    position(haystack, needle).is_some()
}

fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(found) = haystack[from..].iter().position(|byte| *byte == first) {
        if haystack[from + found..].starts_with(needle) {
            return Some(from + found);
        }
        from += found + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const SECRET: &str = "canary-0123456789?>";

    #[test]
    fn a_canary_is_found_in_every_form() {
        let canary = Canary::new("the secret", SECRET);
        for place in 0..4 {
            let text = format!("{}{SECRET}, and more", "x".repeat(place));
            assert!(canary.is_in(text.as_bytes()));
            assert!(canary.is_in(hex::encode(&text).as_bytes()));
            assert!(canary.is_in(STANDARD.encode(&text).as_bytes()), "{place}");
            assert!(
                canary.is_in(URL_SAFE_NO_PAD.encode(&text).as_bytes()),
                "{place}"
            );
        }
        let wide: Vec<u8> = SECRET.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(canary.is_in(&wide));
    }

    #[test]
    fn another_text_is_not_taken_for_it() {
        let canary = Canary::new("the secret", SECRET);
        assert!(!canary.is_in(b"canary-0123456789"));
        assert!(!canary.is_in(b""));
    }
}
