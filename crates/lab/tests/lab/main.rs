//! The lab as its users meet it: through the official SDK, over plain sockets, and as a process.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

mod admin;
mod client;
mod faults;
mod google_admin;
mod google_changes;
mod google_client;
mod google_consent;
mod google_faults;
mod google_files;
mod google_media;
mod google_surface;
mod google_token;
mod keys;
mod listing;
mod misbehaviour;
mod objects;
mod peculiar;
mod process;
mod sts;
mod uploads;
mod versions;
