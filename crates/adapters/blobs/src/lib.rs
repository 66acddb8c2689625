//! Blob stores: where the bytes of objects live.
