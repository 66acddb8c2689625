//! The feed of changes, and the channels that watch it.

use std::convert::Infallible;
use std::slice::from_ref;
use std::time::Duration;

use http::{Method, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use wharf_lab::google::{GoogleLab, Mutation, NewItem, Role};

use crate::google_client::{ANNA, BEN, BOT, Caller, SHARED, harbour, refused, texts};

const FIELDS: &str = "fields=nextPageToken,newStartPageToken,changes(changeType,removed,fileId,driveId,\
                      file(name,parents,trashed,version),drive(name))";

async fn start(caller: &Caller, drive: &str) -> String {
    let path = format!("changes/startPageToken?driveId={drive}&supportsAllDrives=true");
    let got = caller.json(&path).await;
    assert_eq!(got["kind"], "drive#startPageToken");
    got["startPageToken"].as_str().unwrap().to_owned()
}

async fn since(caller: &Caller, drive: &str, token: &str) -> Value {
    let path = format!("changes?driveId={drive}&pageToken={token}&{SHARED}&{FIELDS}");
    caller.json(&path).await
}

async fn mine(caller: &Caller, token: &str) -> Vec<Value> {
    let path = format!("changes?pageToken={token}&{SHARED}&{FIELDS}");
    let got = caller.json(&path).await;
    got["changes"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_feed_tells_the_last_state_of_each_file_that_changed() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let add = |name: &str| {
        let item = NewItem::blob(name, "x").inside(&drive);
        google.add(item).unwrap()
    };
    let (kept, changed, deleted) = (add("kept"), add("changed"), add("deleted"));
    let bot = Caller::of(google, BOT);
    let token = start(&bot, &drive).await;
    assert_eq!(
        since(&bot, &drive, &token).await,
        json!({"changes": [], "newStartPageToken": token})
    );
    for mutation in [
        Mutation::rename(&changed, "once"),
        Mutation::delete(&deleted),
        Mutation::modify(&changed, "y"),
        Mutation::rename(&changed, "twice"),
    ] {
        google.mutate(mutation).unwrap();
    }
    let got = since(&bot, &drive, &token).await;
    assert_eq!(
        got["changes"],
        json!([
            {"changeType": "file", "removed": true, "fileId": deleted},
            {"changeType": "file", "removed": false, "fileId": changed, "file":
                {"name": "twice", "parents": [drive], "trashed": false, "version": "4"}},
        ])
    );
    let next = got["newStartPageToken"].as_str().unwrap();
    assert_eq!(since(&bot, &drive, next).await["changes"], json!([]));
    google.advance_clock(400 * 24 * 3600);
    let bot = Caller::of(google, BOT);
    assert_eq!(since(&bot, &drive, &token).await["changes"], got["changes"]);
    let without =
        format!("changes?pageToken={token}&driveId={drive}&{SHARED}&includeRemoved=false");
    assert_eq!(
        texts(&bot.json(&without).await["changes"], "fileId"),
        [changed]
    );
    assert_ne!(kept, "");
}

#[tokio::test]
async fn what_moves_with_a_folder_is_not_told_of() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let add = |item: NewItem, inside: &str| google.add(item.inside(inside)).unwrap();
    let from = add(NewItem::folder("from"), &drive);
    let to = add(NewItem::folder("to"), &drive);
    let folder = add(NewItem::folder("f"), &from);
    let file = add(NewItem::blob("a", "x"), &folder);
    let bot = Caller::of(google, BOT);
    let token = start(&bot, &drive).await;
    google.mutate(Mutation::relocate(&folder, &to)).unwrap();
    let moved = since(&bot, &drive, &token).await;
    assert_eq!(texts(&moved["changes"], "fileId"), from_ref(&folder));
    assert_eq!(moved["changes"][0]["file"]["parents"], json!([to]));
    google.mutate(Mutation::trash(&to)).unwrap();
    let trashed = since(&bot, &drive, &token).await;
    assert_eq!(
        texts(&trashed["changes"], "fileId"),
        [folder.clone(), to.clone()]
    );
    assert_eq!(trashed["changes"][0]["file"]["trashed"], true);
    assert!(google.mutate(Mutation::relocate(&to, &folder)).is_err());
    google.mutate(Mutation::delete(&to)).unwrap();
    let deleted = since(&bot, &drive, &token).await;
    assert_eq!(
        deleted["changes"].as_array().unwrap().last().unwrap()["removed"],
        true
    );
    let get = format!("files/{file}?supportsAllDrives=true");
    assert_eq!(bot.get(&get).await.status, 404);
}

#[tokio::test]
async fn lost_access_looks_like_a_deletion() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let file = google.add(NewItem::blob("a", "x").inside(&drive)).unwrap();
    let ben = Caller::of(google, BEN);
    let token = google_start(google, BEN).await;
    google
        .mutate(Mutation::share(&file, BEN, Role::Reader))
        .unwrap();
    let got = mine(&ben, &token).await;
    assert_eq!((got[0]["removed"].clone(), got.len()), (json!(false), 1));
    google.mutate(Mutation::unshare(&file, BEN)).unwrap();
    assert_eq!(
        mine(&ben, &token).await,
        [json!({"changeType": "file", "removed": true, "fileId": file})]
    );
    let bot = Caller::of(google, BOT);
    let token = start(&bot, &drive).await;
    google.mutate(Mutation::limit(&file, true)).unwrap();
    assert_eq!(
        since(&bot, &drive, &token).await["changes"],
        json!([{"changeType": "file", "removed": true, "fileId": file}])
    );
    let anna = Caller::of(google, ANNA);
    assert_eq!(
        since(&anna, &drive, &token).await["changes"][0]["removed"],
        false
    );
}

