//! `blob_store` and `blob_store_s3`: where the bytes of objects lie.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use wharf_blobs::{AccessKey, S3Place};
use wharf_domain::provider::EndpointUrl;
use wharf_domain::provider::s3::Region;
use wharf_domain::secret::SecretString;

use super::{ConfigError, file_path, secret};

/// Signs requests to a store that has no regions of its own.
const USUAL_REGION: &str = "us-east-1";

/// The S3-compatible store that `blob_store` names a bucket of.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BlobStoreS3 {
    endpoint_url: Option<String>,
    region: Option<String>,
    access_key_id: Option<String>,
    #[serde(deserialize_with = "secret")]
    secret_access_key: Option<SecretString>,
    #[serde(deserialize_with = "secret")]
    session_token: Option<SecretString>,
    path_style: Option<bool>,
}

/// Where the blobs are.
#[derive(Debug)]
pub(crate) enum BlobsAt {
    /// In a folder.
    Folder(PathBuf),
    /// In a bucket.
    S3(S3Place, AccessKey),
}

impl BlobsAt {
    pub(super) fn of(
        blob_store: Option<&str>,
        s3: &BlobStoreS3,
        data_dir: &Path,
    ) -> Result<Self, ConfigError> {
        let folder = match blob_store {
            None => data_dir.join("blobs"),
            Some(url) if url.starts_with("s3://") => return s3.bucket(url),
            Some(url) => file_path(url).ok_or_else(|| {
                refuse("blob_store must be file:// and a folder, or s3://bucket/prefix")
            })?,
        };
        match s3.first_set() {
            None => Ok(Self::Folder(folder)),
            Some(name) => Err(refuse(format!(
                "blob_store_s3.{name} is set, but blob_store names no bucket; write blob_store = \"s3://bucket/prefix\""
            ))),
        }
    }
}

impl BlobStoreS3 {
    fn first_set(&self) -> Option<&'static str> {
        [
            ("endpoint_url", self.endpoint_url.is_some()),
            ("region", self.region.is_some()),
            ("access_key_id", self.access_key_id.is_some()),
            ("secret_access_key", self.secret_access_key.is_some()),
            ("session_token", self.session_token.is_some()),
            ("path_style", self.path_style.is_some()),
        ]
        .into_iter()
        .find_map(|(name, set)| set.then_some(name))
    }

    fn bucket(&self, url: &str) -> Result<BlobsAt, ConfigError> {
        let region = self.region.as_deref().unwrap_or(USUAL_REGION);
        let region = Region::parse(region).ok_or_else(|| {
            refuse(
                "blob_store_s3.region must have 1 to 63 lower-case letters, digits and hyphens, as in eu-central-1",
            )
        })?;
        let endpoint = self
            .endpoint_url
            .as_deref()
            .map(EndpointUrl::parse)
            .transpose()
            .map_err(|error| refuse(format!("blob_store_s3.endpoint_url {error}")))?;
        let place = S3Place::new(url, region, endpoint, self.path_style)
            .map_err(|error| refuse(format!("blob_store {error}")))?;
        Ok(BlobsAt::S3(place, self.key()?))
    }

    fn key(&self) -> Result<AccessKey, ConfigError> {
        let (Some(id), Some(secret)) = (&self.access_key_id, &self.secret_access_key) else {
            return Err(refuse(
                "blob_store_s3.access_key_id and blob_store_s3.secret_access_key must be set when blob_store is a bucket: \
                 Wharf takes no keys from its surroundings, such as AWS_ variables, profiles or instance roles",
            ));
        };
        let texts = [
            ("access_key_id", Some(id.as_str())),
            ("secret_access_key", Some(secret.expose())),
            (
                "session_token",
                self.session_token.as_ref().map(SecretString::expose),
            ),
        ];
        for (name, text) in texts {
            let sound = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
            if !text.is_none_or(sound) {
                return Err(refuse(format!(
                    "blob_store_s3.{name} must be printable ASCII characters without spaces"
                )));
            }
        }
        Ok(AccessKey {
            id: id.clone(),
            secret: secret.duplicate(),
            session_token: self.session_token.as_ref().map(SecretString::duplicate),
        })
    }
}

fn refuse(message: impl Into<String>) -> ConfigError {
    ConfigError(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "access_key_id = \"AKIA\"\nsecret_access_key = \"hunter2\"\n";

    fn at(blob_store: Option<&str>, settings: &str) -> Result<BlobsAt, String> {
        let s3: BlobStoreS3 = toml::from_str(settings).expect("known settings");
        BlobsAt::of(blob_store, &s3, Path::new("data")).map_err(|error| error.to_string())
    }

    #[test]
    fn blobs_lie_in_a_folder_unless_a_bucket_is_named() {
        assert!(
            matches!(at(None, ""), Ok(BlobsAt::Folder(folder)) if folder == Path::new("data/blobs"))
        );
        assert!(
            matches!(at(Some("file:///srv/blobs"), ""), Ok(BlobsAt::Folder(folder)) if folder == Path::new("/srv/blobs"))
        );
        let Ok(BlobsAt::S3(place, key)) = at(Some("s3://media/blobs"), KEY) else {
            panic!("a bucket")
        };
        assert_eq!(place.to_string(), "s3://media/blobs at AWS in us-east-1");
        assert_eq!(key.secret.expose(), "hunter2");
        assert!(!format!("{key:?}").contains("hunter2"));
        let own = format!("{KEY}endpoint_url = \"http://10.0.0.7:9000/\"\nregion = \"eu\"");
        let Ok(BlobsAt::S3(place, _)) = at(Some("s3://media"), &own) else {
            panic!("a bucket")
        };
        assert_eq!(place.to_string(), "s3://media at http://10.0.0.7:9000");
    }

    #[test]
    fn what_does_not_fit_is_told_by_name_with_the_remedy() {
        for (blob_store, settings, says) in [
            (
                Some("s3://media"),
                "",
                "blob_store_s3.access_key_id and blob_store_s3.secret_access_key must be set",
            ),
            (
                Some("s3://media"),
                "access_key_id = \"AKIA\"",
                "blob_store_s3.access_key_id and",
            ),
            (
                Some("s3://media"),
                "access_key_id = \"AKIA\"\nsecret_access_key = \"hunter2 \"",
                "blob_store_s3.secret_access_key must be",
            ),
            (
                Some("s3://media"),
                "region = \"EU West\"",
                "blob_store_s3.region must",
            ),
            (
                Some("s3://media"),
                "endpoint_url = \"10.0.0.7:9000\"",
                "blob_store_s3.endpoint_url needs a scheme",
            ),
            (Some("s3://media//x"), KEY, "blob_store must have a prefix"),
            (Some("s3://"), KEY, "blob_store must be s3://"),
            (Some("gs://media"), "", "blob_store must be file://"),
            (None, "path_style = true", "blob_store_s3.path_style is set"),
            (
                Some("file:///srv/blobs"),
                KEY,
                "blob_store_s3.access_key_id is set",
            ),
        ] {
            let error = at(blob_store, settings).expect_err(says);
            assert!(error.starts_with(says), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
