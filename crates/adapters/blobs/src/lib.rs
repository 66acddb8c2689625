//! Blob stores: where the bytes of objects live.
//!
//! [`FolderBlobs`] keeps them in a folder, one file per blob.
//!
//! This crate must not know what objects are, nor which blobs are still pointed at.
#![warn(missing_docs)]

mod folder;

pub use folder::FolderBlobs;
