//! How the typed parts of a rule are written in JSON. What cannot be carried out is refused when the
//! rule is given, not ignored when it is due.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use serde::de::{Deserialize, Deserializer, Error};

pub(super) fn delay<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
}

pub(super) fn header_name<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<HeaderName>, D::Error> {
    Option::<String>::deserialize(from)?
        .map(|name| HeaderName::try_from(name).map_err(D::Error::custom))
        .transpose()
}

pub(super) fn status<'de, D: Deserializer<'de>>(from: D) -> Result<Option<StatusCode>, D::Error> {
    Option::<u16>::deserialize(from)?
        .map(|status| StatusCode::from_u16(status).map_err(D::Error::custom))
        .transpose()
}

pub(super) fn headers<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<(HeaderName, Option<HeaderValue>)>, D::Error> {
    BTreeMap::<String, Option<String>>::deserialize(from)?
        .into_iter()
        .map(|(name, value)| {
            let name = HeaderName::try_from(name).map_err(D::Error::custom)?;
            let value = value
                .map(HeaderValue::try_from)
                .transpose()
                .map_err(D::Error::custom)?;
            Ok((name, value))
        })
        .collect()
}
