use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::filter::{FileFilters, ProviderFilters};
use crate::object::BlobKey;
use crate::run::catalogue::{CopyFacts, KnownDeadLetter, LeftOutVersion};

fn sync(n: u8) -> SyncId {
    format!("sync_{n:016x}").parse().expect("an id")
}

fn terms(filters: serde_json::Value) -> Terms {
    let serde_json::Value::Object(fields) = filters else {
        panic!("an object")
    };
    let filters = FileFilters::parse(fields, "file_filters").expect("good filters");
    Terms {
        sync: sync(1),
        reconcile: Reconcile::default(),
        skip_duplicates: true,
        rules: Rules::new(&filters, &ProviderFilters::default(), None),
        relative_path: Arc::new(|path| path.strip_prefix("media/").unwrap_or(path)),
    }
}

fn entry(version: &str) -> Entry {
    Entry {
        object: "media/a.txt".into(),
        path: "media/a.txt".into(),
        version: version.into(),
        size_bytes: Some(1),
        modified_at: None,
        unreadable: None,
        lineage: String::new(),
    }
}

/// A live object in version 1 that this sync has copied and holds on to.
fn known() -> Known {
    let blob = format!(
        "int_{}/bkt_{}/{}",
        "a".repeat(24),
        "0".repeat(16),
        "0".repeat(32)
    );
    Known {
        object: "media/a.txt".into(),
        copy: Some(KnownCopy {
            id: "obj_0123456789abcdef".parse().expect("an id"),
            version: "1".into(),
            path: "media/a.txt".into(),
            blob: BlobKey::parse(&blob).expect("a key"),
            deleted: None,
            copied_by: Some(sync(1)),
            facts: None,
        }),
        held: true,
        left_out: None,
        dead_letter: None,
        missing: false,
        lineage: String::new(),
    }
}

fn with_copy(change: impl FnOnce(&mut KnownCopy)) -> Known {
    let mut known = known();
    change(known.copy.as_mut().expect("it has one"));
    known
}

fn skipped(reason: &'static str) -> Decision {
    Decision::Skipped { reason }
}

const ANEW: Decision = Decision::Copy(Extract::Anew);

#[test]
fn new_changed_and_returned_files_are_copied_and_unchanged_ones_are_not() {
    let terms = terms(json!({}));
    let back = with_copy(|copy| copy.deleted = Some(DeletedBy::Source));
    assert_eq!(terms.decide(&entry("1"), None), ANEW);
    assert_eq!(
        terms.decide(&entry("1"), Some(&known())),
        Decision::Verified
    );
    assert_eq!(terms.decide(&entry("2"), Some(&known())), ANEW);
    assert_eq!(terms.decide(&entry("1"), Some(&back)), ANEW);
}

#[test]
fn what_a_person_deleted_stays_deleted_until_the_source_changes() {
    let terms = terms(json!({}));
    let deleted = with_copy(|copy| copy.deleted = Some(DeletedBy::Person));
    assert_eq!(
        terms.decide(&entry("1"), Some(&deleted)),
        skipped("deleted_by_person")
    );
    assert_eq!(terms.decide(&entry("2"), Some(&deleted)), ANEW);
}

#[test]
fn updates_can_be_turned_off() {
    let mut terms = terms(json!({}));
    terms.reconcile.on_update = false;
    assert_eq!(
        terms.decide(&entry("2"), Some(&known())),
        skipped("updates_off")
    );
}

#[test]
fn what_is_there_and_not_to_be_had_is_skipped_with_the_reason() {
    let archived = Entry {
        unreadable: Some("resource.archived"),
        ..entry("1")
    };
    assert_eq!(
        terms(json!({})).decide(&archived, None),
        skipped("resource.archived")
    );
}

#[test]
fn a_rule_comes_before_everything_else() {
    let terms = terms(json!({"extensions": ["csv"]}));
    let filtered = Decision::Filtered {
        rule: "extensions".into(),
    };
    assert_eq!(terms.decide(&entry("1"), None), filtered);
    assert_eq!(terms.decide(&entry("1"), Some(&known())), filtered);
}

#[test]
fn a_version_that_was_left_out_is_not_asked_for_again_while_such_rules_are_there() {
    let left_out = Known {
        copy: None,
        held: false,
        left_out: Some(LeftOutVersion {
            version: "1".into(),
            rule: "mime_types".into(),
        }),
        ..known()
    };
    let asking = terms(json!({"mime_types": ["image/*"]}));
    let filtered = Decision::Filtered {
        rule: "mime_types".into(),
    };
    assert_eq!(asking.decide(&entry("1"), Some(&left_out)), filtered);
    assert_eq!(asking.decide(&entry("2"), Some(&left_out)), ANEW);
    assert_eq!(terms(json!({})).decide(&entry("1"), Some(&left_out)), ANEW);
}

