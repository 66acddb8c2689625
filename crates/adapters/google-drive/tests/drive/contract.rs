//! The contract of storage providers: on a shared drive, which is listed flatly, and on a person's folder, which is walked.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};
use wharf_domain::error_code::ErrorCode;
use wharf_lab::google::{GoogleLab, Mutation, NewItem, NewServiceAccount, Role};
use wharf_lab::{Action, FaultRule, Lab, ListingFault, Match, Operation};
use wharf_ports::OpenProvider;
use wharf_testkit::{Attached, Mishap, Place, UnrulyPlace};

use crate::account::{ADA, SERVICE, by_key, factory, lab, open, service_account};

mod on_a_shared_drive {
    wharf_testkit::provider_suite!(super::InDrive::shared);
}

mod in_a_folder {
    wharf_testkit::provider_suite!(super::InDrive::folder);
}

/// An empty folder at a Google of its own.
struct InDrive {
    lab: Lab,
    settings: Value,
    credentials: Value,
    wrong_credentials: Value,
    top: String,
    /// What was put there, by its path.
    ids: Mutex<BTreeMap<String, String>>,
}

impl InDrive {
    async fn new(top: impl FnOnce(&GoogleLab) -> (Value, String)) -> Self {
        let lab = lab().await;
        let google = lab.google();
        let key = service_account(google);
        let other = NewServiceAccount {
            email: "other@lab-project.iam.gserviceaccount.com".to_owned(),
            ..NewServiceAccount::default()
        };
        let other = google.add_service_account(other).unwrap();
        let credentials = by_key(&key);
        let mut wrong_credentials = credentials.clone();
        wrong_credentials["private_key"] = json!(other.private_key);
        let (settings, top) = top(google);
        Self {
            settings,
            credentials,
            wrong_credentials,
            top,
            ids: Mutex::default(),
            lab,
        }
    }

    async fn shared() -> Box<dyn UnrulyPlace> {
        let place = Self::new(|google| {
            let drive = google.add_drive("Team", [(SERVICE, Role::Reader)]).unwrap();
            (json!({"shared_drive_id": drive}), drive)
        });
        Box::new(place.await)
    }

    async fn folder() -> Box<dyn UnrulyPlace> {
        let place = Self::new(|google| {
            let root = google.root_of(ADA).unwrap();
            let top = google.add(NewItem::folder("Top").inside(root)).unwrap();
            (json!({"impersonate_user": ADA}), top)
        });
        Box::new(place.await)
    }

    fn google(&self) -> &GoogleLab {
        self.lab.google()
    }

    fn id(&self, path: &str) -> Option<String> {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.get(path).cloned()
    }

    fn note(&self, path: &str, id: &str) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.insert(path.to_owned(), id.to_owned());
    }

    /// The folder of a file, made where it is not there, and the file's name; nothing where a name is empty.
    fn folder_of(&self, path: &str) -> Option<(String, String)> {
        if path.split('/').any(str::is_empty) {
            return None;
        }
        let Some((folders, name)) = path.rsplit_once('/') else {
            return Some((self.top.clone(), path.to_owned()));
        };
        if let Some(id) = self.id(folders) {
            return Some((id, name.to_owned()));
        }
        let (above, folder) = self.folder_of(folders)?;
        let id = self.google().add(NewItem::folder(folder).inside(above));
        let id = id.unwrap();
        self.note(folders, &id);
        Some((id, name.to_owned()))
    }

    fn put_item(&self, path: &str, bytes: &[u8], dress: impl FnOnce(NewItem) -> NewItem) -> bool {
        if let Some(id) = self.id(path) {
            let change = Mutation::modify(id, bytes.to_vec());
            return self.google().mutate(change).is_ok();
        }
        let Some((folder, name)) = self.folder_of(path) else {
            return false;
        };
        let item = NewItem::blob(name, bytes.to_vec()).inside(folder);
        let id = self.google().add(dress(item)).unwrap();
        self.note(path, &id);
        true
    }
}

#[async_trait]
impl Place for InDrive {
    fn scope(&self) -> String {
        self.top.clone()
    }

    fn missing_scope(&self) -> String {
        "1nowhere".to_owned()
    }

    fn path_of(&self, name: &str) -> String {
        name.to_owned()
    }

