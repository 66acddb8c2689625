//! Payload templates: JSON whose texts name parts of an event, in a small part of Jinja2's language.
//!
//! `{{ data.object_id }}` stands for a part of the event's body, `{{ data.size | default('none') }}` for one that may be missing or
//! null; `tojson`, `upper` and `lower` are the other filters, and `{# … #}` is left out. There are no statements, so that what a
//! template makes is never larger than its own places times the event.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::input::{FieldError, InvalidInput};

/// Most bytes of a template's JSON.
const LARGEST_TEMPLATE: usize = 16 * 1024;
/// Most bytes of what one makes of an event.
const LARGEST_PAYLOAD: usize = 512 * 1024;

/// What a template made of an event is too large to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the payload template makes more than 512 KiB of this event")]
pub struct PayloadTooLarge;

/// A template whose every text was found well formed.
#[derive(Debug, Clone, PartialEq)]
pub struct PayloadTemplate(Map<String, Value>);

impl PayloadTemplate {
    /// Reads a template that stands at `path`.
    ///
    /// # Errors
    /// Every text that is not well formed, by its place.
    pub fn parse(path: &str, template: Map<String, Value>) -> Result<Self, InvalidInput> {
        let whole = Value::Object(template);
        if whole.to_string().len() > LARGEST_TEMPLATE {
            let message = format!("must have at most {LARGEST_TEMPLATE} bytes of JSON");
            return Err(InvalidInput::one(path, "too_large", message));
        }
        let mut mistakes = Vec::new();
        look_over(&whole, path, &mut mistakes);
        match (whole, mistakes.is_empty()) {
            (Value::Object(template), true) => Ok(Self(template)),
            _ => Err(InvalidInput(mistakes)),
        }
    }

