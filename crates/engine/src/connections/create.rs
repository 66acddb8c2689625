use serde_json::json;
use wharf_domain::Metadata;
use wharf_domain::audit::{Action, ResourceType};
use wharf_domain::connection::{Connection, ConnectionIdentifier, ConnectionName, NewConnection};
use wharf_domain::ids::ConnectionId;
use wharf_domain::input::InvalidInput;
use wharf_domain::provider::NewProviderConfig;
use wharf_domain::scope::Place;

use super::test::{Trial, refuse_unusable};
use super::{binding, with_rotated};
use crate::error::{insert_failed, name_taken};
use crate::{Caller, Engine, EngineError, Mandate};

/// A connection as a request describes it.
#[derive(Debug)]
pub struct CreateConnection {
    /// Its name.
    pub name: ConnectionName,
    /// What it is for.
    pub description: Option<String>,
    /// The provider's settings and credentials.
    pub provider_config: NewProviderConfig,
    /// Key-value pairs.
    pub metadata: Metadata,
    /// Whether exports may write through it.
    pub write_enabled: bool,
    /// Whether it must pass a test before it is saved.
    pub test_before_save: bool,
    /// Whether its credentials come from a person's consent in a browser.
    pub by_consent: bool,
}

impl Engine {
    /// Tests a new connection if asked to, seals its credentials and stores it.
    pub async fn create_connection(
        &self,
        caller: &Caller,
        new: CreateConnection,
    ) -> Result<Connection, EngineError> {
        let told = Place::as_told(ResourceType::Connection, new.name.as_str());
        caller.may(("connection", new.name.as_str()), &[told])?;
        // A clash of names is told before anything is dialled; the insert below decides when two requests race.
        let identifier = ConnectionIdentifier::Name(new.name.clone());
        if self
            .repositories()
            .connections
            .find(caller.organization(), &identifier)
            .await?
            .is_some()
        {
            return Err(name_taken());
        }
        let NewProviderConfig {
            config,
            credentials,
        } = new.provider_config;
        let provider = config.provider();
        let supported = self.parts.providers.supports(provider);
        if supported {
            self.parts.providers.vet(&config)?;
        } else if new.test_before_save {
            let message = format!(
                "this server has no adapter for {} connections and cannot test one; set test_before_save to false to \
                 store it untested",
                provider.as_str()
            );
            return Err(InvalidInput::one("test_before_save", "adapter_missing", message).into());
        }
        self.refuse_foreign_external_id(caller.organization(), &credentials)
            .await?;
        let credential_type = credentials.credential_type();
        let plaintext = credentials.to_secret_bytes();
        let id: ConnectionId = self.ids().id();
        let session = self.lone_session();
        let trial = Trial {
            connection: &id,
            config: &config,
            credentials,
            sessions: session.clone(),
            source_path: None,
        };
        if new.test_before_save {
            self.check_before_saving(trial).await?;
        } else if supported {
            refuse_unusable(self, trial)?;
        }
        let plaintext = with_rotated(&*session, provider, plaintext).await?;
        let binding = binding(caller.organization(), &id, &config, credential_type, 1);
        let sealed = self.envelope.seal(&binding, &plaintext).await?;
        drop(plaintext);
        let mut changes = json!({
            "name": new.name.as_str(),
            "provider_type": provider.as_str(),
            "credential_type": credential_type.as_str(),
            "tested": new.test_before_save,
        });
        if new.by_consent {
            changes["by"] = json!("consent");
        }
        let audit = caller.audit(
            self.ids(),
            Action::ConnectionCreated,
            (ResourceType::Connection, id.as_str()),
            changes,
        );
        let row = NewConnection {
            id,
            organization: caller.organization().clone(),
            name: new.name,
            description: new.description,
            config,
            credential_type,
            sealed,
            write_enabled: new.write_enabled,
            metadata: new.metadata,
            created_by: caller.principal.user.clone(),
            first_check_in: self.ordinary_pause(),
        };
        self.repositories()
            .connections
            .insert(row, audit)
            .await
            .map_err(|error| {
                let parent = EngineError::not_found("organization", caller.organization().as_str());
                insert_failed(error, name_taken(), parent)
            })
    }
}
