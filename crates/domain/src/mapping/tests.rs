#![expect(
    clippy::needless_pass_by_value,
    reason = "JSON is handed over as it is made"
)]

use serde_json::json;

use super::*;
use crate::Metadata;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => panic!("an object"),
    }
}

fn parse(mappings: Value) -> Result<SchemaMapping, InvalidInput> {
    SchemaMapping::parse(object(json!({ "mappings": mappings })), "schema_mapping")
}

fn field(source: Value) -> Value {
    json!({"target_type": "field", "source": source})
}

fn file_blob() -> Value {
    json!({"target_type": "blob", "source": {"type": "file"}})
}

/// What a mapping makes of `Marketing/Q4/videos/user_12345_Final.mp4`.
fn apply(mappings: Value) -> Result<Mapped, MappingFailure> {
    let metadata = object(json!({
        "author": " John ", "size": "12", "list": "[1, {\"a\": 2}]", "broken": "{", "deep": "[".repeat(5000)
    }));
    let tags = object(json!({"Category": "Marketing"}));
    let mapping = parse(mappings).expect("a mapping");
    Mapper::new(&mapping).apply(&Facts {
        file_name: "user_12345_Final.mp4",
        folder_path: "/Marketing/Q4//videos/",
        content_type: Some("binary/octet-stream"),
        metadata: &metadata,
        tags: &tags,
    })
}

fn value_of(source: Value) -> Option<Value> {
    let mapped = apply(json!({ "x": field(source) })).expect("mapped");
    mapped.fields.get("x").cloned()
}

fn refused(mappings: Value) -> Vec<(String, &'static str)> {
    let errors = parse(mappings).expect_err("refused");
    errors.0.iter().map(|e| (e.path(), e.kind)).collect()
}

#[test]
fn what_is_accepted_is_returned_and_stored_in_the_same_form_with_the_defaults() {
    let given = json!({
        "content": file_blob(),
        "clip": {
            "target_type": "blob", "source": {"type": "file"}, "blob_type": "video",
            "blob_property": "clip", "mime_type_override": "video/mp4"
        },
        "a": field(json!({"type": "tag", "key": "k"})),
        "b": field(json!({"type": "metadata", "key": "k"})),
        "c": field(json!({"type": "filename_regex", "pattern": "(.)", "default": "d"})),
        "d": field(json!({"type": "folder_path", "segment": -2})),
        "e": {
            "target_type": "field", "source": {"type": "constant", "value": null},
            "transform": "json_parse", "required": true
        },
        "f": field(json!({"type": "column", "name": "N"})),
        "g": field(json!({"type": "drive_property", "key": "name"})),
        "h": field(json!({"type": "rss_field", "field": "title"})),
        "i": field(json!({"type": "rtsp_field", "field": "error"})),
    });
    let mut expected = given.clone();
    for target in ["a", "b", "c", "d", "f", "g", "h", "i"] {
        expected[target]["required"] = json!(false);
    }
    expected["d"]["source"]["full_path"] = json!(false);
    expected["content"]["blob_type"] = json!("auto");
    expected["content"]["blob_property"] = json!("content");
    let parsed = parse(given).expect("a mapping");
    let stored = serde_json::to_value(&parsed).expect("JSON");
    assert_eq!(stored, json!({ "mappings": expected }));
    assert_eq!(
        serde_json::from_value::<SchemaMapping>(stored.clone()).expect("stored"),
        parsed
    );
    assert_eq!(
        SchemaMapping::parse(object(stored), "").expect("sent back"),
        parsed
    );
}

