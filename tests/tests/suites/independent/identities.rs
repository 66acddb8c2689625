//! Users and roles of Moto, which nobody here wrote and which holds everyone to their policies.
//!
//! It deviates from AWS in one thing that matters here: a trust policy that demands an external id is satisfied by a
//! request that names none. So the same role shows both sides of `providers.aws.require_external_id`.

use anyhow::Result;
use serde_json::{Value, json};
use wharf_tests::{Answer, Api, Bucket, Installation, Keys, Moto, Server, Store, text};

const CONNECTIONS: &str = "/v1/organizations/connections";

/// A bucket with a file at Moto, and a server whose AWS is Moto and who may do nothing there but assume roles.
struct Port {
    moto: Moto,
    source: Bucket,
    wharf: Installation,
}

impl Port {
    async fn new(name: &str) -> Result<Option<Self>> {
        let (Some(moto), Some(source), Some(mut wharf)) = (
            Moto::find()?,
            Bucket::create("MOTO", name).await?,
            Installation::on(Store::Sqlite).await?,
        ) else {
            return Ok(None);
        };
        source.put("pier/crate", b"oranges", &[]).await?;
        let assuming = allowing(&["sts:AssumeRole"]);
        wharf.be(&moto.user(&format!("{name}-wharf"), Some(&assuming)).await?);
        wharf.set("WHARF_PROVIDERS__AWS__STS_URL", moto.url());
        wharf.set("WHARF_PROVIDERS__AWS__S3_URL", moto.url());
        Ok(Some(Self {
            moto,
            source,
            wharf,
        }))
    }

    /// A server that takes the deviation.
    async fn tolerant(&mut self) -> Result<Server> {
        let setting = "WHARF_PROVIDERS__AWS__REQUIRE_EXTERNAL_ID";
        self.wharf.set(setting, "false");
        self.wharf.start().await
    }
}

fn allowing(actions: &[&str]) -> Value {
    let statement = json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

fn reading() -> Value {
    allowing(&["s3:ListBucket", "s3:GetObject", "s3:GetObjectTagging"])
}

/// Trusts whoever names this external id.
fn trusting(external_id: &str) -> Value {
    let statement = json!({
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
    });
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

async fn connect_under(api: &Api, role: &str, external_id: &str) -> Result<Answer> {
    let credentials = json!({"type": "iam_role", "role_arn": role, "external_id": external_id});
    connect(
        api,
        json!({"provider_type": "s3", "credentials": credentials}),
    )
    .await
}

async fn connect(api: &Api, config: Value) -> Result<Answer> {
    let connection = json!({
        "name": "moto",
        "provider_type": "s3",
        "provider_config": config,
        "test_before_save": true,
    });
    api.post(CONNECTIONS, &connection).await
}

fn with_keys(source: &Bucket, keys: &Keys) -> Value {
    let mut config = source.provider_config();
    config["credentials"]["access_key_id"] = json!(keys.id);
    config["credentials"]["secret_access_key"] = json!(keys.secret);
    config
}

async fn create_sync(api: &Api, connection: &str, source_path: &str) -> Result<(String, Answer)> {
    let bucket = api.create_bucket("quay").await?;
    let sync = json!({
        "connection_id": connection,
        "source_path": source_path,
        "sync_mode": "initial_only",
    });
    let path = format!("/v1/buckets/{bucket}/syncs");
    let created = api.post(&path, &sync).await?;
    Ok((bucket, created))
}

/// The check of this name in a refusal that a test brought about, whose first failure has this code.
fn failed<'a>(refusal: &'a Value, name: &str, code: &str) -> &'a Value {
    assert_eq!(refusal["code"], "connection_test_failed", "{refusal}");
    assert_eq!(refusal["details"]["error_code"], code, "{refusal}");
    let checks = refusal["details"]["checks"].as_array();
    let check = checks.and_then(|checks| checks.iter().find(|check| check["name"] == name));
    let check = check.unwrap_or(&Value::Null);
    assert_eq!(check["outcome"], "failed", "{refusal}");
    assert_eq!(check["error_code"], code, "{refusal}");
    assert!(check["remedy"].is_string(), "{refusal}");
    check
}

#[tokio::test]
async fn a_role_that_moto_lets_be_assumed_without_an_id_is_refused_by_default() -> Result<()> {
    let Some(port) = Port::new("strict").await? else {
        return Ok(());
    };
    let server = port.wharf.start().await?;
    let api = server.api()?;
    let issued = api.issued_external_id().await?;
    let role = port
        .moto
        .role("strict", &trusting(&issued), &reading())
        .await?;
    let refusal = connect_under(&api, &role, &issued).await?.refused(422)?;
    let code = "auth.role_trusts_without_external_id";
    let check = failed(&refusal, "sign_in", code);
    let remedy = text(check, "remedy")?;
    assert!(remedy.contains("sts:ExternalId"), "{remedy}");
    Ok(())
}

