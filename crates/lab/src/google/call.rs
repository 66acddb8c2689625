//! A call of the Drive API that is allowed to be made: its method, parameters and caller.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use serde_json::Value;
use url::form_urlencoded;

use super::mask::{InvalidSelection, Mask};
use super::oauth::directory::Session;
use super::refusal::Refusal;
use super::surface::{COMMON_PARAMETERS, Method, ParameterKind};
use super::tree::access::Role;
use super::tree::item::Item;
use super::world::State;
use crate::fault::{ListingFault, ObjectFault};

const RESOURCE_KEYS: HeaderName = HeaderName::from_static("x-goog-drive-resource-keys");
const SCOPE_PREFIX: &str = "https://www.googleapis.com/auth/";
/// The scopes that let a caller read bytes.
const CONTENT: &[&str] = &[
    "drive",
    "drive.readonly",
    "drive.file",
    "drive.meet.readonly",
    "drive.photos.readonly",
];

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static Method,
    /// What stands in the variable part of the path.
    pub(crate) part: String,
    parameters: Vec<(String, String)>,
    pub(crate) who: Session,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) listing: Option<ListingFault>,
    pub(crate) object: Option<ObjectFault>,
    pub(crate) now: DateTime<Utc>,
    pub(crate) url: String,
    mask: Option<Mask>,
}

/// The access token a request bears.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whose token it is, if it is good.
pub(crate) fn authenticated(
    state: &State,
    headers: &HeaderMap,
    now: DateTime<Utc>,
) -> Result<Session, Refusal> {
    let token = bearer(headers).ok_or_else(Refusal::no_credentials)?;
    state
        .directory
        .session(token)
        .filter(|session| session.expires > now)
        .cloned()
        .ok_or_else(|| {
            Refusal::of("authError").saying(
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login \
                 cookie or other valid authentication credential. See \
                 https://developers.google.com/identity/sign-in/web/devconsole-project.",
            )
        })
}

impl Call {
    pub(crate) fn read(
        state: &State,
        method: &'static Method,
        part: &str,
        head: &Parts,
        body: Bytes,
        now: DateTime<Utc>,
        url: &str,
    ) -> Result<Self, Refusal> {
        let who = authenticated(state, &head.headers, now)?;
        let query = head.uri.query().unwrap_or_default();
        let parameters: Vec<_> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let mut call = Self {
            method,
            part: part.to_owned(),
            parameters,
            who,
            headers: head.headers.clone(),
            body,
            listing: head.extensions.get().cloned(),
            object: head.extensions.get().copied(),
            now,
            url: url.to_owned(),
            mask: None,
        };
        let sufficient = if call.is_media() && method.response.is_some() {
            CONTENT
        } else {
            method.scopes
        };
        if !call.has_scope(sufficient) {
            return Err(Refusal::of("insufficientPermissions")
                .saying("Request had insufficient authentication scopes."));
        }
        call.check()?;
        call.mask = call.read_mask()?;
        Ok(call)
    }

    fn has_scope(&self, scopes: &[&str]) -> bool {
        self.who.scopes.iter().any(|scope| {
            scope
                .strip_prefix(SCOPE_PREFIX)
                .is_some_and(|scope| scopes.contains(&scope))
        })
    }

    /// Whether the token opens only files the app made or was handed.
    pub(crate) fn sees_own_files_only(&self) -> bool {
        !self.has_scope(&[
            "drive",
            "drive.readonly",
            "drive.metadata",
            "drive.metadata.readonly",
        ])
    }

