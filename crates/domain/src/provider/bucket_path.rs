//! The source path of a sync from S3 or Tigris: a bucket and a place inside it; and what of a bucket is listed for it.

use std::borrow::Cow;
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
///
/// A scope is a source path that was [`narrowed`](Self::narrowed) by a prefix that is one of names, not a folder. It is
/// written `bucket:prefix`, which no source path is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BucketPath {
    bucket: String,
    prefix: String,
    /// Whether the prefix may end in the middle of a name.
    of_names: bool,
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
            of_names: false,
        })
    }

    /// Reads what may be listed: a source path, or a scope as it is shown.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse_scope(text: &str, path: &str) -> Result<Self, InvalidInput> {
        match text.split_once(':') {
            Some((bucket, prefix)) if is_bucket_name(bucket) => {
                let folder = Self::parse(&format!("{bucket}/{prefix}"), path)?;
                Ok(folder.of_names())
            }
            _ => Self::parse(text, path),
        }
    }

    /// What of this source path has a [`relative`](Self::relative) path that starts with the prefix, plain text; `path` is
    /// where the prefix stood, for the error.
    ///
    /// # Errors
    /// A prefix that leads up or elsewhere, or is longer than any key.
    pub fn narrowed(&self, prefix: &str, path: &str) -> Result<Self, InvalidInput> {
        let refuse = |message: &str| Err(InvalidInput::one(path, "invalid_format", message));
        if prefix.is_empty() {
            return Ok(self.clone());
        }
        if prefix.starts_with('/') || prefix.starts_with("s3://") {
            return refuse("must be a path below the source path, as in videos/ or videos/2024-");
        }
        if prefix.split('/').any(|part| part == "..") {
            return refuse("must not lead up from the source path with ..");
        }
        let whole = format!("{}{prefix}", self.folder());
        if whole.len() > MAX_KEY {
            return refuse("must fit, with the source path before it, into a key of 1024 bytes");
        }
        if whole.contains('\0') {
            return refuse("must not contain NUL");
        }
        let folder = Self {
            bucket: self.bucket.clone(),
            prefix: whole,
            of_names: false,
        };
        Ok(folder.of_names())
    }

    /// The same without the prefix being a folder. One that ends where a folder's does covers the same either way.
    fn of_names(self) -> Self {
        let of_names = !self.prefix.is_empty() && !self.prefix.ends_with('/');
        Self { of_names, ..self }
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
                self.of_names
                    || self.prefix.is_empty()
                    || self.prefix.ends_with('/')
                    || rest.is_empty()
                    || rest.starts_with('/')
            }
        }
    }

    /// Whether an object is covered, given as `bucket/key`.
    pub fn covers(&self, object: &str) -> bool {
        object
            .split_once('/')
            .is_some_and(|(bucket, key)| bucket == self.bucket && self.matches(key))
    }

    /// The source path of one object of the bucket: `bucket/key`.
    pub fn source_path_of(&self, key: &str) -> String {
        format!("{}/{key}", self.bucket)
    }

    /// Reads what a person typed as an object: `s3://bucket/key`, `bucket/key` of this bucket, or a key from the source
    /// path's folder on. The answer is `bucket/key`, whether covered or not; `None` where no object can be.
    pub fn locate(&self, typed: &str) -> Option<String> {
        let named = match typed.strip_prefix("s3://") {
            Some(named) => named.split_once('/').filter(|(b, _)| is_bucket_name(b)),
            None => typed.split_once('/').filter(|(b, _)| *b == self.bucket),
        };
        let object = match named {
            Some((bucket, key)) if !key.is_empty() => format!("{bucket}/{key}"),
            Some(_) => return None,
            None if typed.is_empty() || typed.starts_with("s3://") => return None,
            None => self.source_path_of(&format!("{}{typed}", self.folder())),
        };
        let key = object.split_once('/').map_or("", |(_, key)| key);
        (key.len() <= MAX_KEY && !key.contains('\0')).then_some(object)
    }

    /// The path of an object, given as `bucket/key`, from the source path's folder on: its name alone if the source path is
    /// the object, and all that was given if it lies elsewhere.
    pub fn relative<'a>(&self, object: &'a str) -> &'a str {
        let Some((_, key)) = object.split_once('/').filter(|_| self.covers(object)) else {
            return object;
        };
        key.strip_prefix(self.folder().as_ref())
            .filter(|rest| !rest.is_empty())
            .unwrap_or_else(|| key.rsplit('/').next().unwrap_or(key))
    }

    /// The folders below the bucket that an object lies in, given as `bucket/key`: without its name, and without `/` at
    /// either end.
    pub fn folders_of(object: &str) -> &str {
        let key = object.split_once('/').map_or("", |(_, key)| key);
        let folders = key.rsplit_once('/').map_or("", |(folders, _)| folders);
        folders.trim_matches('/')
    }

    /// What the keys of the source path's files begin with. A scope's is the folder that its prefix ends in.
    fn folder(&self) -> Cow<'_, str> {
        match self.prefix.rfind('/') {
            _ if self.prefix.is_empty() || self.prefix.ends_with('/') => (&*self.prefix).into(),
            Some(last) if self.of_names => self.prefix[..=last].into(),
            None if self.of_names => "".into(),
            _ => format!("{}/", self.prefix).into(),
        }
    }
}

