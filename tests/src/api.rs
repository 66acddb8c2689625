//! The API as any client uses it, with the few steps that most tests start from.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::Lab;

const JOB: Duration = Duration::from_mins(2);
const BEAT: Duration = Duration::from_millis(50);

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    url: String,
    key: String,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub bytes: Vec<u8>,
    /// The request, for messages.
    asked: String,
}

impl Answer {
    /// The method and path of the request.
    pub fn asked(&self) -> &str {
        &self.asked
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The body of a success.
    pub fn ok(&self) -> Result<Value> {
        let text = self.text();
        ensure!(
            (200..300).contains(&self.status),
            "{} answered {}: {text}",
            self.asked,
            self.status
        );
        serde_json::from_str(&text)
            .with_context(|| format!("{} answered no JSON: {text}", self.asked))
    }

    /// The `error` of a refusal with this status, in the contract's envelope.
    pub fn refused(&self, status: u16) -> Result<Value> {
        let text = self.text();
        ensure!(
            self.status == status,
            "{} answered {} instead of {status}: {text}",
            self.asked,
            self.status
        );
        let body: Value = serde_json::from_str(&text)
            .with_context(|| format!("{} answered no JSON: {text}", self.asked))?;
        let sound = body["success"] == false
            && body["status"] == status
            && body["error"]["message"].is_string()
            && body["error"]["type"].is_string();
        ensure!(sound, "{} answered in another envelope: {text}", self.asked);
        Ok(body["error"].clone())
    }
}

impl Api {
    /// A client of the server at this address.
    pub fn new(url: &str, key: &str) -> Result<Self> {
        Ok(Self {
            http: client()?,
            url: url.to_owned(),
            key: key.to_owned(),
        })
    }

    /// Asks and takes whatever answer comes.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        self.ask_with(method, path, &[], body).await
    }

