//! What a fetch brings, and what it asks for.

use wharf_domain::filter::{ExportFormats, ProviderFilters};
use wharf_domain::plan::Entry;
use wharf_domain::provider::Provider;
use wharf_lab::google::{Mutation, NewItem, Role};
use wharf_lab::{Action, FaultRule, Match, Operation};
use wharf_ports::{ProviderFactory, Retry};

use crate::account::factory;
use crate::source::{Source, fetch, read};

const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

async fn only(source: &Source) -> Entry {
    let mut entries = source.listed().await;
    assert_eq!(entries.len(), 1);
    entries.remove(0)
}

fn asks(operation: Operation) -> Match {
    Match::operation(operation)
}

#[tokio::test]
async fn a_file_that_was_just_listed_is_fetched_with_one_call() {
    let source = Source::drive(Role::Reader).await;
    source.add(
        NewItem::blob("a.txt", "hello").property("tide", "high"),
        &source.top,
    );
    let provider = source.open();
    let (entries, _) = source.list_by(&provider, 10).await.unwrap();
    source.requests();
    let fetched = fetch(&provider, &entries[0]).await.unwrap();
    assert_eq!(fetched.content_type.as_deref(), Some("text/plain"));
    assert_eq!(fetched.metadata["name"], "a.txt");
    assert_eq!(fetched.metadata["size"], "5");
    assert_eq!(fetched.metadata["properties.tide"], "high");
    assert_eq!(fetched.metadata["trashed"], false);
    assert!(fetched.metadata.contains_key("headRevisionId"));
    assert_eq!(source.calls(), [("FilesMedia".to_owned(), 1)].into());
    // One that comes later looks at the file first.
    assert_eq!(read(&source.open(), &entries[0]).await.unwrap(), "hello");
    let calls = source.calls();
    assert_eq!((calls["FilesGet"], calls["FilesMedia"]), (1, 1));
}

#[tokio::test]
async fn an_empty_file_is_not_asked_for() {
    let source = Source::drive(Role::Reader).await;
    source.add(NewItem::blob("empty", ""), &source.top);
    let provider = source.open();
    let (entries, _) = source.list_by(&provider, 10).await.unwrap();
    source.requests();
    assert_eq!(read(&provider, &entries[0]).await.unwrap(), "");
    assert_eq!(source.calls(), [].into());
}

#[tokio::test]
async fn a_break_is_gone_on_with_in_the_same_version_only() {
    let source = Source::drive(Role::Reader).await;
    let bytes = "x".repeat(300_000);
    let id = source.add(NewItem::blob("film", bytes.clone()), &source.top);
    let provider = source.open();
    let (entries, _) = source.list_by(&provider, 10).await.unwrap();
    let cut = || {
        FaultRule::new(
            asks(Operation::DriveFilesMedia).times(1),
            Action::truncate_at(100_000),
        )
    };
    source.google().set_faults([cut()]);
    source.requests();
    assert_eq!(read(&provider, &entries[0]).await.unwrap(), bytes);
    let ranges: Vec<_> = source
        .requests()
        .into_iter()
        .filter(|request| request.operation == Operation::DriveFilesMedia)
        .map(|request| request.range)
        .collect();
    assert_eq!(ranges.len(), 2);
    assert!(
        ranges[1]
            .as_ref()
            .is_some_and(|range| range.starts_with("bytes="))
    );
    // A service that knows no ranges sends the whole again.
    source.google().set_faults([
        cut(),
        FaultRule::new(
            asks(Operation::DriveFilesMedia),
            Action::object(wharf_lab::ObjectFault::RangeIgnored),
        ),
    ]);
    assert_eq!(read(&provider, &entries[0]).await.unwrap(), bytes);
    source.google().set_faults([cut()]);
    source.does(Mutation::modify(&id, "y".repeat(300_000)));
    let error = read(&provider, &entries[0]).await.unwrap_err();
    assert_eq!(error.code.as_str(), "resource.changed", "{error}");
}

#[tokio::test]
async fn documents_come_in_the_form_that_was_listed() {
    let source = Source::drive(Role::Reader).await;
    let document = NewItem::native("Report", "document")
        .export(DOCX, "as docx")
        .export("application/pdf", "as pdf");
    let id = source.add(document, &source.top);
    let usual = only(&source).await;
    let filters = ProviderFilters {
        prefix: None,
        export_formats: ExportFormats {
            document: "pdf".to_owned(),
            ..ExportFormats::default()
        },
    };
    let scope = factory(source.google()).scope(Provider::GoogleDrive, &source.top, &filters);
    let source = source.at(scope.unwrap());
    let chosen = only(&source).await;
    let provider = source.open();
    for (entry, kind, bytes) in [
        (&usual, DOCX, "as docx"),
        (&chosen, "application/pdf", "as pdf"),
    ] {
        let fetched = fetch(&provider, entry).await.unwrap();
        assert_eq!(fetched.content_type.as_deref(), Some(kind));
        assert_eq!(read(&provider, entry).await.unwrap(), bytes);
    }
    source.does(Mutation::edit(&id));
    let error = read(&source.open(), &usual).await.unwrap_err();
    assert_eq!(error.code.as_str(), "resource.changed", "{error}");
}

