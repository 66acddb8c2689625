//! TLS: rustls on aws-lc-rs with the public web's roots, or, where an operator opened the address, none.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme,
    WantsVerifier,
};

/// Whether the other side has to prove its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// It has to: a certificate for the name, from a public authority.
    #[default]
    Verified,
    /// Any certificate will do. Works only towards addresses that an operator opened.
    Unverified,
}

impl TlsMode {
    pub(crate) fn config(self) -> ClientConfig {
        match self {
            Self::Verified => trusting(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()),
            Self::Unverified => {
                // Named here and below, so that nothing depends on a process-wide choice.
                let crypto = Arc::new(aws_lc_rs::default_provider());
                with_crypto(Arc::clone(&crypto))
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(AnyCertificate(crypto)))
                    .with_no_client_auth()
            }
        }
    }
}

fn trusting(roots: RootCertStore) -> ClientConfig {
    with_crypto(Arc::new(aws_lc_rs::default_provider()))
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn with_crypto(crypto: Arc<CryptoProvider>) -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs speaks the default versions of TLS")
}

/// Takes every certificate, but still has the other side prove that it holds the key of the one it shows.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{CertificateError, ClientConnection, ServerConfig, ServerConnection};

    use super::*;
    use crate::error::{EgressError, TlsReason};

    /// A server with its own certificate for one name, and a client that trusts the issuer.
    fn server_named(name: &str) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        let own = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own.cert.der().clone()).unwrap();
        (Arc::new(server), Arc::new(trusting(roots)))
    }

    fn handshake(
        asked: &'static str,
        (server, client): (Arc<ServerConfig>, Arc<ClientConfig>),
    ) -> Result<(), rustls::Error> {
        let mut client = ClientConnection::new(client, asked.try_into().unwrap()).unwrap();
        let mut server = ServerConnection::new(server).unwrap();
        while client.is_handshaking() {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }

    #[test]
    fn a_trusted_certificate_for_another_name_is_refused() {
        let name = "storage.example.com";
        assert_eq!(handshake(name, server_named(name)), Ok(()));
        let error = handshake(name, server_named("other.example.com")).unwrap_err();
        assert!(matches!(
            error,
            rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })
        ));
        let told = EgressError::handshake("h:443", &std::io::Error::other(error));
        let reason = TlsReason::NameMismatch;
        let target = "h:443".to_owned();
        assert_eq!(told, EgressError::Tls { target, reason });
    }

    #[test]
    fn no_mode_writes_keys_of_its_sessions_down() {
        for mode in [TlsMode::Verified, TlsMode::Unverified] {
            let logged = mode.config().key_log.will_log("CLIENT_RANDOM");
            assert!(!logged, "{mode:?}");
        }
    }
}
