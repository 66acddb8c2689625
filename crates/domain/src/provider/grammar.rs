//! The grammars of single texts that several providers share. None of them ever repeats the text in its message.

use crate::input::{Length, Reader};
use crate::secret::SecretString;

/// Says what is wrong with a text, if anything is.
pub(super) type Check = fn(&str) -> Result<(), &'static str>;

/// Lengths of short free texts such as names and paths.
pub(super) const TEXT: Length = Length::new(1, 1024);
/// Lengths of identifiers.
pub(super) const ID: Length = Length::new(1, 256);
/// Lengths of secrets.
pub(super) const SECRET: Length = Length::new(1, 16 * 1024);

/// An optional text of a configuration that must satisfy `check`.
pub(super) fn text(
    reader: &mut Reader,
    key: &'static str,
    length: Length,
    check: Check,
) -> Option<String> {
    let text = reader.string(key, length)?;
    match check(&text) {
        Ok(()) => Some(text),
        Err(message) => {
            reader.reject(key, "invalid_format", message);
            None
        }
    }
}

/// Any text on one line.
pub(super) fn one_line(text: &str) -> Result<(), &'static str> {
    expect(
        !text.chars().any(char::is_control),
        "must not contain control characters",
    )
}

/// Any text; line breaks and tabs are welcome.
pub(super) fn lines(text: &str) -> Result<(), &'static str> {
    expect(
        !text
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')),
        "must not contain control characters other than line breaks and tabs",
    )
}

/// A text that can stand in a header: printable ASCII without spaces.
pub(super) fn token(text: &str) -> Result<(), &'static str> {
    expect(
        text.bytes().all(|b| b.is_ascii_graphic()),
        "must consist of printable ASCII characters without spaces",
    )
}

/// An e-mail address, roughly.
pub(super) fn email(text: &str) -> Result<(), &'static str> {
    let shaped = text.split_once('@').is_some_and(|(local, domain)| {
        let plain = |b: u8| b.is_ascii_graphic() && !b"\"(),:;<>@[]\\".contains(&b);
        (1..=64).contains(&local.len()) && local.bytes().all(plain) && is_domain_name(domain)
    });
    expect(shaped, "must be an e-mail address")
}

/// Whether the text is a host name of at least two labels, not an IP address.
pub(super) fn is_domain_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_a_word = text
        .rsplit('.')
        .next()
        .is_some_and(|last| !last.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= 253 && text.contains('.') && last_is_a_word && text.split('.').all(label)
}

/// Whether the text is a GUID in its usual 8-4-4-4-12 form.
pub(super) fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups
            .iter()
            .all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A GUID.
pub(super) fn guid(text: &str) -> Result<(), &'static str> {
    expect(
        is_guid(text),
        "must be a GUID such as 00000000-0000-0000-0000-000000000000",
    )
}

/// A private key in PEM form. Whether the key inside is sound shows when it is used.
pub(super) fn private_key(text: &str) -> Result<(), &'static str> {
    lines(text)?;
    let armoured = text
        .split_once("-----BEGIN ")
        .and_then(|(_, rest)| rest.split_once("PRIVATE KEY-----"))
        .is_some_and(|(_, rest)| rest.contains("-----END ") && rest.contains("PRIVATE KEY-----"));
    expect(
        armoured,
        "must be a private key in PEM form, from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----",
    )
}

/// Turns each literal `\n`, as left by pasting a JSON file's text, into a line break.
pub(super) fn with_line_breaks(pasted: &str) -> SecretString {
    // One allocation that is never outgrown, so that no copy of the key stays behind.
    let mut text = String::with_capacity(pasted.len());
    for (i, line) in pasted.split("\\n").enumerate() {
        if i > 0 {
            text.push('\n');
        }
        text.push_str(line);
    }
    SecretString::new(text)
}

/// Lower case, for what is compared without regard to case.
pub(super) fn in_lower_case(text: &str) -> SecretString {
    SecretString::new(text.to_ascii_lowercase())
}

/// Turns a condition into a check's answer.
pub(super) fn expect(condition: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if condition { Ok(()) } else { Err(otherwise) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e_mail_addresses_are_told_from_other_texts() {
        for good in [
            "a@b.co",
            "sync@p-1.iam.gserviceaccount.com",
            "first.last+tag@sub.example.org",
        ] {
            assert!(email(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "@b.co",
            "a@",
            "a@b",
            "a@b..co",
            "a@-b.co",
            "a b@c.de",
            "a@b.co\n",
            "a@b@c.de",
            "a@1.2.3.4",
        ] {
            assert!(email(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn guids_have_one_form() {
        assert!(is_guid("0AaAaAaA-0000-1111-2222-333333333333"));
        for bad in [
            "",
            "0aaaaaaa000011112222333333333333",
            "{0aaaaaaa-0000-1111-2222-333333333333}",
            "0aaaaaag-0000-1111-2222-333333333333",
        ] {
            assert!(!is_guid(bad), "{bad}");
        }
    }

    #[test]
    fn pasted_keys_get_their_line_breaks_back() {
        let pasted = r"-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n";
        let key = with_line_breaks(pasted);
        assert_eq!(
            key.expose(),
            "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n"
        );
        assert!(private_key(key.expose()).is_ok());
    }

    #[test]
    fn only_a_whole_private_key_passes_for_one() {
        let good = |label: &str| format!("-----BEGIN {label}-----\r\nabc\r\n-----END {label}-----");
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
            assert!(private_key(&good(label)).is_ok(), "{label}");
        }
        for bad in [
            "",
            "abc",
            "-----BEGIN PRIVATE KEY-----\nabc",
            &good("CERTIFICATE"),
            &good("PUBLIC KEY"),
            &(good("PRIVATE KEY") + "\0"),
        ] {
            assert!(private_key(bad).is_err(), "{bad:?}");
        }
    }
}
