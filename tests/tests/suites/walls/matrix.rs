//! Every route × every place where an identifier can stand × what may stand there × who asks.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use wharf_tests::{Answer, Api, Server};

use super::belongings::Belongings;

/// Who asks: people of the other organization, and nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Actor {
    Admin,
    Viewer,
    Expired,
    Revoked,
    Nobody,
}

impl Actor {
    pub(super) const ALL: [Self; 5] = [
        Self::Admin,
        Self::Viewer,
        Self::Expired,
        Self::Revoked,
        Self::Nobody,
    ];
}

/// Where an identifier stands in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Path(String),
    Query(&'static str),
    /// A JSON pointer.
    Body(&'static str),
    Namespace,
}

/// Parameters of paths that are no organization's.
const NOBODYS: [&str; 2] = ["provider_type", "channel"];

struct Route {
    method: Method,
    path: String,
    operation: String,
    places: Vec<Place>,
}

/// What went otherwise than for an identifier that does not exist.
pub(super) struct Deviations {
    pub(super) cells: u64,
    found: Vec<String>,
}

impl Deviations {
    pub(super) fn add(&mut self, deviation: String) {
        self.found.push(deviation);
    }

    pub(super) fn count(&self) -> usize {
        self.found.len()
    }

    pub(super) fn are_none(self) -> Result<()> {
        let first: Vec<_> = self.found.iter().take(20).collect();
        anyhow::ensure!(
            self.found.is_empty(),
            "{} of {} cells deviate: {first:#?}",
            self.found.len(),
            self.cells
        );
        anyhow::ensure!(self.cells > 1000, "{} cells only", self.cells);
        Ok(())
    }
}

pub(super) struct Matrix<'a> {
    routes: Vec<Route>,
    owner: &'a Belongings,
    caller: &'a Belongings,
    apis: BTreeMap<u8, Api>,
}

impl<'a> Matrix<'a> {
    /// Of all operations in the server's own document.
    pub(super) async fn of(
        server: &Server,
        owner: &'a Belongings,
        caller: &'a Belongings,
    ) -> Result<Self> {
        let document = server.api()?.get("/openapi.json").await?.ok()?;
        let mut routes = Vec::new();
        for (path, item) in document["paths"].as_object().context("paths")? {
            for (method, operation) in item.as_object().context("operations")? {
                routes.extend(Route::read(path, method, operation)?);
            }
        }
        let mut apis = BTreeMap::new();
        for actor in Actor::ALL {
            let key = match actor {
                Actor::Admin => &caller.admin,
                Actor::Viewer => &caller.viewer,
                Actor::Expired => &caller.expired,
                Actor::Revoked => &caller.revoked,
                Actor::Nobody => "",
            };
            apis.insert(actor as u8, server.api_as(key)?);
        }
        Ok(Self {
            routes,
            owner,
            caller,
            apis,
        })
    }

    pub(super) fn routes(&self) -> usize {
        self.routes.len()
    }

    /// Tries every cell.
    pub(super) async fn walk(&self, actors: &[Actor]) -> Result<Deviations> {
        let mut deviations = Deviations {
            cells: 0,
            found: Vec::new(),
        };
        for route in &self.routes {
            for place in &route.places {
                for actor in actors {
                    self.try_place(route, place, *actor, &mut deviations)
                        .await?;
                }
            }
        }
        Ok(deviations)
    }

    async fn try_place(
        &self,
        route: &Route,
        place: &Place,
        actor: Actor,
        deviations: &mut Deviations,
    ) -> Result<()> {
        let parameter = place.parameter();
        let known = self.owner.id(parameter)?;
        let unknown = unlike(known);
        let expected = self.ask(route, place, &unknown, actor).await?;
        if !is_refusal(&expected, route, place, actor) {
            deviations.add(format!(
                "{actor:?} {} {place:?}: an unknown identifier is answered {} {}",
                expected.asked(),
                expected.status,
                expected.text()
            ));
        }
        let expected = told(&expected, &unknown);
        for standing in self.standing_there(place)? {
            deviations.cells += 1;
            let answer = self.ask(route, place, &standing, actor).await?;
            let found = told(&answer, &standing);
            if found != expected {
                deviations.add(format!(
                    "{actor:?} {} {place:?} {standing}: {found:?} instead of {expected:?}",
                    answer.asked()
                ));
            }
        }
        Ok(())
    }

