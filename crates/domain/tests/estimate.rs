//! Plans made of scripted pages.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use wharf_domain::estimate::{Plan, Planner, Premises};
use wharf_domain::filter::{FileFilters, ProviderFilters, Rules};
use wharf_domain::object::{BlobKey, DeletedBy};
use wharf_domain::plan::Entry;
use wharf_domain::provider::Provider;
use wharf_domain::run::catalogue::{Known, KnownCopy, KnownDeadLetter, Recalled};
use wharf_domain::run::decision::Terms;
use wharf_domain::run::deletes::DeleteThreshold;
use wharf_domain::run::page::ListingPage;
use wharf_domain::sync::{Cursor, Reconcile};

const OURS: &str = "sync_0123456789abcdef";
const OTHER: &str = "sync_fedcba9876543210";

fn premises(filters: serde_json::Value) -> Premises {
    let serde_json::Value::Object(fields) = filters else {
        panic!("an object");
    };
    let filters = FileFilters::parse(fields, "file_filters").unwrap();
    Premises {
        terms: Terms {
            sync: OURS.parse().unwrap(),
            reconcile: Reconcile::default(),
            skip_duplicates: true,
            rules: Rules::new(&filters, &ProviderFilters::default(), None),
            relative_path: Arc::new(|path| path),
        },
        wishes_tags: false,
        concurrency: 10,
        max_objects_per_run: 1000,
        polling_interval: Duration::from_mins(5),
        provider: Provider::S3,
        threshold: DeleteThreshold::default(),
        held_before: 0,
    }
}

fn entry(name: &str, size: u64) -> Entry {
    Entry {
        object: name.to_owned(),
        path: name.to_owned(),
        version: "v1".to_owned(),
        size_bytes: Some(size),
        modified_at: None,
        unreadable: None,
        lineage: String::new(),
    }
}

fn known(name: &str, version: &str, by: &str, deleted: Option<DeletedBy>) -> Known {
    let blob = "int_abcdefghijklmnopqrstuvwx/bkt_0123456789abcdef/0123456789abcdef0123456789abcdef";
    Known {
        object: name.to_owned(),
        lineage: String::new(),
        copy: Some(KnownCopy {
            path: name.to_owned(),
            id: "obj_0123456789abcdef".parse().unwrap(),
            version: version.to_owned(),
            blob: BlobKey::parse(blob).unwrap(),
            deleted,
            copied_by: Some(by.parse().unwrap()),
            facts: None,
        }),
        held: by == OURS,
        left_out: None,
        dead_letter: None,
        missing: false,
    }
}

/// A plan of one page after the other, with what is known of each.
fn plan_of(premises: Premises, pages: Vec<(Vec<Entry>, Recalled)>) -> Plan {
    let mut planner = Planner::new(premises, "media/".to_owned());
    let last = pages.len() - 1;
    for (n, (entries, recalled)) in pages.into_iter().enumerate() {
        let page = planner.listed(ListingPage {
            entries,
            next: (n < last).then(|| Cursor(n.to_string())),
            denied: Vec::new(),
        });
        planner.recalled(page.unwrap(), recalled);
    }
    planner.finish(None, Duration::from_secs(2))
}

fn counted(counts: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    counts.iter().map(|(name, n)| (name.as_str(), *n)).collect()
}

