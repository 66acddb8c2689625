//! The official AWS SDK over the egress guard: what every client made with it shares.
//!
//! [`http_client`] is the only transport its clients get: no environment, no redirects, no pool of their own.
//! [`PlainManners`] keeps their requests from telling where Wharf runs. [`answer`] reads what the SDK leaves unread.
//!
//! This crate must never know a service's operations, nor what is sent or stored.
#![warn(missing_docs)]

pub mod answer;
mod connector;
mod manners;

pub use connector::http_client;
pub use manners::PlainManners;
