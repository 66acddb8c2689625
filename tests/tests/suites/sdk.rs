//! The published Python SDK, unmodified, does every operation of the API, and parses every answer.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wharf_tests::{ADMIN_KEY, Installation, Lab, Store, text, variable};

/// What the script must have done, in its order.
const OPERATIONS: [&str; 101] = [
    "healthcheck_health",
    "liveness_health",
    "healthcheck_deep_health",
    "celery_beat_health",
    "create_namespace",
    "create_namespace twice",
    "get_namespace",
    "get_namespace unknown",
    "list_namespaces",
    "list_namespaces_get",
    "create_storage_connection_organizations s3",
    "create_storage_connection_organizations tigris",
    "create_storage_connection_organizations google_drive",
    "create_storage_connection_organizations sharepoint",
    "create_storage_connection_organizations snowflake",
    "get_storage_connection_organizations by id",
    "get_storage_connection_organizations by name",
    "list_storage_connections_organizations pages",
    "list_storage_connections_organizations by provider_type",
    "update_storage_connection_organizations suspend",
    "list_storage_connections_organizations by status",
    "list_storage_connections_organizations by is_active",
    "update_storage_connection_organizations reactivate",
    "update_storage_connection_organizations fields",
    "update_storage_connection_organizations provider_config",
    "test_storage_connection_organizations",
    "test_storage_connection_organizations without an adapter",
    "list_google_drive_folders_organizations_connections",
    "list_google_drive_files_organizations_connections",
    "delete_storage_connection_organizations",
    "409 for a name that is taken",
    "409 for a change of what is archived",
    "404 for what is not there",
    "422 for an incomplete configuration",
    "422 for a failed test",
    "401 for an unknown key",
    "403 for a key that may only read",
    "create_bucket",
    "create_bucket twice",
    "get_bucket",
    "list_buckets",
    "list_buckets_get",
    "delete_bucket",
    "404 for a bucket of another namespace",
    "create_sync_configuration_buckets",
    "get_sync_job_buckets_id_config",
    "trigger_sync_configuration_buckets_id_config",
    "trigger_sync_configuration_buckets_id_config full_sync",
    "list_sync_jobs_buckets_id_config",
    "get_sync_configuration_buckets_id_config",
    "SyncStatsModel",
    "list_sync_configurations_buckets",
    "delete_sync_configuration_buckets_id_config",
    "create_sync_configuration_buckets with filters and a mapping",
    "update_sync_configuration_buckets_id_config",
    "pause_sync_configuration_buckets_id_config",
    "resume_sync_configuration_buckets_id_config",
    "force_unlock_sync_configuration_buckets_id_config",
    "get_sync_metrics_buckets_id_config",
    "list_dlq_entries_buckets_id_syncs_config",
    "bulk_mark_dlq_permanently_failed_buckets_id_syncs_config",
    "requeue_dlq_entries_buckets_id_syncs_config",
    "list_objects_buckets",
    "list_objects_get_buckets",
    "get_object_buckets",
    "content",
    "content Range",
    "content ETag",
    "delete_object_buckets",
    "delete_bucket with objects",
    "get_organization",
    "update_organization",
    "create_user_organizations",
    "create_user_organizations twice",
    "get_user_organizations_email",
    "list_users_organizations",
    "update_user_organizations_email",
    "create_key_organizations_users_email",
    "create_key_organizations_users_email by default",
    "create_key_organizations_users_email with scopes",
    "list_keys_organizations_users_email",
    "update_key_organizations_users_email_name",
    "rotate_key_organizations_users_email_name",
    "delete_key_organizations_users_email_name",
    "patch_namespace",
    "update_namespace",
    "delete_namespace",
    "delete_namespace default",
    "patch_bucket",
    "update_bucket",
    "create_webhook_organizations",
    "get_webhook_organizations",
    "list_webhooks_organizations",
    "update_webhook_organizations",
    "delete_webhook_organizations",
    "list_audit_logs_organizations",
    "get_audit_log_organizations",
    "export_audit_logs_organizations",
    "get_audit_settings_organizations",
    "update_audit_settings_organizations",
    "delete_user_organizations_email",
];