#[test]
fn every_mistake_is_named_with_its_full_path() {
    let seen = refused(json!({
        "a": 1,
        "b": {"source": {"type": "file"}},
        "c": {"target_type": "field"},
        "d": field(json!({"key": "k"})),
        "e": field(json!({"type": "tag", "key": "k".repeat(129), "extra": 1})),
        "f": {"target_type": "field", "source": {"type": "tag", "key": "k"}, "transform": "reverse", "blob_type": "auto"},
        "g": {"target_type": "blob", "source": {"type": "file"}, "blob_type": "document", "mime_type_override": "video"},
        "h": field(json!({"type": "file"})),
        "i": field(json!({"type": "folder_path", "segment": 1.5})),
        "j": field(json!({"type": "constant"})),
        "k": field(json!({"type": "metadata", "key": "X-Amz-Meta-author"})),
        "l": field(json!({"type": "filename_regex", "pattern": "a("})),
    }));
    let at = |path: &str| format!("schema_mapping.mappings.{path}");
    assert_eq!(
        seen,
        [
            (at("a"), "wrong_type"),
            (at("b.target_type"), "enum"),
            (at("c.source"), "missing"),
            (at("d.source.type"), "enum"),
            (at("e.source.key"), "string_too_long"),
            (at("e.source.extra"), "extra_forbidden"),
            (at("f.transform"), "enum"),
            (at("f.blob_type"), "extra_forbidden"),
            (at("g.blob_type"), "enum"),
            (at("g.mime_type_override"), "invalid_format"),
            (at("h.source.type"), "conflict"),
            (at("i.source.segment"), "out_of_range"),
            (at("j.source.value"), "missing"),
            (at("k.source.key"), "invalid_format"),
            (at("l.source.pattern"), "invalid_format"),
        ]
    );
    let errors = SchemaMapping::parse(object(json!({"mapping": {}})), "").expect_err("refused");
    assert_eq!(errors.0.len(), 2);
}

#[test]
fn targets_names_patterns_and_constants_are_bounded() {
    let many = |n: usize| {
        let targets = (0..n).map(|i| (format!("t{i}"), file_blob()));
        Value::Object(targets.collect())
    };
    assert!(parse(many(100)).is_ok());
    assert_eq!(
        refused(many(101)),
        [("schema_mapping.mappings".into(), "too_long")]
    );
    let long = "n".repeat(201);
    for name in ["", "a\nb", long.as_str()] {
        assert_eq!(refused(json!({ name: file_blob() })).len(), 1);
    }
    let pattern = format!("({})", "a".repeat(1024));
    let large = "x".repeat(16 * 1024);
    for source in [
        json!({"type": "filename_regex", "pattern": pattern}),
        json!({"type": "constant", "value": large}),
    ] {
        assert_eq!(refused(json!({ "x": field(source) })).len(), 1);
    }
}

#[test]
fn a_provider_refuses_the_sources_it_does_not_have_and_names_those_it_has() {
    let mapping = parse(json!({
        "a": field(json!({"type": "column", "name": "N"})),
        "b": field(json!({"type": "tag", "key": "k"})),
        "c": {"target_type": "blob", "source": {"type": "metadata", "key": "url"}},
        "d": file_blob(),
    }))
    .expect("a mapping");
    let errors = mapping
        .check_for(Provider::S3, "schema_mapping")
        .expect_err("refused");
    assert_eq!(
        errors.to_string(),
        "schema_mapping.mappings.a.source.type: is column, which s3 does not have for fields; it has: tag, metadata, \
         filename_regex, folder_path, constant; \
         schema_mapping.mappings.c.source.type: is metadata, which s3 does not have for blobs; it has: file"
    );
    assert!(mapping.check_for(Provider::Snowflake, "").is_err());
    let everywhere = parse(json!({
        "a": field(json!({"type": "filename_regex", "pattern": "(.)"})),
        "b": field(json!({"type": "folder_path"})),
        "c": field(json!({"type": "constant", "value": 1})),
    }));
    let everywhere = everywhere.expect("a mapping");
    for provider in Provider::ALL {
        assert_eq!(everywhere.check_for(provider, ""), Ok(()), "{provider}");
    }
}

#[test]
fn tags_are_only_asked_for_where_a_source_needs_them() {
    let tag = field(json!({"type": "tag", "key": "k"}));
    let metadata = field(json!({"type": "metadata", "key": "k"}));
    assert!(parse(json!({ "a": tag })).expect("a mapping").needs_tags());
    assert!(
        !parse(json!({ "a": metadata }))
            .expect("a mapping")
            .needs_tags()
    );
}

#[test]
fn tags_are_found_by_their_exact_key_and_metadata_in_any_letter_case() {
    let tag = |key: &str| value_of(json!({"type": "tag", "key": key}));
    let metadata = |key: &str| value_of(json!({"type": "metadata", "key": key}));
    assert_eq!(tag("Category"), Some(json!("Marketing")));
    assert_eq!(tag("category"), None);
    assert_eq!(metadata("Author"), Some(json!(" John ")));
    assert_eq!(metadata("absent"), None);
}

