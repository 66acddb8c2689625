//! What the guard says no to, and what would change its mind.

use std::net::SocketAddr;

use crate::class::Class;

/// The guard's no: to whom, why, and what an operator could do about it.
///
/// The text is fit for tenants: a name's resolved address is not in it (it would let a tenant read the
/// inner DNS), nor is anything of a URL but host and port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{target} cannot be contacted: {reason}")]
pub struct Refusal {
    target: String,
    reason: Reason,
}

impl Refusal {
    pub(crate) fn new(target: impl Into<String>, reason: Reason) -> Self {
        Self {
            target: target.into(),
            reason,
        }
    }

    /// A refusal of a URL too broken, or too foreign, to name a host.
    pub(crate) fn of_url(reason: Reason) -> Self {
        Self::new("this URL", reason)
    }

    /// The reason, to tell cases apart.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

/// Why the guard refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It cannot be read as a URL with a host.
    #[error("it is not a complete URL such as https://storage.example.com")]
    NotAUrl,
    /// Neither http nor https.
    #[error("only http and https are spoken")]
    Scheme,
    /// A user name or a password in the URL.
    #[error("a URL must not carry a user name or a password")]
    Userinfo,
    /// A path, a query or a fragment where only an origin belongs.
    #[error("nothing may follow the host and port")]
    MoreThanAnOrigin,
    /// A name that only means something inside a network.
    #[error(
        "names without a dot, and names under .local, .internal, .svc, .lan and .home.arpa, are not looked up; use a \
         full public name, or the address with an `egress.allow` entry for it"
    )]
    InternalName,
    /// A localhost name while loopback is closed.
    #[error("it names this machine; an operator can open that with `egress.allow_loopback`")]
    LoopbackName,
    /// A port that is not open.
    #[error(
        "port {0} is not open (443, 8443 and 9000 are); an operator can open it with an `egress.allow` entry for the \
         address and port {0}"
    )]
    Port(u16),
    /// An address that is closed.
    #[error("{}", address_words(*class, entry.as_deref(), *port))]
    Address {
        /// What kind of place it is.
        class: Class,
        /// The port asked for.
        port: u16,
        /// The entry that would open it, when the address was given and not looked up.
        entry: Option<String>,
    },
    /// Plain HTTP towards an address that no operator opened.
    #[error(
        "plain HTTP is only for addresses that an operator opened; use https, or an `egress.allow` entry for the \
         address and port {0}"
    )]
    PlainHttp(u16),
    /// Unverified TLS towards an address that no operator opened.
    #[error(
        "certificates may go unverified only at addresses that an operator opened; verify them, or use an \
         `egress.allow` entry for the address and port {0}"
    )]
    UnverifiedTls(u16),
    /// An answer of the name service too long to be honest.
    #[error("its name has more addresses than the {0} that are looked at")]
    TooManyAnswers(usize),
}

impl Reason {
    pub(crate) fn closed(class: Class, addr: SocketAddr, was_given: bool) -> Self {
        Self::Address {
            class,
            port: addr.port(),
            entry: (was_given && class.can_be_allowed()).then(|| addr.to_string()),
        }
    }
}

fn address_words(class: Class, entry: Option<&str>, port: u16) -> String {
    match (class, entry) {
        (Class::Loopback, _) => {
            format!("it is {class}; an operator can open those with `egress.allow_loopback`")
        }
        (_, Some(entry)) => {
            format!(
                "it is {class}; an operator can open it with the `egress.allow` entry `{entry}`"
            )
        }
        (_, None) if class.can_be_allowed() => format!(
            "it has {class}; an operator can open that with an `egress.allow` entry for the address and port {port}"
        ),
        (_, None) => format!("it is, or resolves to, {class}, which is never opened"),
    }
}
