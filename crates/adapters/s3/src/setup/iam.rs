//! Policies in IAM's language.

use serde_json::{Value, json};

use super::Aim;

const VERSION: &str = "2012-10-17";

/// The bucket's ARN.
pub(super) fn bucket(aim: &Aim) -> String {
    format!("arn:{}:s3:::{}", aim.partition, aim.bucket())
}

/// The ARNs of the objects that a source path covers: all that lie in the folder, and the one that has its name.
pub(super) fn objects(aim: &Aim) -> Vec<String> {
    let bucket = bucket(aim);
    covered(aim.prefix())
        .into_iter()
        .map(|pattern| format!("{bucket}/{pattern}"))
        .collect()
}

/// What a connection has to be allowed.
pub(super) fn permissions(aim: &Aim) -> Value {
    let mut list = json!({
        "Sid": "ListObjects",
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": bucket(aim),
    });
    if !aim.prefix().is_empty() {
        list["Condition"] = json!({"StringLike": {"s3:prefix": listed(aim.prefix())}});
    }
    let objects = objects(aim);
    json!({
        "Version": VERSION,
        "Statement": [
            list,
            {"Sid": "ReadObjects", "Effect": "Allow", "Action": "s3:GetObject", "Resource": objects},
            {"Sid": "ReadTags", "Effect": "Allow", "Action": "s3:GetObjectTagging", "Resource": objects},
        ],
    })
}

/// Who may assume the role, and how.
pub(super) fn trust(principal: &str, external_id: &str) -> Value {
    json!({
        "Version": VERSION,
        "Statement": [{
            "Sid": "WharfWithItsExternalId",
            "Effect": "Allow",
            "Principal": {"AWS": principal},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
        }],
    })
}

/// Prefixes that are asked for: the one of the source path itself, and those of folders in it.
fn listed(prefix: &str) -> Vec<String> {
    let mut patterns = vec![literal(prefix)];
    patterns.extend(covered(prefix).pop());
    patterns
}

fn covered(prefix: &str) -> Vec<String> {
    let pattern = literal(prefix);
    if prefix.is_empty() || prefix.ends_with('/') {
        vec![format!("{pattern}*")]
    } else {
        vec![pattern.clone(), format!("{pattern}/*")]
    }
}

/// A text in a pattern that stands for itself: IAM has variables for the characters that mean more.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '*' | '?' | '$' => pattern.extend(['$', '{', character, '}']),
            _ => pattern.push(character),
        }
    }
    pattern
}
