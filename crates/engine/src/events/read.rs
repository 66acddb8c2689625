//! Events for who asks for them.

use wharf_domain::event::{Event, EventCursor, EventId, EventType};

use crate::{Caller, Engine, EngineError, Mandate};

/// Entries that are read in one step, and that are looked through for one page.
const STEP: u32 = 100;
const MOST_LOOKED_AT: u32 = 2000;

/// Which events are wanted; all conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this type.
    pub event_type: Option<EventType>,
    /// About this kind of thing.
    pub resource_type: Option<String>,
    /// About this one.
    pub resource_id: Option<String>,
}

impl EventFilter {
    fn matches(&self, event: &Event) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        self.event_type
            .is_none_or(|wanted| wanted == event.event_type)
            && is(&self.resource_type, event.resource_type.as_str())
            && is(&self.resource_id, &event.resource_id)
    }
}

/// In which direction events are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOrder {
    /// The newest first.
    Newest,
    /// The oldest first, as subscribers get them.
    Oldest,
}

/// Some events, in the order that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// Where to go on: nowhere at the end of the newest first, and always somewhere for the oldest first, since more may come.
    pub next: Option<EventCursor>,
}

impl Engine {
    /// The organization's events that match, as long as they are kept. A page may hold fewer than `limit` though more match: what is
    /// looked through for one page is bounded.
    pub async fn list_events(
        &self,
        caller: &Caller,
        filter: &EventFilter,
        order: EventOrder,
        after: Option<EventCursor>,
        limit: usize,
    ) -> Result<EventPage, EngineError> {
        caller.may_touch_organization()?;
        let events = &self.repositories().events;
        let organization = caller.organization();
        let mut page = EventPage {
            events: Vec::new(),
            next: after,
        };
        let mut looked_at = 0;
        loop {
            // The entry at the cursor may be gone through in part only, so it is read again.
            let entries = match order {
                EventOrder::Newest => {
                    let before = page.next.map(|place| place.position.saturating_add(1));
                    events.before(organization, before, STEP).await?
                }
                EventOrder::Oldest => {
                    let place = page
                        .next
                        .map_or(0, |place| place.position.saturating_sub(1));
                    events.after(organization, place, STEP).await?
                }
            };
            let read = u32::try_from(entries.len()).unwrap_or(u32::MAX);
            for entry in entries {
                let mut unfolded = entry.events();
                if order == EventOrder::Newest {
                    unfolded.reverse();
                }
                for event in unfolded {
                    let seen = page.next.is_some_and(|place| match order {
                        EventOrder::Newest => event.cursor >= place,
                        EventOrder::Oldest => event.cursor <= place,
                    });
                    if seen {
                        continue;
                    }
                    page.next = Some(event.cursor);
                    if filter.matches(&event) {
                        page.events.push(event);
                        if page.events.len() >= limit {
                            return Ok(page);
                        }
                    }
                }
            }
            looked_at += read;
            if read < STEP {
                if order == EventOrder::Newest {
                    page.next = None;
                }
                return Ok(page);
            }
            if looked_at >= MOST_LOOKED_AT {
                return Ok(page);
            }
        }
    }

    /// An event.
    pub async fn event(&self, caller: &Caller, identifier: &str) -> Result<Event, EngineError> {
        caller.may_touch_organization()?;
        let missing = || EngineError::not_found("event", identifier);
        let id: EventId = identifier.parse().map_err(|_| missing())?;
        self.find_event(caller, &id).await?.ok_or_else(missing)
    }

    pub(crate) async fn find_event(
        &self,
        caller: &Caller,
        id: &EventId,
    ) -> Result<Option<Event>, EngineError> {
        let events = &self.repositories().events;
        let entry = events.find(caller.organization(), &id.audit_id()).await?;
        let unfolded = entry.map(|entry| entry.events()).unwrap_or_default();
        Ok(unfolded.into_iter().find(|event| event.id == *id))
    }
}
