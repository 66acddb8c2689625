//! The source path of a sync from S3 or Tigris: a bucket and a place inside it.

use std::fmt;

use crate::input::InvalidInput;

/// Longest object key, in bytes.
const MAX_KEY: usize = 1024;
/// Longest bucket name and the slash after it, in bytes.
const MAX_BUCKET: usize = 64;

/// `bucket/prefix`: the part of a bucket that a sync copies.
///
/// The prefix is kept byte for byte and means a folder, not the beginning of a name: `bucket/media` covers `media/x` and
/// an object named exactly `media`, but not `media2/x`. Without a prefix the whole bucket is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BucketPath {
    bucket: String,
    prefix: String,
}

impl BucketPath {
    /// Reads a source path; `path` is where it stood, for the error.
    ///
    /// The bucket has 3 to 63 letters, digits, `.`, `-` and `_` (upper case and `_` are left from older and compatible
    /// stores), starts with a letter or digit, has no two dots in a row nor one at its end, and is no IP address. The
    /// prefix has up to 1024 bytes and no NUL.
    ///
    /// # Errors
    /// Anything else. `s3://bucket/prefix` and a leading slash are refused with the text to write instead.
    pub fn parse(text: &str, path: &str) -> Result<Self, InvalidInput> {
        let refuse = |message: String| Err(InvalidInput::one(path, "invalid_format", message));
        if text.len() > MAX_KEY + MAX_BUCKET {
            return refuse(format!("must have at most {} bytes", MAX_KEY + MAX_BUCKET));
        }
        if text.contains('\0') {
            return refuse("must not contain NUL".into());
        }
        let meant = text
            .strip_prefix("s3://")
            .or_else(|| text.strip_prefix('/'));
        if let Some(meant) = meant {
            return refuse(match Self::parse(meant, path) {
                Ok(meant) => format!("must start with the bucket: write {meant}"),
                Err(_) => "must start with the bucket, as in bucket/prefix".into(),
            });
        }
        let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
        if !is_bucket_name(bucket) {
            return refuse(
                "must start with a bucket of 3 to 63 letters, digits, dots, hyphens and underscores, as in bucket/prefix"
                    .into(),
            );
        }
        if prefix.len() > MAX_KEY {
            return refuse(format!(
                "must have at most {MAX_KEY} bytes after the bucket"
            ));
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }

    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What to ask the provider to list. It may answer keys that are not covered: the prefix itself cannot say where a
    /// name ends, and one listing must show both `media` and `media/x`. [`matches`](Self::matches) tells them apart.
    pub fn list_prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether an object of the bucket is covered: every one if there is no prefix; what starts with the prefix if that
    /// ends with `/`; else what equals it or continues it after a `/`.
    pub fn matches(&self, key: &str) -> bool {
        match key.strip_prefix(&self.prefix) {
            None => false,
            Some(rest) => {
                self.prefix.is_empty()
                    || self.prefix.ends_with('/')
                    || rest.is_empty()
                    || rest.starts_with('/')
            }
        }
    }

    /// The source path of one object of the bucket: `bucket/key`.
    pub fn source_path_of(&self, key: &str) -> String {
        format!("{}/{key}", self.bucket)
    }
}

impl fmt::Display for BucketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.bucket)?;
        if self.prefix.is_empty() {
            Ok(())
        } else {
            write!(f, "/{}", self.prefix)
        }
    }
}

fn is_bucket_name(text: &str) -> bool {
    (3..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.ends_with('.')
        && !text.contains("..")
        && text.parse::<std::net::Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_and_prefix_are_split_at_the_first_slash_and_kept_byte_for_byte() {
        for (text, bucket, prefix) in [
            ("photos", "photos", ""),
            ("photos/", "photos", ""),
            ("photos/2024", "photos", "2024"),
            ("photos/2024/", "photos", "2024/"),
            ("photos//2024", "photos", "/2024"),
            (
                "my.old_Bucket-1/a b/ü/%2F/../\u{202e}",
                "my.old_Bucket-1",
                "a b/ü/%2F/../\u{202e}",
            ),
            ("abc/x?y#z\\", "abc", "x?y#z\\"),
        ] {
            let path = BucketPath::parse(text, "source_path")
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (path.bucket(), path.list_prefix()),
                (bucket, prefix),
                "{text}"
            );
            assert_eq!(
                BucketPath::parse(&path.to_string(), "source_path"),
                Ok(path),
                "{text}"
            );
        }
        assert!(
            BucketPath::parse(
                &format!("{}/{}", "b".repeat(63), "k".repeat(1024)),
                "source_path"
            )
            .is_ok()
        );
    }

    #[test]
    fn what_names_no_bucket_is_refused_with_its_path() {
        let too_long = [
            format!("abc/{}", "k".repeat(1025)),
            "b".repeat(64),
            "k".repeat(5000),
        ];
        let bad = [
            "",
            "/",
            "ab",
            "a..b",
            ".abc",
            "-abc",
            "abc.",
            "a b c",
            "10.0.0.1/x",
            "bücket",
            "abc\0/x",
            "abc/\0",
            "arn:aws:s3:::abc",
        ];
        for text in bad.into_iter().chain(too_long.iter().map(String::as_str)) {
            let error = BucketPath::parse(text, "body.source_path").expect_err(text);
            assert_eq!(error.0[0].path(), "body.source_path");
        }
    }

    #[test]
    fn a_url_or_a_leading_slash_is_refused_with_what_to_write() {
        for text in ["s3://photos/2024/a", "/photos/2024/a"] {
            let error = BucketPath::parse(text, "source_path")
                .expect_err(text)
                .to_string();
            assert!(error.ends_with("write photos/2024/a"), "{error}");
        }
    }

    #[test]
    fn a_prefix_means_a_folder() {
        let covers =
            |path: &str, key: &str| BucketPath::parse(path, "source_path").unwrap().matches(key);
        for (path, key, expected) in [
            ("bucket", "any/thing", true),
            ("bucket/media", "media/x", true),
            ("bucket/media", "media", true),
            ("bucket/media", "media/", true),
            ("bucket/media", "media2/x", false),
            ("bucket/media", "med", false),
            ("bucket/media", "other/media/x", false),
            ("bucket/media/", "media/x", true),
            ("bucket/media/", "media/", true),
            ("bucket/media/", "media", false),
            ("bucket/media/", "media2/x", false),
        ] {
            assert_eq!(covers(path, key), expected, "{path} {key}");
        }
    }

    #[test]
    fn an_object_s_source_path_starts_with_the_bucket() {
        let path = BucketPath::parse("photos/2024", "source_path").unwrap();
        assert_eq!(path.source_path_of("2024/a.jpg"), "photos/2024/a.jpg");
    }
}
