//! What the feed of changes tells, and what it asks for.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wharf_domain::run::feed::Absent;
use wharf_lab::google::{Mutation, NewItem, Role};
use wharf_lab::{Action, FaultRule, ListingFault, Match, Operation};
use wharf_ports::Retry;

use crate::account::{ADA, SERVICE};
use crate::listings::unknown_token;
use crate::source::{Source, assert_restart, by_path, certain, read, uncertain};

fn feeds() -> Match {
    Match::operation(Operation::DriveChangesList)
}

/// What the feed says instead of what it would say.
fn says(changes: &Value) -> FaultRule {
    let body = json!({"kind": "drive#changeList", "newStartPageToken": "900", "changes": changes});
    let action = Action {
        body: Some(body.to_string()),
        ..Action::default()
    };
    FaultRule::new(feeds(), action.header("content-type", "application/json"))
}

/// Which of the sources is a folder that was shared by itself.
const SHARED: usize = 2;

/// A source of every kind, with a place outside of it that is seen, too.
async fn sources() -> Vec<(Source, String)> {
    let drive = Source::folder_of_drive(Role::Reader).await;
    let team = drive.drive_id();
    let mine = Source::mine().await;
    let root = mine.top.clone();
    let top = mine.folder("Top", &root);
    let shared = Source::shared_folder().await;
    let beside = NewItem::folder("Beside").shared_with(SERVICE, Role::Reader);
    let beside = shared.add(beside, &shared.google().root_of(ADA).unwrap());
    vec![(drive, team), (mine.with_top(&top), root), (shared, beside)]
}

#[tokio::test]
async fn a_file_that_is_new_changed_renamed_or_moved_into_the_source_is_told_as_it_is_listed() {
    for (source, outside) in sources().await {
        let folder = source.folder("folder", &source.top);
        let edited = source.file("edited", &folder);
        let renamed = source.file("renamed", &folder);
        let moved = source.file("moved", &outside);
        source.file("untouched", &folder);
        let start = source.feed().await;
        source.file("new", &source.top);
        source.does(Mutation::modify(&edited, "edited again"));
        source.does(Mutation::rename(&renamed, "with another name"));
        source.does(Mutation::relocate(&moved, &folder));
        let news = source.news(&start).await;
        assert_eq!(
            news.paths(),
            [
                "folder/edited",
                "folder/moved",
                "folder/with another name",
                "new"
            ]
        );
        assert_eq!(news.absent, []);
        let listed = source.listed().await;
        let listed = by_path(&listed);
        for entry in &news.entries {
            assert_eq!(listed[entry.path.as_str()], entry);
        }
        assert!(source.news(&news.next).await.entries.is_empty());
    }
}

#[tokio::test]
async fn a_file_in_the_trash_or_elsewhere_is_certainly_absent() {
    for (kind, (source, outside)) in sources().await.into_iter().enumerate() {
        let trashed = source.file("trashed", &source.top);
        let moved = source.file("moved", &source.top);
        let start = source.feed().await;
        source.does(Mutation::trash(&trashed));
        source.does(Mutation::relocate(&moved, &outside));
        let news = source.news(&start).await;
        // What is shared by itself may lie where it lay.
        let moved = Absent {
            id: moved,
            certain: kind != SHARED,
        };
        assert_eq!(news.absent, [certain(&trashed), moved]);
        assert_eq!(news.paths(), [""; 0]);
        source.does(Mutation::untrash(&trashed));
        let news = source.news(&news.next).await;
        assert_eq!(news.paths(), ["trashed"]);
        assert_eq!(news.absent, []);
    }
}

#[tokio::test]
async fn what_is_deleted_for_good_is_certain_only_to_whoever_sees_everything() {
    for (role, expected) in [
        (Role::Reader, false),
        (Role::FileOrganizer, false),
        (Role::Organizer, true),
    ] {
        let source = Source::drive(role).await;
        let file = source.file("file", &source.top);
        let start = source.feed().await;
        source.does(Mutation::delete(&file));
        let news = source.news(&start).await;
        let absent = Absent {
            id: file,
            certain: expected,
        };
        assert_eq!(news.absent, [absent], "{role:?}");
    }
    // A file of a person's that is shared no longer looks no different from one that was deleted.
    let source = Source::shared_folder().await;
    let file = source.file("file", &source.top);
    let start = source.feed().await;
    source.does(Mutation::limit(&file, true));
    assert_eq!(source.news(&start).await.absent, [uncertain(&file)]);
}

