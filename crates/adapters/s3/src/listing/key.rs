//! Keys as listings write them, and the names under which the catalogue has them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

/// How many bytes a key has at most. Nobody can have put an object under a longer one.
pub(crate) const LONGEST_KEY: usize = 1024;

/// How much of a longer key is told.
const TOLD_OF_KEY: usize = 200;

const TOO_LONG: &str = "key_too_long";

/// A key of a listing.
pub(super) struct Key<'a> {
    pub(super) text: Cow<'a, str>,
    /// Why the key cannot stand in a request or a database.
    pub(super) unusable: Option<&'static str>,
}

impl<'a> Key<'a> {
    pub(super) fn read(written: &'a str, url_encoded: bool) -> Self {
        if !url_encoded {
            return Self::of(Cow::Borrowed(written));
        }
        let bytes = form_decoded(written);
        let too_long = bytes.len() > LONGEST_KEY;
        match String::from_utf8(bytes) {
            Ok(key) => Self::of(Cow::Owned(key)),
            Err(error) => {
                let text = String::from_utf8_lossy(error.as_bytes()).replace('\0', "\u{2400}");
                Self {
                    text: text.into(),
                    unusable: Some(if too_long { TOO_LONG } else { "key_not_utf8" }),
                }
            }
        }
    }

    fn of(text: Cow<'a, str>) -> Self {
        let too_long = text.len() > LONGEST_KEY;
        if text.contains('\0') {
            // What is there must be told of, but NUL can be stored nowhere: its picture stands in for it.
            return Self {
                text: text.replace('\0', "\u{2400}").into(),
                unusable: Some(if too_long { TOO_LONG } else { "key_with_nul" }),
            };
        }
        Self {
            text,
            unusable: too_long.then_some(TOO_LONG),
        }
    }

    /// What the key is called in the catalogue: itself, or its beginning and a hash of the whole.
    pub(super) fn name(&self) -> Cow<'_, str> {
        if self.text.len() <= LONGEST_KEY {
            return Cow::Borrowed(&self.text);
        }
        let told = &self.text[..self.text.floor_char_boundary(TOLD_OF_KEY)];
        let hash = hex::encode(Sha256::digest(self.text.as_bytes()));
        format!("{told}\u{2026}{hash}").into()
    }
}

/// A key exactly as it is, if it is text.
pub(super) fn decoded(written: &str, url_encoded: bool) -> Option<String> {
    if url_encoded {
        String::from_utf8(form_decoded(written)).ok()
    } else {
        Some(written.to_owned())
    }
}

/// The encoding of forms, in which a plus is a space.
fn form_decoded(written: &str) -> Vec<u8> {
    percent_decode_str(&written.replace('+', " ")).collect()
}
