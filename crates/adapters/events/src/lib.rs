//! Where events leave: webhooks, through the egress guard, and a NATS `JetStream` stream that the operator named.
//!
//! What is sent, to whom, and what becomes of a failure is decided elsewhere: this crate must never know how events come to be, how
//! channels are sealed, or when something is tried again. What it says in errors is in its own words.
#![warn(missing_docs)]

mod nats;
mod signature;
mod webhook;

pub use nats::{NatsError, NatsSettings, NatsStream};
pub use webhook::GuardedSender;
