//! Patterns in the flavour of Python's `re`, rewritten for our engine.
//!
//! The two agree on most of the syntax, and where they do not, they disagree silently: `\<`, `\h`, `\Z`, `\12`, `[[a]`,
//! `[a&&b]` or `(?<n>a)` mean something else in the one than in the other, or nothing at all. So a pattern is read here as
//! Python reads it, and written anew in the part that both understand alike. One thing stays different: `$` is the end of
//! the name, and not also the place before a line break at that end.

use super::pattern::InvalidPattern;

/// Largest size of one pattern: 256 times `\w`, or 8192 times a letter.
const LARGEST: usize = 8192;

/// What a part of a pattern costs, repetitions by a number multiplied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// In memory: about so many kilobytes.
    pub(super) memory: usize,
    /// In time: how many places of the pattern one character may be compared with.
    pub(super) places: usize,
}

/// All but large sets.
const SMALL: Size = Size::of(1);
/// What is empty.
const NOTHING: Size = Size {
    memory: 0,
    places: 0,
};

impl Size {
    /// One place.
    const fn of(memory: usize) -> Self {
        Self { memory, places: 1 }
    }

    fn and(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_add(other.memory),
            places: self.places.saturating_add(other.places),
        }
    }

    fn times(self, times: usize) -> Self {
        Self {
            memory: self.memory.saturating_mul(times),
            places: self.places.saturating_mul(times),
        }
    }
}

/// A pattern anew.
#[derive(Debug)]
pub(super) struct Translated {
    /// For our engine.
    pub(super) regex: String,
    /// What it costs.
    pub(super) size: Size,
}

/// Rewrites a pattern.
///
/// # Errors
/// What Python refuses, and `\N{…}`, the flags `a` and `L`, repetition of a look-around, and what is too large.
pub(super) fn translate(pattern: &str) -> Result<Translated, InvalidPattern> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut translation = Translation {
        chars: &chars,
        at: 0,
        out: String::new(),
        head: 0,
        open: Vec::new(),
        captures: Vec::new(),
        spaced: false,
        last: Last::Nothing,
        size: NOTHING,
    };
    translation.run()?;
    Ok(Translated {
        regex: translation.out,
        size: translation.size,
    })
}

struct Translation<'a> {
    chars: &'a [char],
    at: usize,
    out: String,
    /// How much of it is flags for the whole pattern.
    head: usize,
    open: Vec<Open>,
    /// Capture groups so far, in their order.
    captures: Vec<Capture>,
    /// Whether white space and comments do not count, the flag `x`.
    spaced: bool,
    last: Last,
    /// Of the innermost open group so far.
    size: Size,
}

/// A group whose `)` has not come yet.
struct Open {
    at: usize,
    capture: Option<usize>,
    is_look_around: bool,
    spaced_outside: bool,
    size_outside: Size,
}

struct Capture {
    name: Option<String>,
    closed: bool,
}

/// What stands before a quantifier.
enum Last {
    Nothing,
    Quantifier,
    /// Something that may be repeated, of this size.
    Item(Size),
}

type Step = Result<(), InvalidPattern>;

