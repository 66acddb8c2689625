//! The setup kit: what must be granted at Google so that a connection sees what it is to read, and nothing more.

use std::fmt::Write;

use serde_json::json;
use wharf_domain::provider::{CredentialType, ProviderConfig};
use wharf_domain::setup::{Grant, SetupDocument, SetupFormat, SetupKit, SetupRequest};

use crate::token::SCOPE;

/// Where consent screens, APIs and keys are.
const CONSOLE: &str = "the Google Cloud console";

/// What the kit is made for.
struct Aim<'a> {
    way: Way<'a>,
    shared_drive: Option<&'a str>,
    source_path: Option<&'a str>,
    project: Option<&'a str>,
    email: Option<&'a str>,
    client_id: Option<&'a str>,
}

/// How the connection signs in.
#[derive(Clone, Copy)]
enum Way<'a> {
    /// A service account that files are shared with.
    Shared,
    /// A service account that acts for a user.
    Delegated(&'a str),
    Consent,
}

/// The kit.
pub(crate) fn kit(request: &SetupRequest) -> SetupKit {
    let aim = Aim::of(request);
    let steps = aim.steps();
    let mut documents = aim.documents();
    documents.push(SetupDocument {
        name: "steps",
        format: SetupFormat::Text,
        purpose: "The steps, for whoever sets up the other side.".to_owned(),
        content: numbered(&steps),
    });
    SetupKit {
        principal: aim.email.map(ToOwned::to_owned),
        steps,
        grants: aim.grants(),
        documents,
    }
}

impl<'a> Aim<'a> {
    fn of(request: &'a SetupRequest) -> Self {
        let identity = |name: &str| request.identity.get(name).map(String::as_str);
        let (config, kind) = match &request.connection {
            Some((ProviderConfig::GoogleDrive(config), kind)) => (Some(config), Some(*kind)),
            _ => (None, None),
        };
        let user = config.and_then(|config| config.impersonate_user.as_deref());
        let way = match (kind, user) {
            (Some(CredentialType::OAuth), _) => Way::Consent,
            (_, Some(user)) => Way::Delegated(user),
            (_, None) => Way::Shared,
        };
        Self {
            way,
            shared_drive: config.and_then(|config| config.shared_drive_id.as_deref()),
            source_path: request.source_path.as_deref(),
            project: identity("project_id"),
            email: identity("client_email"),
            client_id: identity("client_id"),
        }
    }

    fn steps(&self) -> Vec<String> {
        let project = match self.project {
            Some(project) => format!("the project {project}"),
            None => "a project of yours".to_owned(),
        };
        let mut steps = vec![format!(
            "In {CONSOLE}, enable the Google Drive API in {project} (APIs & Services, Library)."
        )];
        match self.way {
            Way::Shared | Way::Delegated(_) => {
                if self.email.is_none() {
                    steps.push(
                        "Create a service account in that project (IAM & Admin, Service Accounts) and a JSON key for it. It \
                         needs no role in the project. Enter project_id, private_key_id, private_key, client_email and \
                         client_id of the key's file as credentials of the type service_account. Nothing else of the file is \
                         taken."
                        .to_owned(),
                    );
                }
            }
            Way::Consent => steps.extend(consent()),
        }
        match self.way {
            Way::Shared => steps.push(self.sharing()),
            Way::Delegated(user) => steps.extend(self.delegation(user)),
            Way::Consent => steps.push(format!(
                "The person who signs in must be able to open {} in Google Drive.",
                self.place()
            )),
        }
        steps
    }

    /// What is to be read, in words.
    fn place(&self) -> String {
        match (self.source_path, self.shared_drive) {
            (Some(path), Some(drive)) => format!("the folder {path} of the shared drive {drive}"),
            (Some(path), None) => format!("the folder {path}"),
            (None, Some(drive)) => format!("the shared drive {drive}"),
            (None, None) => "the folders or shared drives that Wharf is to read".to_owned(),
        }
    }

    fn sharing(&self) -> String {
        let account = self
            .email
            .unwrap_or("the service account's address (client_email)");
        if self.shared_drive.is_some() {
            return format!(
                "Add {account} as a viewer to {}: in Google Drive, open the shared drive and choose Manage members. As a \
                 manager, Wharf can also tell what was deleted from what was hidden from it.",
                self.shared_drive
                    .map_or_else(String::new, |drive| format!("the shared drive {drive}"))
            );
        }
        format!(
            "Share {} with {account} as a viewer: in Google Drive, right-click the folder and choose Share. What is not \
             shared with it, it cannot see.",
            self.place()
        )
    }

