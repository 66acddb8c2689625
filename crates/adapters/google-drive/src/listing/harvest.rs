//! What one page brings in, and how much more it may.

use wharf_domain::plan::Entry;

use crate::reach::Reach;
use crate::remote::RemoteFile;

/// Lists that one page asks for: whoever waits for it has a lease to keep.
const MOST_REQUESTS: usize = 16;

/// A page in the making.
#[derive(Debug)]
pub(crate) struct Harvest {
    limit: usize,
    pub(crate) requests: usize,
    pub(crate) entries: Vec<Entry>,
    /// Paths of folders that may not be listed.
    pub(crate) denied: Vec<String>,
}

impl Harvest {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit: limit as usize,
            requests: 0,
            entries: Vec::new(),
            denied: Vec::new(),
        }
    }

    /// How many entries there is room for.
    pub(crate) fn room(&self) -> u32 {
        let room = self.limit.saturating_sub(self.entries.len());
        u32::try_from(room).unwrap_or(u32::MAX).max(1)
    }

    /// Whether asking for more is no longer worth it.
    pub(crate) fn is_enough(&self) -> bool {
        self.entries.len() * 2 >= self.limit || self.requests >= MOST_REQUESTS
    }

    /// Takes an entry in, and remembers the file that it is of.
    pub(crate) fn take(&mut self, reach: &Reach, entry: Entry, file: &RemoteFile) {
        reach.note_file(file);
        self.entries.push(entry);
    }
}
