//! A lab and accounts at its Google.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use wharf_domain::Timestamp;
use wharf_domain::check::{Check, CheckReport, Outcome};
use wharf_domain::ids::{Alphabet, ConnectionId};
use wharf_domain::provider::{NewProviderConfig, Provider, parse_new};
use wharf_egress::{Guard, Policy};
use wharf_google_drive::{Addresses, GoogleDrive};
use wharf_lab::google::{GoogleLab, NewClient, NewServiceAccount, ServiceAccountKey};
use wharf_lab::{Lab, LabConfig};
use wharf_ports::{
    CheckRequest, Clock, IdSource, LoneSession, OpenProvider, ProviderError, ProviderFactory,
    Sessions,
};

pub(crate) const SCOPE: &str = "https://www.googleapis.com/auth/drive.readonly";
pub(crate) const SERVICE: &str = "sync@lab-project.iam.gserviceaccount.com";
pub(crate) const ADA: &str = "ada@example.com";
pub(crate) const CLIENT: &str = "123-abc.apps.googleusercontent.com";
pub(crate) const CLIENT_SECRET: &str = "GOCSPX-client-secret";

/// A check of the connection alone.
pub(crate) const WHOLE: CheckRequest<'static> = CheckRequest {
    source_path: None,
    budget: Duration::from_secs(10),
};

/// This machine's time, or one so many seconds off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Off(pub(crate) i64);

impl Clock for Off {
    #[expect(
        clippy::disallowed_methods,
        reason = "the lab signs in by the time of this machine"
    )]
    fn now(&self) -> Timestamp {
        chrono::Utc::now() + chrono::TimeDelta::seconds(self.0)
    }
}

#[derive(Debug)]
pub(crate) struct Chance;

impl IdSource for Chance {
    fn token(&self, _: Alphabet, length: usize) -> String {
        "a".repeat(length)
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

pub(crate) async fn lab() -> Lab {
    let lab = Lab::start(LabConfig::default()).await.unwrap();
    let google = lab.google();
    google.add_user(ADA, "Ada");
    google.add_client(NewClient {
        client_id: CLIENT.to_owned(),
        client_secret: CLIENT_SECRET.to_owned(),
        redirect_uris: vec!["https://wharf.example.com/callback".to_owned()],
    });
    lab
}

/// A service account that may act for people.
pub(crate) fn service_account(google: &GoogleLab) -> ServiceAccountKey {
    google
        .add_service_account(NewServiceAccount {
            email: SERVICE.to_owned(),
            project_id: None,
            delegated_scopes: vec![SCOPE.to_owned()],
            private_key: None,
        })
        .unwrap()
}

pub(crate) fn addresses(google: &GoogleLab) -> Addresses {
    Addresses::default()
        .with_api(google.url())
        .and_then(|addresses| addresses.with_token(&google.token_url()))
        .and_then(|addresses| addresses.with_consent(&google.consent_url()))
        .unwrap()
}

/// A factory whose guard opens nothing but what the operator put in Google's place.
pub(crate) fn factory_at(addresses: Addresses, clock: Off) -> GoogleDrive {
    let guard = Guard::new(Policy::default());
    GoogleDrive::new(&guard, addresses, Arc::new(clock), Arc::new(Chance))
}

pub(crate) fn factory(google: &GoogleLab) -> GoogleDrive {
    factory_at(addresses(google), Off(0))
}

pub(crate) fn config(settings: Value, credentials: Value) -> NewProviderConfig {
    let Value::Object(mut fields) = settings else {
        panic!("an object")
    };
    fields.insert("credentials".to_owned(), credentials);
    parse_new(Provider::GoogleDrive, fields, "provider_config").unwrap()
}

pub(crate) fn by_key(key: &ServiceAccountKey) -> Value {
    let mut fields = Map::new();
    fields.insert("type".to_owned(), json!("service_account"));
    let Value::Object(file) = serde_json::to_value(key).unwrap() else {
        panic!("an object")
    };
    for name in [
        "project_id",
        "private_key_id",
        "private_key",
        "client_email",
        "client_id",
    ] {
        fields.insert(name.to_owned(), file[name].clone());
    }
    Value::Object(fields)
}

pub(crate) fn by_consent(refresh_token: &str) -> Value {
    json!({
        "type": "oauth", "client_id": CLIENT, "client_secret": CLIENT_SECRET, "refresh_token": refresh_token
    })
}

pub(crate) fn connection() -> ConnectionId {
    "conn_testtesttesttes".parse().unwrap()
}

pub(crate) fn alone() -> Arc<dyn Sessions> {
    Arc::new(LoneSession::new(Arc::new(Off(0))))
}

pub(crate) fn try_open(
    factory: &GoogleDrive,
    settings: Value,
    credentials: Value,
    sessions: Arc<dyn Sessions>,
) -> Result<OpenProvider, ProviderError> {
    let parts = config(settings, credentials);
    factory.open(&connection(), &parts.config, parts.credentials, sessions)
}

pub(crate) fn open(factory: &GoogleDrive, settings: Value, credentials: Value) -> OpenProvider {
    try_open(factory, settings, credentials, alone()).unwrap()
}

/// A check by its name.
pub(crate) fn check<'a>(report: &'a CheckReport, name: &str) -> &'a Check {
    let found = report.checks.iter().find(|check| check.name == name);
    found.unwrap_or_else(|| panic!("no check {name} in {report:?}"))
}

/// Every check with its outcome, by the first letter: passed, failed, inconclusive, skipped.
pub(crate) fn outcomes(report: &CheckReport) -> String {
    let letters = report.checks.iter().map(|check| match check.outcome {
        Outcome::Passed => 'p',
        Outcome::Failed => 'f',
        Outcome::Inconclusive => 'i',
        Outcome::Skipped => 's',
    });
    letters.collect()
}
