#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod call;
#[cfg(test)]
mod call_tests;
mod client;
mod endpoint;
#[cfg(feature = "fuzzing")]
#[doc(hidden)] // no promise of stability
pub mod fuzzing;
mod memory;
mod network;
mod options;
mod origin;
mod outcome;
mod probe;
mod quote;
mod reply;
mod request;
mod response;
mod retry_after;
mod site;
mod span;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;
mod token_info;

// What a call is made of, and its answer.
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

pub use endpoint::{Encoding, WixEndpoint, WixEndpointBuilder};
pub use options::HttpOptions;
pub use probe::{Probe, ProbeAnswer};
pub use request::ApiRequest;
pub use response::ApiResponse;
pub use site::{Site, SiteBuilder, SiteVisitor};
pub use token_info::TokenInfo;