    fn scope_of(&self, folder: &str) -> String {
        match self.settings.get("shared_drive_id") {
            Some(_) => format!("/{folder}"),
            None => format!("/Top/{folder}"),
        }
    }

    fn path_in(&self, _: &str, name: &str) -> String {
        name.to_owned()
    }

    /// A key does not expire; it is deleted.
    fn told_of_expiry(&self) -> ErrorCode {
        ErrorCode::AuthInvalidCredentials
    }

    fn open(&self) -> OpenProvider {
        let factory = factory(self.google());
        open(&factory, self.settings.clone(), self.credentials.clone())
    }

    fn open_with_wrong_credentials(&self) -> OpenProvider {
        let factory = factory(self.google());
        open(
            &factory,
            self.settings.clone(),
            self.wrong_credentials.clone(),
        )
    }

    async fn put(&self, name: &str, bytes: &[u8]) -> bool {
        self.put_item(name, bytes, |item| item)
    }

    async fn put_with(&self, name: &str, bytes: &[u8], attached: &Attached<'_>) -> bool {
        if !attached.tags.is_empty() {
            return false;
        }
        self.put_item(name, bytes, |item| {
            let typed = match attached.content_type {
                Some(kind) => item.mime_type(kind),
                None => item,
            };
            let texts = attached.metadata.iter();
            texts.fold(typed, |item, (name, text)| item.property(*name, *text))
        })
    }

    fn metadata_key(&self, name: &str) -> String {
        format!("properties.{name}")
    }

    /// They always have.
    async fn name_versions(&self) -> bool {
        true
    }

    async fn remove(&self, name: &str) {
        let id = self.id(name).unwrap();
        self.google().mutate(Mutation::trash(id)).unwrap();
    }
}

#[async_trait]
impl UnrulyPlace for InDrive {
    async fn misbehave(&self, mishap: Mishap) {
        let anything = || Match::any().path_contains("/drive/v3/");
        let lists = || Match::operation(Operation::DriveFilesList);
        let of = |name: &str| Match::any().path_contains(self.id(name).unwrap());
        let bytes_of = |name: &str| {
            let bytes = Match::operation(Operation::DriveFilesMedia);
            bytes.path_contains(self.id(name).unwrap())
        };
        let spoilt = |fault| (lists(), Action::listing(fault));
        let (matching, action) = match &mishap {
            Mishap::Throttled(after) => {
                let seconds = after.as_secs().to_string().leak();
                let slower = Action::google_error("userRateLimitExceeded");
                (anything(), slower.header("retry-after", seconds))
            }
            Mishap::Unavailable => (anything(), Action::google_error("backendError")),
            Mishap::Disconnected => (anything(), Action::close()),
            Mishap::CredentialsExpired => (anything(), Action::google_error("authError")),
            Mishap::ListingDenied => (lists(), Action::google_error("insufficientFilePermissions")),
            Mishap::ListingCutShort => spoilt(ListingFault::IncompleteSearch),
            Mishap::ListingRepeated => spoilt(ListingFault::RepeatedToken),
            Mishap::EmptyFirstPage => spoilt(ListingFault::EmptyPage),
            Mishap::ShortPages => spoilt(ListingFault::ShortPages(1)),
            Mishap::CursorsExpired => {
                // Drive does not know the token.
                let refused = r#"{"error": {"code": 400, "errors": [{"reason": "invalid", "location": "pageToken",
                    "locationType": "parameter"}]}}"#;
                let refusal = Action {
                    status: Some(http::StatusCode::BAD_REQUEST),
                    body: Some(refused.to_owned()),
                    ..Action::default()
                };
                (lists().query_contains("pageToken"), refusal)
            }
            Mishap::FileDenied(name) => (
                of(name),
                Action::google_error("insufficientFilePermissions"),
            ),
            Mishap::ByteChanged { name, at } => (bytes_of(name), Action::corrupt_byte_at(*at)),
            Mishap::CutOnce { name, after } => {
                (bytes_of(name).times(1), Action::truncate_at(*after))
            }
            Mishap::CutAlways { name } => (bytes_of(name), Action::truncate_at(0)),
        };
        self.google().set_faults([FaultRule::new(matching, action)]);
    }

    async fn behave(&self) {
        self.google().clear_faults();
    }
}
