//! Drive's listings: what they show to whom, and what they refuse.

use serde_json::json;
use wharf_lab::google::{Mutation, NewItem, Role};

use crate::google_client::{
    ANNA, BEN, BOT, Caller, SHARED, escaped, harbour, refused, send, texts,
};

#[tokio::test]
async fn a_shared_drive_is_listed_page_by_page_and_each_file_once() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let folder = google.add(NewItem::folder("f").inside(&drive)).unwrap();
    for number in 0..7 {
        let inside = if number % 2 == 0 { &drive } else { &folder };
        google
            .add(NewItem::blob(format!("{number}.txt"), "x").inside(inside))
            .unwrap();
    }
    let bot = Caller::of(google, BOT);
    let first = format!("files?corpora=drive&driveId={drive}&{SHARED}&pageSize=3");
    let mut next = String::new();
    let mut seen = Vec::new();
    let mut sizes = Vec::new();
    loop {
        let page = bot.json(&format!("{first}{next}")).await;
        assert_eq!(page["kind"], "drive#fileList");
        assert_eq!(page["incompleteSearch"], false);
        sizes.push(page["files"].as_array().unwrap().len());
        seen.extend(texts(&page["files"], "id"));
        match page["nextPageToken"].as_str() {
            Some(token) => next = format!("&pageToken={}", escaped(token)),
            None => break,
        }
    }
    assert_eq!(sizes, [3, 3, 2]);
    let again = texts(
        &bot.json(&first.replace("pageSize=3", "pageSize=1000"))
            .await["files"],
        "id",
    );
    assert_eq!(seen, again);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 8);
    let other = first.replace("pageSize=3", "q=trashed%3Dtrue");
    assert_eq!(
        bot.refusal(&format!("{other}{next}")).await,
        refused(400, "invalid")
    );
    google.advance_clock(100_000);
    let bot = Caller::of(google, BOT);
    assert_eq!(
        bot.refusal(&format!("{first}{next}")).await,
        refused(400, "invalid")
    );
}

#[tokio::test]
async fn only_what_was_asked_for_is_answered() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let mut item = NewItem::blob("a.txt", "hello")
        .inside(&drive)
        .property("k", "v");
    item.description = Some("A file".to_owned());
    let id = google.add(item).unwrap();
    let bot = Caller::of(google, BOT);
    let usual = bot
        .json(&format!("files/{id}?supportsAllDrives=true"))
        .await;
    assert_eq!(
        usual,
        json!({
            "kind": "drive#file", "id": id, "name": "a.txt", "mimeType": "text/plain",
            "driveId": drive, "teamDriveId": drive,
        })
    );
    let path = format!(
        "files/{id}?supportsAllDrives=true&fields=size,version,md5Checksum,parents,description,properties,\
         trashed,capabilities(canDownload,canListChildren)"
    );
    assert_eq!(
        bot.json(&path).await,
        json!({
            "size": "5", "version": "1", "md5Checksum": "5d41402abc4b2a76b9719d911017c592",
            "parents": [drive], "description": "A file", "properties": {"k": "v"}, "trashed": false,
            "capabilities": {"canDownload": true, "canListChildren": false},
        })
    );
    let refused_mask = bot
        .get(&format!(
            "files/{id}?supportsAllDrives=true&fields=id,title"
        ))
        .await;
    assert_eq!(refused_mask.refusal(), refused(400, "invalidParameter"));
    assert_eq!(
        refused_mask.json()["error"]["message"],
        "Invalid field selection title"
    );
    assert_eq!(bot.refusal("about").await, refused(400, "required"));
    let formats = bot.json("about?fields=exportFormats").await;
    let document = &formats["exportFormats"]["application/vnd.google-apps.document"];
    assert!(
        document
            .as_array()
            .unwrap()
            .contains(&json!("text/markdown"))
    );
}

