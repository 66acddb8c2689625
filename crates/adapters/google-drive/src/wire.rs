//! The `google-drive3` crate, and the only file that knows its types: its calls over the guarded connector, their answers in
//! structs of our own.
//!
//! The crate decodes a page as a whole or not at all; what it does not take is read again entry by entry, without the
//! fields that have no form of theirs.

mod failure;
mod lenient;
mod media;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use google_drive3::DriveHub;
use google_drive3::api;
use google_drive3::common::{self, Delegate, GetToken, Retry};
use http_body_util::{BodyExt, Collected};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;
use wharf_egress::{self as egress, Connector, EgressError, Guard, Timeouts, TlsMode};

pub(crate) use self::failure::{Failure, Refused, date, is_html, retry_after};
use self::lenient::{each, sound};
pub(crate) use self::media::{Opened, Wanted};
use crate::pace::{Cost, Pace};
use crate::remote::{
    About, Change, Changes, Channel, Drive, NextChanges, Page, Person, Preparation, RemoteFile,
    ResourceKey, Shortcut,
};
use crate::token::{Access, Token};

/// What Wharf calls itself.
pub(crate) const OWN_NAME: &str = concat!("wharf/", env!("CARGO_PKG_VERSION"));

/// No answer that makes sense is larger; a page of a thousand files has a tenth of it.
pub(crate) const LARGEST_ANSWER: usize = 32 * 1024 * 1024;

/// Texts that stand in an address are no longer, all of a request together.
const LONGEST_QUERY: usize = 8 * 1024;

/// How long an idle connection is kept.
const POOLED_IDLE: Duration = Duration::from_secs(25);

macro_rules! file_fields {
    () => {
        "kind,id,name,mimeType,size,md5Checksum,sha1Checksum,sha256Checksum,headRevisionId,version,createdTime,\
         modifiedTime,parents,driveId,trashed,explicitlyTrashed,webViewLink,description,starred,\
         owners(emailAddress,displayName),lastModifyingUser(emailAddress,displayName),properties,appProperties,\
         shortcutDetails,resourceKey,fileExtension,originalFilename,capabilities(canDownload,canListChildren)"
    };
}

const FILE: &str = file_fields!();
const FILES: &str = concat!("nextPageToken,incompleteSearch,files(", file_fields!(), ")");
const CHANGES: &str = concat!(
    "nextPageToken,newStartPageToken,changes(changeType,removed,fileId,driveId,time,file(",
    file_fields!(),
    "))"
);
const ABOUT: &str = "user(displayName,emailAddress,permissionId),exportFormats";
const DRIVE: &str = "id,name,hidden,capabilities(canDownload,canListChildren,canManageMembers)";
const DRIVES: &str = "nextPageToken,drives(id,name,hidden,capabilities(canDownload,canListChildren,canManageMembers))";

/// Which files are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FilesRequest {
    /// In Drive's own language.
    pub(crate) query: String,
    /// All of one shared drive, of which we must be a member; else what the account sees.
    pub(crate) drive_id: Option<String>,
    pub(crate) order_by: Option<&'static str>,
    pub(crate) page_size: u32,
    pub(crate) page_token: Option<String>,
    pub(crate) keys: Vec<ResourceKey>,
}

/// Which part of the changes feed is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChangesRequest {
    pub(crate) page_token: String,
    /// The feed of one shared drive; else that of the account.
    pub(crate) drive_id: Option<String>,
    pub(crate) page_size: u32,
}

/// Where changes are to be announced.
pub(crate) struct WatchRequest<'a> {
    pub(crate) channel: &'a str,
    pub(crate) address: &'a str,
    /// Comes back with every announcement.
    pub(crate) token: &'a str,
    pub(crate) expires_at_ms: i64,
}

type Client = legacy::Client<Connector, common::Body>;
type Hub = DriveHub<Connector>;

/// The calls, to one account.
pub(crate) struct Wire {
    api: Url,
    access: Access,
    pace: Arc<Pace>,
    client: Client,
    /// For what the crate cannot say.
    http: egress::Client,
}

