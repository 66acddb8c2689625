use anyhow::Result;

use super::say;

/// Prints the `OpenAPI` document of the API, with all keys in order, so that equal documents are equal texts.
pub(crate) fn run() -> Result<()> {
    let mut document = serde_json::to_value(wharf_http::openapi())?;
    document.sort_all_objects();
    say(&serde_json::to_string_pretty(&document)?);
    Ok(())
}