async fn google_start(google: &GoogleLab, email: &str) -> String {
    let caller = Caller::of(google, email);
    let got = caller.json("changes/startPageToken").await;
    got["startPageToken"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_loses_a_drive_is_told_of_the_drive() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let file = google.add(NewItem::blob("a", "x").inside(&drive)).unwrap();
    let bot = Caller::of(google, BOT);
    let in_drive = start(&bot, &drive).await;
    let token = google_start(google, BOT).await;
    google.mutate(Mutation::rename(&file, "b")).unwrap();
    google
        .mutate(Mutation::RenameDrive {
            drive: drive.clone(),
            name: "Crew".to_owned(),
        })
        .unwrap();
    let got = mine(&bot, &token).await;
    assert_eq!(got.len(), 2);
    assert_eq!(
        got[1],
        json!({"changeType": "drive", "removed": false, "driveId": drive, "drive": {"name": "Crew"}})
    );
    google.mutate(Mutation::remove_member(&drive, BOT)).unwrap();
    assert_eq!(
        mine(&bot, &token).await,
        [json!({"changeType": "drive", "removed": true, "driveId": drive})]
    );
    let path = format!("changes?driveId={drive}&pageToken={in_drive}&{SHARED}");
    assert_eq!(bot.refusal(&path).await, refused(404, "notFound"));
    google
        .mutate(Mutation::add_member(&drive, BOT, Role::Reader))
        .unwrap();
    assert_eq!(bot.get(&path).await.status, 200);
    google
        .mutate(Mutation::DeleteDrive {
            drive: drive.clone(),
        })
        .unwrap();
    assert_eq!(bot.refusal(&path).await, refused(404, "notFound"));
    let got = mine(&bot, &token).await;
    assert_eq!(got.last().unwrap()["removed"], true);
}

#[tokio::test]
async fn a_persons_feed_has_shared_drives_only_when_asked() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let token = google_start(google, ANNA).await;
    let in_drive = start(&Caller::of(google, ANNA), &drive).await;
    let root = google.root_of(ANNA).unwrap();
    let own = google.add(NewItem::blob("own", "x").inside(&root)).unwrap();
    let shared = google
        .add(NewItem::blob("shared", "x").inside(&drive))
        .unwrap();
    let anna = Caller::of(google, ANNA);
    let ids = async |more: &str| {
        let got = anna.json(&format!("changes?pageToken={token}{more}")).await;
        texts(&got["changes"], "fileId")
    };
    assert_eq!(ids("").await, from_ref(&own));
    assert_eq!(
        ids(&format!("&{SHARED}")).await,
        [own.clone(), shared.clone()]
    );
    assert_eq!(
        ids(&format!("&{SHARED}&restrictToMyDrive=true")).await,
        from_ref(&own)
    );
    google.mutate(Mutation::relocate(&shared, &root)).unwrap();
    let path = format!("changes?driveId={drive}&pageToken={in_drive}&{SHARED}");
    let left = anna.json(&path).await;
    let change = left["changes"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (change["removed"].clone(), change.get("file")),
        (json!(true), None)
    );
    let still = anna
        .json(&format!("{path}&includeCorpusRemovals=true"))
        .await;
    let change = still["changes"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(change["file"]["name"], "shared");
}

#[tokio::test]
async fn a_place_in_one_feed_is_none_in_another() {
    let (lab, drive) = harbour().await;
    let bot = Caller::of(lab.google(), BOT);
    let of_drive = start(&bot, &drive).await;
    let own = google_start(lab.google(), BOT).await;
    assert_eq!(mine(&bot, &own).await, [json!(null); 0]);
    let path = format!("changes?pageToken={of_drive}&{SHARED}");
    assert_eq!(bot.refusal(&path).await, refused(400, "invalid"));
    let path = format!("changes?driveId={drive}&pageToken={own}&{SHARED}");
    assert_eq!(bot.refusal(&path).await, refused(400, "invalid"));
}

#[tokio::test]
async fn long_feeds_come_in_pages_and_unknown_places_are_refused() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let bot = Caller::of(google, BOT);
    let mut token = start(&bot, &drive).await;
    let first = token.clone();
    let mut expected = Vec::new();
    for number in 0..5 {
        let item = NewItem::blob(format!("{number}"), "x").inside(&drive);
        expected.push(google.add(item).unwrap());
    }
    let mut got = Vec::new();
    let mut pages = 0;
    let end = loop {
        let path = format!("changes?driveId={drive}&pageToken={token}&{SHARED}&pageSize=2");
        let page = bot.json(&path).await;
        got.extend(texts(&page["changes"], "fileId"));
        pages += 1;
        match page["nextPageToken"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break page["newStartPageToken"].clone(),
        }
    };
    assert_eq!((got, pages), (expected, 3));
    assert!(end.is_string());
    for token in ["999", "0", "x", "-1"] {
        let path = format!("changes?driveId={drive}&pageToken={token}&{SHARED}");
        let answer = bot.get(&path).await;
        assert_eq!(answer.refusal(), refused(400, "invalid"));
        assert_eq!(answer.json()["error"]["errors"][0]["location"], "pageToken");
    }
    google.forget_feed_tokens();
    let path = format!("changes?driveId={drive}&pageToken={first}&{SHARED}");
    assert_eq!(bot.refusal(&path).await, refused(400, "invalid"));
    let fresh = start(&bot, &drive).await;
    assert_eq!(since(&bot, &drive, &fresh).await["changes"], json!([]));
}

