//! Which bytes a `Range` header asks for.

/// What to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: there is no range, or one that may be ignored.
    All,
    /// `length` bytes, at least one, from `offset` on.
    Some { offset: u64, length: u64 },
    /// Nothing: the range lies outside.
    Unsatisfiable,
}

/// Reads a single byte range over `size` bytes. Other units, several ranges and malformed ones are ignored, as HTTP
/// allows.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    parse(header, size).unwrap_or(Wanted::All)
}

fn parse(header: Option<&str>, size: u64) -> Option<Wanted> {
    let (unit, range) = header?.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    if !first
        .bytes()
        .chain(last.bytes())
        .all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let (first, last) = match (first, last) {
        ("", "") => return None,
        ("", suffix) => {
            let suffix = number(suffix);
            if suffix == 0 || size == 0 {
                return Some(Wanted::Unsatisfiable);
            }
            (size - suffix.min(size), size - 1)
        }
        (first, last) => {
            let first = number(first);
            let last = if last.is_empty() {
                u64::MAX
            } else {
                number(last)
            };
            if last < first {
                return None;
            }
            if first >= size {
                return Some(Wanted::Unsatisfiable);
            }
            (first, last.min(size - 1))
        }
    };
    Some(Wanted::Some {
        offset: first,
        length: last - first + 1,
    })
}

/// A run of digits; too many of them are as good as the largest number.
fn number(digits: &str) -> u64 {
    digits.parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_defines_them() {
        let some = |offset, length| Wanted::Some { offset, length };
        let huge = "99999999999999999999999999";
        let table = [
            ("bytes=0-0", some(0, 1)),
            ("bytes=2-", some(2, 8)),
            ("Bytes=2-4", some(2, 3)),
            ("bytes=2-99", some(2, 8)),
            ("bytes=-3", some(7, 3)),
            ("bytes=-99", some(0, 10)),
            ("bytes=9-9", some(9, 1)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=5-4", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("lines=0-1", Wanted::All),
            ("bytes", Wanted::All),
            ("bytes=+1-2", Wanted::All),
        ];
        for (header, expected) in table {
            assert_eq!(wanted(Some(header), 10), expected, "{header}");
        }
        assert_eq!(wanted(Some(&format!("bytes=1-{huge}")), 10), some(1, 9));
        assert_eq!(
            wanted(Some(&format!("bytes={huge}-")), 10),
            Wanted::Unsatisfiable
        );
        assert_eq!(wanted(None, 10), Wanted::All);
    }

    #[test]
    fn an_empty_object_satisfies_no_range() {
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
        assert_eq!(wanted(Some("bytes=-1"), 0), Wanted::Unsatisfiable);
    }
}
