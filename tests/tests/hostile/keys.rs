//! Names of sites, records and visitors.

use std::collections::BTreeSet;

use wix_visitor_core::{ClientId, ErrorKind, Secret, StoreKey};
use wix_visitor_testkit::Rotation;
use wix_visitor_tests::instance::{Instance, client_id};

use crate::{is_refused, texts};

#[test]
fn a_client_id_is_one_that_wix_could_give_out_or_refused() {
    for text in texts() {
        let fits =
            |id: &str| (1..=63).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        match ClientId::new(&text) {
            Ok(id) => assert!(fits(id.as_str()), "{text:.40?}"),
            Err(error) => {
                assert!(!fits(text.trim()), "{text:.40?}");
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                is_refused(&error, &text);
            }
        }
    }
}

#[test]
fn a_store_key_of_any_form_has_a_name_and_a_number() {
    let odd = ["/", "//", "a", "a/", "/a", "-", "0", "a/b/c", &"a".repeat(128), &format!("a/{}", "f".repeat(64))];
    for text in texts().iter().map(String::as_str).chain(odd) {
        match StoreKey::parse(text) {
            Ok(key) => {
                assert_eq!(key.as_str(), text);
                assert_eq!(key.visitor_id().to_string().len(), 8);
                let _ = (key.spread(), key.is_of(&client_id()));
            }
            Err(error) => is_refused(&error, text),
        }
    }
    assert!(odd.iter().all(|text| StoreKey::parse(text).is_ok()));
    assert!(StoreKey::parse(&"a".repeat(129)).is_err());
}

#[test]
fn a_secret_of_any_kind_is_shown_to_nobody_and_sent_only_where_a_header_can_carry_it() {
    for text in texts() {
        let secret = Secret::new(text.as_str());
        assert_eq!(format!("{secret:?}"), "Secret(redacted)");
        match secret.to_header() {
            Some(header) => assert!(header.is_sensitive() && header.as_bytes() == text.as_bytes()),
            None => assert!(text.bytes().any(|byte| byte < 32 || byte == 127), "{text:.40?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_visitor_key_of_any_kind_is_a_visitor_of_its_own_and_the_empty_one_is_nobodys() {
    let site = Instance::new(Rotation::Same);
    let mut identities = BTreeSet::new();
    for key in texts().iter().filter(|key| !key.is_empty()) {
        let visitor = site.visitors.visitor(key);
        let identity = site.identity(&visitor.authorization().await.unwrap());
        assert!(identities.insert(identity), "{key:.40?} is somebody else");
        assert_eq!(site.identity(&site.visitors.visitor(key).authorization().await.unwrap()), identity);
        let shown = format!("{visitor:?} {} {:?}", visitor.id(), visitor.status().await.unwrap());
        assert!(key.chars().count() < 8 || !shown.contains(key.as_str()), "{key:.40?}");
    }
    assert_eq!(site.endpoint.mints(), identities.len());

    let nobody = site.visitors.visitor("");
    let (_, tokens) = site.sign_in(wix_visitor_core::Role::Member);
    let swaps = site.store.swaps();
    let answers = [
        nobody.authorization().await.map(drop),
        nobody.renew().await.map(drop),
        nobody.renew_if("token").await.map(drop),
        nobody.tokens().await.map(drop),
        nobody.generate().await.map(drop),
        nobody.generate_from(tokens.clone()).await.map(drop),
        nobody.set_tokens(tokens).await,
        nobody.logged_in().await.map(drop),
        nobody.forget().await,
        nobody.retire().await,
        nobody.retire_unused().await.map(drop),
        nobody.retired().await.map(drop),
        nobody.status().await.map(drop),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::InvalidInput, "{number}");
    }
    assert_eq!((site.endpoint.mints(), site.store.swaps()), (identities.len(), swaps));
}
