//! Setting up the other side: the external id that Wharf issues, and the kit of what must be granted.

use std::collections::BTreeMap;

use serde_json::json;
use wharf_domain::audit::{Action, ResourceType};
use wharf_domain::connection::Connection;
use wharf_domain::ids::{ExternalId, OrganizationId};
use wharf_domain::input::InvalidInput;
use wharf_domain::provider::{Credentials, Provider};
use wharf_domain::scope::Place;
use wharf_domain::setup::{SetupKit, SetupRequest};

use crate::{Caller, Engine, EngineError, Mandate};

/// What a setup kit is wanted for, as a request describes it.
#[derive(Debug, Clone, Default)]
pub struct SetupWish {
    /// The connection at hand, by identifier or name.
    pub connection: Option<String>,
    /// What a sync would read.
    pub source_path: Option<String>,
}

/// What the other side must grant to an organization's connections.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The external id for role assumption, of providers that have roles.
    pub external_id: Option<ExternalId>,
    /// The kit.
    pub kit: SetupKit,
}

impl Engine {
    /// What the other side must grant. The first call for a provider with roles issues the organization's external id.
    pub async fn setup(
        &self,
        caller: &Caller,
        provider: Provider,
        wish: SetupWish,
    ) -> Result<Setup, EngineError> {
        let providers = &self.parts.providers;
        if !providers.supports(provider) {
            let message = format!("This server has no adapter for {provider} connections.");
            return Err(EngineError::NotSupported(message));
        }
        if let Some(source_path) = &wish.source_path {
            providers.vet_source_path(provider, source_path)?;
        }
        let (connection, identity) = match &wish.connection {
            None => {
                let all = Place::all(ResourceType::Connection);
                caller.may(("connection", "*"), &[all])?;
                (None, BTreeMap::new())
            }
            Some(identifier) => {
                let connection = self.connection(caller, identifier).await?;
                if connection.provider() != provider {
                    let message = format!(
                        "names a connection for {}, not for {provider}",
                        connection.provider()
                    );
                    return Err(InvalidInput::one("connection", "mismatch", message).into());
                }
                let identity = self.identity_of(&connection).await;
                let settings = (connection.config, connection.credential_type);
                (Some(settings), identity)
            }
        };
        let external_id = if has_roles(provider) {
            Some(self.external_id(caller).await?)
        } else {
            None
        };
        let request = SetupRequest {
            external_id: external_id.clone(),
            connection,
            identity,
            source_path: wish.source_path,
        };
        let kit = providers.setup(provider, &request).await.map_err(|error| {
            EngineError::Unavailable {
                what: "Wharf's own identity at the provider",
                source: Some(error.into()),
            }
        })?;
        Ok(Setup { external_id, kit })
    }

    /// Whose a connection's credentials are, where a person on the other side must know it to grant something.
    async fn identity_of(&self, connection: &Connection) -> BTreeMap<&'static str, String> {
        if connection.provider() != Provider::GoogleDrive {
            return BTreeMap::new();
        }
        match self.open_credentials(connection).await {
            Ok(credentials) => credentials.identity(),
            // Most of a kit is of use without it.
            Err(_) => BTreeMap::new(),
        }
    }

    /// The organization's external id; the first call issues it.
    async fn external_id(&self, caller: &Caller) -> Result<ExternalId, EngineError> {
        let external_ids = &self.repositories().external_ids;
        let organization = caller.organization();
        if let Some(id) = external_ids.issued(organization).await?.into_iter().next() {
            return Ok(id);
        }
        let id: ExternalId = self.ids().id();
        let resource = (ResourceType::Organization, organization.as_str());
        let changes = json!({"external_id": id.as_str()});
        let audit = caller.audit(self.ids(), Action::ExternalIdIssued, resource, changes);
        external_ids
            .issue_first(organization, id, audit)
            .await?
            .ok_or_else(|| EngineError::not_found("organization", organization.as_str()))
    }

    /// Refuses a role with an external id that Wharf did not issue to this organization: with one that a customer may
    /// choose, anybody could have Wharf assume anybody's role.
    pub(crate) async fn refuse_foreign_external_id(
        &self,
        organization: &OrganizationId,
        credentials: &Credentials,
    ) -> Result<(), EngineError> {
        let Some(given) = credentials.external_id() else {
            return Ok(());
        };
        let issued = self
            .repositories()
            .external_ids
            .issued(organization)
            .await?;
        if issued.iter().any(|id| id.as_str() == given) {
            return Ok(());
        }
        let message = format!(
            "must be the one that Wharf issued to this organization; GET /v1/organizations/setup/{} tells it",
            credentials.provider()
        );
        Err(InvalidInput::one(
            "provider_config.credentials.external_id",
            "not_issued",
            message,
        )
        .into())
    }
}

/// Whether Wharf can come to a provider under a role.
fn has_roles(provider: Provider) -> bool {
    provider == Provider::S3
}
