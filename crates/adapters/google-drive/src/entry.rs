//! From what Drive tells of a file to an entry: its path, its version, and why it cannot be read.

use chrono::SecondsFormat;
use wharf_domain::Timestamp;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::filter::ExportFormats;
use wharf_domain::plan::Entry;

use crate::export::{Form, form};
use crate::remote::RemoteFile;
use crate::source;

/// How many bytes of a name get into a path.
const LONGEST_SEGMENT: usize = 1024;

/// A folder, seen from the root that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its path and a slash behind it; empty for the root.
    pub(crate) path: String,
    /// The ids of the folders down to it, each between slashes. Shortcuts on the way stand there, too, so that what was reached
    /// through one goes with it.
    pub(crate) lineage: String,
}

impl Place {
    pub(crate) fn root(id: &str) -> Self {
        Self {
            path: String::new(),
            lineage: format!("/{id}/"),
        }
    }

    /// A folder in it, of this name.
    pub(crate) fn folder(&self, id: &str, name: &str) -> Self {
        Self {
            path: format!("{}{}/", self.path, segment(name)),
            lineage: format!("{}{id}/", self.lineage),
        }
    }

    /// The folder that a shortcut in it points to: it has the shortcut's name.
    pub(crate) fn behind(&self, shortcut: &str, name: &str, target: &str) -> Self {
        let Self { path, lineage } = self.folder(shortcut, name);
        Self {
            path,
            lineage: format!("{lineage}{target}/"),
        }
    }

    /// The place of a file that a shortcut in it points to.
    pub(crate) fn through(&self, shortcut: &str) -> Self {
        Self {
            path: self.path.clone(),
            lineage: format!("{}{shortcut}/", self.lineage),
        }
    }
}

/// A name as a part of a path. Not every database keeps NUL.
pub(crate) fn segment(name: &str) -> String {
    let name = source::segment(name).replace('\0', "\u{2400}");
    if name.len() <= LONGEST_SEGMENT {
        return name;
    }
    let end = name.floor_char_boundary(LONGEST_SEGMENT);
    format!("{}…", &name[..end])
}

/// As much of a name as its part of a path may need: more need not be remembered.
pub(crate) fn kept(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST_SEGMENT + 4)]
}

/// The last part of a file's path: documents of Google's own have the extension of what they become.
pub(crate) fn last_segment(file: &RemoteFile, name: &str, formats: &ExportFormats) -> String {
    match form(file, formats) {
        Form::Exported(export) | Form::Prepared(export) => {
            format!("{}.{}", segment(name), export.extension)
        }
        Form::Bytes | Form::None => segment(name),
    }
}

/// A file under a name in a place.
pub(crate) fn entry_of(
    file: &RemoteFile,
    name: &str,
    place: &Place,
    formats: &ExportFormats,
) -> Entry {
    let form = form(file, formats);
    // What has no form to be exported in fails when it is fetched, so that it is told of like whatever else cannot be copied.
    let is_blocked = form != Form::None && file.can_download == Some(false);
    let unreadable = is_blocked.then_some(ErrorCode::ObjectDownloadBlocked);
    Entry {
        object: file.id.clone(),
        path: format!("{}{}", place.path, last_segment(file, name, formats)),
        version: version(file, form),
        size_bytes: file.size.filter(|_| form == Form::Bytes),
        modified_at: file.modified_at,
        unreadable: unreadable.map(ErrorCode::as_str),
        lineage: place.lineage.clone(),
    }
}

/// A shortcut that points nowhere.
pub(crate) fn dangling(shortcut: &RemoteFile, place: &Place) -> Entry {
    Entry {
        object: shortcut.id.clone(),
        path: format!("{}{}", place.path, segment(&shortcut.name)),
        version: format!("modified:{}", time(shortcut.modified_at)),
        size_bytes: None,
        modified_at: shortcut.modified_at,
        unreadable: Some(ErrorCode::ResourceNotFound.as_str()),
        lineage: place.lineage.clone(),
    }
}

/// What decides that a file is as it was. A document's is also that of the form that it is exported in.
fn version(file: &RemoteFile, form: Form) -> String {
    match form {
        Form::Exported(export) | Form::Prepared(export) => {
            format!("{}|{}", time(file.modified_at), export.mime_type)
        }
        Form::None => format!("{}|", time(file.modified_at)),
        Form::Bytes => match (&file.md5_checksum, file.size, &file.head_revision_id) {
            (Some(md5), Some(size), _) => format!("{md5}:{size}"),
            (_, _, Some(revision)) => format!("head:{revision}"),
            _ => format!("modified:{}", time(file.modified_at)),
        },
    }
}

