//! A person connects a Drive from a browser.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::header::LOCATION;
use reqwest::{Client, Response, redirect};
use serde_json::json;
use wharf_tests::{Installation, Lab, Store, free_port, text};

use super::beside_google;

#[tokio::test]
async fn a_person_connects_a_drive_from_a_browser() -> Result<()> {
    let Some((mut wharf, lab)) = beside_google(Store::Sqlite).await? else {
        return Ok(());
    };
    let public_url = serve_at_a_known_address(&mut wharf)?;
    let redirect_uri = format!("{public_url}/v1/oauth/google_drive/callback");
    seed(&lab, &redirect_uri).await?;
    let server = wharf.start().await?;
    let api = server.api()?;
    let begin = json!({
        "client_id": "wharf.apps.googleusercontent.com", "client_secret": "GOCSPX-of-an-application", "name": "Ada's Drive",
    });
    let started = api
        .post("/v1/oauth/google_drive/start", &begin)
        .await?
        .ok()?;
    assert_eq!(started["redirect_uri"], redirect_uri.as_str());

    let browser = Browser::new()?;
    let back = browser
        .consent(text(&started, "authorization_url")?)
        .await?;
    ensure!(back.starts_with(&redirect_uri), "sent back to {back}");
    let page = browser.open(&back).await?;
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["cache-control"], "no-store");
    let page = page.text().await?;
    ensure!(page.contains("Ada&#39;s Drive"), "{page}");

    let connections = api
        .post("/v1/organizations/connections/list", &json!({}))
        .await?
        .ok()?;
    let connection = &connections["results"][0];
    assert_eq!(connection["name"], "Ada's Drive");
    assert_eq!(
        connection["provider_config"]["credentials"],
        json!({"type": "oauth"})
    );
    let id = text(connection, "connection_id")?;
    let bucket = api.create_bucket("letters").await?;
    let sync = api.create_sync(&bucket, id, "/").await?;
    let jobs = api.synced(&bucket, &sync).await?;
    assert_eq!(jobs[0]["progress"]["synced"], 3, "{}", jobs[0]);

    // The state is good once.
    let again = browser.open(&back).await?;
    assert_eq!(again.status(), 409);
    let logs = String::from_utf8_lossy(&wharf.logs()?).into_owned();
    let code = back
        .split("code=")
        .nth(1)
        .and_then(|rest| rest.split('&').next());
    let state = back
        .split("state=")
        .nth(1)
        .and_then(|rest| rest.split('&').next());
    for secret in [
        code.context("a code")?,
        state.context("a state")?,
        "GOCSPX-of-an-application",
    ] {
        ensure!(!logs.contains(secret), "{secret} stands in the log");
    }
    Ok(())
}

#[tokio::test]
async fn a_person_who_says_no_connects_nothing() -> Result<()> {
    let Some((mut wharf, lab)) = beside_google(Store::Sqlite).await? else {
        return Ok(());
    };
    let public_url = serve_at_a_known_address(&mut wharf)?;
    seed(
        &lab,
        &format!("{public_url}/v1/oauth/google_drive/callback"),
    )
    .await?;
    lab.google().deal(&json!({"deny_consent": true})).await?;
    let server = wharf.start().await?;
    let api = server.api()?;
    let begin = json!({
        "client_id": "wharf.apps.googleusercontent.com", "client_secret": "GOCSPX-of-an-application", "name": "Ada's Drive",
    });
    let started = api
        .post("/v1/oauth/google_drive/start", &begin)
        .await?
        .ok()?;
    let browser = Browser::new()?;
    let back = browser
        .consent(text(&started, "authorization_url")?)
        .await?;
    let page = browser.open(&back).await?;
    ensure!(page.status().is_client_error(), "{}", page.status());
    let connections = api
        .post("/v1/organizations/connections/list", &json!({}))
        .await?
        .ok()?;
    assert_eq!(connections["results"], json!([]));
    Ok(())
}

/// Has the server listen on a port that is known before it starts, and tells it that people reach it there.
pub(super) fn serve_at_a_known_address(wharf: &mut Installation) -> Result<String> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let public_url = format!("http://{address}");
    wharf.set("WHARF_LISTEN", &address);
    wharf.set("WHARF_PUBLIC_URL", &public_url);
    Ok(public_url)
}

/// A person with three files, and an application that may send them back to that address.
async fn seed(lab: &Lab, redirect_uri: &str) -> Result<()> {
    let user = "ada@lab.example";
    let google = lab.google();
    google
        .seed(&json!({
            "users": [{"email": user}],
            "clients": [{
                "client_id": "wharf.apps.googleusercontent.com", "client_secret": "GOCSPX-of-an-application",
                "redirect_uris": [redirect_uri],
            }],
            "my_drives": [{"user": user, "bulk": {"files": 3, "size": 100}}],
        }))
        .await?;
    google.deal(&json!({"consent_as": user})).await
}

/// What a person's browser does of it all, a step at a time.
struct Browser(Client);

impl Browser {
    fn new() -> Result<Self> {
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(Duration::from_secs(30));
        Ok(Self(client.build()?))
    }

    async fn open(&self, url: &str) -> Result<Response> {
        Ok(self.0.get(url).header("Accept", "text/html").send().await?)
    }

    /// Where the provider sends it when the person has answered.
    async fn consent(&self, url: &str) -> Result<String> {
        let answer = self.open(url).await?;
        let location = answer.headers().get(LOCATION);
        let location = location.with_context(|| format!("no redirect: {}", answer.status()))?;
        Ok(location.to_str()?.to_owned())
    }
}
