//! The document of this provider shows the tables that are in force.

use std::path::Path;

use crate::{error, token};

/// How the tables are written down anew.
const REWRITE: &str =
    "WHARF_WRITE_DOCS=1 cargo test -p wharf-google-drive the_error_tables_of_the_document";

#[test]
fn the_error_tables_of_the_document_are_those_in_force() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/providers/google-drive.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let mut in_force = document.clone();
    for (name, table) in [
        ("drive", error::written()),
        ("token", token::fault::written()),
    ] {
        let begin = format!("<!-- the {name} error table, generated: begin -->\n");
        let end = format!("<!-- the {name} error table, generated: end -->\n");
        let (before, rest) = in_force.split_once(&begin).unwrap();
        let (_, after) = rest.split_once(&end).unwrap();
        in_force = format!("{before}{begin}\n{table}\n{end}{after}");
    }
    if std::env::var_os("WHARF_WRITE_DOCS").is_some() {
        return std::fs::write(&path, in_force).unwrap();
    }
    assert!(
        document == in_force,
        "docs/providers/google-drive.md shows other error tables. To write them anew:\n    {REWRITE}"
    );
}
