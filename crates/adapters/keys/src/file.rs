//! The key ring file: its form, and how it is read and written.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wharf_domain::Timestamp;
use wharf_domain::secret::{SecretKey, SecretString};
use wharf_ports::IdSource;
use zeroize::Zeroizing;

use crate::KeyRingFileError;
use crate::error::InvalidKeyRing;

const FORMAT: &str = "wharf-key-ring/1";
const LONGEST: u64 = 1 << 20;

/// A key ring's content, checked.
pub(crate) struct Content {
    pub(crate) primary: String,
    pub(crate) keys: Vec<(String, SecretKey)>,
    pub(crate) api_key_hash_key: SecretKey,
}

#[derive(Deserialize)]
struct Head {
    format: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    format: String,
    primary: String,
    keys: Vec<KeyForm>,
    #[serde(serialize_with = "expose", deserialize_with = "conceal")]
    api_key_hash_key: SecretString,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyForm {
    id: String,
    created_at: Timestamp,
    state: State,
    #[serde(serialize_with = "expose", deserialize_with = "conceal")]
    key: SecretString,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum State {
    /// May be the primary key.
    Active,
    /// Opens what it wrapped before, wraps nothing new.
    DecryptOnly,
}

fn expose<S: Serializer>(text: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.expose())
}

fn conceal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::new)
}

/// Reads and checks a key ring file.
pub(crate) fn read(path: &Path) -> Result<Content, KeyRingFileError> {
    let unreadable = |source| KeyRingFileError::Read {
        path: path.to_owned(),
        source,
    };
    let invalid = |reason| KeyRingFileError::Invalid {
        path: path.to_owned(),
        reason,
    };
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => KeyRingFileError::Missing {
            path: path.to_owned(),
        },
        _ => unreadable(error),
    })?;
    // Asked of the open file, so that the answer is about what is read.
    let facts = file.metadata().map_err(unreadable)?;
    if !facts.is_file() {
        return Err(unreadable(io::Error::other("it is not a file")));
    }
    let mode = facts.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyRingFileError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let room = usize::try_from(facts.len().min(LONGEST)).unwrap_or_default() + 1;
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    file.take(LONGEST + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > LONGEST {
        return Err(invalid(InvalidKeyRing::TooLong));
    }
    parse(&text).map_err(invalid)
}

fn parse(text: &[u8]) -> Result<Content, InvalidKeyRing> {
    // The parser's own words may quote the text.
    let json = |error: serde_json::Error| InvalidKeyRing::Json {
        line: error.line(),
        column: error.column(),
    };
    let head: Head = serde_json::from_slice(text).map_err(json)?;
    if head.format != FORMAT {
        return Err(InvalidKeyRing::Format { known: FORMAT });
    }
    let form: Form = serde_json::from_slice(text).map_err(json)?;
    let mut keys: Vec<(String, SecretKey)> = Vec::with_capacity(form.keys.len());
    let mut primary = None;
    for key in form.keys {
        if !is_id(&key.id) {
            return Err(InvalidKeyRing::KeyId);
        }
        if keys.iter().any(|(id, _)| *id == key.id) {
            return Err(InvalidKeyRing::DuplicateKey { id: key.id });
        }
        if key.id == form.primary {
            primary = Some(key.state);
        }
        let opened = decode(&key.key, || format!("key {:?}", key.id))?;
        keys.push((key.id, opened));
    }
    match primary {
        None => return Err(InvalidKeyRing::UnknownPrimary),
        Some(State::DecryptOnly) => {
            return Err(InvalidKeyRing::InactivePrimary { id: form.primary });
        }
        Some(State::Active) => {}
    }
    let api_key_hash_key = decode(&form.api_key_hash_key, || "api_key_hash_key".to_owned())?;
    Ok(Content {
        primary: form.primary,
        keys,
        api_key_hash_key,
    })
}

fn is_id(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn decode(text: &SecretString, name: impl FnOnce() -> String) -> Result<SecretKey, InvalidKeyRing> {
    let bytes = BASE64.decode(text.expose()).map(Zeroizing::new).ok();
    let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
    key.map(SecretKey::new)
        .ok_or_else(|| InvalidKeyRing::KeyLength { name: name() })
}

/// Writes a key ring with one fresh key: whole and durable, or not at all, and never over something else.
pub(crate) fn create(
    path: &Path,
    ids: &dyn IdSource,
    now: Timestamp,
) -> Result<(), KeyRingFileError> {
    let form = Form {
        format: FORMAT.to_owned(),
        primary: "k1".to_owned(),
        keys: vec![KeyForm {
            id: "k1".to_owned(),
            created_at: now,
            state: State::Active,
            key: fresh_key(ids),
        }],
        api_key_hash_key: fresh_key(ids),
    };
    let text = print(&form);
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    write(folder, path, &text).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyRingFileError::Exists {
            path: path.to_owned(),
        },
        _ => KeyRingFileError::Write {
            path: path.to_owned(),
            source,
        },
    })
}

fn fresh_key(ids: &dyn IdSource) -> SecretString {
    let mut bytes = Zeroizing::new([0; 32]);
    ids.fill(bytes.as_mut_slice());
    SecretString::new(BASE64.encode(bytes.as_slice()))
}

/// The form as JSON. The buffer never grows, which would leave copies behind.
fn print(form: &Form) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(4096));
    serde_json::to_writer_pretty(&mut *text, form).expect("a key ring of one key is plain JSON");
    text.push(b'\n');
    text
}

fn write(folder: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let mut draft = tempfile::Builder::new()
        .prefix(".key-ring-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    draft.write_all(text)?;
    draft.as_file().sync_all()?;
    draft.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}
