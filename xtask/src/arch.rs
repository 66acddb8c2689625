//! The arrows: which crate may depend on which, and what it may not see of the outside.
//!
//! The table is the map of the house. It is checked against what each `Cargo.toml` declares.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::Workspace;

/// What may not be seen, in patterns of crate names: a `*` at the end stands for any rest.
type Unseen = &'static [&'static str];
const RUNTIME: Unseen = &["tokio*"];
const SQL: Unseen = &["sqlx*"];
const WEB: Unseen = &["axum*"];
const CLIENT: Unseen = &["hyper*", "reqwest*"];
const SDK: Unseen = &["aws-config", "aws-sdk-*", "aws-smithy-*", "google-*"];

/// Crates of ours, by their names without `wharf-`; [`ANY`] allows all.
type Ours = &'static [&'static str];
const ANY: Ours = &["*"];
/// What every crate's tests may use beside what the crate itself may.
const KIT: Ours = &["testkit", "memory", "lab"];

struct Row {
    krate: &'static str,
    may: Ours,
    tests_may: Ours,
    unseen: &'static [Unseen],
}

const fn row(krate: &'static str, may: Ours, tests_may: Ours, unseen: &'static [Unseen]) -> Row {
    Row {
        krate,
        may,
        tests_may,
        unseen,
    }
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // crate               may depend on (ours)              its tests too   may not see
    row("wharf-domain",    &[],                              KIT, &[RUNTIME, SQL, WEB, CLIENT, SDK]),
    row("wharf-ports",     &["domain"],                      KIT, &[RUNTIME, SQL, WEB, CLIENT, SDK]),
    row("wharf-envelope",  &["domain", "ports"],             KIT, &[SQL, WEB, CLIENT, SDK]),
    row("wharf-engine",    &["domain", "ports", "envelope"], ANY, &[SQL, WEB, CLIENT, SDK]),
    row("wharf-egress",    &["domain"],                      KIT, &[SQL, WEB, SDK]),
    row("wharf-aws",       &["egress"],                      KIT, &[SQL, WEB]),
    row("wharf-s3",        &["domain", "ports", "egress", "aws"], KIT, &[SQL, WEB]),
    row("wharf-google-drive", &["domain", "ports", "egress"], KIT, &[SQL, WEB]),
    row("wharf-blobs",     &["domain", "ports", "egress", "aws"], KIT, &[SQL, WEB]),
    row("wharf-events",    &["domain", "ports", "egress"],   KIT, &[SQL, WEB, SDK]),
    row("wharf-keys",      &["domain", "ports"],             KIT, &[SQL, WEB, CLIENT, SDK]),
    row("wharf-memory",    &["domain", "ports"],             KIT, &[SQL, WEB, CLIENT, SDK]),
    row("wharf-postgres",  &["domain", "ports"],             KIT, &[WEB, CLIENT, SDK]),
    row("wharf-sqlite",    &["domain", "ports"],             KIT, &[WEB, CLIENT, SDK]),
    row("wharf-http",      &["domain", "ports", "engine"],   ANY, &[SQL, SDK]),
    row("wharf-lab",       &[],                              KIT, &[SQL, SDK]),
    row("wharf-testkit",   &["domain", "ports"],             KIT, &[SQL, WEB, CLIENT, SDK]),
    row("wharf",           &["domain", "ports", "envelope", "engine", "egress", "events", "s3", "google-drive", "blobs", "keys",
                             "memory", "postgres", "sqlite", "http"],
                                                             ANY, &[SQL, WEB, SDK]),
    row("wharf-tests",     ANY,                              ANY, &[]),
    row("xtask",           &[],                              &[], &[]),
];

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let crates = crates_of(&workspace.metadata, &workspace.root)?;
    let violations = check(TABLE, &crates);
    if violations.is_empty() {
        println!("arrows hold: {} crates", crates.len());
        return Ok(());
    }
    bail!(
        "{}\n(the arrows stand in xtask/src/arch.rs)",
        violations.join("\n")
    )
}

