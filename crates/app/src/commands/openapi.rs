use anyhow::Result;

use super::say;

/// Prints the API's `OpenAPI` document.
pub(crate) fn run() -> Result<()> {
    say(&wharf_http::openapi().to_pretty_json()?);
    Ok(())
}
