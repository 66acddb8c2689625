//! What became of files that a complete listing did not name.

use wharf_domain::plan::Entry;
use wharf_domain::run::feed::{Fate, MissingRow};
use wharf_lab::google::{Mutation, NewItem, Role};
use wharf_lab::{Action, FaultRule, Match, Operation};

use crate::account::{ADA, SERVICE};
use crate::source::{Source, by_path, uncertain};

fn row(entry: &Entry) -> MissingRow {
    MissingRow {
        object: entry.object.clone(),
        lineage: entry.lineage.clone(),
    }
}

async fn fates(source: &Source, rows: &[MissingRow]) -> Vec<Fate> {
    source.open().trace(&source.scope, rows).await.unwrap()
}

#[tokio::test]
async fn each_file_has_the_fate_that_drive_tells() {
    for (role, unseen) in [(Role::Reader, Fate::Hidden), (Role::Organizer, Fate::Gone)] {
        let source = Source::folder_of_drive(role).await;
        let outside = source.folder("outside", &source.drive_id());
        let folder = source.folder("folder", &source.top);
        for name in ["stays", "trashed", "moved", "deleted"] {
            source.file(name, &folder);
        }
        let listed = source.listed().await;
        let listed = by_path(&listed);
        let entry = |name: &str| listed[format!("folder/{name}").as_str()];
        let id = |name: &str| entry(name).object.as_str();
        source.does(Mutation::trash(id("trashed")));
        source.does(Mutation::relocate(id("moved"), &outside));
        source.does(Mutation::delete(id("deleted")));
        let rows = ["deleted", "stays", "moved", "trashed"].map(|name| row(entry(name)));
        let expected = [unseen, Fate::Present, Fate::Gone, Fate::Gone];
        assert_eq!(fates(&source, &rows).await, expected, "{role:?}");
    }
}

#[tokio::test]
async fn what_lay_in_a_folder_shares_its_fate_and_is_not_asked_for() {
    let source = Source::folder_of_drive(Role::Reader).await;
    let outside = source.folder("outside", &source.drive_id());
    let folders =
        ["trashed", "moved", "deleted", "below"].map(|name| source.folder(name, &source.top));
    let [trashed, moved, deleted, below] = &folders;
    let deep = source.folder("deep", below);
    for folder in [trashed, moved, deleted, &deep] {
        for number in 0..10 {
            source.file(&number.to_string(), folder);
        }
    }
    let listed = source.listed().await;
    source.does(Mutation::trash(trashed));
    source.does(Mutation::relocate(moved, &outside));
    source.does(Mutation::delete(deleted));
    source.does(Mutation::trash(below));
    let rows: Vec<_> = listed.iter().map(row).collect();
    source.requests();
    let fates = fates(&source, &rows).await;
    for (entry, fate) in listed.iter().zip(&fates) {
        let expected = if entry.path.starts_with("deleted/") {
            Fate::Hidden
        } else {
            Fate::Gone
        };
        assert_eq!(*fate, expected, "{}", entry.path);
    }
    assert_eq!(fates.len(), 40);
    let calls = source.calls();
    assert!(calls["FilesGet"] <= 7, "{calls:?}");
}

#[tokio::test]
async fn what_is_shared_no_longer_is_hidden() {
    let source = Source::shared_folder().await;
    let folder = source.folder("folder", &source.top);
    source.file("in it", &folder);
    source.file("file", &source.top);
    let listed = source.listed().await;
    source.does(Mutation::limit(&folder, true));
    let listed = by_path(&listed);
    source.does(Mutation::limit(&listed["file"].object, true));
    let rows = [row(listed["folder/in it"]), row(listed["file"])];
    assert_eq!(fates(&source, &rows).await, [Fate::Hidden, Fate::Hidden]);
}

#[tokio::test]
async fn what_a_shortcut_led_to_goes_with_it() {
    let source = Source::mine().await;
    let root = source.google().root_of(SERVICE).unwrap();
    let lone = NewItem::blob("lone", "lone").shared_with(ADA, Role::Reader);
    let lone = source.add(lone, &root);
    let shortcut = source.add(NewItem::shortcut("link", &lone), &source.top);
    let listed = source.listed().await;
    let rows = [row(&listed[0])];
    assert_eq!(fates(&source, &rows).await, [Fate::Present]);
    source.does(Mutation::trash(&shortcut));
    assert_eq!(fates(&source, &rows).await, [Fate::Gone]);
}

#[tokio::test]
async fn trouble_is_no_fate() {
    let source = Source::drive(Role::Reader).await;
    source.file("file", &source.top);
    let rows = [row(&source.listed().await[0])];
    let busy = Action::google_error("backendError");
    let asked = Match::operation(Operation::DriveFilesGet).path_contains(&rows[0].object);
    source.google().add_fault(FaultRule::new(asked, busy));
    let error = source.open().trace(&source.scope, &rows).await.unwrap_err();
    assert_eq!(error.code.as_str(), "provider.unavailable");
}

