//! What the operator has not opened is not dialled.

use std::net::TcpListener;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wharf_tests::{Installation, Lab, Store};

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