    /// The same with headers.
    pub async fn ask_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let asked = format!("{method} {path}");
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Self::answer(asked, request).await
    }

    /// Posts a body that need not be JSON, with these headers and no others.
    pub async fn post_raw(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer> {
        let mut request = self.http.post(format!("{}{path}", self.url)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Self::answer(format!("POST {path}"), request).await
    }

    async fn answer(asked: String, request: reqwest::RequestBuilder) -> Result<Answer> {
        let response = request
            .send()
            .await
            .with_context(|| format!("{asked} was not answered"))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response
            .bytes()
            .await
            .with_context(|| format!("the answer to {asked} broke off"))?
            .to_vec();
        Ok(Answer {
            status,
            headers,
            bytes,
            asked,
        })
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.ask(Method::GET, path, None).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// PATCH.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        self.ask(Method::PATCH, path, Some(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.ask(Method::DELETE, path, None).await
    }

    /// Every result of a list operation, page by page. The path may have a query.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let mut results = Vec::new();
        let mut from = String::new();
        loop {
            let mut page = self
                .post(&format!("{path}{joint}limit=1000{from}"), &json!({}))
                .await?
                .ok()?;
            results.append(
                page["results"]
                    .as_array_mut()
                    .context("a list has no results")?,
            );
            match page["pagination"]["next_cursor"].as_str() {
                Some(cursor) => from = format!("&cursor={cursor}"),
                None => return Ok(results),
            }
        }
    }

    /// Creates a connection as described and gives its identifier.
    pub async fn connect(
        &self,
        name: &str,
        provider_config: Value,
        test_before_save: bool,
    ) -> Result<String> {
        let provider = text(&provider_config, "provider_type")?.to_owned();
        let connection = json!({
            "name": name,
            "provider_type": provider,
            "provider_config": provider_config,
            "test_before_save": test_before_save,
        });
        let connection = self
            .post("/v1/organizations/connections", &connection)
            .await?
            .ok()?;
        Ok(text(&connection, "connection_id")?.to_owned())
    }

    /// The external id that was issued to the organization for its roles.
    pub async fn issued_external_id(&self) -> Result<String> {
        let kit = self.get("/v1/organizations/setup/s3").await?.ok()?;
        Ok(text(&kit, "external_id")?.to_owned())
    }

    /// A tested connection to the lab.
    pub async fn connect_to(&self, lab: &Lab, name: &str) -> Result<String> {
        self.connect(name, lab.provider_config(), true).await
    }

    /// Creates a bucket.
    pub async fn create_bucket(&self, name: &str) -> Result<String> {
        let bucket = json!({"bucket_name": name, "bucket_schema": {"properties": {}}});
        let bucket = self.post("/v1/buckets", &bucket).await?.ok()?;
        Ok(text(&bucket, "bucket_id")?.to_owned())
    }

    /// Creates a sync whose first run starts at once and whose next one is a day away.
    pub async fn create_sync(
        &self,
        bucket: &str,
        connection: &str,
        source_path: &str,
    ) -> Result<String> {
        let sync = json!({
            "connection_id": connection,
            "source_path": source_path,
            "sync_mode": "continuous",
            "polling_interval_seconds": 86_400,
            "sync_concurrency": 8,
        });
        let sync = self
            .post(&format!("/v1/buckets/{bucket}/syncs"), &sync)
            .await?
            .ok()?;
        Ok(text(&sync, "sync_config_id")?.to_owned())
    }

    /// All jobs of a sync, newest first.
    pub async fn jobs(&self, bucket: &str, sync: &str) -> Result<Vec<Value>> {
        self.list(&format!("/v1/buckets/{bucket}/syncs/{sync}/jobs"))
            .await
    }

    /// Waits until the newest job has completed and none runs any more; all jobs, newest first.
    pub async fn synced(&self, bucket: &str, sync: &str) -> Result<Vec<Value>> {
        let deadline = Instant::now() + JOB;
        loop {
            let jobs = self.jobs(bucket, sync).await?;
            let running = jobs.iter().any(|job| job["status"] == "running");
            match jobs.first().and_then(|job| job["status"].as_str()) {
                Some("completed") if !running => return Ok(jobs),
                Some("failed" | "skipped") => bail!("the job did not complete: {}", jobs[0]),
                _ => {}
            }
            ensure!(
                Instant::now() < deadline,
                "no job completed in time: {}",
                Value::Array(jobs)
            );
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Starts a run and waits for its end; the job.
    pub async fn run_again(&self, bucket: &str, sync: &str) -> Result<Value> {
        let path = format!("/v1/buckets/{bucket}/syncs/{sync}/trigger");
        let triggered = self.ask(Method::POST, &path, None).await?.ok()?;
        let started = text(&triggered, "sync_job_id")?.to_owned();
        let mut jobs = self.synced(bucket, sync).await?;
        ensure!(
            jobs[0]["sync_job_id"] == started.as_str(),
            "another job ended last: {}",
            jobs[0]
        );
        Ok(jobs.swap_remove(0))
    }

    /// All live objects of a bucket.
    pub async fn objects(&self, bucket: &str) -> Result<Vec<Value>> {
        self.list(&format!("/v1/buckets/{bucket}/objects/list"))
            .await
    }

    /// The bytes of an object.
    pub async fn content(&self, bucket: &str, object: &str) -> Result<Vec<u8>> {
        let answer = self
            .get(&format!("/v1/buckets/{bucket}/objects/{object}/content"))
            .await?;
        ensure!(
            answer.status == 200,
            "the content of {object}: {} {}",
            answer.status,
            answer.text()
        );
        Ok(answer.bytes)
    }
}

/// A text field that must be there.
pub fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str> {
    value[field]
        .as_str()
        .with_context(|| format!("there is no {field} in {value}"))
}

/// A client for loopback, whatever proxy the machine has.
pub(crate) fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_mins(1))
        .build()?)
}
