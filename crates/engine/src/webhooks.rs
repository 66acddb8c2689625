//! Webhooks: created, read, changed and removed by people. How events get to them stands in [`crate::events`].

use serde_json::json;
use wharf_domain::audit::{Action, ResourceType};
use wharf_domain::event::{EventId, EventType};
use wharf_domain::ids::WebhookId;
use wharf_domain::input::{FieldError, InvalidInput};
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::scope::Place;
use wharf_domain::webhook::{
    Channels, Delivery, DraftChannels, IncompleteChannels, Webhook, WebhookSettings, audience,
};
use wharf_envelope::{ChannelsBinding, OpenError};
use wharf_ports::{InsertError, WebhookError, WebhookFilter};

use crate::{Caller, Engine, EngineError, Mandate};

/// Most events that one request may want delivered once more.
pub const MOST_REDELIVERIES: usize = 100;

/// Most webhooks that an organization may have.
const MOST_WEBHOOKS: u64 = 100;

/// A webhook as a request describes it.
#[derive(Debug)]
pub struct WebhookWish {
    /// Its name.
    pub name: String,
    /// What it is told of.
    pub event_types: Vec<EventType>,
    /// Whether it is told of everything.
    pub all: bool,
    /// Only of these kinds of things; empty means any.
    pub resource_types: Vec<String>,
    /// Where to.
    pub channels: DraftChannels,
    /// Whether it is told at all.
    pub is_active: bool,
}

impl Engine {
    /// Adds a webhook, which is told of what happens from now on.
    pub async fn create_webhook(
        &self,
        caller: &Caller,
        wish: WebhookWish,
    ) -> Result<Webhook, EngineError> {
        caller.may_touch_organization()?;
        let there = self
            .list_webhooks(caller, &WebhookFilter::default(), &PageRequest::first(1))
            .await?;
        if there.total >= MOST_WEBHOOKS {
            let message = format!(
                "An organization has at most {MOST_WEBHOOKS} webhooks; delete one that is not needed any more."
            );
            return Err(EngineError::conflict("too_many_webhooks", message));
        }
        let id: WebhookId = self.ids().id();
        let settings = self.settled(caller, &id, wish, None, 1).await?;
        let changes = facts(&settings);
        let resource = (ResourceType::Webhook, id.as_str());
        let audit = caller.audit(self.ids(), Action::WebhookCreated, resource, changes);
        let organization = caller.organization();
        let webhooks = &self.repositories().webhooks;
        let inserted = webhooks.insert(organization, id, settings, audit).await;
        inserted.map_err(|error| match error {
            InsertError::Repository(error) => error.into(),
            InsertError::NameTaken | InsertError::ParentMissing => {
                EngineError::not_found("organization", organization.as_str())
            }
        })
    }

    /// A webhook.
    pub async fn webhook(&self, caller: &Caller, identifier: &str) -> Result<Webhook, EngineError> {
        let webhooks = &self.repositories().webhooks;
        let found = match identifier.parse::<WebhookId>() {
            Ok(id) => webhooks.find(caller.organization(), &id).await?,
            Err(_) => None,
        };
        let kind = ResourceType::Webhook;
        let place = match &found {
            Some(webhook) => Place::named(kind, webhook.id.as_str(), &webhook.settings.name),
            None => Place::as_told(kind, identifier),
        };
        caller.may(("webhook", identifier), &[place])?;
        found.ok_or_else(|| EngineError::not_found("webhook", identifier))
    }

    /// The organization's webhooks that match, newest first.
    pub async fn list_webhooks(
        &self,
        caller: &Caller,
        filter: &WebhookFilter,
        page: &PageRequest,
    ) -> Result<Page<Webhook>, EngineError> {
        caller.may(("webhook", "*"), &[Place::all(ResourceType::Webhook)])?;
        let webhooks = &self.repositories().webhooks;
        Ok(webhooks.list(caller.organization(), filter, page).await?)
    }

    /// Replaces what a person decides about a webhook. Secrets that the wish keeps stay, as long as they go to the same host.
    pub async fn replace_webhook(
        &self,
        caller: &Caller,
        identifier: &str,
        wish: WebhookWish,
    ) -> Result<Webhook, EngineError> {
        let old = self.webhook(caller, identifier).await?;
        let read_version = old.settings.secret_version;
        let kept = if wish.channels.keeps() {
            Some(self.open_channels(&old).await.map_err(EngineError::from)?)
        } else {
            None
        };
        let settings = self
            .settled(caller, &old.id, wish, kept.as_ref(), read_version + 1)
            .await?;
        let changes = facts(&settings);
        let resource = (ResourceType::Webhook, old.id.as_str());
        let audit = caller.audit(self.ids(), Action::WebhookUpdated, resource, changes);
        let replaced = self
            .repositories()
            .webhooks
            .replace(
                caller.organization(),
                &old.id,
                read_version,
                settings,
                audit,
            )
            .await;
        replaced.map_err(|error| match error {
            WebhookError::NotFound => EngineError::not_found("webhook", identifier),
            WebhookError::Conflict => EngineError::conflict(
                "webhook_changed",
                "The webhook was changed by somebody else at the same time; read it again and repeat the change.",
            ),
            WebhookError::Repository(error) => error.into(),
        })
    }

