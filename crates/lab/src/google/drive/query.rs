//! The search language of `files.list`, as far as the lab knows it. What it does not know is refused: a
//! lab that let it pass would hide a mistake.

use chrono::{DateTime, Utc};

use super::super::tree::Tree;
use super::super::tree::access::Role;
use super::super::tree::item::Item;

const DEEPEST: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Query {
    And(Box<Query>, Box<Query>),
    Or(Box<Query>, Box<Query>),
    Not(Box<Query>),
    In(String, People),
    InParents(String),
    Name(Text, String),
    MimeType(Text, String),
    Created(Order, DateTime<Utc>),
    Modified(Order, DateTime<Utc>),
    Trashed(bool),
    Starred(bool),
    SharedWithMe(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum People {
    Owners,
    Writers,
    Readers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    Is,
    IsNot,
    Contains,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Is,
    IsNot,
    Before,
    Until,
    After,
    From,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Sign(&'static str),
}

impl Query {
    /// Reads a search; `None` when it is not understood.
    pub(super) fn read(text: &str) -> Option<Self> {
        let tokens = tokens(text)?;
        let mut rest = tokens.as_slice();
        let query = either(&mut rest, 0)?;
        rest.is_empty().then_some(query)
    }

    /// The folder whose children alone can match, if the search says so.
    pub(super) fn folder(&self) -> Option<&str> {
        match self {
            Self::InParents(folder) => Some(folder),
            Self::And(left, right) => left.folder().or_else(|| right.folder()),
            _ => None,
        }
    }

    /// Whether it asks for children of one folder or of another, which Drive answers with nothing.
    pub(super) fn asks_for_either_parent(&self) -> bool {
        match self {
            Self::Or(left, right) => left.names_parents() && right.names_parents(),
            Self::And(left, right) => {
                left.asks_for_either_parent() || right.asks_for_either_parent()
            }
            Self::Not(inner) => inner.asks_for_either_parent(),
            _ => false,
        }
    }

    fn names_parents(&self) -> bool {
        match self {
            Self::InParents(_) => true,
            Self::And(left, right) | Self::Or(left, right) => {
                left.names_parents() || right.names_parents()
            }
            Self::Not(inner) => inner.names_parents(),
            _ => false,
        }
    }

    pub(super) fn matches(&self, tree: &Tree, item: &Item, me: &str) -> bool {
        match self {
            Self::And(left, right) => left.matches(tree, item, me) && right.matches(tree, item, me),
            Self::Or(left, right) => left.matches(tree, item, me) || right.matches(tree, item, me),
            Self::Not(inner) => !inner.matches(tree, item, me),
            Self::In(who, people) => {
                let who = if who == "me" { me } else { who };
                match people {
                    People::Owners => item.owner.as_deref() == Some(who),
                    People::Writers => tree.role(item, who) >= Some(Role::Writer),
                    People::Readers => tree.role(item, who).is_some(),
                }
            }
            Self::InParents(folder) => {
                let folder = match folder.as_str() {
                    "root" => tree.root_of(me),
                    folder => Some(folder),
                };
                item.parent
                    .as_deref()
                    .is_some_and(|parent| Some(parent) == folder)
            }
            Self::Name(how, text) => how.holds(&item.name, text, |name, text| {
                // Google matches the beginnings of words.
                name.split(|c: char| !c.is_alphanumeric())
                    .any(|word| word.starts_with(text))
                    || name.starts_with(text)
            }),
            Self::MimeType(how, text) => {
                how.holds(&item.mime_type, text, |mime, text| mime.starts_with(text))
            }
            Self::Created(how, time) => how.holds(item.created, *time),
            Self::Modified(how, time) => how.holds(item.modified, *time),
            Self::Trashed(is) => tree.is_trashed(item) == *is,
            Self::Starred(is) => item.starred == *is,
            Self::SharedWithMe(is) => {
                let shared = item.owner.as_deref() != Some(me) && item.permissions.contains_key(me);
                shared == *is
            }
        }
    }
}

impl Text {
    fn holds(self, value: &str, text: &str, contains: impl Fn(&str, &str) -> bool) -> bool {
        match self {
            // Names are compared without regard to capitals.
            Self::Is => value.to_lowercase() == text.to_lowercase(),
            Self::IsNot => value.to_lowercase() != text.to_lowercase(),
            Self::Contains => contains(&value.to_lowercase(), &text.to_lowercase()),
        }
    }
}

impl Order {
    fn holds(self, value: DateTime<Utc>, bound: DateTime<Utc>) -> bool {
        match self {
            Self::Is => value == bound,
            Self::IsNot => value != bound,
            Self::Before => value < bound,
            Self::Until => value <= bound,
            Self::After => value > bound,
            Self::From => value >= bound,
        }
    }
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '\'' || first == '"' {
            let mut quoted = String::new();
            let mut signs = rest.char_indices().skip(1);
            let end = loop {
                let (at, sign) = signs.next()?;
                match sign {
                    '\\' => match signs.next()?.1 {
                        escaped @ ('\\' | '\'' | '"') => quoted.push(escaped),
                        _ => return None,
                    },
                    sign if sign == first => break at,
                    sign => quoted.push(sign),
                }
            };
            found.push(Token::Quoted(quoted));
            rest = &rest[end + 1..];
        } else if let Some(sign) = ["!=", "<=", ">=", "=", "<", ">", "(", ")"]
            .into_iter()
            .find(|sign| rest.starts_with(sign))
        {
            found.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric())
                .unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            found.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Some(found)
}

fn word(rest: &mut &[Token], expected: &str) -> bool {
    match rest.split_first() {
        Some((Token::Word(word), after)) if word.eq_ignore_ascii_case(expected) => {
            *rest = after;
            true
        }
        _ => false,
    }
}

fn sign(rest: &mut &[Token], expected: &str) -> bool {
    match rest.split_first() {
        Some((Token::Sign(sign), after)) if *sign == expected => {
            *rest = after;
            true
        }
        _ => false,
    }
}

fn take<'a>(rest: &mut &'a [Token]) -> Option<&'a Token> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(first)
}

fn either(rest: &mut &[Token], depth: usize) -> Option<Query> {
    let mut query = both(rest, depth)?;
    while word(rest, "or") {
        query = Query::Or(Box::new(query), Box::new(both(rest, depth)?));
    }
    Some(query)
}

fn both(rest: &mut &[Token], depth: usize) -> Option<Query> {
    let mut query = one(rest, depth)?;
    while word(rest, "and") {
        query = Query::And(Box::new(query), Box::new(one(rest, depth)?));
    }
    Some(query)
}

fn one(rest: &mut &[Token], depth: usize) -> Option<Query> {
    if depth > DEEPEST {
        return None;
    }
    if word(rest, "not") {
        return Some(Query::Not(Box::new(one(rest, depth + 1)?)));
    }
    if sign(rest, "(") {
        let query = either(rest, depth + 1)?;
        return sign(rest, ")").then_some(query);
    }
    match take(rest)? {
        Token::Quoted(value) => {
            if !word(rest, "in") {
                return None;
            }
            let Token::Word(set) = take(rest)? else {
                return None;
            };
            let people = match set.as_str() {
                "parents" => return Some(Query::InParents(value.clone())),
                "owners" => People::Owners,
                "writers" => People::Writers,
                "readers" => People::Readers,
                _ => return None,
            };
            Some(Query::In(value.clone(), people))
        }
        Token::Word(field) => compared(field, rest),
        Token::Sign(_) => None,
    }
}

fn compared(field: &str, rest: &mut &[Token]) -> Option<Query> {
    match field {
        "name" => text(rest).map(|(how, value)| Query::Name(how, value)),
        "mimeType" => text(rest).map(|(how, value)| Query::MimeType(how, value)),
        "createdTime" => ordered(rest).map(|(how, time)| Query::Created(how, time)),
        "modifiedTime" => ordered(rest).map(|(how, time)| Query::Modified(how, time)),
        "trashed" => truth(rest).map(Query::Trashed),
        "starred" => truth(rest).map(Query::Starred),
        "sharedWithMe" => match rest.first() {
            Some(Token::Sign("=" | "!=")) => truth(rest).map(Query::SharedWithMe),
            _ => Some(Query::SharedWithMe(true)),
        },
        _ => None,
    }
}

fn quoted(rest: &mut &[Token]) -> Option<String> {
    match take(rest)? {
        Token::Quoted(value) => Some(value.clone()),
        _ => None,
    }
}

fn text(rest: &mut &[Token]) -> Option<(Text, String)> {
    let how = match take(rest)? {
        Token::Sign("=") => Text::Is,
        Token::Sign("!=") => Text::IsNot,
        Token::Word(word) if word == "contains" => Text::Contains,
        _ => return None,
    };
    Some((how, quoted(rest)?))
}

fn truth(rest: &mut &[Token]) -> Option<bool> {
    let equal = match take(rest)? {
        Token::Sign("=") => true,
        Token::Sign("!=") => false,
        _ => return None,
    };
    match take(rest)? {
        Token::Word(word) if word == "true" => Some(equal),
        Token::Word(word) if word == "false" => Some(!equal),
        _ => None,
    }
}

fn ordered(rest: &mut &[Token]) -> Option<(Order, DateTime<Utc>)> {
    let how = match take(rest)? {
        Token::Sign("=") => Order::Is,
        Token::Sign("!=") => Order::IsNot,
        Token::Sign("<") => Order::Before,
        Token::Sign("<=") => Order::Until,
        Token::Sign(">") => Order::After,
        Token::Sign(">=") => Order::From,
        _ => return None,
    };
    let value = quoted(rest)?;
    let time = DateTime::parse_from_rfc3339(&value)
        .or_else(|_| DateTime::parse_from_rfc3339(&format!("{value}Z")))
        .ok()?;
    Some((how, time.to_utc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_are_read_with_their_escapes() {
        assert_eq!(
            Query::read(r"name = 'it\'s a \\ b'"),
            Some(Query::Name(Text::Is, r"it's a \ b".to_owned()))
        );
        assert_eq!(
            Query::read("'1a' in parents and trashed=false")
                .unwrap()
                .folder(),
            Some("1a")
        );
        assert!(
            Query::read("trashed = false and ('a' in parents or 'b' in parents)")
                .unwrap()
                .asks_for_either_parent()
        );
        assert!(
            !Query::read("'a' in parents and (mimeType = 'x' or mimeType != 'y')")
                .unwrap()
                .asks_for_either_parent()
        );
        assert_eq!(Query::read("sharedWithMe"), Some(Query::SharedWithMe(true)));
    }

    #[test]
    fn searches_that_mean_nothing_are_refused() {
        for text in [
            "",
            "name",
            "name = 'a",
            "name = a",
            "title = 'a'",
            "name = 'a' 'b'",
            "(trashed=true",
            "trashed=maybe",
            "'a' in children",
            "fullText contains 'a'",
            r"name = 'a\b'",
            "é",
            "modifiedTime > 'yesterday'",
        ] {
            assert_eq!(Query::read(text), None, "{text}");
        }
        assert_eq!(Query::read(&"(".repeat(100_000)), None);
        assert_eq!(Query::read(&"not ".repeat(100_000)), None);
    }
}