#[test]
fn folders_are_counted_from_both_ends() {
    for (source, expected) in [
        (json!({"segment": 0}), Some("Marketing")),
        (json!({"segment": 2}), Some("videos")),
        (json!({"segment": 3}), None),
        (json!({"segment": -1}), Some("videos")),
        (json!({"segment": -3}), Some("Marketing")),
        (json!({"segment": -4}), None),
        (json!({}), Some("videos")),
        (json!({"full_path": true}), Some("Marketing/Q4/videos")),
        (
            json!({"full_path": true, "segment": 0}),
            Some("Marketing/Q4/videos"),
        ),
    ] {
        let mut source = source;
        source["type"] = json!("folder_path");
        assert_eq!(
            value_of(source.clone()),
            expected.map(Value::from),
            "{source}"
        );
    }
    for part in [
        FolderPath::default(),
        FolderPath {
            segment: None,
            full_path: true,
        },
    ] {
        assert_eq!(part.of("/"), None);
    }
}

#[test]
fn a_pattern_takes_what_its_group_captures_in_the_file_name_alone() {
    let regex = |pattern: &str| value_of(json!({"type": "filename_regex", "pattern": pattern}));
    assert_eq!(regex(r"user_(\d+)_"), Some(json!("12345")));
    assert_eq!(regex(r"(?P<number>\d{5})"), Some(json!("12345")));
    assert_eq!(regex(r"(?<=\d_)(?:Draft|Final)()"), Some(json!("")));
    assert_eq!(regex("(Marketing)"), None);
    let otherwise = json!({"type": "filename_regex", "pattern": "(x+y)", "default": "none"});
    assert_eq!(value_of(otherwise), Some(json!("none")));
    let not_taken = json!({"type": "filename_regex", "pattern": "user(x)?", "default": "none"});
    assert_eq!(value_of(not_taken), Some(json!("none")));
}

#[test]
fn constants_are_any_json() {
    for value in [
        json!(["a", 1]),
        json!({"env": "prod"}),
        json!(false),
        Value::Null,
    ] {
        assert_eq!(
            value_of(json!({"type": "constant", "value": value})),
            Some(value)
        );
    }
}

#[test]
fn transforms_change_texts_and_leave_the_rest_alone() {
    let with = |source: Value, transform: &str| {
        let mapping = json!({"target_type": "field", "source": source, "transform": transform});
        apply(json!({ "x": mapping }))
            .expect("mapped")
            .fields
            .get("x")
            .cloned()
    };
    let author = json!({"type": "metadata", "key": "author"});
    assert_eq!(with(author.clone(), "trim"), Some(json!("John")));
    assert_eq!(with(author.clone(), "lowercase"), Some(json!(" john ")));
    assert_eq!(with(author, "uppercase"), Some(json!(" JOHN ")));
    let metadata = |key: &str| json!({"type": "metadata", "key": key});
    assert_eq!(
        with(metadata("list"), "json_parse"),
        Some(json!([1, {"a": 2}]))
    );
    assert_eq!(with(metadata("size"), "json_parse"), Some(json!(12)));
    assert_eq!(with(metadata("broken"), "json_parse"), None);
    assert_eq!(with(metadata("deep"), "json_parse"), None);
    assert_eq!(
        with(json!({"type": "constant", "value": [1]}), "trim"),
        Some(json!([1]))
    );
}

#[test]
fn a_required_field_without_a_value_fails_the_file_without_telling_any() {
    let required = |key: &str, transform: &str| {
        let source = json!({"type": "metadata", "key": key});
        let mapping = json!({
            "target_type": "field", "source": source, "transform": transform, "required": true
        });
        apply(json!({"fine": field(json!({"type": "metadata", "key": "author"})), "x": mapping}))
    };
    let failure = required("absent", "trim").expect_err("missing");
    assert_eq!(
        (failure.target.as_str(), failure.reason),
        ("x", Reason::Missing)
    );
    let failure = required("broken", "json_parse").expect_err("no JSON");
    assert_eq!(failure.reason, Reason::NotJson);
    assert_eq!(
        failure.to_string(),
        "schema_mapping.mappings.x: the field is required and its value cannot be read as JSON"
    );
    assert!(required("size", "json_parse").is_ok());
}

#[test]
fn a_blob_says_what_its_content_is() {
    let blob = |mut extra: Value| {
        extra["target_type"] = json!("blob");
        extra["source"] = json!({"type": "file"});
        apply(json!({ "x": extra }))
            .expect("mapped")
            .blobs
            .remove(0)
    };
    let expected = MappedBlob {
        target: "x".into(),
        property: "content".into(),
        kind: BlobKind::Video,
        mime_type: Some("video/mp4".into()),
    };
    assert_eq!(blob(json!({})), expected);
    assert_eq!(
        blob(json!({"blob_type": "audio", "blob_property": "p"})),
        MappedBlob {
            property: "p".into(),
            kind: BlobKind::Audio,
            ..expected.clone()
        }
    );
    assert_eq!(
        blob(json!({"mime_type_override": "text/csv"})),
        MappedBlob {
            kind: BlobKind::Excel,
            mime_type: Some("text/csv".into()),
            ..expected
        }
    );
    assert!(apply(json!({})).expect("mapped") == Mapped::default());
}

