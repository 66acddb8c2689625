//! What the operator has not opened is not dialled, and what lies about in the environment is not used.

use std::fs;
use std::net::{TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_tests::{Answer, Api, Canary, Installation, Lab, Store, text};

#[tokio::test]
async fn loopback_is_refused_with_the_remedy_unless_the_operator_opened_it() -> Result<()> {
    let (Some(mut wharf), Some(lab)) =
        (Installation::on(Store::Sqlite).await?, Lab::start().await?)
    else {
        return Ok(());
    };
    wharf.unset("WHARF_EGRESS__ALLOW_LOOPBACK");
    let server = wharf.start().await?;
    let api = server.api()?;
    // Speaks no TLS, but would notice the attempt.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let secure = format!("https://{}", listener.local_addr()?);

    for endpoint in [lab.url(), &secure] {
        for tested in [true, false] {
            let mut config = lab.provider_config();
            config["endpoint_url"] = json!(endpoint);
            let connection = json!({
                "name": format!("{endpoint} {tested}"), "provider_type": "s3", "provider_config": config,
                "test_before_save": tested,
            });
            let answer = api
                .post("/v1/organizations/connections", &connection)
                .await?;
            if answer.status == 200 {
                ensure!(!tested && endpoint == secure, "{endpoint} was accepted");
                let id = answer.ok()?["connection_id"]
                    .as_str()
                    .context("an id")?
                    .to_owned();
                let path = format!("/v1/organizations/connections/{id}/test");
                let outcome = api.post(&path, &json!({})).await?.ok()?;
                assert_eq!(outcome["success"], false);
                tells_the_remedy(&outcome)?;
            } else {
                tells_the_remedy(&answer.refused(422)?)?;
            }
        }
    }
    assert_eq!(lab.journal().await?, Vec::<Value>::new());
    ensure!(listener.accept().is_err(), "a refused address was dialled");
    Ok(())
}

fn tells_the_remedy(refusal: &Value) -> Result<()> {
    ensure!(
        refusal.to_string().contains("egress.allow"),
        "the remedy is not told: {refusal}"
    );
    Ok(())
}

const AMBIENT_ID: &str = "AKIACANARYOFTHESERVER";
const AMBIENT_SECRET: &str = "canary-ambient-secret-4b8e1d07";
const AMBIENT_TOKEN: &str = "canary-ambient-token-93f0ac5e2";
const FILED_ID: &str = "AKIACANARYOFTHEFILES1";
const FILED_SECRET: &str = "canary-filed-secret-c62d9e80";
const NETRC_PASSWORD: &str = "canary-netrc-password-71be3f";

/// What lies about in an environment and must not be touched: identities, and addresses on which somebody listens.
struct Baits {
    home: TempDir,
    listeners: Vec<(&'static str, TcpListener)>,
}

impl Baits {
    /// Lays them all out for the programs of an installation.
    fn lay(wharf: &mut Installation) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("wharf-suite-").tempdir()?;
        let mut listeners = Vec::new();
        let mut listen = |purpose: &'static str| -> Result<String> {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            listener.set_nonblocking(true)?;
            let url = format!("http://{}", listener.local_addr()?);
            listeners.push((purpose, listener));
            Ok(url)
        };
        let (proxy, store) = (listen("a proxy")?, listen("an AWS endpoint")?);
        let (metadata, identities) = (
            listen("a metadata service")?,
            listen("an identity provider")?,
        );
        let folder = home.path().display();
        let file = |name: &str| format!("{folder}/{name}");

        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            wharf.set(name, &proxy);
            wharf.set(&name.to_lowercase(), &proxy);
        }
        for (name, value) in [
            ("AWS_ACCESS_KEY_ID", AMBIENT_ID),
            ("AWS_SECRET_ACCESS_KEY", AMBIENT_SECRET),
            ("AWS_SESSION_TOKEN", AMBIENT_TOKEN),
            ("AWS_PROFILE", "canary"),
            ("AWS_CONFIG_FILE", &file("aws-config")),
            ("AWS_SHARED_CREDENTIALS_FILE", &file("aws-credentials")),
            ("AWS_ENDPOINT_URL", &store),
            ("AWS_ENDPOINT_URL_S3", &store),
            ("AWS_ENDPOINT_URL_STS", &store),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata),
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                &format!("{metadata}/credentials"),
            ),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", AMBIENT_TOKEN),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &file("web-identity")),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/canary"),
            ("GOOGLE_APPLICATION_CREDENTIALS", &file("google.json")),
            ("GCE_METADATA_HOST", metadata.trim_start_matches("http://")),
            ("IDENTITY_ENDPOINT", &identities),
            ("IDENTITY_HEADER", AMBIENT_TOKEN),
            ("AZURE_AUTHORITY_HOST", &identities),
            ("AZURE_CLIENT_ID", "canary"),
            ("AZURE_TENANT_ID", "canary"),
            ("AZURE_CLIENT_SECRET", AMBIENT_SECRET),
            ("SSLKEYLOGFILE", &file("tls-keys")),
            ("NETRC", &file(".netrc")),
            ("HOME", &folder.to_string()),
        ] {
            wharf.set(name, value);
        }

        let keys =
            format!("aws_access_key_id = {FILED_ID}\naws_secret_access_key = {FILED_SECRET}\n");
        let process = format!("credential_process = touch {}\n", file("a-process-ran"));
        let config = format!(
            "[default]\n{keys}[profile canary]\nendpoint_url = {store}\n{process}[profile other]\n{keys}"
        );
        let credentials = format!("[default]\n{keys}[canary]\n{keys}");
        let google = json!({
            "type": "authorized_user", "client_id": "canary", "client_secret": FILED_SECRET,
            "refresh_token": AMBIENT_TOKEN, "token_uri": identities,
        });
        fs::create_dir(home.path().join(".aws"))?;
        for (name, content) in [
            (".aws/config", &config),
            ("aws-config", &config),
            (".aws/credentials", &credentials),
            ("aws-credentials", &credentials),
            ("web-identity", &AMBIENT_TOKEN.to_owned()),
            ("google.json", &google.to_string()),
            (
                ".netrc",
                &format!("default login canary password {NETRC_PASSWORD}\n"),
            ),
        ] {
            fs::write(home.path().join(name), content)?;
        }
        Ok(Self { home, listeners })
    }

    /// How many came to each listener. Each can be asked once.
    fn visitors(&self) -> Vec<(&'static str, usize)> {
        let count = |listener: &TcpListener| std::iter::from_fn(|| listener.accept().ok()).count();
        self.listeners
            .iter()
            .map(|(purpose, listener)| (*purpose, count(listener)))
            .collect()
    }
}

