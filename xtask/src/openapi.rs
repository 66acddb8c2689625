//! `openapi`: the committed API document, written from the code or compared with it.

use std::fs;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::process;
use crate::workspace::Workspace;

const FILE: &str = "docs/openapi.json";
const UPDATE: &str = "update it with: cargo xtask openapi";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Write nothing; fail when the committed document is not what the code says
    #[arg(long)]
    pub(crate) check: bool,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let current =
        process::output(&mut workspace.cargo(["run", "--quiet", "-p", "wharf", "--", "openapi"]))?;
    let current = format!("{}\n", current.trim_end());
    let file = workspace.root.join(FILE);
    if options.check {
        let committed = fs::read_to_string(&file)
            .with_context(|| format!("{FILE} cannot be read; {UPDATE}"))?;
        compare(&committed, &current)?;
        println!("{FILE} is what the code says");
    } else {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&file, current).with_context(|| format!("{FILE} cannot be written"))?;
        println!("wrote {FILE}");
    }
    Ok(())
}

fn compare(committed: &str, current: &str) -> Result<()> {
    if committed == current {
        return Ok(());
    }
    let current: Value = serde_json::from_str(current).context("wharf openapi is not JSON")?;
    let committed: Value =
        serde_json::from_str(committed).with_context(|| format!("{FILE} is not JSON; {UPDATE}"))?;
    match first_difference(&committed, &current, "$") {
        Some(place) => bail!("{FILE} is stale, first at {place}; {UPDATE}"),
        None => bail!("{FILE} says the same in another order or layout; {UPDATE}"),
    }
}

/// The path of the first place where two documents differ.
fn first_difference(old: &Value, new: &Value, path: &str) -> Option<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            old.keys().chain(added).find_map(|key| {
                let path = format!("{path}[{key:?}]");
                match (old.get(key), new.get(key)) {
                    (Some(old), Some(new)) => first_difference(old, new, &path),
                    _ => Some(path),
                }
            })
        }
        (Value::Array(old), Value::Array(new)) => {
            let inside = old
                .iter()
                .zip(new)
                .enumerate()
                .find_map(|(index, (old, new))| {
                    first_difference(old, new, &format!("{path}[{index}]"))
                });
            let shorter = old.len().min(new.len());
            inside.or_else(|| (old.len() != new.len()).then(|| format!("{path}[{shorter}]")))
        }
        _ => (old != new).then(|| path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(committed: &str, current: &str) -> String {
        compare(committed, current).unwrap_err().to_string()
    }

    #[test]
    fn equal_documents_pass() {
        compare("{\"a\": 1}\n", "{\"a\": 1}\n").unwrap();
    }

    #[test]
    fn a_changed_value_is_named_by_its_path() {
        let old = r#"{"paths": {"/v1/health": {"get": {"tags": ["a", "b"]}}}}"#;
        let new = r#"{"paths": {"/v1/health": {"get": {"tags": ["a", "c"]}}}}"#;
        assert_eq!(
            complaint(old, new),
            "docs/openapi.json is stale, first at $[\"paths\"][\"/v1/health\"][\"get\"][\"tags\"][1]; \
             update it with: cargo xtask openapi"
        );
    }

    #[test]
    fn an_added_a_removed_and_a_longer_part_are_named() {
        assert!(complaint(r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#).contains("at $[\"b\"];"));
        assert!(complaint(r#"{"a": 1, "b": 2}"#, r#"{"a": 1}"#).contains("at $[\"b\"];"));
        assert!(complaint(r#"{"a": [1]}"#, r#"{"a": [1, 2]}"#).contains("at $[\"a\"][1];"));
    }

    #[test]
    fn another_layout_of_the_same_document_is_told_apart() {
        assert!(complaint("{\"a\": 1}", "{ \"a\": 1 }").contains("another order or layout"));
    }
}
