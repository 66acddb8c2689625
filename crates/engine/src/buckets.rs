//! Buckets.

use serde_json::{Map, Value, json};
use wharf_domain::Metadata;
use wharf_domain::audit::{Action, ResourceType};
use wharf_domain::bucket::{Bucket, BucketIdentifier, BucketName, NewBucket};
use wharf_domain::namespace::Namespace;
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::scope::Place;
use wharf_domain::sync::SyncFilter;
use wharf_ports::{BucketChange, ChangeError};

use crate::error::insert_failed;
use crate::{Caller, Engine, EngineError, Mandate, namespaces};

fn missing(identifier: &str) -> EngineError {
    EngineError::not_found("bucket", identifier)
}

fn name_taken() -> EngineError {
    EngineError::conflict(
        "bucket_name_taken",
        "The namespace has a bucket of this name.",
    )
}

impl Engine {
    /// Adds a bucket to a namespace.
    pub async fn create_bucket(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        name: BucketName,
        description: Option<String>,
        schema: Value,
        metadata: Metadata,
    ) -> Result<Bucket, EngineError> {
        let told = Place::as_told(ResourceType::Bucket, name.as_str());
        let places = [told, namespaces::place(namespace)];
        caller.may(("bucket", name.as_str()), &places)?;
        let new = NewBucket {
            id: self.ids().id(),
            namespace: namespace.id.clone(),
            name,
            description,
            schema,
            metadata,
        };
        let resource = (ResourceType::Bucket, new.id.as_str());
        let audit = caller.audit(
            self.ids(),
            Action::BucketCreated,
            resource,
            json!({"bucket_name": new.name.as_str()}),
        );
        let inserted = self
            .repositories()
            .buckets
            .insert(caller.organization(), new, audit)
            .await;
        inserted.map_err(|error| {
            let parent = EngineError::not_found("namespace", namespace.id.as_str());
            insert_failed(error, name_taken(), parent)
        })
    }

    /// A bucket by identifier or name.
    pub async fn bucket(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        identifier: &str,
    ) -> Result<Bucket, EngineError> {
        let parsed = BucketIdentifier::parse(identifier);
        let found = self
            .repositories()
            .buckets
            .find(caller.organization(), &namespace.id, &parsed)
            .await?;
        let place = match &found {
            Some(bucket) => {
                let id = bucket.id.as_str();
                Place::named(ResourceType::Bucket, id, bucket.name.as_str())
            }
            None => Place::as_told(ResourceType::Bucket, identifier),
        };
        let places = [place, namespaces::place(namespace)];
        caller.may(("bucket", identifier), &places)?;
        found.ok_or_else(|| missing(identifier))
    }

    /// A bucket that is shown to a caller, which the trail may want to know.
    pub async fn read_bucket(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        identifier: &str,
    ) -> Result<Bucket, EngineError> {
        let bucket = self.bucket(caller, namespace, identifier).await?;
        let resource = (ResourceType::Bucket, bucket.id.as_str());
        self.note_read(caller, Action::BucketAccessed, resource)
            .await?;
        Ok(bucket)
    }

    /// The namespace's buckets, newest first.
    pub async fn list_buckets(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        search: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Bucket>, EngineError> {
        let places = [
            Place::all(ResourceType::Bucket),
            namespaces::place(namespace),
        ];
        caller.may(("bucket", "*"), &places)?;
        Ok(self
            .repositories()
            .buckets
            .list(caller.organization(), &namespace.id, search, page)
            .await?)
    }

    /// Changes a bucket. What changes nothing leaves no trace.
    pub async fn update_bucket(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        identifier: &str,
        change: BucketChange,
    ) -> Result<Bucket, EngineError> {
        let bucket = self.bucket(caller, namespace, identifier).await?;
        let change = BucketChange {
            name: change.name.filter(|name| *name != bucket.name),
            description: change
                .description
                .filter(|text| *text != bucket.description),
            schema: change.schema.filter(|schema| *schema != bucket.schema),
            metadata: change
                .metadata
                .filter(|metadata| *metadata != bucket.metadata),
        };
        if change == BucketChange::default() {
            return Ok(bucket);
        }
        let mut changes = Map::new();
        if let Some(name) = &change.name {
            let names = json!({"from": bucket.name.as_str(), "to": name.as_str()});
            changes.insert("bucket_name".to_owned(), names);
        }
        let named = [
            ("description", change.description.is_some()),
            ("bucket_schema", change.schema.is_some()),
            ("metadata", change.metadata.is_some()),
        ];
        for (field, _) in named.into_iter().filter(|(_, changed)| *changed) {
            changes.insert(field.to_owned(), json!("changed"));
        }
        let resource = (ResourceType::Bucket, bucket.id.as_str());
        let changes = Value::Object(changes);
        let audit = caller.audit(self.ids(), Action::BucketUpdated, resource, changes);
        self.repositories()
            .buckets
            .update(caller.organization(), &bucket.id, change, audit)
            .await
            .map_err(|error| match error {
                ChangeError::NotFound => missing(identifier),
                ChangeError::NameTaken => name_taken(),
                ChangeError::Repository(error) => error.into(),
            })
    }

    /// Removes a bucket with its syncs, jobs and objects.
    pub async fn delete_bucket(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        identifier: &str,
    ) -> Result<Bucket, EngineError> {
        let bucket = self.bucket(caller, namespace, identifier).await?;
        let resource = (ResourceType::Bucket, bucket.id.as_str());
        let changes = self.holdings(caller, &bucket).await?;
        let audit = caller.audit(self.ids(), Action::BucketDeleted, resource, changes);
        let removed = self
            .repositories()
            .buckets
            .remove(caller.organization(), &bucket.id, audit)
            .await?;
        if removed {
            Ok(bucket)
        } else {
            Err(missing(identifier))
        }
    }
    /// What goes with a bucket when it is removed.
    pub(crate) async fn holdings(
        &self,
        caller: &Caller,
        bucket: &Bucket,
    ) -> Result<Value, EngineError> {
        let page = PageRequest::first(PageRequest::MAX_LIMIT);
        let syncs = self
            .repositories()
            .syncs
            .list(
                caller.organization(),
                &bucket.id,
                &SyncFilter::default(),
                &page,
            )
            .await?;
        let syncs: Vec<_> = syncs.items.into_iter().map(|sync| sync.id).collect();
        Ok(json!({
            "bucket_id": bucket.id,
            "bucket_name": bucket.name.as_str(),
            "objects": bucket.object_count,
            "sync_config_ids": syncs,
        }))
    }
}
