//! Padding to whole blocks, so that the length of sealed bytes says little about the length of a secret.

use wharf_domain::secret::SecretBytes;
use zeroize::Zeroizing;

use crate::format::TAG;

/// Padded texts are a multiple of this long.
pub(crate) const BLOCK: usize = 256;

const LONGEST: usize = 1 << 20;
const LENGTH: usize = size_of::<u32>();

/// The text after its length, filled up with zeros; `None` if it is longer than any credentials. There is room for a
/// tag behind it, so that encrypting in place leaves no copy behind.
pub(crate) fn pad(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let length = u32::try_from(text.len())
        .ok()
        .filter(|_| text.len() <= LONGEST)?;
    let size = (LENGTH + text.len()).next_multiple_of(BLOCK);
    let mut padded = Zeroizing::new(Vec::with_capacity(size + TAG));
    padded.extend_from_slice(&length.to_be_bytes());
    padded.extend_from_slice(text);
    padded.resize(size, 0);
    Some(padded)
}

/// The inverse of [`pad`].
pub(crate) fn unpad(padded: &[u8]) -> Option<SecretBytes> {
    let (length, rest) = padded.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    Some(SecretBytes::new(rest.get(..length)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_any_length_come_back_from_whole_blocks() {
        for length in (0..1100).chain([LONGEST]) {
            let text = vec![b'x'; length];
            let padded = pad(&text).unwrap();
            assert!(padded.len().is_multiple_of(BLOCK) && padded.len() > length);
            assert_eq!(unpad(&padded).unwrap().expose(), text);
        }
    }

    #[test]
    fn texts_within_one_block_become_equally_long() {
        assert_eq!(pad(b"").unwrap().len(), BLOCK);
        assert_eq!(pad(&[1; BLOCK - LENGTH]).unwrap().len(), BLOCK);
        assert_eq!(pad(&[1; BLOCK - LENGTH + 1]).unwrap().len(), 2 * BLOCK);
    }

    #[test]
    fn too_long_a_text_and_a_length_past_the_end_are_refused() {
        assert!(pad(&vec![0; LONGEST + 1]).is_none());
        assert!(unpad(&[0, 0, 1, 0, 9]).is_none());
        assert!(unpad(&[0xff; 256]).is_none());
        assert!(unpad(&[0, 0]).is_none());
    }
}
