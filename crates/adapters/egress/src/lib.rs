//! The one door out: every outbound byte of Wharf passes this guard.
//!
//! A [`Policy`] says where Wharf may go, a [`Guard`] applies it to every single dial (resolve once, judge
//! every answer, dial only an approved address), and a [`Client`] speaks HTTP through that guard. There
//! are no redirects, no proxies, no environment variables and no way round.
//!
//! Who asks and what for is none of its business: it must never know providers, connections, secrets or
//! tenants. What it says in errors is in its own words; nothing that the other side sent is repeated.

mod allow;
mod body;
mod certificate;
mod class;
mod client;
mod connector;
mod dialer;
mod endpoint;
mod error;
mod guard;
mod network;
mod policy;
mod refusal;
mod resolver;
mod tls;

pub use allow::{AllowEntry, AllowEntryError};
pub use body::Body;
pub use class::{Class, classify};
pub use client::{Client, Timeouts};
pub use connector::{Connector, Limited};
pub use dialer::{Dialer, TcpDialer};
pub use endpoint::{Endpoint, Origin, OriginError, Scheme};
pub use error::{ConnectReason, EgressError, TlsReason, Waiting};
pub use guard::Guard;
pub use policy::{Policy, Standing};
pub use refusal::{Reason, Refusal};
pub use resolver::{Resolver, SystemResolver};
pub use tls::TlsMode;
