//! The tags of an object.

use super::{Failure, Wire, failure};

impl Wire {
    /// `GetObjectTagging`, of which only the success matters. That there are none is one.
    pub(crate) async fn tags(&self, bucket: &str, key: &str) -> Result<(), Failure> {
        let call = self.client(bucket).get_object_tagging();
        match call.bucket(bucket).key(key).send().await {
            Ok(_) => Ok(()),
            Err(error) => match failure::of(&error) {
                Failure::Refused(refused)
                    if refused
                        .code
                        .as_deref()
                        .is_some_and(|code| code.starts_with("NoSuchTagSet")) =>
                {
                    Ok(())
                }
                failure => Err(failure),
            },
        }
    }
}