#[tokio::test]
async fn a_folder_that_is_renamed_moved_or_new_brings_all_that_lies_in_it() {
    for (source, outside) in sources().await {
        let renamed = source.folder("old name", &source.top);
        source.file("a", &renamed);
        let deep = source.folder("deep", &renamed);
        source.file("b", &deep);
        let moved = source.folder("moved", &outside);
        source.file("c", &moved);
        let start = source.feed().await;
        source.does(Mutation::rename(&renamed, "new name"));
        source.does(Mutation::relocate(&moved, &source.top));
        let news = source.news(&start).await;
        assert_eq!(news.paths(), ["moved/c", "new name/a", "new name/deep/b"]);
        assert_eq!(news.absent, []);
        let start = news.next;
        source.does(Mutation::relocate(&deep, &moved));
        let made = source.folder("made", &deep);
        source.file("d", &made);
        let news = source.news(&start).await;
        // What lies in two of the folders that were told of is told of as it changed itself, and once by the walk.
        let told: BTreeSet<_> = news.paths().into_iter().collect();
        assert_eq!(
            told.into_iter().collect::<Vec<_>>(),
            ["moved/deep/b", "moved/deep/made/d"]
        );
    }
}

#[tokio::test]
async fn a_folder_in_the_trash_or_elsewhere_takes_what_lies_in_it_along() {
    for (kind, (source, outside)) in sources().await.into_iter().enumerate() {
        let trashed = source.folder("trashed", &source.top);
        source.file("a", &trashed);
        let moved = source.folder("moved", &source.top);
        let deep = source.folder("deep", &moved);
        let file = source.file("b", &deep);
        let start = source.feed().await;
        source.does(Mutation::trash(&trashed));
        source.does(Mutation::modify(&file, "changed on the way"));
        source.does(Mutation::relocate(&moved, &outside));
        let news = source.news(&start).await;
        assert_eq!(news.paths(), [""; 0]);
        let absent: BTreeSet<_> = news.absent.iter().map(|absent| absent.id.clone()).collect();
        assert_eq!(absent, [trashed.clone(), file, moved].into());
        for absent in news.absent {
            // What is shared by itself may lie where it lay.
            let expected = absent.id == trashed || kind != SHARED;
            assert_eq!(absent.certain, expected);
        }
        source.does(Mutation::untrash(&trashed));
        assert_eq!(source.news(&news.next).await.paths(), ["trashed/a"]);
    }
}

#[tokio::test]
async fn a_file_that_left_a_folder_before_that_went_stays() {
    let source = Source::drive(Role::Reader).await;
    let (going, staying) = (
        source.folder("going", &source.top),
        source.folder("staying", &source.top),
    );
    let file = source.file("file", &going);
    let start = source.feed().await;
    source.does(Mutation::relocate(&file, &staying));
    source.does(Mutation::trash(&going));
    let news = source.news(&start).await;
    assert_eq!(news.paths(), ["staying/file"]);
    assert_eq!(news.absent, [certain(&going)]);
}

#[tokio::test]
async fn a_drive_that_is_renamed_changes_nothing() {
    let source = Source::drive(Role::Reader).await;
    source.file("file", &source.top);
    let start = source.feed().await;
    source.does(Mutation::RenameDrive {
        drive: source.top.clone(),
        name: "Another".to_owned(),
    });
    let news = source.news(&start).await;
    assert_eq!((news.entries.len(), news.absent.len()), (0, 0));
}

#[tokio::test]
async fn a_lost_drive_is_a_denial_and_nothing_absent() {
    let source = Source::drive(Role::Reader).await;
    source.file("file", &source.top);
    let provider = source.open();
    let start = provider.feed_start(&source.scope).await.unwrap().unwrap();
    source.does(Mutation::RemoveMember {
        drive: source.top.clone(),
        user: SERVICE.to_owned(),
    });
    // In the middle of a run, and at the start of one.
    let error = provider
        .changes(&source.scope, &start, 100)
        .await
        .unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.retry),
        ("perm.denied", Retry::Never),
        "{error}"
    );
    let error = source
        .open()
        .changes(&source.scope, &start, 100)
        .await
        .unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.retry),
        ("resource.not_found", Retry::Never),
        "{error}"
    );
    // The feed may tell before it is closed.
    let source = Source::folder_of_drive(Role::Reader).await;
    let drive = source.drive_id();
    let start = source.feed().await;
    let told = json!([{"changeType": "drive", "removed": true, "driveId": drive}]);
    source.google().add_fault(says(&told));
    let error = source
        .open()
        .changes(&source.scope, &start, 100)
        .await
        .unwrap_err();
    assert_eq!(error.code.as_str(), "perm.denied", "{error}");
}

