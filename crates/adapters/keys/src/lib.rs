//! Key rings: where the keys that wrap organization keys live.
