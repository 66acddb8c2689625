use std::sync::Arc;

use serde_json::{Map, Value, json};
use wharf_domain::Metadata;
use wharf_domain::audit::{Action, ResourceType};
use wharf_domain::connection::{
    Connection, ConnectionName, Edit, Event, Intent, PublicStatus, TransitionError,
};
use wharf_domain::input::InvalidInput;
use wharf_domain::provider::{self, Credentials, NewProviderConfig, PatchError};
use wharf_domain::secret::{self, SecretString};
use wharf_ports::{ApplyError, KeyRingError, Sessions};

use super::test::Trial;
use super::{CredentialsError, binding, with_rotated};
use crate::error::apply_failed;
use crate::{Caller, Engine, EngineError};

/// How often a change is tried again when somebody else changes the connection at the same moment.
const ATTEMPTS: usize = 3;

/// A change of a connection as a request describes it. `None` leaves a field as it is.
#[derive(Debug, Default)]
pub struct UpdateConnection {
    /// The revision that it is meant for; any, if none.
    pub if_revision: Option<u64>,
    /// A new name.
    pub name: Option<ConnectionName>,
    /// A new description; empty clears it.
    pub description: Option<String>,
    /// New key-value pairs, replacing all.
    pub metadata: Option<Metadata>,
    /// A new permission to write.
    pub write_enabled: Option<bool>,
    /// The wanted status.
    pub status: Option<PublicStatus>,
    /// The wanted activity; must agree with the status.
    pub is_active: Option<bool>,
    /// A new configuration as it was sent; may hold secrets.
    pub provider_config: Option<ConfigFields>,
    /// Whether that comes from a person's consent in a browser.
    pub by_consent: bool,
}

/// The raw fields of a new configuration, wiped when dropped.
pub struct ConfigFields(Map<String, Value>);

impl ConfigFields {
    /// Takes ownership of the fields.
    pub fn new(fields: Map<String, Value>) -> Self {
        Self(fields)
    }

    /// The fields, to be read.
    pub(crate) fn into_inner(mut self) -> Map<String, Value> {
        std::mem::take(&mut self.0)
    }
}

impl From<Map<String, Value>> for ConfigFields {
    fn from(fields: Map<String, Value>) -> Self {
        Self::new(fields)
    }
}

impl std::fmt::Debug for ConfigFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConfigFields(redacted)")
    }
}

impl Drop for ConfigFields {
    fn drop(&mut self) {
        self.0.values_mut().for_each(secret::wipe);
    }
}

/// What a person wants of the connection, from `status` and `is_active` together.
fn wanted_intent(
    status: Option<PublicStatus>,
    is_active: Option<bool>,
) -> Result<Option<Intent>, InvalidInput> {
    let from_status = match status {
        None => None,
        Some(PublicStatus::Active) => Some(Intent::Enabled),
        Some(PublicStatus::Suspended) => Some(Intent::Suspended),
        Some(PublicStatus::Archived) => Some(Intent::Archived),
        Some(PublicStatus::Failed) => {
            let message = "FAILED is set by health checks only; set ACTIVE, SUSPENDED or ARCHIVED";
            return Err(InvalidInput::one("status", "enum", message));
        }
    };
    match (from_status, is_active) {
        (wanted, None) => Ok(wanted),
        (None, Some(true)) => Ok(Some(Intent::Enabled)),
        (None, Some(false)) => Ok(Some(Intent::Suspended)),
        (Some(wanted), Some(active)) if (wanted == Intent::Enabled) == active => Ok(Some(wanted)),
        (Some(_), Some(_)) => {
            let message = "disagrees with status; leave it out, since it follows from status";
            Err(InvalidInput::one("is_active", "contradiction", message))
        }
    }
}