#[test]
fn every_entry_is_counted_once_by_what_a_run_would_do_with_it() {
    let entries = vec![
        entry("a-new.txt", 10),
        entry("b-changed.txt", 20),
        entry("c-same.txt", 30),
        entry("d-others.txt", 40),
        entry("e-back.txt", 50),
        entry("f-deleted.txt", 60),
        entry("g-filtered.tmp", 70),
        Entry {
            unreadable: Some("resource.archived"),
            ..entry("h-archived.txt", 80)
        },
        entry("i-failing.txt", 90),
    ];
    let failing = Known {
        copy: None,
        held: false,
        dead_letter: Some(KnownDeadLetter {
            id: "dlq_0123456789abcdef".parse().unwrap(),
            version: "v1".to_owned(),
            error_type: "integrity.mismatch".to_owned(),
            tries: 3,
            exhausted: true,
            healing_due: false,
        }),
        ..known("i-failing.txt", "v1", OURS, None)
    };
    let recalled = Recalled {
        known: vec![
            known("b-changed.txt", "v0", OURS, None),
            known("c-same.txt", "v1", OURS, None),
            known("d-others.txt", "v1", OTHER, None),
            known("e-back.txt", "v1", OURS, Some(DeletedBy::Source)),
            known("f-deleted.txt", "v1", OURS, Some(DeletedBy::Person)),
            failing,
        ],
        vanished: 0,
    };
    let plan = plan_of(
        premises(json!({"exclude_patterns": ["*.tmp"]})),
        vec![(entries, recalled)],
    );
    assert_eq!((plan.entries, plan.bytes), (9, 450));
    assert_eq!(
        (plan.would_add, plan.would_update, plan.unchanged),
        (2, 1, 1)
    );
    assert_eq!(counted(&plan.filtered_by), [("exclude_patterns", 1)]);
    assert_eq!(
        counted(&plan.skipped_by),
        [
            ("deleted_by_person", 1),
            ("duplicate", 1),
            ("resource.archived", 1)
        ]
    );
    assert_eq!(counted(&plan.failed_by), [("integrity.mismatch", 1)]);
    assert_eq!((plan.would_delete, plan.would_hold), (Some(0), None));
    assert_eq!(plan.bytes_to_copy, 10 + 20 + 50);
    assert_eq!(plan.provider_calls, 1 + 3);
    assert_eq!(counted(&plan.by_type), [("text/plain", 8), ("unknown", 1)]);
    assert_eq!(plan.incomplete_reason, None);
}

#[test]
fn content_types_are_guessed_by_name_and_what_only_the_file_tells_is_left_open() {
    let entries = || vec![entry("a.png", 1), entry("b.txt", 2), entry("c", 4)];
    let by_type = plan_of(
        premises(json!({"mime_types": ["image/*"]})),
        vec![(entries(), Recalled::default())],
    );
    assert_eq!((by_type.would_add, by_type.undecided), (1, 1));
    assert_eq!(counted(&by_type.filtered_by), [("mime_types", 1)]);
    assert_eq!(
        by_type.provider_calls,
        1 + 3,
        "a run has to ask for all of them"
    );
    let both = json!({
        "mime_types": ["image/*"],
        "metadata_filters": [{"field": "team", "operator": "equals", "value": "a"}],
    });
    let mut with_tags = premises(both);
    with_tags.wishes_tags = true;
    let by_metadata = plan_of(with_tags, vec![(entries(), Recalled::default())]);
    assert_eq!((by_metadata.would_add, by_metadata.undecided), (0, 2));
    assert_eq!(counted(&by_metadata.filtered_by), [("mime_types", 1)]);
    assert_eq!(by_metadata.provider_calls, 1 + 2 * 3);
}

#[test]
fn what_a_listing_passes_over_would_be_deleted_unless_it_would_wait() {
    let page = |vanished| {
        let recalled = Recalled {
            known: (0..100)
                .map(|n| known(&format!("{n:03}"), "v1", OURS, None))
                .collect(),
            vanished,
        };
        (
            (0..100).map(|n| entry(&format!("{n:03}"), 1)).collect(),
            recalled,
        )
    };
    let few = plan_of(premises(json!({})), vec![page(20)]);
    assert_eq!((few.would_delete, few.would_hold), (Some(20), None));
    let many = plan_of(premises(json!({})), vec![page(60)]);
    assert_eq!(many.would_delete, Some(0));
    let held = many.would_hold.unwrap();
    assert_eq!(held.count, 60);
    assert!(held.reason.contains("60 of 160 objects"), "{}", held.reason);
    let mut again = premises(json!({}));
    again.held_before = 60;
    let agreed = plan_of(again, vec![page(60)]);
    assert_eq!((agreed.would_delete, agreed.would_hold), (Some(60), None));
    let mut drifting = premises(json!({"extensions": [".txt"]}));
    let drifted = plan_of(drifting.clone(), vec![page(0)]);
    assert_eq!(drifted.would_delete, Some(0));
    assert_eq!(drifted.would_hold.unwrap().count, 100);
    drifting.terms.reconcile.on_filter_drift = false;
    let kept = plan_of(drifting, vec![page(0)]);
    assert_eq!((kept.would_delete, kept.would_hold), (Some(0), None));
}

