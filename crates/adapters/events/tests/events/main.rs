//! Deliveries to a receiver on this machine, and a real NATS server.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod nats;
mod webhooks;
