//! What a listing tells, and what it asks for.

use std::collections::BTreeSet;

use serde_json::json;
use wharf_domain::filter::{ExportFormats, ProviderFilters};
use wharf_domain::provider::Provider;
use wharf_lab::google::{Mutation, NewItem, Role};
use wharf_lab::{Action, FaultRule, Match, Operation};
use wharf_ports::{ProviderFactory, Retry};

use crate::account::{ADA, SERVICE, factory};
use crate::source::{Source, assert_restart, by_path, fetch, paths};

/// What Drive says of a place in a list that it does not know.
pub(crate) fn unknown_token() -> Action {
    let body = json!({"error": {"code": 400, "errors": [
        {"reason": "invalid", "location": "pageToken", "locationType": "parameter"}
    ]}});
    Action {
        status: Some(http::StatusCode::BAD_REQUEST),
        body: Some(body.to_string()),
        ..Action::default()
    }
}

fn lists() -> Match {
    Match::operation(Operation::DriveFilesList)
}

#[tokio::test]
async fn a_source_is_named_by_its_id_its_path_or_its_address() {
    let source = Source::drive(Role::Reader).await;
    let marketing = source.folder("Marketing", &source.top);
    let assets = source.folder("It's 50/50 \\ fine", &marketing);
    source.file("logo.svg", &assets);
    source.file("plan.txt", &marketing);
    let root = source.top.clone();
    let whole = [
        "Marketing/It's 50\u{ff0f}50 \\ fine/logo.svg",
        "Marketing/plan.txt",
    ];
    let mut source = source;
    for (path, expected) in [
        (assets.clone(), vec!["logo.svg"]),
        (
            format!("https://drive.google.com/drive/folders/{assets}"),
            vec!["logo.svg"],
        ),
        (
            "/Marketing/It's 50\u{ff0f}50 \\ fine".to_owned(),
            vec!["logo.svg"],
        ),
        (
            "/Marketing/".to_owned(),
            vec!["It's 50\u{ff0f}50 \\ fine/logo.svg", "plan.txt"],
        ),
        ("/".to_owned(), whole.to_vec()),
        (root, whole.to_vec()),
    ] {
        source = source.at(path);
        assert_eq!(source.paths().await, expected, "{}", source.scope);
    }
}

#[tokio::test]
async fn two_folders_of_one_name_are_for_a_person_to_tell_apart() {
    let source = Source::drive(Role::Reader).await;
    let one = source.folder("Twins", &source.top);
    let two = source.folder("Twins", &source.top);
    // In capitals it is another name.
    source.folder("TWINS", &source.top);
    let source = source.at("/Twins");
    let error = source
        .open()
        .list(&source.scope, None, 10)
        .await
        .unwrap_err();
    assert_eq!(error.code.as_str(), "config.invalid");
    assert!(
        error.message.contains(&one) && error.message.contains(&two),
        "{error}"
    );
}

#[tokio::test]
async fn a_path_that_leads_nowhere_says_with_whom_to_share() {
    let source = Source::drive(Role::Reader).await.at("/Nowhere/At/All");
    let error = source
        .open()
        .list(&source.scope, None, 10)
        .await
        .unwrap_err();
    assert_eq!(error.code.as_str(), "resource.not_found");
    assert!(error.message.contains(SERVICE), "{error}");
    assert!(error.message.contains("\"Nowhere\""), "{error}");
}

#[tokio::test]
async fn what_is_shared_with_the_account_is_found_by_its_name() {
    let source = Source::shared_folder().await.at("/Top/Deep");
    let deep = source.folder("Deep", &source.top);
    source.file("a.txt", &deep);
    assert_eq!(source.paths().await, ["a.txt"]);
}

