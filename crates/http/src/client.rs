//! The HTTP client: set up at once, or when the first request is sent.

use std::sync::OnceLock;

use wix_visitor_core::Error;

use crate::options::HttpOptions;
use crate::origin::BaseUrl;

/// What a client is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Use {
    /// Token requests: it follows nothing, repeats nothing.
    Tokens,
    /// API calls: it follows redirects within the origin.
    Calls,
}

/// A client that can be set up, as far as that can be told without the system's certificates.
#[derive(Clone)]
pub(crate) struct Client {
    options: HttpOptions,
    base: BaseUrl,
    purpose: Use,
    client: OnceLock<reqwest::Client>,
}

impl Client {
    pub(crate) fn new(options: &HttpOptions, base: &BaseUrl, purpose: Use) -> Result<Self, Error> {
        let client = Self { options: options.clone(), base: base.clone(), purpose, client: OnceLock::new() };
        if options.is_lazy() {
            client.options.check(base)?;
        } else {
            client.get()?;
        }
        Ok(client)
    }

    /// The client itself, which is made by the first who asks.
    pub(crate) fn get(&self) -> Result<&reqwest::Client, Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = match self.purpose {
            Use::Tokens => self.options.token_client(&self.base)?,
            Use::Calls => self.options.api_client(&self.base)?,
        };
        // Where two asked at once, one of theirs serves both.
        Ok(self.client.get_or_init(|| client))
    }
}

#[cfg(test)]
mod tests {
    use wix_visitor_core::ErrorKind;

    use super::*;

    #[test]
    fn a_lazy_client_is_made_when_it_is_first_asked_for_and_any_other_at_once() {
        let options = HttpOptions::new().base_url("http://127.0.0.1:9");
        let base = options.parse_base_url().unwrap();
        for purpose in [Use::Tokens, Use::Calls] {
            let eager = Client::new(&options, &base, purpose).unwrap();
            let lazy = Client::new(&options.clone().lazy(), &base, purpose).unwrap();
            assert!(eager.client.get().is_some() && lazy.client.get().is_none());
            lazy.get().unwrap();
            assert!(lazy.client.get().is_some());
        }
    }

    #[test]
    fn what_can_be_told_of_a_lazy_client_is_told_at_once() {
        let options = || HttpOptions::new().base_url("http://127.0.0.1:9").lazy();
        for options in [options().proxy("socks5://proxy"), options().root_certificates_pem("not PEM")] {
            let base = options.parse_base_url().unwrap();
            let error = Client::new(&options, &base, Use::Calls).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    }
}
