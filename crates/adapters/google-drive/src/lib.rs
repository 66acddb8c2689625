//! Google Drive: service accounts and personal consent, listings, the changes feed and native documents.
//!
//! [`GoogleDrive`] opens accounts. Calls and their types are the `google-drive3` crate's, sent through the egress guard and
//! nothing else: no token touches a disk, nothing is sent again behind our back, and no redirect takes a token elsewhere.
//! Google's addresses are constants, or the operator's; what a pasted key file names is never dialled.
//!
//! The crate's types stay in `wire`. This crate must never know what becomes of the files, nor who asks for them; Google's
//! texts never get into its errors.

mod addresses;
mod browse;
mod changes;
mod check;
#[cfg(test)]
mod document;
mod download;
mod entry;
mod error;
mod export;
mod factory;
mod listing;
mod look;
mod metadata;
mod pace;
mod provider;
mod push;
mod reach;
mod remote;
mod setup;
mod source;
mod token;
mod trace;
mod tree;
mod wire;

pub use addresses::Addresses;
pub use factory::GoogleDrive;
