//! How files, drives and people are shown to a caller.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::super::oauth::directory::Directory;
use super::super::oauth::directory::Session;
use super::super::tree::access::Role;
use super::super::tree::item::{Content, Item};
use super::super::tree::kind;
use super::super::world::State;

pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub(super) fn user(directory: &Directory, email: &str, viewer: &str) -> Value {
    let account = directory.accounts.get(email);
    json!({
        "kind": "drive#user",
        "displayName": account.map_or(email, |account| &account.display_name),
        "me": email == viewer,
        "permissionId": account.map_or("anyoneWithLink", |account| &account.permission_id),
        "emailAddress": email,
    })
}

/// A file as this caller sees it, whose role there is `role`.
pub(super) fn file(state: &State, item: &Item, viewer: &Session, role: Role) -> Value {
    let tree = &state.tree;
    let me = viewer.email.as_str();
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| {
        shown.insert(name.to_owned(), value);
    };
    put("kind", json!("drive#file"));
    put("id", json!(item.id));
    put("name", json!(item.name));
    put("mimeType", json!(item.mime_type));
    put("starred", json!(item.starred));
    put("trashed", json!(tree.is_trashed(item)));
    put("explicitlyTrashed", json!(item.trashed));
    put("spaces", json!(["drive"]));
    put("version", json!(item.version.to_string()));
    put("createdTime", json!(time(item.created)));
    put("modifiedTime", json!(time(item.modified)));
    put("webViewLink", json!(link(item)));
    put(
        "shared",
        json!(item.drive.is_some() || !item.permissions.is_empty()),
    );
    put("inheritedPermissionsDisabled", json!(item.limited));
    put(
        "copyRequiresWriterPermission",
        json!(item.copy_requires_writer_permission),
    );
    put("capabilities", capabilities(state, item, role));
    put(
        "downloadRestrictions",
        json!({
            "itemDownloadRestriction": {
                "restrictedForReaders": item.download_blocked || item.copy_requires_writer_permission,
                "restrictedForWriters": item.download_blocked,
            },
            "effectiveDownloadRestrictionWithContext": {
                "restrictedForReaders": !tree.may_download(item, Role::Reader),
                "restrictedForWriters": !tree.may_download(item, Role::Writer),
            },
        }),
    );
    let parent = item.parent.as_ref().and_then(|parent| tree.item(parent));
    if let Some(parent) = parent
        && tree.role_by_link(parent, me).is_some()
    {
        put("parents", json!([parent.id]));
    }
    if let Some(drive) = &item.drive {
        put("driveId", json!(drive));
        put("teamDriveId", json!(drive));
    }
    if let Some(owner) = &item.owner {
        put("ownedByMe", json!(owner == me));
        put("owners", json!([user(&state.directory, owner, me)]));
        if owner != me && item.permissions.contains_key(me) {
            put("sharedWithMeTime", json!(time(item.created)));
            put("sharingUser", user(&state.directory, owner, me));
        }
    }
    if let Some(by) = &item.modified_by {
        put("lastModifyingUser", user(&state.directory, by, me));
        put("modifiedByMe", json!(by == me));
    }
    if let Some(description) = &item.description {
        put("description", json!(description));
    }
    if let Some(key) = &item.resource_key {
        put("resourceKey", json!(key));
    }
    if !item.properties.is_empty() {
        put("properties", json!(item.properties));
    }
    let of_this_app = item.app.as_ref().is_none_or(|app| *app == viewer.app);
    if of_this_app && !item.app_properties.is_empty() {
        put("appProperties", json!(item.app_properties));
    }
    content(&mut shown, item);
    Value::Object(shown)
}

