//! Envelope encryption of credentials: the key ring wraps one key per organization, an organization key wraps a fresh
//! data key (DEK) per seal, the data key encrypts the credentials of one connection.
//!
//! Sealed credentials are bound to a [`Binding`]: the place they are stored at, whose they are, and the audience they may
//! be sent to. Moved to another row, provider, version or audience they do not open. The binding is always rebuilt from
//! the row being served and never read from the sealed bytes. The channels of webhooks, with their addresses, headers and signing
//! secrets, are sealed in the same form under a [`ChannelsBinding`], and what is needed to finish a consent under a
//! [`ConsentBinding`]; access tokens under a [`SessionBinding`].
//!
//! Limits. Data keys seal once, so their nonces cannot collide. An organization key wraps one data key per write of
//! credentials under a random 96-bit nonce, for which 2^32 wraps under one key are the accepted bound (2^20 of them
//! collide with a chance of 2^-57). Wraps are not counted here: an organization would have to write credentials once a
//! second for 136 years to get there.
//!
//! This crate must not know what credentials look like, how they are stored, or where the key ring keeps its keys.
#![warn(missing_docs)]

mod binding;
mod consent;
mod error;
mod format;
mod organization_keys;
mod padding;
mod seal;
mod session;

pub use binding::{Binding, ChannelsBinding, IncompleteBinding};
pub use consent::ConsentBinding;
pub use error::{OpenError, SealError};
pub use seal::Envelope;
pub use session::SessionBinding;
