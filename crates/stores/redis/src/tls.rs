//! TLS: whether this build has it, and whom it trusts.

use wix_visitor_core::StoreError;

/// What every encrypted connection needs; read once.
#[derive(Clone)]
pub(crate) struct Tls {
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    pub(crate) certificates: redis::TlsCertificates,
}

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
impl Tls {
    pub(crate) fn available() -> Result<(), StoreError> {
        Err(crate::error::error(
            wix_visitor_core::StoreErrorKind::Unsupported,
            "this build has no TLS: turn on the feature `rustls` or `native-tls` of wix-visitor-redis",
        ))
    }

    pub(crate) fn prepare(_: Option<Vec<u8>>) -> Result<Self, StoreError> {
        Self::available().map(|()| Self {})
    }
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
impl Tls {
    #[allow(clippy::unnecessary_wraps)] // it fails in a build without TLS
    pub(crate) fn available() -> Result<(), StoreError> {
        Ok(())
    }

    /// Trusts these certificates (PEM), or those that the platform does.
    pub(crate) fn prepare(trusted: Option<Vec<u8>>) -> Result<Self, StoreError> {
        #[cfg(feature = "rustls")]
        choose_provider();
        let root_cert = trusted.map_or_else(platform_trust, |pem| Ok(Some(pem)))?;
        Ok(Self { certificates: redis::TlsCertificates { client_tls: None, root_cert } })
    }
}

/// The client panics where several providers are linked and none was chosen. A choice of the application's comes first.
#[cfg(feature = "rustls")]
fn choose_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // It fails if somebody chose one in this very moment, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

/// The platform's own trust store, without what rustls cannot read. By hand, since the client fails on the first such
/// certificate, and trusts nobody at all in a build that has `native-tls` too.
#[cfg(feature = "rustls")]
fn platform_trust() -> Result<Option<Vec<u8>>, StoreError> {
    use base64::Engine;
    use std::fmt::Write;

    let mut pem = String::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        if rustls::RootCertStore::empty().add(certificate.clone()).is_ok() {
            let text = base64::engine::general_purpose::STANDARD.encode(&certificate);
            let _ = write!(pem, "-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        }
    }
    if pem.is_empty() {
        return Err(crate::error::misconfigured(
            "no certificate to trust was found on this system; name a file with tls_ca, or set SSL_CERT_FILE",
        ));
    }
    Ok(Some(pem.into_bytes()))
}

#[cfg(all(feature = "native-tls", not(feature = "rustls")))]
#[allow(clippy::unnecessary_wraps)] // it can fail with rustls
fn platform_trust() -> Result<Option<Vec<u8>>, StoreError> {
    Ok(None)
}