/// A crate of the workspace and the dependencies its manifest declares.
#[derive(Debug)]
struct Krate {
    name: String,
    manifest: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    ours: bool,
    /// Only its tests, examples and benchmarks see it.
    in_tests: bool,
}

/// Reads `cargo metadata --no-deps`.
fn crates_of(metadata: &Value, root: &Path) -> Result<Vec<Krate>> {
    fn text(value: &Value) -> Option<String> {
        value.as_str().map(str::to_owned)
    }
    fn dependency(declared: &Value) -> Option<Dependency> {
        Some(Dependency {
            name: text(&declared["name"])?,
            ours: declared["path"].is_string(),
            in_tests: declared["kind"] == "dev",
        })
    }
    let krate = |package: &Value| {
        let manifest = text(&package["manifest_path"])?;
        let manifest = Path::new(&manifest);
        let manifest = manifest.strip_prefix(root).unwrap_or(manifest);
        let declared = package["dependencies"].as_array()?;
        Some(Krate {
            name: text(&package["name"])?,
            manifest: manifest.display().to_string(),
            dependencies: declared.iter().map(dependency).collect::<Option<_>>()?,
        })
    };
    metadata["packages"]
        .as_array()
        .and_then(|packages| packages.iter().map(krate).collect())
        .context("cargo metadata has another shape than expected")
}

/// Every broken arrow, each named in one line.
fn check(table: &[Row], crates: &[Krate]) -> Vec<String> {
    let mut violations = Vec::new();
    for krate in crates {
        match table.iter().find(|row| row.krate == krate.name) {
            Some(row) => violations.extend(
                krate
                    .dependencies
                    .iter()
                    .filter_map(|dependency| broken(row, krate, dependency)),
            ),
            None => violations.push(format!(
                "no row for {} ({}): every crate of the workspace has one",
                krate.name, krate.manifest
            )),
        }
    }
    let gone = table
        .iter()
        .filter(|row| !crates.iter().any(|krate| krate.name == row.krate));
    violations.extend(gone.map(|row| format!("row without a crate: {}", row.krate)));
    violations
}

fn broken(row: &Row, krate: &Krate, dependency: &Dependency) -> Option<String> {
    let from = short(row.krate);
    let reason = if dependency.ours {
        let to = short(&dependency.name);
        let allowed = |ours: Ours| ours == ANY || ours.contains(&to);
        let itself = dependency.name == row.krate;
        if itself || allowed(row.may) || (dependency.in_tests && allowed(row.tests_may)) {
            return None;
        }
        let (who, may) = if dependency.in_tests {
            (format!("{from}'s tests"), [row.may, row.tests_may].concat())
        } else {
            (from.to_owned(), row.may.to_vec())
        };
        match may.as_slice() {
            [] => format!("{who} may depend on nothing of ours"),
            some => format!(
                "{who} may depend on {} and no other of ours",
                some.join(", ")
            ),
        }
    } else {
        let mut patterns = row.unseen.iter().copied().flatten();
        if dependency.in_tests || !patterns.any(|pattern| matches(pattern, &dependency.name)) {
            return None;
        }
        format!("{from} may not see {}", dependency.name)
    };
    Some(format!(
        "arrow broken: {} -> {} ({}): {reason}",
        krate.name, dependency.name, krate.manifest
    ))
}

