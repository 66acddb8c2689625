//! The API's document, made from the handlers, the authorization table and what holds for every operation.

use axum::http::StatusCode;
use serde_json::json;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, HeaderBuilder, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi,
    OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder, Type,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use crate::authorization::{Access, access, only_reads, repeatable};
use crate::error::{ErrorDetail, ErrorResponse};
use crate::scope::NAMESPACE_HEADER;
use crate::{
    ApiState, api_keys, audit, buckets, connections, dead_letters, events, health, hooks, jobs,
    namespaces, oauth, objects, operator, organization, setup, syncs, users, webhooks,
};

const BEARER: &str = "BearerAuth";
/// Where a consent is finished, in a browser.
const CALLBACK: &str = "/v1/oauth/{provider_type}/callback";
/// Where providers push to.
const HOOK: &str = "/v1/hooks/{channel}";

/// The `OpenAPI` 3.1 document of this API.
pub fn openapi() -> OpenApi {
    let mut document = routes().into_openapi();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations_mut(item) {
            complete(method, path, operation);
        }
    }
    document
}

/// Every route with its documentation.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(base())
        .merge(organization::routes())
        .merge(users::routes())
        .merge(api_keys::routes())
        .merge(audit::routes())
        .merge(connections::routes())
        .merge(setup::routes())
        .merge(oauth::routes())
        .merge(hooks::routes())
        .merge(webhooks::routes())
        .merge(events::routes())
        .merge(namespaces::routes())
        .merge(buckets::routes())
        .merge(objects::routes())
        .merge(syncs::routes())
        .merge(jobs::routes())
        .merge(dead_letters::routes())
        .merge(health::routes())
        .merge(operator::routes())
}

fn base() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Wharf")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Keeps an organization's external storage connected and copies it into buckets. Operations marked \
             `x-wharf-extension` stand beside those of the Mixpeek storage-connection and bucket-sync API.",
        ))
        .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build()))
        .build();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key, which starts with `sk_`."))
        .build();
    let components = ComponentsBuilder::new()
        .schema("ErrorResponse", ErrorResponse::schema())
        .schema(ErrorDetail::name(), ErrorDetail::schema())
        .security_scheme(BEARER, SecurityScheme::Http(bearer))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .build()
}

