//! How a request can fail, kept apart by kind and told in our own words.

use std::error::Error;
use std::io;
use std::iter::successors;

use rustls::{CertificateError, InvalidMessage};

use crate::refusal::Refusal;

/// Why no answer, or only part of one, came back.
///
/// Hosts and ports are named; paths, queries, headers and whatever the other side said are not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// The guard said no; nothing was sent.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The name has no address, or the name service gave none in time.
    #[error("the name {host} could not be resolved{}", if *timed_out { " in time" } else { "" })]
    Dns {
        /// The name.
        host: String,
        /// Whether the name service was too slow.
        timed_out: bool,
    },
    /// No connection: nobody listens there, or no way leads there.
    #[error("no connection to {target}: {reason}")]
    Connect {
        /// Host and port.
        target: String,
        /// What the network said.
        reason: ConnectReason,
    },
    /// Connecting, TLS included, took too long.
    #[error("connecting to {target} took too long")]
    ConnectTimeout {
        /// Host and port.
        target: String,
    },
    /// No TLS with the other side.
    #[error("no TLS with {target}: {reason}")]
    Tls {
        /// Host and port.
        target: String,
        /// What is wrong.
        reason: TlsReason,
    },
    /// The other side went silent.
    #[error("{target} went silent {waiting}")]
    Timeout {
        /// Host and port.
        target: String,
        /// What was awaited.
        waiting: Waiting,
    },
    /// The connection broke, or what came over it was not HTTP, or not all of the body.
    #[error("the connection to {target} broke")]
    Broken {
        /// Host and port.
        target: String,
    },
    /// The caller's own request could not be sent: its body failed, or its form is wrong.
    #[error("the request to {target} could not be made")]
    Request {
        /// Host and port, or what stands in for them.
        target: String,
    },
}

/// Why TCP did not connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectReason {
    /// Nobody listens.
    #[error("the connection was refused")]
    Refused,
    /// No route, or the network is down.
    #[error("the network does not reach it")]
    Unreachable,
    /// Something else.
    #[error("the network failed")]
    Other,
}

/// Why TLS failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsReason {
    /// The certificate's time is over.
    #[error("its certificate has expired")]
    Expired,
    /// The certificate's time has not come.
    #[error("its certificate is not valid yet")]
    NotYetValid,
    /// Self-signed, or from an authority that is not public.
    #[error("its certificate comes from an unknown issuer")]
    UnknownIssuer,
    /// The certificate is for other names.
    #[error("its certificate is for another name")]
    NameMismatch,
    /// The certificate was withdrawn.
    #[error("its certificate has been revoked")]
    Revoked,
    /// Something else about the certificate.
    #[error("its certificate is not acceptable")]
    Certificate,
    /// What answers there does not speak TLS.
    #[error("it does not speak TLS on this port")]
    NotTls,
    /// It hung up during the handshake.
    #[error("it closed the connection during the handshake")]
    Closed,
    /// It turned the handshake down.
    #[error("it turned the handshake down")]
    Declined,
    /// Both sides speak TLS, with nothing in common.
    #[error("it shares no TLS version or cipher with us")]
    Incompatible,
    /// Something else.
    #[error("the handshake failed")]
    Other,
}

/// What a timeout waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Waiting {
    /// The head of the answer, or room to send the rest of the request.
    #[error("before it answered")]
    Headers,
    /// More bytes of the answer.
    #[error("in the middle of its answer")]
    Body,
}

