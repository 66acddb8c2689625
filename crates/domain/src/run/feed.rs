//! What a provider tells of changes since an earlier look, where it keeps a feed of them.

use crate::plan::Entry;
use crate::sync::Cursor;

/// One page of a feed of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesPage {
    /// Files that are there and in scope, as a listing would tell of them; not only those that changed.
    pub entries: Vec<Entry>,
    /// Files and folders that are in scope no longer, or never were. They count before the entries: a file that left one folder
    /// for another is named by both.
    pub absent: Vec<Absent>,
    /// Beginnings of entries' paths below which this identity may not look, as in a listing.
    pub denied: Vec<String>,
    /// Where the feed goes on.
    pub next: Cursor,
    /// Whether this is all that there is for now. Otherwise `next` differs from where the page was asked for.
    pub caught_up: bool,
}

/// A file or folder that a feed tells is not in scope any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Absent {
    /// Its identity. Of a folder, it stands for everything whose lineage names it.
    pub id: String,
    /// Whether the provider tells that it is in the bin or elsewhere. If not, it is deleted for good or hidden from us, which the
    /// provider does not tell apart.
    pub certain: bool,
}

/// A row of the catalogue that a complete listing did not name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingRow {
    /// The provider's identity of the file.
    pub object: String,
    /// The folders that it lay in.
    pub lineage: String,
}

/// What became of a file that a complete listing did not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The provider tells that it is in scope no more: in the bin, or elsewhere.
    Gone,
    /// It cannot be seen: deleted for good, or hidden from us.
    Hidden,
    /// It is there: the listing did not tell yet, or not any more.
    Present,
}