#[test]
fn a_content_type_stands_for_a_kind() {
    for (mime_type, kind) in [
        ("image/gif", BlobKind::Image),
        ("VIDEO/mp4", BlobKind::Video),
        ("audio/flac", BlobKind::Audio),
        ("text/html", BlobKind::Text),
        ("application/xml", BlobKind::Text),
        ("application/pdf", BlobKind::Pdf),
        ("application/vnd.ms-excel", BlobKind::Excel),
        ("application/zip", BlobKind::Auto),
        ("", BlobKind::Auto),
    ] {
        assert_eq!(BlobKind::of(mime_type), kind, "{mime_type}");
    }
}

#[test]
fn a_mapped_file_is_stored_and_read_back() {
    let mapped = apply(json!({
        "content": file_blob(), "tag": field(json!({"type": "tag", "key": "Category"}))
    }))
    .expect("mapped");
    let stored = serde_json::to_value(&mapped).expect("JSON");
    assert_eq!(
        serde_json::from_value::<Mapped>(stored).expect("stored"),
        mapped
    );
    assert_eq!(
        serde_json::from_value::<Mapped>(json!({})).expect("nothing"),
        Mapped::default()
    );
}

#[test]
fn a_catastrophic_pattern_ends_in_a_failure_or_an_answer_and_never_hangs() {
    let none = Metadata::new();
    for (pattern, outcome) in [
        (r"^((?:a+)+)$", Ok(())),
        (r"^(?=((?:a+)+$))", Ok(())),
        (r"^((?:(?=a)a+)+)$", Err(Reason::TooManySteps)),
        (r"((?:a*)*(?=b))", Ok(())),
        (r"(a)(?:\1|\1\1)+b", Err(Reason::TooManySteps)),
        (r"(?:(?=(?:a|a)*b)|a)+(?=c)(x)", Ok(())),
        (
            r"(?:(?=(?:\w*a){1,60}c)|a)*?(?=q)(z)",
            Err(Reason::TooManySteps),
        ),
    ] {
        let mapping = parse(json!({
            "x": field(json!({"type": "filename_regex", "pattern": pattern}))
        }));
        let mapper = Mapper::new(&mapping.expect(pattern));
        let found = mapper.apply(&Facts {
            file_name: &("a".repeat(60) + "!"),
            folder_path: "",
            content_type: None,
            metadata: &none,
            tags: &none,
        });
        let found = found.map(|mapped| assert_eq!(mapped.fields.get("x"), None));
        assert_eq!(
            found.map_err(|failure| failure.reason),
            outcome,
            "{pattern}"
        );
    }
}

#[test]
fn what_patterns_may_cost_is_bounded_for_each_and_for_all_together() {
    let regex = |pattern: &str| field(json!({"type": "filename_regex", "pattern": pattern}));
    for pattern in [
        r"(\w{1,257})",
        "(?:(?:a{100}){100}){100}(b)",
        "(a{99999999999999999999})",
    ] {
        assert_eq!(
            refused(json!({ "x": regex(pattern) })).len(),
            1,
            "{pattern}"
        );
    }
    let many = |n: usize| {
        let targets = (0..n).map(|i| (format!("t{i:03}"), regex("^(a{3000})_")));
        Value::Object(targets.collect())
    };
    assert!(parse(many(5)).is_ok());
    assert_eq!(refused(many(6)).len(), 1);
}

#[test]
fn a_stored_pattern_that_cannot_be_used_fails_the_file_and_nothing_else() {
    let stored =
        json!({"mappings": {"x": field(json!({"type": "filename_regex", "pattern": "("}))}});
    let mapping: SchemaMapping = serde_json::from_value(stored).expect("stored");
    let none = Metadata::new();
    let failure = Mapper::new(&mapping).apply(&Facts {
        file_name: "a",
        folder_path: "",
        content_type: None,
        metadata: &none,
        tags: &none,
    });
    assert_eq!(
        failure.map_err(|failure| failure.reason),
        Err(Reason::UnusablePattern)
    );
}
