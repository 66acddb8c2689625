//! The request journal: every request to a simulated provider, in order of arrival.

use std::collections::VecDeque;

use serde::Serialize;

use crate::operation::Operation;

/// Older entries make room, so that a lab left running does not grow without end.
const CAPACITY: usize = 200_000;

/// One request, as it arrived and as it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalEntry {
    /// Counts requests from 1, over the life of the lab.
    pub seq: u64,
    /// The HTTP method.
    pub method: String,
    /// The path as sent, percent-encoded.
    pub path: String,
    /// The query as sent.
    pub query: Option<String>,
    /// What the request asked for.
    pub operation: Operation,
    /// The bucket it named, from the path or the host.
    pub bucket: Option<String>,
    /// The object key it named, decoded.
    pub key: Option<String>,
    /// The `Range` header.
    pub range: Option<String>,
    /// The key that claims to have signed it, before any check.
    pub access_key_id: Option<String>,
    /// The ARN of the role to assume.
    pub role_arn: Option<String>,
    /// The external id it was assumed with.
    pub external_id: Option<String>,
    /// The session name it was assumed under.
    pub session_name: Option<String>,
    /// The duration asked for, as sent.
    pub duration_seconds: Option<String>,
    /// The grant type a token was asked for with.
    pub grant_type: Option<String>,
    /// Whether it bore an access token.
    pub bearer: bool,
    /// The account that access token stands for; none when the lab never gave it out.
    pub user: Option<String>,
    /// The status answered; none while the answer is due, and none for ever when the connection was
    /// closed instead.
    pub status: Option<u16>,
    /// The position, from 0, of the fault rule that acted.
    pub fault: Option<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    last_seq: u64,
    entries: VecDeque<JournalEntry>,
}

impl Journal {
    /// Writes down an arrival and returns its number.
    pub(crate) fn arrive(&mut self, mut entry: JournalEntry) -> u64 {
        self.last_seq += 1;
        entry.seq = self.last_seq;
        if self.entries.len() == CAPACITY {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
        self.last_seq
    }

    /// Adds the answer to an arrival, unless the journal was cleared meanwhile.
    pub(crate) fn answer(&mut self, seq: u64, status: u16) {
        if let Ok(position) = self.entries.binary_search_by_key(&seq, |entry| entry.seq) {
            self.entries[position].status = Some(status);
        }
    }

    pub(crate) fn entries(&self) -> Vec<JournalEntry> {
        self.entries.iter().cloned().collect()
    }

    /// Forgets the entries, not the count.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}
