//! What becomes of documents that have no bytes of their own.

use wharf_domain::filter::ExportFormats;

use crate::remote::RemoteFile;

/// A form that a document of Google's own is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Export {
    pub(crate) mime_type: &'static str,
    pub(crate) extension: &'static str,
}

/// How the bytes of a file are had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they lie there.
    Bytes,
    /// Written as something else.
    Exported(Export),
    /// The same, but only as a download that Drive prepares.
    Prepared(Export),
    /// Not at all.
    None,
}

/// The word that a sync's formats have for it, the type, and the extension.
type Row = (&'static str, &'static str, &'static str);

const PDF: Row = ("pdf", "application/pdf", "pdf");
const TXT: Row = ("txt", "text/plain", "txt");
const PNG: Row = ("png", "image/png", "png");
const JPG: Row = ("jpg", "image/jpeg", "jpg");
const SVG: Row = ("svg", "image/svg+xml", "svg");

const DOCUMENT: &[Row] = &[
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "docx",
    ),
    ("odt", "application/vnd.oasis.opendocument.text", "odt"),
    ("rtf", "application/rtf", "rtf"),
    PDF,
    TXT,
    ("md", "text/markdown", "md"),
    // The page and its pictures, in an archive.
    ("html", "application/zip", "zip"),
    ("epub", "application/epub+zip", "epub"),
];

const SPREADSHEET: &[Row] = &[
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xlsx",
    ),
    (
        "ods",
        "application/x-vnd.oasis.opendocument.spreadsheet",
        "ods",
    ),
    PDF,
    ("csv", "text/csv", "csv"),
    ("tsv", "text/tab-separated-values", "tsv"),
];

const PRESENTATION: &[Row] = &[
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "pptx",
    ),
    (
        "odp",
        "application/vnd.oasis.opendocument.presentation",
        "odp",
    ),
    PDF,
    TXT,
    PNG,
    JPG,
    SVG,
];

const DRAWING: &[Row] = &[PNG, SVG, PDF, JPG];

const SCRIPT: Export = Export {
    mime_type: "application/vnd.google-apps.script+json",
    extension: "json",
};

const VIDEO: Export = Export {
    mime_type: "video/mp4",
    extension: "mp4",
};

/// How the bytes of a file are had, given what documents become.
pub(crate) fn form(file: &RemoteFile, formats: &ExportFormats) -> Form {
    if !file.is_native() || has_bytes(file) {
        return Form::Bytes;
    }
    let (rows, word) = match kind(&file.mime_type) {
        "document" => (DOCUMENT, &formats.document),
        "spreadsheet" => (SPREADSHEET, &formats.spreadsheet),
        "presentation" => (PRESENTATION, &formats.presentation),
        "drawing" => (DRAWING, &formats.drawing),
        "script" => return Form::Exported(SCRIPT),
        "vid" => return Form::Prepared(VIDEO),
        _ => return Form::None,
    };
    let named = rows.iter().find(|(known, ..)| known == word);
    let &(_, mime_type, extension) = named.unwrap_or(&rows[0]);
    Form::Exported(Export {
        mime_type,
        extension,
    })
}

/// How the bytes of a document are had as a type that an earlier answer named.
pub(crate) fn form_in(file: &RemoteFile, mime_type: &str) -> Form {
    let export = |known: Export| (known.mime_type == mime_type).then_some(known);
    if kind(&file.mime_type) == "vid" {
        return export(VIDEO).map_or(Form::None, Form::Prepared);
    }
    rows()
        .map(|&(_, mime_type, extension)| Export {
            mime_type,
            extension,
        })
        .chain([SCRIPT])
        .find_map(export)
        .map_or(Form::None, Form::Exported)
}

fn rows() -> impl Iterator<Item = &'static Row> {
    let tables = [DOCUMENT, SPREADSHEET, PRESENTATION, DRAWING];
    tables.into_iter().flatten()
}

/// The extensions that documents of Google's own may have in paths.
pub(crate) fn extensions() -> impl Iterator<Item = &'static str> {
    rows()
        .map(|&(_, _, extension)| extension)
        .chain([SCRIPT.extension, VIDEO.extension])
}

/// Only what has bytes has a checksum of them, or a revision; some older types of Google's own do.
fn has_bytes(file: &RemoteFile) -> bool {
    file.md5_checksum.is_some() || file.head_revision_id.is_some()
}

fn kind(mime_type: &str) -> &str {
    mime_type.rsplit('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: &str) -> RemoteFile {
        RemoteFile {
            mime_type: format!("application/vnd.google-apps.{kind}"),
            ..RemoteFile::default()
        }
    }

    #[test]
    fn each_kind_of_document_has_its_usual_form() {
        let usual = ExportFormats::default();
        for (kind, extension) in [
            ("document", "docx"),
            ("spreadsheet", "xlsx"),
            ("presentation", "pptx"),
            ("drawing", "png"),
            ("script", "json"),
        ] {
            let Form::Exported(export) = form(&file(kind), &usual) else {
                panic!("{kind} is exported")
            };
            assert_eq!(export.extension, extension);
        }
        assert_eq!(form(&file("vid"), &usual), Form::Prepared(VIDEO));
        for kind in [
            "form",
            "site",
            "map",
            "jam",
            "fusiontable",
            "drive-sdk.123",
            "new-kind",
        ] {
            assert_eq!(form(&file(kind), &usual), Form::None, "{kind}");
        }
    }

    #[test]
    fn a_sync_chooses_the_forms() {
        let chosen = ExportFormats {
            document: "html".into(),
            spreadsheet: "csv".into(),
            ..ExportFormats::default()
        };
        let Form::Exported(page) = form(&file("document"), &chosen) else {
            panic!("exported")
        };
        assert_eq!((page.mime_type, page.extension), ("application/zip", "zip"));
        let Form::Exported(sheet) = form(&file("spreadsheet"), &chosen) else {
            panic!("exported")
        };
        assert_eq!((sheet.mime_type, sheet.extension), ("text/csv", "csv"));
    }

    #[test]
    fn what_has_bytes_is_taken_as_it_lies_there() {
        let plain = RemoteFile {
            mime_type: "text/plain".into(),
            ..RemoteFile::default()
        };
        let video = RemoteFile {
            md5_checksum: Some("0".repeat(32)),
            ..file("video")
        };
        for file in [plain, video] {
            assert_eq!(form(&file, &ExportFormats::default()), Form::Bytes);
        }
    }
}