impl Wire {
    pub(crate) fn new(api: Url, access: Access, pace: Arc<Pace>, guard: Arc<Guard>) -> Self {
        let largest = LARGEST_ANSWER as u64;
        let connector = Connector::new(
            Arc::clone(&guard),
            TlsMode::Verified,
            Timeouts::default(),
            largest,
        );
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOLED_IDLE)
            .build(connector);
        Self {
            api,
            access,
            pace,
            client,
            http: egress::Client::new(guard, TlsMode::Verified),
        }
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// Where the API answers.
    pub(crate) fn api(&self) -> &Url {
        &self.api
    }

    /// Who is signed in, and what documents can be exported as.
    pub(crate) async fn about(&self) -> Result<About, Failure> {
        let about: api::About = self
            .call(
                Cost::Get,
                sound::<api::About>,
                |hub, mut heard| async move {
                    let call = hub.about().get().param("fields", ABOUT);
                    let answer = call.delegate(&mut heard).doit().await;
                    (answer.map(|(_, about)| about), heard)
                },
            )
            .await?;
        let user = about.user.ok_or(Failure::Unreadable { html: false })?;
        Ok(About {
            permission_id: user.permission_id.clone(),
            user: person(user),
            export_formats: about.export_formats.into_iter().flatten().collect(),
        })
    }

    pub(crate) async fn files(&self, request: &FilesRequest) -> Result<Page<RemoteFile>, Failure> {
        fits(&[
            &request.query,
            request.page_token.as_deref().unwrap_or_default(),
        ])?;
        let list = if request.keys.is_empty() {
            self.listed_files(request).await
        } else {
            let document = self.listed_document(request).await;
            document.and_then(|document| decoded(sound_files(document)))
        };
        let list = list.map_err(|failure| match request.page_token {
            Some(_) => failure.going_on(),
            None => failure,
        })?;
        if says_nothing(&list) {
            // Where nothing is written down for nothing, an empty last page is an empty document; the crate does not tell it from others.
            let document = self.listed_document(request).await?;
            if document.get("error").is_none() && document.is_object() {
                return page_of(api::FileList {
                    incomplete_search: Some(false),
                    ..decoded(sound_files(document))?
                });
            }
        }
        page_of(list)
    }

    async fn listed_files(&self, request: &FilesRequest) -> Result<api::FileList, Failure> {
        self.call(Cost::List, sound_files, |hub, mut heard| async move {
            let mut call = hub
                .files()
                .list()
                .q(&request.query)
                .corpora(corpora(request))
                .include_items_from_all_drives(true)
                .supports_all_drives(true)
                .page_size(page_size(request.page_size))
                .param("fields", FILES);
            if let Some(drive_id) = &request.drive_id {
                call = call.drive_id(drive_id);
            }
            if let Some(order_by) = request.order_by {
                call = call.order_by(order_by);
            }
            if let Some(page_token) = &request.page_token {
                call = call.page_token(page_token);
            }
            let answer = call.delegate(&mut heard).doit().await;
            (answer.map(|(_, list)| list), heard)
        })
        .await
    }

    async fn listed_document(&self, request: &FilesRequest) -> Result<Value, Failure> {
        let size = page_size(request.page_size).to_string();
        let mut query = vec![
            ("q", request.query.as_str()),
            ("corpora", corpora(request)),
            ("includeItemsFromAllDrives", "true"),
            ("supportsAllDrives", "true"),
            ("pageSize", &size),
            ("fields", FILES),
        ];
        query.extend(request.drive_id.as_deref().map(|id| ("driveId", id)));
        query.extend(request.order_by.map(|order| ("orderBy", order)));
        query.extend(request.page_token.as_deref().map(|at| ("pageToken", at)));
        self.document(&["files"], &query, &request.keys, Cost::List)
            .await
    }