impl fmt::Display for BucketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.bucket)?;
        if self.prefix.is_empty() {
            Ok(())
        } else {
            let between = if self.of_names { ':' } else { '/' };
            write!(f, "{between}{}", self.prefix)
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

    fn path(text: &str) -> BucketPath {
        BucketPath::parse(text, "source_path").unwrap()
    }

    #[test]
    fn a_prefix_of_names_narrows_a_folder_and_is_kept_as_one() {
        for (source, prefix, scope, list, inside, outside) in [
            ("media", "", "media", "", "a", None),
            (
                "media",
                "videos/",
                "media/videos/",
                "videos/",
                "videos/a",
                Some("videos"),
            ),
            (
                "media",
                "vid",
                "media:vid",
                "vid",
                "videos/a",
                Some("images/vid"),
            ),
            (
                "media/in",
                "2024-",
                "media:in/2024-",
                "in/2024-",
                "in/2024-05/x",
                Some("in/2023-01"),
            ),
            (
                "media/in/",
                "2024-",
                "media:in/2024-",
                "in/2024-",
                "in/2024-",
                Some("in2024-"),
            ),
            (
                "media/a:b",
                "c:d",
                "media:a:b/c:d",
                "a:b/c:d",
                "a:b/c:d",
                Some("a:b/c"),
            ),
            ("media/a:b", "", "media/a:b", "a:b", "a:b/c", Some("a:bc")),
        ] {
            let narrowed = path(source).narrowed(prefix, "prefix").unwrap();
            assert_eq!(
                (narrowed.to_string().as_str(), narrowed.list_prefix()),
                (scope, list)
            );
            assert_eq!(
                BucketPath::parse_scope(scope, "source_path"),
                Ok(narrowed.clone())
            );
            assert!(narrowed.matches(inside), "{scope} {inside}");
            if let Some(outside) = outside {
                assert!(!narrowed.matches(outside), "{scope} {outside}");
            }
        }
    }

    #[test]
    fn a_prefix_that_leads_out_of_the_source_path_is_refused() {
        let long = "k".repeat(1022);
        for prefix in [
            "/videos",
            "s3://other/x",
            "../x",
            "a/../../b",
            "a/..",
            "nul\0",
            &long,
        ] {
            let error = path("media/in").narrowed(prefix, "provider_filters.prefix");
            let error = error.expect_err(prefix);
            assert_eq!(error.0[0].path(), "provider_filters.prefix");
        }
        assert!(path("media/in").narrowed("..a/b..", "prefix").is_ok());
    }

    #[test]
    fn a_scope_is_no_source_path_and_a_source_path_is_a_scope() {
        assert!(BucketPath::parse("media:vid", "source_path").is_err());
        for text in ["media", "media/in", "media/in/", "media/a:b"] {
            assert_eq!(BucketPath::parse_scope(text, "source_path"), Ok(path(text)));
        }
        for text in ["", "a:b", "a b:c", "media:\0"] {
            assert!(BucketPath::parse_scope(text, "source_path").is_err());
        }
    }

    #[test]
    fn a_typed_object_is_read_as_an_address_an_identity_or_a_path() {
        let long = "k".repeat(1025);
        for (source, typed, object) in [
            ("media/in", "s3://media/in/a b", Some("media/in/a b")),
            ("media/in", "s3://media/out/a", Some("media/out/a")),
            ("media/in", "s3://other/a", Some("other/a")),
            ("media/in", "media/in/a", Some("media/in/a")),
            ("media/in", "media/out/a", Some("media/out/a")),
            ("media/in", "sub/a", Some("media/in/sub/a")),
            ("media/in/", "sub/a", Some("media/in/sub/a")),
            ("media/in", "/a", Some("media/in//a")),
            ("media", "a", Some("media/a")),
            ("media", "other/a", Some("media/other/a")),
            ("media", "media", Some("media/media")),
            ("media", "media/", None),
            ("media", "s3://media", None),
            ("media", "s3://media/", None),
            ("media", "s3://", None),
            ("media", "s3://m/a", None),
            ("media", "", None),
            ("media", "a\0", None),
            ("media", &long, None),
        ] {
            let located = path(source).locate(typed);
            assert_eq!(located.as_deref(), object, "{source} {typed}");
        }
        assert!(path("media/in").covers("media/in/a"));
        for object in ["media/out/a", "other/in/a", "media", ""] {
            assert!(!path("media/in").covers(object), "{object}");
        }
    }

    #[test]
    fn an_object_s_path_begins_where_the_source_path_ends() {
        for (source, object, relative) in [
            ("media", "media/a/b.txt", "a/b.txt"),
            ("media/a", "media/a/b.txt", "b.txt"),
            ("media/a/", "media/a/b/c", "b/c"),
            ("media/a", "media/a//b", "/b"),
            ("media/x/a", "media/x/a", "a"),
            ("media/a/", "media/a/", ""),
            ("media/a", "media/other", "media/other"),
            ("media/a", "other/a/b", "other/a/b"),
            ("media/a", "media", "media"),
        ] {
            assert_eq!(path(source).relative(object), relative, "{source} {object}");
        }
    }

    #[test]
    fn an_object_s_folders_are_those_below_the_bucket() {
        for (object, folders) in [
            ("media/a/b/c.txt", "a/b"),
            ("media/a/c.txt", "a"),
            ("media/c.txt", ""),
            ("media//a//c.txt", "a"),
            ("media/a/", "a"),
            ("media", ""),
            ("", ""),
        ] {
            assert_eq!(BucketPath::folders_of(object), folders, "{object}");
        }
    }

    #[test]
    fn an_object_s_source_path_starts_with_the_bucket() {
        let path = BucketPath::parse("photos/2024", "source_path").unwrap();
        assert_eq!(path.source_path_of("2024/a.jpg"), "photos/2024/a.jpg");
    }
}
