//! Field masks: which parts of an answer were asked for, `files(id,owners/emailAddress),nextPageToken`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::surface::{self, Shape};

const DEEPEST: usize = 16;

/// What of a value is asked for: all of it, or these fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Mask {
    all: bool,
    fields: BTreeMap<String, Mask>,
}

/// The part of a mask that says nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidSelection(pub(crate) String);

impl Mask {
    /// Reads a mask and holds it against a schema.
    pub(crate) fn read(text: &str, schema: &str) -> Result<Self, InvalidSelection> {
        let mut rest = text;
        let mask = Self::list(&mut rest, 0)?;
        if !rest.is_empty() {
            return Err(InvalidSelection(rest.to_owned()));
        }
        mask.check(schema)?;
        Ok(mask)
    }

    fn list(rest: &mut &str, depth: usize) -> Result<Self, InvalidSelection> {
        let refusal = |at: &str| InvalidSelection(at.to_owned());
        let mut list = Self::default();
        loop {
            let mut at = &mut list;
            for level in depth.. {
                if level > DEEPEST {
                    return Err(refusal(rest));
                }
                let length = rest.find([',', '(', ')', '/']).unwrap_or(rest.len());
                let (name, after) = rest.split_at(length);
                let name = name.trim();
                if name.is_empty() {
                    return Err(refusal(rest));
                }
                *rest = after;
                if name == "*" {
                    at.all = true;
                } else {
                    at = at.fields.entry(name.to_owned()).or_default();
                }
                match rest.strip_prefix('/') {
                    Some(deeper) => *rest = deeper,
                    None => break,
                }
            }
            if let Some(inner) = rest.strip_prefix('(') {
                *rest = inner;
                let part = Self::list(rest, depth + 1)?;
                *rest = rest.strip_prefix(')').ok_or_else(|| refusal(rest))?;
                at.join(part);
            } else if at.fields.is_empty() {
                at.all = true;
            }
            match rest.strip_prefix(',') {
                Some(next) => *rest = next,
                None => return Ok(list),
            }
        }
    }

    fn join(&mut self, other: Self) {
        self.all |= other.all;
        for (name, part) in other.fields {
            self.fields.entry(name).or_default().join(part);
        }
    }

    fn check(&self, schema: &str) -> Result<(), InvalidSelection> {
        let known = surface::schema(schema).map_or(&[][..], |schema| schema.fields);
        for (name, part) in &self.fields {
            match known.iter().find(|(field, _)| field == name) {
                Some((_, Shape::Object(inner))) => part.check(inner)?,
                Some((_, Shape::Free)) => {}
                Some((_, Shape::Plain)) if part.fields.is_empty() => {}
                _ => return Err(InvalidSelection(name.clone())),
            }
        }
        Ok(())
    }

    /// Takes away what was not asked for.
    pub(crate) fn apply(&self, value: &mut Value) {
        if self.all {
            return;
        }
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| self.fields.contains_key(name));
                for (name, value) in fields {
                    if let Some(part) = self.fields.get(name) {
                        part.apply(value);
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.apply(value)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn masked(mask: &str, mut value: Value) -> Value {
        Mask::read(mask, "FileList").unwrap().apply(&mut value);
        value
    }

    #[test]
    fn a_mask_keeps_what_it_names() {
        let list = json!({
            "kind": "drive#fileList",
            "nextPageToken": "t",
            "files": [{"id": "1", "name": "a", "owners": [{"emailAddress": "a@b.c", "me": true}]}],
        });
        assert_eq!(masked("*", list.clone()), list);
        assert_eq!(
            masked("nextPageToken", list.clone()),
            json!({"nextPageToken": "t"})
        );
        assert_eq!(
            masked("kind, files(id,owners/emailAddress)", list.clone()),
            json!({"kind": "drive#fileList", "files": [{"id": "1", "owners": [{"emailAddress": "a@b.c"}]}]})
        );
        assert_eq!(
            masked("files/id,files/name", list.clone()),
            json!({"files": [{"id": "1", "name": "a"}]})
        );
        assert_eq!(
            masked("files", list.clone()),
            json!({"files": list["files"]})
        );
        assert_eq!(
            masked("files(*)", list.clone()),
            json!({"files": list["files"]})
        );
    }

    #[test]
    fn a_mask_of_unknown_fields_is_refused() {
        for mask in [
            "",
            ",",
            "files(",
            "files()",
            "files(id))",
            "file",
            "files(idd)",
            "files(id(x))",
            "nextPageToken/x",
            "files(owners(mail))",
        ] {
            assert!(Mask::read(mask, "FileList").is_err(), "{mask}");
        }
        assert!(Mask::read(&"files(".repeat(1000), "FileList").is_err());
        assert!(Mask::read(&format!("files{}", "/properties".repeat(1000)), "FileList").is_err());
        assert!(Mask::read("files(properties/anything)", "FileList").is_ok());
    }
}