fn content(shown: &mut Map<String, Value>, item: &Item) {
    let mut put = |name: &str, value: Value| {
        shown.insert(name.to_owned(), value);
    };
    match &item.content {
        Content::Blob {
            bytes,
            revision,
            md5,
            sha1,
            sha256,
        } => {
            put("size", json!(bytes.len().to_string()));
            put("quotaBytesUsed", json!(bytes.len().to_string()));
            put("md5Checksum", json!(md5));
            put("sha1Checksum", json!(sha1));
            put("sha256Checksum", json!(sha256));
            put("headRevisionId", json!(revision));
            put("originalFilename", json!(item.name));
            put("fileExtension", json!(item.extension().unwrap_or_default()));
            put(
                "fullFileExtension",
                json!(item.extension().unwrap_or_default()),
            );
            put(
                "webContentLink",
                json!(format!(
                    "https://drive.google.com/uc?id={}&export=download",
                    item.id
                )),
            );
        }
        Content::Native(_) => {
            let formats = kind::exports_of(&item.mime_type);
            if !formats.is_empty() {
                // What the document takes up, which is not the size of any export.
                put("size", json!("1024"));
                let links: Map<_, _> = formats
                    .iter()
                    .map(|format| {
                        let link = format!(
                            "https://docs.google.com/feeds/download/export?id={}&exportFormat={format}",
                            item.id
                        );
                        ((*format).to_owned(), json!(link))
                    })
                    .collect();
                put("exportLinks", json!(links));
            }
            put("quotaBytesUsed", json!("1024"));
        }
        Content::Folder => put("quotaBytesUsed", json!("0")),
        Content::Shortcut {
            target,
            mime_type,
            resource_key,
        } => {
            let mut details = json!({"targetId": target, "targetMimeType": mime_type});
            if let Some(key) = resource_key {
                details["targetResourceKey"] = json!(key);
            }
            put("shortcutDetails", details);
            put("quotaBytesUsed", json!("0"));
        }
    }
}

fn link(item: &Item) -> String {
    let id = &item.id;
    let editor = |kind: &str| format!("https://docs.google.com/{kind}/d/{id}/edit?usp=drivesdk");
    match item.mime_type.strip_prefix("application/vnd.google-apps.") {
        Some("folder") => format!("https://drive.google.com/drive/folders/{id}"),
        Some("document") => editor("document"),
        Some("spreadsheet") => editor("spreadsheets"),
        Some("presentation") => editor("presentation"),
        Some("drawing") => editor("drawings"),
        Some("form") => editor("forms"),
        _ => format!("https://drive.google.com/file/d/{id}/view?usp=drivesdk"),
    }
}

fn capabilities(state: &State, item: &Item, role: Role) -> Value {
    let folder = item.is_folder();
    let in_drive = item.drive.is_some();
    let writes = role >= Role::Writer;
    let arranges = role >= Role::FileOrganizer;
    let downloads = state.tree.may_download(item, role);
    let removes = if in_drive {
        role >= Role::Organizer
    } else {
        role == Role::Owner
    };
    json!({
        "canAddChildren": folder && writes,
        "canComment": role >= Role::Commenter,
        "canCopy": !folder && downloads,
        "canDelete": removes,
        "canDownload": downloads,
        "canEdit": writes,
        "canListChildren": folder,
        "canModifyContent": writes,
        "canMoveItemWithinDrive": if in_drive { arranges } else { writes },
        "canMoveItemOutOfDrive": if in_drive { removes } else { writes },
        "canReadDrive": in_drive && role >= Role::Reader,
        "canReadRevisions": !folder && writes,
        "canRename": writes,
        "canShare": writes,
        "canTrash": if in_drive { arranges } else { removes },
        "canUntrash": if in_drive { arranges } else { removes },
    })
}

/// A shared drive as a member of this role sees it.
pub(super) fn drive(state: &State, id: &str, role: Role) -> Value {
    let Some(drive) = state.tree.drives.get(id) else {
        return Value::Null;
    };
    let organizes = role >= Role::Organizer;
    let arranges = role >= Role::FileOrganizer;
    let writes = role >= Role::Writer;
    let downloads = writes || !drive.restrictions.copy_requires_writer_permission;
    json!({
        "kind": "drive#drive",
        "id": id,
        "name": drive.name,
        "createdTime": time(drive.created),
        "hidden": false,
        "colorRgb": "#0f9d58",
        "themeId": "abacus",
        "restrictions": drive.restrictions,
        "capabilities": {
            "canAddChildren": writes,
            "canChangeCopyRequiresWriterPermissionRestriction": organizes,
            "canChangeDomainUsersOnlyRestriction": organizes,
            "canChangeDriveMembersOnlyRestriction": organizes,
            "canComment": role >= Role::Commenter,
            "canCopy": downloads,
            "canDeleteChildren": organizes,
            "canDeleteDrive": organizes,
            "canDownload": downloads,
            "canEdit": writes,
            "canListChildren": true,
            "canManageMembers": organizes,
            "canReadRevisions": writes,
            "canRename": writes,
            "canRenameDrive": organizes,
            "canShare": writes,
            "canTrashChildren": arranges,
        },
    })
}