    /// The template as it was given.
    pub fn as_json(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// What it makes of an event's body.
    ///
    /// # Errors
    /// When that is too large.
    pub fn render(&self, event: &Value) -> Result<Value, PayloadTooLarge> {
        let mut room = LARGEST_PAYLOAD;
        render_fields(&self.0, event, &mut room)
    }
}

fn look_over(value: &Value, path: &str, mistakes: &mut Vec<FieldError>) {
    match value {
        Value::String(text) => {
            if let Err(message) = pieces(text) {
                mistakes.push(FieldError::new(path, "template", message));
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                look_over(item, &format!("{path}.{i}"), mistakes);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                let key = crate::input::shown(key);
                look_over(field, &format!("{path}.{key}"), mistakes);
            }
        }
        _ => {}
    }
}

fn render_fields(
    fields: &Map<String, Value>,
    event: &Value,
    room: &mut usize,
) -> Result<Value, PayloadTooLarge> {
    let rendered = fields.iter().map(|(key, field)| {
        take(room, key.len())?;
        Ok((key.clone(), render_value(field, event, room)?))
    });
    Ok(Value::Object(rendered.collect::<Result<_, _>>()?))
}

fn render_value(value: &Value, event: &Value, room: &mut usize) -> Result<Value, PayloadTooLarge> {
    Ok(match value {
        Value::String(text) => Value::String(render_text(text, event, room)?),
        Value::Array(items) => {
            let items = items.iter().map(|item| render_value(item, event, room));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => render_fields(fields, event, room)?,
        other => other.clone(),
    })
}

fn render_text(text: &str, event: &Value, room: &mut usize) -> Result<String, PayloadTooLarge> {
    // It was looked over when it was parsed: what is not well formed now stands for itself.
    let Ok(pieces) = pieces(text) else {
        return Ok(text.to_owned());
    };
    let mut rendered = String::new();
    for piece in pieces {
        let part = match piece {
            Piece::Text(text) => text.to_owned(),
            Piece::Expression(expression) => expression.render(event),
        };
        take(room, part.len())?;
        rendered.push_str(&part);
    }
    Ok(rendered)
}

fn take(room: &mut usize, bytes: usize) -> Result<(), PayloadTooLarge> {
    *room = room.checked_sub(bytes).ok_or(PayloadTooLarge)?;
    Ok(())
}

enum Piece<'a> {
    Text(&'a str),
    Expression(Expression<'a>),
}

struct Expression<'a> {
    /// Keys of objects and indices of arrays, outermost first.
    place: Vec<&'a str>,
    filters: Vec<Filter<'a>>,
}

enum Filter<'a> {
    ToJson,
    Upper,
    Lower,
    Default(&'a str),
}

impl Expression<'_> {
    fn render(&self, event: &Value) -> String {
        let mut found = Some(event);
        for key in &self.place {
            found = found.and_then(|value| match value {
                Value::Object(fields) => fields.get(*key),
                Value::Array(items) => key.parse::<usize>().ok().and_then(|i| items.get(i)),
                _ => None,
            });
        }
        let mut value = found.cloned();
        for filter in &self.filters {
            value = match filter {
                Filter::Default(text) => match value {
                    None | Some(Value::Null) => Some(Value::String((*text).to_owned())),
                    there => there,
                },
                Filter::ToJson => {
                    let json = value.unwrap_or(Value::Null).to_string();
                    Some(Value::String(json))
                }
                Filter::Upper => value.map(|value| Value::String(shown(&value).to_uppercase())),
                Filter::Lower => value.map(|value| Value::String(shown(&value).to_lowercase())),
            };
        }
        value.map(|value| shown(&value)).unwrap_or_default()
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A text taken apart, or what is wrong with it.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, &'static str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        if let Some(inner) = from.strip_prefix("{{") {
            let end = closing(inner).ok_or("has a {{ without its }}")?;
            pieces.push(Piece::Text(before));
            pieces.push(Piece::Expression(expression(&inner[..end])?));
            rest = &inner[end + 2..];
        } else if let Some(inner) = from.strip_prefix("{#") {
            let end = inner.find("#}").ok_or("has a {# without its #}")?;
            pieces.push(Piece::Text(before));
            rest = &inner[end + 2..];
        } else if from.starts_with("{%") {
            return Err(
                "has a statement ({% … %}); only places such as {{ data.object_id }} are filled in here",
            );
        } else {
            let (brace, after) = rest.split_at(at + 1);
            pieces.push(Piece::Text(brace));
            rest = after;
        }
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// Where the `}}` stands that is not within quotation marks.
fn closing(inner: &str) -> Option<usize> {
    let mut quoted = None;
    let bytes = inner.as_bytes();
    for (i, byte) in bytes.iter().enumerate() {
        match (quoted, byte) {
            (None, b'\'' | b'"') => quoted = Some(*byte),
            (Some(mark), byte) if mark == *byte => quoted = None,
            (None, b'}') if bytes.get(i + 1) == Some(&b'}') => return Some(i),
            _ => {}
        }
    }
    None
}

const NOT_UNDERSTOOD: &str = "has an expression that is not understood: write a place such as {{ data.object_id }}, and behind it | \
     tojson, | upper, | lower or | default('text')";

fn expression(text: &str) -> Result<Expression<'_>, &'static str> {
    let mut parts = split_outside_quotes(text).into_iter().map(str::trim);
    let place: Vec<&str> = parts.next().unwrap_or_default().split('.').collect();
    let is_key =
        |key: &&str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !place.iter().all(is_key) {
        return Err(NOT_UNDERSTOOD);
    }
    let filters = parts.map(filter).collect::<Option<Vec<_>>>();
    Ok(Expression {
        place,
        filters: filters.ok_or(NOT_UNDERSTOOD)?,
    })
}

fn split_outside_quotes(text: &str) -> Vec<&str> {
    let mut quoted = None;
    text.split(|c: char| {
        match quoted {
            None if c == '\'' || c == '"' => quoted = Some(c),
            Some(mark) if mark == c => quoted = None,
            None if c == '|' => return true,
            _ => {}
        }
        false
    })
    .collect()
}

fn filter(text: &str) -> Option<Filter<'_>> {
    match text {
        "tojson" => return Some(Filter::ToJson),
        "upper" => return Some(Filter::Upper),
        "lower" => return Some(Filter::Lower),
        _ => {}
    }
    let inner = text.strip_prefix("default(")?.strip_suffix(')')?.trim();
    let mark = inner.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let quoted = inner.strip_prefix(mark)?.strip_suffix(mark)?;
    (!quoted.contains(mark)).then_some(Filter::Default(quoted))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(value: Value) -> Result<PayloadTemplate, InvalidInput> {
        let Value::Object(fields) = value else {
            panic!("an object")
        };
        PayloadTemplate::parse("t", fields)
    }

    fn rendered(text: &str) -> String {
        let event = json!({
            "id": "evt_1", "n": 7, "gone": null, "list": ["a", {"b": "c"}], "data": {"path": "x/ä \"y\""},
        });
        let made = template(json!({"t": text})).expect("well formed");
        let made = made.render(&event).expect("small");
        made["t"].as_str().expect("a text").to_owned()
    }

    #[test]
    fn places_are_filled_in_with_what_the_event_says() {
        for (text, expected) in [
            ("plain", "plain"),
            ("{{ id }}", "evt_1"),
            ("a {{id}}-{{ n }} b", "a evt_1-7 b"),
            ("{{ data.path }}", "x/ä \"y\""),
            ("{{ data.path | tojson }}", "\"x/ä \\\"y\\\"\""),
            ("{{ list.1.b | upper }}", "C"),
            ("{{ list }}", r#"["a",{"b":"c"}]"#),
            ("{{ nowhere.at.all }}", ""),
            ("{{ nowhere | default('}} | \"x\"') }}", "}} | \"x\""),
            ("{{ gone }}", "null"),
            ("{{ gone | default(\"no\") | upper }}", "NO"),
            ("{# a note {{ id }} #}x { y } {", "x { y } {"),
        ] {
            assert_eq!(rendered(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_by_its_place() {
        for text in [
            "{{ id",
            "{{ }}",
            "{{ a..b }}",
            "{{ a | frob }}",
            "{{ a | default(b) }}",
            "{{ a | default('b }}",
            "{{ 'x' * 100 }}",
            "{% for a in b %}{% endfor %}",
            "{# a",
        ] {
            let refused = template(json!({"deep": [text]})).expect_err(text);
            assert_eq!(refused.0[0].path(), "t.deep.0", "{text}");
        }
    }

    #[test]
    fn what_is_no_text_stays_as_it_is() {
        let made = template(json!({"n": 1, "b": [true, null], "{{ id }}": "{{ id }}"}));
        let made = made.expect("well formed").render(&json!({"id": "e"}));
        let expected = json!({"n": 1, "b": [true, null], "{{ id }}": "e"});
        assert_eq!(made.expect("small"), expected);
    }

    #[test]
    fn what_a_template_makes_is_bounded() {
        let places = "{{ a }}".repeat(2000);
        let made = template(json!({"t": places})).expect("well formed");
        assert_eq!(
            made.render(&json!({"a": "x".repeat(1000)})),
            Err(PayloadTooLarge)
        );
        assert!(template(json!({"t": "x".repeat(17_000)})).is_err());
    }
}