    fn check(&self) -> Result<(), Refusal> {
        for (name, value) in &self.parameters {
            if COMMON_PARAMETERS.contains(&name.as_str()) {
                continue;
            }
            let known = self
                .method
                .parameters
                .iter()
                .find(|known| known.name == name)
                .ok_or_else(|| Refusal::unknown_parameter(name))?;
            match known.kind {
                ParameterKind::Text => {}
                ParameterKind::Flag => {
                    if !matches!(value.as_str(), "true" | "false") {
                        return Err(Refusal::mistyped(name, "TYPE_BOOL", value));
                    }
                }
                ParameterKind::UpTo(most) => match value.parse::<i32>() {
                    Err(_) => return Err(Refusal::mistyped(name, "TYPE_INT32", value)),
                    Ok(number)
                        if usize::try_from(number).is_ok_and(|n| (1..=most).contains(&n)) => {}
                    Ok(_) => {
                        return Err(Refusal::of("invalidParameter")
                            .saying(format!(
                                "Invalid value '{value}'. Values must be within the range: [1, {most}]"
                            ))
                            .about(name));
                    }
                },
            }
        }
        match self.text("alt") {
            None | Some("json") => {}
            Some("media") if self.method.media => {}
            Some(_) => return Err(Refusal::of("invalidParameter").about("alt")),
        }
        for known in self.method.parameters.iter().filter(|known| known.required) {
            if self.text(known.name).is_none() {
                return Err(Refusal::of("required")
                    .saying(format!("Required parameter: {}", known.name))
                    .about(known.name));
            }
        }
        Ok(())
    }

    fn read_mask(&self) -> Result<Option<Mask>, Refusal> {
        let Some(schema) = self.method.response else {
            return Ok(None);
        };
        if self.is_media() {
            return Ok(None);
        }
        let asked = self.text("fields").or(self.method.default_fields);
        let asked = asked.ok_or_else(|| {
            Refusal::of("required")
                .saying("The 'fields' parameter is required for this method.")
                .about("fields")
        })?;
        Mask::read(asked, schema)
            .map(Some)
            .map_err(|InvalidSelection(place)| {
                Refusal::of("invalidParameter")
                    .saying(format!("Invalid field selection {place}"))
                    .about("fields")
            })
    }

    /// Takes away from an answer what was not asked for.
    pub(crate) fn masked(&self, mut value: Value) -> Value {
        if let Some(mask) = &self.mask {
            mask.apply(&mut value);
        }
        value
    }

    pub(crate) fn is_media(&self) -> bool {
        self.text("alt") == Some("media")
    }

    /// A parameter, unless it is empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    pub(crate) fn count(&self, name: &str, otherwise: usize) -> usize {
        self.text(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(otherwise)
    }

    /// Whether the caller says that it can handle shared drives.
    pub(crate) fn supports_drives(&self) -> bool {
        self.flag("supportsAllDrives") || self.flag("supportsTeamDrives")
    }

    /// Whether it wants what is in them.
    pub(crate) fn includes_drives(&self) -> bool {
        self.flag("includeItemsFromAllDrives") || self.flag("includeTeamDriveItems")
    }

    pub(crate) fn drive_id(&self) -> Option<&str> {
        self.text("driveId").or_else(|| self.text("teamDriveId"))
    }

    /// The file of an id, and what the caller may do with it.
    pub(crate) fn file<'a>(&self, state: &'a State) -> Result<(&'a Item, Role), Refusal> {
        let tree = &state.tree;
        let id = match self.part.as_str() {
            "root" => tree.root_of(&self.who.email).unwrap_or_default(),
            id => id,
        };
        let missing = || Refusal::no_file(&self.part);
        let item = tree.item(id).ok_or_else(missing)?;
        let speaks_of_drives = self
            .method
            .parameters
            .iter()
            .any(|known| known.name == "supportsAllDrives");
        if item.drive.is_some() && speaks_of_drives && !self.supports_drives() {
            return Err(missing());
        }
        let role = self.role(state, item).ok_or_else(missing)?;
        if self.sees_own_files_only() {
            return Err(Refusal::of("appNotAuthorizedToFile"));
        }
        Ok((item, role))
    }

    /// What the caller may do with a file it names.
    pub(crate) fn role(&self, state: &State, item: &Item) -> Option<Role> {
        let own = state.tree.role(item, &self.who.email);
        own.or_else(|| self.by_link(state, item))
    }

    /// What a link gives: where the file has a resource key, only to who shows it.
    fn by_link(&self, state: &State, item: &Item) -> Option<Role> {
        let role = state.tree.role_by_link(item, &self.who.email)?;
        let Some(key) = &item.resource_key else {
            return Some(role);
        };
        let shown = self
            .headers
            .get_all(RESOURCE_KEYS)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|pair| pair.trim().split_once('/') == Some((item.id.as_str(), key.as_str())));
        shown.then_some(role)
    }
}
