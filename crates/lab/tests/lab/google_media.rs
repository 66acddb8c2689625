//! Bytes from the lab's Google: of files, of exports, by operations.

use http::Method;
use serde_json::{Value, json};
use wharf_lab::google::{Mutation, NewItem};
use wharf_lab::{Action, FaultRule, Match, ObjectFault, Operation, generated_content};

use crate::google_client::{ANNA, BEN, BOT, Caller, harbour, refused};

const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

fn media(id: &str) -> String {
    format!("files/{id}?alt=media&supportsAllDrives=true")
}

#[tokio::test]
async fn a_file_is_read_whole_and_in_parts() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let id = google
        .add(NewItem::blob("a.txt", "0123456789").inside(&drive))
        .unwrap();
    let bot = Caller::of(google, BOT);
    let whole = bot.get(&media(&id)).await;
    assert_eq!(
        (whole.status, whole.body.as_ref()),
        (200, &b"0123456789"[..])
    );
    assert_eq!(whole.header("content-type"), "text/plain");
    assert_eq!(whole.header("content-length"), "10");
    for (range, status, body, told) in [
        ("bytes=2-4", 206, "234", "bytes 2-4/10"),
        ("bytes=7-", 206, "789", "bytes 7-9/10"),
        ("bytes=7-100", 206, "789", "bytes 7-9/10"),
        ("bytes=-2", 206, "89", "bytes 8-9/10"),
        ("bytes=4-2", 200, "0123456789", ""),
        ("lines=1-2", 200, "0123456789", ""),
    ] {
        let got = bot
            .send(Method::GET, &media(&id), &[("range", range)], &Value::Null)
            .await;
        let said = String::from_utf8(got.body.to_vec()).unwrap();
        assert_eq!((got.status, said.as_str()), (status, body), "{range}");
        assert_eq!(got.header("content-range"), told);
    }
    let beyond = [("range", "bytes=10-")];
    let got = bot
        .send(Method::GET, &media(&id), &beyond, &Value::Null)
        .await;
    assert_eq!(got.refusal(), refused(416, "requestedRangeNotSatisfiable"));
    let entry = google.journal().pop().unwrap();
    assert_eq!(
        (
            entry.operation,
            entry.range.as_deref(),
            entry.user.as_deref()
        ),
        (Operation::DriveFilesMedia, Some("bytes=10-"), Some(BOT))
    );
}

#[tokio::test]
async fn what_may_not_be_downloaded_is_refused_with_its_reason() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let id = google.add(NewItem::blob("a", "x").inside(&drive)).unwrap();
    let document = google
        .add(NewItem::native("d", "document").inside(&drive))
        .unwrap();
    let bot = Caller::of(google, BOT);
    let anna = Caller::of(google, ANNA);
    assert_eq!(
        bot.refusal(&media(&document)).await,
        refused(403, "fileNotDownloadable")
    );
    google.mutate(Mutation::block_download(&id, true)).unwrap();
    assert_eq!(
        bot.refusal(&media(&id)).await,
        refused(403, "cannotDownloadFile")
    );
    let about = format!("files/{id}?supportsAllDrives=true&fields=capabilities/canDownload");
    let blocked = json!({"capabilities": {"canDownload": false}});
    assert_eq!(bot.json(&about).await, blocked);
    google
        .mutate(Mutation::Restrict {
            file: id.clone(),
            download_blocked: Some(false),
            copy_requires_writer_permission: Some(true),
            limited: None,
            abusive: None,
        })
        .unwrap();
    assert_eq!(
        bot.refusal(&media(&id)).await,
        refused(403, "cannotDownloadFile")
    );
    assert_eq!(anna.get(&media(&id)).await.status, 200);
    google
        .mutate(Mutation::Restrict {
            file: id.clone(),
            download_blocked: None,
            copy_requires_writer_permission: Some(false),
            limited: None,
            abusive: Some(true),
        })
        .unwrap();
    let knowingly = format!("{}&acknowledgeAbuse=true", media(&id));
    for (caller, path, status) in [
        (&bot, &media(&id), 403),
        (&bot, &knowingly, 403),
        (&anna, &media(&id), 403),
        (&anna, &knowingly, 200),
    ] {
        let got = caller.get(path).await;
        assert_eq!(got.status, status);
        if status == 403 {
            assert_eq!(got.refusal().1, "cannotDownloadAbusiveFile");
        }
    }
    google.mutate(Mutation::delete(&id)).unwrap();
    assert_eq!(anna.refusal(&media(&id)).await, refused(404, "notFound"));
}