#[test]
fn what_another_sync_copied_is_shared_or_copied_once() {
    let mut terms = terms(json!({}));
    let held = with_copy(|copy| copy.copied_by = Some(sync(2)));
    let new = Known {
        held: false,
        ..held.clone()
    };
    assert_eq!(terms.decide(&entry("1"), Some(&new)), skipped("duplicate"));
    assert_eq!(terms.decide(&entry("1"), Some(&held)), skipped("duplicate"));
    terms.skip_duplicates = false;
    assert_eq!(terms.decide(&entry("1"), Some(&new)), ANEW);
    assert_eq!(terms.decide(&entry("1"), Some(&held)), Decision::Verified);
}

#[test]
fn fields_of_a_file_that_is_copied_again_become_what_the_settings_say() {
    let mut terms = terms(json!({}));
    let id: ObjectId = "obj_0123456789abcdef".parse().expect("an id");
    let decide = |terms: &Terms| terms.decide(&entry("2"), Some(&known()));
    terms.reconcile.re_extract_fields = Some(vec!["team".into()]);
    assert_eq!(
        decide(&terms),
        Decision::Copy(Extract::IfChanged(id.clone()))
    );
    terms.reconcile.re_extract_on_update = false;
    assert_eq!(decide(&terms), Decision::Copy(Extract::Keep(id)));
}

#[test]
fn a_file_that_failed_too_often_is_left_alone_until_it_may_heal_or_changes() {
    let terms = terms(json!({}));
    let failing = |exhausted, healing_due| Known {
        copy: None,
        held: false,
        dead_letter: Some(KnownDeadLetter {
            id: "dlq_0123456789abcdef".parse().expect("an id"),
            version: "1".into(),
            error_type: "perm.denied".into(),
            tries: 3,
            exhausted,
            healing_due,
        }),
        ..known()
    };
    let quarantined = Decision::Quarantined {
        error_type: "perm.denied".into(),
    };
    let decide = |version, known: Known| terms.decide(&entry(version), Some(&known));
    assert_eq!(decide("1", failing(true, false)), quarantined);
    assert_eq!(decide("2", failing(true, false)), ANEW);
    assert_eq!(decide("1", failing(true, true)), ANEW);
    assert_eq!(decide("1", failing(false, false)), ANEW);
}

fn told(facts: serde_json::Value, tags: serde_json::Value) -> Known {
    let object = |value: serde_json::Value| value.as_object().expect("an object").clone();
    with_copy(|copy| {
        copy.facts = Some(Box::new(CopyFacts {
            content_type: Some("text/plain".to_owned()),
            metadata: object(facts),
            tags: object(tags),
        }));
    })
}

#[test]
fn new_rules_look_at_what_was_told_of_unchanged_files() {
    let filtered = |rule: &str| Decision::Filtered {
        rule: rule.to_owned(),
    };
    let images = terms(json!({"mime_types": ["image/*"]}));
    let known = told(json!({}), json!({}));
    assert_eq!(
        images.decide(&entry("1"), Some(&known)),
        filtered("mime_types")
    );
    assert_eq!(
        images.decide(&entry("2"), Some(&known)),
        ANEW,
        "another version may be one"
    );
    let texts = terms(json!({"mime_types": ["text/*"]}));
    assert_eq!(texts.decide(&entry("1"), Some(&known)), Decision::Verified);

    let team = terms(
        json!({"metadata_filters": [{"field": "team", "operator": "equals", "value": "blue"}]}),
    );
    for (metadata, tags, expected) in [
        (
            json!({"x-amz-meta-team": "red"}),
            json!({}),
            filtered("metadata_filters"),
        ),
        (
            json!({"x-amz-meta-team": "blue"}),
            json!({}),
            Decision::Verified,
        ),
        (
            json!({}),
            json!({"team": "red"}),
            filtered("metadata_filters"),
        ),
        (json!({}), json!({"team": "blue"}), Decision::Verified),
        // Tags that nobody asked for may hold it.
        (json!({}), json!({}), Decision::Verified),
    ] {
        let known = told(metadata, tags);
        assert_eq!(
            team.decide(&entry("1"), Some(&known)),
            expected,
            "{known:?}"
        );
    }
}
