//! `about.get`: who the caller is, and what documents can be exported to.

use serde_json::{Map, Value, json};

use super::super::call::Call;
use super::super::tree::kind;
use super::super::world::State;
use super::paint;

pub(super) fn get(call: &Call, state: &State) -> Value {
    let formats: Map<_, _> = kind::EXPORTS
        .iter()
        .map(|(kind, formats)| (kind::native(kind), json!(formats)))
        .collect();
    json!({
        "kind": "drive#about",
        "user": paint::user(&state.directory, &call.who.email, &call.who.email),
        "storageQuota": {"limit": "16106127360", "usage": "0", "usageInDrive": "0", "usageInDriveTrash": "0"},
        "exportFormats": formats,
        "importFormats": {"text/plain": [kind::native("document")]},
        "maxImportSizes": {kind::native("document"): "10485760"},
        "maxUploadSize": "5242880000000",
        "appInstalled": false,
        "canCreateDrives": true,
        "canCreateTeamDrives": true,
        "folderColorPalette": ["#ac725e", "#d06b64"],
    })
}
