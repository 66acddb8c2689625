use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use serde_json::{Value, json};
use wharf_domain::access::{Grant, Permission};
use wharf_domain::audit::{Action, Actor, AuditFilter, Origin};
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::error_code::ErrorCode;
use wharf_engine::Operator;
use wharf_testkit::provider::{Exchange, Failure};

use crate::world::{Answer, CANARY, World, new_connection, request, text};

const PUBLIC: &str = "https://wharf.example";
const START: &str = "/v1/oauth/google_drive/start";
const CALLBACK: &str = "/v1/oauth/google_drive/callback";
const CONNECTIONS: &str = "/v1/organizations/connections";

fn body() -> Value {
    json!({"client_id": "app.example", "client_secret": format!("{CANARY}-secret"), "name": "my drive"})
}

/// The parameters of the address that a consent is given at.
fn asked(begun: &Value) -> BTreeMap<String, String> {
    let (_, query) = text(&begun["authorization_url"]).split_once('?').unwrap();
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap());
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

async fn begin(world: &World, body: Value) -> String {
    let begun = world.call("POST", START, body).await.ok();
    asked(&begun)["state"].clone()
}

/// What the browser brings back, with this wish for an answer.
async fn come_back(world: &World, query: &str, accept: &str) -> Answer {
    let request = request("GET", &format!("{CALLBACK}?{query}")).header("accept", accept);
    world
        .send_freely(request.body(Body::empty()).unwrap())
        .await
}

/// The same, answered in JSON.
async fn finish(world: &World, query: &str) -> Answer {
    come_back(world, query, "application/json").await
}

async fn trail(world: &World, action: Action) -> Vec<(Origin, Value)> {
    let filter = AuditFilter {
        action: Some(action.as_str().to_owned()),
        ..AuditFilter::default()
    };
    let page = world
        .repositories
        .audit
        .list(&world.organization, &filter, 0, 10)
        .await
        .unwrap();
    page.rows
        .into_iter()
        .map(|row| (row.row.origin, row.row.changes))
        .collect()
}

#[tokio::test]
async fn a_person_connects_a_drive_from_a_browser() {
    let world = World::at(PUBLIC).await;
    let mut wish = body();
    wish["description"] = json!("ours");
    wish["shared_drive_id"] = json!("0Adrive");
    wish["metadata"] = json!({"team": "a"});
    let begun = world.call("POST", START, wish).await.ok();
    let redirect = format!("{PUBLIC}{CALLBACK}");
    assert_eq!(begun["redirect_uri"], redirect.as_str());
    assert!(begun["expires_at"].is_string());
    let asked = asked(&begun);
    assert_eq!(
        (asked["client_id"].as_str(), &asked["redirect_uri"]),
        ("app.example", &redirect)
    );
    assert_eq!(
        (asked["state"].len(), asked["code_challenge"].len()),
        (43, 43)
    );

    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let query = format!("state={}&code=c0de&scope=x&authuser=0", asked["state"]);
    let page = come_back(&world, &query, browser).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(
        page.header("content-security-policy")
            .starts_with("default-src 'none';")
    );
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("cache-control"), "no-store");
    let shown = String::from_utf8_lossy(&page.body).into_owned();
    assert!(
        shown.contains("my drive") && shown.contains("<h1>Connected</h1>"),
        "{shown}"
    );
    for secret in ["c0de", &asked["state"]] {
        assert!(!shown.contains(secret), "{shown}");
    }

    let exchanges = world.factory.consent_flow().exchanges();
    let [
        Exchange {
            client_id,
            client_secret,
            code,
            verifier,
            redirect_uri,
        },
    ] = &exchanges[..]
    else {
        panic!("one exchange: {exchanges:?}");
    };
    assert_eq!((client_id.as_str(), code.as_str()), ("app.example", "c0de"));
    assert_eq!(
        (client_secret, redirect_uri),
        (&format!("{CANARY}-secret"), &redirect)
    );
    assert_eq!(verifier.len(), 43);

    let connection = world.get(&format!("{CONNECTIONS}/my%20drive")).await.ok();
    assert_eq!(
        connection["provider_config"]["credentials"],
        json!({"type": "oauth"})
    );
    assert_eq!(connection["provider_config"]["shared_drive_id"], "0Adrive");
    assert_eq!(
        (&connection["description"], &connection["metadata"]),
        (&json!("ours"), &json!({"team": "a"}))
    );
    assert_eq!(world.source.calls().checks, 1, "it was tested first");
    let rows = trail(&world, Action::ConnectionCreated).await;
    assert_eq!(rows[0].1["by"], "consent");
    assert!(matches!(&rows[0].0.actor, Actor::User { user_id, .. } if user_id.starts_with("usr_")));

    let again = finish(&world, &query).await.error(409);
    assert_eq!(again["code"], "consent_unknown");
    assert_eq!(world.factory.consent_flow().exchanges().len(), 1);
}