#[tokio::test]
async fn the_published_sdk_does_every_operation_on_sqlite() -> Result<()> {
    every_operation(Store::Sqlite).await
}

#[tokio::test]
async fn the_published_sdk_does_every_operation_on_postgres() -> Result<()> {
    every_operation(Store::Postgres).await
}

async fn every_operation(store: Store) -> Result<()> {
    let Some(python) = variable("WHARF_TEST_PYTHON")? else {
        return Ok(());
    };
    let (Some(mut wharf), Some(lab)) = (Installation::on(store).await?, Lab::start().await?) else {
        return Ok(());
    };
    lab.google().stand_in(&mut wharf);
    let mut drive = lab.google().quay("reader", 4, 2).await?.config;
    drive
        .as_object_mut()
        .context("an object")?
        .remove("provider_type");
    let files = json!({
        "pier.txt": "A pier, a lamp and a bench.",
        "2024/日誌 & log <1>.md": "# Fog\n\nNo ships today.",
        "2024/empty": "",
    });
    let fields = files.as_object().context("an object")?;
    let objects: Vec<Value> = fields
        .iter()
        .map(|(key, text)| json!({"key": key, "text": text}))
        .collect();
    lab.put("charts", &objects).await?;
    let wrecks = ["afloat.txt", "sunk.txt"].map(|key| json!({"key": key, "text": key}));
    lab.put("wrecks", &wrecks).await?;
    let sunk = json!({
        "match": {"operation": "get_object", "bucket": "wrecks", "path_contains": "sunk"},
        "action": {"code": "AccessDenied"},
    });
    lab.misbehave(&[sunk]).await?;
    let server = wharf.start().await?;
    let read_key = read_key(&wharf)?;

    let config = lab.provider_config();
    let output = Command::new(python)
        .arg(crate_folder()?.join("sdk/operations.py"))
        .env_clear()
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUTF8", "1")
        .envs([
            ("WHARF_URL", server.url()),
            ("WHARF_ADMIN_KEY", ADMIN_KEY),
            ("WHARF_READ_KEY", &read_key),
            ("LAB_URL", lab.url()),
            (
                "LAB_ACCESS_KEY_ID",
                text(&config["credentials"], "access_key_id")?,
            ),
            (
                "LAB_SECRET_ACCESS_KEY",
                text(&config["credentials"], "secret_access_key")?,
            ),
            ("LAB_DRIVE", &drive.to_string()),
            ("LAB_BUCKET", "charts"),
            ("LAB_WRECKS", "wrecks"),
            ("LAB_OBJECTS", &files.to_string()),
        ])
        .output()
        .context("Python does not start")?;

    let said = String::from_utf8_lossy(&output.stdout);
    let done: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("ok "))
        .collect();
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "after {done:?} the script failed:\n{stderr}"
    );
    assert_eq!(done, OPERATIONS);
    Ok(())
}

/// A key that may only read, from the command line.
fn read_key(wharf: &Installation) -> Result<String> {
    let organizations: Value =
        serde_json::from_str(&wharf.answer(&["admin", "organizations", "list"])?)?;
    let organization = text(&organizations[0], "internal_id")?;
    let admin = wharf.answer(&["admin", "users", "list", "--organization", organization])?;
    let users: Value = serde_json::from_str(&admin)?;
    let key = wharf.answer(&[
        "admin",
        "keys",
        "create",
        "--organization",
        organization,
        "--email",
        text(&users[0], "email")?,
        "--name",
        "reader",
        "--permission",
        "read",
    ])?;
    Ok(text(&serde_json::from_str(&key)?, "key")?.to_owned())
}

/// Where this crate lies now. A path from the time of compiling would lead into another clone that shares the target
/// folder.
fn crate_folder() -> Result<PathBuf> {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR");
    folder
        .map(PathBuf::from)
        .context("CARGO_MANIFEST_DIR is not set: run this through cargo")
}
