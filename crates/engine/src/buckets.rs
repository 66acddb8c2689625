//! Buckets.

use serde_json::{Value, json};
use wharf_domain::Metadata;
use wharf_domain::audit::{Action, ResourceType};
use wharf_domain::bucket::{Bucket, BucketIdentifier, BucketName, NewBucket};
use wharf_domain::namespace::Namespace;
use wharf_domain::page::{Page, PageRequest};

use crate::error::insert_failed;
use crate::{Caller, Engine, EngineError};

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
            let taken = EngineError::conflict(
                "bucket_name_taken",
                "The namespace has a bucket of this name.",
            );
            insert_failed(
                error,
                taken,
                EngineError::not_found("namespace", namespace.id.as_str()),
            )
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
        found.ok_or_else(|| EngineError::not_found("bucket", identifier))
    }

    /// The namespace's buckets, newest first.
    pub async fn list_buckets(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        search: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Bucket>, EngineError> {
        Ok(self
            .repositories()
            .buckets
            .list(caller.organization(), &namespace.id, search, page)
            .await?)
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
        let changes = json!({"bucket_name": bucket.name.as_str(), "objects": bucket.object_count});
        let audit = caller.audit(self.ids(), Action::BucketDeleted, resource, changes);
        let removed = self
            .repositories()
            .buckets
            .remove(caller.organization(), &bucket.id, audit)
            .await?;
        if removed {
            Ok(bucket)
        } else {
            Err(EngineError::not_found("bucket", identifier))
        }
    }
}
