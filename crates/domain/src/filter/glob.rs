//! Glob patterns, over characters.
//!
//! A pattern becomes a small program that is run on all its places at once, so that matching takes at most (length of
//! the pattern × length of the path) steps and no memory beyond the program's size, whatever the pattern.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::file_name;

/// One glob pattern.
///
/// Without `/` it is compared with the file name, in any folder; with `/` with the whole path from the sync's source
/// root, where one leading `/` in the pattern is left out. It must match from the first to the last character, letter
/// case included.
///
/// `?` is one character and `*` any number of them, none of them `/`. `**` between slashes, or at an end of the pattern,
/// is any number of folders. `[a-z]` is one of these characters, `[!a-z]` one that is none of them, neither of them ever
/// `/`. `{jpg,png}` is either; alternatives may be empty and may nest. `\` takes the next character as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob {
    text: String,
    of_path: bool,
    program: Arc<[Step]>,
}

/// A text that is no glob pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is no glob pattern: {reason} (character {at})")]
pub struct InvalidGlob {
    /// What is wrong and what would be right.
    pub reason: &'static str,
    /// At which character, from 1.
    pub at: usize,
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is empty, a `[` or `{` without its end, a `}` without its start, a range from a later to an earlier
    /// character, a named class such as `[:digit:]`, a `\` at the end.
    pub fn parse(text: &str) -> Result<Self, InvalidGlob> {
        let of_path = text.contains('/');
        let chars: Vec<char> = text.chars().collect();
        let first = usize::from(text.starts_with('/'));
        if chars.len() == first {
            let reason = "it is empty; write *.mp4 or videos/** for example";
            return Err(InvalidGlob { reason, at: 1 });
        }
        let compiler = Compiler {
            chars: &chars,
            first,
            at: first,
            program: Vec::new(),
            open: Vec::new(),
        };
        Ok(Self {
            text: text.to_owned(),
            of_path,
            program: compiler.compile()?.into(),
        })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches a file with this path from the sync's source root.
    pub fn matches(&self, relative_path: &str) -> bool {
        let subject = if self.of_path {
            relative_path
        } else {
            file_name(relative_path)
        };
        run(&self.program, subject)
    }
}

impl TryFrom<String> for Glob {
    type Error = InvalidGlob;

    fn try_from(text: String) -> Result<Self, InvalidGlob> {
        Self::parse(&text)
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.text
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// This character.
    Char(char),
    /// A character that is not `/`.
    Any,
    /// A character other than `/` inside one of the ranges, or outside of all.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// Any number of characters, `/` among them or not.
    Many { slashes: bool },
    /// Goes on at each of these steps.
    Fork(Vec<usize>),
    /// Goes on at that step.
    Jump(usize),
    /// The pattern is at its end.
    End,
}

struct Compiler<'a> {
    chars: &'a [char],
    first: usize,
    at: usize,
    program: Vec<Step>,
    open: Vec<Alternatives>,
}

/// A `{` whose `}` has not come yet.
struct Alternatives {
    opened_at: usize,
    fork: usize,
    starts: Vec<usize>,
    ends: Vec<usize>,
}

impl Compiler<'_> {
    fn compile(mut self) -> Result<Vec<Step>, InvalidGlob> {
        while let Some(c) = self.next() {
            match c {
                '?' => self.program.push(Step::Any),
                '*' => self.stars(),
                '[' => self.class()?,
                '{' => {
                    let fork = self.program.len();
                    self.program.push(Step::Fork(Vec::new()));
                    self.open.push(Alternatives {
                        opened_at: self.at,
                        fork,
                        starts: vec![fork + 1],
                        ends: Vec::new(),
                    });
                }
                ',' if !self.open.is_empty() => self.next_alternative(),
                '}' => self.close()?,
                '\\' => {
                    let reason = "a backslash needs a character after it; write two for one";
                    let Some(c) = self.next() else {
                        return Err(InvalidGlob {
                            reason,
                            at: self.at,
                        });
                    };
                    self.program.push(Step::Char(c));
                }
                c => self.program.push(Step::Char(c)),
            }
        }
        if let Some(open) = self.open.last() {
            let reason = "a { needs its }; write \\{ for the character itself";
            let at = open.opened_at;
            return Err(InvalidGlob { reason, at });
        }
        self.program.push(Step::End);
        Ok(self.program)
    }

