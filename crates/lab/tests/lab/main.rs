//! The lab as its users meet it: through the official SDK, over plain sockets, and as a process.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

mod admin;
mod client;
mod faults;
mod keys;
mod listing;
mod misbehaviour;
mod objects;
mod peculiar;
mod process;
mod sts;
mod uploads;
mod versions;