#[tokio::test]
async fn what_the_interface_does_not_know_is_refused() {
    let (lab, drive) = harbour().await;
    let bot = Caller::of(lab.google(), BOT);
    for (path, status, reason) in [
        ("files?page_size=3", 400, "invalid"),
        ("files?pageSize=many", 400, "invalid"),
        ("files?supportsAllDrives=yes", 400, "invalid"),
        ("files?pageSize=0", 400, "invalidParameter"),
        ("files?pageSize=1001", 400, "invalidParameter"),
        ("drives?pageSize=101", 400, "invalidParameter"),
        ("files?q=title%3D'a'", 400, "invalid"),
        ("files?orderBy=size", 400, "invalid"),
        ("files?spaces=cellar", 400, "invalid"),
        ("files?corpora=everything", 400, "invalid"),
        ("files?pageToken=abc", 400, "invalid"),
        ("files?alt=media", 400, "invalidParameter"),
        ("files?fields=files(", 400, "invalidParameter"),
        (
            "files?corpora=allDrives",
            403,
            "includeItemsFromAllDrivesRequired",
        ),
        ("changes", 400, "required"),
    ] {
        assert_eq!(bot.refusal(path).await, refused(status, reason), "{path}");
    }
    for path in [
        format!("files?corpora=drive&{SHARED}"),
        format!("files?driveId={drive}&{SHARED}"),
    ] {
        assert_eq!(
            bot.refusal(&path).await,
            refused(400, "teamDriveIdRequiresTeamDriveCorpora")
        );
    }
    assert_eq!(bot.get("nothing").await.status, 404);
    let trash = bot
        .send(http::Method::DELETE, "files/trash", &[], &json!(null))
        .await;
    assert_eq!(trash.status, 404);
}

#[tokio::test]
async fn shared_drives_are_invisible_to_who_does_not_ask_for_them() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let id = google
        .add(NewItem::blob("a.txt", "x").inside(&drive))
        .unwrap();
    let anna = Caller::of(google, ANNA);
    let in_drive = format!("q='{drive}'+in+parents");
    assert_eq!(anna.names(&format!("{in_drive}&{SHARED}")).await, ["a.txt"]);
    for without in [
        "",
        "&supportsAllDrives=true",
        "&includeItemsFromAllDrives=true",
    ] {
        assert!(anna.names(&format!("{in_drive}{without}")).await.is_empty());
    }
    assert_eq!(
        anna.refusal(&format!("files/{id}")).await,
        refused(404, "notFound")
    );
    assert_eq!(
        anna.get(&format!("files/{id}?supportsAllDrives=true"))
            .await
            .status,
        200
    );
    // A person's own listing has what was shared with them by name, not all they could see.
    assert!(anna.names(SHARED).await.is_empty());
    assert_eq!(
        anna.names(&format!("corpora=allDrives&{SHARED}")).await,
        ["a.txt"]
    );
}

#[tokio::test]
async fn who_is_no_member_sees_what_was_shared_with_them_alone() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let folder = google
        .add(NewItem::folder("for ben").inside(&drive))
        .unwrap();
    let inside = google
        .add(NewItem::blob("in.txt", "x").inside(&folder))
        .unwrap();
    let outside = google
        .add(NewItem::blob("out.txt", "x").inside(&drive))
        .unwrap();
    let ben = Caller::of(google, BEN);
    let get = |id: &str| format!("files/{id}?supportsAllDrives=true&fields=id,parents");
    assert_eq!(ben.refusal(&get(&inside)).await, refused(404, "notFound"));
    google
        .mutate(Mutation::share(&folder, BEN, Role::Reader))
        .unwrap();
    assert_eq!(ben.json(&get(&inside)).await["parents"], json!([folder]));
    assert_eq!(ben.json(&get(&folder)).await.get("parents"), None);
    assert_eq!(ben.refusal(&get(&outside)).await, refused(404, "notFound"));
    assert_eq!(ben.names(SHARED).await, ["for ben", "in.txt"]);
    assert_eq!(
        ben.names(&format!("q=sharedWithMe&{SHARED}")).await,
        ["for ben"]
    );
    let corpus = format!("files?corpora=drive&driveId={drive}&{SHARED}");
    assert_eq!(
        ben.refusal(&corpus).await,
        refused(403, "teamDriveMembershipRequired")
    );
    assert_eq!(
        ben.refusal(&format!("drives/{drive}")).await,
        refused(404, "notFound")
    );
    google.mutate(Mutation::unshare(&folder, BEN)).unwrap();
    assert_eq!(ben.refusal(&get(&inside)).await, refused(404, "notFound"));
}