#[tokio::test]
async fn a_connection_gets_a_new_grant_and_keeps_the_rest() {
    let world = World::at(PUBLIC).await;
    let mut wish = body();
    wish["shared_drive_id"] = json!("0Adrive");
    let state = begin(&world, wish).await;
    let made = finish(&world, &format!("state={state}&code=first"))
        .await
        .ok();
    assert_eq!(made["name"], "my drive");
    let path = format!("{CONNECTIONS}/{}", text(&made["connection_id"]));
    let before = world.get(&path).await.ok();

    let wish =
        json!({"client_id": "app.example", "client_secret": "new", "connection": "my drive"});
    let state = begin(&world, wish).await;
    let renewed = finish(&world, &format!("state={state}&code=second"))
        .await
        .ok();
    assert_eq!(renewed["connection_id"], made["connection_id"]);
    let after = world.get(&path).await.ok();
    assert_eq!(after["provider_config"], before["provider_config"]);
    assert_ne!(after["revision"], before["revision"]);
    let rows = trail(&world, Action::ConnectionUpdated).await;
    assert_eq!(
        rows[0].1,
        json!({"by": "consent", "provider_config": "changed"})
    );
}

#[tokio::test]
async fn what_cannot_come_of_a_consent_is_refused_before_anybody_is_asked() {
    let world = World::at(PUBLIC).await;
    world.connection("store").await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut wish = body();
        change(&mut wish);
        wish
    };
    for (wish, wrong) in [
        (
            json!({}),
            vec!["body.client_id", "body.client_secret", "body.name"],
        ),
        (
            with(&|wish| wish["client_id"] = json!("a b")),
            vec!["body.client_id"],
        ),
        (
            with(&|wish| wish["client_secret"] = json!("a\nb")),
            vec!["body.client_secret"],
        ),
        (
            with(&|wish| wish["shared_drive_id"] = json!("a/b")),
            vec!["body.shared_drive_id"],
        ),
        (
            with(&|wish| wish["name"] = json!("conn_x")),
            vec!["body.name"],
        ),
        (
            with(&|wish| wish["connection"] = json!("store")),
            vec!["body.connection"],
        ),
        (
            with(&|wish| wish["refresh_token"] = json!("x")),
            vec!["body.refresh_token"],
        ),
        (
            json!({"client_id": "a", "client_secret": "b", "connection": "store", "metadata": {}, "test_before_save": false}),
            vec!["body.metadata", "body.test_before_save"],
        ),
        // An S3 connection.
        (
            json!({"client_id": "a", "client_secret": "b", "connection": "store"}),
            vec!["body.connection"],
        ),
    ] {
        let mistakes = world.call("POST", START, wish.clone()).await.mistakes();
        let places: Vec<&str> = mistakes.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, wrong, "{wish}");
    }
    let taken = world
        .call("POST", START, with(&|wish| wish["name"] = json!("store")))
        .await;
    assert_eq!(taken.error(409)["code"], "connection_name_taken");
    let nobody = json!({"client_id": "a", "client_secret": "b", "connection": "nobody"});
    world.call("POST", START, nobody).await.error(404);
    for (provider, status) in [("s3", 400), ("nonsense", 422)] {
        let start = format!("/v1/oauth/{provider}/start");
        world.call("POST", &start, body()).await.error(status);
    }
    let nowhere = World::new().await;
    let error = nowhere.call("POST", START, body()).await.error(409);
    assert_eq!(error["code"], "public_url_missing");
    assert!(text(&error["message"]).contains("public_url"));
}

#[tokio::test]
async fn a_consent_is_good_once_for_ten_minutes_and_for_its_provider() {
    let world = World::at(PUBLIC).await;
    for query in [
        "",
        "code=x",
        "state=",
        "state=x",
        &format!("state={}&code=x", "x".repeat(201)),
    ] {
        let error = finish(&world, query).await.error(422);
        assert_eq!(error["type"], "ValidationError", "{query}");
    }
    let unknown = finish(&world, "state=never-begun&code=x").await.error(409);
    assert_eq!(unknown["code"], "consent_unknown");
    assert!(!unknown.to_string().contains("never-begun"));

    let state = begin(&world, body()).await;
    world.clock.advance(Duration::from_secs(601));
    let late = finish(&world, &format!("state={state}&code=x"))
        .await
        .error(409);
    assert_eq!(late["code"], "consent_unknown");

    let state = begin(&world, body()).await;
    let head = request("HEAD", &format!("{CALLBACK}?state={state}&code=x"));
    let looked = world.send(head.body(Body::empty()).unwrap()).await;
    assert_eq!(looked.status, 405, "whoever only looks leaves it as it is");
    let other = format!("/v1/oauth/s3/callback?state={state}&code=x");
    let other = request("GET", &other).header("accept", "application/json");
    let error = world
        .send(other.body(Body::empty()).unwrap())
        .await
        .error(409);
    assert_eq!(error["code"], "consent_unknown");
    let gone = finish(&world, &format!("state={state}&code=x"))
        .await
        .error(409);
    assert_eq!(gone["code"], "consent_unknown");
    assert!(world.factory.consent_flow().exchanges().is_empty());
    let list = world
        .call("POST", &format!("{CONNECTIONS}/list"), Value::Null)
        .await
        .ok();
    assert_eq!(list["total"], 0);
}