impl Engine {
    /// Changes a connection, if it has the wanted revision. A new configuration, and a return to ACTIVE, must pass a
    /// test first; nothing is saved otherwise. Omitted secrets are kept only while credential type and audience stay the same.
    pub async fn update_connection(
        &self,
        caller: &Caller,
        identifier: &str,
        update: UpdateConnection,
    ) -> Result<Connection, EngineError> {
        let intent = wanted_intent(update.status, update.is_active)?;
        let mut attempt = 1;
        loop {
            let connection = self.connection(caller, identifier).await?;
            let wanted = update.if_revision;
            EngineError::refuse_other_revision("connection", wanted, connection.revision)?;
            let result = self.try_update(caller, &connection, &update, intent).await;
            match result {
                Err(UpdateError::Apply(ApplyError::RevisionConflict)) if attempt < ATTEMPTS => {
                    attempt += 1;
                }
                Err(UpdateError::Apply(error)) => return Err(apply_failed(error, identifier)),
                Err(UpdateError::Engine(error)) => return Err(error),
                Ok(connection) => return Ok(connection),
            }
        }
    }

    async fn try_update(
        &self,
        caller: &Caller,
        connection: &Connection,
        update: &UpdateConnection,
        intent: Option<Intent>,
    ) -> Result<Connection, UpdateError> {
        if connection.intent == Intent::Archived {
            return Err(EngineError::from(TransitionError::Archived).into());
        }
        let supported = self.parts.providers.supports(connection.provider());
        let mut edit = Edit {
            name: update.name.clone(),
            description: update
                .description
                .as_ref()
                .map(|text| (!text.is_empty()).then(|| text.clone())),
            metadata: update.metadata.clone(),
            write_enabled: update.write_enabled,
            ..Edit::default()
        };
        let reactivates = intent == Some(Intent::Enabled) && !connection.is_active();
        if let Some(fields) = &update.provider_config {
            let NewProviderConfig {
                config,
                credentials,
            } = self.complete_config(connection, fields).await?;
            self.refuse_foreign_external_id(caller.organization(), &credentials)
                .await?;
            let credential_type = credentials.credential_type();
            let mut plaintext = credentials.to_secret_bytes();
            if supported {
                self.parts
                    .providers
                    .vet(&config)
                    .map_err(EngineError::from)?;
                let sessions = self.sessions_for(connection, &credentials).await?;
                let trial = Trial {
                    connection: &connection.id,
                    config: &config,
                    credentials,
                    sessions: sessions.clone(),
                    source_path: None,
                };
                self.check_change(caller, trial).await?;
                plaintext = with_rotated(&*sessions, config.provider(), plaintext).await?;
                edit.tested = true;
            }
            let version = connection.credential_version + 1;
            let binding = binding(
                &connection.organization,
                &connection.id,
                &config,
                credential_type,
                version,
            );
            let sealed = self
                .envelope
                .seal(&binding, &plaintext)
                .await
                .map_err(EngineError::from)?;
            edit.config = Some((config, credential_type, sealed));
        } else if reactivates && supported {
            let credentials = self.stored_credentials(connection).await?;
            let trial = Trial {
                connection: &connection.id,
                config: &connection.config,
                sessions: self.stored_sessions(connection, &credentials),
                credentials,
                source_path: None,
            };
            self.check_change(caller, trial).await?;
        }
        let mut events = Vec::new();
        if edit != Edit::default() {
            events.push(Event::Edit(Box::new(edit)));
        }
        events.extend(wish(intent, reactivates, supported));
        let checked = update.provider_config.is_some() || reactivates;
        if checked && intent != Some(Intent::Archived) {
            events.push(Event::PlanCheck {
                after: self.ordinary_pause(),
            });
        }
        let action = match intent {
            Some(Intent::Archived) => Action::ConnectionDeleted,
            _ => Action::ConnectionUpdated,
        };
        let resource = (ResourceType::Connection, connection.id.as_str());
        let audit = caller.audit(self.ids(), action, resource, changed_fields(update, intent));
        // The test and the kept secrets belong to the revision that was read; plain fields do not depend on it.
        let guarded = update.if_revision.is_some() || checked;
        let transition = self
            .repositories()
            .connections
            .apply(
                caller.organization(),
                &connection.id,
                guarded.then_some(connection.revision),
                events,
                vec![audit],
            )
            .await
            .map_err(UpdateError::Apply)?;
        Ok(transition.connection)
    }

