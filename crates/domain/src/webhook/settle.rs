use std::time::Duration;

use super::{DeliveryHealth, MOST_ATTEMPTS, PAUSE_AFTER, Settlement, Webhook, pause_after};
use crate::Timestamp;
use crate::event::{Event, EventCursor, OutboxEntry};

/// What an attempt to tell a webhook of an event came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every channel accepted it.
    Accepted,
    /// Some channel did not.
    Failed {
        /// Why, in our own words.
        cause: String,
        /// Whether it said that it is gone for good.
        gone: bool,
    },
}

impl DeliveryHealth {
    fn accepted(&mut self, now: Timestamp) {
        *self = Self {
            last_success_at: Some(now),
            missed_events_at: self.missed_events_at,
            ..Self::default()
        };
    }

    fn failed(&mut self, now: Timestamp, cause: &str) {
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        self.first_failure_at.get_or_insert(now);
        self.last_failure_at = Some(now);
        self.last_failure_cause = Some(cause.to_owned());
    }

    fn paused(&mut self, now: Timestamp, reason: impl Into<String>) {
        self.paused_at = Some(now);
        self.paused_reason = Some(reason.into());
    }
}

impl Settlement {
    /// What a round amounts to that tried to tell the webhook of `told`: what it wants to be told of `entries`, in order, each with
    /// what its attempt came to, if there was one. The cursor goes up to the first event that is not done: not attempted, or failed
    /// and to be tried again. Later ones that were accepted are told again then. The deliveries are left to be filled in.
    pub fn of(
        webhook: &Webhook,
        entries: &[OutboxEntry],
        told: &[(Event, Option<Outcome>)],
        now: Timestamp,
    ) -> Self {
        let mut settlement = Self {
            cursor: webhook.cursor,
            attempts: webhook.attempts,
            health: webhook.health.clone(),
            deliveries: Vec::new(),
            redelivered: Vec::new(),
            pause: Duration::ZERO,
        };
        for (event, outcome) in told {
            match outcome {
                None => {
                    settlement.cursor = before(event).max(webhook.cursor);
                    return settlement;
                }
                Some(Outcome::Accepted) => {
                    settlement.attempts = 0;
                    settlement.health.accepted(now);
                }
                Some(Outcome::Failed { cause, gone }) => {
                    settlement.attempts = settlement.attempts.saturating_add(1);
                    settlement.health.failed(now, cause);
                    let given_up = settlement.attempts >= MOST_ATTEMPTS;
                    if *gone {
                        settlement.health.paused(now, cause.as_str());
                    } else if given_up {
                        settlement.attempts = 0;
                        settlement.health.given_up += 1;
                    }
                    if settlement.health.given_up >= PAUSE_AFTER && !gone {
                        let reason =
                            format!("{PAUSE_AFTER} events in a row were not accepted: {cause}");
                        settlement.health.paused(now, reason);
                        settlement.cursor = event.cursor;
                        return settlement;
                    }
                    if *gone || !given_up {
                        settlement.cursor = before(event).max(webhook.cursor);
                        settlement.pause = pause_after(settlement.attempts);
                        return settlement;
                    }
                }
            }
        }
        if let Some(last) = entries.last() {
            settlement.cursor = EventCursor::past(last.head.position);
        }
        settlement
    }
}

