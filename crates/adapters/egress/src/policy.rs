//! Where Wharf may go. Pure: it judges URLs and addresses, and never looks anything up.

use std::net::SocketAddr;

use url::{Host, Url};

use crate::allow::AllowEntry;
use crate::class::{Class, classify};
use crate::endpoint::{Endpoint, Origin, Scheme};
use crate::refusal::{Reason, Refusal};
use crate::tls::TlsMode;

/// Ports open on public addresses without an operator's word: https, its alternative, object stores, and
/// http, which needs an opened address anyway.
const OPEN_PORTS: [u16; 4] = [443, 8443, 9000, 80];

/// Endings of names that only mean something inside a network.
const INTERNAL_SUFFIXES: [&str; 5] = [".local", ".internal", ".svc", ".lan", ".home.arpa"];

/// What an operator decided about outbound traffic. The default is the strictest.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Ranges and ports an operator opened (`egress.allow`).
    pub allow: Vec<AllowEntry>,
    /// Opens this machine itself, on every port (`egress.allow_loopback`).
    pub allow_loopback: bool,
    /// Origins an operator put in a provider's place (`providers.*.…_url`): their addresses pass even when
    /// private or loopback. Give them only to the guard of that provider, so that tenants' own endpoints
    /// cannot borrow them.
    pub trusted_origins: Vec<Origin>,
}

/// On whose word an address passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is public: verified TLS only.
    Public,
    /// An operator opened it: plain HTTP and unverified TLS are fine, too.
    Opened,
}

impl Policy {
    /// Judges one address and port.
    pub fn verdict(&self, addr: SocketAddr) -> Result<Standing, Refusal> {
        self.standing(addr, false, true)
            .map_err(|reason| Refusal::new(addr.to_string(), reason))
    }

