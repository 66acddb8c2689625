use wharf_domain::ids::{Alphabet, Id};

/// Randomness for identifiers and keys, from a CSPRNG.
pub trait IdSource: Send + Sync {
    /// `length` independent, uniformly drawn characters of the alphabet.
    fn token(&self, alphabet: Alphabet, length: usize) -> String;

    /// Fills a buffer with independent random bytes, for keys and nonces.
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn IdSource + '_ {
    /// A fresh identifier.
    ///
    /// # Panics
    /// When the source does not draw from the alphabet it was asked for, which is a defect of the source.
    pub fn id<T: Id>(&self) -> T {
        let text = format!("{}{}", T::PREFIX, self.token(T::ALPHABET, T::LENGTH));
        text.parse().unwrap_or_else(|_| {
            panic!(
                "the id source must draw {} characters of {:?}",
                T::LENGTH,
                T::ALPHABET
            )
        })
    }
}