    /// What keeps the access token of new credentials while they are tested. Those that are the stored consent share its token: what
    /// the provider rotates then is not lost if nothing is saved.
    async fn sessions_for(
        &self,
        connection: &Connection,
        credentials: &Credentials,
    ) -> Result<Arc<dyn Sessions>, EngineError> {
        let Some(token) = credentials.refresh_token() else {
            return Ok(self.lone_session());
        };
        match self.open_credentials(connection).await {
            Ok(stored) if is_same(stored.refresh_token(), token) => {
                Ok(self.stored_sessions(connection, &stored))
            }
            Err(CredentialsError::Engine(error)) => Err(error),
            Ok(_) | Err(_) => Ok(self.lone_session()),
        }
    }

    /// Tests what a change would make of a connection. A test that fails saves nothing, and leaves a row all the same: it may have
    /// used stored secrets.
    async fn check_change(&self, caller: &Caller, trial: Trial<'_>) -> Result<(), EngineError> {
        let connection = trial.connection;
        let checked = self.check_before_saving(trial).await;
        if let Err(
            EngineError::ConnectionTestFailed(report)
            | EngineError::ConnectionTestUnavailable(report),
        ) = &checked
        {
            self.tell_of_unsaved(caller, connection, report).await?;
        }
        checked
    }

    /// The new configuration with its credentials, completed from the stored ones where that is allowed.
    async fn complete_config(
        &self,
        connection: &Connection,
        fields: &ConfigFields,
    ) -> Result<NewProviderConfig, EngineError> {
        let patch =
            provider::parse_patch(connection.provider(), fields.0.clone(), "provider_config")?;
        // Stored credentials that do not open are like none: a patch that brings everything is complete without them.
        let kept = if patch.needs_kept() {
            match self.open_credentials(connection).await {
                Ok(kept) => Some(kept),
                Err(CredentialsError::Integrity) => None,
                Err(CredentialsError::ForeignKey) => return Err(KeyRingError::Refused.into()),
                Err(CredentialsError::Engine(error)) => return Err(error),
            }
        } else {
            None
        };
        let audience = connection.config.audience();
        patch
            .complete(connection.credential_type, &audience, kept.as_ref())
            .map_err(|error| match error {
                PatchError::Invalid(invalid) => invalid.into(),
                PatchError::ReentryRequired { fields, why } => {
                    EngineError::CredentialsReentryRequired { fields, why }
                }
            })
    }

    async fn stored_credentials(
        &self,
        connection: &Connection,
    ) -> Result<Credentials, EngineError> {
        self.open_credentials(connection)
            .await
            .map_err(|error| match error {
                CredentialsError::Integrity => EngineError::CredentialsReentryRequired {
                    fields: vec!["provider_config.credentials".to_owned()],
                    why: "The stored credentials do not open any more; enter them again."
                        .to_owned(),
                },
                CredentialsError::ForeignKey => KeyRingError::Refused.into(),
                CredentialsError::Engine(error) => error,
            })
    }
}

fn is_same(stored: Option<&SecretString>, token: &SecretString) -> bool {
    stored.is_some_and(|stored| stored.expose() == token.expose())
}

/// What becomes of the connection by a person's will.
fn wish(intent: Option<Intent>, reactivates: bool, tested: bool) -> Option<Event> {
    match intent {
        Some(Intent::Enabled) if reactivates => Some(Event::Activate { tested }),
        Some(Intent::Suspended) => Some(Event::Suspend),
        Some(Intent::Archived) => Some(Event::Archive),
        _ => None,
    }
}

enum UpdateError {
    Apply(ApplyError),
    Engine(EngineError),
}

impl From<EngineError> for UpdateError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// Which fields a change touches; plain values are told, configurations and credentials only named.
fn changed_fields(update: &UpdateConnection, intent: Option<Intent>) -> Value {
    let mut changes = Map::new();
    if let Some(name) = &update.name {
        changes.insert("name".to_owned(), json!(name.as_str()));
    }
    if let Some(intent) = intent {
        changes.insert("intent".to_owned(), json!(intent.as_str()));
    }
    if let Some(write_enabled) = update.write_enabled {
        changes.insert("write_enabled".to_owned(), json!(write_enabled));
    }
    let named = [
        ("description", update.description.is_some()),
        ("metadata", update.metadata.is_some()),
        ("provider_config", update.provider_config.is_some()),
    ];
    if update.by_consent {
        changes.insert("by".to_owned(), json!("consent"));
    }
    for (field, touched) in named {
        if touched {
            changes.insert(field.to_owned(), json!("changed"));
        }
    }
    Value::Object(changes)
}
