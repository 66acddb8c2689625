//! The kit as Terraform configuration.

use std::fmt::Write;

use serde_json::Value;

use super::{Aim, Way, iam};

/// What stands for the principal until it is replaced by the variable.
const UNKNOWN_PRINCIPAL: &str = "REPLACE-WITH-WHARF-PRINCIPAL";

/// What stands for the external id until it is replaced by the variable.
const UNKNOWN_EXTERNAL_ID: &str = "REPLACE-WITH-EXTERNAL-ID";

pub(super) fn of(aim: &Aim) -> String {
    let mut text = String::new();
    let mut variables = Vec::new();
    if aim.path.is_none() {
        text.push_str(&variable("bucket", "The bucket that Wharf is to read."));
        variables.push((aim.bucket(), "${var.bucket}"));
    }
    let permissions = encoded(&iam::permissions(aim), &variables);
    match &aim.way {
        Way::Role {
            principal,
            external_id,
        } => {
            let mut variables = Vec::new();
            if principal.is_none() {
                let words = "Who Wharf is at AWS: the ARN of its user or role.";
                text.push_str(&variable("wharf_principal", words));
                variables.push((UNKNOWN_PRINCIPAL, "${var.wharf_principal}"));
            }
            if external_id.is_none() {
                let words = "The external id that Wharf issued to the organization.";
                text.push_str(&variable("external_id", words));
                variables.push((UNKNOWN_EXTERNAL_ID, "${var.external_id}"));
            }
            let trust = iam::trust(
                principal.as_deref().unwrap_or(UNKNOWN_PRINCIPAL),
                external_id.as_deref().unwrap_or(UNKNOWN_EXTERNAL_ID),
            );
            text.push_str(&role(&encoded(&trust, &variables), &permissions));
        }
        Way::Key => text.push_str(&user(&permissions)),
    }
    text
}

fn variable(name: &str, words: &str) -> String {
    format!("variable \"{name}\" {{\n  type        = string\n  description = \"{words}\"\n}}\n\n")
}

fn role(trust: &str, permissions: &str) -> String {
    format!(
        r#"resource "aws_iam_role" "wharf" {{
  name_prefix        = "wharf-"
  description        = "Lets Wharf read a bucket."
  assume_role_policy = jsonencode({trust})
}}

resource "aws_iam_role_policy" "wharf" {{
  name   = "wharf-read"
  role   = aws_iam_role.wharf.id
  policy = jsonencode({permissions})
}}

output "role_arn" {{
  value = aws_iam_role.wharf.arn
}}
"#
    )
}

fn user(permissions: &str) -> String {
    format!(
        r#"resource "aws_iam_user" "wharf" {{
  name = "wharf-reader"
}}

resource "aws_iam_user_policy" "wharf" {{
  name   = "wharf-read"
  user   = aws_iam_user.wharf.name
  policy = jsonencode({permissions})
}}

resource "aws_iam_access_key" "wharf" {{
  user = aws_iam_user.wharf.name
}}

output "access_key_id" {{
  value = aws_iam_access_key.wharf.id
}}

output "secret_access_key" {{
  value     = aws_iam_access_key.wharf.secret
  sensitive = true
}}
"#
    )
}

/// A document as an HCL expression. Where one of the stand-ins is, its variable comes.
fn encoded(document: &Value, variables: &[(&str, &str)]) -> String {
    let mut text = String::new();
    write(document, 1, &mut text);
    for (stand_in, variable) in variables {
        text = text.replace(stand_in, variable);
    }
    text
}

fn write(value: &Value, depth: usize, into: &mut String) {
    let inner = "  ".repeat(depth + 1);
    let outer = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            into.push_str("{\n");
            for (name, value) in fields {
                into.push_str(&inner);
                quote(name, into);
                into.push_str(" = ");
                write(value, depth + 1, into);
                into.push('\n');
            }
            into.push_str(&outer);
            into.push('}');
        }
        Value::Array(items) => {
            into.push_str("[\n");
            for item in items {
                into.push_str(&inner);
                write(item, depth + 1, into);
                into.push_str(",\n");
            }
            into.push_str(&outer);
            into.push(']');
        }
        Value::String(text) => quote(text, into),
        other => into.push_str(&other.to_string()),
    }
}

/// A text in quotes, in which nothing begins a template.
fn quote(text: &str, into: &mut String) {
    into.push('"');
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '"' | '\\' => into.extend(['\\', character]),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            '$' | '%' if rest.peek() == Some(&'{') => into.extend([character, character]),
            control if control.is_control() => {
                // Every control character lies in the first 160 code points.
                let _ = write!(into, "\\u{:04x}", u32::from(control));
            }
            plain => into.push(plain),
        }
    }
    into.push('"');
}