#[tokio::test]
async fn a_consent_that_was_not_given_says_so_in_plain_words() {
    let world = World::at(PUBLIC).await;
    for (word, said) in [
        ("access_denied", "was not given"),
        ("admin_policy_enforced", "administrator"),
        ("%3Cscript%3Ealert(1)%3C/script%3E", "without a reason"),
    ] {
        let state = begin(&world, body()).await;
        let page = come_back(&world, &format!("state={state}&error={word}"), "text/html").await;
        assert_eq!(page.status, 409);
        let shown = String::from_utf8_lossy(&page.body).into_owned();
        assert!(
            shown.contains(said) && shown.contains("Nothing was saved"),
            "{shown}"
        );
        assert!(!shown.contains("script"), "{shown}");
        assert!(
            page.header("content-security-policy")
                .starts_with("default-src 'none';")
        );
        let again = finish(&world, &format!("state={state}&code=x"))
            .await
            .error(409);
        assert_eq!(again["code"], "consent_unknown", "{word}");
    }
}

#[tokio::test]
async fn what_fails_at_the_end_saves_nothing_and_is_told() {
    let world = World::at(PUBLIC).await;
    let flow = world.factory.consent_flow();
    flow.next_failure(Failure::permanent(ErrorCode::AuthReauthorizationRequired));
    let state = begin(&world, body()).await;
    let error = finish(&world, &format!("state={state}&code=x"))
        .await
        .error(409);
    assert_eq!(error["code"], "consent_not_granted");
    flow.next_failure(Failure::transient(ErrorCode::ProviderUnavailable));
    let state = begin(&world, body()).await;
    finish(&world, &format!("state={state}&code=x"))
        .await
        .error(503);

    let failed = Check::failed("list", ErrorCode::PermDenied, None, "Share something.", 1);
    world.source.next_report(CheckReport {
        checks: vec![failed],
    });
    let state = begin(&world, body()).await;
    let error = finish(&world, &format!("state={state}&code=x"))
        .await
        .error(422);
    assert_eq!(error["code"], "connection_test_failed");

    let state = begin(&world, body()).await;
    world
        .call("POST", CONNECTIONS, new_connection("my drive"))
        .await
        .ok();
    let page = come_back(&world, &format!("state={state}&code=x"), "*/*").await;
    assert_eq!(page.status, 409);
    let list = world
        .call("POST", &format!("{CONNECTIONS}/list"), Value::Null)
        .await
        .ok();
    assert_eq!(list["total"], 1, "but for the one of that name");

    let mut untested = body();
    untested["name"] = json!("<b>\"it\"</b>");
    untested["test_before_save"] = json!(false);
    let checks = world.source.calls().checks;
    let state = begin(&world, untested).await;
    let page = come_back(&world, &format!("state={state}&code=x"), "text/html").await;
    let shown = String::from_utf8_lossy(&page.body).into_owned();
    assert!(
        shown.contains("&lt;b&gt;&quot;it&quot;&lt;/b&gt;"),
        "{shown}"
    );
    assert_eq!(world.source.calls().checks, checks);
}

#[tokio::test]
async fn whoever_began_it_must_still_be_allowed_to() {
    let world = World::at(PUBLIC).await;
    let operator = Operator::of(&world.organization);
    let admin = "admin@wharf.local";
    let key = world
        .key_with("browser", Grant::of(Permission::Admin))
        .await;
    let state_of = async |name: &str| {
        let mut wish = body();
        wish["name"] = json!(name);
        let begun = world.call_as(&key, "POST", START, wish).await.ok();
        asked(&begun)["state"].clone()
    };
    let (kept, narrowed, revoked) = (
        state_of("kept").await,
        state_of("narrowed").await,
        state_of("revoked").await,
    );
    finish(&world, &format!("state={kept}&code=x")).await.ok();

    let keys = format!("/v1/organizations/users/{admin}/api-keys/browser");
    let narrow = json!({"permissions": ["read"]});
    world.call("PATCH", &keys, narrow).await.ok();
    let error = finish(&world, &format!("state={narrowed}&code=x"))
        .await
        .error(403);
    assert_eq!(error["code"], "consent_not_allowed");
    world
        .engine
        .revoke_api_key(&operator, admin, "browser")
        .await
        .unwrap();
    let error = finish(&world, &format!("state={revoked}&code=x"))
        .await
        .error(403);
    assert_eq!(error["code"], "consent_not_allowed");
    assert_eq!(world.factory.consent_flow().exchanges().len(), 1);
}
