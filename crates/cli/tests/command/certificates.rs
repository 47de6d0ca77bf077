//! The system's certificates: read by who sends something.

use crate::support::{CLIENT_ID, User, sandbox, sdk_json};

/// Where TLS is spoken, on a system without any certificate.
fn without_certificates(user: User) -> User {
    let none = user.path("none").display().to_string();
    user.with("WIX_API_URL", "https://localhost:1").with("SSL_CERT_FILE", none.clone()).with("SSL_CERT_DIR", none)
}

#[test]
fn a_token_at_hand_needs_none_and_a_request_says_that_they_are_missing() {
    let sandbox = sandbox();
    let user = User::of(&sandbox);
    user.token();
    let issued = sandbox.visitor_tokens(CLIENT_ID).unwrap();
    let user = without_certificates(user);
    user.run_with(&["import"], sdk_json(&issued, "visitor", 6000)).done();
    assert_eq!(user.token(), issued.access);
    user.run(&["status"]).done();
    user.run(&["renew"]).failed(3, "check TLS and the system's certificates");
    user.run(&["call", "GET", "/"]).failed(3, "check TLS and the system's certificates");
    assert_eq!(user.token(), issued.access);
}

#[test]
fn where_nothing_can_be_asked_no_store_is_made() {
    let user = without_certificates(User::new().with("WIX_CLIENT_ID", CLIENT_ID));
    user.run(&["token"]).failed(3, "check TLS and the system's certificates");
    assert!(!user.database().exists());
}
