//! `SharePoint` and `OneDrive`: settings and credentials.

use std::fmt;

use serde_json::{Map, Value};
use url::Url;

use super::credentials::{CredentialField, CredentialForm, Part, Values};
use super::grammar::{self, ID, SECRET, TEXT, expect};
use super::{Audience, CredentialType, Labels, insert};
use crate::input::{Length, Reader};
use crate::secret::SecretString;

/// Settings of a `SharePoint` or `OneDrive` connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharePointConfig {
    /// The site: its address (`https://contoso.sharepoint.com/sites/Team`) or its identifier
    /// (`contoso.sharepoint.com,{GUID},{GUID}`). Up to 1024 characters.
    pub site_id: Option<String>,
    /// The document library or drive: 1 to 256 of `A-Z a-z 0-9 ! _ -`.
    pub drive_id: Option<String>,
    /// A folder inside the drive, its names between slashes. Up to 1024 characters, no `.` or `..` among the names.
    pub folder_path: Option<String>,
    /// What a read repeats.
    pub labels: Labels,
}

/// The separate installations of Microsoft 365, each with its own sign-in and API hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MicrosoftCloud {
    /// The one that nearly everyone is in.
    Global,
    /// United States government, sites under `sharepoint.us`.
    UsGovernment,
    /// United States department of defence, sites under `sharepoint-mil.us`.
    UsDefence,
    /// China, sites under `sharepoint.cn`.
    China,
}

impl MicrosoftCloud {
    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::UsGovernment => "us_government",
            Self::UsDefence => "us_defence",
            Self::China => "china",
        }
    }
}

impl SharePointConfig {
    pub(super) fn read(reader: &mut Reader, labels: Labels) -> Self {
        Self {
            site_id: grammar::text(reader, "site_id", TEXT, site_id),
            drive_id: grammar::text(reader, "drive_id", ID, drive_id),
            folder_path: grammar::text(reader, "folder_path", TEXT, folder_path),
            labels,
        }
    }

    pub(super) fn write(&self, json: &mut Map<String, Value>) {
        insert(json, "site_id", self.site_id.as_deref());
        insert(json, "drive_id", self.drive_id.as_deref());
        insert(json, "folder_path", self.folder_path.as_deref());
    }

    /// The cloud that the site's host belongs to; the global one when no site is named.
    pub fn cloud(&self) -> MicrosoftCloud {
        let site = self
            .site_id
            .as_deref()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let site = site.strip_prefix("https://").unwrap_or(&site);
        let host = site.split([',', '/']).next().unwrap_or_default();
        if host.ends_with(".sharepoint.us") {
            MicrosoftCloud::UsGovernment
        } else if host.ends_with(".sharepoint-mil.us") {
            MicrosoftCloud::UsDefence
        } else if host.ends_with(".sharepoint.cn") {
            MicrosoftCloud::China
        } else {
            MicrosoftCloud::Global
        }
    }

    /// Microsoft, in one cloud. The tenant is part of the credentials' identity.
    pub(super) fn audience(&self) -> Audience {
        Audience::of(&["microsoft", self.cloud().as_str()])
    }
}

/// Credentials of a `SharePoint` or `OneDrive` connection.
pub enum SharePointCredentials {
    /// An application that acts for itself.
    ClientCredentials {
        /// The directory: a GUID or a domain name, in lower case.
        tenant_id: String,
        /// The application: a GUID in lower case.
        client_id: String,
        /// The application's secret.
        client_secret: SecretString,
    },
    /// An application that acts for a person who consented.
    Delegated {
        /// The directory: a GUID, a domain name, `common`, `organizations` or `consumers`, in lower case.
        tenant_id: String,
        /// The application: a GUID in lower case.
        client_id: String,
        /// The application's secret.
        client_secret: SecretString,
        /// What access tokens are had for.
        refresh_token: SecretString,
    },
}

const TENANT: Length = Length::new(1, 253);

