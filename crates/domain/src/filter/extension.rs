//! File name extensions.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::file_name;

/// Longest extension, in characters.
const LONGEST: usize = 64;

/// `.mp4` or `mp4`, in any letter case; `tar.gz` is one too. At most 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Extension(String);

/// A text that is no extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "must be an extension of at most {LONGEST} characters such as .mp4; patterns such as *.mp4 belong in include_patterns"
)]
pub struct InvalidExtension;

impl Extension {
    /// Reads an extension.
    ///
    /// # Errors
    /// What has nothing after the dot, is too long, or contains white space, `/`, `\`, `*` or `?`.
    pub fn parse(text: &str) -> Result<Self, InvalidExtension> {
        let bare = text.strip_prefix('.').unwrap_or(text);
        let sound = !bare.is_empty()
            && bare.chars().count() <= LONGEST
            && !bare
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || "/\\*?".contains(c));
        sound.then(|| Self(text.to_owned())).ok_or(InvalidExtension)
    }

    /// The extension as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name of the file at this path has the extension, and something before it.
    pub fn matches(&self, relative_path: &str) -> bool {
        let bare = self.0.strip_prefix('.').unwrap_or(&self.0).to_lowercase();
        file_name(relative_path)
            .to_lowercase()
            .strip_suffix(&bare)
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|stem| !stem.is_empty())
    }
}

impl TryFrom<String> for Extension {
    type Error = InvalidExtension;

    fn try_from(text: String) -> Result<Self, InvalidExtension> {
        Self::parse(&text)
    }
}

impl From<Extension> for String {
    fn from(extension: Extension) -> Self {
        extension.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dot_and_the_letter_case_do_not_matter() {
        for (extension, path, expected) in [
            (".mp4", "x/a.mp4", true),
            ("mp4", "x/a.MP4", true),
            ("MP4", "a.mp4", true),
            ("mp4", "amp4", false),
            ("mp4", ".mp4", false),
            ("gz", "a.tar.gz", true),
            ("tar.gz", "a.tar.gz", true),
            ("tar.gz", "a.gz", false),
            ("mp4", "a.mp4/x", false),
        ] {
            let parsed = Extension::parse(extension).expect(extension);
            assert_eq!(parsed.matches(path), expected, "{extension} {path}");
        }
        for text in ["", ".", "*.mp4", "a/b", "m p4", &"x".repeat(65)] {
            assert_eq!(Extension::parse(text), Err(InvalidExtension), "{text}");
        }
    }
}
