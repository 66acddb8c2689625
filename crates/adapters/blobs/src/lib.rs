//! Blob stores: where the bytes of objects live.
//!
//! [`FolderBlobs`] keeps them in a folder, one file per blob; [`S3Blobs`] in a bucket of Amazon S3 or of any store that
//! speaks its protocol, one object per blob.
//!
//! This crate must not know what objects are, nor which blobs are still pointed at.
#![warn(missing_docs)]

mod folder;
mod s3;

pub use folder::FolderBlobs;
pub use s3::{AccessKey, InvalidPlace, S3Blobs, S3Fault, S3Place};