fn short(name: &str) -> &str {
    name.strip_prefix("wharf-").unwrap_or(name)
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SMALL: &[Row] = &[
        row("wharf-domain", &[], KIT, &[RUNTIME, SQL]),
        row("wharf-ports", &["domain"], KIT, &[SDK]),
        row("wharf-tests", ANY, ANY, &[]),
    ];

    /// Violations in the small house when `krate` declares one more dependency of this kind.
    fn violations(krate: &str, name: &str, kind: &str) -> Vec<String> {
        let packages: Vec<_> = ["domain", "ports", "tests"]
            .iter()
            .map(|room| {
                let ours = name.starts_with("wharf");
                let path = ours.then_some("/house/crates/somewhere");
                let kind = (kind != "normal").then_some(kind);
                let dependency = json!({"name": name, "kind": kind, "path": path});
                let dependencies = if *room == krate {
                    vec![dependency]
                } else {
                    Vec::new()
                };
                json!({
                    "name": format!("wharf-{room}"),
                    "manifest_path": format!("/house/crates/{room}/Cargo.toml"),
                    "dependencies": dependencies,
                })
            })
            .collect();
        let metadata = json!({"packages": packages});
        check(SMALL, &crates_of(&metadata, Path::new("/house")).unwrap())
    }

    #[test]
    fn allowed_arrows_are_silent() {
        for (krate, name, kind) in [
            ("ports", "wharf-domain", "normal"),
            ("ports", "serde", "normal"),
            ("domain", "wharf-testkit", "dev"),
            ("domain", "tokio", "dev"),
            ("domain", "wharf-domain", "dev"),
            ("tests", "wharf-ports", "normal"),
            ("tests", "sqlx", "normal"),
        ] {
            assert_eq!(
                violations(krate, name, kind),
                [""; 0],
                "{krate} -> {name} ({kind})"
            );
        }
    }

    #[test]
    fn an_arrow_against_the_direction_is_named() {
        let expected = "arrow broken: wharf-domain -> wharf-ports (crates/domain/Cargo.toml): \
             domain may depend on nothing of ours";
        assert_eq!(violations("domain", "wharf-ports", "normal"), [expected]);
        assert_eq!(violations("domain", "wharf-ports", "build"), [expected]);
    }

    #[test]
    fn an_arrow_to_another_room_names_the_rooms_allowed() {
        let expected = "arrow broken: wharf-ports -> wharf-memory (crates/ports/Cargo.toml): \
             ports may depend on domain and no other of ours";
        assert_eq!(violations("ports", "wharf-memory", "normal"), [expected]);
    }

    #[test]
    fn tests_see_the_kit_and_no_more() {
        assert_eq!(violations("ports", "wharf-memory", "dev"), [""; 0]);
        let expected = "arrow broken: wharf-ports -> wharf-http (crates/ports/Cargo.toml): \
             ports's tests may depend on domain, testkit, memory, lab and no other of ours";
        assert_eq!(violations("ports", "wharf-http", "dev"), [expected]);
    }

    #[test]
    fn a_third_party_that_may_not_be_seen_is_named() {
        let expected = "arrow broken: wharf-domain -> sqlx (crates/domain/Cargo.toml): \
             domain may not see sqlx";
        assert_eq!(violations("domain", "sqlx", "normal"), [expected]);
    }

    #[test]
    fn a_pattern_covers_a_family_and_not_its_neighbours() {
        let expected = "arrow broken: wharf-ports -> aws-sdk-sts (crates/ports/Cargo.toml): \
             ports may not see aws-sdk-sts";
        assert_eq!(violations("ports", "aws-sdk-sts", "normal"), [expected]);
        assert_eq!(violations("ports", "aws-lc-rs", "normal"), [""; 0]);
    }

    #[test]
    fn a_crate_without_a_row_and_a_row_without_a_crate_are_named() {
        let metadata = json!({"packages": [{
            "name": "wharf-cellar",
            "manifest_path": "/house/crates/cellar/Cargo.toml",
            "dependencies": [],
        }]});
        let crates = crates_of(&metadata, Path::new("/house")).unwrap();
        let expected = [
            "no row for wharf-cellar (crates/cellar/Cargo.toml): every crate of the workspace has \
             one",
            "row without a crate: wharf-domain",
        ];
        assert_eq!(check(&SMALL[..1], &crates), expected);
    }
}