#[tokio::test]
async fn a_lost_root_is_an_error_and_nothing_absent() {
    for (source, _) in sources().await {
        source.file("file", &source.top);
        let provider = source.open();
        let start = provider.feed_start(&source.scope).await.unwrap().unwrap();
        source.does(Mutation::trash(&source.top));
        for provider in [provider, source.open()] {
            let error = provider
                .changes(&source.scope, &start, 100)
                .await
                .unwrap_err();
            assert_eq!(error.code.as_str(), "resource.not_found", "{error}");
        }
    }
    let source = Source::shared_folder().await;
    source.file("file", &source.top);
    let provider = source.open();
    let start = provider.feed_start(&source.scope).await.unwrap().unwrap();
    source.does(Mutation::unshare(&source.top, SERVICE));
    for provider in [provider, source.open()] {
        let error = provider
            .changes(&source.scope, &start, 100)
            .await
            .unwrap_err();
        assert_eq!(error.code.as_str(), "resource.not_found", "{error}");
    }
}

#[tokio::test]
async fn a_place_that_is_no_longer_known_asks_for_a_listing() {
    let source = Source::drive(Role::Reader).await;
    let start = source.feed().await;
    source.google().forget_feed_tokens();
    let error = source
        .open()
        .changes(&source.scope, &start, 100)
        .await
        .unwrap_err();
    assert_restart(&error);
    // Drive may also say that it does not find it.
    let start = source.feed().await;
    let not_found = Action::google_error("notFound");
    source
        .google()
        .add_fault(FaultRule::new(feeds(), not_found));
    let error = source
        .open()
        .changes(&source.scope, &start, 100)
        .await
        .unwrap_err();
    assert_restart(&error);
    source
        .google()
        .set_faults([FaultRule::new(feeds(), unknown_token())]);
    let error = source
        .open()
        .changes(&source.scope, &start, 100)
        .await
        .unwrap_err();
    assert_restart(&error);
    // Or that something is wrong, and not what.
    for reason in ["invalid", "badRequest", "invalidParameter"] {
        let body = json!({"error": {"code": 400, "errors": [{"reason": reason}]}});
        let vague = Action {
            status: Some(http::StatusCode::BAD_REQUEST),
            body: Some(body.to_string()),
            ..Action::default()
        };
        source.google().set_faults([FaultRule::new(feeds(), vague)]);
        let asked = source.open().changes(&source.scope, &start, 100).await;
        assert_restart(&asked.unwrap_err());
    }
}

#[tokio::test]
async fn a_path_that_leads_to_another_folder_asks_for_a_listing() {
    let source = Source::drive(Role::Reader).await.at("/Name");
    let first = source.folder("Name", &source.top);
    let start = source.feed().await;
    source.does(Mutation::rename(&first, "Other"));
    source.folder("Name", &source.top);
    let error = source
        .open()
        .changes(&source.scope, &start, 100)
        .await
        .unwrap_err();
    assert_restart(&error);
}

#[tokio::test]
async fn pages_that_are_empty_are_passed_over_and_pages_in_circles_are_not() {
    let source = Source::drive(Role::Reader).await;
    let start = source.feed().await;
    for number in 0..5 {
        source.file(&number.to_string(), &source.top);
    }
    for fault in [ListingFault::EmptyPage, ListingFault::ShortPages(1)] {
        source
            .google()
            .set_faults([FaultRule::new(feeds(), Action::listing(fault))]);
        assert_eq!(source.news(&start).await.entries.len(), 5);
    }
    let circle = Action::listing(ListingFault::RepeatedToken);
    source
        .google()
        .set_faults([FaultRule::new(feeds(), circle)]);
    let error = source
        .open()
        .changes(&source.scope, &start, 100)
        .await
        .unwrap_err();
    assert_eq!(error.code.as_str(), "protocol.unexpected_response");
}

