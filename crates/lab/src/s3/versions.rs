//! Versions of objects, in buckets that keep them.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::bucket::Versioning;
use super::store::{Bucket, Object};

/// What versions are called that came while none were kept.
pub(crate) const NULL: &str = "null";

/// A version that is not the present one.
pub(crate) enum Version {
    Object(Arc<Object>),
    /// Says that the object was deleted.
    DeleteMarker(String),
}

impl Version {
    fn name(&self) -> &str {
        match self {
            Self::Object(object) => name(object),
            Self::DeleteMarker(name) => name,
        }
    }
}

fn name(object: &Object) -> &str {
    object.version_id.as_deref().unwrap_or(NULL)
}

/// What there is under a key.
pub(crate) enum Found {
    Object(Arc<Object>),
    /// The version of this name, which is a delete marker.
    DeleteMarker(String),
    Nothing,
}

/// What a deletion did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Deletion {
    /// Whether there was something to delete.
    pub(crate) existed: bool,
    /// The version that was deleted or, in place of one, made.
    pub(crate) version_id: Option<String>,
    /// Whether that is a delete marker.
    pub(crate) delete_marker: bool,
}

impl Bucket {
    pub(super) fn put(&mut self, key: &str, mut object: Object) -> Arc<Object> {
        if let Some(name) = self.make_room(key) {
            object.version_id.get_or_insert(name);
        }
        let object = Arc::new(object);
        self.objects.insert(key.to_owned(), Arc::clone(&object));
        object
    }

    pub(super) fn find(&self, key: &str, version: Option<&str>) -> Found {
        let present = self.objects.get(key);
        let earlier = self.earlier.get(key).map_or(&[][..], Vec::as_slice);
        let found = match (present, version) {
            (Some(object), None) => return Found::Object(Arc::clone(object)),
            (Some(object), Some(version)) if name(object) == version => {
                return Found::Object(Arc::clone(object));
            }
            (None, None) => earlier.last(),
            (_, Some(wanted)) => earlier.iter().find(|version| version.name() == wanted),
        };
        match found {
            Some(Version::Object(object)) => Found::Object(Arc::clone(object)),
            Some(Version::DeleteMarker(name)) => Found::DeleteMarker(name.clone()),
            None => Found::Nothing,
        }
    }

    pub(super) fn find_mut(
        &mut self,
        key: &str,
        version: Option<&str>,
    ) -> Option<&mut Arc<Object>> {
        let is_meant = |object: &Object| version.is_none_or(|version| name(object) == version);
        if self.objects.get(key).is_some_and(|object| is_meant(object)) {
            return self.objects.get_mut(key);
        }
        let wanted = version?;
        let earlier = self.earlier.get_mut(key)?;
        earlier.iter_mut().find_map(|version| match version {
            Version::Object(object) if name(object) == wanted => Some(object),
            _ => None,
        })
    }

    pub(super) fn delete(&mut self, key: &str, version: Option<&str>) -> Deletion {
        if let Some(version) = version {
            return self.delete_for_good(key, version);
        }
        let existed = self.objects.contains_key(key);
        let Some(marker) = self.make_room(key) else {
            self.objects.remove(key);
            return Deletion {
                existed,
                ..Deletion::default()
            };
        };
        let earlier = self.earlier.entry(key.to_owned()).or_default();
        earlier.push(Version::DeleteMarker(marker.clone()));
        Deletion {
            existed,
            version_id: Some(marker),
            delete_marker: true,
        }
    }

    /// Sets what is there aside for a version to come; its name, if the bucket names versions.
    fn make_room(&mut self, key: &str) -> Option<String> {
        match self.settings.versioning {
            Versioning::Off => return None,
            Versioning::Enabled => {}
            // There is only ever one version of that name.
            Versioning::Suspended => {
                self.delete_for_good(key, NULL);
            }
        }
        if let Some(present) = self.objects.remove(key) {
            let earlier = self.earlier.entry(key.to_owned()).or_default();
            earlier.push(Version::Object(present));
        }
        if self.settings.versioning == Versioning::Suspended {
            return Some(NULL.to_owned());
        }
        self.named += 1;
        let digest = Sha256::digest(format!("version {}", self.named));
        Some(hex::encode(&digest[..16]))
    }