pub(super) const FORMS: &[CredentialForm] = &[
    CredentialForm {
        kind: CredentialType::ClientCredentials,
        fields: &[
            CredentialField::new("tenant_id", Part::Identity, TENANT, tenant)
                .normalised(grammar::in_lower_case),
            CredentialField::new("client_id", Part::Identity, ID, grammar::guid)
                .normalised(grammar::in_lower_case),
            CredentialField::new("client_secret", Part::Proof, SECRET, grammar::one_line),
        ],
    },
    CredentialForm {
        kind: CredentialType::Delegated,
        fields: &[
            CredentialField::new("tenant_id", Part::Identity, TENANT, tenant_or_any)
                .normalised(grammar::in_lower_case),
            CredentialField::new("client_id", Part::Identity, ID, grammar::guid)
                .normalised(grammar::in_lower_case),
            CredentialField::new("client_secret", Part::Proof, SECRET, grammar::one_line),
            CredentialField::new("refresh_token", Part::Proof, SECRET, grammar::token),
        ],
    },
];

impl SharePointCredentials {
    /// Their kind.
    pub fn credential_type(&self) -> CredentialType {
        match self {
            Self::ClientCredentials { .. } => CredentialType::ClientCredentials,
            Self::Delegated { .. } => CredentialType::Delegated,
        }
    }

    pub(super) fn from_values(kind: CredentialType, values: &mut Values) -> Option<Self> {
        let tenant_id = values.text("tenant_id")?;
        let client_id = values.text("client_id")?;
        let client_secret = values.secret("client_secret")?;
        match kind {
            CredentialType::ClientCredentials => Some(Self::ClientCredentials {
                tenant_id,
                client_id,
                client_secret,
            }),
            CredentialType::Delegated => {
                let refresh_token = values.secret("refresh_token")?;
                Some(Self::Delegated {
                    tenant_id,
                    client_id,
                    client_secret,
                    refresh_token,
                })
            }
            _ => None,
        }
    }

    pub(super) fn fields(&self) -> Vec<(&'static str, &str)> {
        let (Self::ClientCredentials {
            tenant_id,
            client_id,
            client_secret,
        }
        | Self::Delegated {
            tenant_id,
            client_id,
            client_secret,
            ..
        }) = self;
        let mut fields = vec![
            ("tenant_id", tenant_id.as_str()),
            ("client_id", client_id.as_str()),
            ("client_secret", client_secret.expose()),
        ];
        if let Self::Delegated { refresh_token, .. } = self {
            fields.push(("refresh_token", refresh_token.expose()));
        }
        fields
    }
}

impl fmt::Debug for SharePointCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharePointCredentials({})", self.credential_type())
    }
}

fn tenant(text: &str) -> Result<(), &'static str> {
    let sound = grammar::is_guid(text) || grammar::is_domain_name(text);
    expect(
        sound,
        "must be the directory's GUID or one of its domain names",
    )
}

fn tenant_or_any(text: &str) -> Result<(), &'static str> {
    let sound = matches!(text, "common" | "organizations" | "consumers") || tenant(text).is_ok();
    expect(
        sound,
        "must be the directory's GUID, one of its domain names, common, organizations or consumers",
    )
}

/// A site's address, or `host,GUID,GUID`.
fn site_id(text: &str) -> Result<(), &'static str> {
    let sound = if text.contains("://") {
        is_site_address(text)
    } else {
        is_site_identifier(text)
    };
    expect(
        sound,
        "must be a site's address, as in https://contoso.sharepoint.com/sites/Team, or its identifier, as in \
         contoso.sharepoint.com,GUID,GUID",
    )
}

fn is_site_identifier(text: &str) -> bool {
    let parts: Vec<&str> = text.split(',').collect();
    matches!(parts.as_slice(), [host, collection, web]
        if grammar::is_domain_name(host) && grammar::is_guid(collection) && grammar::is_guid(web))
}