#[tokio::test]
async fn what_a_shortcut_led_to_outside_of_a_managed_drive_is_hidden_when_it_is_shared_no_longer() {
    let source = Source::drive(Role::Organizer).await;
    let root = source.google().root_of(ADA).unwrap();
    let lone = NewItem::blob("lone", "lone").shared_with(SERVICE, Role::Reader);
    let lone = source.add(lone, &root);
    let folder = NewItem::folder("Elsewhere").shared_with(SERVICE, Role::Reader);
    let folder = source.add(folder, &root);
    source.file("far", &folder);
    source.add(NewItem::shortcut("file", &lone), &source.top);
    let link = source.add(NewItem::shortcut("folder", &folder), &source.top);
    let listed = source.listed().await;
    let listed = by_path(&listed);
    let rows = [row(listed["file"]), row(listed["folder/far"])];
    source.does(Mutation::unshare(&lone, SERVICE));
    source.does(Mutation::unshare(&folder, SERVICE));
    assert_eq!(fates(&source, &rows).await, [Fate::Hidden, Fate::Hidden]);
    source.does(Mutation::delete(&link));
    assert_eq!(fates(&source, &rows).await, [Fate::Hidden, Fate::Gone]);
}

#[tokio::test]
async fn what_a_manager_is_forbidden_to_see_is_hidden() {
    let source = Source::drive(Role::Organizer).await;
    let folder = source.folder("folder", &source.top);
    source.file("file", &folder);
    let rows = [row(&source.listed().await[0])];
    let forbidden = Action::google_error("insufficientFilePermissions");
    let asked = Match::operation(Operation::DriveFilesGet).path_contains(&folder);
    source.google().add_fault(FaultRule::new(asked, forbidden));
    assert_eq!(fates(&source, &rows).await, [Fate::Hidden]);
}

#[tokio::test]
async fn who_manages_the_drive_no_longer_knows_of_nothing_that_it_is_gone() {
    let source = Source::drive(Role::Organizer).await;
    let file = source.file("file", &source.top);
    let listed = source.listed().await;
    let provider = source.open();
    // What the drive was, is known by now.
    provider.feed_start(&source.scope).await.unwrap();
    source.does(Mutation::delete(&file));
    source.does(Mutation::RemoveMember {
        drive: source.top.clone(),
        user: SERVICE.to_owned(),
    });
    let fates = provider.trace(&source.scope, &[row(&listed[0])]).await;
    assert_eq!(fates.unwrap(), [Fate::Hidden]);
}

#[tokio::test]
async fn what_lies_below_a_folder_that_is_hidden_and_is_shared_by_itself_is_hidden() {
    let source = Source::shared_folder().await;
    let folder = source.folder("F", &source.top);
    let shared = NewItem::folder("G").shared_with(SERVICE, Role::Reader);
    let shared = source.add(shared, &folder);
    let deep = source.folder("H", &shared);
    source.file("in G", &shared);
    let file = source.file("in H", &deep);
    let beside = NewItem::folder("Beside").shared_with(SERVICE, Role::Reader);
    let beside = source.add(beside, &source.google().root_of(ADA).unwrap());
    let listed = source.listed().await;
    let rows: Vec<_> = listed.iter().map(row).collect();
    assert_eq!(rows.len(), 2);
    let start = source.feed().await;
    source.does(Mutation::limit(&folder, true));
    source.does(Mutation::modify(&file, "changed"));
    assert_eq!(fates(&source, &rows).await, [Fate::Hidden, Fate::Hidden]);
    let news = source.news(&start).await;
    assert!(news.absent.contains(&uncertain(&file)));
    assert!(news.absent.iter().all(|absent| !absent.certain));
    // Where no folder is hidden, it was moved.
    source.does(Mutation::limit(&folder, false));
    assert_eq!(fates(&source, &rows).await, [Fate::Present, Fate::Present]);
    source.does(Mutation::relocate(&shared, &beside));
    assert_eq!(fates(&source, &rows).await, [Fate::Gone, Fate::Gone]);
}

#[tokio::test]
async fn what_was_remembered_of_a_folder_while_the_listing_ran_is_asked_again() {
    let source = Source::folder_of_drive(Role::Reader).await;
    let outside = source.folder("outside", &source.drive_id());
    let folder = source.folder("folder", &source.top);
    let file = source.file("file", &folder);
    let rows = [row(&source.listed().await[0])];
    let provider = source.open();
    source.does(Mutation::relocate(&folder, &outside));
    let fates = async || provider.trace(&source.scope, &rows).await.unwrap();
    assert_eq!(fates().await, [Fate::Gone]);
    source.does(Mutation::relocate(&folder, &source.top));
    assert_eq!(fates().await, [Fate::Present]);
    assert_eq!(rows[0].object, file);
}
