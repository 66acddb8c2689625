//! The lab's Google as another process fills it, and the sample that comes with it.

use http::Method;
use serde_json::{Value, json};
use wharf_lab::Lab;

use crate::google_client::{Answer, Caller, READ, SHARED, send, texts, token};

async fn admin(lab: &Lab, method: Method, path: &str, body: &Value) -> Answer {
    let url = format!("{}/__admin/{path}", lab.google().url());
    let kind = [("content-type", "application/json")];
    send(method, &url, &kind, body.to_string()).await.unwrap()
}

async fn post(lab: &Lab, path: &str, body: Value) -> Value {
    let answer = admin(lab, Method::POST, path, &body).await;
    assert!(answer.status < 300, "{path}: {:?}", answer.body);
    answer.json()
}

#[tokio::test]
async fn a_whole_world_comes_in_one_seed() {
    let lab = crate::client::start().await;
    let made = post(
        &lab,
        "seed",
        json!({
            "users": [{"email": "a@x.example", "name": "A"}],
            "service_accounts": [{"email": "bot@p.iam.gserviceaccount.com", "project_id": "p", "delegated_scopes": [READ]}],
            "clients": [{"client_id": "c", "client_secret": "s", "redirect_uris": ["http://127.0.0.1:1/back"]}],
            "grants": [{"client_id": "c", "user": "a@x.example", "scopes": [READ], "refresh_token": "1//given"}],
            "drives": [{
                "name": "D",
                "members": {"bot@p.iam.gserviceaccount.com": "reader"},
                "items": [
                    {"name": "docs", "folder": [
                        {"name": "a.txt", "text": "hello", "properties": {"k": "v"}},
                        {"name": "b.bin", "base64": "AAEC"},
                        {"name": "Plan", "native": "document", "exports": {"text/plain": "plan"}},
                    ]},
                    {"name": "to a", "shortcut_to": "docs/a.txt"},
                ],
                "bulk": {"files": 30, "folders": 4, "size": 10},
            }],
            "my_drives": [{"user": "a@x.example", "items": [{"name": "mine.txt", "size": 12}]}],
        }),
    )
    .await;
    assert_eq!(made["refresh_tokens"], json!(["1//given"]));
    assert_eq!(made["service_accounts"][0]["project_id"], "p");
    let files = made["files"].as_array().unwrap();
    assert_eq!(files.len(), 5 + 34 + 1);
    let id = |path: &str| {
        let found = files.iter().find(|file| file["path"] == path).unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    let google = lab.google();
    let bot = Caller::of(google, "bot@p.iam.gserviceaccount.com");
    let drive = made["drives"][0].as_str().unwrap();
    let list = format!(
        "files?corpora=drive&driveId={drive}&{SHARED}&pageSize=1000&fields=files(id,shortcutDetails)"
    );
    let listed = bot.json(&list).await;
    assert_eq!(listed["files"].as_array().unwrap().len(), 39);
    let shortcut = id("D/to a");
    let details = format!("files/{shortcut}?supportsAllDrives=true&fields=shortcutDetails");
    assert_eq!(
        bot.json(&details).await["shortcutDetails"]["targetId"],
        json!(id("D/docs/a.txt"))
    );
    let folder = id("D/folder-002");
    let inside = bot
        .json(&format!("files?q='{folder}'+in+parents&{SHARED}"))
        .await;
    assert!((7..=8).contains(&inside["files"].as_array().unwrap().len()));

    let renamed = json!({"op": "rename", "file": id("D/docs/a.txt"), "name": "c.txt"});
    assert_eq!(post(&lab, "mutate", renamed).await, json!({"ids": [null]}));
    let many = json!([
        {"op": "modify", "file": id("D/docs/b.bin"), "text": "new"},
        {"op": "create", "item": {"name": "new.txt", "text": "x", "inside": id("D/docs")}},
        {"op": "annotate", "file": id("D/docs/b.bin"), "description": "said", "starred": true},
        {"op": "add_member", "drive": drive, "user": "a@x.example", "role": "fileOrganizer"},
    ]);
    let ids = post(&lab, "mutate", many).await["ids"].clone();
    assert!(ids[1].is_string() && ids[0].is_null());
    let nothing = json!({"op": "trash", "file": "nothing"});
    let refused = admin(&lab, Method::POST, "mutate", &nothing).await;
    assert_eq!(refused.status, 400);
    let stranger = json!({"drives": [{"name": "E", "members": {"who@x": "reader"}}]});
    assert_eq!(
        admin(&lab, Method::POST, "seed", &stranger).await.status,
        400
    );
    let all = admin(&lab, Method::GET, "files", &Value::Null).await.json();
    let paths = texts(&all, "path");
    assert!(paths.contains(&"D/docs/c.txt".to_owned()));
    assert!(paths.contains(&"a@x.example/mine.txt".to_owned()));
}

#[tokio::test]
async fn clock_faults_accounts_and_journal_are_ruled_by_wire() {
    let lab = crate::client::start().await;
    let google = lab.google();
    lab.seed_samples();
    let order = json!({"email": "harbour.master@harbour.example", "scopes": [READ]});
    let given = post(&lab, "access-token", order).await;
    let person = Caller::with(google, given["access_token"].as_str().unwrap());
    let rules = json!([{
        "match": {"operation": "drive_files_list", "user": "harbour.master@harbour.example", "times": 1},
        "action": {"reason": "userRateLimitExceeded", "headers": {"retry-after": "7"}},
    }]);
    post(&lab, "faults", rules).await;
    let limited = person.get("files").await;
    assert_eq!(limited.refusal().1, "userRateLimitExceeded");
    assert_eq!(limited.header("retry-after"), "7");
    assert_eq!(person.get("files").await.status, 200);
    post(&lab, "clock", json!({"advance_s": 1800})).await;
    assert_eq!(person.get("files").await.status, 200);
    post(&lab, "clock", json!({"advance_s": 1800})).await;
    assert_eq!(person.get("files").await.status, 401);
    let journal = admin(&lab, Method::GET, "journal", &Value::Null)
        .await
        .json();
    let seen: Vec<_> = journal
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (
                entry["operation"].clone(),
                entry["status"].clone(),
                entry["bearer"].clone(),
                entry["user"].clone(),
            )
        })
        .collect();
    assert_eq!(seen.len(), 4);
    assert_eq!(
        seen[0],
        (
            json!("drive_files_list"),
            json!(403),
            json!(true),
            json!("harbour.master@harbour.example")
        )
    );
    let grants = admin(&lab, Method::GET, "grants", &Value::Null)
        .await
        .json();
    let refresh_token = grants[0]["refresh_token"].as_str().unwrap();
    let revoke = json!({"refresh_token": refresh_token, "state": "revoked"});
    post(&lab, "grants", revoke).await;
    let (status, answer) = token(
        google,
        &[
            ("grant_type", "refresh_token"),
            ("client_id", grants[0]["client_id"].as_str().unwrap()),
            ("client_secret", "GOCSPX-lab-demo-secret"),
            ("refresh_token", refresh_token),
        ],
    )
    .await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    let bad = json!({"consent": "x"});
    assert!(admin(&lab, Method::POST, "accounts", &bad).await.status >= 400);
    post(&lab, "reset", Value::Null).await;
    assert!(google.journal().is_empty() && google.files().is_empty() && google.grants().is_empty());
}

