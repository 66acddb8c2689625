//! The methods of Drive v3 that the lab serves.

use super::{Method, Parameter, ParameterKind};
use crate::operation::Operation;

const fn text(name: &'static str) -> Parameter {
    Parameter {
        name,
        kind: ParameterKind::Text,
        required: false,
    }
}

const fn needed(name: &'static str) -> Parameter {
    Parameter {
        name,
        kind: ParameterKind::Text,
        required: true,
    }
}

const fn flag(name: &'static str) -> Parameter {
    Parameter {
        name,
        kind: ParameterKind::Flag,
        required: false,
    }
}

const fn up_to(name: &'static str, most: usize) -> Parameter {
    Parameter {
        name,
        kind: ParameterKind::UpTo(most),
        required: false,
    }
}

const METADATA: &[&str] = &[
    "drive",
    "drive.appdata",
    "drive.file",
    "drive.meet.readonly",
    "drive.metadata",
    "drive.metadata.readonly",
    "drive.photos.readonly",
    "drive.readonly",
];
const ABOUT: &[&str] = &[
    "drive",
    "drive.appdata",
    "drive.file",
    "drive.metadata",
    "drive.metadata.readonly",
    "drive.photos.readonly",
    "drive.readonly",
];
const CONTENT: &[&str] = &[
    "drive",
    "drive.file",
    "drive.meet.readonly",
    "drive.readonly",
];
const DOWNLOAD: &[&str] = &["drive", "drive.file", "drive.readonly"];
const DRIVES: &[&str] = &["drive", "drive.readonly"];

const CHANGES: &[Parameter] = &[
    text("driveId"),
    flag("includeCorpusRemovals"),
    flag("includeItemsFromAllDrives"),
    text("includeLabels"),
    text("includePermissionsForView"),
    flag("includeRemoved"),
    flag("includeTeamDriveItems"),
    up_to("pageSize", 1000),
    needed("pageToken"),
    flag("restrictToMyDrive"),
    text("spaces"),
    flag("supportsAllDrives"),
    flag("supportsTeamDrives"),
    text("teamDriveId"),
];

/// The methods.
pub const METHODS: &[Method] = &[
    Method {
        id: "drive.about.get",
        http: "GET",
        path: "about",
        parameters: &[],
        response: Some("About"),
        default_fields: None,
        media: false,
        scopes: ABOUT,
        operation: Operation::DriveAbout,
    },
    Method {
        id: "drive.files.list",
        http: "GET",
        path: "files",
        parameters: &[
            text("corpora"),
            text("corpus"),
            text("driveId"),
            flag("includeItemsFromAllDrives"),
            text("includeLabels"),
            text("includePermissionsForView"),
            flag("includeTeamDriveItems"),
            text("orderBy"),
            up_to("pageSize", 1000),
            text("pageToken"),
            text("q"),
            text("spaces"),
            flag("supportsAllDrives"),
            flag("supportsTeamDrives"),
            text("teamDriveId"),
        ],
        response: Some("FileList"),
        default_fields: Some(
            "kind,incompleteSearch,nextPageToken,files(kind,id,name,mimeType,driveId,teamDriveId,resourceKey)",
        ),
        media: false,
        scopes: METADATA,
        operation: Operation::DriveFilesList,
    },
    Method {
        id: "drive.files.get",
        http: "GET",
        path: "files/{fileId}",
        parameters: &[
            flag("acknowledgeAbuse"),
            text("includeLabels"),
            text("includePermissionsForView"),
            flag("supportsAllDrives"),
            flag("supportsTeamDrives"),
        ],
        response: Some("File"),
        default_fields: Some("kind,id,name,mimeType,driveId,teamDriveId,resourceKey"),
        media: true,
        scopes: METADATA,
        operation: Operation::DriveFilesGet,
    },
    Method {
        id: "drive.files.export",
        http: "GET",
        path: "files/{fileId}/export",
        parameters: &[needed("mimeType")],
        response: None,
        default_fields: None,
        media: true,
        scopes: CONTENT,
        operation: Operation::DriveFilesExport,
    },
    Method {
        id: "drive.files.download",
        http: "POST",
        path: "files/{fileId}/download",
        parameters: &[text("mimeType"), text("revisionId")],
        response: Some("Operation"),
        default_fields: Some("*"),
        media: false,
        scopes: DOWNLOAD,
        operation: Operation::DriveFilesDownload,
    },
    Method {
        id: "drive.operations.get",
        http: "GET",
        path: "operations/{name}",
        parameters: &[],
        response: Some("Operation"),
        default_fields: Some("*"),
        media: false,
        scopes: CONTENT,
        operation: Operation::DriveOperationsGet,
    },
    Method {
        id: "drive.drives.list",
        http: "GET",
        path: "drives",
        parameters: &[
            up_to("pageSize", 100),
            text("pageToken"),
            text("q"),
            flag("useDomainAdminAccess"),
        ],
        response: Some("DriveList"),
        default_fields: Some("kind,nextPageToken,drives(kind,id,name)"),
        media: false,
        scopes: DRIVES,
        operation: Operation::DriveDrivesList,
    },
    Method {
        id: "drive.drives.get",
        http: "GET",
        path: "drives/{driveId}",
        parameters: &[flag("useDomainAdminAccess")],
        response: Some("Drive"),
        default_fields: Some("kind,id,name"),
        media: false,
        scopes: DRIVES,
        operation: Operation::DriveDrivesGet,
    },
    Method {
        id: "drive.changes.getStartPageToken",
        http: "GET",
        path: "changes/startPageToken",
        parameters: &[
            text("driveId"),
            flag("supportsAllDrives"),
            flag("supportsTeamDrives"),
            text("teamDriveId"),
        ],
        response: Some("StartPageToken"),
        default_fields: Some("*"),
        media: false,
        scopes: METADATA,
        operation: Operation::DriveStartPageToken,
    },
    Method {
        id: "drive.changes.list",
        http: "GET",
        path: "changes",
        parameters: CHANGES,
        response: Some("ChangeList"),
        default_fields: Some(
            "kind,nextPageToken,newStartPageToken,changes(kind,type,changeType,time,removed,fileId,driveId,teamDriveId,file(kind,id,name,mimeType,driveId,teamDriveId,resourceKey),drive(kind,id,name))",
        ),
        media: false,
        scopes: METADATA,
        operation: Operation::DriveChangesList,
    },
    Method {
        id: "drive.changes.watch",
        http: "POST",
        path: "changes/watch",
        parameters: CHANGES,
        response: Some("Channel"),
        default_fields: Some("*"),
        media: false,
        scopes: METADATA,
        operation: Operation::DriveChangesWatch,
    },
    Method {
        id: "drive.channels.stop",
        http: "POST",
        path: "channels/stop",
        parameters: &[],
        response: None,
        default_fields: None,
        media: false,
        scopes: METADATA,
        operation: Operation::DriveChannelsStop,
    },
];
