//! When the certificates of the other side run out, as its handshakes showed them.

use std::sync::{Arc, Mutex, PoisonError};

use hyper_rustls::MaybeHttpsStream;
use x509_parser::parse_x509_certificate;

/// Certificates that live shorter are renewed by machines every few days, so that their end announces nothing.
const SHORTEST_LIFE: i64 = 30 * 24 * 3600;

/// The earliest end of those that a client was shown, in seconds since 1970. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct CertificateEnd(Arc<Mutex<Option<i64>>>);

impl CertificateEnd {
    pub(crate) fn get(&self) -> Option<i64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the certificate of a connection. One that does not read as one says nothing; TLS has judged it already.
    pub(crate) fn note<T>(&self, connected: &MaybeHttpsStream<T>) {
        let MaybeHttpsStream::Https(stream) = connected else {
            return;
        };
        let (_, session) = stream.inner().get_ref();
        let Some([leaf, ..]) = session.peer_certificates() else {
            return;
        };
        let end = end_of(leaf);
        let mut earliest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *earliest = earliest.into_iter().chain(end).min();
    }
}

fn end_of(certificate: &[u8]) -> Option<i64> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let validity = certificate.validity();
    let end = validity.not_after.timestamp();
    let life = end.saturating_sub(validity.not_before.timestamp());
    (life >= SHORTEST_LIFE).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(days: u64) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["storage.example.com".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = params.not_before + std::time::Duration::from_secs(days * 86_400);
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_read_unless_the_certificate_lives_a_few_days_only() {
        let begin = 1_767_225_600;
        let year = certificate(365);
        assert_eq!(end_of(&year), Some(begin + 365 * 86_400));
        assert_eq!(end_of(&certificate(6)), None);
        for cut in 0..year.len() {
            end_of(&year[..cut]);
        }
        assert_eq!(end_of(b"no certificate"), None);
    }
}