#[tokio::test]
async fn entries_that_tell_little_or_nonsense_fail_no_page() {
    let source = Source::drive(Role::Reader).await;
    let untold = source.file("untold", &source.top);
    let bare = source.file("bare", &source.top);
    let start = source.feed().await;
    source.google().add_fault(says(&json!([
        {},
        {"changeType": "drive"},
        {"changeType": "drive", "driveId": "0another", "removed": true},
        {"changeType": "planet", "removed": true},
        {"changeType": "file", "fileId": untold},
        {"changeType": "file", "fileId": bare, "file": {"id": bare}},
        {"changeType": "file", "fileId": "1gone"},
        {"changeType": "file", "fileId": "1removed", "removed": true, "time": 7},
    ])));
    let news = source.news(&start).await;
    assert_eq!(news.paths(), ["bare", "untold"]);
    let absent: BTreeSet<_> = news
        .absent
        .iter()
        .map(|absent| absent.id.as_str())
        .collect();
    assert_eq!(absent, ["1gone", "1removed"].into());
    assert!(news.absent.iter().all(|absent| !absent.certain));
}

#[tokio::test]
async fn of_several_changes_of_a_file_on_a_page_the_last_counts() {
    let source = Source::drive(Role::Reader).await;
    let start = source.feed().await;
    let file = |name: &str, trashed: bool| {
        json!({"id": "1a", "name": name, "mimeType": "text/plain", "parents": [source.top],
               "trashed": trashed, "md5Checksum": "0".repeat(32), "size": "3"})
    };
    source.google().add_fault(says(&json!([
        {"changeType": "file", "fileId": "1a", "file": file("a", true)},
        {"changeType": "file", "fileId": "1b", "removed": true},
        {"changeType": "file", "fileId": "1a", "file": file("b", false)},
        {"changeType": "file", "fileId": "1b", "removed": true},
    ])));
    let news = source.news(&start).await;
    assert_eq!(news.paths(), ["b"]);
    assert_eq!(news.absent, [uncertain("1b")]);
}

#[tokio::test]
async fn a_large_folder_is_walked_page_by_page_by_whoever_comes_next() {
    let source = Source::mine().await;
    let folder = source.folder("before", &source.top);
    let mut expected = Vec::new();
    for one in 0..3 {
        let below = source.folder(&format!("f{one}"), &folder);
        for file in 0..7 {
            source.file(&file.to_string(), &below);
            expected.push(format!("after/f{one}/{file}"));
        }
    }
    let start = source.feed().await;
    source.does(Mutation::rename(&folder, "after"));
    for limit in [1, 2, 5, 1000] {
        let news = source
            .news_by(|| source.open(), &start, limit)
            .await
            .unwrap();
        assert_eq!(news.paths(), expected, "{limit}");
        assert_eq!(news.absent, []);
    }
}

#[tokio::test]
async fn five_thousand_files_and_three_hundred_changes_take_a_handful_of_calls() {
    let source = Source::drive(Role::Reader).await;
    let mut files = Vec::new();
    for folder in 0..200 {
        let folder = source.folder(&format!("folder-{folder:03}"), &source.top);
        for file in 0..25 {
            files.push(source.file(&format!("{file}"), &folder));
        }
    }
    let start = source.feed().await;
    for (number, file) in files.iter().step_by(16).take(300).enumerate() {
        source.does(match number % 3 {
            0 => Mutation::modify(file, format!("changed {number}")),
            1 => Mutation::rename(file, format!("renamed {number}")),
            _ => Mutation::trash(file),
        });
    }
    source.requests();
    let provider = source.open();
    let page = provider.changes(&source.scope, &start, 1000).await.unwrap();
    assert!(page.caught_up);
    assert_eq!((page.entries.len(), page.absent.len()), (200, 100));
    for entry in &page.entries {
        read(&provider, entry).await.unwrap();
    }
    let expected = [
        ("DrivesGet", 1),
        ("ChangesList", 1),
        ("FilesList", 1),
        ("FilesMedia", 200),
    ];
    let expected = expected.map(|(call, times)| (call.to_owned(), times));
    assert_eq!(source.calls(), expected.into());
}

#[tokio::test]
async fn few_folders_are_asked_for_one_by_one() {
    let source = Source::drive(Role::Reader).await;
    for number in 0..50 {
        source.folder(&number.to_string(), &source.top);
    }
    let folder = source.folder("folder", &source.top);
    let deep = source.folder("deep", &folder);
    let file = source.file("file", &deep);
    let start = source.feed().await;
    source.does(Mutation::modify(&file, "changed"));
    source.requests();
    assert_eq!(source.news(&start).await.paths(), ["folder/deep/file"]);
    let calls = source.calls();
    assert_eq!(calls.get("FilesList"), None, "{calls:?}");
    assert_eq!(calls["FilesGet"], 2, "two folders: {calls:?}");
}

