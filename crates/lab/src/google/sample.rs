//! The sample of the lab's Google: a shared drive with the odd names real ones have, and a person's files.

use super::seed::{NewClient, NewGrant, NewServiceAccount, NewUser, Seed, SeedDrive, SeedMyDrive};
use super::tree::access::Role;
use super::tree::kind::{DOCX, XLSX};
use super::tree::new_item::{Holding, NewItem};

/// The service account of the sample.
pub(crate) const SERVICE_ACCOUNT: &str = "wharf-demo@demo-project.iam.gserviceaccount.com";
/// The person.
pub(crate) const PERSON: &str = "harbour.master@harbour.example";
/// The OAuth client.
pub(crate) const CLIENT_ID: &str = "100200300400-demo.apps.googleusercontent.com";
const CLIENT_SECRET: &str = "GOCSPX-lab-demo-secret";
const REFRESH_TOKEN: &str = "1//0lab-demo-refresh-token";
const READ: &str = "https://www.googleapis.com/auth/drive.readonly";

fn folder(name: &str, items: Vec<NewItem>) -> NewItem {
    let mut folder = NewItem::folder(name);
    folder.holding = Holding::Folder(items);
    folder
}

fn text(name: &str, text: &'static str) -> NewItem {
    NewItem::blob(name, text)
}

pub(crate) fn seed() -> Seed {
    let logs = folder(
        "Logs",
        vec![
            text("watch.txt", "06:00 fog, 07:10 clear.\n"),
            text("watch.txt", "18:00 wind south-west, rising.\n"),
            text("tide 10/12.txt", "High water 06:12.\n"),
        ],
    );
    let charts = folder(
        "Charts",
        vec![
            folder(
                "2025",
                vec![text("soundings.csv", "point,metres\nA,4.1\nB,12.3\n")],
            ),
            NewItem::native("Pilot book", "document")
                .export(DOCX, "The pilot book, as a document.\n")
                .export("text/plain", "Keep the light to port.\n"),
        ],
    );
    let fees = NewItem::native("Fees", "spreadsheet")
        .export(XLSX, "The fees, as a workbook.\n")
        .export("text/csv", "vessel,metres,fee\nAurora,12,40\n");
    let drive = SeedDrive {
        name: "demo-drive".to_owned(),
        members: [
            (SERVICE_ACCOUNT.to_owned(), Role::Organizer),
            (PERSON.to_owned(), Role::Organizer),
        ]
        .into(),
        items: vec![
            logs,
            charts,
            fees,
            text("empty.txt", ""),
            NewItem::shortcut("Newest soundings", "Charts/2025/soundings.csv"),
        ],
        bulk: None,
    };
    let my_drive = SeedMyDrive {
        user: PERSON.to_owned(),
        items: vec![
            text("notes.md", "# Notes\n\n- paint the buoy\n"),
            folder("Letters", vec![text("to the pilots.txt", "Dear pilots,\n")]),
        ],
        bulk: None,
    };
    Seed {
        users: vec![NewUser {
            email: PERSON.to_owned(),
            name: Some("Harbour Master".to_owned()),
        }],
        service_accounts: vec![NewServiceAccount {
            email: SERVICE_ACCOUNT.to_owned(),
            project_id: Some("demo-project".to_owned()),
            delegated_scopes: vec![READ.to_owned()],
            private_key: None,
        }],
        clients: vec![NewClient {
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
            redirect_uris: Vec::new(),
        }],
        grants: vec![NewGrant {
            client_id: CLIENT_ID.to_owned(),
            user: PERSON.to_owned(),
            scopes: vec![READ.to_owned()],
            refresh_token: Some(REFRESH_TOKEN.to_owned()),
        }],
        drives: vec![drive],
        my_drives: vec![my_drive],
    }
}