    /// One file, whatever has become of it.
    pub(crate) async fn file(&self, id: &str, keys: &[ResourceKey]) -> Result<RemoteFile, Failure> {
        let id = id_in_path(id)?;
        let found = if keys.is_empty() {
            self.call(Cost::Get, sound::<api::File>, |hub, mut heard| async move {
                let call = hub.files().get(id).supports_all_drives(true);
                let call = call.param("fields", FILE).delegate(&mut heard);
                let answer = call.doit().await;
                (answer.map(|(_, file)| file), heard)
            })
            .await?
        } else {
            let query = [("supportsAllDrives", "true"), ("fields", FILE)];
            let document = self
                .document(&["files", id], &query, keys, Cost::Get)
                .await?;
            decoded(sound::<api::File>(document))?
        };
        file(found)
    }

    pub(crate) async fn drive(&self, id: &str) -> Result<Drive, Failure> {
        let id = id_in_path(id)?;
        let found = self
            .call(
                Cost::Get,
                sound::<api::Drive>,
                |hub, mut heard| async move {
                    let call = hub.drives().get(id).param("fields", DRIVE);
                    let answer = call.delegate(&mut heard).doit().await;
                    (answer.map(|(_, drive)| drive), heard)
                },
            )
            .await?;
        drive(found)
    }

    /// The shared drives that the account is a member of, at most a hundred a page.
    pub(crate) async fn drives(
        &self,
        page_size: u32,
        page_token: Option<&str>,
    ) -> Result<Page<Drive>, Failure> {
        fits(&[page_token.unwrap_or_default()])?;
        let size = i32::try_from(page_size.clamp(1, 100)).unwrap_or(100);
        let list: api::DriveList = self
            .call(Cost::List, sound_drives, |hub, mut heard| async move {
                let mut call = hub.drives().list().page_size(size).param("fields", DRIVES);
                if let Some(page_token) = page_token {
                    call = call.page_token(page_token);
                }
                let answer = call.delegate(&mut heard).doit().await;
                (answer.map(|(_, list)| list), heard)
            })
            .await?;
        Ok(Page {
            items: all(list.drives, drive)?,
            next: list.next_page_token,
            incomplete: false,
        })
    }

    /// Where the feed of what changes from now on begins.
    pub(crate) async fn start_page_token(&self, drive_id: Option<&str>) -> Result<String, Failure> {
        let start: api::StartPageToken = self
            .call(
                Cost::Get,
                sound::<api::StartPageToken>,
                |hub, mut heard| async move {
                    let mut call = hub
                        .changes()
                        .get_start_page_token()
                        .supports_all_drives(true)
                        .param("fields", "startPageToken");
                    if let Some(drive_id) = drive_id {
                        call = call.drive_id(drive_id);
                    }
                    let answer = call.delegate(&mut heard).doit().await;
                    (answer.map(|(_, start)| start), heard)
                },
            )
            .await?;
        start
            .start_page_token
            .filter(|token| !token.is_empty())
            .ok_or(Failure::Unreadable { html: false })
    }

    pub(crate) async fn changes(&self, request: &ChangesRequest) -> Result<Changes, Failure> {
        fits(&[&request.page_token])?;
        let list: api::ChangeList = self
            .call(Cost::List, sound_changes, |hub, mut heard| async move {
                let mut call = hub
                    .changes()
                    .list(&request.page_token)
                    .include_items_from_all_drives(true)
                    .supports_all_drives(true)
                    .include_removed(true)
                    .page_size(page_size(request.page_size))
                    .param("fields", CHANGES);
                if let Some(drive_id) = &request.drive_id {
                    call = call.drive_id(drive_id);
                }
                let answer = call.delegate(&mut heard).doit().await;
                (answer.map(|(_, list)| list), heard)
            })
            .await
            .map_err(Failure::going_on)?;
        let next = match (list.next_page_token, list.new_start_page_token) {
            (Some(page), _) => NextChanges::Page(page),
            (None, Some(later)) => NextChanges::Later(later),
            (None, None) => return Err(Failure::Unreadable { html: false }),
        };
        Ok(Changes {
            changes: all(list.changes, change)?,
            next,
        })
    }