    fn next(&mut self) -> Option<char> {
        let c = self.chars.get(self.at).copied()?;
        self.at += 1;
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// One or more stars, the first of which has been read.
    fn stars(&mut self) {
        let inside = !self.open.is_empty();
        let before = (self.at - 1 > self.first).then(|| self.chars[self.at - 2]);
        let single = self.peek() != Some('*');
        while self.peek() == Some('*') {
            self.at += 1;
        }
        let starts = match before {
            None | Some('/') => true,
            Some(c) => inside && matches!(c, '{' | ','),
        };
        let ends = match self.peek() {
            None | Some('/') => true,
            Some(c) => inside && matches!(c, '}' | ','),
        };
        if single || !starts || !ends {
            self.program.push(Step::Many { slashes: false });
        } else if self.peek() == Some('/') {
            // No folder, or any number of them and the slash after the last.
            self.at += 1;
            let here = self.program.len();
            self.program.push(Step::Fork(vec![here + 1, here + 3]));
            self.program.push(Step::Many { slashes: true });
            self.program.push(Step::Char('/'));
        } else {
            self.program.push(Step::Many { slashes: true });
        }
    }

    /// A class whose `[` has been read.
    fn class(&mut self) -> Result<(), InvalidGlob> {
        let opened_at = self.at;
        let unclosed = InvalidGlob {
            reason: "a [ needs its ]; write [[] for the character itself",
            at: opened_at,
        };
        let negated = matches!(self.peek(), Some('!' | '^'));
        if negated {
            self.at += 1;
        }
        let first = self.at;
        let mut ranges = Vec::new();
        loop {
            let at = self.at;
            let low = self.next().ok_or(unclosed)?;
            if low == ']' && at > first {
                break;
            }
            if low == '[' && self.peek() == Some(':') {
                let reason = "named classes are not known here; write 0-9 for [:digit:]";
                return Err(InvalidGlob { reason, at: at + 1 });
            }
            let is_range =
                self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|&c| c != ']');
            if !is_range {
                ranges.push((low, low));
                continue;
            }
            self.at += 1;
            let high = self.next().ok_or(unclosed)?;
            if low > high {
                let reason = "a range must go from the earlier to the later character";
                return Err(InvalidGlob { reason, at: at + 1 });
            }
            ranges.push((low, high));
        }
        self.program.push(Step::Class { negated, ranges });
        Ok(())
    }

    fn next_alternative(&mut self) {
        let here = self.program.len();
        if let Some(open) = self.open.last_mut() {
            open.ends.push(here);
            open.starts.push(here + 1);
            self.program.push(Step::Jump(here));
        }
    }

    fn close(&mut self) -> Result<(), InvalidGlob> {
        let reason = "a } needs its { before it; write \\} for the character itself";
        let at = self.at;
        let closed = self.open.pop().ok_or(InvalidGlob { reason, at })?;
        let here = self.program.len();
        for end in closed.ends {
            self.program[end] = Step::Jump(here);
        }
        self.program[closed.fork] = Step::Fork(closed.starts);
        Ok(())
    }
}

/// The steps that are being tried at the same time.
struct Places {
    steps: Vec<usize>,
    /// Round in which a step was last entered.
    entered: Vec<usize>,
    round: usize,
    waiting: Vec<usize>,
}

impl Places {
    fn enter(&mut self, program: &[Step], step: usize) {
        self.waiting.push(step);
        while let Some(step) = self.waiting.pop() {
            if self.entered[step] == self.round {
                continue;
            }
            self.entered[step] = self.round;
            match &program[step] {
                Step::Fork(targets) => self.waiting.extend(targets),
                Step::Jump(target) => self.waiting.push(*target),
                Step::Many { .. } => {
                    self.steps.push(step);
                    self.waiting.push(step + 1);
                }
                _ => self.steps.push(step),
            }
        }
    }
}

