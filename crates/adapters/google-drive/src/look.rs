//! One file, asked about by its id.

use wharf_domain::filter::ExportFormats;
use wharf_ports::{Looked, ProviderError};

use crate::entry::{dangling, entry_of};
use crate::error::{Call, Fault};
use crate::export::{Form, form};
use crate::listing::{Target, target};
use crate::metadata::metadata;
use crate::reach::Reach;
use crate::remote::RemoteFile;
use crate::source::{Scope, is_id};
use crate::tree::Standing;

/// What Drive tells of a file of the source, or that there is none.
pub(crate) async fn look(
    reach: &Reach,
    source_path: &str,
    object: &str,
) -> Result<Option<Looked>, ProviderError> {
    // What could be no id is none.
    if !is_id(object) {
        return Ok(None);
    }
    let scope = Scope::parse(source_path);
    let looked = look_in(reach, &scope, object).await;
    looked.map_err(|fault| fault.during(&Call::new("drive.files.get").on(object)))
}

async fn look_in(reach: &Reach, scope: &Scope, object: &str) -> Result<Option<Looked>, Fault> {
    let home = reach.home(&scope.path).await?;
    let Some(file) = reach.file(object).await? else {
        return Ok(None);
    };
    if file.trashed || file.is_folder() {
        return Ok(None);
    }
    let standing = reach.standing(&home, object, &file.parents).await?;
    let Standing::Inside { place, name } = standing else {
        return Ok(None);
    };
    let entry = match target(reach, &file).await? {
        Target::Itself => {
            let name = name.as_ref().unwrap_or(&file.name);
            entry_of(&file, name, &place, &scope.export_formats)
        }
        Target::Nowhere => dangling(&file, &place),
        // What it leads to has an id of its own.
        Target::File(_) | Target::Folder(_) => return Ok(None),
    };
    reach.note_file(&file);
    Ok(Some(Looked {
        entry,
        content_type: content_type(&file, &scope.export_formats),
        metadata: metadata(&file),
        version_id: file.head_revision_id.clone(),
    }))
}

/// The type of the bytes that come of a file.
pub(crate) fn content_type(file: &RemoteFile, formats: &ExportFormats) -> Option<String> {
    match form(file, formats) {
        Form::Exported(export) | Form::Prepared(export) => Some(export.mime_type.to_owned()),
        Form::Bytes | Form::None => {
            Some(file.mime_type.clone()).filter(|mime_type| !mime_type.is_empty())
        }
    }
}