#[tokio::test]
async fn identities_and_proxies_of_the_environment_are_left_alone() -> Result<()> {
    let (Some(mut wharf), Some(lab)) =
        (Installation::on(Store::Sqlite).await?, Lab::start().await?)
    else {
        return Ok(());
    };
    let baits = Baits::lay(&mut wharf)?;
    wharf.set("WHARF_LOG__LEVEL", "debug");
    lab.put(
        "harbour",
        &[
            json!({"key": "a", "text": "ahoy"}),
            json!({"key": "b", "size": 9_000}),
        ],
    )
    .await?;
    let server = wharf.start().await?;
    let answers = connections_of_every_kind(&server.api()?, &lab).await?;
    ensure!(server.terminate().await?.success(), "no clean shutdown");

    let journal = lab.journal().await?;
    // The lab verifies signatures: with another key than the connection's there would be refusals.
    let signed = journal
        .iter()
        .all(|request| [200, 206].contains(&request["status"].as_u64().unwrap_or_default()));
    ensure!(signed && !journal.is_empty(), "{}", json!(journal));
    let canaries = [
        Canary::new("the environment's key id", AMBIENT_ID),
        Canary::new("the environment's secret", AMBIENT_SECRET),
        Canary::new("the environment's token", AMBIENT_TOKEN),
        Canary::new("the files' key id", FILED_ID),
        Canary::new("the files' secret", FILED_SECRET),
        Canary::new("the password of .netrc", NETRC_PASSWORD),
    ];
    let (journal, logs) = (json!(journal).to_string(), wharf.logs()?);
    let mut leaks = Vec::new();
    for canary in &canaries {
        leaks.extend(canary.leaked_to(journal.as_bytes(), "a request to the lab"));
        leaks.extend(canary.leaked_to(&logs, "the log"));
        for answer in &answers {
            leaks.extend(canary.leaked_to(&answer.bytes, "an answer"));
        }
        for file in wharf.data_files()? {
            leaks.extend(canary.leaked_to(&fs::read(&file)?, &file.display().to_string()));
        }
    }
    ensure!(leaks.is_empty(), "{}", leaks.join("\n"));

    for (purpose, visitors) in baits.visitors() {
        ensure!(visitors == 0, "{purpose} saw {visitors} connections");
    }
    for (trace, meaning) in [
        ("a-process-ran", "the process of a profile was run"),
        ("tls-keys", "keys of TLS sessions were written down"),
    ] {
        ensure!(!baits.home.path().join(trace).exists(), "{meaning}");
    }
    // The listeners would have noticed.
    for (_, listener) in &baits.listeners {
        TcpStream::connect(listener.local_addr()?)?;
    }
    ensure!(baits.visitors().iter().all(|(_, visitors)| *visitors == 1));
    Ok(())
}