    /// What may stand in the place: the other organization's identifier, its name, what it has archived, and what is an
    /// identifier of another kind. Bodies take identifiers of their kind only, and say so.
    fn standing_there(&self, place: &Place) -> Result<Vec<String>> {
        let (owner, parameter) = (self.owner, place.parameter());
        let mut standing = vec![owner.id(parameter)?.to_owned()];
        let of_connection = parameter == "connection_identifier";
        if of_connection {
            standing.push(owner.archived_connection.clone());
        }
        if !matches!(place, Place::Body(_)) {
            standing.extend(owner.names.get(parameter).cloned());
            let other = if of_connection {
                "bucket_id"
            } else {
                "connection_identifier"
            };
            standing.push(owner.id(other)?.to_owned());
        }
        Ok(standing)
    }

    async fn ask(
        &self,
        route: &Route,
        place: &Place,
        standing: &str,
        actor: Actor,
    ) -> Result<Answer> {
        let mut path = String::new();
        for (n, segment) in route.path.split('/').enumerate() {
            if n > 0 {
                path.push('/');
            }
            let parameter = segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            match parameter {
                None => path.push_str(segment),
                Some("provider_type") if route.operation == "start_consent" => {
                    path.push_str("google_drive");
                }
                Some("provider_type") => path.push_str("s3"),
                Some(parameter) => {
                    let here = *place == Place::Path(parameter.to_owned());
                    let id = if here {
                        standing
                    } else {
                        self.caller.id(parameter)?
                    };
                    path.push_str(&escaped(id));
                }
            }
        }
        let mut query = Vec::new();
        if route.operation == "explain_sync_source" {
            query.push("source=harbour/0.txt".to_owned());
        }
        if let Place::Query(name) = place {
            query.push(format!("{name}={}", escaped(standing)));
        }
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        let mut body = self.body(&route.operation)?;
        if let (Place::Body(pointer), Some(body)) = (place, body.as_mut()) {
            let field = body.pointer_mut(pointer).context("the place in the body")?;
            *field = json!(standing);
        }
        let namespace = (*place == Place::Namespace).then_some(standing);
        let headers: Vec<_> = namespace
            .iter()
            .map(|namespace| ("x-namespace", *namespace))
            .collect();
        let api = &self.apis[&(actor as u8)];
        api.ask_with(route.method.clone(), &path, &headers, body.as_ref())
            .await
    }

    /// A body that the operation takes, so that it is the identifier that decides.
    fn body(&self, operation: &str) -> Result<Option<Value>> {
        let connection = self.caller.id("connection_identifier")?;
        let sync = json!({
            "connection_id": connection,
            "source_path": "harbour",
            "sync_mode": "continuous",
            "polling_interval_seconds": 86_400,
        });
        Ok(match operation {
            "create_sync_configuration_buckets" | "plan_new_sync_configuration" => Some(sync),
            "update_sync_configuration_buckets_id_config" => {
                Some(json!({"polling_interval_seconds": 86_400}))
            }
            "bulk_mark_dlq_permanently_failed_buckets_id_syncs_config" => {
                Some(json!({"error_types": ["perm.denied"]}))
            }
            "update_namespace" => Some(json!({"namespace_name": "ours-now"})),
            "update_user_organizations_email" => Some(json!({"user_name": "Ours Now"})),
            "create_key_organizations_users_email" => Some(json!({"name": "ours"})),
            "update_storage_connection_organizations"
            | "patch_bucket"
            | "patch_namespace"
            | "update_bucket"
            | "update_key_organizations_users_email_name" => {
                Some(json!({"description": "ours now"}))
            }
            "update_webhook_organizations" => Some(json!({
                "webhook_name": "ours now",
                "event_types": ["object.created"],
                "channels": [{"channel": "webhook", "configs": {"url": "https://hooks.example.test/x"}}],
                "is_active": false,
            })),
            "start_consent" => Some(json!({
                "client_id": "ours",
                "client_secret": "ours",
                "connection": connection,
            })),
            operation if operation.contains("redeliver") => {
                Some(json!({"event_ids": [self.caller.id("event_id")?]}))
            }
            _ => None,
        })
    }
}