    /// Has changes after a place of the feed announced.
    pub(crate) async fn watch_changes(
        &self,
        page_token: &str,
        drive_id: Option<&str>,
        request: &WatchRequest<'_>,
    ) -> Result<Channel, Failure> {
        fits(&[page_token])?;
        let channel: api::Channel = self
            .call(
                Cost::List,
                sound::<api::Channel>,
                |hub, mut heard| async move {
                    let wanted = api::Channel {
                        id: Some(request.channel.to_owned()),
                        type_: Some("web_hook".to_owned()),
                        address: Some(request.address.to_owned()),
                        token: Some(request.token.to_owned()),
                        expiration: Some(request.expires_at_ms),
                        ..api::Channel::default()
                    };
                    let mut call = hub
                        .changes()
                        .watch(wanted, page_token)
                        .include_items_from_all_drives(true)
                        .supports_all_drives(true)
                        .include_removed(true);
                    if let Some(drive_id) = drive_id {
                        call = call.drive_id(drive_id);
                    }
                    let answer = call.delegate(&mut heard).doit().await;
                    (answer.map(|(_, channel)| channel), heard)
                },
            )
            .await?;
        Ok(Channel {
            resource: channel
                .resource_id
                .ok_or(Failure::Unreadable { html: false })?,
            expires_at: channel.expiration.and_then(DateTime::from_timestamp_millis),
        })
    }

    pub(crate) async fn stop_channel(&self, channel: &str, resource: &str) -> Result<(), Failure> {
        self.call(
            Cost::Get,
            |_| Value::Null,
            |hub, mut heard| async move {
                let stopped = api::Channel {
                    id: Some(channel.to_owned()),
                    resource_id: Some(resource.to_owned()),
                    ..api::Channel::default()
                };
                let call = hub.channels().stop(stopped).delegate(&mut heard);
                (call.doit().await.map(|_| ()), heard)
            },
        )
        .await
    }

    /// Has Drive prepare a download, which takes its time.
    pub(crate) async fn prepare(&self, id: &str, mime_type: &str) -> Result<Preparation, Failure> {
        let id = id_in_path(id)?;
        let operation = self
            .call(
                Cost::Download,
                sound::<api::Operation>,
                |hub, mut heard| async move {
                    let call = hub.files().download(id).mime_type(mime_type);
                    let answer = call.delegate(&mut heard).doit().await;
                    (answer.map(|(_, operation)| operation), heard)
                },
            )
            .await?;
        preparation(operation)
    }

    /// How far a preparation is.
    pub(crate) async fn preparation(&self, name: &str) -> Result<Preparation, Failure> {
        let name = name_in_path(name)?;
        let operation = self
            .call(
                Cost::Get,
                sound::<api::Operation>,
                |hub, mut heard| async move {
                    let call = hub.operations().get(name).delegate(&mut heard);
                    let answer = call.doit().await;
                    (answer.map(|(_, operation)| operation), heard)
                },
            )
            .await?;
        preparation(operation)
    }

    /// Makes a call of the crate. `sound` takes out of a document what the crate's type would not take.
    async fn call<T, F>(
        &self,
        cost: Cost,
        sound: impl Fn(Value) -> Value,
        ask: impl Fn(Hub, Heard) -> F,
    ) -> Result<T, Failure>
    where
        T: DeserializeOwned,
        F: Future<Output = (common::Result<T>, Heard)>,
    {
        self.pace.spend(cost).await;
        let (sound, ask) = (&sound, &ask);
        self.signed_in(|token| async move {
            let (answer, heard) = ask(self.hub(token), Heard::default()).await;
            match answer {
                Ok(answer) => Ok(answer),
                Err(common::Error::JsonDecodeError(text, _)) => reread(&text, sound),
                Err(common::Error::Failure(answer)) => Err(refusal(answer).await),
                Err(error) => Err(failure(&error, heard)),
            }
        })
        .await
    }

