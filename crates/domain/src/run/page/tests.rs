use super::*;

fn entry(object: &str, version: &str) -> Entry {
    Entry {
        object: object.into(),
        path: object.into(),
        version: version.into(),
        size_bytes: Some(1),
        modified_at: None,
        unreadable: None,
        lineage: String::new(),
    }
}

fn page(objects: &[&str], next: Option<&str>) -> ListingPage {
    ListingPage {
        entries: objects.iter().map(|object| entry(object, "1")).collect(),
        next: next.map(|cursor| Cursor(cursor.to_owned())),
        denied: Vec::new(),
    }
}

fn start() -> Checkpoint {
    Checkpoint::start(0, "media/".into(), 1)
}

fn span(after: Option<&str>, through: Option<&str>) -> Span {
    Span {
        after: after.map(str::to_owned),
        through: through.map(str::to_owned),
    }
}

#[test]
fn pages_in_order_cover_the_catalogue_without_gaps() {
    let first = Listed::new(page(&["b", "d"], Some("2")), start(), true);
    assert_eq!(first.span, Some(span(None, Some("d"))));
    let empty = Listed::new(page(&[], Some("3")), first.checkpoint, true);
    assert!(empty.is_void(), "it says nothing");
    let last = Listed::new(page(&["e"], None), empty.checkpoint, true);
    assert_eq!(last.span, Some(span(Some("d"), None)));
    assert_eq!(last.checkpoint.objects_processed, 3);
    let end = Listed::new(page(&[], None), last.checkpoint, true);
    assert_eq!(
        end.span,
        Some(span(Some("e"), None)),
        "the very end has a say"
    );
}

#[test]
fn a_page_out_of_order_turns_the_pass_to_marks_for_good() {
    for objects in [&["e", "d"][..], &["c"], &["a", "e"], &["e", "e"]] {
        let first = Listed::new(page(&["b", "c"], Some("2")), start(), true);
        let second = Listed::new(page(objects, Some("3")), first.checkpoint, true);
        let beyond = Order::Marked {
            beyond: Some("c".to_owned()),
        };
        assert_eq!((&second.span, &second.checkpoint.order), (&None, &beyond));
        let third = Listed::new(page(&["x", "y"], None), second.checkpoint, true);
        assert_eq!((third.span, third.checkpoint.order), (None, beyond));
    }
}

#[test]
fn an_entry_named_twice_counts_once_as_it_was_named_last() {
    let twice = ListingPage {
        entries: vec![entry("a", "1"), entry("b", "1"), entry("a", "2")],
        next: None,
        denied: Vec::new(),
    };
    let listed = Listed::new(twice, start(), true);
    assert_eq!(listed.entries, [entry("a", "2"), entry("b", "1")]);
}

#[test]
fn denied_paths_are_kept_once_and_too_many_deny_everything() {
    let mut denied = Vec::new();
    deny(&mut denied, vec!["a/".into(), "a/b/".into(), "a/".into()]);
    assert_eq!(denied, ["a/"]);
    let many = (0..=MOST_DENIED).map(|n| format!("{n:03}/")).collect();
    deny(&mut denied, many);
    assert_eq!(denied, [""]);
}
