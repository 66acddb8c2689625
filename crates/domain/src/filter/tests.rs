use serde_json::json;

use super::*;
use crate::Metadata;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => panic!("an object"),
    }
}

fn filters(value: Value) -> FileFilters {
    FileFilters::parse(object(value), "file_filters").expect("file filters")
}

fn refused(value: Value) -> Vec<(String, &'static str)> {
    let errors = FileFilters::parse(object(value), "file_filters").expect_err("refused");
    errors.0.iter().map(|e| (e.path(), e.kind)).collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn rules(value: Value) -> Rules {
    Rules::new(&filters(value), &ProviderFilters::default(), None)
}

fn everything() -> Value {
    json!({
        "include_patterns": ["*.mp4"],
        "exclude_patterns": ["**/drafts/**"],
        "min_size_bytes": 10,
        "max_size_bytes": 20,
        "modified_after": "2026-01-01T00:00:00.000000Z",
        "modified_before": "2026-02-01T00:00:00.000000Z",
        "mime_types": ["video/*"],
        "extensions": [".mp4"],
        "metadata_filters": [{"field": "team", "operator": "equals", "value": "blue"}],
    })
}

#[test]
fn what_is_accepted_is_returned_and_stored_in_the_same_form() {
    let parsed = filters(everything());
    let stored = serde_json::to_value(&parsed).expect("JSON");
    assert_eq!(stored, everything());
    assert_eq!(
        serde_json::from_value::<FileFilters>(stored).expect("stored"),
        parsed
    );
    assert_eq!(
        serde_json::to_value(filters(json!({}))).expect("JSON"),
        json!({})
    );
    assert!(filters(json!({"include_patterns": [], "mime_types": null})).is_empty());
    assert!(!parsed.is_empty());
}

#[test]
fn every_mistake_is_named_with_its_full_path() {
    let seen = refused(json!({
        "include_patterns": ["*.mp4", "a[", "b{"],
        "exclude_patterns": "x",
        "min_size_bytes": -1,
        "modified_after": "soon",
        "mime_types": ["video"],
        "extensions": ["*.mp4"],
        "metadata_filters": [{"field": "a", "value": 1}, {"operator": "like"}, 3],
        "max_size": 1,
    }));
    assert_eq!(
        seen,
        [
            ("file_filters.include_patterns.1".into(), "invalid_format"),
            ("file_filters.include_patterns.2".into(), "invalid_format"),
            ("file_filters.exclude_patterns".into(), "wrong_type"),
            ("file_filters.min_size_bytes".into(), "out_of_range"),
            ("file_filters.modified_after".into(), "invalid_format"),
            ("file_filters.mime_types.0".into(), "invalid_format"),
            ("file_filters.extensions.0".into(), "invalid_format"),
            ("file_filters.metadata_filters.1.field".into(), "missing"),
            ("file_filters.metadata_filters.1.operator".into(), "enum"),
            ("file_filters.metadata_filters.1.value".into(), "missing"),
            ("file_filters.metadata_filters.2".into(), "wrong_type"),
            ("file_filters.max_size".into(), "extra_forbidden"),
        ]
    );
}

#[test]
fn bounds_that_leave_nothing_between_them_are_refused_with_both_names() {
    for (given, low, high) in [
        (
            json!({"min_size_bytes": 2, "max_size_bytes": 1}),
            "min_size_bytes",
            "max_size_bytes",
        ),
        (
            json!({"modified_after": "2026-02-01", "modified_before": "2026-01-01"}),
            "modified_after",
            "modified_before",
        ),
    ] {
        let errors = FileFilters::parse(object(given), "").expect_err("refused");
        assert_eq!(errors.0[0].path(), low);
        assert!(errors.to_string().contains(high), "{errors}");
    }
    filters(json!({"min_size_bytes": 1, "max_size_bytes": 1}));
}

#[test]
fn lists_and_patterns_are_bounded() {
    for given in [
        json!({"include_patterns": vec!["*"; 101]}),
        json!({"include_patterns": ["a".repeat(1025)]}),
        json!({"exclude_patterns": vec!["a".repeat(1000); 11]}),
        json!({"mime_types": vec!["a/b"; 101]}),
        json!({"metadata_filters": vec![json!({"field": "a", "value": 1}); 51]}),
    ] {
        assert_eq!(refused(given).len(), 1);
    }
    filters(json!({"include_patterns": vec!["a".repeat(100); 100]}));
}

#[test]
fn the_listing_decides_by_name_size_and_time_with_inclusive_sizes() {
    let rules = rules(everything());
    let file = Listed {
        relative_path: "x/a.mp4",
        size_bytes: Some(10),
        modified_at: Some(at("2026-01-15T00:00:00Z")),
    };
    for (listed, expected) in [
        (file, Verdict::Keep),
        (
            Listed {
                size_bytes: Some(20),
                ..file
            },
            Verdict::Keep,
        ),
        (
            Listed {
                size_bytes: None,
                modified_at: None,
                ..file
            },
            Verdict::Keep,
        ),
        (
            Listed {
                relative_path: "a.mov",
                ..file
            },
            Verdict::Filtered(Rule::IncludePatterns),
        ),
        (
            Listed {
                relative_path: "x/drafts/a.mp4",
                ..file
            },
            Verdict::Filtered(Rule::ExcludePatterns),
        ),
        (
            Listed {
                relative_path: ".mp4",
                ..file
            },
            Verdict::Filtered(Rule::Extensions),
        ),
        (
            Listed {
                size_bytes: Some(9),
                ..file
            },
            Verdict::Filtered(Rule::MinSizeBytes),
        ),
        (
            Listed {
                size_bytes: Some(21),
                ..file
            },
            Verdict::Filtered(Rule::MaxSizeBytes),
        ),
        (
            Listed {
                modified_at: Some(at("2026-01-01T00:00:00Z")),
                ..file
            },
            Verdict::Filtered(Rule::ModifiedAfter),
        ),
        (
            Listed {
                modified_at: Some(at("2026-02-01T00:00:00Z")),
                ..file
            },
            Verdict::Filtered(Rule::ModifiedBefore),
        ),
    ] {
        assert_eq!(rules.by_listing(&listed), expected, "{listed:?}");
    }
}

#[test]
fn the_file_itself_decides_by_type_and_metadata() {
    let rules = rules(everything());
    let blue = object(json!({"team": "blue"}));
    let none = Metadata::new();
    let file = Facts {
        relative_path: "x/a.mp4",
        content_type: Some("binary/octet-stream"),
        metadata: &none,
        tags: &blue,
    };
    for (facts, expected) in [
        (file, Verdict::Keep),
        (
            Facts {
                content_type: None,
                ..file
            },
            Verdict::Keep,
        ),
        (
            Facts {
                content_type: Some("image/png"),
                ..file
            },
            Verdict::Filtered(Rule::MimeTypes),
        ),
        (
            Facts {
                relative_path: "x/a",
                content_type: None,
                ..file
            },
            Verdict::Filtered(Rule::MimeTypes),
        ),
        (
            Facts {
                tags: &none,
                ..file
            },
            Verdict::Filtered(Rule::MetadataFilters),
        ),
    ] {
        assert_eq!(rules.by_facts(&facts), expected, "{facts:?}");
    }
}

#[test]
fn facts_are_only_asked_for_where_a_rule_needs_them() {
    let needs = |value| {
        let rules = rules(value);
        (rules.needs_facts(), rules.needs_tags())
    };
    assert_eq!(
        needs(json!({"extensions": ["mp4"], "min_size_bytes": 1})),
        (false, false)
    );
    assert_eq!(needs(json!({"mime_types": ["video/*"]})), (true, false));
    let filter = json!([{"field": "a", "operator": "exists"}]);
    assert_eq!(needs(json!({"metadata_filters": filter})), (true, true));
}

#[test]
fn the_provider_s_prefix_and_sync_from_are_rules_too() {
    let provider = ProviderFilters::parse(object(json!({"prefix": "videos/"})), "provider_filters")
        .expect("provider filters");
    let from = at("2026-01-01T00:00:00Z");
    let rules = Rules::new(&FileFilters::default(), &provider, Some(from));
    let file = Listed {
        relative_path: "videos/a",
        size_bytes: None,
        modified_at: Some(at("2026-01-02T00:00:00Z")),
    };
    assert_eq!(rules.by_listing(&file), Verdict::Keep);
    let elsewhere = Listed {
        relative_path: "music/a",
        ..file
    };
    assert_eq!(
        rules.by_listing(&elsewhere),
        Verdict::Filtered(Rule::ProviderPrefix)
    );
    let old = Listed {
        modified_at: Some(from),
        ..file
    };
    assert_eq!(rules.by_listing(&old), Verdict::Filtered(Rule::SyncFrom));
    assert_eq!(
        rules.describe(Rule::SyncFrom, &old, None),
        "the file was modified at 2026-01-01T00:00:00.000000Z, sync_from is 2026-01-01T00:00:00.000000Z"
    );
}

#[test]
fn an_unknown_provider_filter_is_refused_with_the_accepted_ones() {
    let parse = |value| ProviderFilters::parse(object(value), "provider_filters");
    let errors = parse(json!({"shared_drive_id": "x"})).expect_err("refused");
    assert_eq!(errors.0[0].path(), "provider_filters.shared_drive_id");
    assert!(
        errors
            .to_string()
            .ends_with("accepted keys: export_formats, prefix"),
        "{errors}"
    );
    for prefix in ["/videos", "a\0", &"ü".repeat(513)] {
        let errors = parse(json!({ "prefix": prefix })).expect_err(prefix);
        assert_eq!(errors.0[0].path(), "provider_filters.prefix");
    }
    assert!(parse(json!({"prefix": ""})).expect("no rule").is_empty());
}

#[test]
fn every_mistake_in_the_export_formats_is_told_with_its_path() {
    let parse = |value| ProviderFilters::parse(object(value), "provider_filters");
    let errors = parse(json!({
        "prefix": "/videos",
        "export_formats": {"document": "doc", "spreadsheet": 7, "drawing": "gif", "vid": "mp4"},
    }))
    .expect_err("refused");
    let mut paths: Vec<String> = errors
        .0
        .iter()
        .map(crate::input::FieldError::path)
        .collect();
    paths.sort();
    let expected = [
        "provider_filters.export_formats.document",
        "provider_filters.export_formats.drawing",
        "provider_filters.export_formats.spreadsheet",
        "provider_filters.export_formats.vid",
        "provider_filters.prefix",
    ];
    assert_eq!(paths, expected);
    let told = errors.to_string();
    let words = "must be one of docx, odt, rtf, pdf, txt, md, html, epub";
    assert!(told.contains(words), "{told}");
    let errors = parse(json!({"export_formats": "docx"})).expect_err("no object");
    assert_eq!(errors.0[0].path(), "provider_filters.export_formats");
}

#[test]
fn export_formats_that_are_not_named_are_the_usual_ones_and_not_stored() {
    let parse = |value| ProviderFilters::parse(object(value), "provider_filters").expect("valid");
    let usual = parse(json!({"export_formats": {}}));
    assert_eq!(usual, ProviderFilters::default());
    assert_eq!(serde_json::to_value(&usual).expect("plain"), json!({}));
    let chosen = parse(json!({"export_formats": {"document": "md", "presentation": "pdf"}}));
    let ExportFormats {
        document,
        spreadsheet,
        presentation,
        drawing,
    } = &chosen.export_formats;
    let formats = [document, spreadsheet, presentation, drawing].map(String::as_str);
    assert_eq!(formats, ["md", "xlsx", "pdf", "png"]);
    let stored = serde_json::to_value(&chosen).expect("plain");
    let read: ProviderFilters = serde_json::from_value(stored).expect("as it was stored");
    assert_eq!(read, chosen);
    assert!(chosen.is_empty(), "they keep nothing out");
}

#[test]
fn a_person_is_told_what_was_found_and_what_was_asked() {
    let rules = rules(everything());
    let listed = Listed {
        relative_path: "drafts/a.png",
        size_bytes: Some(12),
        modified_at: None,
    };
    let none = Metadata::new();
    let secret = object(json!({"team": "hunter2"}));
    let facts = Facts {
        relative_path: listed.relative_path,
        content_type: None,
        metadata: &secret,
        tags: &none,
    };
    for (rule, expected) in [
        (
            Rule::MaxSizeBytes,
            "the file is 12 bytes, max_size_bytes is 20",
        ),
        (
            Rule::IncludePatterns,
            "the path matches none of the include_patterns",
        ),
        (
            Rule::ExcludePatterns,
            "the path matches **/drafts/**, one of the exclude_patterns",
        ),
        (
            Rule::Extensions,
            "the file name ends with none of the extensions",
        ),
        (
            Rule::MimeTypes,
            "the content type is image/png, none of the mime_types",
        ),
        (
            Rule::MetadataFilters,
            "the metadata does not satisfy \"team equals blue\", one of the metadata_filters",
        ),
        (
            Rule::ModifiedAfter,
            "modified_after does not let the file through",
        ),
        (
            Rule::ProviderPrefix,
            "provider_filters.prefix does not let the file through",
        ),
    ] {
        assert_eq!(rules.describe(rule, &listed, Some(&facts)), expected);
    }
}

#[test]
fn a_rule_is_read_by_its_name() {
    for rule in Rule::ALL {
        assert_eq!(Rule::parse(rule.as_str()), Some(rule));
    }
    assert_eq!(Rule::parse("max_size"), None);
}