    /// Makes a request, once more with another token if the first is no longer accepted.
    async fn signed_in<T, F>(&self, request: impl Fn(Token) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let token = self.access.token().await?;
        match Box::pin(request(token.clone())).await {
            Err(Failure::Refused(refused)) if refused.is_of_token() => {
                self.access.reject(&token).await;
                let token = self.access.token().await?;
                Box::pin(request(token)).await
            }
            answer => answer,
        }
    }

    fn hub(&self, token: Token) -> Hub {
        let mut hub = DriveHub::new(self.client.clone(), Bearer(token));
        hub.user_agent(OWN_NAME.to_owned());
        hub.base_url(format!("{}/", self.api));
        hub.root_url(format!("{}/", self.api));
        hub
    }
}

/// The one token of a call, for the crate.
#[derive(Clone)]
struct Bearer(Token);

type Given<'a> = Pin<
    Box<
        dyn Future<Output = Result<Option<String>, Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + 'a,
    >,
>;

impl GetToken for Bearer {
    fn get_token<'a>(&'a self, _: &'a [&str]) -> Given<'a> {
        Box::pin(async { Ok(Some(self.0.expose().to_owned())) })
    }
}

/// What the crate tells of a refusal while it happens, and drops from its errors. It never has the crate try again.
#[derive(Default)]
struct Heard(Option<Refused>);

impl Delegate for Heard {
    fn http_failure(&mut self, answer: &common::Response, error: Option<&Value>) -> Retry {
        let (status, headers) = (answer.status().as_u16(), answer.headers());
        self.0 = error.map(|document| Refused::of_document(status, headers, document));
        Retry::Abort
    }
}

/// A refusal that is no document. The crate has read it whole.
async fn refusal(answer: common::Response) -> Failure {
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map(Collected::to_bytes);
    let status = head.status.as_u16();
    Failure::Refused(Refused::of(
        status,
        &head.headers,
        &body.unwrap_or_default(),
    ))
}

fn failure(error: &common::Error, heard: Heard) -> Failure {
    if let Some(refused) = heard.0 {
        return Failure::Refused(refused);
    }
    match error {
        common::Error::HttpError(error) => EgressError::find(error)
            .cloned()
            .map_or(Failure::CutShort, Failure::Egress),
        _ => Failure::Unsendable,
    }
}

/// Reads an answer that the crate did not take.
fn reread<T: DeserializeOwned>(text: &str, sound: impl Fn(Value) -> Value) -> Result<T, Failure> {
    // The crate hands on nothing of a body that broke off.
    if text.is_empty() {
        return Err(Failure::CutShort);
    }
    let document: Value = serde_json::from_str(text).map_err(|_| Failure::Unreadable {
        html: is_html(&http::HeaderMap::new(), text.as_bytes()),
    })?;
    decoded(sound(document))
}

fn decoded<T: DeserializeOwned>(document: Value) -> Result<T, Failure> {
    serde_json::from_value(document).map_err(|_| Failure::Unreadable { html: false })
}

/// Of a list, only the items may lack something: without its other fields, nobody would know whether it is whole.
fn sound_files(document: Value) -> Value {
    each(document, "files", sound::<api::File>)
}

fn sound_drives(document: Value) -> Value {
    each(document, "drives", sound::<api::Drive>)
}

fn sound_changes(document: Value) -> Value {
    each(document, "changes", |mut change| {
        if let Some(file) = change.get_mut("file") {
            *file = sound::<api::File>(file.take());
        }
        sound::<api::Change>(change)
    })
}

fn corpora(request: &FilesRequest) -> &'static str {
    match request.drive_id {
        Some(_) => "drive",
        None => "user",
    }
}

fn page_size(size: u32) -> i32 {
    i32::try_from(size.clamp(1, 1000)).unwrap_or(1000)
}

/// Texts that a request's address has room for.
fn fits(texts: &[&str]) -> Result<(), Failure> {
    let length: usize = texts.iter().map(|text| text.len()).sum();
    if length > LONGEST_QUERY {
        return Err(Failure::Unsendable);
    }
    Ok(())
}