/// An address that hears what is sent to it.
async fn listening() -> (String, UnboundedReceiver<http::HeaderMap>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, hears) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tell = tell.clone();
            let hear = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let told = tell.send(request.headers().clone());
                async move {
                    assert!(told.is_ok());
                    Ok::<_, Infallible>(Response::new(String::new()))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), hear));
        }
    });
    (address, hears)
}

async fn heard(hears: &mut UnboundedReceiver<http::HeaderMap>) -> Vec<String> {
    let headers = tokio::time::timeout(Duration::from_secs(5), hears.recv())
        .await
        .unwrap()
        .unwrap();
    [
        "channel-id",
        "channel-token",
        "resource-state",
        "message-number",
    ]
    .map(|name| {
        headers[format!("x-goog-{name}").as_str()]
            .to_str()
            .unwrap()
            .to_owned()
    })
    .to_vec()
}

#[tokio::test]
async fn a_channel_hears_of_changes_until_it_is_stopped() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let bot = Caller::of(google, BOT);
    let token = start(&bot, &drive).await;
    let (address, mut hears) = listening().await;
    let watch = format!("changes/watch?driveId={drive}&pageToken={token}&{SHARED}");
    let body = json!({"id": "channel-1", "type": "web_hook", "address": address, "token": "t"});
    let channel = bot.send(Method::POST, &watch, &[], &body).await.json();
    assert_eq!(channel["kind"], "api#channel");
    assert_eq!(heard(&mut hears).await, ["channel-1", "t", "sync", "1"]);
    google.add(NewItem::blob("a", "x").inside(&drive)).unwrap();
    assert_eq!(heard(&mut hears).await, ["channel-1", "t", "change", "2"]);
    let own = google.root_of(BEN).unwrap();
    google.add(NewItem::blob("b", "x").inside(&own)).unwrap();

    let again = bot.send(Method::POST, &watch, &[], &body).await;
    assert_eq!(again.refusal(), refused(400, "channelIdNotUnique"));
    let stop = json!({"id": "channel-1", "resourceId": channel["resourceId"]});
    let wrong = json!({"id": "channel-1", "resourceId": "other"});
    let stopped = async |body: &Value| {
        bot.send(Method::POST, "channels/stop", &[], body)
            .await
            .status
    };
    assert_eq!(stopped(&wrong).await, 404);
    assert_eq!(stopped(&stop).await, 204);
    assert_eq!(stopped(&stop).await, 404);
    google.add(NewItem::blob("c", "x").inside(&drive)).unwrap();
    let states: Vec<_> = google
        .deliveries()
        .into_iter()
        .map(|delivery| (delivery.state, delivery.status))
        .collect();
    assert_eq!(
        states,
        [
            ("sync".to_owned(), Some(200)),
            ("change".to_owned(), Some(200))
        ]
    );
}

