//! One of everything that an organization can have.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use wharf_tests::{ADMIN_KEY, Api, Installation, Lab, Server, text};

/// What an organization has, and the keys of its people.
pub(super) struct Belongings {
    pub(super) organization: String,
    /// By the names of the parameters that identifiers stand in.
    pub(super) ids: BTreeMap<&'static str, String>,
    /// Names, where a name can stand in place of an identifier.
    pub(super) names: BTreeMap<&'static str, String>,
    pub(super) archived_connection: String,
    pub(super) admin: String,
    pub(super) viewer: String,
    pub(super) expired: String,
    pub(super) revoked: String,
}

/// What lies at the provider.
pub(super) fn files() -> Vec<Value> {
    (0..3)
        .map(|n| json!({"key": format!("{n}.txt"), "text": "cargo"}))
        .collect()
}

impl Belongings {
    /// Of the organization that the first start made.
    pub(super) async fn of_the_first(server: &Server, lab: &Lab) -> Result<Self> {
        Self::made("acme", server, lab, ADMIN_KEY.to_owned()).await
    }

    /// Of a further organization.
    pub(super) async fn of_another(
        wharf: &Installation,
        server: &Server,
        lab: &Lab,
    ) -> Result<Self> {
        let email = "admin@zeta.test";
        let created = wharf.answer(&[
            "admin",
            "organizations",
            "create",
            "--name",
            "zeta",
            "--admin-email",
            email,
        ])?;
        let created: Value = serde_json::from_str(&created)?;
        let organization = text(&created["organization"], "internal_id")?.to_owned();
        let key = wharf.answer(&[
            "admin",
            "keys",
            "create",
            "--organization",
            &organization,
            "--email",
            email,
            "--name",
            "first",
            "--permission",
            "admin",
        ])?;
        let key: Value = serde_json::from_str(&key)?;
        Self::made("zeta", server, lab, text(&key, "key")?.to_owned()).await
    }

    async fn made(label: &str, server: &Server, lab: &Lab, admin: String) -> Result<Self> {
        let api = server.api_as(&admin)?;
        let namespace = json!({"namespace_name": format!("{label}-space")});
        let namespace = api.post("/v1/namespaces", &namespace).await?.ok()?;
        let connection = api.connect_to(lab, &format!("{label}-store")).await?;
        let bucket = api.create_bucket(&format!("{label}-bucket")).await?;
        let sync = api.create_sync(&bucket, &connection, "harbour").await?;
        let jobs = api.synced(&bucket, &sync).await?;
        let objects = api.objects(&bucket).await?;
        let archived = api.connect_to(lab, &format!("{label}-old")).await?;
        let archived_path = format!("/v1/organizations/connections/{archived}");
        api.delete(&archived_path).await?.ok()?;

        let email = format!("mate@{label}.test");
        let user = json!({"email": email, "user_name": "A Mate", "role": "admin"});
        api.post("/v1/organizations/users", &user).await?.ok()?;
        let stored = stored_connection(&api, &connection).await?;
        let now = DateTime::parse_from_rfc3339(text(&stored, "updated_at")?)?;
        let viewer_name = format!("{label}-viewer");
        let viewer = key(
            &api,
            &email,
            json!({"name": viewer_name, "permissions": ["read"]}),
        )
        .await?;
        let soon = now + TimeDelta::seconds(10);
        let expiring =
            json!({"name": "expired", "permissions": ["admin"], "expires_at": soon.to_rfc3339()});
        let expired = key(&api, &email, expiring).await?;
        let revoked = json!({"name": "revoked", "permissions": ["admin"]});
        let revoked = key(&api, &email, revoked).await?;
        let path = format!("/v1/organizations/users/{email}/api-keys/revoked");
        api.delete(&path).await?.ok()?;
        let may = server.api_as(&expired)?;
        while may.get("/v1/namespaces").await?.status != 401 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }

        let webhook = json!({
            "event_types": ["object.created"],
            "webhook_name": "told",
            "channels": [{"channel": "webhook", "configs": {"url": "https://hooks.example.test/x"}}],
            "is_active": false,
        });
        let webhook = api
            .post("/v1/organizations/webhooks", &webhook)
            .await?
            .ok()?;
        let audit = api
            .get("/v1/organizations/audit/logs?limit=1")
            .await?
            .ok()?;
        let events = api.get("/v1/organizations/events?limit=1").await?.ok()?;
        let organization = text(&stored, "internal_id")?.to_owned();

        let ids = BTreeMap::from([
            (
                "namespace_identifier",
                text(&namespace, "namespace_id")?.to_owned(),
            ),
            ("connection_identifier", connection),
            ("bucket_identifier", bucket.clone()),
            ("bucket_id", bucket),
            ("sync_config_id", sync),
            ("sync_job_id", text(&jobs[0], "sync_job_id")?.to_owned()),
            (
                "object_identifier",
                text(&objects[0], "object_id")?.to_owned(),
            ),
            ("user_email", email),
            ("key_name", viewer_name),
            ("identifier", text(&webhook, "webhook_id")?.to_owned()),
            (
                "audit_id",
                text(&audit["results"][0], "audit_id")?.to_owned(),
            ),
            ("event_id", text(&events["results"][0], "id")?.to_owned()),
        ]);
        let names = BTreeMap::from([
            ("namespace_identifier", format!("{label}-space")),
            ("connection_identifier", format!("{label}-store")),
            ("bucket_identifier", format!("{label}-bucket")),
            ("bucket_id", format!("{label}-bucket")),
        ]);
        Ok(Self {
            organization,
            ids,
            names,
            archived_connection: archived,
            admin,
            viewer,
            expired,
            revoked,
        })
    }

    pub(super) fn id(&self, parameter: &str) -> Result<&str> {
        let id = self.ids.get(parameter);
        id.map(String::as_str)
            .with_context(|| format!("nothing stands for the parameter {parameter}"))
    }
}

async fn key(api: &Api, email: &str, wish: Value) -> Result<String> {
    let path = format!("/v1/organizations/users/{email}/api-keys");
    let key = api.post(&path, &wish).await?.ok()?;
    Ok(text(&key, "key")?.to_owned())
}

async fn stored_connection(api: &Api, connection: &str) -> Result<Value> {
    api.get(&format!("/v1/organizations/connections/{connection}"))
        .await?
        .ok()
}
