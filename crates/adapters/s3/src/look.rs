//! One object, asked about by its name.

use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_ports::{Looked, ProviderError};

use crate::error::{Call, Fault};
use crate::listing::{bucket_and_key, entry_of};
use crate::metadata::metadata;
use crate::wire::{Condition, Failure, Headed, Listed, ObjectRequest, Wire};

/// What the store tells of an object, or that there is none.
pub(crate) async fn look(wire: &Wire, object: &str) -> Result<Option<Looked>, ProviderError> {
    let Some((bucket, key)) = bucket_and_key(object) else {
        return Ok(None);
    };
    let Headed { about, archived } = match head(wire, bucket, key).await.map_err(Fault::from) {
        Ok(headed) => headed,
        Err(fault) if fault.code == ErrorCode::ResourceNotFound => return Ok(None),
        Err(fault) => return Err(fault.during(&Call::get_object(object))),
    };
    let listed = Listed {
        key: key.to_owned(),
        etag: about.etag.clone(),
        size: about.length,
        modified: about.modified,
        storage_class: about.storage_class.clone(),
        restored: Some(about.restored),
    };
    let archived = archived.then_some(ErrorCode::ResourceArchived.as_str());
    Ok(entry_of(bucket, &listed).map(|entry| Looked {
        entry: Entry {
            unreadable: entry.unreadable.or(archived),
            ..entry
        },
        content_type: about.content_type.clone(),
        metadata: metadata(&about),
        version_id: about.named_version().map(ToOwned::to_owned),
    }))
}

/// The head of the object. A refusal of it has no text, so that wrong credentials look like a denial: then the object
/// itself is asked for, whose refusal has one.
async fn head(wire: &Wire, bucket: &str, key: &str) -> Result<Headed, Failure> {
    let answer = wire.head(bucket, key).await;
    if !matches!(&answer, Err(Failure::Refused(refused)) if matches!(refused.status, 300..=403)) {
        return answer;
    }
    let request = ObjectRequest {
        bucket,
        key,
        condition: &Condition::Any,
        version_id: None,
        from: 0,
    };
    let opened = wire.get(&request).await?;
    Ok(Headed {
        about: opened.about,
        archived: false,
    })
}
