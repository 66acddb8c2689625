//! The tags of an object.

use super::{Failure, Wire, failure};

/// The tags of an object, and the version that has them if the store says.
#[derive(Debug, Default)]
pub(crate) struct Tagged {
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) version_id: Option<String>,
}

impl Wire {
    /// `GetObjectTagging`. That there are none is an answer, too.
    pub(crate) async fn tags(&self, bucket: &str, key: &str) -> Result<Tagged, Failure> {
        let call = self.client(bucket).get_object_tagging();
        match call.bucket(bucket).key(key).send().await {
            Ok(answer) => Ok(Tagged {
                version_id: answer.version_id,
                tags: answer
                    .tag_set
                    .into_iter()
                    .map(|tag| (tag.key, tag.value))
                    .collect(),
            }),
            Err(error) => match failure::of(&error) {
                Failure::Refused(refused)
                    if refused
                        .code
                        .as_deref()
                        .is_some_and(|code| code.starts_with("NoSuchTagSet")) =>
                {
                    Ok(Tagged::default())
                }
                failure => Err(failure),
            },
        }
    }
}
