//! The forms in which a text leaves a program.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD, URL_SAFE};

/// One form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it is. Letters and digits look the same in JSON, in a query and in a header.
    Raw,
    /// Every character as JSON's `\u004a`.
    JsonEscaped,
    /// The same with large letters.
    JsonEscapedUpper,
    /// Every byte as `%4A`.
    Percent,
    /// The same with small letters.
    PercentLower,
    /// Base 16, small letters.
    Hex,
    /// Base 16, large letters.
    HexUpper,
    /// Base 64 after so many other bytes, which shift it.
    Base64(usize),
    /// The same with the alphabet for URLs.
    Base64Url(usize),
    /// Two bytes a character, the low one first.
    Utf16Le,
    /// Two bytes a character, the high one first.
    Utf16Be,
    /// A list of numbers, as `Debug` prints bytes.
    Decimal,
    /// A `gzip` file.
    Gzip,
    /// A `zlib` stream, which HTTP calls `deflate`.
    Zlib,
    /// A bare `deflate` stream.
    Deflate,
    /// A Brotli stream.
    Brotli,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 20] = [
        Self::Raw,
        Self::JsonEscaped,
        Self::JsonEscapedUpper,
        Self::Percent,
        Self::PercentLower,
        Self::Hex,
        Self::HexUpper,
        Self::Base64(0),
        Self::Base64(1),
        Self::Base64(2),
        Self::Base64Url(0),
        Self::Base64Url(1),
        Self::Base64Url(2),
        Self::Utf16Le,
        Self::Utf16Be,
        Self::Decimal,
        Self::Gzip,
        Self::Zlib,
        Self::Deflate,
        Self::Brotli,
    ];

    /// Whether a whole buffer must be unpacked to see what is in it.
    pub fn is_packed(self) -> bool {
        matches!(self, Self::Gzip | Self::Zlib | Self::Deflate | Self::Brotli)
    }

    /// Whether the form can stand in the middle of a text.
    pub fn is_text(self) -> bool {
        !self.is_packed() && !matches!(self, Self::Utf16Le | Self::Utf16Be)
    }

    /// What a piece of a secret always looks like in this form, whatever stands around it. `None` for packed forms.
    pub(super) fn pattern(self, piece: &[u8]) -> Option<Vec<u8>> {
        let per_byte = |show: fn(&mut String, u8)| {
            let mut text = String::new();
            for byte in piece {
                show(&mut text, *byte);
            }
            Some(text.into_bytes())
        };
        match self {
            Self::Raw => Some(piece.to_vec()),
            Self::JsonEscaped => per_byte(|text, byte| {
                let _ = write!(text, "\\u00{byte:02x}");
            }),
            Self::JsonEscapedUpper => per_byte(|text, byte| {
                let _ = write!(text, "\\u00{byte:02X}");
            }),
            Self::Percent => per_byte(|text, byte| {
                let _ = write!(text, "%{byte:02X}");
            }),
            Self::PercentLower => per_byte(|text, byte| {
                let _ = write!(text, "%{byte:02x}");
            }),
            Self::Hex => Some(hex::encode(piece).into_bytes()),
            Self::HexUpper => Some(hex::encode_upper(piece).into_bytes()),
            Self::Base64(before) => Some(within_base64(&alphabet::STANDARD, before, piece)),
            Self::Base64Url(before) => Some(within_base64(&alphabet::URL_SAFE, before, piece)),
            Self::Utf16Le => Some(piece.iter().flat_map(|byte| [*byte, 0]).collect()),
            Self::Utf16Be => Some(piece.iter().flat_map(|byte| [0, *byte]).collect()),
            Self::Decimal => {
                let numbers: Vec<String> = piece.iter().map(u8::to_string).collect();
                Some(numbers.join(", ").into_bytes())
            }
            Self::Gzip | Self::Zlib | Self::Deflate | Self::Brotli => None,
        }
    }

    /// A whole secret as it would leave in this form, with something around it.
    pub fn of(self, secret: &[u8]) -> Vec<u8> {
        match self {
            Self::Base64(before) => STANDARD.encode(shifted(before, secret)).into_bytes(),
            Self::Base64Url(before) => URL_SAFE.encode(shifted(before, secret)).into_bytes(),
            Self::Gzip | Self::Zlib | Self::Deflate | Self::Brotli => {
                let text = [b"a text with ", secret, b" in it"].concat();
                super::packed::pack(self, &text)
            }
            _ => self.pattern(secret).unwrap_or_default(),
        }
    }
}

fn shifted(before: usize, secret: &[u8]) -> Vec<u8> {
    [&b"..."[..before], secret].concat()
}

/// The letters of base 64 that hang on the piece alone.
fn within_base64(alphabet: &alphabet::Alphabet, before: usize, piece: &[u8]) -> Vec<u8> {
    let shifted = shifted(before, piece);
    let (from, to) = ((before * 8).div_ceil(6), shifted.len() * 8 / 6);
    let text = GeneralPurpose::new(alphabet, NO_PAD).encode(&shifted);
    text.into_bytes()[from..to].to_vec()
}
