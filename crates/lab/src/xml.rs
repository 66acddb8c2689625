//! Writing XML documents that can hold any key: characters XML forbids are written as references,
//! which is what S3 itself does.

use std::fmt::Write;

pub(crate) struct Document {
    root: &'static str,
    text: String,
}

impl Document {
    pub(crate) fn open(root: &'static str, namespace: Option<&str>) -> Self {
        let mut text = String::from(r#"<?xml version="1.0" encoding="UTF-8"?>"#);
        text.push('<');
        text.push_str(root);
        if let Some(namespace) = namespace {
            text.push_str(r#" xmlns=""#);
            text.push_str(namespace);
            text.push('"');
        }
        text.push('>');
        Self { root, text }
    }

    /// Elements without a root around them.
    pub(crate) fn fragment() -> Self {
        Self {
            root: "",
            text: String::new(),
        }
    }

    /// Text as it stands in an element.
    pub(crate) fn escaped(content: &str) -> String {
        let mut text = String::new();
        escape(&mut text, content);
        text
    }

    /// An element whose content is written as it is, even where XML forbids that.
    pub(crate) fn raw_element(&mut self, name: &str, content: &str) {
        self.group(name, |document| document.text.push_str(content));
    }

    /// What a fragment holds.
    pub(crate) fn text(self) -> String {
        self.text
    }

    pub(crate) fn element(&mut self, name: &str, content: &str) {
        self.group(name, |document| escape(&mut document.text, content));
    }

    pub(crate) fn group(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.tag("<", name);
        content(self);
        self.tag("</", name);
    }

    fn tag(&mut self, open: &str, name: &str) {
        self.text.push_str(open);
        self.text.push_str(name);
        self.text.push('>');
    }

    pub(crate) fn close(mut self) -> String {
        self.tag("</", self.root);
        self.text
    }
}

fn escape(out: &mut String, content: &str) {
    for character in content.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\0'..='\x1f' | '\x7f' | '\u{fffe}' | '\u{ffff}' => {
                // Writing to a string does not fail.
                let _ = write!(out, "&#x{:x};", u32::from(character));
            }
            _ => out.push(character),
        }
    }
}
