//! Texts in headers, of which stores write what is not ASCII as mail headers do (RFC 2047): `=?UTF-8?B?w5xiZXI=?=`.

use std::borrow::Cow;

use aws_smithy_types::base64;
use percent_encoding::percent_decode_str;

/// The text that a header's value stands for. What is no encoded word stays as it is.
pub(super) fn read(value: &str) -> Cow<'_, str> {
    if !value.contains("=?") {
        return value.into();
    }
    let (mut text, mut rest, mut after_word) = (String::with_capacity(value.len()), value, false);
    while let Some(at) = rest.find("=?") {
        let (plain, from_word) = rest.split_at(at);
        if let Some((word, after)) = word(from_word) {
            // White space between two of them belongs to neither.
            if !after_word || !plain.trim().is_empty() {
                text.push_str(plain);
            }
            text.push_str(&word);
            (rest, after_word) = (after, true);
        } else {
            let (mark, after) = from_word.split_at(2);
            text.push_str(plain);
            text.push_str(mark);
            (rest, after_word) = (after, false);
        }
    }
    text.push_str(rest);
    text.into()
}

/// The word at the beginning, and what follows it.
fn word(text: &str) -> Option<(String, &str)> {
    let (charset, rest) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (encoded, after) = rest.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => base64::decode(encoded).ok()?,
        "Q" | "q" => quoted(encoded)?,
        _ => return None,
    };
    // A language may follow.
    let charset = charset.split('*').next()?;
    let word = if charset.eq_ignore_ascii_case("iso-8859-1") {
        bytes.into_iter().map(char::from).collect()
    } else if ["utf-8", "us-ascii"]
        .iter()
        .any(|known| charset.eq_ignore_ascii_case(known))
    {
        String::from_utf8(bytes).ok()?
    } else {
        return None;
    };
    Some((word, after))
}

/// `=C3=9C` for two bytes and `_` for a space.
fn quoted(encoded: &str) -> Option<Vec<u8>> {
    let sound = encoded.split('=').skip(1).all(|escape| {
        let digits = escape.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let percents = encoded
        .replace('%', "=25")
        .replace('_', "=20")
        .replace('=', "%");
    sound.then(|| percent_decode_str(&percents).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_are_read_and_everything_else_is_left() {
        for (value, expected) in [
            ("plain", "plain"),
            ("=?UTF-8?B?w5xiZXI=?=", "\u{dc}ber"),
            ("=?utf-8?b?w5xiZXI=?= alles", "\u{dc}ber alles"),
            ("=?UTF-8?Q?=C3=9Cber_100%_=3D?=", "\u{dc}ber 100% ="),
            ("=?UTF-8*de?Q?=C3=9C?=", "\u{dc}"),
            ("=?ISO-8859-1?Q?=DC?=", "\u{dc}"),
            ("=?us-ascii?q?a?= =?UTF-8?q?b?=", "ab"),
            ("=?us-ascii?q?a?= c =?UTF-8?q?b?=", "a c b"),
            // None of these is one.
            ("=?", "=?"),
            ("a =? b ?= c", "a =? b ?= c"),
            ("=?UTF-8?B?\u{fc}?=", "=?UTF-8?B?\u{fc}?="),
            ("=?UTF-8?B?/w==?=", "=?UTF-8?B?/w==?="),
            ("=?UTF-8?Q?=C?=", "=?UTF-8?Q?=C?="),
            ("=?UTF-8?Q?=\u{fc}?=", "=?UTF-8?Q?=\u{fc}?="),
            ("=?UTF-8?X?a?=", "=?UTF-8?X?a?="),
            ("=?koi8-r?B?YQ==?=", "=?koi8-r?B?YQ==?="),
            ("=?UTF-8?B?YQ==", "=?UTF-8?B?YQ=="),
            ("=?=?UTF-8?B?YQ==?=", "=?a"),
        ] {
            assert_eq!(read(value), expected, "{value}");
        }
    }
}
