//! Values that must not turn up anywhere, and the search for them.

mod forms;
mod packed;
mod search;

pub use forms::Form;
pub use search::{Place, Search};

use std::fmt;

use crate::random::fresh_bytes;

/// The shortest piece of a canary that counts as a sighting. Nothing shorter is searched for, and nothing as long turns
/// up by chance.
const WINDOW: usize = 12;

/// A secret with a name. Every piece of it of twelve bytes is searched for, in every form it could leave in.
#[derive(Clone)]
pub struct Canary {
    name: String,
    value: Vec<u8>,
}

impl Canary {
    /// A canary with this value.
    pub fn new(name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref().to_vec();
        assert!(
            value.len() >= WINDOW,
            "{name} is too short to be searched for"
        );
        Self {
            name: name.to_owned(),
            value,
        }
    }

    /// A canary of 40 random letters and digits, another one in every run.
    pub fn random(name: &str) -> Self {
        Self::of(
            name,
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        )
    }

    /// The same of small letters and digits, for fields that are kept in lower case.
    pub fn random_in_lower_case(name: &str) -> Self {
        Self::of(name, b"abcdefghijklmnopqrstuvwxyz0123456789")
    }

    /// A random GUID.
    pub fn random_guid(name: &str) -> Self {
        let hex = hex::encode(fresh_bytes::<16>());
        let groups = [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ];
        Self::new(name, groups.join("-"))
    }

    fn of(name: &str, alphabet: &[u8]) -> Self {
        let bytes = fresh_bytes::<40>();
        let letter = |byte: &u8| alphabet[usize::from(*byte) % alphabet.len()];
        Self::new(name, bytes.iter().map(letter).collect::<Vec<u8>>())
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value, which is text unless it was made of other bytes.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.value).expect("this canary is text")
    }

    /// Its pieces.
    fn windows(&self) -> impl Iterator<Item = &[u8]> {
        self.value.windows(WINDOW)
    }

    /// Where it stands in there, in whatever form, for a message; `None` when it does not.
    pub fn leaked_to(&self, haystack: &[u8], place: &str) -> Option<String> {
        Search::for_all(vec![self.clone()])
            .sightings(haystack, place)
            .into_iter()
            .next()
    }
}

/// The name only: what a test prints is a place to leak to as well.
impl fmt::Debug for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Canary({})", self.name)
    }
}