    /// Judges an endpoint that a tenant typed: an origin and nothing more, before anything is looked up.
    ///
    /// What passes still has its addresses judged at every dial. Use the answer's host from here on, not the
    /// text: it is what will be contacted.
    pub fn check_url(&self, url: &str) -> Result<Endpoint, Refusal> {
        // The parser forgives these, other readers of the same text may not.
        if url.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(Refusal::of_url(Reason::NotAUrl));
        }
        let url = Url::parse(url).map_err(|_| Refusal::of_url(Reason::NotAUrl))?;
        let endpoint = self.check_origin(&url)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(Refusal::new(
                endpoint.origin().authority(),
                Reason::MoreThanAnOrigin,
            ));
        }
        Ok(endpoint)
    }

    /// Judges where a request goes, whatever its path.
    pub(crate) fn check_origin(&self, url: &Url) -> Result<Endpoint, Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::of_url(Reason::Scheme));
        }
        let origin = Origin::of(url).ok_or_else(|| Refusal::of_url(Reason::NotAUrl))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::new(origin.authority(), Reason::Userinfo));
        }
        let trusted = self.trusted_origins.contains(&origin);
        let endpoint = Endpoint::new(origin, trusted);
        match (endpoint.origin().host(), endpoint.origin().literal()) {
            (_, Some(addr)) => self.admit(&endpoint, addr, TlsMode::Verified)?,
            (Host::Domain(name), None) if !trusted => self
                .check_name(name, endpoint.origin().port())
                .map_err(|reason| Refusal::new(endpoint.origin().authority(), reason))?,
            _ => {}
        }
        Ok(endpoint)
    }

    /// Judges one address on the way to an endpoint.
    pub(crate) fn admit(
        &self,
        endpoint: &Endpoint,
        addr: SocketAddr,
        tls: TlsMode,
    ) -> Result<(), Refusal> {
        let origin = endpoint.origin();
        let was_given = origin.literal().is_some();
        let refuse = |reason| Refusal::new(origin.authority(), reason);
        let standing = self
            .standing(addr, endpoint.is_trusted(), was_given)
            .map_err(refuse)?;
        match (standing, origin.scheme(), tls) {
            (Standing::Public, Scheme::Http, _) => Err(refuse(Reason::PlainHttp(addr.port()))),
            (Standing::Public, Scheme::Https, TlsMode::Unverified) => {
                Err(refuse(Reason::UnverifiedTls(addr.port())))
            }
            _ => Ok(()),
        }
    }

    fn standing(
        &self,
        addr: SocketAddr,
        trusted: bool,
        was_given: bool,
    ) -> Result<Standing, Reason> {
        let class = classify(addr.ip());
        let opened = match class {
            Class::Loopback => trusted || self.allow_loopback,
            _ if class.can_be_allowed() => {
                trusted || self.allow.iter().any(|entry| entry.covers(addr))
            }
            _ => false,
        };
        match class {
            _ if opened => Ok(Standing::Opened),
            Class::Public if OPEN_PORTS.contains(&addr.port()) => Ok(Standing::Public),
            Class::Public => Err(Reason::Port(addr.port())),
            _ => Err(Reason::closed(class, addr, was_given)),
        }
    }

    fn check_name(&self, name: &str, port: u16) -> Result<(), Reason> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.split('.').any(str::is_empty) {
            return Err(Reason::NotAUrl);
        }
        let is_localhost = name == "localhost" || name.ends_with(".localhost");
        if is_localhost && !self.allow_loopback {
            return Err(Reason::LoopbackName);
        }
        let is_internal =
            !name.contains('.') || INTERNAL_SUFFIXES.iter().any(|end| name.ends_with(end));
        if is_internal && !is_localhost {
            return Err(Reason::InternalName);
        }
        // Which address the port belongs to shows at the dial; here only whether any could have it.
        let could_be_open = self.allow_loopback
            || OPEN_PORTS.contains(&port)
            || self.allow.iter().any(|entry| entry.opens_port(port));
        if could_be_open {
            Ok(())
        } else {
            Err(Reason::Port(port))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn allowing(entries: &[&str]) -> Policy {
        Policy {
            allow: entries.iter().map(|entry| entry.parse().unwrap()).collect(),
            ..Policy::default()
        }
    }

    #[test]
    fn public_addresses_pass_on_the_open_ports_only() {
        let policy = Policy::default();
        for port in [443, 8443, 9000, 80] {
            let public = SocketAddr::from(([93, 184, 216, 34], port));
            assert_eq!(policy.verdict(public), Ok(Standing::Public));
        }
        for port in [22, 25, 5432, 6379, 8080, 0] {
            let public = SocketAddr::from(([93, 184, 216, 34], port));
            let refusal = policy.verdict(public).unwrap_err();
            assert_eq!(refusal.reason(), &Reason::Port(port));
        }
    }

    #[test]
    fn private_addresses_pass_only_by_an_entry_for_address_and_port() {
        let policy = allowing(&["10.0.0.0/8:9000", "[fd00::/8]:443", "100.64.0.0/10:*"]);
        for open in ["10.1.2.3:9000", "[fd12::1]:443", "100.64.0.1:22"] {
            assert_eq!(policy.verdict(addr(open)), Ok(Standing::Opened), "{open}");
        }
        for closed in ["10.1.2.3:443", "192.168.0.1:9000", "[fd12::1]:9000"] {
            assert!(policy.verdict(addr(closed)).is_err(), "{closed}");
        }
    }

    #[test]
    fn no_configuration_opens_what_stays_closed() {
        let mut policy = allowing(&["0.0.0.0/0:*", "[::/0]:*"]);
        policy.allow_loopback = true;
        for closed in [
            "169.254.169.254:80",
            "169.254.1.1:443",
            "168.63.129.16:80",
            "100.100.100.200:80",
            "0.0.0.0:443",
            "224.0.0.1:443",
            "255.255.255.255:443",
            "192.0.2.1:443",
            "198.18.0.1:443",
            "[fd00:ec2::254]:80",
            "[fe80::1]:443",
            "[::ffff:10.0.0.1]:443",
            "[64:ff9b::a00:1]:443",
            "[2002:a00:1::]:443",
            "[::]:443",
        ] {
            assert!(policy.verdict(addr(closed)).is_err(), "{closed}");
        }
        assert_eq!(policy.verdict(addr("10.0.0.1:22")), Ok(Standing::Opened));
    }

    #[test]
    fn loopback_has_its_own_switch_and_then_every_port() {
        let mut policy = allowing(&["0.0.0.0/0:*"]);
        assert!(policy.verdict(addr("127.0.0.1:443")).is_err());
        policy.allow_loopback = true;
        assert_eq!(
            policy.verdict(addr("127.0.0.1:31337")),
            Ok(Standing::Opened)
        );
        assert_eq!(policy.verdict(addr("[::1]:31337")), Ok(Standing::Opened));
        assert!(policy.check_url("http://localhost:31337").is_ok());
        assert!(policy.check_url("http://lab.localhost:31337/").is_ok());
        assert!(policy.check_url("http://127.0.0.1:31337").is_ok());
    }

    #[test]
    fn dots_at_the_end_make_no_other_name() {
        for closed in [
            "https://localhost..",
            "https://intranet...",
            "https://a.internal..",
        ] {
            let refusal = Policy::default().check_url(closed).unwrap_err();
            assert_eq!(refusal.reason(), &Reason::NotAUrl, "{closed}: {refusal}");
        }
    }

    #[test]
    fn a_trusted_origin_may_be_private_or_loopback_but_never_metadata() {
        let policy = Policy {
            trusted_origins: [
                "http://graph:8080/v1.0",
                "http://127.0.0.1:4010",
                "http://169.254.169.254",
            ]
            .map(|url| url.parse().unwrap())
            .to_vec(),
            ..Policy::default()
        };
        let graph = policy.check_url("http://graph:8080").unwrap();
        assert!(graph.is_trusted());
        for passes in ["10.0.0.1:8080", "127.0.0.1:8080", "93.184.216.34:8080"] {
            assert_eq!(
                policy.admit(&graph, addr(passes), TlsMode::Unverified),
                Ok(())
            );
        }
        assert!(
            policy
                .admit(&graph, addr("169.254.169.254:8080"), TlsMode::Verified)
                .is_err()
        );
        assert!(policy.check_url("http://127.0.0.1:4010").is_ok());
        for other in [
            "http://127.0.0.1:4011",
            "https://127.0.0.1:4010",
            "http://graph:8081",
            "http://169.254.169.254",
        ] {
            assert!(policy.check_url(other).is_err(), "{other}");
        }
    }

    #[test]
    fn plain_http_and_unverified_tls_need_an_opened_address() {
        let policy = allowing(&["93.184.216.0/24:80", "93.184.216.0/24:443"]);
        let plain = policy.check_url("http://storage.example.com").unwrap();
        let secure = policy.check_url("https://storage.example.com").unwrap();
        let (opened, public) = ("93.184.216.34", "93.184.217.34");
        let judge = |endpoint: &Endpoint, ip: &str, tls| {
            let addr = SocketAddr::new(ip.parse().unwrap(), endpoint.origin().port());
            policy
                .admit(endpoint, addr, tls)
                .map_err(|refusal| refusal.reason().clone())
        };
        assert_eq!(judge(&plain, opened, TlsMode::Verified), Ok(()));
        assert_eq!(
            judge(&plain, public, TlsMode::Verified),
            Err(Reason::PlainHttp(80))
        );
        assert_eq!(judge(&secure, opened, TlsMode::Unverified), Ok(()));
        assert_eq!(
            judge(&secure, public, TlsMode::Unverified),
            Err(Reason::UnverifiedTls(443))
        );
        assert_eq!(judge(&secure, public, TlsMode::Verified), Ok(()));
        assert!(policy.check_url("http://93.184.217.34").is_err());
        assert!(policy.check_url("http://93.184.216.34").is_ok());
    }

    #[test]
    fn a_refusal_names_the_host_and_the_setting_that_would_help() {
        let policy = Policy::default();
        for (url, words) in [
            (
                "https://10.0.0.5:9000",
                &[
                    "10.0.0.5:9000",
                    "private address",
                    "`egress.allow` entry `10.0.0.5:9000`",
                ][..],
            ),
            (
                "https://[fd12::1]",
                &["[fd12::1]:443", "`egress.allow` entry `[fd12::1]:443`"],
            ),
            (
                "http://localhost:9000",
                &["localhost:9000", "egress.allow_loopback"],
            ),
            (
                "http://127.0.0.1:9000",
                &["127.0.0.1:9000", "egress.allow_loopback"],
            ),
            (
                "https://169.254.169.254",
                &["169.254.169.254:443", "metadata", "never opened"],
            ),
            ("https://minio", &["minio:443", "without a dot"]),
            (
                "https://storage.example.com:22",
                &["storage.example.com:22", "port 22", "egress.allow"],
            ),
            (
                "http://8.8.8.8",
                &["8.8.8.8:80", "plain HTTP", "egress.allow"],
            ),
        ] {
            let refusal = policy.check_url(url).unwrap_err().to_string();
            for word in words {
                assert!(refusal.contains(word), "{url}: {refusal}");
            }
        }
    }

    #[test]
    fn the_entry_a_refusal_suggests_can_be_parsed_and_opens_the_address() {
        for text in ["10.0.0.5:9000", "[fd12::1]:443", "100.64.3.4:8443"] {
            let addr = addr(text);
            let refusal = Policy::default().verdict(addr).unwrap_err();
            let Reason::Address {
                entry: Some(entry), ..
            } = refusal.reason()
            else {
                panic!("no entry in {refusal}");
            };
            assert_eq!(allowing(&[entry]).verdict(addr), Ok(Standing::Opened));
        }
    }

    #[test]
    fn a_refusal_never_repeats_what_a_url_carries_beside_its_host() {
        let policy = Policy::default();
        for url in [
            "https://hunter2:swordfish@storage.example.com",
            "https://storage.example.com/swordfish",
            "https://storage.example.com?sig=swordfish",
            "swordfish://storage.example.com",
            "https://swordfish swordfish",
        ] {
            let refusal = policy.check_url(url).unwrap_err();
            assert!(
                !format!("{refusal} {refusal:?}").contains("swordfish"),
                "{refusal}"
            );
        }
    }
}
