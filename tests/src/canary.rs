//! Values that must not turn up anywhere.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A secret with a name, searched for in every form it could leave in.
#[derive(Debug, Clone)]
pub struct Canary {
    name: &'static str,
    forms: Vec<Vec<u8>>,
}

impl Canary {
    /// A canary of at least twelve characters, so that no form of it turns up by chance.
    pub fn new(name: &'static str, value: &str) -> Self {
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
        Self { name, forms }
    }

    /// Where it stands in there, in whatever form, for a message; `None` when it does not.
    pub fn leaked_to(&self, haystack: &[u8], place: &str) -> Option<String> {
        let at = self
            .forms
            .iter()
            .find_map(|form| position(haystack, form))?;
        let around = &haystack[at.saturating_sub(200)..haystack.len().min(at + 100)];
        let around = String::from_utf8_lossy(around);
        Some(format!(
            "{} stands in {place}, at byte {at}: …{around}…",
            self.name
        ))
    }
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
        let found = |haystack: &[u8]| canary.leaked_to(haystack, "a test").is_some();
        for place in 0..4 {
            let text = format!("{}{SECRET}, and more", "x".repeat(place));
            assert!(found(text.as_bytes()));
            assert!(found(hex::encode(&text).as_bytes()));
            assert!(found(STANDARD.encode(&text).as_bytes()), "{place}");
            assert!(found(URL_SAFE_NO_PAD.encode(&text).as_bytes()), "{place}");
        }
        let wide: Vec<u8> = SECRET.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(found(&wide));
    }

    #[test]
    fn another_text_is_not_taken_for_it() {
        let canary = Canary::new("the secret", SECRET);
        assert_eq!(canary.leaked_to(b"canary-0123456789", "a test"), None);
        assert_eq!(canary.leaked_to(b"", "a test"), None);
    }
}