#[tokio::test]
async fn a_limited_folder_is_for_organizers_and_those_named() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let folder = google.add(NewItem::folder("board").inside(&drive)).unwrap();
    let file = google
        .add(NewItem::blob("minutes.txt", "x").inside(&folder))
        .unwrap();
    google.mutate(Mutation::limit(&folder, true)).unwrap();
    let get = format!("files/{file}?supportsAllDrives=true");
    assert_eq!(Caller::of(google, ANNA).get(&get).await.status, 200);
    let bot = Caller::of(google, BOT);
    assert_eq!(bot.refusal(&get).await, refused(404, "notFound"));
    google
        .mutate(Mutation::share(&folder, BOT, Role::Reader))
        .unwrap();
    assert_eq!(bot.get(&get).await.status, 200);
}

#[tokio::test]
async fn searches_find_what_they_say() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let root = google.root_of(BEN).unwrap();
    let folder = google.add(NewItem::folder("Notes").inside(&root)).unwrap();
    for name in ["it's.txt", r"back\slash.txt", "b.md"] {
        google
            .add(NewItem::blob(name, "x").inside(&folder))
            .unwrap();
    }
    let twice = [1, 2].map(|_| {
        let same = NewItem::blob("same", "x").inside(&root);
        google.add(same).unwrap()
    });
    google.mutate(Mutation::trash(&twice[0])).unwrap();
    let ben = Caller::of(google, BEN);
    for (query, names) in [
        (
            "'root' in parents and trashed = false",
            &["Notes", "same"][..],
        ),
        ("name = 'same'", &["same", "same"]),
        ("name = 'same' and trashed = true", &["same"]),
        (r"name = 'it\'s.txt'", &["it's.txt"]),
        (r"name = 'back\\slash.txt'", &[r"back\slash.txt"]),
        (
            "mimeType = 'application/vnd.google-apps.folder'",
            &["Notes"],
        ),
        (
            "mimeType != 'application/vnd.google-apps.folder' and trashed=false and name contains 'b'",
            &["b.md", r"back\slash.txt"],
        ),
        ("'me' in owners and mimeType = 'text/markdown'", &["b.md"]),
        ("not trashed = false", &["same"]),
        ("name = 'b.md' or name = 'Notes'", &["Notes", "b.md"]),
        (
            "'root' in parents or name = 'b.md'",
            &["Notes", "b.md", "same", "same"],
        ),
    ] {
        let found = ben.names(&format!("q={}", escaped(query))).await;
        assert_eq!(found, names, "{query}");
    }
    let either = format!("'{root}' in parents or '{folder}' in parents");
    assert!(
        ben.names(&format!("q={}", escaped(&either)))
            .await
            .is_empty()
    );
    let nowhere = escaped(&format!("'{drive}x' in parents"));
    assert_eq!(
        ben.refusal(&format!("files?q={nowhere}")).await,
        refused(404, "notFound")
    );
    let ordered = ben
        .json("files?orderBy=folder,name+desc&fields=files/name")
        .await;
    let names = texts(&ordered["files"], "name");
    assert_eq!(
        names,
        [
            "Notes",
            "same",
            "same",
            "it's.txt",
            r"back\slash.txt",
            "b.md"
        ]
    );
}

#[tokio::test]
async fn trash_holds_all_below_a_folder() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let folder = google.add(NewItem::folder("f").inside(&drive)).unwrap();
    let file = google.add(NewItem::blob("a", "x").inside(&folder)).unwrap();
    google.mutate(Mutation::trash(&folder)).unwrap();
    let bot = Caller::of(google, BOT);
    let state =
        |id: &str| format!("files/{id}?supportsAllDrives=true&fields=trashed,explicitlyTrashed");
    assert_eq!(
        bot.json(&state(&file)).await,
        json!({"trashed": true, "explicitlyTrashed": false})
    );
    assert_eq!(
        bot.json(&state(&folder)).await,
        json!({"trashed": true, "explicitlyTrashed": true})
    );
    google.mutate(Mutation::untrash(&folder)).unwrap();
    assert_eq!(bot.json(&state(&file)).await["trashed"], false);
}