impl EgressError {
    /// Finds this error inside another, however deep: HTTP stacks and SDKs wrap what their connector said.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        chain(error).find_map(<dyn Error>::downcast_ref)
    }

    pub(crate) fn connect(target: &str, kind: io::ErrorKind) -> Self {
        let target = target.to_owned();
        let reason = match kind {
            io::ErrorKind::TimedOut => return Self::ConnectTimeout { target },
            io::ErrorKind::ConnectionRefused => ConnectReason::Refused,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable => ConnectReason::Unreachable,
            _ => ConnectReason::Other,
        };
        Self::Connect { target, reason }
    }

    /// What an error while connecting means, once TCP stood.
    pub(crate) fn handshake(target: &str, error: &(dyn Error + 'static)) -> Self {
        if let Some(own) = Self::find(error) {
            return own.clone();
        }
        let reason = match chain(error).find_map(<dyn Error>::downcast_ref) {
            Some(tls) => TlsReason::of(tls),
            None if chain(error).any(<dyn Error>::is::<io::Error>) => TlsReason::Closed,
            None => TlsReason::Other,
        };
        Self::Tls {
            target: target.to_owned(),
            reason,
        }
    }

    /// What an error while sending or receiving means.
    pub(crate) fn exchange(target: &str, error: &(dyn Error + 'static)) -> Self {
        let target = target.to_owned();
        // First, because a request body may itself be fed from another guarded connection.
        let hyper = chain(error).find_map(<dyn Error>::downcast_ref::<hyper::Error>);
        if hyper.is_some_and(hyper::Error::is_user) {
            return Self::Request { target };
        }
        if let Some(own) = Self::find(error) {
            return own.clone();
        }
        match chain(error).find_map(<dyn Error>::downcast_ref) {
            Some(tls) => Self::Tls {
                target,
                reason: TlsReason::of(tls),
            },
            None => Self::Broken { target },
        }
    }
}

impl TlsReason {
    fn of(error: &rustls::Error) -> Self {
        use CertificateError as Cert;
        match error {
            rustls::Error::InvalidCertificate(certificate) => match certificate {
                Cert::Expired | Cert::ExpiredContext { .. } => Self::Expired,
                Cert::NotValidYet | Cert::NotValidYetContext { .. } => Self::NotYetValid,
                Cert::UnknownIssuer => Self::UnknownIssuer,
                Cert::NotValidForName | Cert::NotValidForNameContext { .. } => Self::NameMismatch,
                Cert::Revoked => Self::Revoked,
                _ => Self::Certificate,
            },
            rustls::Error::NoCertificatesPresented => Self::Certificate,
            rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => Self::NotTls,
            rustls::Error::AlertReceived(_) => Self::Declined,
            rustls::Error::PeerIncompatible(_) => Self::Incompatible,
            _ => Self::Other,
        }
    }
}

/// An error and everything beneath it. What an `io::Error` wraps is beneath it, too, which its own `source`
/// steps over.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal() -> EgressError {
        EgressError::from(
            crate::Policy::default()
                .check_url("http://127.0.0.1")
                .unwrap_err(),
        )
    }

    #[test]
    fn an_error_is_found_under_layers_of_others() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] Box<dyn Error + Send + Sync>);

        let wrapped = Outer(io::Error::other(io::Error::other(Outer(refusal().into()))).into());
        assert_eq!(EgressError::find(&wrapped), Some(&refusal()));
        assert_eq!(EgressError::exchange("h:1", &wrapped), refusal());
        assert_eq!(EgressError::handshake("h:1", &wrapped), refusal());
        assert_eq!(EgressError::find(&Outer("else".into())), None);
    }

    #[test]
    fn tls_failures_are_told_apart() {
        let rows = [
            (
                rustls::Error::from(CertificateError::Expired),
                TlsReason::Expired,
            ),
            (CertificateError::NotValidYet.into(), TlsReason::NotYetValid),
            (
                CertificateError::UnknownIssuer.into(),
                TlsReason::UnknownIssuer,
            ),
            (
                CertificateError::NotValidForName.into(),
                TlsReason::NameMismatch,
            ),
            (CertificateError::Revoked.into(), TlsReason::Revoked),
            (CertificateError::BadEncoding.into(), TlsReason::Certificate),
            (InvalidMessage::InvalidContentType.into(), TlsReason::NotTls),
            (rustls::Error::DecryptError, TlsReason::Other),
        ];
        for (error, reason) in rows {
            let wrapped = io::Error::other(io::Error::other(error));
            let expected = EgressError::Tls {
                target: "h:1".into(),
                reason,
            };
            assert_eq!(EgressError::handshake("h:1", &wrapped), expected);
        }
        let hung_up = io::Error::other(io::Error::from(io::ErrorKind::UnexpectedEof));
        let text = EgressError::handshake("h:1", &hung_up).to_string();
        assert_eq!(
            text,
            "no TLS with h:1: it closed the connection during the handshake"
        );
    }
}