#[tokio::test]
async fn a_shared_folder_with_the_name_of_an_own_one_is_for_a_person_to_tell_apart() {
    let source = Source::shared_folder().await.at("/Top");
    let own = source.folder("Top", &source.google().root_of(SERVICE).unwrap());
    let error = source
        .open()
        .list(&source.scope, None, 10)
        .await
        .unwrap_err();
    assert_eq!(error.code.as_str(), "config.invalid");
    assert!(
        error.message.contains(&own) && error.message.contains(&source.top),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_is_no_source() {
    let source = Source::drive(Role::Reader).await;
    let file = source.file("a.txt", &source.top);
    let source = source.at(file);
    let error = source
        .open()
        .list(&source.scope, None, 10)
        .await
        .unwrap_err();
    assert_eq!(error.code.as_str(), "config.invalid");
}

#[tokio::test]
async fn where_a_path_leads_is_asked_once() {
    let source = Source::drive(Role::Reader).await.at("/One/Two");
    let one = source.folder("One", &source.top);
    let two = source.folder("Two", &one);
    for number in 0..4 {
        source.file(&number.to_string(), &two);
    }
    let provider = source.open();
    source.list_by(&provider, 2).await.unwrap();
    source.requests();
    source.list_by(&provider, 1000).await.unwrap();
    assert_eq!(source.calls(), [("FilesList".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_whole_shared_drive_is_listed_flatly_its_folders_first() {
    let source = Source::drive(Role::Reader).await;
    for folder in 0..20 {
        let folder = source.folder(&format!("folder-{folder}"), &source.top);
        for file in 0..3 {
            source.file(&format!("{file}.txt"), &folder);
        }
    }
    source.file("top.txt", &source.top);
    let provider = source.open();
    let (entries, denied) = source.list_by(&provider, 1000).await.unwrap();
    assert_eq!(entries.len(), 61);
    assert_eq!(denied, [""; 0]);
    let calls = source.calls();
    assert_eq!(calls["FilesList"], 2, "{calls:?}");
    let file = by_path(&entries)["folder-7/2.txt"].clone();
    assert!(file.lineage.starts_with(&format!("/{}/1", source.top)));
    assert_eq!(file.lineage.matches('/').count(), 3);
    assert_eq!(file.size_bytes, Some(5));
    assert!(file.version.ends_with(":5"), "{}", file.version);
}

#[tokio::test]
async fn a_folder_is_walked_with_one_query_for_each_folder() {
    let source = Source::mine().await;
    for folder in 0..20 {
        let folder = source.folder(&format!("folder-{folder}"), &source.top);
        let deep = source.folder("deep", &folder);
        source.file("a.txt", &folder);
        source.file("b.txt", &deep);
    }
    let entries = source.listed().await;
    assert_eq!(entries.len(), 40);
    let lists: Vec<_> = source
        .requests()
        .into_iter()
        .filter(|request| request.operation == Operation::DriveFilesList)
        .filter_map(|request| request.query)
        .collect();
    assert_eq!(lists.len(), 41);
    let different: BTreeSet<_> = lists.iter().collect();
    assert_eq!(different.len(), 41, "no folder is listed twice");
    assert!(lists.iter().all(|query| !query.contains("+or+")));
}

#[tokio::test]
async fn a_walk_is_taken_up_anywhere_by_an_account_that_was_opened_anew() {
    let source = Source::mine().await;
    let mut expected = Vec::new();
    for one in 0..4 {
        let first = source.folder(&format!("f{one}"), &source.top);
        for two in 0..3 {
            let second = source.folder(&format!("g{two}"), &first);
            for file in 0..3 {
                source.file(&format!("{file}"), &second);
                expected.push(format!("f{one}/g{two}/{file}"));
            }
        }
        source.file("x", &first);
        expected.push(format!("f{one}/x"));
    }
    expected.sort();
    for limit in [1, 2, 3, 7] {
        let (mut entries, mut cursor) = (Vec::new(), None);
        loop {
            let provider = source.open();
            let page = provider.list(&source.scope, cursor.as_ref(), limit).await;
            let page = page.unwrap();
            entries.extend(page.entries);
            cursor = page.next;
            match &cursor {
                Some(cursor) => assert!(cursor.0.len() < 1000, "{}", cursor.0),
                None => break,
            }
        }
        assert_eq!(paths(&entries), expected, "{limit}");
    }
}

#[tokio::test]
async fn a_folder_whose_place_is_no_longer_known_is_begun_anew() {
    let source = Source::mine().await;
    let folder = source.folder("folder", &source.top);
    for number in 0..9 {
        source.file(&number.to_string(), &folder);
    }
    source.folder("later", &folder);
    let refused = lists().query_contains("pageToken").nth(2).times(1);
    source
        .google()
        .add_fault(FaultRule::new(refused, unknown_token()));
    let (entries, _) = source.list_by(&source.open(), 2).await.unwrap();
    let found: BTreeSet<_> = paths(&entries).into_iter().collect();
    assert_eq!(found.len(), 9);
    assert!(entries.len() > 9, "what was listed is listed again");
}

#[tokio::test]
async fn a_flat_listing_whose_place_is_no_longer_known_starts_over() {
    let source = Source::drive(Role::Reader).await;
    for number in 0..5 {
        source.file(&number.to_string(), &source.top);
    }
    let refused = lists().query_contains("pageToken");
    source
        .google()
        .add_fault(FaultRule::new(refused, unknown_token()));
    let error = source.list_by(&source.open(), 2).await.unwrap_err();
    assert_restart(&error);
}

#[tokio::test]
async fn a_cursor_is_of_one_root() {
    let source = Source::mine().await;
    let (one, two) = (
        source.folder("one", &source.top),
        source.folder("two", &source.top),
    );
    for number in 0..5 {
        source.file(&number.to_string(), &one);
    }
    let provider = source.open();
    let page = provider.list(&one, None, 1).await.unwrap();
    let error = provider
        .list(&two, page.next.as_ref(), 1)
        .await
        .unwrap_err();
    assert_restart(&error);
    let garbled = wharf_domain::sync::Cursor("{\"root\": 7}".to_owned());
    assert_restart(&provider.list(&one, Some(&garbled), 1).await.unwrap_err());
}

#[tokio::test]
async fn a_folder_that_may_not_be_listed_is_named_and_spoils_no_other() {
    let source = Source::mine().await;
    let closed = source.folder("closed/today", &source.top);
    source.file("hidden.txt", &closed);
    let open = source.folder("open", &source.top);
    source.file("a.txt", &open);
    let of_closed = lists().query_contains(closed.clone());
    let denied = Action::google_error("insufficientFilePermissions");
    source
        .google()
        .add_fault(FaultRule::new(of_closed.clone(), denied));
    let (entries, denied) = source.list_by(&source.open(), 10).await.unwrap();
    assert_eq!(paths(&entries), ["open/a.txt"]);
    assert_eq!(denied, ["closed\u{ff0f}today/"]);
    // What is gone by the time that it is looked into, is not denied.
    let not_found = FaultRule::new(of_closed, Action::google_error("notFound"));
    source.google().set_faults([
        not_found,
        FaultRule::new(
            Match::operation(Operation::DriveFilesGet).path_contains(closed.clone()),
            Action::google_error("notFound"),
        ),
    ]);
    let (entries, denied) = source.list_by(&source.open(), 10).await.unwrap();
    assert_eq!(paths(&entries), ["open/a.txt"]);
    assert_eq!(denied, [""; 0]);
}

#[tokio::test]
async fn files_of_one_name_are_all_there() {
    let source = Source::drive(Role::Reader).await;
    let folders = [
        source.folder("same", &source.top),
        source.folder("same", &source.top),
    ];
    for folder in &folders {
        source.file("twin", folder);
        source.file("twin", folder);
    }
    for name in ["a/b", "", "x\u{1}\ny", ".."] {
        source.file(name, &source.top);
    }
    let entries = source.listed().await;
    let ids: BTreeSet<_> = entries.iter().map(|entry| &entry.object).collect();
    assert_eq!(ids.len(), 8);
    assert_eq!(
        paths(&entries),
        [
            "..",
            "a\u{ff0f}b",
            "same/twin",
            "same/twin",
            "same/twin",
            "same/twin",
            "untitled",
            "x\u{1}\ny"
        ]
    );
}

#[tokio::test]
async fn what_a_shortcut_leads_to_is_seen_under_the_shortcut_s_name_and_once() {
    let source = Source::mine().await;
    let google = source.google();
    let root = google.root_of(SERVICE).unwrap();
    let shared = |item: NewItem| item.shared_with(ADA, Role::Reader);
    let elsewhere = source.add(shared(NewItem::folder("Elsewhere")), &root);
    let deep = source.folder("deep", &elsewhere);
    source.file("far.txt", &deep);
    let lone = source.add(shared(NewItem::blob("lone.txt", "lone")), &root);
    let inside = source.file("inside.txt", &source.top);
    let folder = source.folder("folder", &source.top);
    // Leads to what has a place of its own: it counts there.
    source.add(NewItem::shortcut("again", &inside), &folder);
    source.add(NewItem::shortcut("up", &source.top), &folder);
    source.add(NewItem::shortcut("self", &folder), &folder);
    let to_folder = source.add(NewItem::shortcut("linked", &elsewhere), &folder);
    source.add(NewItem::shortcut("linked too", &elsewhere), &source.top);
    source.add(NewItem::shortcut("into", &deep), &source.top);
    let to_file = source.add(NewItem::shortcut("renamed.txt", &lone), &folder);
    // Around in a circle.
    source.add(NewItem::shortcut("back", &elsewhere), &deep);
    let nowhere = source.add(NewItem::shortcut("nowhere", "1gone"), &folder);
    for limit in [1, 1000] {
        let (entries, denied) = source.list_by(&source.open(), limit).await.unwrap();
        assert_eq!(denied, [""; 0]);
        let ids: BTreeSet<_> = entries.iter().map(|entry| &entry.object).collect();
        assert_eq!(ids.len(), entries.len(), "each once: {:?}", paths(&entries));
        let entries = by_path(&entries);
        let lone_entry = entries["folder/renamed.txt"];
        assert_eq!(lone_entry.object, lone);
        assert_eq!(
            lone_entry.lineage,
            format!("/{}/{folder}/{to_file}/", source.top)
        );
        let dangling = entries["folder/nowhere"];
        assert_eq!(dangling.object, nowhere);
        assert_eq!(dangling.unreadable, Some("resource.not_found"));
        assert!(entries.contains_key("inside.txt"));
        let far = entries
            .values()
            .find(|entry| entry.path.ends_with("far.txt"));
        let far = far.expect("the folder was walked");
        assert!(far.lineage.contains(&deep), "{far:?}");
        if far.path.starts_with("folder/linked/") {
            let lineage = format!("/{}/{folder}/{to_folder}/{elsewhere}/{deep}/", source.top);
            assert_eq!(far.lineage, lineage);
        }
        assert_eq!(entries.len(), 4, "{:?}", entries.keys());
    }
}

#[tokio::test]
async fn shortcuts_on_a_whole_shared_drive_are_followed_behind_its_files() {
    let source = Source::drive(Role::Reader).await;
    let root = source.google().root_of(ADA).unwrap();
    let elsewhere = NewItem::folder("Elsewhere").shared_with(SERVICE, Role::Reader);
    let elsewhere = source.add(elsewhere, &root);
    source.file("far.txt", &elsewhere);
    let folder = source.folder("folder", &source.top);
    source.file("near.txt", &folder);
    let shortcut = source.add(NewItem::shortcut("linked", &elsewhere), &folder);
    source.add(NewItem::shortcut("home", &source.top), &folder);
    for limit in [1, 1000] {
        let (entries, _) = source.list_by(&source.open(), limit).await.unwrap();
        assert_eq!(
            paths(&entries),
            ["folder/linked/far.txt", "folder/near.txt"]
        );
        let far = by_path(&entries)["folder/linked/far.txt"].clone();
        let lineage = format!("/{}/{folder}/{shortcut}/{elsewhere}/", source.top);
        assert_eq!(far.lineage, lineage);
    }
}

#[tokio::test]
async fn a_key_that_a_shortcut_holds_opens_what_it_leads_to() {
    let source = Source::mine().await;
    let root = source.google().root_of(SERVICE).unwrap();
    let mut keyed = NewItem::blob("keyed.txt", "keyed").shared_with("anyone", Role::Reader);
    keyed.resource_key = Some("0-secretkey".to_owned());
    let keyed = source.add(keyed, &root);
    source.add(NewItem::shortcut("link.txt", &keyed), &source.top);
    let entries = source.listed().await;
    assert_eq!(paths(&entries), ["link.txt"]);
    assert_eq!(entries[0].object, keyed);
    // An account that was opened anew learns the key from the shortcut.
    let bytes = crate::source::read(&source.open(), &entries[0])
        .await
        .unwrap();
    assert_eq!(bytes, "keyed");
}

#[tokio::test]
async fn folders_lie_in_each_other_a_hundred_deep() {
    let source = Source::mine().await;
    let mut folder = source.top.clone();
    for _ in 0..99 {
        folder = source.folder("d", &folder);
    }
    source.file("bottom", &folder);
    for limit in [1, 1000] {
        let (entries, denied) = source.list_by(&source.open(), limit).await.unwrap();
        assert_eq!(paths(&entries), ["d/".repeat(99) + "bottom"]);
        assert_eq!(denied, [""; 0]);
    }
}

#[tokio::test]
async fn documents_are_listed_in_the_form_that_the_sync_chose() {
    let source = Source::drive(Role::Reader).await;
    for kind in [
        "document",
        "spreadsheet",
        "presentation",
        "drawing",
        "vid",
        "form",
    ] {
        source.add(NewItem::native(kind, kind), &source.top);
    }
    let mut blocked = NewItem::blob("blocked.txt", "x");
    blocked.download_blocked = true;
    source.add(blocked, &source.top);
    let usual = source.listed().await;
    assert_eq!(
        paths(&usual),
        [
            "blocked.txt",
            "document.docx",
            "drawing.png",
            "form",
            "presentation.pptx",
            "spreadsheet.xlsx",
            "vid.mp4"
        ]
    );
    let usual = by_path(&usual);
    assert_eq!(usual["form"].unreadable, None);
    let error = fetch(&source.open(), usual["form"]).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.retry),
        ("object.not_exportable", Retry::Never)
    );
    assert_eq!(
        usual["blocked.txt"].unreadable,
        Some("object.download_blocked")
    );
    assert_eq!(usual["document.docx"].unreadable, None);
    assert_eq!(usual["document.docx"].size_bytes, None);
    let filters = ProviderFilters {
        prefix: None,
        export_formats: ExportFormats {
            document: "md".to_owned(),
            ..ExportFormats::default()
        },
    };
    let scope = factory(source.google()).scope(Provider::GoogleDrive, &source.top, &filters);
    let source = source.at(scope.unwrap());
    let chosen = source.listed().await;
    let chosen = by_path(&chosen);
    assert_ne!(
        chosen["document.md"].version,
        usual["document.docx"].version
    );
    assert_eq!(chosen["drawing.png"].version, usual["drawing.png"].version);
}

#[tokio::test]
async fn what_lies_in_the_trash_is_not_listed() {
    for source in [Source::drive(Role::Reader).await, Source::mine().await] {
        let folder = source.folder("folder", &source.top);
        source.file("in it", &folder);
        let file = source.file("file", &source.top);
        source.file("stays", &source.top);
        source.does(Mutation::trash(folder));
        source.does(Mutation::trash(file));
        assert_eq!(source.paths().await, ["stays"]);
    }
}

#[tokio::test]
async fn a_list_that_is_not_whole_may_be_whole_later() {
    let source = Source::mine().await;
    source.file("a", &source.top);
    let incomplete = Action::listing(wharf_lab::ListingFault::IncompleteSearch);
    source
        .google()
        .add_fault(FaultRule::new(lists(), incomplete));
    let error = source.list_by(&source.open(), 10).await.unwrap_err();
    assert_eq!(error.retry, Retry::Later { after: None });
    assert_eq!(error.code.as_str(), "provider.unavailable");
}

#[tokio::test]
async fn an_empty_document_is_an_empty_page_and_an_error_is_none() {
    let source = Source::mine().await;
    source.file("a", &source.top);
    let says = |body: &str| Action {
        body: Some(body.to_owned()),
        ..Action::default().header("content-type", "application/json")
    };
    source
        .google()
        .add_fault(FaultRule::new(lists(), says("{}")));
    assert_eq!(source.paths().await, [""; 0]);
    let error = says(r#"{"error": {"code": 500}}"#);
    source.google().set_faults([FaultRule::new(lists(), error)]);
    let error = source.list_by(&source.open(), 10).await.unwrap_err();
    assert_eq!(error.code.as_str(), "protocol.unexpected_response");
}

#[tokio::test]
async fn a_drive_that_is_no_folder_is_asked_for_as_a_drive() {
    let source = Source::drive(Role::Reader).await.of_any_drive();
    let folder = source.folder("folder", &source.top);
    source.file("a", &folder);
    let asked = Match::operation(Operation::DriveFilesGet).path_contains(&source.top);
    let not_found = Action::google_error("notFound");
    source.google().add_fault(FaultRule::new(asked, not_found));
    assert_eq!(source.paths().await, ["folder/a"]);
    let calls = source.calls();
    assert!(calls["FilesList"] <= 2, "{calls:?}");
    let nowhere = source.at("1nowhere");
    let error = nowhere.list_by(&nowhere.open(), 10).await.unwrap_err();
    assert_eq!(error.code.as_str(), "resource.not_found");
}
