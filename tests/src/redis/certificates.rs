//! An authority of the suite's own, and a server's certificate by it.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// A folder with `ca.pem`, `server.pem` and `server.key`, for 127.0.0.1 and localhost.
#[derive(Debug)]
pub struct Certificates(TempDir);

impl Default for Certificates {
    /// Makes new ones.
    fn default() -> Self {
        let folder = tempfile::tempdir().expect("a directory for certificates");
        let (authority_key, server_key) = (KeyPair::generate(), KeyPair::generate());
        let (authority_key, server_key) = (authority_key.expect("a key"), server_key.expect("a key"));
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes a certificate that has its issuer's name for one that signed itself.
        authority.distinguished_name.push(DnType::CommonName, "the authority of the suite");
        let authority_pem = authority.self_signed(&authority_key).expect("a certificate").pem();
        let server = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("names");
        let issuer = Issuer::new(authority, authority_key);
        let server_pem = server.signed_by(&server_key, &issuer).expect("a certificate").pem();
        let files = [("ca.pem", authority_pem), ("server.pem", server_pem), ("server.key", server_key.serialize_pem())];
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        Self(folder)
    }
}

impl Certificates {
    /// The folder.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// The authority's certificate, for those who are to trust it.
    pub fn authority(&self) -> PathBuf {
        self.folder().join("ca.pem")
    }
}