#[tokio::test]
async fn documents_are_exported_to_the_formats_they_have() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let add = |item: NewItem| google.add(item.inside(&drive)).unwrap();
    let document = add(NewItem::native("d", "document").export(DOCX, "a document"));
    let large = add(NewItem::native("l", "document").export_size(DOCX, 10 * 1024 * 1024 + 1));
    let form = add(NewItem::native("f", "form"));
    let blob = add(NewItem::blob("b", "x"));
    let bot = Caller::of(google, BOT);
    let export = |id: &str, format: &str| format!("files/{id}/export?mimeType={format}");
    let got = bot.get(&export(&document, DOCX)).await;
    assert_eq!((got.status, got.body.as_ref()), (200, &b"a document"[..]));
    assert_eq!(got.header("content-type"), DOCX);
    assert_eq!(got.header("content-length"), "");
    assert_eq!(
        bot.get(&export(&document, "text/markdown")).await.status,
        200
    );
    for (id, format, status, reason) in [
        (&document, "image/png", 400, "badRequest"),
        (&large, DOCX, 403, "exportSizeLimitExceeded"),
        (&form, DOCX, 403, "fileNotExportable"),
        (&blob, DOCX, 403, "fileNotExportable"),
    ] {
        assert_eq!(
            bot.refusal(&export(id, format)).await,
            refused(status, reason)
        );
    }
    assert_eq!(
        bot.refusal(&format!("files/{document}/export")).await,
        refused(400, "required")
    );
    google
        .mutate(Mutation::block_download(&document, true))
        .unwrap();
    assert_eq!(
        bot.refusal(&export(&document, DOCX)).await,
        refused(403, "cannotExportFile")
    );
}

#[tokio::test]
async fn an_operation_downloads_what_is_too_large_to_export() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let size = 10 * 1024 * 1024 + 1;
    let large = NewItem::native("l", "document").export_size(DOCX, size);
    let large = google.add(large.inside(&drive)).unwrap();
    let film = NewItem::native("v", "vid").export("video/mp4", "a film");
    let film = google.add(film.inside(&drive)).unwrap();
    let bot = Caller::of(google, BOT);
    for (id, format, expected) in [(&large, DOCX, size), (&film, "video/mp4", "a film".len())] {
        let path = format!("files/{id}/download?mimeType={format}");
        let started = bot
            .send(Method::POST, &path, &[], &Value::Null)
            .await
            .json();
        assert_eq!(started["done"], false);
        assert_eq!(started.get("response"), None);
        let name = started["name"].as_str().unwrap();
        let done = bot.json(&format!("operations/{name}")).await;
        assert_eq!(done["done"], true);
        let address = done["response"]["downloadUri"].as_str().unwrap();
        let got = bot.get(address).await;
        assert_eq!((got.status, got.body.len()), (200, expected));
        let ben = Caller::of(google, BEN);
        assert_eq!(
            ben.refusal(&format!("operations/{name}")).await,
            refused(404, "notFound")
        );
        google.advance_clock(24 * 3600 + 1);
        let bot = Caller::of(google, BOT);
        assert_eq!(bot.refusal(address).await, refused(404, "notFound"));
        google.advance_clock(-24 * 3600 - 1);
    }
    let path = format!("files/{film}/export?mimeType=video/mp4");
    assert_eq!(bot.refusal(&path).await, refused(403, "fileNotExportable"));
}

#[tokio::test]
async fn bytes_are_spoiled_as_told() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let bytes = generated_content("m", 50_000);
    let id = google
        .add(NewItem::blob("m", bytes.clone()).inside(&drive))
        .unwrap();
    let bot = Caller::of(google, BOT);
    let rule = |action| FaultRule::new(Match::operation(Operation::DriveFilesMedia), action);
    google.set_faults([rule(Action::object(ObjectFault::NoLength))]);
    let got = bot.get(&media(&id)).await;
    assert_eq!((got.header("content-length"), &got.body), ("", &bytes));
    google.set_faults([rule(Action::object(ObjectFault::RangeIgnored))]);
    let part = [("range", "bytes=1-2")];
    let got = bot
        .send(Method::GET, &media(&id), &part, &Value::Null)
        .await;
    assert_eq!((got.status, got.body.len()), (200, 50_000));
    google.set_faults([rule(Action::corrupt_byte_at(7))]);
    let got = bot.get(&media(&id)).await;
    assert_eq!((got.body[6], got.body[7]), (bytes[6], !bytes[7]));
    google.set_faults([rule(Action::truncate_at(100))]);
    let bearer = format!(
        "Bearer {}",
        google.access_token(BOT, &[crate::google_client::READ])
    );
    let url = format!("{}/drive/v3/{}", google.url(), media(&id));
    let cut =
        crate::google_client::send(Method::GET, &url, &[("authorization", bearer.as_str())], "")
            .await;
    assert!(cut.is_err());
}
