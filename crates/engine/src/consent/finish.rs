use tokio::time::timeout;
use wharf_domain::access::Permission;
use wharf_domain::audit::{Actor, Origin};
use wharf_domain::connection::{Connection, ConnectionName};
use wharf_domain::provider::{Provider, parse_new};
use wharf_domain::secret::SecretString;
use wharf_envelope::ConsentBinding;
use wharf_ports::{ConsentAnswer, ConsentClient, ProviderError, Retry, StoredConsent};

use super::draft::{Draft, DraftGoal};
use super::{config_with, state_sha256};
use crate::{Caller, CreateConnection, Engine, EngineError, UpdateConnection};

/// What a browser brought back from the provider.
#[derive(Debug)]
pub enum ConsentAnswered {
    /// A code that is worth the grant, once.
    Code(SecretString),
    /// The provider's word for why there is none.
    Refused(String),
}

/// Whose browser it is, for the audit trail.
#[derive(Debug, Default)]
pub struct Visitor {
    /// Its address.
    pub ip_address: Option<String>,
    /// What it calls itself.
    pub user_agent: Option<String>,
}

impl Engine {
    /// Finishes a consent, whatever becomes of it: a state is good once. The key that it was begun with must still allow it.
    pub async fn finish_consent(
        &self,
        provider: Provider,
        state: &SecretString,
        answered: ConsentAnswered,
        visitor: Visitor,
    ) -> Result<Connection, EngineError> {
        let state_sha256 = state_sha256(state);
        let across = &self.repositories().across;
        let consent = across
            .take_consent(&state_sha256)
            .await?
            .ok_or_else(unknown)?;
        let binding = ConsentBinding {
            organization: consent.organization.clone(),
            state_sha256,
        };
        let opened = self
            .envelope
            .open_consent(&binding, &consent.sealed)
            .await?;
        let draft = Draft::from_secret_bytes(&opened)?;
        drop(opened);
        if draft.provider != provider {
            return Err(unknown());
        }
        let code = match answered {
            ConsentAnswered::Code(code) => code,
            ConsentAnswered::Refused(word) => return Err(refused(provider, &word)),
        };
        let caller = self.who_began(&consent, &draft, visitor).await?;
        let grant = self.exchange(&draft, &code).await?;
        let Draft {
            client_id,
            client_secret,
            goal,
            ..
        } = draft;
        match goal {
            DraftGoal::NewConnection {
                name,
                description,
                metadata,
                settings,
                test_before_save,
            } => {
                let fields = config_with(settings, &client_id, &client_secret, &grant);
                let new = CreateConnection {
                    name: ConnectionName::parse(&name)
                        .map_err(wharf_domain::input::InvalidInput::from)?,
                    description,
                    provider_config: parse_new(provider, fields.into_inner(), "provider_config")?,
                    metadata,
                    write_enabled: false,
                    test_before_save,
                    by_consent: true,
                };
                self.create_connection(&caller, new).await
            }
            DraftGoal::Connection(id) => {
                let settings = self.connection(&caller, &id).await?.config.to_json();
                let fields = config_with(settings, &client_id, &client_secret, &grant);
                let update = UpdateConnection {
                    provider_config: Some(fields),
                    by_consent: true,
                    ..UpdateConnection::default()
                };
                self.update_connection(&caller, &id, update).await
            }
        }
    }

    /// Whoever began it, as far as they may act now.
    async fn who_began(
        &self,
        consent: &StoredConsent,
        draft: &Draft,
        visitor: Visitor,
    ) -> Result<Caller, EngineError> {
        let access = &self.repositories().access;
        let keys = access
            .list_api_keys(&consent.organization, &consent.user)
            .await?;
        let key = keys.into_iter().find(|key| key.id == consent.api_key);
        let credential = match key {
            Some(key) => self.repositories().across.find_api_key(&key.hash).await?,
            None => None,
        };
        let principal = credential.filter(|found| found.valid).map(|found| {
            let mut principal = found.principal;
            principal.grant = principal.grant.under(found.role.ceiling());
            principal
        });
        let principal = principal
            .filter(|principal| principal.permission() >= Permission::Admin)
            .ok_or_else(|| EngineError::Forbidden {
                code: "consent_not_allowed",
                message: "Whoever began this consent may not change connections any more; an admin must begin it again."
                    .to_owned(),
            })?;
        let origin = Origin {
            actor: Actor::User {
                user_id: principal.user.to_string(),
                key_id: principal.key.to_string(),
            },
            reason: draft.reason.clone(),
            ip_address: visitor.ip_address,
            user_agent: visitor.user_agent,
            claim: None,
        };
        Ok(Caller {
            principal,
            wants: Permission::Admin,
            origin,
        })
    }

    /// The grant that the code is worth.
    async fn exchange(
        &self,
        draft: &Draft,
        code: &SecretString,
    ) -> Result<SecretString, EngineError> {
        let flow = self.consent_flow(draft.provider)?;
        let client = ConsentClient {
            client_id: &draft.client_id,
            client_secret: &draft.client_secret,
        };
        let answer = ConsentAnswer {
            code,
            verifier: &draft.verifier,
            redirect_uri: &draft.redirect_uri,
        };
        let exchanged = timeout(
            self.parts.settings.check_timeout,
            flow.exchange(client, answer),
        )
        .await;
        exchanged
            .map_err(|elapsed| EngineError::Unavailable {
                what: "the provider",
                source: Some(elapsed.into()),
            })?
            .map_err(|error| not_exchanged(draft.provider, error))
    }
}

fn unknown() -> EngineError {
    EngineError::conflict(
        "consent_unknown",
        "This consent has been finished already, has expired, or never began: each one is good once, for ten minutes. An admin can \
         begin it again.",
    )
}

/// Why there is no code, by the words of RFC 6749 and Google's own. Any other word is anybody's text, and not repeated.
fn refused(provider: Provider, word: &str) -> EngineError {
    let message = match word {
        "access_denied" => "The consent was not given, so nothing was changed.",
        "admin_policy_enforced" => {
            "The account's administrator does not allow the application; let them allow it, and begin again."
        }
        "invalid_scope"
        | "unauthorized_client"
        | "invalid_request"
        | "unsupported_response_type" => {
            "The application may not ask for this consent; look at its settings at the provider, and begin again."
        }
        "server_error" | "temporarily_unavailable" => {
            "The provider could not ask for the consent at this time; begin again later."
        }
        _ => "The provider refused the consent without a reason that is known here; begin again.",
    };
    tracing::info!(%provider, "a consent was refused at the provider");
    EngineError::conflict("consent_refused", message)
}

fn not_exchanged(provider: Provider, error: ProviderError) -> EngineError {
    match error.retry {
        Retry::Later { after } => EngineError::ProviderAway {
            code: error.code,
            message: error.message,
            after,
        },
        Retry::Never | Retry::Restart => {
            let what = error.message.trim_end_matches('.');
            let message = format!("{provider} gave no grant ({}): {what}.", error.code);
            EngineError::conflict("consent_not_granted", message)
        }
    }
}