impl Translation<'_> {
    fn run(&mut self) -> Step {
        while let Some(c) = self.next() {
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.open()?,
                ')' => self.close()?,
                '|' => self.mark("|"),
                '^' | '$' => self.mark(c.encode_utf8(&mut [0; 4])),
                '.' => self.item(".", SMALL),
                '*' | '+' | '?' => self.repeat(c)?,
                '{' => self.brace()?,
                '#' if self.spaced => self.skip_to('\n'),
                ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' if self.spaced => {}
                c => self.item(&literal(c), SMALL),
            }
        }
        match self.open.last() {
            Some(open) => Err(refused("a group is not closed", open.at)),
            None => Ok(()),
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn take(&mut self, c: char) -> bool {
        let there = self.peek() == Some(c);
        self.at += usize::from(there);
        there
    }

    fn skip_to(&mut self, end: char) {
        while self.next().is_some_and(|c| c != end) {}
    }

    /// Writes what cannot be repeated.
    fn mark(&mut self, text: &str) {
        self.out.push_str(text);
        self.last = Last::Nothing;
    }

    /// Writes what can be repeated.
    fn item(&mut self, text: &str, size: Size) {
        self.out.push_str(text);
        self.size = self.size.and(size);
        self.last = Last::Item(size);
    }

    fn escape(&mut self) -> Step {
        let at = self.at;
        let Some(c) = self.next() else {
            return Err(refused("a backslash needs a character after it", at));
        };
        match c {
            'A' | 'b' | 'B' => self.mark(&format!("\\{c}")),
            'Z' | 'z' => self.mark("\\z"),
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => self.item(&format!("\\{c}"), size_of_set(c)),
            '1'..='9' if !self.is_octal() => {
                let mut number = c.to_string();
                number.extend(self.peek().filter(char::is_ascii_digit));
                self.at += number.len() - 1;
                let number: usize = number.parse().unwrap_or(usize::MAX);
                self.back_reference(number, at)?;
            }
            c => {
                let c = self.escaped(c, at)?;
                self.item(&literal(c), SMALL);
            }
        }
        Ok(())
    }

    /// Whether the digit just read and the two after it are one character's octal number.
    fn is_octal(&self) -> bool {
        (self.at - 1..=self.at + 1).all(|at| self.chars.get(at).is_some_and(|c| c.is_digit(8)))
    }

    fn back_reference(&mut self, number: usize, at: usize) -> Step {
        let group = number.checked_sub(1).and_then(|i| self.captures.get(i));
        if !group.is_some_and(|group| group.closed) {
            return Err(refused("there is no such group before it", at));
        }
        self.item(&format!("(?:\\{number})"), SMALL);
        Ok(())
    }

    /// The one character that an escape stands for, in a class or outside.
    fn escaped(&mut self, c: char, at: usize) -> Result<char, InvalidPattern> {
        Ok(match c {
            'a' => '\u{7}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => self.hexadecimal(2, at)?,
            'u' => self.hexadecimal(4, at)?,
            'U' => self.hexadecimal(8, at)?,
            'N' => {
                return Err(refused(
                    "\\N is not supported; write the character itself",
                    at,
                ));
            }
            '0'..='7' => {
                let mut number = c.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    self.at += 1;
                    number = number * 8 + digit;
                }
                char::from_u32(number)
                    .filter(|_| number <= 0o377)
                    .ok_or_else(|| refused("an octal number goes to \\377", at))?
            }
            c if c.is_ascii_alphanumeric() => {
                return Err(refused("there is no such escape", at));
            }
            c => c,
        })
    }

    fn hexadecimal(&mut self, digits: usize, at: usize) -> Result<char, InvalidPattern> {
        let text: String = self.chars.iter().skip(self.at).take(digits).collect();
        self.at += digits;
        let sound = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
        u32::from_str_radix(&text, 16)
            .ok()
            .filter(|_| sound)
            .and_then(char::from_u32)
            .ok_or_else(|| refused("an escape needs all digits of a character's number", at))
    }

    fn class(&mut self) -> Step {
        let opened_at = self.at;
        let mut class = String::from("[");
        if self.take('^') {
            class.push('^');
        }
        let first = self.at;
        loop {
            let at = self.at;
            let Some(c) = self.next() else {
                return Err(refused("a [ is not closed", opened_at));
            };
            if c == ']' && at > first {
                break;
            }
            let low = self.member(c, &mut class)?;
            let is_range =
                self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|&c| c != ']');
            if is_range {
                self.at += 1;
                let c = self.next().unwrap_or_default();
                let mut none = String::new();
                let high = self.member(c, &mut none)?;
                match (low, high) {
                    (Some(low), Some(high)) if low <= high => {
                        class.push_str(&[literal(low), literal(high)].join("-"));
                    }
                    _ => {
                        let reason = "a range must go from an earlier to a later character";
                        return Err(refused(reason, at + 1));
                    }
                }
            } else if let Some(c) = low {
                class.push_str(&literal(c));
            }
        }
        class.push(']');
        let sets = class
            .split('\\')
            .skip(1)
            .filter_map(|set| set.chars().next());
        let memory = sets.map(|set| size_of_set(set).memory).sum::<usize>();
        let size = Size::of(memory.max(SMALL.memory));
        self.item(&class, size);
        Ok(())
    }

    /// One member of a class: a single character, or a set of them, which is written at once.
    fn member(&mut self, c: char, class: &mut String) -> Result<Option<char>, InvalidPattern> {
        if c != '\\' {
            return Ok(Some(c));
        }
        let at = self.at;
        match self.next() {
            None => Err(refused("a backslash needs a character after it", at)),
            Some('b') => Ok(Some('\u{8}')),
            Some(c @ ('d' | 'D' | 's' | 'S' | 'w' | 'W')) => {
                class.push('\\');
                class.push(c);
                Ok(None)
            }
            Some(c) => self.escaped(c, at).map(Some),
        }
    }

    fn open(&mut self) -> Step {
        let at = self.at;
        if !self.take('?') {
            self.begin_capture(None, at);
            return Ok(());
        }
        match self.next() {
            Some(':') => self.begin("(?:", at, false),
            Some('>') => self.begin("(?>", at, false),
            Some('=') => self.begin("(?=", at, true),
            Some('!') => self.begin("(?!", at, true),
            Some('<') if self.take('=') => self.begin("(?<=", at, true),
            Some('<') if self.take('!') => self.begin("(?<!", at, true),
            Some('<') => return Err(refused("a named group is written (?P<name>…)", at)),
            Some('P') if self.take('<') => {
                let name = self.name('>', at)?;
                if self
                    .captures
                    .iter()
                    .any(|group| group.name.as_ref() == Some(&name))
                {
                    return Err(refused("two groups have the same name", at));
                }
                self.begin_capture(Some(name), at);
            }
            Some('P') if self.take('=') => {
                let number = self.named_group(')', at)?;
                self.back_reference(number, at)?;
            }
            Some('#') => {
                let closed = self.chars[self.at..].contains(&')');
                if !closed {
                    return Err(refused("a comment is not closed", at));
                }
                self.skip_to(')');
            }
            Some('(') => {
                let number = self.named_group(')', at)?;
                self.begin(&format!("(?({number})"), at, false);
            }
            Some(c) if c == '-' || c.is_ascii_alphabetic() => {
                self.at -= 1;
                self.flags(at)?;
            }
            _ => return Err(refused("there is no such group", at)),
        }
        Ok(())
    }

    fn begin(&mut self, text: &str, at: usize, is_look_around: bool) {
        self.mark(text);
        self.open.push(Open {
            at,
            capture: None,
            is_look_around,
            spaced_outside: self.spaced,
            size_outside: std::mem::replace(&mut self.size, SMALL),
        });
    }

    fn begin_capture(&mut self, name: Option<String>, at: usize) {
        self.begin("(", at, false);
        if let Some(open) = self.open.last_mut() {
            open.capture = Some(self.captures.len());
        }
        self.captures.push(Capture {
            name,
            closed: false,
        });
    }

    /// A group's name, up to `end`.
    fn name(&mut self, end: char, at: usize) -> Result<String, InvalidPattern> {
        let mut name = String::new();
        loop {
            match self.next() {
                Some(c) if c == end => break,
                Some(c) => name.push(c),
                None => return Err(refused("the name of a group is not closed", at)),
            }
        }
        let sound = name.chars().all(|c| c == '_' || c.is_alphanumeric())
            && name.starts_with(|c: char| c == '_' || c.is_alphabetic());
        sound.then_some(name).ok_or_else(|| {
            refused(
                "a group's name has letters, digits and _, and no digit first",
                at,
            )
        })
    }

    /// The number of the group that is named or numbered up to `end`.
    fn named_group(&mut self, end: char, at: usize) -> Result<usize, InvalidPattern> {
        if self.peek().is_some_and(|c| c.is_ascii_digit()) {
            let mut number = String::new();
            while let Some(c) = self.next().filter(|&c| c != end) {
                number.push(c);
            }
            let number = number.parse().unwrap_or(usize::MAX);
            let there = (1..=self.captures.len()).contains(&number);
            return there
                .then_some(number)
                .ok_or_else(|| refused("there is no such group before it", at));
        }
        let name = self.name(end, at)?;
        self.captures
            .iter()
            .position(|group| group.name.as_ref() == Some(&name))
            .map(|i| i + 1)
            .ok_or_else(|| refused("there is no such group before it", at))
    }

    /// `(?i)` at the start, or `(?i:…)`, `(?i-s:…)` anywhere.
    fn flags(&mut self, at: usize) -> Step {
        let (mut on, mut off) = (String::new(), String::new());
        let mut negative = false;
        let for_group = loop {
            match self.next() {
                Some(')') if !negative => break false,
                Some(':') if !negative || !off.is_empty() => break true,
                Some('-') if !negative => negative = true,
                Some(c @ ('i' | 'm' | 's' | 'x')) if negative => off.push(c),
                Some(c @ ('i' | 'm' | 's' | 'x')) => on.push(c),
                Some('u') if !negative => {}
                Some('a' | 'L') => {
                    return Err(refused("the flags a and L are not supported", at));
                }
                _ => return Err(refused("there are no such flags", at)),
            }
        };
        if on.chars().any(|c| off.contains(c)) {
            return Err(refused("a flag is turned on and off", at));
        }
        let spaced = on.contains('x') || (self.spaced && !off.contains('x'));
        on.retain(|c| c != 'x');
        off.retain(|c| c != 'x');
        if !off.is_empty() {
            off.insert(0, '-');
        }
        if for_group {
            self.begin(&format!("(?{on}{off}:"), at, false);
            self.spaced = spaced;
            return Ok(());
        }
        if self.out.len() > self.head {
            let reason = "flags for the whole pattern stand at its start";
            return Err(refused(reason, at));
        }
        self.spaced = spaced;
        if !on.is_empty() {
            self.mark(&format!("(?{on})"));
        }
        self.head = self.out.len();
        Ok(())
    }

    fn close(&mut self) -> Step {
        let Some(open) = self.open.pop() else {
            return Err(refused("a ) has no ( before it", self.at));
        };
        if let Some(capture) = open.capture {
            self.captures[capture].closed = true;
        }
        self.spaced = open.spaced_outside;
        let inside = self.size;
        self.size = open.size_outside.and(inside);
        self.out.push(')');
        self.last = if open.is_look_around {
            Last::Nothing
        } else {
            Last::Item(inside)
        };
        Ok(())
    }

    /// `{2}`, `{2,}`, `{,2}` or `{2,3}`; anything else that starts with a brace stands for itself.
    fn brace(&mut self) -> Step {
        let start = self.at;
        let low = self.digits();
        let high = if self.take(',') {
            self.digits()
        } else {
            low.clone()
        };
        let is_quantifier = self.take('}') && self.at > start + 1;
        if !is_quantifier {
            self.at = start;
            self.item(&literal('{'), SMALL);
            return Ok(());
        }
        let number = |digits: &str| digits.parse::<usize>().unwrap_or(usize::MAX);
        let least = if low.is_empty() { 0 } else { number(&low) };
        let most = if high.is_empty() {
            None
        } else {
            Some(number(&high))
        };
        if most.is_some_and(|most| most < least) {
            return Err(refused(
                "a repetition goes from the smaller to the larger number",
                start,
            ));
        }
        let text = match most {
            Some(most) => format!("{{{least},{most}}}"),
            None => format!("{{{least},}}"),
        };
        self.quantifier(&text, most.unwrap_or(least), start)
    }

    fn digits(&mut self) -> String {
        let mut digits = String::new();
        while let Some(c) = self.peek().filter(char::is_ascii_digit) {
            digits.push(c);
            self.at += 1;
        }
        digits
    }

    fn repeat(&mut self, c: char) -> Step {
        self.quantifier(c.encode_utf8(&mut [0; 4]), 1, self.at)
    }

    fn quantifier(&mut self, text: &str, times: usize, at: usize) -> Step {
        let inside = match self.last {
            Last::Item(inside) => inside,
            Last::Nothing => {
                return Err(refused(
                    "there is nothing before it that can be repeated",
                    at,
                ));
            }
            Last::Quantifier => {
                return Err(refused("a repetition is repeated; put it in (?:…)", at));
            }
        };
        self.size = self.size.and(inside.times(times.saturating_sub(1)));
        if self.size.memory > LARGEST {
            return Err(refused("it is too large; repeat less", at));
        }
        self.out.push_str(text);
        if self.take('?') {
            self.out.push('?');
        } else if self.take('+') {
            self.out.push('+');
        }
        self.last = Last::Quantifier;
        Ok(())
    }
}

/// The size of `\w`, which names more than a hundred thousand characters, `\d` and the like.
fn size_of_set(letter: char) -> Size {
    match letter {
        'w' | 'W' => Size::of(32),
        'd' | 'D' => Size::of(4),
        _ => SMALL,
    }
}

/// A character that stands for itself, in a class or outside.
fn literal(c: char) -> String {
    if c.is_ascii() && !c.is_ascii_alphanumeric() {
        format!("\\x{:02x}", u32::from(c))
    } else {
        c.to_string()
    }
}

fn refused(reason: &str, at: usize) -> InvalidPattern {
    InvalidPattern {
        reason: reason.to_owned(),
        at: Some(at.max(1)),
    }
}