    fn delegation(&self, user: &str) -> [String; 2] {
        let client = self
            .client_id
            .unwrap_or("the service account's client id (client_id in the key's file)");
        [
            format!(
                "A super administrator of Google Workspace opens the Google Admin console, Security, Access and data control, \
                 API controls, Manage Domain Wide Delegation, and adds {client} with exactly the scope {SCOPE}. It can take a \
                 day to work."
            ),
            format!(
                "Make sure that {user} can open {} in Google Drive.",
                self.place()
            ),
        ]
    }

    fn grants(&self) -> Vec<Grant> {
        let grant = |action: &str, resource: String, purpose: &str, optional| Grant {
            action: action.to_owned(),
            resource,
            purpose: purpose.to_owned(),
            optional,
        };
        let scope = match self.way {
            Way::Delegated(user) => Some(grant(
                SCOPE,
                format!(
                    "client id {}, acting for {user}",
                    self.client_id.unwrap_or("of the service account")
                ),
                "to see files and folders, and to read them",
                false,
            )),
            Way::Consent => Some(grant(
                SCOPE,
                "the person's Google account".to_owned(),
                "to see files and folders, and to read them",
                false,
            )),
            Way::Shared => None,
        };
        let viewer = grant(
            "viewer",
            self.place(),
            "to see the files, and to read them",
            false,
        );
        let manager = self.shared_drive.map(|drive| {
            grant(
                "manager",
                format!("the shared drive {drive}"),
                "to tell a file that was deleted from one that was hidden, so that deletions need no approval",
                true,
            )
        });
        scope.into_iter().chain([viewer]).chain(manager).collect()
    }

    fn documents(&self) -> Vec<SetupDocument> {
        let mut documents = Vec::new();
        if let (Way::Shared, Some(email)) = (self.way, self.email) {
            let permission = json!({"type": "user", "role": "reader", "emailAddress": email});
            documents.push(SetupDocument {
                name: "permission",
                format: SetupFormat::Json,
                purpose: "The permission to create on the folder or shared drive (permissions.create of the Drive API)."
                    .to_owned(),
                content: format!("{permission:#}\n"),
            });
        }
        if let Way::Delegated(_) = self.way {
            let delegation = json!({
                "client_id": self.client_id.unwrap_or("REPLACE-WITH-THE-CLIENT-ID"),
                "scopes": [SCOPE],
            });
            documents.push(SetupDocument {
                name: "delegation",
                format: SetupFormat::Json,
                purpose: "What to enter in the Google Admin console under domain-wide delegation."
                    .to_owned(),
                content: format!("{delegation:#}\n"),
            });
        }
        if !matches!(self.way, Way::Consent) && self.email.is_none() {
            documents.push(SetupDocument {
                name: "terraform",
                format: SetupFormat::Terraform,
                purpose: "The API and a service account with a key, for Terraform.".to_owned(),
                content: TERRAFORM.to_owned(),
            });
        }
        documents
    }
}

fn consent() -> [String; 3] {
    [
        format!(
            "Configure the consent screen (Google Auth Platform): as internal if only people of your organization connect, \
             else publish it, because in the state Testing consent ends after seven days. Add the scope {SCOPE}."
        ),
        "Create an OAuth client of the type Web application, with this server's callback address (public_url, then \
         /v1/oauth/google_drive/callback) as an authorized redirect URI."
            .to_owned(),
        "Start the consent with POST /v1/oauth/google_drive/start and open the address that it answers; or enter client_id, \
         client_secret and a refresh_token of that client as credentials of the type oauth."
            .to_owned(),
    ]
}

/// Needs nothing from whoever applies it but a provider that is set up for a project.
const TERRAFORM: &str = r#"resource "google_project_service" "drive" {
  service            = "drive.googleapis.com"
  disable_on_destroy = false
}

resource "google_service_account" "wharf" {
  account_id   = "wharf-drive-reader"
  display_name = "Reads Google Drive for Wharf"
}

resource "google_service_account_key" "wharf" {
  service_account_id = google_service_account.wharf.name
}

output "share_with" {
  value = google_service_account.wharf.email
}

output "delegate_to_client_id" {
  value = google_service_account.wharf.unique_id
}

output "key_file" {
  value     = base64decode(google_service_account_key.wharf.private_key)
  sensitive = true
}
"#;

fn numbered(steps: &[String]) -> String {
    let mut text = String::new();
    for (index, step) in steps.iter().enumerate() {
        // Writing to a String succeeds.
        let _ = writeln!(text, "{}. {step}", index + 1);
    }
    text
}