    /// Removes a webhook, if there is one.
    pub async fn delete_webhook(
        &self,
        caller: &Caller,
        identifier: &str,
    ) -> Result<(), EngineError> {
        let id = match self.webhook(caller, identifier).await {
            Ok(webhook) => webhook.id,
            Err(EngineError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let resource = (ResourceType::Webhook, id.as_str());
        let audit = caller.audit(self.ids(), Action::WebhookDeleted, resource, json!({}));
        let webhooks = &self.repositories().webhooks;
        webhooks.remove(caller.organization(), &id, audit).await?;
        Ok(())
    }

    /// A webhook's attempts, newest first. They show events of the whole organization.
    pub async fn webhook_deliveries(
        &self,
        caller: &Caller,
        webhook: &Webhook,
        page: &PageRequest,
    ) -> Result<Page<Delivery>, EngineError> {
        caller.may_touch_organization()?;
        let webhooks = &self.repositories().webhooks;
        Ok(webhooks
            .deliveries(caller.organization(), &webhook.id, page)
            .await?)
    }

    /// Asks for events to be delivered once more; each is tried once.
    pub async fn redeliver(
        &self,
        caller: &Caller,
        identifier: &str,
        events: &[EventId],
    ) -> Result<(), EngineError> {
        caller.may_touch_organization()?;
        let webhook = self.webhook(caller, identifier).await?;
        let mut mistakes = Vec::new();
        for (i, event) in events.iter().enumerate() {
            if self.find_event(caller, event).await?.is_none() {
                let message = "there is no such event, or it is not kept any more";
                mistakes.push(FieldError::new(
                    &format!("event_ids.{i}"),
                    "not_found",
                    message,
                ));
            }
        }
        if !mistakes.is_empty() {
            return Err(InvalidInput(mistakes).into());
        }
        let listed: Vec<&str> = events.iter().map(EventId::as_str).collect();
        let resource = (ResourceType::Webhook, webhook.id.as_str());
        let changes = json!({"event_ids": listed});
        let audit = caller.audit(self.ids(), Action::WebhookRedelivered, resource, changes);
        let asked = self
            .repositories()
            .webhooks
            .redeliver(caller.organization(), &webhook.id, events, audit)
            .await?;
        if asked {
            Ok(())
        } else {
            Err(EngineError::not_found("webhook", identifier))
        }
    }

    /// The wish with its channels whole and sealed.
    async fn settled(
        &self,
        caller: &Caller,
        id: &WebhookId,
        wish: WebhookWish,
        old: Option<&Channels>,
        secret_version: u64,
    ) -> Result<WebhookSettings, EngineError> {
        let channels = wish.channels.complete(old).map_err(incomplete)?;
        let view = channels.view();
        let binding = ChannelsBinding {
            organization: caller.organization().clone(),
            webhook: id.clone(),
            secret_version,
            audience: audience(&view),
        };
        let sealed = self
            .envelope
            .seal_channels(&binding, &channels.to_secret_bytes())
            .await?;
        Ok(WebhookSettings {
            name: wish.name,
            event_types: wish.event_types,
            all: wish.all,
            resource_types: wish.resource_types,
            channels: view,
            sealed,
            secret_version,
            is_active: wish.is_active,
        })
    }

    /// Opens a stored webhook's channels.
    pub(crate) async fn open_channels(
        &self,
        webhook: &Webhook,
    ) -> Result<Channels, ClosedChannels> {
        let binding = ChannelsBinding::of(webhook);
        let opened = self
            .envelope
            .open_channels(&binding, &webhook.settings.sealed)
            .await
            .map_err(|error| match error {
                error @ (OpenError::KeyRing(_) | OpenError::Repository(_)) => {
                    ClosedChannels::Away(error.into())
                }
                _ => ClosedChannels::Integrity,
            })?;
        Channels::from_secret_bytes(&opened).map_err(|_| ClosedChannels::Integrity)
    }
}

/// Why stored channels cannot be used.
#[derive(Debug)]
pub(crate) enum ClosedChannels {
    /// They do not open: the row was changed.
    Integrity,
    /// Something that Wharf needs is away.
    Away(EngineError),
}

impl From<ClosedChannels> for EngineError {
    fn from(closed: ClosedChannels) -> Self {
        match closed {
            ClosedChannels::Integrity => Self::CredentialsReentryRequired {
                fields: vec!["channels".to_owned()],
                why: "the stored secrets of the channels cannot be opened; enter all of them again"
                    .to_owned(),
            },
            ClosedChannels::Away(error) => error,
        }
    }
}

fn incomplete(error: IncompleteChannels) -> EngineError {
    match error {
        IncompleteChannels::Invalid(mistakes) => mistakes.into(),
        IncompleteChannels::Reentry(fields) => EngineError::CredentialsReentryRequired {
            fields,
            why: "must be entered again, or removed with an empty text, because the address is another one now".to_owned(),
        },
    }
}

/// What the audit trail tells of a webhook.
fn facts(settings: &WebhookSettings) -> serde_json::Value {
    let event_types: Vec<&str> = settings
        .event_types
        .iter()
        .map(|kind| kind.as_str())
        .collect();
    json!({
        "webhook_name": settings.name,
        "event_types": event_types,
        "all_event_types": settings.all,
        "resource_types": settings.resource_types,
        "channels": settings.channels,
        "is_active": settings.is_active,
    })
}
