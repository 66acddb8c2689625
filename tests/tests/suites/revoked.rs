//! A key that is revoked at one replica is refused by all of them, within two seconds.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use wharf_tests::{Installation, Store, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_refused_by_every_replica_within_two_seconds() -> Result<()> {
    let Some(wharf) = Installation::on(Store::Postgres).await? else {
        return Ok(());
    };
    let replicas = [wharf.start().await?, wharf.start().await?];
    let admin = replicas[0].api()?;
    let user = json!({"email": "mate@harbour.test", "user_name": "A Mate", "role": "admin"});
    admin.post("/v1/organizations/users", &user).await?.ok()?;
    let keys = "/v1/organizations/users/mate@harbour.test/api-keys";
    for round in 0..5 {
        let name = format!("key-{round}");
        let key = json!({"name": name, "permissions": ["read"]});
        let key = admin.post(keys, &key).await?.ok()?;
        let key = text(&key, "key")?;
        let mut apis = Vec::new();
        for replica in &replicas {
            let api = replica.api_as(key)?;
            // In use, so that whatever is remembered of it is remembered.
            for _ in 0..3 {
                api.get("/v1/namespaces").await?.ok()?;
            }
            apis.push(api);
        }
        let path = format!("{keys}/{name}");
        // Revoked, rotated, or its user suspended: gone all the same.
        match round {
            0..=2 => admin.delete(&path).await?.ok()?,
            3 => admin
                .post(&format!("{path}/rotate"), &json!({}))
                .await?
                .ok()?,
            _ => {
                let suspended = json!({"status": "suspended"});
                let user = "/v1/organizations/users/mate@harbour.test";
                admin.patch(user, &suspended).await?.ok()?
            }
        };
        let answered = Instant::now();
        for (replica, api) in apis.iter().enumerate() {
            while api.get("/v1/namespaces").await?.status != 401 {
                ensure!(
                    answered.elapsed() < Duration::from_secs(2),
                    "replica {replica} still takes the key"
                );
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        eprintln!(
            "round {round}: refused everywhere after {:?}",
            answered.elapsed()
        );
    }
    Ok(())
}