/// Whether a file is still in the version that an entry has.
pub(crate) fn is_of_version(file: &RemoteFile, entry: &Entry) -> bool {
    match entry.version.split_once('|') {
        Some((modified, _)) => time(file.modified_at) == modified && file.is_native(),
        None => version(file, form(file, &ExportFormats::default())) == entry.version,
    }
}

fn time(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::root("R").folder("F", "a/b")
    }

    fn document() -> RemoteFile {
        RemoteFile {
            id: "1".into(),
            name: "Report".into(),
            mime_type: "application/vnd.google-apps.document".into(),
            modified_at: Some("2026-01-02T03:04:05.678Z".parse().unwrap()),
            size: Some(7),
            ..RemoteFile::default()
        }
    }

    fn blob() -> RemoteFile {
        RemoteFile {
            id: "1".into(),
            mime_type: "text/plain".into(),
            md5_checksum: Some("abc".into()),
            head_revision_id: Some("r1".into()),
            size: Some(3),
            ..RemoteFile::default()
        }
    }

    fn entry(file: &RemoteFile) -> Entry {
        entry_of(file, &file.name, &place(), &ExportFormats::default())
    }

    #[test]
    fn a_file_lies_where_the_names_of_its_folders_say() {
        for (name, path) in [
            ("x", "a／b/x"),
            ("", "a／b/untitled"),
            ("c/d", "a／b/c／d"),
            ("..", "a／b/.."),
            ("a\0b\n", "a／b/a\u{2400}b\n"),
        ] {
            let file = RemoteFile {
                name: name.into(),
                ..blob()
            };
            let entry = entry(&file);
            assert_eq!(entry.path, path);
            assert_eq!(entry.lineage, "/R/F/");
        }
        let long = segment(&"ü".repeat(4000));
        assert_eq!(long, format!("{}…", "ü".repeat(512)));
        for name in ["ü", "/", "a\0", "x🦀", "abc"] {
            for number in [1, 256, 257, 342, 513, 1025, 8000] {
                let name = name.repeat(number);
                assert!(kept(&name).len() <= LONGEST_SEGMENT + 4);
                assert_eq!(segment(kept(&name)), segment(&name));
            }
        }
    }

    #[test]
    fn shortcuts_stand_in_the_lineage_of_what_they_lead_to() {
        let root = Place::root("R");
        let behind = root.behind("S", "Shared", "T").folder("U", "deep");
        assert_eq!(behind.path, "Shared/deep/");
        assert_eq!(behind.lineage, "/R/S/T/U/");
        assert_eq!(root.through("S").lineage, "/R/S/");
    }

    #[test]
    fn the_version_of_bytes_is_their_checksum_or_the_next_best() {
        assert_eq!(entry(&blob()).version, "abc:3");
        let without_checksum = RemoteFile {
            md5_checksum: None,
            ..blob()
        };
        assert_eq!(entry(&without_checksum).version, "head:r1");
        let without_revision = RemoteFile {
            head_revision_id: None,
            modified_at: document().modified_at,
            ..without_checksum
        };
        let entry = entry(&without_revision);
        assert_eq!(entry.version, "modified:2026-01-02T03:04:05.678Z");
        assert!(is_of_version(&without_revision, &entry));
    }

    #[test]
    fn a_document_is_of_another_version_in_another_form() {
        let usual = entry(&document());
        assert_eq!(usual.path, "a／b/Report.docx");
        assert_eq!(usual.size_bytes, None);
        assert!(usual.version.starts_with("2026-01-02T03:04:05.678Z|app"));
        let formats = ExportFormats {
            document: "pdf".into(),
            ..ExportFormats::default()
        };
        let other = entry_of(&document(), "Report", &place(), &formats);
        assert_eq!(other.path, "a／b/Report.pdf");
        assert_ne!(other.version, usual.version);
        assert!(is_of_version(&document(), &other));
        let edited = RemoteFile {
            modified_at: None,
            ..document()
        };
        assert!(!is_of_version(&edited, &other));
        assert!(!is_of_version(&blob(), &other));
    }

    #[test]
    fn what_cannot_be_had_says_why() {
        let form = RemoteFile {
            can_download: Some(false),
            mime_type: "application/vnd.google-apps.form".into(),
            ..document()
        };
        assert_eq!(entry(&form).unreadable, None);
        assert_eq!(entry(&form).path, "a／b/Report");
        let blocked = RemoteFile {
            can_download: Some(false),
            ..blob()
        };
        assert_eq!(entry(&blocked).unreadable, Some("object.download_blocked"));
        let nowhere = dangling(&document(), &place());
        assert_eq!(nowhere.unreadable, Some("resource.not_found"));
    }
}
