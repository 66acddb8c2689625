//! What the provider itself leaves out of a listing.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::input::{InvalidInput, Length, Reader};

/// Bytes of a prefix; no object key is longer.
const PREFIX: usize = 1024;

/// `provider_filters` of a sync.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderFilters {
    /// Only what starts with this text, counted from the sync's source root. It is the beginning of a path, not a
    /// folder: `vid` covers `videos/a` too. 1 to 1024 bytes, no `/` first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// What native documents of Google Drive are exported as.
    #[serde(skip_serializing_if = "ExportFormats::are_defaults")]
    pub export_formats: ExportFormats,
}

/// What a native document is exported as, by its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportFormats {
    /// Of Google Docs: `docx`, `odt`, `rtf`, `pdf`, `txt`, `md`, `html` (as a ZIP archive) or `epub`.
    pub document: String,
    /// Of Google Sheets: `xlsx`, `ods`, `pdf`, or the first sheet alone as `csv` or `tsv`.
    pub spreadsheet: String,
    /// Of Google Slides: `pptx`, `odp`, `pdf`, `txt`, or the first slide alone as `png`, `jpg` or `svg`.
    pub presentation: String,
    /// Of Google Drawings: `png`, `svg`, `pdf` or `jpg`.
    pub drawing: String,
}

impl Default for ExportFormats {
    fn default() -> Self {
        Self {
            document: "docx".to_owned(),
            spreadsheet: "xlsx".to_owned(),
            presentation: "pptx".to_owned(),
            drawing: "png".to_owned(),
        }
    }
}

/// Kind and what it can be exported as, by the provider's documentation ("Export MIME types for Google Workspace documents").
const EXPORTS: [(&str, &[&str]); 4] = [
    (
        "document",
        &["docx", "odt", "rtf", "pdf", "txt", "md", "html", "epub"],
    ),
    ("spreadsheet", &["xlsx", "ods", "pdf", "csv", "tsv"]),
    (
        "presentation",
        &["pptx", "odp", "pdf", "txt", "png", "jpg", "svg"],
    ),
    ("drawing", &["png", "svg", "pdf", "jpg"]),
];

impl ExportFormats {
    fn are_defaults(&self) -> bool {
        *self == Self::default()
    }

    /// The word for a kind.
    fn of_kind(&mut self, kind: &str) -> Option<&mut String> {
        match kind {
            "document" => Some(&mut self.document),
            "spreadsheet" => Some(&mut self.spreadsheet),
            "presentation" => Some(&mut self.presentation),
            "drawing" => Some(&mut self.drawing),
            _ => None,
        }
    }

    fn read(reader: &mut Reader) -> Self {
        let mut formats = Self::default();
        for (kind, accepted) in EXPORTS {
            let Some(word) = reader.string(kind, Length::new(1, 8)) else {
                continue;
            };
            if !accepted.contains(&word.as_str()) {
                let message = format!("must be one of {}", accepted.join(", "));
                reader.reject(kind, "unknown_value", message);
            } else if let Some(format) = formats.of_kind(kind) {
                *format = word;
            }
        }
        formats
    }
}

impl ProviderFilters {
    /// Reads the object that stands at `path`, such as `provider_filters`.
    ///
    /// # Errors
    /// Every mistake with its full path; an unknown key with the accepted ones.
    pub fn parse(fields: Map<String, Value>, path: &str) -> Result<Self, InvalidInput> {
        let mut reader = Reader::new(path, fields);
        let prefix = reader
            .string("prefix", Length::new(0, PREFIX))
            .filter(|prefix| !prefix.is_empty());
        if let Some(prefix) = &prefix {
            if prefix.len() > PREFIX {
                let message = format!("must have at most {PREFIX} bytes");
                reader.reject("prefix", "string_too_long", message);
            }
            if prefix.starts_with('/') || prefix.contains('\0') {
                let message = "must not start with a slash nor contain NUL, as in videos/";
                reader.reject("prefix", "invalid_format", message);
            }
        }
        let mut export_formats = ExportFormats::default();
        let formats_path = reader.path_of("export_formats");
        if let Some(fields) = reader.object("export_formats") {
            let mut formats = Reader::new(&formats_path, fields);
            export_formats = ExportFormats::read(&mut formats);
            if let Err(mistakes) = formats.finish() {
                reader.absorb(mistakes);
            }
        }
        reader.finish()?;
        Ok(Self {
            prefix,
            export_formats,
        })
    }

    /// Whether they let every file through.
    pub fn is_empty(&self) -> bool {
        self.prefix.is_none()
    }
}
