//! Every use of secrets there is, the failing ones above all.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use wharf_tests::{Answer, Api, Echo, Echoed, Installation, Lab, Server, text};

use super::secrets::{FIELDS, Secrets};

const CONNECTIONS: &str = "/v1/organizations/connections";

pub(crate) struct Drive<'a> {
    pub(crate) secrets: &'a Secrets,
    pub(crate) server: &'a Server,
    pub(crate) wharf: &'a Installation,
    pub(crate) lab: &'a Lab,
    pub(crate) echo: &'a Echo,
    pub(crate) api: Api,
    pub(crate) answers: Vec<Answer>,
    /// What the admin commands printed, but for the one line in which a new key is shown once.
    pub(crate) printed: Vec<String>,
}

impl Drive<'_> {
    /// All of it.
    pub(crate) async fn through(&mut self) -> Result<()> {
        self.every_kind_of_credentials().await?;
        self.a_store_that_answers().await?;
        self.a_persons_files().await?;
        self.a_store_that_echoes().await?;
        self.runs_at_a_store_that_echoes().await?;
        self.secrets_in_wrong_places().await?;
        self.names_that_are_taken().await?;
        self.wrong_keys().await?;
        self.admin_commands()?;
        for path in ["/metrics", "/v1/health", "/v1/health/deep", "/openapi.json"] {
            let answer = self.api.get(path).await?;
            self.answers.push(answer);
        }
        self.reads().await
    }

    async fn post(&mut self, path: &str, body: &Value) -> Result<&Answer> {
        let answer = self.api.post(path, body).await?;
        self.keep(answer)
    }

    fn keep(&mut self, answer: Answer) -> Result<&Answer> {
        self.answers.push(answer);
        self.answers.last().context("an answer was kept")
    }

    async fn create(&mut self, name: &str, config: Value, tested: bool) -> Result<&Answer> {
        let provider = text(&config, "provider_type")?.to_owned();
        let connection = json!({
            "name": name, "provider_type": provider, "provider_config": config, "test_before_save": tested,
        });
        self.post(CONNECTIONS, &connection).await
    }

    /// Stored, read, patched, tested: whether or not there is an adapter.
    async fn every_kind_of_credentials(&mut self) -> Result<()> {
        let kit = self.api.get("/v1/organizations/setup/s3").await?;
        let issued = text(&kit.ok()?, "external_id")?.to_owned();
        self.keep(kit)?;
        for (provider, kind, _) in FIELDS {
            let mut config = Secrets::settings(provider, &self.echo.url());
            config["provider_type"] = json!(provider);
            config["credentials"] = self.secrets.credentials(provider, kind)?;
            if kind == "iam_role" {
                // One that nobody issued is refused, which must not repeat the rest either.
                config["credentials"]["external_id"] = json!("wharf-not-issued");
                self.create("not issued", config.clone(), false)
                    .await?
                    .refused(422)?;
                config["credentials"]["external_id"] = json!(issued);
            }
            let name = format!("{provider} {kind}");
            let created = self.create(&name, config.clone(), false).await?;
            ensure!(
                created.status == 200,
                "{name} was not stored: {}",
                created.text()
            );
            self.create(&format!("{name}, tested"), config.clone(), true)
                .await?;
            let path = format!("{CONNECTIONS}/{}", name.replace(' ', "%20"));
            self.post(&format!("{path}/test"), &json!({})).await?;
            for patch in [
                json!({"provider_config": config}),
                json!({"provider_config": {"credentials": {"type": kind}}, "description": "kept"}),
                json!({"provider_config": {"credentials": {"type": "access_key", "password": self.secrets.get("a misplaced value")}}}),
                json!({"status": "SUSPENDED"}),
            ] {
                let answer = self.api.patch(&path, &patch).await?;
                self.keep(answer)?;
            }
            let answer = self.api.get(&path).await?;
            ensure!(answer.status == 200, "{name} is gone");
            self.keep(answer)?;
        }
        Ok(())
    }

    /// A whole life at a store that works: created, synced, its secret rotated, archived.
    async fn a_store_that_answers(&mut self) -> Result<()> {
        let config = self.lab.provider_config();
        self.create("vault", config.clone(), true).await?.ok()?;
        let path = format!("{CONNECTIONS}/vault");
        let wrong = self
            .lab
            .wrong_provider_config(self.secrets.get("a wrong secret access key"));
        self.create("wrong", wrong.clone(), true)
            .await?
            .refused(422)?;
        self.create("stored wrong", wrong, false).await?.ok()?;
        for _ in 0..2 {
            self.post(&format!("{CONNECTIONS}/stored%20wrong/test"), &json!({}))
                .await?;
        }
        let mut stale = config.clone();
        stale["credentials"]["session_token"] = json!(self.secrets.get("a wrong session token"));
        self.create("stale", stale, true).await?.refused(422)?;

        let elsewhere = json!({"provider_config": {"credentials": {"type": "access_key"}, "endpoint_url": "https://s3.example.com"}});
        let reentry = self.api.patch(&path, &elsewhere).await?;
        ensure!(
            reentry.refused(422)?["code"] == "credentials_reentry_required",
            "{}",
            reentry.text()
        );
        self.keep(reentry)?;

        let connection = text(&self.api.get(&path).await?.ok()?, "connection_id")?.to_owned();
        let bucket = self.api.create_bucket("vault").await?;
        let sync = self.api.create_sync(&bucket, &connection, "vault").await?;
        let jobs = self.api.synced(&bucket, &sync).await?;
        ensure!(jobs[0]["progress"]["synced"] == 2, "{}", jobs[0]);
        for path in [
            format!("/v1/buckets/{bucket}/syncs/{sync}/jobs"),
            format!("/v1/buckets/{bucket}/syncs/list"),
            format!("/v1/buckets/{bucket}/objects/list"),
        ] {
            self.post(&path, &json!({})).await?;
        }
        let rotated = json!({"provider_config": {"credentials": {
            "type": "access_key", "secret_access_key": self.secrets.get("a rotated secret access key"),
        }}});
        let answer = self.api.patch(&path, &rotated).await?;
        self.keep(answer)?;
        self.post(&format!("{path}/test"), &json!({})).await?;
        for answer in [self.api.delete(&path).await?, self.api.get(&path).await?] {
            self.keep(answer)?;
        }
        Ok(())
    }

    /// A life at Google: signed in, browsed, synced, consented to anew, refused, archived.
    async fn a_persons_files(&mut self) -> Result<()> {
        let credentials = self.secrets.credentials("google_drive", "oauth")?;
        let config = json!({"provider_type": "google_drive", "credentials": credentials});
        let created = self.create("a person's files", config, true).await?.ok()?;
        let connection = text(&created, "connection_id")?.to_owned();
        let path = format!("{CONNECTIONS}/{connection}");
        for of in ["folders", "files?max_results=3", "checks"] {
            let answer = self.api.get(&format!("{path}/{of}")).await?;
            answer.ok()?;
            self.keep(answer)?;
        }
        let bucket = self.api.create_bucket("a-persons-files").await?;
        let sync = self.api.create_sync(&bucket, &connection, "/").await?;
        let jobs = self.api.synced(&bucket, &sync).await?;
        ensure!(jobs[0]["progress"]["synced"] == 4, "{}", jobs[0]);
        self.post(&format!("/v1/buckets/{bucket}/objects/list"), &json!({}))
            .await?;
        let kit = format!("/v1/organizations/setup/google_drive?connection={connection}");
        let kit = self.api.get(&kit).await?;
        // Whom to authorize is told on purpose.
        ensure!(kit.status == 200, "{}", kit.text());
        let echoed = |of: Value| json!({"match": of, "action": {"echo": true, "status": 400}});
        let of_drive = echoed(json!({"path_contains": "/drive/v3/"}));
        self.lab.google().misbehave(&[of_drive]).await?;
        let run = format!("/v1/buckets/{bucket}/syncs/{sync}");
        let job = self.run(&run).await?;
        ensure!(job["status"] == "failed", "{job}");
        let of_token = echoed(json!({"operation": "google_token"}));
        self.lab.google().misbehave(&[of_token]).await?;
        self.post(&format!("{path}/test"), &json!({})).await?;
        self.lab.google().misbehave(&[]).await?;
        for answer in [self.api.delete(&path).await?, self.api.get(&path).await?] {
            self.keep(answer)?;
        }
        Ok(())
    }

    /// Tests at a store that puts what it was sent, and the secret itself, into everything it answers.
    async fn a_store_that_echoes(&mut self) -> Result<()> {
        let secret = |name: &str| self.secrets.get(&format!("the echoed {name}")).to_owned();
        let credentials = json!({
            "type": "access_key", "access_key_id": secret("access key id"),
            "secret_access_key": secret("secret access key"), "session_token": secret("session token"),
        });
        let config = json!({"provider_type": "s3", "endpoint_url": self.echo.url(), "credentials": credentials});
        let before = self.echo.asked();
        self.create("echo, tested", config.clone(), true).await?;
        let created = self.create("echo", config.clone(), false).await?.ok()?;
        let id = text(&created, "connection_id")?.to_owned();
        let path = format!("{CONNECTIONS}/{id}");
        // Ways of refusing times steps of a test, roughly; a definite refusal suspends, so it is made good each time.
        for round in 0..3 * Echo::ways() {
            let query = if round % 2 == 0 {
                "?source_path=harbour/quay"
            } else {
                ""
            };
            self.post(&format!("{path}/test{query}"), &json!({}))
                .await?;
            if round % 4 == 3 {
                let again = json!({"provider_config": config, "status": "ACTIVE"});
                let answer = self.api.patch(&path, &again).await?;
                self.keep(answer)?;
            }
        }
        let asked = self.echo.asked() - before;
        ensure!(
            asked >= 2 * Echo::ways(),
            "the echo was asked {asked} times only, which is not every way of refusing"
        );
        Ok(())
    }

    /// Runs at a store that behaves until the sync is there, and then echoes: what lists, what reads files, what STS is
    /// asked, in every way of refusing. With a key, and with a role whose sessions STS hands out.
    async fn runs_at_a_store_that_echoes(&mut self) -> Result<()> {
        let secret = |name: &str| self.secrets.get(&format!("the echoed {name}")).to_owned();
        let key = json!({
            "type": "access_key", "access_key_id": secret("access key id"),
            "secret_access_key": secret("secret access key"), "session_token": secret("session token"),
        });
        self.echo.refuse(Echoed::Nothing, 0);
        let kit = self.api.get("/v1/organizations/setup/s3").await?;
        let issued = text(&kit.ok()?, "external_id")?.to_owned();
        self.keep(kit)?;
        let arn = format!(
            "arn:aws:iam::123456789012:role/{}",
            self.secrets.get("the role of the runs")
        );
        let role = json!({"arn": arn, "external_id": issued});
        self.lab.add_role(role).await?;
        let role = json!({"type": "iam_role", "role_arn": arn, "external_id": issued});
        let (lists, files) = (Echoed::Listings, Echoed::Files);
        for (name, credentials, echoed) in [
            ("a key's runs", key, vec![lists, files]),
            ("a role's runs", role, vec![lists, files, Echoed::Sessions]),
        ] {
            let config = json!({"provider_type": "s3", "endpoint_url": self.echo.url(), "credentials": credentials});
            self.runs(name, &config, &echoed).await?;
        }
        self.echo.refuse(Echoed::Everything, 0);
        ensure!(!self.echo.sessions().is_empty(), "STS handed nothing out");
        Ok(())
    }

    async fn runs(&mut self, name: &str, config: &Value, echoed: &[Echoed]) -> Result<()> {
        self.echo.refuse(Echoed::Nothing, 0);
        let created = self.create(name, config.clone(), true).await?.ok()?;
        let connection = text(&created, "connection_id")?.to_owned();
        let path = format!("{CONNECTIONS}/{connection}");
        let bucket = self.api.create_bucket(name).await?;
        let sync = self.api.create_sync(&bucket, &connection, "vault").await?;
        self.api.synced(&bucket, &sync).await?;
        let sync = format!("/v1/buckets/{bucket}/syncs/{sync}");
        let again = json!({"provider_config": config, "status": "ACTIVE"});
        let mut codes = BTreeSet::new();
        for echoed in echoed {
            for way in 0..Echo::ways() {
                self.echo.refuse(Echoed::Nothing, 0);
                // A definite refusal suspends, so it is made good each time.
                self.api.patch(&path, &again).await?.ok()?;
                let file = json!({"key": format!("{name} {echoed:?} {way}"), "size": 9});
                self.lab.put("vault", &[file]).await?;
                self.echo.refuse(*echoed, way);
                let job = self.run(&sync).await?;
                ensure!(
                    self.echo.refused() > way,
                    "{name}, {echoed:?} {way}: nothing was refused: {job}"
                );
                // A run's own error, or those of its files.
                let error = job["error"].as_str().unwrap_or_default();
                let of_run = error.split(':').next().filter(|code| !code.is_empty());
                codes.extend(of_run.map(str::to_owned));
                let of_files = job["metadata"]["failed_by"].as_object();
                codes.extend(of_files.into_iter().flatten().map(|(code, _)| code.clone()));
                for path in [&path, &sync] {
                    let answer = self.api.get(path).await?;
                    self.keep(answer)?;
                }
            }
            self.post(&format!("{sync}/jobs"), &json!({})).await?;
        }
        eprintln!("{name} failed with {codes:?}");
        ensure!(codes.len() >= 4, "{name} failed with {codes:?} only");
        Ok(())
    }

    /// One run to its end, however it ends.
    async fn run(&mut self, sync: &str) -> Result<Value> {
        let triggered = self
            .post(&format!("{sync}/trigger"), &json!({}))
            .await?
            .ok()?;
        let path = format!("{sync}/jobs/{}", text(&triggered, "sync_job_id")?);
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let answer = self.api.get(&path).await?;
            let job = answer.ok()?;
            if job["completed_at"].is_string() {
                self.keep(answer)?;
                return Ok(job);
            }
            ensure!(Instant::now() < deadline, "the run does not end: {job}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn secrets_in_wrong_places(&mut self) -> Result<()> {
        let value = self.secrets.get("a misplaced value").to_owned();
        let key = self.secrets.get("a misplaced key").to_owned();
        let base = self.lab.provider_config();
        let changed = |path: &[&str], to: Value| {
            let mut config = base.clone();
            let (last, parents) = path.split_last().expect("a path");
            let parent = parents
                .iter()
                .fold(&mut config, |value, key| &mut value[*key]);
            parent[*last] = to;
            config
        };
        for (number, config) in [
            changed(&["credentials", "secret_acces_key"], json!(value)),
            changed(&["password"], json!(value)),
            changed(&["region"], json!({"secret": value})),
            changed(&["region"], json!(value)),
            changed(&["credentials", "secret_access_key"], json!([value])),
            changed(
                &["credentials", "secret_access_key"],
                json!({"value": value}),
            ),
            changed(&["credentials", "type"], json!(value)),
            changed(&["credentials"], json!(value)),
            changed(&["credentials"], json!([value])),
            changed(&["credentials", &key], json!(value)),
            changed(&[&key], json!(value)),
            changed(&["verify_ssl"], json!(value)),
            changed(&["endpoint_url"], json!(value)),
            changed(
                &["endpoint_url"],
                json!(format!(
                    "https://{}:{}@s3.example.com",
                    self.secrets.get("a name in an endpoint"),
                    self.secrets.get("a password in an endpoint")
                )),
            ),
            json!(value),
            json!([value]),
        ]
        .into_iter()
        .enumerate()
        {
            for (method, path, name) in [
                (Method::POST, CONNECTIONS.to_owned(), "name"),
                (
                    Method::PATCH,
                    format!("{CONNECTIONS}/stored%20wrong"),
                    "description",
                ),
            ] {
                let mut body =
                    json!({name: format!("misplaced {number}"), "provider_config": config});
                if method == Method::POST {
                    body["provider_type"] = json!("s3");
                }
                let answer = self.api.ask(method, &path, Some(&body)).await?;
                answer
                    .refused(422)
                    .with_context(|| format!("misplaced {number}"))?;
                self.keep(answer)?;
            }
        }
        for body in [
            json!({"name": "x", "provider_type": value, "provider_config": {}}),
            json!({"name": "x", "provider_type": "s3", "provider_config": base, "status": value}),
            json!({"name": "x", "provider_type": "s3", "provider_config": base, key.as_str(): value}),
            json!({"name": {"x": value}, "provider_type": "s3", "provider_config": base}),
        ] {
            self.post(CONNECTIONS, &body).await?.refused(422)?;
        }
        self.bodies_that_cannot_be_read().await
    }

    async fn bodies_that_cannot_be_read(&mut self) -> Result<()> {
        let bearer = format!("Bearer {}", self.secrets.get("the admin key"));
        let json_headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let malformed = self.secrets.get("a secret in malformed JSON");
        let key = self.secrets.get("a misplaced key");
        for body in [
            format!(
                "{{\"provider_config\": {{\"credentials\": {{\"secret_access_key\": \"{malformed}\"}}"
            ),
            format!("{{\"provider_config\": {{\"secret_access_key\": {malformed}}}}}"),
            format!("{{\"secret_access_key\": \"{malformed}\" \"{malformed}\"}}"),
            format!("{{\"a\": \"{malformed}\\u00zz\"}}"),
            format!("{{\"a\": \"\\ud800{malformed}\"}}"),
            format!("{{\"{key}\": \"{malformed}\", \"{key}\": 1}}"),
            format!("[\"{malformed}\"]"),
            format!("\"{malformed}\""),
            malformed.to_owned(),
        ] {
            let answer = self
                .api
                .post_raw(CONNECTIONS, &json_headers, body.into_bytes())
                .await?;
            ensure!(answer.status >= 400, "{}", answer.text());
            self.answers.push(answer);
        }
        let invalid_utf8 = [b"{\"a\": \"\xff", malformed.as_bytes(), b"\"}"].concat();
        let answer = self
            .api
            .post_raw(CONNECTIONS, &json_headers, invalid_utf8)
            .await?;
        self.answers.push(answer);
        let large = self
            .secrets
            .get("a secret in a body that is too large")
            .repeat(6_600);
        let large = json!({"name": "large", "provider_config": {"credentials": large}});
        let answer = self
            .api
            .post_raw(CONNECTIONS, &json_headers, large.to_string().into_bytes())
            .await?;
        answer.refused(413)?;
        self.answers.push(answer);
        let typed = format!(
            "secret_access_key={}",
            self.secrets.get("a secret in a body of another type")
        );
        let form = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let answer = self
            .api
            .post_raw(CONNECTIONS, &form, typed.into_bytes())
            .await?;
        self.answers.push(answer);
        Ok(())
    }

    /// The database itself says no: many at once take one name.
    async fn names_that_are_taken(&mut self) -> Result<()> {
        let mut config = self.lab.provider_config();
        let secret = self
            .secrets
            .get("a secret of a connection whose name is taken");
        config["credentials"]["secret_access_key"] = json!(secret);
        let connection = json!({
            "name": "taken", "provider_type": "s3", "provider_config": config, "test_before_save": false,
        });
        let api = self.api.clone();
        let together = join_all((0..12).map(|_| api.post(CONNECTIONS, &connection))).await;
        let mut refused = 0;
        for answer in together {
            let answer = answer?;
            refused += usize::from(answer.status == 409);
            self.keep(answer)?;
        }
        ensure!(refused == 11, "{refused} of 12 with one name were refused");
        Ok(())
    }

    async fn wrong_keys(&mut self) -> Result<()> {
        let wrong = self.secrets.get("a wrong API key");
        let answer = self.server.api_as(wrong)?.get(CONNECTIONS).await?;
        self.answers.push(answer);
        let basic = format!("Basic {}", self.secrets.get("a wrong basic password"));
        let other = self.secrets.get("an API key in another header");
        for headers in [
            vec![("authorization", basic.as_str())],
            vec![("x-api-key", other), ("cookie", other)],
            vec![("authorization", other)],
            vec![("authorization", wrong), ("x-request-id", "a-request")],
        ] {
            let answer = self
                .api
                .post_raw(&format!("{CONNECTIONS}/list"), &headers, Vec::new())
                .await?;
            ensure!(answer.status == 401, "{}", answer.text());
            self.answers.push(answer);
        }
        let query = self.secrets.get("an API key in the query");
        let path = format!("{CONNECTIONS}/list?limit=1&api_key={query}");
        let answer = self.api.post(&path, &json!({})).await?;
        self.answers.push(answer);
        let answer = self.api.get(&format!("/nowhere?token={query}")).await?;
        self.answers.push(answer);
        Ok(())
    }

    fn admin_commands(&mut self) -> Result<()> {
        let mut with_bucket = self.wharf.command(&["check-config"]);
        with_bucket.env("WHARF_BLOB_STORE", "s3://vault/blobs");
        for field in ["access_key_id", "secret_access_key", "session_token"] {
            let canary = self.secrets.get(&format!("the blob store's {field}"));
            let name = format!("WHARF_BLOB_STORE_S3__{}", field.to_uppercase());
            with_bucket.env(name, canary);
        }
        for mut command in [
            self.wharf.command(&["admin", "organizations", "list"]),
            self.wharf.command(&["check-config"]),
            with_bucket,
        ] {
            let output = command.output()?;
            for bytes in [output.stdout, output.stderr] {
                self.printed
                    .push(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        Ok(())
    }

    async fn reads(&mut self) -> Result<()> {
        for path in [
            format!("{CONNECTIONS}/list"),
            format!("{CONNECTIONS}/list?limit=1&include_total=true"),
            "/v1/buckets/list".to_owned(),
            "/v1/namespaces/list".to_owned(),
        ] {
            self.post(&path, &json!({})).await?;
        }
        let answer = self.api.get(CONNECTIONS).await?;
        self.answers.push(answer);
        Ok(())
    }
}