/// Only what a site's address can hold: escapes for spaces and letters beyond ASCII, none that hide a separator or dot.
fn is_site_address(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else {
        return false;
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let escapes_are_plain = path.split('%').skip(1).all(|after| {
        let byte = after
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| byte == b' ' || byte >= 0x80)
    });
    let of_a_path = |c: char| c.is_alphanumeric() || " /_.-~!$&'()+,;=%".contains(c);
    grammar::is_domain_name(host)
        && path.chars().all(of_a_path)
        && escapes_are_plain
        && !path.split('/').any(is_dot_segment)
        && Url::parse(text).is_ok()
}

fn drive_id(text: &str) -> Result<(), &'static str> {
    let sound = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"!_-".contains(&b));
    expect(
        sound,
        "must consist of letters, digits, !, _ and -, as in b!abc123",
    )
}

fn folder_path(text: &str) -> Result<(), &'static str> {
    grammar::one_line(text)?;
    expect(
        !text.contains('\\'),
        "must separate names by /, not by a backslash",
    )?;
    expect(
        !text.split('/').any(is_dot_segment),
        "must not contain . or .. as a name",
    )
}

fn is_dot_segment(segment: &str) -> bool {
    segment == "." || segment == ".."
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Provider;
    use super::super::tests::{
        assert_accepted, assert_refused, assert_shown, audience, parse, sample, shown_by_default,
        with,
    };
    use super::*;

    const PROVIDER: Provider = Provider::SharePoint;
    const APP: CredentialType = CredentialType::ClientCredentials;
    const PERSON: CredentialType = CredentialType::Delegated;
    const GUID: &str = "0AAAAAAA-0000-1111-2222-333333333333";

    #[test]
    fn without_settings_there_are_none_to_show() {
        for kind in [APP, PERSON] {
            assert_eq!(shown_by_default(PROVIDER, kind, json!({})), json!({}));
        }
    }

    #[test]
    fn settings_are_checked_field_by_field() {
        let identifier = format!("contoso.sharepoint.com,{GUID},{GUID}");
        let same = |key, value: &str| (key, json!(value), json!(value));
        assert_shown(
            PROVIDER,
            APP,
            &[
                same("site_id", &identifier),
                same("site_id", "https://contoso.sharepoint.com"),
                same("site_id", "https://contoso.sharepoint.com/sites/Team/"),
                same(
                    "site_id",
                    "https://contoso.sharepoint.com/sites/M%C3%BCll%20A",
                ),
                same("site_id", "https://contoso.sharepoint.com/sites/Müll"),
                same(
                    "drive_id",
                    "b!-RIj2DuyvEyV1T4NlOaMHk8XkS_I8MdFlUCq1BlcjgmhRfAj3",
                ),
                same("folder_path", "General/2024/50% #1?"),
            ],
        );
        let mut refused = vec![
            ("drive_id", json!("a".repeat(257))),
            ("folder_path", json!("a/../b")),
            ("folder_path", json!("./b")),
            ("folder_path", json!("a\\b")),
            ("folder_path", json!("a\0b")),
            ("folder_path", json!("a".repeat(1025))),
        ];
        for hostile in [
            "",
            "root",
            "contoso.sharepoint.com",
            "http://contoso.sharepoint.com",
            "https://contoso.sharepoint.com:8443/sites/x",
            "https://u@contoso.sharepoint.com/sites/x",
            "https://contoso.sharepoint.com/sites/x?y=1",
            "https://contoso.sharepoint.com/sites/x#y",
            "https://contoso.sharepoint.com/sites/../x",
            "https://contoso.sharepoint.com/sites/%2e%2e/x",
            "https://contoso.sharepoint.com/a%2fb",
            "https://contoso.sharepoint.com/a%5Cb",
            "https://contoso.sharepoint.com/a%0d%0ab",
            "https://contoso.sharepoint.com/a%",
            "https://contoso.sharepoint.com/a\\b",
            "https://contoso.sharepoint.com/a:/b",
            "https://127.0.0.1/x",
            "https://localhost/x",
            "https://contoso.sharepoint.com\n",
            "contoso.sharepoint.com,1,2",
            "contoso.sharepoint.com/x,01234567-89ab-cdef-0123-456789abcdef,01234567-89ab-cdef-0123-456789abcdef",
        ] {
            refused.push(("site_id", json!(hostile)));
        }
        for hostile in [
            "", "a/b", "..", "a?b", "a#b", "a%2fb", "a:b", "a b", "a\nb", "a@b",
        ] {
            refused.push(("drive_id", json!(hostile)));
        }
        assert_refused(PROVIDER, APP, &refused);
    }

    #[test]
    fn credentials_are_checked_field_by_field() {
        let tenant = "credentials.tenant_id";
        for kind in [APP, PERSON] {
            assert_accepted(
                PROVIDER,
                kind,
                &[
                    (tenant, json!(GUID)),
                    (tenant, json!("contoso.onmicrosoft.com")),
                    ("credentials.client_id", json!(GUID)),
                ],
            );
            let mut refused = vec![
                ("credentials.client_id", json!("app")),
                ("credentials.client_id", json!(format!("{{{GUID}}}"))),
            ];
            for hostile in [
                "",
                "contoso",
                "a/b.com",
                "a.com/x",
                "a.com?x",
                "a.com#x",
                "a@b.com",
                "a.com:80",
                "a..com",
                "a.com%2f",
                "a.com\r\n",
                "127.0.0.1",
                "a。com",
            ] {
                refused.push((tenant, json!(hostile)));
            }
            assert_refused(PROVIDER, kind, &refused);
        }
        for word in ["common", "organizations", "consumers"] {
            assert_accepted(PROVIDER, PERSON, &[(tenant, json!(word))]);
            assert_refused(PROVIDER, APP, &[(tenant, json!(word))]);
        }
        assert_refused(PROVIDER, APP, &[("credentials.refresh_token", json!("x"))]);
    }

    #[test]
    fn tenant_and_application_are_kept_in_lower_case() {
        let sample = with(sample(PROVIDER, APP), "credentials.client_id", json!(GUID));
        let sample = with(
            sample,
            "credentials.tenant_id",
            json!("Contoso.OnMicrosoft.com"),
        );
        let super::super::Credentials::SharePoint(credentials) =
            parse(PROVIDER, sample).unwrap().credentials
        else {
            panic!("SharePoint's")
        };
        let fields = credentials.fields();
        assert_eq!(fields[0], ("tenant_id", "contoso.onmicrosoft.com"));
        assert_eq!(fields[1].1, GUID.to_ascii_lowercase());
    }

    #[test]
    fn the_audience_is_the_cloud_of_the_site() {
        let global = audience(PROVIDER, "site_id", json!(null));
        assert_eq!(
            global,
            audience(
                PROVIDER,
                "site_id",
                json!("https://fabrikam.sharepoint.com/sites/x")
            )
        );
        assert_eq!(
            global,
            audience(
                PROVIDER,
                "site_id",
                json!("https://evil.example/contoso.sharepoint.us")
            )
        );
        assert_eq!(global, audience(PROVIDER, "drive_id", json!("b!other")));
        let clouds = [
            global,
            audience(
                PROVIDER,
                "site_id",
                json!("https://Contoso.SharePoint.us/sites/x"),
            ),
            audience(
                PROVIDER,
                "site_id",
                json!(format!("contoso.sharepoint-mil.us,{GUID},{GUID}")),
            ),
            audience(PROVIDER, "site_id", json!("https://contoso.sharepoint.cn")),
        ];
        for (i, cloud) in clouds.iter().enumerate() {
            assert!(!clouds[i + 1..].contains(cloud), "{cloud:?}");
        }
    }
}