#[tokio::test]
async fn a_role_with_the_issued_id_is_synced_under_where_the_operator_takes_the_deviation()
-> Result<()> {
    let Some(mut port) = Port::new("tolerant").await? else {
        return Ok(());
    };
    let server = port.tolerant().await?;
    let api = server.api()?;
    let issued = api.issued_external_id().await?;
    let role = port
        .moto
        .role("tolerant", &trusting(&issued), &reading())
        .await?;
    let connection = connect_under(&api, &role, &issued).await?.ok()?;
    let connection = text(&connection, "connection_id")?;
    let (bucket, created) = create_sync(&api, connection, port.source.name()).await?;
    let created = created.ok()?;
    assert_eq!(created["source_test"]["result"], "success", "{created}");
    api.synced(&bucket, text(&created, "sync_config_id")?)
        .await?;
    let objects = api.objects(&bucket).await?;
    assert_eq!(objects.len(), 1, "{objects:?}");
    let object = text(&objects[0], "object_id")?;
    assert_eq!(api.content(&bucket, object).await?, b"oranges");
    Ok(())
}

#[tokio::test]
async fn an_id_that_was_not_issued_is_refused_and_one_that_moto_does_not_expect_opens_nothing()
-> Result<()> {
    let Some(mut port) = Port::new("wrong-id").await? else {
        return Ok(());
    };
    let server = port.tolerant().await?;
    let api = server.api()?;
    let issued = api.issued_external_id().await?;
    let theirs = "of-another-organization";
    let role = port
        .moto
        .role("wrong-id", &trusting(theirs), &reading())
        .await?;
    // Moto would let it in.
    let refusal = connect_under(&api, &role, theirs).await?.refused(422)?;
    assert!(refusal.to_string().contains("not_issued"), "{refusal}");
    let refusal = connect_under(&api, &role, &issued).await?.refused(422)?;
    assert_eq!(
        refusal["details"]["error_code"], "auth.assume_role_denied",
        "{refusal}"
    );
    let stored = api.list(&format!("{CONNECTIONS}/list")).await?;
    assert_eq!(stored, [] as [Value; 0]);
    Ok(())
}

#[tokio::test]
async fn a_role_whose_policy_grants_no_listing_is_denied_when_a_sync_is_created() -> Result<()> {
    let Some(mut port) = Port::new("no-listing").await? else {
        return Ok(());
    };
    let server = port.tolerant().await?;
    let api = server.api()?;
    let issued = api.issued_external_id().await?;
    let policy = allowing(&["s3:GetObject"]);
    let role = port
        .moto
        .role("no-listing", &trusting(&issued), &policy)
        .await?;
    let connection = connect_under(&api, &role, &issued).await?.ok()?;
    let connection = text(&connection, "connection_id")?;
    let (bucket, created) = create_sync(&api, connection, port.source.name()).await?;
    let refusal = created.refused(422)?;
    let check = failed(&refusal, "list", "perm.denied");
    let action = text(check, "action")?;
    assert!(action.contains("s3:ListBucket"), "{check}");
    let syncs = api
        .list(&format!("/v1/buckets/{bucket}/syncs/list"))
        .await?;
    assert_eq!(syncs, [] as [Value; 0]);
    Ok(())
}

#[tokio::test]
async fn an_unknown_key_and_a_wrong_secret_are_refused_by_moto() -> Result<()> {
    let Some(port) = Port::new("wrong-keys").await? else {
        return Ok(());
    };
    let server = port.wharf.start().await?;
    let api = server.api()?;
    let right = port.moto.user("wrong-keys", Some(&reading())).await?;
    let unknown = Keys {
        id: "AKIANOBODYKNOWSTHIS0".to_owned(),
        ..right.clone()
    };
    let wrong = Keys {
        secret: "not-the-secret-of-anything".to_owned(),
        ..right.clone()
    };
    for (keys, field) in [(unknown, "access_key_id"), (wrong, "secret_access_key")] {
        let config = with_keys(&port.source, &keys);
        let refusal = connect(&api, config).await?.refused(422)?;
        let check = failed(&refusal, "sign_in", "auth.invalid_credentials");
        let remedy = text(check, "remedy")?;
        assert!(remedy.contains(field), "{remedy}");
        assert!(!refusal.to_string().contains(&keys.secret), "{refusal}");
    }
    connect(&api, with_keys(&port.source, &right)).await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn a_bucket_that_moto_does_not_have_is_told_and_the_sync_is_kept() -> Result<()> {
    let Some(port) = Port::new("no-bucket").await? else {
        return Ok(());
    };
    let server = port.wharf.start().await?;
    let api = server.api()?;
    let config = port.source.provider_config();
    let connection = api.connect("moto", config, true).await?;
    let missing = format!("{}-is-elsewhere", port.source.name());
    let (_, created) = create_sync(&api, &connection, &missing).await?;
    let created = created.ok()?;
    let test = &created["source_test"];
    assert_eq!(test["error_code"], "resource.not_found", "{created}");
    assert!(created["sync_config_id"].is_string(), "{created}");
    Ok(())
}

#[tokio::test]
async fn a_user_of_moto_without_a_policy_signs_in_and_may_list_nothing() -> Result<()> {
    let Some(port) = Port::new("no-policy").await? else {
        return Ok(());
    };
    let server = port.wharf.start().await?;
    let api = server.api()?;
    let nobody = port.moto.user("no-policy", None).await?;
    let connection = connect(&api, with_keys(&port.source, &nobody))
        .await?
        .ok()?;
    let connection = text(&connection, "connection_id")?;
    let (_, created) = create_sync(&api, connection, port.source.name()).await?;
    let refusal = created.refused(422)?;
    failed(&refusal, "list", "perm.denied");
    Ok(())
}