    /// Removes one version; the one before it, if it is an object, is present again.
    fn delete_for_good(&mut self, key: &str, version: &str) -> Deletion {
        let present = self.objects.get(key);
        let mut deletion = Deletion {
            existed: present.is_some_and(|object| name(object) == version),
            version_id: Some(version.to_owned()),
            delete_marker: false,
        };
        let earlier = self.earlier.entry(key.to_owned()).or_default();
        if deletion.existed {
            self.objects.remove(key);
        } else if let Some(at) = earlier.iter().position(|kept| kept.name() == version) {
            deletion.existed = true;
            deletion.delete_marker = matches!(earlier.remove(at), Version::DeleteMarker(_));
        }
        if !self.objects.contains_key(key)
            && let Some(Version::Object(object)) =
                earlier.pop_if(|last| matches!(last, Version::Object(_)))
        {
            self.objects.insert(key.to_owned(), object);
        }
        if earlier.is_empty() {
            self.earlier.remove(key);
        }
        deletion
    }
}

#[cfg(test)]
mod tests {
    use super::super::bucket::BucketSettings;
    use super::super::store::{NewObject, Store};
    use super::*;

    fn store(versioning: Versioning) -> Store {
        let store = Store::default();
        store.set_bucket("bkt", BucketSettings::new().versioning(versioning));
        store
    }

    fn put(store: &Store, text: &'static str) -> Option<String> {
        store
            .put("bkt", "k", NewObject::of(text.into()))
            .version_id
            .clone()
    }

    fn found(store: &Store, version: Option<&str>) -> String {
        match store.find("bkt", "k", version) {
            Found::Object(object) => String::from_utf8(object.bytes.to_vec()).unwrap(),
            Found::DeleteMarker(_) => "marker".to_owned(),
            Found::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn every_version_is_kept_until_it_is_deleted_by_name() {
        let store = store(Versioning::Enabled);
        let (one, two) = (put(&store, "one"), put(&store, "two"));
        assert_ne!(one, two);
        assert_eq!(found(&store, None), "two");
        assert_eq!(found(&store, one.as_deref()), "one");
        let marker = store.delete("bkt", "k", None);
        assert!(marker.delete_marker && marker.existed);
        assert_eq!(found(&store, None), "marker");
        assert_eq!(found(&store, two.as_deref()), "two");
        assert_eq!(store.object("bkt", "k").map(|object| object.size()), None);

        let undone = store.delete("bkt", "k", marker.version_id.as_deref());
        assert!(undone.delete_marker && undone.existed);
        assert_eq!(found(&store, None), "two");
        assert!(store.delete("bkt", "k", two.as_deref()).existed);
        assert_eq!(found(&store, None), "one");
        assert!(store.delete("bkt", "k", one.as_deref()).existed);
        assert_eq!(found(&store, None), "nothing");
        assert!(!store.delete("bkt", "k", one.as_deref()).existed);
    }

    #[test]
    fn without_versions_there_is_one_and_suspended_ones_share_a_name() {
        let without = store(Versioning::Off);
        assert_eq!(put(&without, "one"), None);
        assert_eq!(put(&without, "two"), None);
        assert!(without.delete("bkt", "k", None).existed);
        assert_eq!(found(&without, None), "nothing");

        let suspended = store(Versioning::Enabled);
        let one = put(&suspended, "one");
        suspended.set_bucket(
            "bkt",
            BucketSettings::new().versioning(Versioning::Suspended),
        );
        assert_eq!(put(&suspended, "two").as_deref(), Some(NULL));
        assert_eq!(put(&suspended, "three").as_deref(), Some(NULL));
        assert_eq!(found(&suspended, one.as_deref()), "one");
        assert_eq!(found(&suspended, Some(NULL)), "three");
        suspended.delete("bkt", "k", Some(NULL));
        assert_eq!(found(&suspended, None), "one");
    }

    #[test]
    fn what_came_before_a_bucket_kept_versions_is_kept_as_well() {
        let store = store(Versioning::Off);
        put(&store, "one");
        store.set_bucket("bkt", BucketSettings::new().versioning(Versioning::Enabled));
        put(&store, "two");
        assert_eq!(found(&store, Some(NULL)), "one");
    }
}
