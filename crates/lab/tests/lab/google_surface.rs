//! What the lab's Google answers has only fields its table of the interface names.

use http::Method;
use serde_json::{Value, json};
use wharf_lab::google::surface::{Shape, surface};
use wharf_lab::google::{Mutation, Role};

use crate::google_client::{BEN, Caller, SHARED};

fn unnamed(value: &Value, schema: &str, place: &str, found: &mut Vec<String>) {
    let fields = surface()
        .schemas
        .iter()
        .find(|known| known.name == schema)
        .unwrap()
        .fields;
    match value {
        Value::Array(values) => {
            for value in values {
                unnamed(value, schema, place, found);
            }
        }
        Value::Object(values) => {
            for (name, value) in values {
                let place = format!("{place}.{name}");
                match fields.iter().find(|(known, _)| known == name) {
                    Some((_, Shape::Object(inner))) => unnamed(value, inner, &place, found),
                    Some(_) => {}
                    None => found.push(place),
                }
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn every_answer_is_made_of_fields_of_the_interface() {
    let lab = crate::client::start().await;
    lab.seed_samples();
    let google = lab.google();
    google.add_user(BEN, "Ben");
    let caller = Caller::of(google, "wharf-demo@demo-project.iam.gserviceaccount.com");
    let drive = caller.json("drives").await["drives"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let start = caller.json("changes/startPageToken").await;
    let start = start["startPageToken"].as_str().unwrap();
    let files = google.files();
    google
        .mutate(Mutation::rename(&files[0].id, "renamed"))
        .unwrap();
    google
        .mutate(Mutation::add_member(&drive, BEN, Role::Reader))
        .unwrap();
    let id = &files[0].id;
    let document = &files
        .iter()
        .find(|file| file.mime_type.ends_with("google-apps.document"))
        .unwrap()
        .id;
    let download = format!("files/{document}/download?mimeType=text/plain");
    let operation = caller
        .send(Method::POST, &download, &[], &Value::Null)
        .await
        .json();
    let name = operation["name"].as_str().unwrap();
    let channel =
        json!({"id": "c", "type": "web_hook", "address": "https://localhost/", "token": "t"});
    let corpus = format!("corpora=drive&driveId={drive}&{SHARED}");
    let calls = [
        ("drive.about.get", "GET", "about?fields=*".to_owned()),
        (
            "drive.files.list",
            "GET",
            format!("files?{corpus}&fields=*"),
        ),
        (
            "drive.files.get",
            "GET",
            format!("files/{id}?supportsAllDrives=true&fields=*"),
        ),
        ("drive.files.download", "POST", download),
        ("drive.operations.get", "GET", format!("operations/{name}")),
        ("drive.drives.list", "GET", "drives?fields=*".to_owned()),
        (
            "drive.drives.get",
            "GET",
            format!("drives/{drive}?fields=*"),
        ),
        (
            "drive.changes.getStartPageToken",
            "GET",
            "changes/startPageToken".to_owned(),
        ),
        (
            "drive.changes.list",
            "GET",
            format!("changes?pageToken={start}&{SHARED}&fields=*"),
        ),
        (
            "drive.changes.watch",
            "POST",
            format!("changes/watch?pageToken={start}"),
        ),
    ];
    for (method, http, path) in &calls {
        let http = Method::from_bytes(http.as_bytes()).unwrap();
        let answer = caller.send(http, path, &[], &channel).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.json());
        let known = surface().methods.iter().find(|known| known.id == *method);
        let mut found = Vec::new();
        unnamed(
            &answer.json(),
            known.unwrap().response.unwrap(),
            "",
            &mut found,
        );
        assert!(found.is_empty(), "{method}: {found:?}");
    }
    // What is left gives bytes, or nothing.
    let tried: Vec<_> = calls.iter().map(|(method, ..)| *method).collect();
    for method in surface().methods {
        assert_eq!(
            method.response.is_some(),
            tried.contains(&method.id),
            "{}",
            method.id
        );
    }
}