/// An id that is put into a path as it is.
fn id_in_path(id: &str) -> Result<&str, Failure> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let sound = !id.is_empty() && id.len() <= 256 && id.bytes().all(plain);
    sound.then_some(id).ok_or(Failure::Unsendable)
}

/// The name of an operation, of which the crate adds the beginning.
fn name_in_path(name: &str) -> Result<&str, Failure> {
    let name = name.strip_prefix("operations/").unwrap_or(name);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.~=:".contains(&byte);
    let sound = !name.is_empty()
        && name.len() <= 1024
        && name.bytes().all(plain)
        && !name.bytes().all(|byte| byte == b'.');
    sound.then_some(name).ok_or(Failure::Unsendable)
}

fn all<A, B>(
    items: Option<Vec<A>>,
    read: impl Fn(A) -> Result<B, Failure>,
) -> Result<Vec<B>, Failure> {
    items.into_iter().flatten().map(read).collect()
}

fn says_nothing(list: &api::FileList) -> bool {
    list.files.is_none() && list.incomplete_search.is_none() && list.next_page_token.is_none()
}

/// An answer with nothing of what was asked for is none, and no empty list.
fn page_of(list: api::FileList) -> Result<Page<RemoteFile>, Failure> {
    if list.files.is_none() && list.incomplete_search.is_none() {
        return Err(Failure::Unreadable { html: false });
    }
    Ok(Page {
        items: all(list.files, file)?,
        next: list.next_page_token,
        incomplete: list.incomplete_search.unwrap_or(false),
    })
}

/// A file without an id cannot be left out: a list without it would not be whole.
fn file(file: api::File) -> Result<RemoteFile, Failure> {
    let capabilities = file.capabilities.unwrap_or_default();
    let texts = |map: Option<std::collections::HashMap<String, String>>| {
        map.into_iter().flatten().collect::<BTreeMap<_, _>>()
    };
    let shortcut = file.shortcut_details.and_then(|details| {
        Some(Shortcut {
            target_id: details.target_id?,
            target_mime_type: details.target_mime_type,
            target_resource_key: details.target_resource_key,
        })
    });
    Ok(RemoteFile {
        id: identified(file.id)?,
        name: file.name.unwrap_or_default(),
        mime_type: file.mime_type.unwrap_or_default(),
        size: file.size.and_then(|size| u64::try_from(size).ok()),
        md5_checksum: file.md5_checksum,
        sha1_checksum: file.sha1_checksum,
        sha256_checksum: file.sha256_checksum,
        head_revision_id: file.head_revision_id,
        version: file.version,
        created_at: file.created_time,
        modified_at: file.modified_time,
        parents: file.parents.unwrap_or_default(),
        drive_id: file.drive_id,
        trashed: file.trashed.unwrap_or(false),
        explicitly_trashed: file.explicitly_trashed.unwrap_or(false),
        web_view_link: file.web_view_link,
        description: file.description,
        starred: file.starred,
        owners: file.owners.into_iter().flatten().map(person).collect(),
        last_modifying_user: file.last_modifying_user.map(person),
        properties: texts(file.properties),
        app_properties: texts(file.app_properties),
        shortcut,
        resource_key: file.resource_key,
        file_extension: file.file_extension,
        original_filename: file.original_filename,
        can_download: capabilities.can_download,
        can_list_children: capabilities.can_list_children,
        kind: file.kind,
    })
}

fn person(user: api::User) -> Person {
    Person {
        email: user.email_address,
        name: user.display_name,
    }
}

fn drive(drive: api::Drive) -> Result<Drive, Failure> {
    let capabilities = drive.capabilities.unwrap_or_default();
    Ok(Drive {
        id: identified(drive.id)?,
        name: drive.name.unwrap_or_default(),
        hidden: drive.hidden.unwrap_or(false),
        can_manage_members: capabilities.can_manage_members.unwrap_or(false),
        can_list_children: capabilities.can_list_children,
        can_download: capabilities.can_download,
    })
}

