//! `providers.google`: where Google answers.

use serde::Deserialize;
use wharf_google_drive::Addresses;

use super::ConfigError;

/// With less, one download would wait for minutes.
const LEAST_QUOTA: u32 = 1000;

/// Google.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GoogleSettings {
    api_url: Option<String>,
    token_url: Option<String>,
    consent_url: Option<String>,
    quota_units_per_minute: Option<u32>,
}

impl GoogleSettings {
    pub(super) fn read(&self) -> Result<Addresses, ConfigError> {
        let mut addresses = Addresses::default();
        if let Some(url) = &self.api_url {
            addresses = addresses.with_api(url).map_err(told("api_url"))?;
        }
        if let Some(url) = &self.token_url {
            addresses = addresses.with_token(url).map_err(told("token_url"))?;
        }
        if let Some(url) = &self.consent_url {
            addresses = addresses.with_consent(url).map_err(told("consent_url"))?;
        }
        match self.quota_units_per_minute {
            None => {}
            Some(units) if units >= LEAST_QUOTA => addresses = addresses.with_quota(units),
            Some(_) => {
                let message = format!(
                    "providers.google.quota_units_per_minute must be at least {LEAST_QUOTA}"
                );
                return Err(ConfigError(message));
            }
        }
        Ok(addresses)
    }
}

fn told(name: &'static str) -> impl Fn(&'static str) -> ConfigError {
    move |mistake| ConfigError(format!("providers.google.{name} {mistake}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::from_toml;

    #[test]
    fn google_s_addresses_can_be_an_operator_s() {
        let settings = "[providers.google]\napi_url = \"http://127.0.0.1:4570\"\n\
                        token_url = \"http://127.0.0.1:4570/token\"";
        let config = from_toml(settings).expect("parses");
        assert!(config.google().is_ok());
        let slow = from_toml("[providers.google]\nquota_units_per_minute = 10").expect("parses");
        assert!(slow.google().is_err());
        let wrong = "[providers.google]\napi_url = \"http://127.0.0.1:4570/drive/v2\"";
        let config = from_toml(wrong).expect("parses");
        let error = config.google().expect_err("another version").to_string();
        assert_eq!(
            error,
            "providers.google.api_url must be an origin, or end in /drive/v3"
        );
    }
}