#[tokio::test]
async fn a_document_that_changes_while_it_is_exported_is_not_the_one_that_was_listed() {
    let source = Source::drive(Role::Reader).await;
    let document = NewItem::native("Report", "document").export(DOCX, "one");
    let id = source.add(document, &source.top);
    let provider = source.open();
    let (entries, _) = source.list_by(&provider, 10).await.unwrap();
    source.does(Mutation::edit(&id));
    let error = read(&provider, &entries[0]).await.unwrap_err();
    assert_eq!(error.code.as_str(), "resource.changed", "{error}");
}

#[tokio::test]
async fn what_is_too_large_to_export_is_prepared_for_download() {
    let source = Source::drive(Role::Reader).await;
    let size = 10 * 1024 * 1024 + 1;
    let document = NewItem::native("Book", "document").export_size(DOCX, size);
    source.add(document, &source.top);
    let entry = only(&source).await;
    source.requests();
    let bytes = read(&source.open(), &entry).await.unwrap();
    assert_eq!(bytes.len(), size);
    let requests = source.requests();
    let last = requests
        .iter()
        .find(|request| request.operation == Operation::DriveDownloadedBytes);
    assert!(last.is_some(), "{requests:?}");
    let refused = Action::google_error("insufficientFilePermissions");
    source
        .google()
        .add_fault(FaultRule::new(asks(Operation::DriveFilesDownload), refused));
    let error = read(&source.open(), &entry).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.retry),
        ("object.too_large_to_export", Retry::Never),
        "{error}"
    );
}

#[tokio::test]
async fn an_export_that_fails_twice_is_too_large() {
    let source = Source::drive(Role::Reader).await;
    let document = NewItem::native("Report", "document").export(DOCX, "in the end");
    source.add(document, &source.top);
    let entry = only(&source).await;
    let failing = |times| {
        let action = Action::status(http::StatusCode::INTERNAL_SERVER_ERROR);
        FaultRule::new(asks(Operation::DriveFilesExport).times(times), action)
    };
    for (times, prepared) in [(1, None), (2, Some(&1))] {
        source.google().set_faults([failing(times)]);
        source.requests();
        assert_eq!(read(&source.open(), &entry).await.unwrap(), "in the end");
        assert_eq!(source.calls().get("FilesDownload"), prepared);
    }
}

#[tokio::test]
async fn videos_are_had_as_prepared_downloads_alone() {
    let source = Source::drive(Role::Reader).await;
    source.add(
        NewItem::native("Clip", "vid").export("video/mp4", "frames"),
        &source.top,
    );
    let entry = only(&source).await;
    assert_eq!(entry.path, "Clip.mp4");
    let provider = source.open();
    assert_eq!(read(&provider, &entry).await.unwrap(), "frames");
    let fetched = fetch(&provider, &entry).await.unwrap();
    assert_eq!(fetched.content_type.as_deref(), Some("video/mp4"));
    assert_eq!(source.calls().get("FilesExport"), None);
}

#[tokio::test]
async fn what_is_wrong_with_one_file_is_that_file_s_own_trouble() {
    let source = Source::drive(Role::Reader).await;
    let mut abusive = NewItem::blob("abusive", "x");
    abusive.abusive = true;
    source.add(abusive, &source.top);
    let entry = only(&source).await;
    let error = read(&source.open(), &entry).await.unwrap_err();
    assert_eq!(error.code.as_str(), "object.flagged_malware");
    for (reason, code) in [
        ("downloadQuotaExceeded", "quota.exhausted"),
        ("cannotDownloadFile", "object.download_blocked"),
        ("insufficientFilePermissions", "perm.denied"),
        ("notFound", "resource.not_found"),
    ] {
        let refused = Action::google_error(reason);
        source
            .google()
            .set_faults([FaultRule::new(asks(Operation::DriveFilesMedia), refused)]);
        let error = read(&source.open(), &entry).await.unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.retry),
            (code, Retry::Never),
            "{error}"
        );
    }
}

#[tokio::test]
async fn downloads_that_are_switched_off_are_not_tried() {
    let source = Source::drive(Role::Reader).await;
    let id = source.file("file", &source.top);
    let entry = only(&source).await;
    source.does(Mutation::block_download(&id, true));
    source.requests();
    let error = read(&source.open(), &entry).await.unwrap_err();
    assert_eq!(error.code.as_str(), "object.download_blocked");
    assert_eq!(source.calls().get("FilesMedia"), None);
}

#[tokio::test]
async fn what_lies_in_the_trash_is_not_to_be_had() {
    let source = Source::drive(Role::Reader).await;
    let id = source.file("file", &source.top);
    let entry = only(&source).await;
    source.does(Mutation::trash(&id));
    let error = read(&source.open(), &entry).await.unwrap_err();
    assert_eq!(error.code.as_str(), "resource.not_found");
}

#[tokio::test]
async fn a_token_that_is_refused_in_the_middle_is_got_anew() {
    let source = Source::drive(Role::Reader).await;
    source.file("file", &source.top);
    let provider = source.open();
    let (entries, _) = source.list_by(&provider, 10).await.unwrap();
    source.google().end_sessions();
    assert_eq!(read(&provider, &entries[0]).await.unwrap(), "file");
}
