//! What is kept of what Drive tells about a file, under Drive's own names.

use chrono::SecondsFormat;
use serde_json::Value;
use wharf_domain::{Metadata, Timestamp};

use crate::remote::{Person, RemoteFile};

/// What people and applications attached keeps a name of its own, so that it never passes for Drive's.
pub(crate) fn metadata(file: &RemoteFile) -> Metadata {
    let size = file.size.map(|size| size.to_string());
    let version = file.version.map(|version| version.to_string());
    let owners: Vec<_> = file.owners.iter().filter_map(named).collect();
    let texts = [
        ("name", Some(file.name.clone())),
        ("mimeType", given(&file.mime_type)),
        ("description", file.description.clone()),
        ("createdTime", time(file.created_at)),
        ("modifiedTime", time(file.modified_at)),
        ("size", size),
        ("webViewLink", file.web_view_link.clone()),
        ("parents", given(&file.parents.join(","))),
        ("owners", given(&owners.join(","))),
        (
            "lastModifyingUser",
            file.last_modifying_user
                .as_ref()
                .and_then(named)
                .map(ToOwned::to_owned),
        ),
        ("driveId", file.drive_id.clone()),
        ("originalFilename", file.original_filename.clone()),
        ("fileExtension", file.file_extension.clone()),
        ("md5Checksum", file.md5_checksum.clone()),
        ("sha256Checksum", file.sha256_checksum.clone()),
        ("headRevisionId", file.head_revision_id.clone()),
        ("version", version),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), text?)));
    let attached = [
        ("properties", &file.properties),
        ("appProperties", &file.app_properties),
    ];
    let attached = attached.into_iter().flat_map(|(kind, texts)| {
        let named =
            move |(name, text): (&String, &String)| (format!("{kind}.{name}"), text.clone());
        texts.iter().map(named)
    });
    let facts = [("starred", file.starred), ("trashed", Some(file.trashed))];
    let facts = facts
        .into_iter()
        .filter_map(|(name, is)| Some((name.to_owned(), Value::Bool(is?))));
    texts
        .chain(attached)
        .map(|(name, text)| (without_nul(&name), Value::String(without_nul(&text))))
        .chain(facts)
        .collect()
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn time(at: Option<Timestamp>) -> Option<String> {
    Some(at?.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// By the address, where that is shown.
fn named(person: &Person) -> Option<&str> {
    person.email.as_deref().or(person.name.as_deref())
}

/// Not every database keeps NUL.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_attached_never_passes_for_drive_s_own() {
        let file = RemoteFile {
            name: "a\0b".into(),
            mime_type: "text/plain".into(),
            size: Some(3),
            starred: Some(true),
            parents: vec!["F".into()],
            owners: vec![
                Person {
                    email: Some("a@example.com".into()),
                    name: None,
                },
                Person {
                    email: None,
                    name: Some("B".into()),
                },
            ],
            properties: [("name".to_owned(), "mine".to_owned())].into(),
            app_properties: [("tide".to_owned(), "high".to_owned())].into(),
            ..RemoteFile::default()
        };
        let expected = serde_json::json!({
            "name": "a\u{2400}b",
            "mimeType": "text/plain",
            "size": "3",
            "starred": true,
            "trashed": false,
            "parents": "F",
            "owners": "a@example.com,B",
            "properties.name": "mine",
            "appProperties.tide": "high",
        });
        assert_eq!(Value::Object(metadata(&file)), expected);
    }
}
