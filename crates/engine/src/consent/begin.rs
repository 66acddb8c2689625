use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use wharf_domain::audit::ResourceType;
use wharf_domain::connection::{ConnectionIdentifier, ConnectionName, TransitionError};
use wharf_domain::input::InvalidInput;
use wharf_domain::provider::{CredentialType, Provider, parse_new};
use wharf_domain::scope::Place;
use wharf_domain::secret::SecretString;
use wharf_domain::{Metadata, Timestamp};
use wharf_envelope::ConsentBinding;
use wharf_ports::{ConsentError, StoredConsent};

use super::draft::{Draft, DraftGoal};
use super::{config_with, state_sha256};
use crate::error::name_taken;
use crate::{Caller, Engine, EngineError, Mandate};

/// How long a consent may take.
const TTL: Duration = Duration::from_mins(10);

/// A consent that an admin wants to be asked for.
#[derive(Debug)]
pub struct BeginConsent {
    /// Whose consent flow.
    pub provider: Provider,
    /// The application that is consented to.
    pub client: ConsentClientFields,
    /// What the grant is for.
    pub goal: ConsentGoal,
}

/// An organization's own application at a provider.
#[derive(Debug)]
pub struct ConsentClientFields {
    /// Its identifier.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
}

/// What a grant is for.
#[derive(Debug)]
pub enum ConsentGoal {
    /// A new connection.
    New {
        /// Its name.
        name: ConnectionName,
        /// What it is for.
        description: Option<String>,
        /// Key-value pairs.
        metadata: Metadata,
        /// The settings of its provider.
        settings: Map<String, Value>,
        /// Whether it must pass a test before it is saved.
        test_before_save: bool,
    },
    /// An OAuth connection there is, by identifier or name: it gets a new grant.
    Connection(String),
}

/// A consent that a person can give now.
#[derive(Debug)]
pub struct BegunConsent {
    /// Where the person's browser is to go. Good once.
    pub authorization_url: String,
    /// Where it comes back to.
    pub redirect_uri: String,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Reads application and settings as a connection's will be read, with something in the grant's place. Mistakes are told by the
/// fields of the request.
fn vet(
    provider: Provider,
    client: &ConsentClientFields,
    settings: Map<String, Value>,
) -> Result<(), InvalidInput> {
    let grant = SecretString::new("to-be-granted".to_owned());
    let fields = config_with(settings, &client.id, &client.secret, &grant);
    let read = parse_new(provider, fields.into_inner(), "");
    read.map(drop).map_err(|mut mistakes| {
        for mistake in &mut mistakes.0 {
            mistake.location.retain(|part| part != "credentials");
        }
        mistakes
    })
}

impl Engine {
    /// Begins a consent: whoever opens the answered address within ten minutes can give it, once, and the connection is made or
    /// changed then as if the caller had asked for it.
    pub async fn begin_consent(
        &self,
        caller: &Caller,
        wish: BeginConsent,
    ) -> Result<BegunConsent, EngineError> {
        let BeginConsent {
            provider,
            client,
            goal,
        } = wish;
        let flow = self.consent_flow(provider)?;
        let goal = self.consent_goal(caller, provider, &client, goal).await?;
        let redirect_uri = self.redirect_uri(provider)?;
        let (state, verifier) = (self.random_word(), self.random_word());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose().as_bytes()));
        let authorization_url = flow.address(&client.id, &redirect_uri, state.expose(), &challenge);
        let draft = Draft {
            provider,
            client_id: client.id,
            client_secret: client.secret,
            verifier,
            redirect_uri,
            reason: caller.origin.reason.clone(),
            goal,
        };
        let binding = ConsentBinding {
            organization: caller.organization().clone(),
            state_sha256: state_sha256(&state),
        };
        let sealed = self
            .envelope
            .seal_consent(&binding, &draft.to_secret_bytes()?)
            .await?;
        let consent = StoredConsent {
            state_sha256: binding.state_sha256,
            organization: binding.organization,
            user: caller.principal.user.clone(),
            api_key: caller.principal.key.clone(),
            sealed,
            expires_at: self.parts.clock.now() + TTL,
        };
        let stored = self.repositories().consents.begin(consent, TTL).await;
        let stored = stored.map_err(|error| match error {
            ConsentError::TooMany => EngineError::conflict(
                "too_many_consents",
                "Too many consents of this organization are under way; finish them, or begin again when they have expired, ten \
                 minutes after they began.",
            ),
            ConsentError::Repository(error) => error.into(),
        })?;
        Ok(BegunConsent {
            authorization_url,
            redirect_uri: draft.redirect_uri,
            expires_at: stored.expires_at,
        })
    }

    /// What would be refused when the consent is finished is refused before anybody is asked for it.
    async fn consent_goal(
        &self,
        caller: &Caller,
        provider: Provider,
        client: &ConsentClientFields,
        goal: ConsentGoal,
    ) -> Result<DraftGoal, EngineError> {
        match goal {
            ConsentGoal::New {
                name,
                description,
                metadata,
                settings,
                test_before_save,
            } => {
                vet(provider, client, settings.clone())?;
                let told = Place::as_told(ResourceType::Connection, name.as_str());
                caller.may(("connection", name.as_str()), &[told])?;
                let identifier = ConnectionIdentifier::Name(name.clone());
                let connections = &self.repositories().connections;
                let taken = connections.find(caller.organization(), &identifier).await?;
                if taken.is_some() {
                    return Err(name_taken());
                }
                Ok(DraftGoal::NewConnection {
                    name: name.as_str().to_owned(),
                    description,
                    metadata,
                    settings,
                    test_before_save,
                })
            }
            ConsentGoal::Connection(identifier) => {
                let connection = self.connection(caller, &identifier).await?;
                if connection.sealed.is_none() {
                    return Err(TransitionError::Archived.into());
                }
                if connection.provider() != provider
                    || connection.credential_type != CredentialType::OAuth
                {
                    let message = format!(
                        "must be a {provider} connection with credentials of the type oauth; this one is a {} connection with {}",
                        connection.provider(),
                        connection.credential_type
                    );
                    return Err(InvalidInput::one("connection", "conflict", message).into());
                }
                vet(provider, client, connection.config.to_json())?;
                Ok(DraftGoal::connection(&connection.id))
            }
        }
    }
}