/// A connection that works, with a sync; and ones whose names lead nowhere, to a store, to AWS and through a role. All
/// that was answered.
async fn connections_of_every_kind(api: &Api, lab: &Lab) -> Result<Vec<Answer>> {
    let connections = "/v1/organizations/connections";
    let mut answers = Vec::new();
    let create = |name: &str, config: Value, tested: bool| json!({"name": name, "provider_type": "s3", "provider_config": config, "test_before_save": tested});

    let working = api
        .post(connections, &create("working", lab.provider_config(), true))
        .await?;
    let id = text(&working.ok()?, "connection_id")?.to_owned();
    let tested = api
        .post(&format!("{connections}/{id}/test"), &json!({}))
        .await?;
    assert_eq!(tested.ok()?["success"], true);
    answers.extend([working, tested]);
    let bucket = api.create_bucket("harbour").await?;
    let sync = api.create_sync(&bucket, &id, "harbour").await?;
    let jobs = api.synced(&bucket, &sync).await?;
    assert_eq!(jobs[0]["progress"]["synced"], 2);
    answers.push(
        api.post(&format!("/v1/buckets/{bucket}/objects/list"), &json!({}))
            .await?,
    );

    // Names that nobody has. A client that went by the environment would not even ask for their addresses.
    let mut store = lab.provider_config();
    store["endpoint_url"] = json!("https://storage.invalid");
    let mut aws = lab.provider_config();
    aws["region"] = json!("zz-nowhere-7");
    if let Some(settings) = aws.as_object_mut() {
        settings.remove("endpoint_url");
    }
    for (name, config) in [("store", store), ("aws", aws)] {
        let stored = api.post(connections, &create(name, config, false)).await?;
        stored.ok()?;
        let path = format!("{connections}/{name}/test");
        let tested = api.post(&path, &json!({})).await?;
        let outcome = tested.ok()?;
        assert_eq!(outcome["success"], false, "{outcome}");
        ensure!(outcome.to_string().contains("\"network."), "{outcome}");
        answers.extend([
            stored,
            tested,
            api.get(&format!("{connections}/{name}")).await?,
        ]);
    }

    // Without an identity that the operator named there is none to assume a role with.
    let role = json!({
        "provider_type": "s3",
        "credentials": {
            "type": "iam_role", "role_arn": "arn:aws:iam::123456789012:role/reader",
            "external_id": "wharf-0123456789abcdef",
        },
    });
    let refused = api.post(connections, &create("role", role, true)).await?;
    refused.refused(422)?;
    answers.push(refused);
    Ok(answers)
}
