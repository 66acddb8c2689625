//! The envelope over a key ring and a repository in memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod channels;
mod consents;
mod desk;
mod sealing;
mod sessions;
mod stored_form;
mod tampering;
