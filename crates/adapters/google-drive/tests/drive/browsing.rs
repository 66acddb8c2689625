//! What a person finds by browsing, by a path, and by an id.

use serde_json::json;
use wharf_lab::google::{Mutation, NewItem, Role};
use wharf_lab::{Action, FaultRule, Match, Operation};
use wharf_ports::Browse;

use crate::account::{ADA, SERVICE};
use crate::source::Source;

async fn folders(source: &Source, path: &str) -> Vec<(String, String)> {
    let found = source
        .open()
        .browse(Browse::Folders, path, 100)
        .await
        .unwrap();
    let shown = found.into_iter().map(|found| (found.path, found.id));
    shown.collect()
}

async fn files(source: &Source, path: &str) -> Vec<String> {
    let found = source
        .open()
        .browse(Browse::Files, path, 100)
        .await
        .unwrap();
    found.into_iter().map(|found| found.path).collect()
}

#[tokio::test]
async fn folders_and_files_are_found_by_path_and_by_id() {
    let source = Source::drive(Role::Reader).await;
    let marketing = source.folder("Marketing", &source.top);
    let assets = source.folder("50/50", &marketing);
    source.file("logo.svg", &assets);
    source.file("plan.txt", &marketing);
    let gone = source.folder("Gone", &source.top);
    source.does(Mutation::trash(gone));
    let one = |path: &str, id: &str| vec![(path.to_owned(), id.to_owned())];
    for top in ["/", "", "root", &source.top.clone()] {
        assert_eq!(
            folders(&source, top).await,
            one("/Marketing", &marketing),
            "{top}"
        );
    }
    assert_eq!(
        folders(&source, "/Marketing").await,
        one("/Marketing/50\u{ff0f}50", &assets)
    );
    assert_eq!(files(&source, "/Marketing").await, ["/Marketing/plan.txt"]);
    assert_eq!(
        files(&source, "/Marketing/50\u{ff0f}50").await,
        ["/Marketing/50\u{ff0f}50/logo.svg"]
    );
    assert_eq!(files(&source, &assets).await, ["/logo.svg"]);
    let found = source
        .open()
        .browse(Browse::Files, "/Marketing", 100)
        .await
        .unwrap();
    assert_eq!(found[0].name, "plan.txt");
    assert_eq!(found[0].mime_type, "text/plain");
    assert_eq!(found[0].size_bytes, Some(8));
    assert!(found[0].modified_at.is_some() && found[0].web_view_link.is_some());
}

#[tokio::test]
async fn nothing_is_found_where_there_is_no_such_folder() {
    let source = Source::drive(Role::Reader).await;
    source.folder("Marketing", &source.top);
    for path in [
        "/Nowhere",
        "/Marketing/Nowhere",
        "1nowhere",
        "no such thing",
        "https://example.com/",
    ] {
        assert_eq!(folders(&source, path).await, [], "{path}");
        assert_eq!(files(&source, path).await, [""; 0], "{path}");
    }
}

#[tokio::test]
async fn folders_of_one_name_are_all_shown_and_looked_into() {
    let source = Source::drive(Role::Reader).await;
    for name in ["one", "two"] {
        let twin = source.folder("Twins", &source.top);
        source.file(name, &twin);
    }
    assert_eq!(folders(&source, "/").await.len(), 2);
    let mut found = files(&source, "/Twins").await;
    found.sort();
    assert_eq!(found, ["/Twins/one", "/Twins/two"]);
}

#[tokio::test]
async fn what_is_shared_with_the_account_stands_at_the_top() {
    let source = Source::shared_folder().await;
    let deep = source.folder("Deep", &source.top);
    let own = source.folder("Own", &source.google().root_of(SERVICE).unwrap());
    let found = folders(&source, "/").await;
    assert_eq!(
        found,
        [
            ("/Own".to_owned(), own),
            ("/Top".to_owned(), source.top.clone())
        ]
    );
    assert_eq!(
        folders(&source, "/Top").await,
        [("/Top/Deep".to_owned(), deep)]
    );
}

#[tokio::test]
async fn no_more_is_shown_than_was_asked_for() {
    let source = Source::drive(Role::Reader).await;
    for number in 0..9 {
        source.file(&number.to_string(), &source.top);
    }
    let found = source.open().browse(Browse::Files, "/", 4).await.unwrap();
    let names: Vec<_> = found.into_iter().map(|found| found.name).collect();
    assert_eq!(names, ["0", "1", "2", "3"]);
}