/// Adds what follows from the operation's place: errors, security and the headers that it reads.
fn complete(method: &str, path: &str, operation: &mut Operation) {
    let parameters = operation.parameters.get_or_insert_default();
    if path.starts_with("/v1/buckets") {
        let description = "The namespace, by identifier or name; `default` unless given.";
        let text = ObjectBuilder::new();
        parameters.push(RefOr::T(header_parameter(
            NAMESPACE_HEADER,
            description,
            text,
        )));
    }
    if !only_reads(method, path) {
        let description = "Why the change is made, for the audit trail; at most 500 characters.";
        let text = ObjectBuilder::new();
        parameters.push(RefOr::T(header_parameter(
            "x-change-reason",
            description,
            text,
        )));
    }
    let once = repeatable(method, path);
    if once {
        let description = "Names the request, in 1 to 255 visible ASCII characters: sent again with the same key within 24 \
                           hours, it takes effect once and is answered alike, with `Idempotency-Replayed: true`.";
        let text = ObjectBuilder::new()
            .min_length(Some(1))
            .max_length(Some(255))
            .pattern(Some("^[!-~]+$"));
        parameters.push(RefOr::T(header_parameter(
            "idempotency-key",
            description,
            text,
        )));
    }
    let guarded = is_revised(path) && matches!(method, "PATCH" | "DELETE");
    if guarded {
        let description =
            "The `ETag` of the revision that the request is meant for; `*`, or none, for any.";
        let text = ObjectBuilder::new().pattern(Some(r#"^(\*|(W/)?"[^"]*")$"#));
        parameters.push(RefOr::T(header_parameter("if-match", description, text)));
    }
    if parameters.is_empty() {
        operation.parameters = None;
    }
    let mut errors = vec![
        StatusCode::URI_TOO_LONG,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    if let Some(Access::Key(permission)) = access(method, path) {
        operation.security = Some(vec![SecurityRequirement::new(BEARER, Vec::<String>::new())]);
        let permission = ExtensionsBuilder::new()
            .add("x-wharf-permission", json!(permission.as_str()))
            .build();
        operation
            .extensions
            .get_or_insert_default()
            .merge(permission);
        errors.extend([
            StatusCode::BAD_REQUEST,
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::NOT_FOUND,
            StatusCode::UNPROCESSABLE_ENTITY,
            StatusCode::TOO_MANY_REQUESTS,
        ]);
        if guarded {
            errors.push(StatusCode::PRECONDITION_FAILED);
        }
        if operation.request_body.is_some() {
            errors.extend([
                StatusCode::PAYLOAD_TOO_LARGE,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ]);
        }
        if !only_reads(method, path) {
            errors.push(StatusCode::CONFLICT);
        }
    } else {
        operation.security = Some(Vec::new());
        errors.extend(refusals_of_strangers(path));
    }
    for status in errors {
        let response = refusal(status, path);
        operation
            .responses
            .responses
            .entry(status.as_str().to_owned())
            .or_insert(RefOr::T(response));
    }
    if access(method, path) != Some(Access::Public) {
        tell_headers(method, path, operation);
    }
}

/// An error's answer; where a browser may ask, a page, too.
fn refusal(status: StatusCode, path: &str) -> Response {
    let mut response = ResponseBuilder::new()
        .description(status.canonical_reason().unwrap_or("Error"))
        .content(
            "application/json",
            Content::new(Some(Ref::from_schema_name("ErrorResponse"))),
        );
    if path == CALLBACK {
        let page = ObjectBuilder::new().schema_type(Type::String);
        response = response.content("text/html", Content::new(Some(page)));
    }
    response.build()
}

/// How else those are refused who need no API key, where anything is asked of them.
fn refusals_of_strangers(path: &str) -> &'static [StatusCode] {
    match path {
        CALLBACK => &[
            StatusCode::BAD_REQUEST,
            StatusCode::FORBIDDEN,
            StatusCode::NOT_FOUND,
            StatusCode::CONFLICT,
            StatusCode::UNPROCESSABLE_ENTITY,
            StatusCode::TOO_MANY_REQUESTS,
        ],
        HOOK => &[
            StatusCode::BAD_REQUEST,
            StatusCode::NOT_FOUND,
            StatusCode::TOO_MANY_REQUESTS,
        ],
        _ => &[],
    }
}

/// Whether a path, or what is asked on it, is about one revision of a connection or a sync.
fn is_revised(path: &str) -> bool {
    ["/{connection_identifier}", "/syncs/{sync_config_id}"]
        .iter()
        .any(|end| path.ends_with(end))
}

/// Documents the headers of answers to callers with a key.
fn tell_headers(method: &str, path: &str, operation: &mut Operation) {
    let shows_revision = method == "POST"
        && ["/connections", "/syncs", "/pause", "/resume"]
            .iter()
            .any(|end| path.ends_with(end))
        || method != "DELETE" && is_revised(path);
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        let mut tell = |name: &str, kind, description: &str| {
            let header = HeaderBuilder::new()
                .schema(Some(ObjectBuilder::new().schema_type(kind)))
                .description(Some(description))
                .build();
            response.headers.insert(name.to_owned(), RefOr::T(header));
        };
        if status != "401" {
            let limit = "Requests per minute of the limit that is nearest.";
            tell("X-RateLimit-Limit", Type::Integer, limit);
            let remaining = "Requests that it lets through now.";
            tell("X-RateLimit-Remaining", Type::Integer, remaining);
            let reset = "Seconds until all of it is there again.";
            tell("X-RateLimit-Reset", Type::Integer, reset);
            let window = "Seconds that the limit is about: 60.";
            tell("X-RateLimit-Window", Type::Integer, window);
        }
        if matches!(status.as_str(), "429" | "503") {
            let wait = "Seconds until the call may be made again.";
            tell("Retry-After", Type::Integer, wait);
        }
        if status.starts_with('2') && shows_revision {
            let tag = "The revision that is shown, for `If-Match`.";
            tell("ETag", Type::String, tag);
        }
        if status.starts_with('2') && repeatable(method, path) {
            let replayed = "`true` when the answer is that of an earlier request.";
            tell("Idempotency-Replayed", Type::String, replayed);
        }
    }
}

fn header_parameter(name: &str, description: &str, text: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(utoipa::openapi::Required::False)
        .description(Some(description))
        .schema(Some(text.schema_type(Type::String)))
        .build()
}

fn operations_mut(item: &mut PathItem) -> Vec<(&'static str, &mut Operation)> {
    let operations = [
        ("GET", item.get.as_mut()),
        ("PUT", item.put.as_mut()),
        ("POST", item.post.as_mut()),
        ("PATCH", item.patch.as_mut()),
        ("DELETE", item.delete.as_mut()),
    ];
    operations
        .into_iter()
        .filter_map(|(method, operation)| operation.map(|operation| (method, operation)))
        .collect()
}

/// The operations of a path with their methods.
#[cfg(test)]
pub(crate) fn operations(item: &PathItem) -> Vec<(&'static str, &Operation)> {
    let operations = [
        ("GET", item.get.as_ref()),
        ("PUT", item.put.as_ref()),
        ("POST", item.post.as_ref()),
        ("PATCH", item.patch.as_ref()),
        ("DELETE", item.delete.as_ref()),
    ];
    operations
        .into_iter()
        .filter_map(|(method, operation)| operation.map(|operation| (method, operation)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;
    use wharf_domain::input::Reader;

    use super::*;

    type Read = fn(&mut Reader);

    /// Every request body: the name of its schema, and what reads it.
    const BODIES: &[(&str, Read)] = &[
        ("StorageConnectionCreateRequest", |reader| {
            let _ = connections::CreateConnectionRequest::parse(reader);
        }),
        ("ConsentStartRequest", |reader| {
            let _ = oauth::StartConsentRequest::parse(reader);
        }),
        ("StorageConnectionUpdateRequest", |reader| {
            let _ = connections::UpdateConnectionRequest::parse(reader);
        }),
        ("ListStorageConnectionsRequest", |reader| {
            let _ = connections::ListConnectionsRequest::parse(reader);
        }),
        ("OrganizationUpdateRequest", |reader| {
            let _ = organization::UpdateOrganizationRequest::parse(reader);
        }),
        ("UserCreateRequest", |reader| {
            let _ = users::CreateUserRequest::parse(reader);
        }),
        ("UserUpdateRequest", |reader| {
            let _ = users::UpdateUserRequest::parse(reader);
        }),
        ("APIKeyCreateRequest", |reader| {
            let _ = api_keys::CreateKeyRequest::parse(reader);
        }),
        ("APIKeyUpdateRequest", |reader| {
            let _ = api_keys::UpdateKeyRequest::parse(reader);
        }),
        ("AuditSettingsUpdateRequest", |reader| {
            let _ = audit::UpdateSettingsRequest::parse(reader);
        }),
        ("PatchNamespaceRequest", |reader| {
            let _ = namespaces::PatchNamespaceRequest::parse(reader);
        }),
        ("UpdateNamespaceRequest", |reader| {
            let _ = namespaces::UpdateNamespaceRequest::parse(reader);
        }),
        ("BucketPatchRequest", |reader| {
            let _ = buckets::PatchBucketRequest::parse(reader);
        }),
        ("BucketUpdateRequest", |reader| {
            let _ = buckets::UpdateBucketRequest::parse(reader);
        }),
        ("CreateNamespaceRequest", |reader| {
            let _ = namespaces::CreateNamespaceRequest::parse(reader);
        }),
        ("ListNamespacesRequest", |reader| {
            let _ = namespaces::ListNamespacesRequest::parse(reader);
        }),
        ("BucketCreateRequest", |reader| {
            let _ = buckets::CreateBucketRequest::parse(reader);
        }),
        ("ListBucketsRequest", |reader| {
            let _ = buckets::ListBucketsRequest::parse(reader);
        }),
        ("ListObjectsRequest", |reader| {
            let _ = objects::ListObjectsRequest::parse(reader);
        }),
        ("SyncCreateRequest", |reader| {
            let _ = syncs::CreateSyncRequest::parse(reader, 30);
        }),
        ("ListSyncConfigurationsRequest", |reader| {
            let _ = syncs::ListSyncsRequest::parse(reader);
        }),
        ("SyncUpdateRequest", |reader| {
            let _ = syncs::UpdateSyncRequest::parse(reader, 30);
        }),
        ("ListDLQRequest", |reader| {
            let _ = dead_letters::ListDeadLettersRequest::parse(reader);
        }),
        ("BulkRequeueDLQRequest", |reader| {
            let _ = dead_letters::RequeueRequest::parse(reader);
        }),
        ("BulkMarkDLQRequest", |reader| {
            let _ = dead_letters::BulkMarkRequest::parse(reader);
        }),
        ("ListSyncJobsRequest", |reader| {
            let _ = jobs::ListJobsRequest::parse(reader);
        }),
        ("WebhookInput", |reader| {
            let _ = webhooks::WebhookRequest::parse(reader);
        }),
        ("ListWebhooksRequest", |reader| {
            let _ = webhooks::ListWebhooksRequest::parse(reader);
        }),
        ("RedeliverRequest", |reader| {
            let _ = webhooks::RedeliverRequest::parse(reader);
        }),
    ];

    fn document() -> Value {
        serde_json::to_value(openapi()).expect("a document is JSON")
    }

    #[test]
    fn every_body_is_documented_with_exactly_the_keys_that_are_read() {
        let document = document();
        for (name, read) in BODIES {
            let fields = serde_json::Map::from_iter([("not a key".to_owned(), Value::Bool(true))]);
            let mut reader = Reader::new("", fields);
            read(&mut reader);
            let errors = reader.finish().expect_err("an unknown key").0;
            let unknown = errors
                .iter()
                .find(|error| error.kind == "extra_forbidden")
                .expect("it is refused");
            let accepted = unknown
                .message
                .split_once("accepted keys: ")
                .expect("they are listed")
                .1;
            let accepted: BTreeSet<&str> = accepted.split(", ").collect();
            let properties = document["components"]["schemas"][name]["properties"].as_object();
            let documented: BTreeSet<&str> =
                properties.expect(name).keys().map(String::as_str).collect();
            assert_eq!(accepted, documented, "{name}");
        }
    }

    #[test]
    fn every_body_of_the_document_is_among_those_that_are_compared() {
        let document = document();
        let compared: BTreeSet<String> = BODIES
            .iter()
            .map(|(name, _)| format!("#/components/schemas/{name}"))
            .collect();
        let mut seen = BTreeSet::new();
        for item in document["paths"].as_object().expect("paths").values() {
            for operation in item.as_object().expect("operations").values() {
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                let alternatives = schema["oneOf"]
                    .as_array()
                    .cloned()
                    .unwrap_or_else(|| vec![schema.clone()]);
                seen.extend(
                    alternatives
                        .iter()
                        .filter_map(|schema| schema["$ref"].as_str())
                        .map(str::to_owned),
                );
            }
        }
        assert_eq!(seen, compared);
    }

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        fn references(value: &Value, found: &mut BTreeSet<String>) {
            match value {
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                Value::Object(fields) => {
                    found.extend(
                        fields
                            .get("$ref")
                            .and_then(Value::as_str)
                            .map(str::to_owned),
                    );
                    fields.values().for_each(|field| references(field, found));
                }
                _ => {}
            }
        }
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let pointer = reference
                .strip_prefix('#')
                .expect("a reference into the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn operations_carry_their_permission_their_errors_and_distinct_names() {
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        let mut names = BTreeSet::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let name = operation["operationId"].as_str().expect("a name");
                assert!(names.insert(name.to_owned()), "{name} stands twice");
                let asks = access(&method.to_uppercase(), path).expect("a row");
                assert_eq!(
                    operation["x-wharf-permission"].is_string(),
                    asks != Access::Public,
                    "{name}"
                );
                let error = "/500/content/application~1json/schema/$ref";
                let error = operation["responses"]
                    .pointer(error)
                    .and_then(Value::as_str);
                assert_eq!(error, Some("#/components/schemas/ErrorResponse"), "{name}");
            }
        }
        let trigger = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/trigger";
        let trigger = &document["paths"][trigger]["post"];
        let parameters = trigger["parameters"].to_string();
        assert!(parameters.contains("idempotency-key") && !parameters.contains("if-match"));
        let shown = trigger["responses"]["200"]["headers"].to_string();
        assert!(shown.contains("X-RateLimit-Remaining") && !shown.contains("ETag"));
        let sync = &document["paths"]["/v1/buckets/{bucket_id}/syncs/{sync_config_id}"]["patch"];
        assert!(sync["parameters"].to_string().contains("if-match"));
        assert!(sync["responses"]["412"].is_object() && sync["responses"]["429"].is_object());
        assert!(sync["responses"]["200"]["headers"]["ETag"].is_object());
        let content = "/v1/buckets/{bucket_identifier}/objects/{object_identifier}/content";
        assert_eq!(document["paths"][content]["get"]["x-wharf-extension"], true);
    }
}