/// Where a subscriber stands who has got everything before this event.
fn before(event: &Event) -> EventCursor {
    match event.cursor {
        EventCursor {
            position,
            item: 0 | 1,
        } => EventCursor::past(position.saturating_sub(1)),
        EventCursor { position, item } => EventCursor {
            position,
            item: item - 1,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::audit::{AuditHash, ChainHead, ResourceType};
    use crate::event::{Announcement, EventType, ObjectChange, ObjectFate};
    use crate::webhook::{SealedChannels, WebhookSettings};

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(seconds, 0).expect("in range")
    }

    fn entry(position: u64, announcement: Announcement) -> OutboxEntry {
        OutboxEntry {
            organization: "int_aaaaaaaaaaaaaaaaaaaaaaaa".parse().expect("an id"),
            audit: format!("aud_{position:016x}").parse().expect("an id"),
            head: ChainHead {
                position,
                hash: AuditHash::START,
            },
            at: time(0),
            resource_type: ResourceType::Sync,
            resource_id: "sync_0000000000000000".to_owned(),
            announcement,
        }
    }

    fn one(position: u64) -> OutboxEntry {
        let facts = json!({});
        entry(
            position,
            Announcement::One {
                event_type: EventType::SyncCreated,
                facts,
            },
        )
    }

    fn objects(position: u64, count: u32) -> OutboxEntry {
        let change = |i: u32| ObjectChange {
            object_id: format!("obj_{i:016x}").parse().expect("an id"),
            fate: ObjectFate::Updated,
            source_path: "a".to_owned(),
            size_bytes: 1,
        };
        entry(
            position,
            Announcement::Objects {
                bucket_id: "bkt_0000000000000000".parse().expect("an id"),
                sync_config_id: None,
                sync_job_id: None,
                changes: (0..count).map(change).collect(),
                own: None,
            },
        )
    }

    fn webhook() -> Webhook {
        Webhook {
            id: "wh_0000000000000000".parse().expect("an id"),
            organization: "int_aaaaaaaaaaaaaaaaaaaaaaaa".parse().expect("an id"),
            settings: WebhookSettings {
                name: "w".to_owned(),
                event_types: Vec::new(),
                all: true,
                resource_types: Vec::new(),
                channels: json!([]),
                sealed: SealedChannels(Vec::new()),
                secret_version: 1,
                is_active: true,
            },
            health: DeliveryHealth::default(),
            cursor: EventCursor::past(4),
            attempts: 0,
            created_at: time(0),
            updated_at: time(0),
        }
    }

    fn failed() -> Outcome {
        Outcome::Failed {
            cause: "it answered 500".to_owned(),
            gone: false,
        }
    }

    fn settle(
        webhook: &Webhook,
        entries: &[OutboxEntry],
        outcomes: impl IntoIterator<Item = Option<Outcome>>,
    ) -> Settlement {
        let events = entries.iter().flat_map(OutboxEntry::events);
        let told: Vec<_> = events.zip(outcomes).collect();
        Settlement::of(webhook, entries, &told, time(9))
    }

    const FINE: Option<Outcome> = Some(Outcome::Accepted);

    #[test]
    fn everything_accepted_takes_the_cursor_past_the_last_entry_wanted_or_not() {
        let settled = settle(&webhook(), &[one(5), objects(6, 2)], [FINE, FINE, FINE]);
        assert_eq!(settled.cursor, EventCursor::past(6));
        assert_eq!(settled.health.last_success_at, Some(time(9)));
        let unwanted = Settlement::of(&webhook(), &[one(5), one(7)], &[], time(9));
        assert_eq!(unwanted.cursor, EventCursor::past(7));
        assert_eq!(settle(&webhook(), &[], []).cursor, EventCursor::past(4));
    }

    #[test]
    fn the_cursor_never_passes_an_event_that_is_not_done() {
        let settled = settle(
            &webhook(),
            &[one(5), one(6), one(7)],
            [FINE, Some(failed()), FINE],
        );
        assert_eq!(
            (settled.cursor, settled.attempts),
            (EventCursor::past(5), 1)
        );
        assert_eq!(settled.pause, Duration::from_secs(5));
        let settled = settle(&webhook(), &[objects(5, 3)], [FINE, FINE, Some(failed())]);
        assert_eq!(
            settled.cursor,
            EventCursor {
                position: 5,
                item: 2
            }
        );
        let settled = settle(&webhook(), &[one(5), one(6)], [None, FINE]);
        assert_eq!(
            (settled.cursor, settled.attempts),
            (EventCursor::past(4), 0)
        );
        assert_eq!(settled.pause, Duration::ZERO);
    }

    #[test]
    fn after_its_last_attempt_an_event_is_given_up_and_the_next_has_its_turn() {
        let mut last = webhook();
        last.attempts = MOST_ATTEMPTS - 1;
        let settled = settle(&last, &[one(5), one(6)], [Some(failed()), None]);
        assert_eq!(
            (settled.cursor, settled.attempts),
            (EventCursor::past(5), 0)
        );
        assert_eq!(
            (settled.health.given_up, settled.pause),
            (1, Duration::ZERO)
        );
        let settled = settle(&last, &[one(5), one(6)], [Some(failed()), Some(failed())]);
        assert_eq!(
            (settled.cursor, settled.attempts),
            (EventCursor::past(5), 1)
        );
    }

    #[test]
    fn events_given_up_in_a_row_pause_and_one_accepted_between_does_not() {
        let mut last = webhook();
        last.attempts = MOST_ATTEMPTS - 1;
        last.health.given_up = PAUSE_AFTER - 1;
        let settled = settle(&last, &[one(5), one(6)], [Some(failed()), None]);
        assert_eq!(settled.health.paused_at, Some(time(9)));
        assert_eq!(settled.health.given_up, PAUSE_AFTER);
        let past = EventCursor {
            position: 5,
            item: 1,
        };
        assert_eq!(
            settled.cursor, past,
            "the event that was given up is behind"
        );
        let settled = settle(&last, &[one(5)], [FINE]);
        assert_eq!(
            (settled.health.given_up, settled.health.paused_at),
            (0, None)
        );
    }

    #[test]
    fn who_is_gone_is_paused_at_once_and_told_of_the_same_event_later() {
        let gone = Some(Outcome::Failed {
            cause: "it answered 410".to_owned(),
            gone: true,
        });
        let settled = settle(&webhook(), &[one(5), one(6)], [gone, FINE]);
        assert_eq!(
            settled.health.paused_reason.as_deref(),
            Some("it answered 410")
        );
        assert_eq!(settled.cursor, EventCursor::past(4));
    }
}