#[tokio::test]
async fn a_path_finds_every_file_that_has_it() {
    let source = Source::mine().await;
    let folders = [
        source.folder("a/b", &source.top),
        source.folder("a/b", &source.top),
    ];
    let twins = folders.each_ref().map(|folder| source.file("twin", folder));
    let untitled = source.file("", &source.top);
    let report = source.add(NewItem::native("Report", "document"), &source.top);
    let real = source.file("Report.docx", &source.top);
    let root = source.google().root_of(SERVICE).unwrap();
    let lone = NewItem::blob("lone", "lone").shared_with(ADA, Role::Reader);
    let lone = source.add(lone, &root);
    source.add(NewItem::shortcut("linked", &lone), &source.top);
    let found = async |path: &str| {
        let mut ids = source.open().find(&source.scope, path).await.unwrap();
        ids.sort();
        ids
    };
    let sorted = |ids: &[&String]| {
        let mut ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        ids.sort();
        ids
    };
    assert_eq!(
        found("a\u{ff0f}b/twin").await,
        sorted(&[&twins[0], &twins[1]])
    );
    assert_eq!(found("untitled").await, sorted(&[&untitled]));
    assert_eq!(found("Report.docx").await, sorted(&[&report, &real]));
    assert_eq!(found("linked").await, sorted(&[&lone]));
    for nowhere in [
        "",
        "/",
        "Report",
        "REPORT.docx",
        "a/b/twin",
        "nowhere/at/all",
    ] {
        assert_eq!(found(nowhere).await, [""; 0], "{nowhere}");
    }
}

#[tokio::test]
async fn a_look_tells_nothing_of_what_lies_elsewhere() {
    let source = Source::folder_of_drive(Role::Reader).await;
    let inside = source.file("inside", &source.top);
    let outside = source.file("outside", &source.drive_id());
    let folder = source.folder("folder", &source.top);
    let provider = source.open();
    let look = async |id: &str| provider.look(&source.scope, id).await.unwrap();
    let looked = look(&inside).await.expect("it is there");
    assert_eq!(looked.entry, source.listed().await[0]);
    assert_eq!(looked.metadata["name"], "inside");
    for id in [outside.as_str(), &folder, "1nowhere", "no/id", "", "a b"] {
        assert_eq!(look(id).await, None, "{id}");
    }
}

#[tokio::test]
async fn a_look_tells_of_what_a_shortcut_leads_to_what_the_listing_does() {
    let source = Source::mine().await;
    let root = source.google().root_of(SERVICE).unwrap();
    let elsewhere = NewItem::folder("Elsewhere").shared_with(ADA, Role::Reader);
    let elsewhere = source.add(elsewhere, &root);
    source.file("far.txt", &elsewhere);
    let lone = NewItem::blob("lone", "lone").shared_with(ADA, Role::Reader);
    let lone = source.add(lone, &root);
    source.add(NewItem::shortcut("folder", &elsewhere), &source.top);
    source.add(NewItem::shortcut("file", &lone), &source.top);
    source.add(NewItem::shortcut("nowhere", "1nowhere"), &source.top);
    let listed = source.listed().await;
    assert_eq!(listed.len(), 3);
    for entry in listed {
        let looked = source
            .open()
            .look(&source.scope, &entry.object)
            .await
            .unwrap();
        assert_eq!(looked.map(|looked| looked.entry), Some(entry));
    }
}

#[tokio::test]
async fn where_nobody_knows_of_sharing_nothing_is_shared() {
    let source = Source::mine().await;
    let folder = source.folder("Folder", &source.top);
    source.file("file", &source.top);
    source.file("in it", &folder);
    let body = json!({"error": {"code": 400, "errors": [{"reason": "invalid"}]}});
    let unheard_of = Action {
        status: Some(http::StatusCode::BAD_REQUEST),
        body: Some(body.to_string()),
        ..Action::default()
    };
    let asked = Match::operation(Operation::DriveFilesList).query_contains("sharedWithMe");
    source.google().add_fault(FaultRule::new(asked, unheard_of));
    let expected = [("/Folder".to_owned(), folder)];
    assert_eq!(folders(&source, "/").await, expected);
    assert_eq!(files(&source, "/").await, ["/file"]);
    assert_eq!(files(&source, "/Folder").await, ["/Folder/in it"]);
}
