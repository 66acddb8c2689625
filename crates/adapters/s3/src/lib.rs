//! Amazon S3 and every S3-compatible store; Tigris is a profile of it.