#[tokio::test]
async fn a_link_needs_its_resource_key() {
    let (lab, _) = harbour().await;
    let google = lab.google();
    let root = google.root_of(ANNA).unwrap();
    let mut open = NewItem::blob("open.txt", "x")
        .inside(&root)
        .shared_with("anyone", Role::Reader);
    let free = google.add(open.clone()).unwrap();
    open.resource_key = Some("0-key".to_owned());
    let locked = google.add(open).unwrap();
    let shortcut = google
        .add(NewItem::shortcut("s", &locked).inside(&root))
        .unwrap();
    let details = Caller::of(google, ANNA)
        .json(&format!("files/{shortcut}?fields=shortcutDetails"))
        .await;
    assert_eq!(
        details["shortcutDetails"],
        json!({"targetId": locked, "targetMimeType": "text/plain", "targetResourceKey": "0-key"})
    );
    let ben = Caller::of(google, BEN);
    assert_eq!(ben.get(&format!("files/{free}")).await.status, 200);
    let get = format!("files/{locked}");
    assert_eq!(ben.refusal(&get).await, refused(404, "notFound"));
    for (keys, status) in [
        (format!("{locked}/0-wrong"), 404),
        (format!("other/0-x,{locked}/0-key"), 200),
    ] {
        let headers = [("x-goog-drive-resource-keys", keys.as_str())];
        let answer = ben
            .send(http::Method::GET, &get, &headers, &json!(null))
            .await;
        assert_eq!(answer.status, status);
    }
    assert!(ben.names("").await.is_empty());
}

#[tokio::test]
async fn drives_are_listed_to_their_members() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let bot = Caller::of(google, BOT);
    assert_eq!(
        bot.json("drives").await,
        json!({"kind": "drive#driveList", "drives": [{"kind": "drive#drive", "id": drive, "name": "Team"}]})
    );
    let manages = format!("drives/{drive}?fields=capabilities/canManageMembers");
    for (who, expected) in [(BOT, false), (ANNA, true)] {
        let caller = Caller::of(google, who);
        let got = caller.json(&manages).await;
        assert_eq!(got, json!({"capabilities": {"canManageMembers": expected}}));
    }
    google.mutate(Mutation::remove_member(&drive, BOT)).unwrap();
    assert_eq!(bot.json("drives").await["drives"], json!([]));
}

#[tokio::test]
async fn a_token_opens_what_its_scopes_say() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let id = google
        .add(NewItem::blob("a.txt", "x").inside(&drive))
        .unwrap();
    let with = |scope: &str| {
        let scope = format!("https://www.googleapis.com/auth/{scope}");
        Caller::with(google, &google.access_token(BOT, &[&scope]))
    };
    let media = format!("files/{id}?alt=media&supportsAllDrives=true");
    let metadata = with("drive.metadata.readonly");
    let short = metadata.get(&media).await;
    assert_eq!(short.refusal(), refused(403, "insufficientPermissions"));
    assert_eq!(
        short.json()["error"]["details"][0]["reason"],
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    );
    assert_eq!(
        metadata
            .get(&format!("files/{id}?supportsAllDrives=true"))
            .await
            .status,
        200
    );
    assert_eq!(
        metadata.refusal("drives").await,
        refused(403, "insufficientPermissions")
    );
    let own = with("drive.file");
    assert_eq!(
        own.refusal(&media).await,
        refused(403, "appNotAuthorizedToFile")
    );
    assert!(
        own.names(&format!("corpora=allDrives&{SHARED}"))
            .await
            .is_empty()
    );
    assert_eq!(with("drive.readonly").get(&media).await.status, 200);
    assert_eq!(
        Caller::with(google, "ya29.unknown").refusal("files").await,
        refused(401, "authError")
    );
    let url = format!("{}/drive/v3/files", google.url());
    let nobody = send(http::Method::GET, &url, &[], "").await.unwrap();
    assert_eq!(nobody.refusal(), refused(401, "required"));
    google.end_sessions();
    assert_eq!(metadata.get("files").await.status, 401);
}

#[tokio::test]
async fn properties_of_an_app_are_shown_to_that_app() {
    let (lab, drive) = harbour().await;
    let google = lab.google();
    let mut item = NewItem::blob("a", "x").inside(&drive);
    item.app_properties = [("mine".to_owned(), "1".to_owned())].into();
    item.app = Some(google.key_file(BOT).unwrap().client_id);
    let id = google.add(item).unwrap();
    let path = format!("files/{id}?supportsAllDrives=true&fields=appProperties");
    assert_eq!(
        Caller::of(google, BOT).json(&path).await,
        json!({"appProperties": {"mine": "1"}})
    );
    assert_eq!(Caller::of(google, ANNA).json(&path).await, json!({}));
}
