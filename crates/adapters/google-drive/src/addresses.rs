//! Where Google answers, unless an operator put something else in its place.

use url::Url;
use wharf_egress::Origin;

const API: &str = "https://www.googleapis.com";
const TOKEN: &str = "https://oauth2.googleapis.com/token";
const CONSENT: &str = "https://accounts.google.com/o/oauth2/v2/auth";

/// Of the API, below its origin.
const API_PATH: &str = "/drive/v3";
const TOKEN_PATH: &str = "/token";

/// Google's addresses: its own, or an operator's in their place (`providers.google`). What a pasted key file names is no
/// part of it.
#[derive(Debug, Clone)]
pub struct Addresses {
    api: Address,
    token: Address,
    consent: Address,
    units_per_minute: Option<u32>,
}

#[derive(Debug, Clone)]
struct Address {
    url: Url,
    is_operators: bool,
}

impl Default for Addresses {
    fn default() -> Self {
        let own = |url| Address {
            url: Url::parse(url).expect("a constant that is a URL"),
            is_operators: false,
        };
        Self {
            api: own(&[API, API_PATH].concat()),
            token: own(TOKEN),
            consent: own(CONSENT),
            units_per_minute: None,
        }
    }
}

impl Addresses {
    /// With the Drive API at this address: an origin, or one with the path `/drive/v3`. The error says what the address
    /// must be.
    pub fn with_api(mut self, url: &str) -> Result<Self, &'static str> {
        let mut url = operators(url)?;
        let path = url.path().trim_end_matches('/');
        if path.is_empty() {
            url.set_path(API_PATH);
        } else if path.ends_with(API_PATH) {
            let path = path.to_owned();
            url.set_path(&path);
        } else {
            return Err("must be an origin, or end in /drive/v3");
        }
        self.api = Address {
            url,
            is_operators: true,
        };
        Ok(self)
    }

    /// With the token service at this address; an origin stands for its path `/token`.
    pub fn with_token(mut self, url: &str) -> Result<Self, &'static str> {
        let mut url = operators(url)?;
        if url.path() == "/" {
            url.set_path(TOKEN_PATH);
        }
        self.token = Address {
            url,
            is_operators: true,
        };
        Ok(self)
    }

    /// With the pages on which people consent at this address.
    pub fn with_consent(mut self, url: &str) -> Result<Self, &'static str> {
        self.consent = Address {
            url: operators(url)?,
            is_operators: true,
        };
        Ok(self)
    }

    /// With a quota of so many units a minute and user, in place of Google's own; a get costs 5, a page of a list 100, a download
    /// 200. Where something else stands in Google's place, requests are paced only with it.
    #[must_use]
    pub fn with_quota(mut self, units_per_minute: u32) -> Self {
        self.units_per_minute = Some(units_per_minute);
        self
    }

    pub(crate) fn quota(&self) -> Option<u32> {
        self.units_per_minute
    }

    pub(crate) fn asks_google(&self) -> bool {
        !self.api.is_operators
    }

    /// Of the API, without `/` at its end.
    pub(crate) fn api(&self) -> &Url {
        &self.api.url
    }

    pub(crate) fn token(&self) -> &Url {
        &self.token.url
    }

    pub(crate) fn consent(&self) -> &Url {
        &self.consent.url
    }

    /// The origins that an operator named and Wharf itself dials. A person's browser goes to the consent pages.
    pub(crate) fn trusted(&self) -> Vec<Origin> {
        [&self.api, &self.token]
            .into_iter()
            .filter(|address| address.is_operators)
            .filter_map(|address| Origin::of(&address.url))
            .collect()
    }
}

fn operators(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "must be a URL")?;
    if Origin::of(&url).is_none() {
        return Err("must start with http:// or https:// and name a host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user or a password");
    }
    if http::Uri::try_from(url.as_str()).is_err() {
        return Err("has a path that no request can carry");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not contain a query or a fragment");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn google_s_own_addresses_are_trusted_by_nobody() {
        let addresses = Addresses::default();
        assert_eq!(
            addresses.api().as_str(),
            "https://www.googleapis.com/drive/v3"
        );
        assert_eq!(addresses.trusted(), []);
    }

    #[test]
    fn an_operator_names_an_origin_or_the_whole_address() {
        for (given, api) in [
            ("http://127.0.0.1:4570", "http://127.0.0.1:4570/drive/v3"),
            ("http://127.0.0.1:4570/", "http://127.0.0.1:4570/drive/v3"),
            (
                "http://127.0.0.1:4570/drive/v3",
                "http://127.0.0.1:4570/drive/v3",
            ),
            (
                "http://127.0.0.1:4570/drive/v3/",
                "http://127.0.0.1:4570/drive/v3",
            ),
            (
                "https://proxy.example.com/google/drive/v3",
                "https://proxy.example.com/google/drive/v3",
            ),
        ] {
            let addresses = Addresses::default().with_api(given).unwrap();
            assert_eq!(addresses.api().as_str(), api);
            assert_eq!(addresses.trusted().len(), 1);
        }
        for (given, token) in [
            ("http://127.0.0.1:4570", "http://127.0.0.1:4570/token"),
            (
                "http://127.0.0.1:4570/oauth2/token",
                "http://127.0.0.1:4570/oauth2/token",
            ),
        ] {
            let addresses = Addresses::default().with_token(given).unwrap();
            assert_eq!(addresses.token().as_str(), token);
        }
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        for given in [
            "",
            "127.0.0.1:4570",
            "ftp://127.0.0.1",
            "http://user@127.0.0.1",
            "http://127.0.0.1/?a=b",
            "http://127.0.0.1/#a",
            "http://127.0.0.1/drive/v2",
        ] {
            assert!(Addresses::default().with_api(given).is_err(), "{given}");
        }
    }
}
