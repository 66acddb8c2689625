//! Python patterns over file names, compiled.

use fancy_regex::{CompileError, Error, ParseError, Regex, RegexBuilder};
use thiserror::Error as ThisError;

use super::python::Translated;

/// Most times that a search may go back and try another way, whatever the pattern.
const BACKTRACKS: usize = 100_000;
/// What all patterns of one mapping may do to one name: times gone back, multiplied by the pattern's places. Going back
/// once may cost a comparison with every place for every character of the name; a few seconds altogether, at the very
/// worst.
const EFFORT: usize = 500_000;
/// Bytes of one compiled part.
const COMPILED: usize = 16 * 1024 * 1024;
/// Bytes that one part may use for what it learns while searching.
const LEARNT: usize = 512 * 1024;
/// Most steps of the compiled program.
const PROGRAM: usize = 20_000;

/// A text that is no pattern that can be used here.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error("is no Python pattern that can be used: {reason}{}", place(*at))]
pub(super) struct InvalidPattern {
    /// What is wrong, and where it is not plain, what would be right.
    pub(super) reason: String,
    /// At which character, from 1, if that is known.
    pub(super) at: Option<usize>,
}

fn place(at: Option<usize>) -> String {
    at.map(|at| format!(" (character {at})"))
        .unwrap_or_default()
}

/// The search was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooManySteps;

/// A Python pattern with exactly one capture group.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Compiles one of `patterns` patterns of a mapping, which share what they may do.
    pub(super) fn new(pattern: &Translated, patterns: usize) -> Result<Self, InvalidPattern> {
        let effort = EFFORT / pattern.size.places.max(1) / patterns.max(1);
        let regex = RegexBuilder::new(&pattern.regex)
            .backtrack_limit(effort.clamp(1, BACKTRACKS))
            .delegate_size_limit(COMPILED)
            .delegate_dfa_size_limit(LEARNT)
            .max_prog_size(PROGRAM)
            .build()
            .map_err(|error| InvalidPattern {
                reason: reason(&error).to_owned(),
                at: None,
            })?;
        // The whole match counts as one.
        let groups = regex.captures_len() - 1;
        if groups != 1 {
            return Err(InvalidPattern {
                reason: format!(
                    "it must have exactly one capture group, not {groups}; write (?:…) for a group that captures nothing"
                ),
                at: None,
            });
        }
        Ok(Self(regex))
    }

    /// What the group captured at the first place in `name` where the pattern matches.
    pub(super) fn find<'a>(&self, name: &'a str) -> Result<Option<&'a str>, TooManySteps> {
        let captures = self.0.captures(name).map_err(|_| TooManySteps)?;
        Ok(captures
            .and_then(|captures| captures.get(1))
            .map(|group| group.as_str()))
    }
}

/// In our own words, since theirs speak of the translated pattern.
fn reason(error: &Error) -> &'static str {
    match error {
        Error::ParseError(_, ParseError::RecursionExceeded) => "its groups are nested too deeply",
        Error::CompileError(error) => match &**error {
            CompileError::LookBehindNotConst | CompileError::VariableLookBehindRequiresFeature => {
                "a look-behind must have a fixed length"
            }
            CompileError::PatternTooComplex => "it is too large; repeat less",
            CompileError::InnerError(error) if error.size_limit().is_some() => {
                "it is too large; repeat less"
            }
            _ => "it uses what is not supported here",
        },
        _ => "it uses what is not supported here",
    }
}

#[cfg(test)]
mod tests {
    use super::super::python;
    use super::*;

    fn compile(pattern: &str) -> Result<Pattern, InvalidPattern> {
        Pattern::new(&python::translate(pattern)?, 1)
    }

    #[test]
    fn a_pattern_means_what_it_means_in_python() {
        for (pattern, name, expected) in [
            (
                r"^(\w+)_Q\d+_",
                "marketing_Q4_2024_final.mp4",
                Some("marketing"),
            ),
            (
                r"^(\d{4}-\d{2}-\d{2})",
                "2024-01-15_notes.pdf",
                Some("2024-01-15"),
            ),
            (r"(?P<year>\d{4})", "a2024", Some("2024")),
            (r"(?P<c>.)(?P=c)", "abccd", Some("c")),
            (r"(.)\1", "abccd", Some("c")),
            (r"(a)?b(?(1)c|d)", "bd", None),
            (r"(?<=id-)(\w+)(?!\w)", "x-id-7b.mp4", Some("7b")),
            (r"(?i)(ABC)", "xabc", Some("abc")),
            (r"(?x) ( \d+ ) # the number", "n12", Some("12")),
            (r"(?x:( a b ))c", "abc", Some("ab")),
            (r"(?i:A)(?-i:(b))", "ab", Some("b")),
            (r"(a(?#comment)b)", "ab", Some("ab")),
            (r"([[a])", "[", Some("[")),
            (r"([a&&b]+)", "&a&", Some("&a&")),
            (r"([^]]+)", "]x]", Some("x")),
            (r"([\]\-a]+)", "]-a", Some("]-a")),
            (r"(\<a\>)", "<a>", Some("<a>")),
            (r"(a)\Z", "ba", Some("a")),
            (r"(\x41\u00fc\101)", "AüA", Some("AüA")),
            (r"(x{,2})y", "xxxy", Some("xx")),
            (r"(x{a})", "x{a}", Some("x{a}")),
            (r"(a++)b", "aab", Some("aa")),
            (r"(?>a+)(b)", "aab", Some("b")),
            (r"(.)", "字", Some("字")),
        ] {
            let compiled = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(compiled.find(name), Ok(expected), "{pattern}");
        }
    }

    #[test]
    fn what_python_refuses_or_we_do_not_know_is_refused_with_the_place() {
        for (pattern, at) in [
            ("(a", Some(1)),
            ("(a))", Some(4)),
            ("([a)", Some(2)),
            (r"(a)\", Some(4)),
            ("(*a)", Some(2)),
            ("(a**)", Some(4)),
            ("(a{3,2})", Some(3)),
            ("([z-a])", Some(3)),
            (r"([\d-z])", Some(3)),
            ("(?<n>a)", Some(1)),
            ("(?P<1>a)", Some(1)),
            ("(?P<n>a)(?P<n>b)", Some(9)),
            ("(?P>n)(a)", Some(1)),
            ("(?R)(a)", Some(1)),
            ("(?a)(b)", Some(1)),
            ("(a)(?i)", Some(4)),
            ("(a)(?#", Some(4)),
            ("(?", Some(1)),
            (r"(a\1)", Some(3)),
            (r"(a)\2", Some(4)),
            (r"(\h)", Some(2)),
            (r"(\p{L})", Some(2)),
            (r"(\K)", Some(2)),
            (r"(\x4)", Some(2)),
            (r"(\ud800)", Some(2)),
            (r"(\777)", Some(2)),
            (r"(\N{DASH})", Some(2)),
            ("(?=a)*(b)", Some(6)),
            ("(?<=a+)(b)", None),
            ("a", None),
            ("(a)(b)", None),
            ("(?:a)", None),
            ("((((a))))", None),
        ] {
            let error = compile(pattern).map(|_| ()).expect_err(pattern);
            assert_eq!(error.at, at, "{pattern}: {error}");
        }
        let deep = format!("{}(a){}", "(?:".repeat(200), ")".repeat(200));
        assert!(compile(&deep).is_err_and(|error| error.reason.contains("deeply")));
    }
}
