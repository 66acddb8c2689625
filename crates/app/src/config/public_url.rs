//! `public_url`: where browsers and providers reach this server.

use std::net::IpAddr;

use wharf_domain::provider::{EndpointUrl, Scheme};

use super::ConfigError;

/// Reads the address. What passes along it are grants and words that authenticate, so that it is `https`, except on the machine
/// itself.
pub(super) fn read(text: &str) -> Result<EndpointUrl, ConfigError> {
    let usable = |url: &EndpointUrl| url.scheme() == Scheme::Https || is_loopback(url.host());
    let url = EndpointUrl::parse(text).ok().filter(usable);
    url.ok_or_else(|| {
        let message = "public_url must be https://, a host and perhaps a port, without a path, as in https://wharf.example.net; http:// \
                       is for loopback addresses only";
        ConfigError(message.to_owned())
    })
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_https_or_the_machine_itself() {
        for (text, read_as) in [
            ("https://wharf.example.net", "https://wharf.example.net"),
            (
                "https://wharf.example.net:8443/",
                "https://wharf.example.net:8443",
            ),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://localhost:8080", "http://localhost:8080"),
        ] {
            assert_eq!(read(text).expect(text).to_string(), read_as);
        }
        for text in [
            "",
            "wharf.example.net",
            "http://wharf.example.net",
            "http://localhost.example.net",
            "https://wharf.example.net/path",
            "https://user@wharf.example.net",
            "ftp://127.0.0.1",
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.starts_with("public_url must be https://"), "{error}");
        }
    }
}