/// Ids get into messages and paths: what has no form of one is none.
fn identified(id: Option<String>) -> Result<String, Failure> {
    id.filter(|id| id_in_path(id).is_ok())
        .ok_or(Failure::Unreadable { html: false })
}

/// What is gone is told by its id alone, and a change of a drive has no file.
fn change(change: api::Change) -> Result<Change, Failure> {
    let removed = change.removed.unwrap_or(false);
    let of_drive = change.change_type.as_deref() == Some("drive");
    Ok(match (change.file_id, change.drive_id, change.file) {
        (Some(id), ..) if removed && !of_drive => Change::FileRemoved(id),
        (_, _, Some(known)) if !of_drive => Change::File(Box::new(file(known)?)),
        (Some(id), ..) if !of_drive => Change::FileUntold(id),
        (_, Some(id), _) if of_drive && removed => Change::DriveRemoved(id),
        (_, Some(id), _) if of_drive => Change::Drive(id),
        _ => Change::Other,
    })
}

fn preparation(operation: api::Operation) -> Result<Preparation, Failure> {
    let unreadable = Failure::Unreadable { html: false };
    if let Some(error) = operation.error {
        return Ok(Preparation::Failed(error.code));
    }
    if !operation.done.unwrap_or(false) {
        return operation.name.map(Preparation::Pending).ok_or(unreadable);
    }
    let response = operation.response.unwrap_or_default();
    let address = response.get("downloadUri").and_then(Value::as_str);
    address
        .map(|address| Preparation::Ready(address.to_owned()))
        .ok_or(unreadable)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn files(document: &Value) -> Result<Vec<RemoteFile>, Failure> {
        let list: api::FileList = reread(&document.to_string(), sound_files)?;
        page_of(list).map(|page| page.items)
    }

    fn changes(document: &Value) -> Result<Vec<Change>, Failure> {
        let list: api::ChangeList = reread(&document.to_string(), sound_changes)?;
        all(list.changes, change)
    }

    #[test]
    fn a_file_in_another_form_than_the_others_does_not_cost_the_page() {
        let page = json!({"incompleteSearch": false, "nextPageToken": "2", "files": [
            {"id": "a", "name": "a.txt", "size": "12", "mimeType": "text/plain", "trashed": false,
             "modifiedTime": "2026-01-02T03:04:05.678Z", "capabilities": {"canDownload": true}},
            {"id": "b", "size": 12, "version": 7, "modifiedTime": "yesterday", "starred": "yes", "parents": "root",
             "owners": [7], "properties": {"k": "v"}, "appProperties": ["x"], "unheardOf": {"deep": [1]}},
        ]});
        let files = files(&page).unwrap();
        assert_eq!(files[0].size, Some(12));
        assert_eq!(files[0].can_download, Some(true));
        assert!(files[0].modified_at.is_some());
        let other = &files[1];
        assert_eq!((other.size, other.version), (Some(12), Some(7)));
        assert_eq!((other.modified_at, other.starred), (None, None));
        assert_eq!((other.parents.len(), other.owners.len()), (0, 0));
        assert_eq!(other.properties["k"], "v");
    }

    #[test]
    fn a_page_with_a_file_that_nobody_can_name_is_refused() {
        for nameless in [
            json!({"name": "a"}),
            json!({"id": ""}),
            json!({"id": 7.5}),
            json!({"id": "two words"}),
            json!({"id": "../about"}),
            json!(null),
            json!("a"),
        ] {
            let page = json!({"files": [{"id": "a"}, nameless]});
            assert!(files(&page).is_err(), "{nameless}");
        }
    }

    #[test]
    fn a_page_of_which_nobody_knows_whether_it_is_whole_is_refused() {
        for page in [
            json!({}),
            json!({"files": {"id": "a"}}),
            json!({"files": [], "nextPageToken": {"at": 2}}),
            json!({"files": [], "nextPageToken": 2}),
            json!({"files": [], "incompleteSearch": "maybe"}),
        ] {
            assert!(files(&page).is_err(), "{page}");
        }
        assert_eq!(files(&json!({"incompleteSearch": false})), Ok(Vec::new()));
        assert!(changes(&json!({"changes": [7], "newStartPageToken": "1"})).is_err());
    }

    #[test]
    fn changes_of_drives_and_of_what_is_gone_need_no_file() {
        let feed = json!({"newStartPageToken": "9", "changes": [
            {"kind": "drive#change", "changeType": "file", "fileId": "a", "removed": true},
            {"changeType": "file", "fileId": "b", "removed": false, "file": {"id": "b", "name": "b", "size": 1}},
            {"changeType": "file", "fileId": "c"},
            {"changeType": "drive", "driveId": "d", "removed": false},
            {"changeType": "drive", "driveId": "e", "removed": true},
            {"changeType": "somethingNew"},
            {"changeType": 7, "time": "never", "fileId": "f", "removed": true},
        ]});
        let changes = changes(&feed).unwrap();
        let id = ToString::to_string;
        assert_eq!(changes[0], Change::FileRemoved(id(&"a")));
        assert!(matches!(&changes[1], Change::File(file) if file.size == Some(1)));
        assert_eq!(changes[2], Change::FileUntold(id(&"c")));
        assert_eq!(changes[3], Change::Drive(id(&"d")));
        assert_eq!(changes[4], Change::DriveRemoved(id(&"e")));
        assert_eq!(changes[5], Change::Other);
        assert_eq!(changes[6], Change::FileRemoved(id(&"f")));
    }

    #[test]
    fn what_is_no_document_is_told_apart() {
        let failure = |text: &str| reread::<api::FileList>(text, sound_files).unwrap_err();
        assert_eq!(failure(""), Failure::CutShort);
        assert_eq!(
            failure("<!DOCTYPE html>"),
            Failure::Unreadable { html: true }
        );
        assert_eq!(
            failure("{\"files\": ["),
            Failure::Unreadable { html: false }
        );
        assert_eq!(failure("[]"), Failure::Unreadable { html: false });
        assert_eq!(failure("7"), Failure::Unreadable { html: false });
    }

    #[test]
    fn nothing_strange_gets_into_a_path_or_makes_an_address_too_long() {
        for id in ["1AbC-_9", "root"] {
            assert_eq!(id_in_path(id), Ok(id));
        }
        for id in ["", "a/b", "..", "a?b", "a%2fb", "a b", "ä", "a\n"] {
            assert_eq!(id_in_path(id), Err(Failure::Unsendable), "{id}");
        }
        assert_eq!(name_in_path("operations/a~b="), Ok("a~b="));
        for name in ["", "..", "operations/", "operations/../files", "a?b"] {
            assert_eq!(name_in_path(name), Err(Failure::Unsendable), "{name}");
        }
        assert_eq!(fits(&[&"a".repeat(LONGEST_QUERY)]), Ok(()));
        assert_eq!(
            fits(&[&"a".repeat(LONGEST_QUERY), "b"]),
            Err(Failure::Unsendable)
        );
    }

    #[test]
    fn a_prepared_download_is_pending_ready_or_failed() {
        let read = |document: Value| preparation(decoded(document).unwrap());
        assert_eq!(
            read(json!({"name": "operations/x", "done": false})),
            Ok(Preparation::Pending("operations/x".to_owned()))
        );
        let ready =
            json!({"name": "x", "done": true, "response": {"downloadUri": "https://e.com/x"}});
        assert_eq!(
            read(ready),
            Ok(Preparation::Ready("https://e.com/x".to_owned()))
        );
        assert_eq!(
            read(json!({"done": true, "error": {"code": 7, "message": "no"}})),
            Ok(Preparation::Failed(Some(7)))
        );
        assert!(read(json!({"done": true, "response": {}})).is_err());
    }
}