#[tokio::test]
async fn a_channel_ends_after_a_week_and_by_itself() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let bot = Caller::of(google, BOT);
    let token = start(&bot, &drive).await;
    let (address, mut hears) = listening().await;
    let watch = format!("changes/watch?driveId={drive}&pageToken={token}&{SHARED}");
    let open = async |changes: Value| {
        let mut body = json!({"id": "c", "type": "web_hook", "address": address, "token": "t"});
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        bot.send(Method::POST, &watch, &[], &body).await
    };
    for (changes, reason) in [
        (json!({"id": ""}), "required"),
        (json!({"type": "carrier_pigeon"}), "invalid"),
        (
            json!({"address": "http://example.com/hook"}),
            "push.webhookUrlNotHttps",
        ),
        (json!({"expiration": "1"}), "invalid"),
        (json!({"expiration": "soon"}), "invalid"),
    ] {
        assert_eq!(
            open(changes.clone()).await.refusal(),
            refused(400, reason),
            "{changes}"
        );
    }
    let date = open(json!({"id": "probe"})).await;
    let expires = |answer: &Value| {
        answer["expiration"]
            .as_str()
            .unwrap()
            .parse::<i64>()
            .unwrap()
    };
    let hour = expires(&date.json());
    let late = open(json!({"expiration": (hour * 2).to_string()})).await;
    let week = expires(&late.json());
    assert!((week - hour - (7 * 24 - 1) * 3_600_000).abs() < 10_000);
    assert_eq!(heard(&mut hears).await[2], "sync");
    assert_eq!(heard(&mut hears).await[2], "sync");
    google.advance_clock(7 * 24 * 3600 + 10);
    google.add(NewItem::blob("a", "x").inside(&drive)).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(hears.try_recv().is_err());
}
