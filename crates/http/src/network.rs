//! A failed request in words that hold no URL.

use std::error::Error as StdError;
use std::io;

/// Why a request failed, in a few words of our own: the errors beneath print URLs.
pub(crate) fn why(error: &reqwest::Error) -> &'static str {
    if error.is_dns() {
        return "its name cannot be resolved";
    }
    if error.is_connect() && error.is_timeout() {
        return "connecting took too long";
    }
    if error.is_timeout() {
        return "no answer in time";
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            match io.kind() {
                io::ErrorKind::ConnectionRefused => return "connection refused",
                io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
                    return "connection reset";
                }
                io::ErrorKind::UnexpectedEof => return "connection closed",
                io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => return "no route to it",
                _ => {}
            }
        }
        source = cause.source();
    }
    if error.is_builder() {
        "not a valid request"
    } else if error.is_connect() {
        "connecting failed, or TLS or the proxy did"
    } else {
        "connection lost"
    }
}