fn run(program: &[Step], subject: &str) -> bool {
    let mut places = Places {
        steps: Vec::new(),
        entered: vec![0; program.len()],
        round: 1,
        waiting: Vec::new(),
    };
    places.enter(program, 0);
    let mut tried = Vec::new();
    for c in subject.chars() {
        std::mem::swap(&mut places.steps, &mut tried);
        places.steps.clear();
        places.round += 1;
        for &step in &tried {
            let next = match &program[step] {
                Step::Char(expected) if *expected == c => step + 1,
                Step::Any if c != '/' => step + 1,
                Step::Class { negated, ranges } if c != '/' => {
                    let inside = ranges.iter().any(|&(low, high)| (low..=high).contains(&c));
                    if inside == *negated {
                        continue;
                    }
                    step + 1
                }
                Step::Many { slashes } if *slashes || c != '/' => step,
                _ => continue,
            };
            places.enter(program, next);
        }
        if places.steps.is_empty() {
            return false;
        }
    }
    places.steps.iter().any(|&step| program[step] == Step::End)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Glob::parse(pattern)
            .unwrap_or_else(|error| panic!("{pattern}: {error}"))
            .matches(path)
    }

    #[test]
    fn without_a_slash_the_file_name_in_any_folder_is_meant() {
        for (pattern, path, expected) in [
            ("*.mp4", "a.mp4", true),
            ("*.mp4", "x/y/a.mp4", true),
            ("*.mp4", "a.MP4", false),
            ("*.mp4", "a.mp4.tmp", false),
            (".DS_Store", "x/.DS_Store", true),
            ("*", "x/.hidden", true),
            ("*_temp.*", "x/a_temp.mov", true),
            ("a?c", "x/abc", true),
            ("a?c", "ac", false),
            ("**", "x/y", true),
            ("a.b", "axb", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn with_a_slash_the_path_from_the_source_root_is_meant() {
        for (pattern, path, expected) in [
            ("videos/*.mp4", "videos/a.mp4", true),
            ("/videos/*.mp4", "videos/a.mp4", true),
            ("/*.mp4", "a.mp4", true),
            ("/*.mp4", "x/a.mp4", false),
            ("videos/*.mp4", "videos/x/a.mp4", false),
            ("videos/*.mp4", "old/videos/a.mp4", false),
            ("*/drafts/*", "x/drafts/a", true),
            ("*/drafts/*", "drafts/a", false),
            ("*/drafts/*", "x/y/drafts/a", false),
            ("**/drafts/**", "drafts/a", true),
            ("**/drafts/**", "x/y/drafts/a/b", true),
            ("**/drafts/**", "x/ydrafts/a", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "ab", false),
            ("a/**/b", "a/xb", false),
            ("a/**", "a/x/y", true),
            ("a/**", "a", false),
            ("a**/b", "ax/b", true),
            ("a**/b", "a/x/b", false),
            ("**/", "x/y/", true),
            ("{a,b/**}/c", "b/x/y/c", true),
            ("{a,b/**}/c", "a/c", true),
            ("a?b/x", "a/b/x", false),
            ("a[/]b/x", "a/b/x", false),
            ("a[!x]b/x", "a/b/x", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_character_is_a_character_in_every_script() {
        for (pattern, name, expected) in [
            ("?.txt", "ü.txt", true),
            ("?.txt", "字.txt", true),
            ("??.txt", "ü.txt", false),
            ("[äöü].txt", "ö.txt", true),
            ("[!äöü].txt", "ö.txt", false),
            ("[а-я]*", "жук", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn classes_alternatives_and_escapes_mean_what_they_mean_everywhere() {
        for (pattern, name, expected) in [
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[]-]x", "-x", true),
            ("[a-]x", "-x", true),
            ("[*]x", "*x", true),
            ("[*]x", "ax", false),
            ("[[]x", "[x", true),
            (r"\*x", "*x", true),
            (r"\*x", "ax", false),
            ("*.{jpg,png}", "a.png", true),
            ("*.{jpg,png}", "a.gif", false),
            ("a{,b}c", "ac", true),
            ("a{,b}c", "abc", true),
            ("a{b{1,2},c}d", "ab2d", true),
            ("a{b{1,2},c}d", "acd", true),
            ("a{b{1,2},c}d", "abd", false),
            ("a,b", "a,b", true),
            ("{}", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_place_and_the_remedy() {
        for (pattern, at) in [
            ("", 1),
            ("/", 1),
            ("a[bc", 2),
            ("a[", 2),
            ("[]", 1),
            ("[z-a]", 2),
            ("[[:digit:]]", 2),
            ("x{a,b", 2),
            ("x{a,{b}", 2),
            ("a}", 2),
            (r"ab\", 3),
        ] {
            let error = Glob::parse(pattern).expect_err(pattern);
            assert_eq!(error.at, at, "{pattern}: {error}");
        }
    }

    #[test]
    fn hostile_patterns_take_steps_in_proportion_and_no_more() {
        let path = "a".repeat(1024);
        for pattern in [
            "*a".repeat(511) + "b",
            "{a,aa}".repeat(170) + "b",
            "{".repeat(500) + &"}".repeat(500),
            format!("{{{}}}b", "*,".repeat(500)),
            "**/".repeat(341) + "b",
            "[!b]".repeat(256),
        ] {
            assert!(!matches(&pattern, &path), "{pattern}");
        }
    }

    #[test]
    fn a_stored_pattern_is_its_text() {
        let glob = Glob::parse("videos/*.{mp4,mov}").expect("a pattern");
        let stored = serde_json::to_string(&glob).expect("a text");
        assert_eq!(stored, r#""videos/*.{mp4,mov}""#);
        assert_eq!(
            serde_json::from_str::<Glob>(&stored).expect("a pattern"),
            glob
        );
        assert!(serde_json::from_str::<Glob>(r#""[""#).is_err());
    }
}
