//! Kinds of files: the MIME types Drive gives its own, and what each can be exported to.

pub(crate) const FOLDER: &str = "application/vnd.google-apps.folder";
pub(crate) const SHORTCUT: &str = "application/vnd.google-apps.shortcut";
const NATIVE: &str = "application/vnd.google-apps.";

/// The MIME type of a native kind such as `document`.
pub(crate) fn native(kind: &str) -> String {
    format!("{NATIVE}{kind}")
}

pub(crate) const DOCX: &str =
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
pub(crate) const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
pub(crate) const PPTX: &str =
    "application/vnd.openxmlformats-officedocument.presentationml.presentation";
const PDF: &str = "application/pdf";

/// Which native kinds can be exported, and to what.
pub(crate) const EXPORTS: &[(&str, &[&str])] = &[
    (
        "document",
        &[
            DOCX,
            "application/vnd.oasis.opendocument.text",
            "application/rtf",
            PDF,
            "text/plain",
            "text/markdown",
            "text/x-markdown",
            "application/zip",
            "application/epub+zip",
        ],
    ),
    (
        "spreadsheet",
        &[
            XLSX,
            "application/x-vnd.oasis.opendocument.spreadsheet",
            PDF,
            "application/zip",
            "text/csv",
            "text/tab-separated-values",
        ],
    ),
    (
        "presentation",
        &[
            PPTX,
            "application/vnd.oasis.opendocument.presentation",
            PDF,
            "text/plain",
            "image/jpeg",
            "image/png",
            "image/svg+xml",
        ],
    ),
    (
        "drawing",
        &[PDF, "image/jpeg", "image/png", "image/svg+xml"],
    ),
    ("script", &["application/vnd.google-apps.script+json"]),
];

/// What a file of this MIME type can be exported to; nothing when it cannot.
pub(crate) fn exports_of(mime_type: &str) -> &'static [&'static str] {
    mime_type
        .strip_prefix(NATIVE)
        .and_then(|kind| EXPORTS.iter().find(|(known, _)| *known == kind))
        .map_or(&[], |(_, formats)| formats)
}

/// The MIME type of a file of this name.
pub(crate) fn guessed(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("txt") => "text/plain",
        Some("md") => "text/markdown",
        Some("csv") => "text/csv",
        Some("json") => "application/json",
        Some("pdf") => PDF,
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("svg") => "image/svg+xml",
        Some("docx") => DOCX,
        Some("mp4") => "video/mp4",
        _ => "application/octet-stream",
    }
}