#[tokio::test]
async fn absurd_times_are_borne() {
    let lab = crate::client::start().await;
    lab.seed_samples();
    let google = lab.google();
    let person = "harbour.master@harbour.example";
    for seconds in [i64::MAX, 8_000_000_000_000, -8_000_000_000_000, i64::MIN, 0] {
        post(&lab, "accounts", json!({"token_seconds": seconds})).await;
        post(&lab, "clock", json!({"advance_s": seconds})).await;
        let caller = Caller::of(google, person);
        let status = caller.get("files").await.status;
        assert!([200, 401].contains(&status), "{seconds}: {status}");
    }
    post(&lab, "accounts", json!({"token_seconds": 3599})).await;
    assert_eq!(Caller::of(google, person).get("files").await.status, 200);
}

#[tokio::test]
async fn the_sample_has_the_odd_files_real_drives_have() {
    let lab = crate::client::start().await;
    lab.seed_samples();
    let google = lab.google();
    let files = google.files();
    let in_drive: Vec<_> = files
        .iter()
        .filter_map(|file| file.path.strip_prefix("demo-drive/"))
        .collect();
    assert_eq!(
        in_drive,
        [
            "Charts",
            "Charts/2025",
            "Charts/2025/soundings.csv",
            "Charts/Pilot book",
            "Fees",
            "Logs",
            "Logs/tide 10/12.txt",
            "Logs/watch.txt",
            "Logs/watch.txt",
            "Newest soundings",
            "empty.txt",
        ]
    );
    let key = google
        .key_file("wharf-demo@demo-project.iam.gserviceaccount.com")
        .unwrap();
    assert!(key.private_key.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert_eq!(key.project_id, "demo-project");
    let twice = crate::client::start().await;
    twice.seed_samples();
    assert_eq!(twice.google().files(), files);
}
