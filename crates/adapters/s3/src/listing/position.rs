//! Positions in a listing, as cursors that are kept.
//!
//! A token is kept as the store gave it, so that what was kept before there were other positions is still read. What begins
//! as another position is written would be taken for one, and is kept behind a word of its own.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use wharf_domain::sync::Cursor;

use super::LONGEST_TOKEN;
use crate::wire::Position;

const TOKEN: &str = "token:";
const MARKER: &str = "marker:";

/// Keys hold what not every database can keep.
const UNKEPT: &AsciiSet = &CONTROLS.add(b'%');

/// The cursor for the next page.
pub(super) fn write(next: Position) -> Cursor {
    Cursor(match next {
        Position::Start => TOKEN.to_owned(),
        Position::Token(token) if token.starts_with(TOKEN) || token.starts_with(MARKER) => {
            format!("{TOKEN}{token}")
        }
        Position::Token(token) => token,
        Position::Marker(marker) => format!("{MARKER}{}", utf8_percent_encode(&marker, UNKEPT)),
    })
}

/// The position of a cursor, unless no listing can have given it.
pub(super) fn read(cursor: &Cursor) -> Option<Position> {
    let (position, length) = if let Some(marker) = cursor.0.strip_prefix(MARKER) {
        let marker = percent_decode_str(marker).decode_utf8().ok()?.into_owned();
        let length = marker.len();
        (Position::Marker(marker), length)
    } else {
        let token = cursor.0.strip_prefix(TOKEN).unwrap_or(&cursor.0);
        (Position::Token(token.to_owned()), token.len())
    };
    (length <= LONGEST_TOKEN).then_some(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Position {
        Position::Token(text.to_owned())
    }

    #[test]
    fn every_position_is_kept_and_read_again() {
        for (position, kept) in [
            (token("1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM="), None),
            (token("a\u{1}%41+ü"), None),
            (token("marker:x"), Some("token:marker:x")),
            (token("token:x"), Some("token:token:x")),
            (Position::Marker("a b/ü".into()), Some("marker:a b/%C3%BC")),
            (
                Position::Marker("a\0\n%41+".into()),
                Some("marker:a%00%0A%2541+"),
            ),
            (Position::Marker(String::new()), Some("marker:")),
        ] {
            let cursor = write(position.clone());
            assert_eq!(read(&cursor), Some(position.clone()));
            match (kept, position) {
                (Some(kept), _) => assert_eq!(cursor.0, kept),
                (None, Position::Token(token)) => assert_eq!(cursor.0, token),
                _ => panic!("no token"),
            }
        }
    }

    #[test]
    fn what_no_listing_can_have_given_is_not_read() {
        for cursor in [
            "t".repeat(LONGEST_TOKEN + 1),
            format!("marker:{}", "m".repeat(LONGEST_TOKEN + 1)),
            "marker:%FF".to_owned(),
        ] {
            assert_eq!(read(&Cursor(cursor)), None);
        }
        let longest = format!("marker:{}", "%01".repeat(LONGEST_TOKEN));
        assert!(read(&Cursor(longest)).is_some());
    }
}
