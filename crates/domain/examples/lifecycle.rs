//! A connection's life without any server: it is created, fails until it trips, is repaired and comes back.
//!
//! Run it with `cargo run -p wharf-domain --example lifecycle`.

use wharf_domain::Timestamp;
use wharf_domain::connection::{
    AttemptOutcome, AttemptResult, Connection, ConnectionName, Edit, Event, NewConnection,
    SealedCredentials,
};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::provider::{self, Provider};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = serde_json::from_str(
        r#"{"region": "eu-central-1",
            "credentials": {"type": "access_key", "access_key_id": "AKIAEXAMPLE", "secret_access_key": "example"}}"#,
    )?;
    let parsed = provider::parse_new(Provider::S3, config, "provider_config")?;
    let new = NewConnection {
        id: "conn_abc123def456ghi".parse()?,
        organization: "int_org123abc456def789xyz012".parse()?,
        name: ConnectionName::parse("Production S3 Bucket").map_err(|error| error.message)?,
        description: None,
        credential_type: parsed.credentials.credential_type(),
        config: parsed.config,
        // `wharf-envelope` makes these; to the model they are opaque.
        sealed: SealedCredentials(vec![0; 16]),
        write_enabled: false,
        metadata: serde_json::Map::new(),
        created_by: "usr_abc123def456ghi".parse()?,
        first_check_in: std::time::Duration::from_mins(5),
    };
    let mut now = Timestamp::from_timestamp(1_700_000_000, 0).ok_or("a time in range")?;
    let mut connection = Connection::create(new, now);
    tell("created", &connection);

    for _ in 0..5 {
        now += chrono::TimeDelta::minutes(5);
        let outcome = AttemptOutcome {
            epoch: connection.epoch,
            credential_version: connection.credential_version,
            started_at: now,
            result: AttemptResult::Failure {
                code: ErrorCode::AuthInvalidCredentials,
                message: "The provider rejected the key.".to_owned(),
            },
        };
        let event = Event::Outcome {
            outcome,
            next: Some(std::time::Duration::from_mins(15)),
        };
        connection = connection.apply(event, now)?.connection;
        tell("failed", &connection);
    }

    let repaired = Edit {
        config: Some((
            connection.config.clone(),
            connection.credential_type,
            SealedCredentials(vec![1; 16]),
        )),
        tested: true,
        ..Edit::default()
    };
    connection = connection
        .apply(Event::Edit(Box::new(repaired)), now)?
        .connection;
    tell("repaired", &connection);

    connection = connection.apply(Event::Archive, now)?.connection;
    tell("archived", &connection);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]
fn tell(what: &str, connection: &Connection) {
    println!(
        "{what:>9}: {}{} after {} failures in a row",
        connection.status(),
        connection
            .status_reason()
            .map(|reason| format!(" ({})", reason.as_str()))
            .unwrap_or_default(),
        connection.health.consecutive_failures(),
    );
}