#[test]
fn deletes_are_not_told_of_a_listing_that_is_not_complete_or_out_of_order() {
    let one = |name: &str| {
        (
            vec![entry(name, 1)],
            Recalled {
                vanished: 3,
                ..Recalled::default()
            },
        )
    };
    let disordered = plan_of(premises(json!({})), vec![one("b"), one("a")]);
    assert_eq!(
        (disordered.would_delete, disordered.incomplete_reason),
        (None, None)
    );
    let mut cut = Planner::new(premises(json!({})), "media/".to_owned());
    let page = ListingPage {
        entries: vec![entry("a", 1)],
        next: Some(Cursor("on".to_owned())),
        denied: Vec::new(),
    };
    let page = cut.listed(page).unwrap();
    assert_eq!(cut.checkpoint().cursor, Some(Cursor("on".to_owned())));
    cut.recalled(page, Recalled::default());
    let cut = cut.finish(Some("budget".to_owned()), Duration::ZERO);
    assert_eq!((cut.would_delete, cut.entries), (None, 1));
    assert_eq!(cut.incomplete_reason.as_deref(), Some("budget"));
    let mut denied = Planner::new(premises(json!({})), "media/".to_owned());
    let page = denied.listed(ListingPage {
        entries: Vec::new(),
        next: None,
        denied: vec!["media/secret/".to_owned()],
    });
    denied.recalled(page.unwrap(), Recalled::default());
    let denied = denied.finish(None, Duration::ZERO);
    assert_eq!(denied.incomplete_reason.as_deref(), Some("scope_denied"));
    assert_eq!(denied.would_delete, None);
}

#[test]
fn sizes_and_types_are_told_in_few_words_however_many_there_are() {
    const KIB: u64 = 1024;
    const MIB: u64 = KIB * KIB;
    let sizes = [
        0,
        1,
        KIB - 1,
        KIB,
        MIB - 1,
        MIB,
        10 * MIB - 1,
        10 * MIB,
        100 * MIB - 1,
        100 * MIB,
        1024 * MIB - 1,
        1024 * MIB,
    ];
    let mut entries: Vec<Entry> = (0..)
        .zip(sizes)
        .map(|(n, size)| entry(&format!("{n:02}"), size))
        .collect();
    entries.push(Entry {
        size_bytes: None,
        ..entry("zz", 0)
    });
    let sizes = plan_of(premises(json!({})), vec![(entries, Recalled::default())]).size_histogram;
    let below = [
        sizes.empty,
        sizes.below_kib,
        sizes.below_mib,
        sizes.below_10_mib,
    ];
    assert_eq!(below, [1, 2, 2, 2]);
    let beyond = [
        sizes.below_100_mib,
        sizes.below_gib,
        sizes.larger,
        sizes.unknown,
    ];
    assert_eq!(beyond, [2, 2, 1, 1]);

    let extensions = "3gp 7z aac abw arc avi azw bin bmp bz bz2 css csv doc docx eot epub gif gz htm ico ics jar jpeg js json \
                      jsonld mid mjs mp3 mp4 mpeg mpkg odp ods odt oga ogv ogx opus otf pdf png ppt pptx rar rtf sh svg swf tar \
                      tif ttf txt vsd wav weba webm webp woff woff2 xhtml xls xlsx xml xul zip";
    let mut names: Vec<String> = extensions
        .split_whitespace()
        .map(|e| format!("x.{e}"))
        .collect();
    names.push("y.png".to_owned());
    names.sort();
    let files = names.len() as u64;
    let entries = names.iter().map(|name| entry(name, 1)).collect();
    let types = plan_of(premises(json!({})), vec![(entries, Recalled::default())]).by_type;
    assert_eq!(types.len(), 51);
    assert_eq!(types["image/png"], 2);
    assert_eq!(types.values().sum::<u64>(), files);
    assert!(types["other"] > 0);
}

#[test]
fn the_time_is_a_range_that_grows_with_files_bytes_and_runs() {
    let files = |n: usize, size| {
        let entries = (0..n).map(|n| entry(&format!("{n:05}"), size)).collect();
        vec![(entries, Recalled::default())]
    };
    let nothing = plan_of(premises(json!({})), files(0, 0));
    assert_eq!((nothing.estimated_seconds, nothing.runs), ((2, 4), 0));
    // 1000 files at 10 at a time: 3 s at best, 30 s at worst; their bytes need no time to speak of.
    let small = plan_of(premises(json!({})), files(1000, 1));
    assert_eq!((small.estimated_seconds, small.runs), ((5, 35), 1));
    // 2 GiB need 20 s at best and 409.6 s at worst.
    let large = plan_of(premises(json!({})), files(2, 1024 * 1024 * 1024));
    assert_eq!(large.estimated_seconds, (22, 414));
    let mut capped = premises(json!({}));
    capped.max_objects_per_run = 400;
    let capped = plan_of(capped, files(1000, 1));
    assert_eq!((capped.estimated_seconds, capped.runs), ((5, 35 + 600), 3));
}