#[tokio::test]
async fn what_only_a_shortcut_leads_to_changes_with_the_source() {
    let source = Source::mine().await;
    let root = source.google().root_of(SERVICE).unwrap();
    let shared = |item: NewItem| item.shared_with(ADA, Role::Reader);
    let elsewhere = source.add(shared(NewItem::folder("Elsewhere")), &root);
    let far = source.file("far.txt", &elsewhere);
    let lone = source.add(shared(NewItem::blob("lone.txt", "lone")), &root);
    let beside = source.add(shared(NewItem::blob("beside.txt", "beside")), &root);
    let folder = source.folder("folder", &source.top);
    let linked = source.add(NewItem::shortcut("linked", &elsewhere), &folder);
    let renamed = source.add(NewItem::shortcut("renamed.txt", &lone), &folder);
    let listed = source.listed().await;
    let start = source.feed().await;
    source.does(Mutation::modify(&far, "changed"));
    source.does(Mutation::modify(&lone, "changed"));
    source.does(Mutation::modify(&beside, "changed"));
    let news = source.news(&start).await;
    assert_eq!(
        news.paths(),
        ["folder/linked/far.txt", "folder/renamed.txt"]
    );
    // It tells of no folder that it lies in.
    assert_eq!(news.absent, [uncertain(&beside)]);
    for entry in &news.entries {
        assert_eq!(by_path(&listed)[entry.path.as_str()].lineage, entry.lineage);
    }
    // A shortcut that goes takes along what it led to: its id stands in the lineage.
    source.does(Mutation::trash(&linked));
    source.does(Mutation::rename(&renamed, "again.txt"));
    let news = source.news(&news.next).await;
    assert_eq!(news.paths(), ["folder/again.txt"]);
    assert_eq!(news.absent, [certain(&linked)]);
    // A new one brings it.
    source.does(Mutation::untrash(&linked));
    let news = source.news(&news.next).await;
    assert_eq!(news.paths(), ["folder/linked/far.txt"]);
}

#[tokio::test]
async fn a_folder_that_was_shared_out_of_a_drive_is_read_without_being_a_member() {
    let source = Source::shared_out_of_drive().await;
    let folder = source.folder("folder", &source.top);
    let file = source.file("file", &folder);
    let deep = source.folder("deep", &folder);
    source.file("b", &deep);
    assert_eq!(source.paths().await, ["folder/deep/b", "folder/file"]);
    let start = source.feed().await;
    source.does(Mutation::modify(&file, "changed"));
    source.does(Mutation::rename(&deep, "deeper"));
    let news = source.news(&start).await;
    assert_eq!(news.paths(), ["folder/deeper/b", "folder/file"]);
    let source = source.at("/Top/folder");
    assert_eq!(source.paths().await, ["deeper/b", "file"]);
}

#[tokio::test]
async fn a_file_under_a_folder_that_is_hidden_is_not_certainly_elsewhere() {
    let source = Source::shared_folder().await;
    let folder = source.folder("folder", &source.top);
    let file = source.add(
        NewItem::blob("file", "file").shared_with(SERVICE, Role::Reader),
        &folder,
    );
    let start = source.feed().await;
    source.does(Mutation::limit(&folder, true));
    source.does(Mutation::modify(&file, "changed"));
    let news = source.news(&start).await;
    assert_eq!(news.paths(), [""; 0]);
    let absent: BTreeSet<_> = news
        .absent
        .into_iter()
        .map(|absent| (absent.id, absent.certain))
        .collect();
    assert_eq!(absent, [(folder, false), (file, false)].into());
}

#[tokio::test]
async fn what_is_removed_from_a_drive_and_seen_elsewhere_certainly_left() {
    let source = Source::folder_of_drive(Role::Reader).await;
    let moved = source.file("moved", &source.drive_id());
    let there = source.file("there", &source.top);
    let start = source.feed().await;
    source.google().add_fault(says(&json!([
        {"changeType": "file", "fileId": moved, "removed": true},
        {"changeType": "file", "fileId": there, "removed": true},
        {"changeType": "file", "fileId": "1gone", "removed": true},
        {"changeType": "file", "fileId": "no/id", "removed": true},
    ])));
    let news = source.news(&start).await;
    assert_eq!(news.paths(), ["there"]);
    let absent: BTreeSet<_> = news
        .absent
        .into_iter()
        .map(|absent| (absent.id, absent.certain))
        .collect();
    let expected = [
        (moved, true),
        ("1gone".to_owned(), false),
        ("no/id".to_owned(), false),
    ];
    assert_eq!(absent, expected.into());
}