impl Route {
    /// The operation, if an identifier can stand anywhere in it.
    fn read(path: &str, method: &str, operation: &Value) -> Result<Option<Self>> {
        let name = operation["operationId"].as_str().context("a name")?;
        let parameters: Vec<(&str, &str)> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|it| Some((it["name"].as_str()?, it["in"].as_str()?)))
            .collect();
        let in_namespace = parameters
            .iter()
            .any(|(name, of)| *of == "header" && name.eq_ignore_ascii_case("x-namespace"));
        let mut places: Vec<Place> = parameters
            .iter()
            .filter(|(name, of)| *of == "path" && !NOBODYS.contains(name))
            .map(|(name, _)| Place::Path((*name).to_owned()))
            .collect();
        let asked_for = ["resource_id", "actor_id", "connection"];
        places.extend(asked_for.into_iter().filter_map(|wanted| {
            parameters
                .contains(&(wanted, "query"))
                .then_some(Place::Query(wanted))
        }));
        if in_namespace {
            places.push(Place::Namespace);
        }
        match name {
            "create_sync_configuration_buckets" | "plan_new_sync_configuration" => {
                places.push(Place::Body("/connection_id"));
            }
            "start_consent" => places.push(Place::Body("/connection")),
            name if name.contains("redeliver") => places.push(Place::Body("/event_ids/0")),
            _ => {}
        }
        Ok((!places.is_empty()).then(|| Self {
            method: Method::from_bytes(method.to_uppercase().as_bytes()).unwrap_or(Method::GET),
            path: path.to_owned(),
            operation: name.to_owned(),
            places,
        }))
    }
}

impl Place {
    /// The path parameter whose identifiers stand here, too.
    fn parameter(&self) -> &str {
        match self {
            Self::Path(parameter) => parameter,
            Self::Query("resource_id" | "connection")
            | Self::Body("/connection_id" | "/connection") => "connection_identifier",
            Self::Query(_) => "user_email",
            Self::Body(_) => "event_id",
            Self::Namespace => "namespace_identifier",
        }
    }
}

/// Whether an unknown identifier is refused as it should be.
fn is_refusal(answer: &Answer, route: &Route, place: &Place, actor: Actor) -> bool {
    match actor {
        Actor::Expired | Actor::Revoked | Actor::Nobody => answer.status == 401,
        Actor::Viewer => matches!(answer.status, 403 | 404 | 200 | 422),
        Actor::Admin => match place {
            // A filter that nothing matches.
            Place::Query("resource_id" | "actor_id") => answer.status == 200,
            // Deleting twice is the same as once.
            Place::Path(_) if route.operation == "delete_webhook_organizations" => {
                answer.status == 204
            }
            Place::Body(_) => matches!(answer.status, 404 | 422),
            _ => answer.status == 404,
        },
    }
}

/// What an answer says, whatever identifier it repeats.
fn told(answer: &Answer, standing: &str) -> (u16, String) {
    (answer.status, answer.text().replace(standing, "<id>"))
}

/// An identifier of the same form that nothing has.
fn unlike(id: &str) -> String {
    let turned = |c: char| match c {
        '0'..='8' | 'a'..='e' => char::from(c as u8 + 1),
        '9' => '0',
        'f' => 'a',
        other => other,
    };
    match (id.find('@'), id.rfind('_')) {
        (Some(_), _) => format!("nobody-{id}"),
        (None, Some(at)) => format!(
            "{}{}",
            &id[..=at],
            id[at + 1..].chars().map(turned).collect::<String>()
        ),
        (None, None) => format!("no-{id}"),
    }
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
