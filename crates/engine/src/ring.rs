//! Providers that tell of changes, on channels that were opened for them.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::{Engine, EngineError};

impl Engine {
    /// A provider calls a channel and says the word that it was given: its sync is due at once. Whether there is such a channel, with
    /// that word.
    pub async fn ring_channel(&self, channel: &str, word: &str) -> Result<bool, EngineError> {
        let across = &self.repositories().across;
        let rung = across.ring_channel(channel, &sha256(word)).await?;
        if rung {
            self.work_arrived.notify_one();
        }
        Ok(rung)
    }

    /// Whether there is such a channel, with that word; nothing comes of it.
    pub async fn knows_channel(&self, channel: &str, word: &str) -> Result<bool, EngineError> {
        let across = &self.repositories().across;
        Ok(across.knows_channel(channel, &sha256(word)).await?)
    }
}

/// A word's stored form, in lower-case hex.
pub(crate) fn sha256(word: &str) -> String {
    let mut hash = String::with_capacity(64);
    for byte in Sha256::digest(word.as_bytes()) {
        // Writing to a string does not fail.
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}
