//! The token endpoint and token-info.

use std::fmt::Write as _;

use hyper::Method;
use serde_json::{Value, json};

use super::{
    ErrorShape, ExpiresIn, RefreshField, Rotation, Switches,
    act::{Context, Done},
    asked::{Asked, Encoding},
    fingerprint,
    log::{Note, Outcome},
    reply::Reply,
    state::{Lifetimes, Redeemed, State, Subject},
};

impl Switches {
    pub(super) fn lifetimes(&self) -> Lifetimes {
        Lifetimes { access: self.token_lifetime, refresh: self.refresh_lifetime }
    }
}

/// Grant `anonymous`: always a new visitor.
pub(super) fn mint(state: &mut State, context: &Context, asked: &Asked) -> Done {
    let switches = &context.switches;
    let Some(client_id) = asked.fields.client_id() else {
        return missing("clientId").into();
    };
    if let Err(reply) = check_client(client_id, switches) {
        return reply.into();
    }
    let identity = state.new_identity(Subject::Visitor, client_id);
    let access = state.new_access(&identity, switches.lifetimes(), context.now_ms);
    let refresh = state.new_refresh(&identity, switches.lifetimes(), context.now_ms);
    Done {
        reply: token_reply(switches, &access, &refresh, switches.refresh_in_mint),
        note: Note {
            outcome: Outcome::Minted,
            identity: Some(identity),
            access: Some(fingerprint(&access)),
            refresh: Some(fingerprint(&refresh)),
            twice: false,
        },
    }
}

/// Grant `refresh_token`: the same identity, a new access token.
pub(super) fn renew(state: &mut State, context: &Context, asked: &Asked) -> Done {
    let switches = &context.switches;
    let client_id = asked.fields.client_id();
    if let Some(Err(reply)) = client_id.map(|id| check_client(id, switches)) {
        return reply.into();
    }
    let Some(presented) = asked.fields.refresh_token() else {
        return missing("refreshToken").into();
    };
    let rotation =
        if switches.refresh_in_renewal == RefreshField::Present { switches.rotation } else { Rotation::Same };
    let identity = state.owner(presented);
    match state.redeem(presented, client_id, rotation, switches.lifetimes(), context.now_ms) {
        Redeemed::Good { identity, refresh, twice } => {
            let access = state.new_access(&identity, switches.lifetimes(), context.now_ms);
            let refresh = refresh.as_deref().unwrap_or(presented);
            Done {
                reply: token_reply(switches, &access, refresh, switches.refresh_in_renewal),
                note: Note {
                    outcome: Outcome::Renewed,
                    identity: Some(identity),
                    access: Some(fingerprint(&access)),
                    refresh: Some(fingerprint(refresh)),
                    twice,
                },
            }
        }
        Redeemed::Refused { why, twice } => Done {
            reply: Reply::error(switches.refusal, switches.refusal_status, "invalid_grant", why),
            note: Note { outcome: Outcome::Refused, identity, twice, ..Note::default() },
        },
    }
}

/// Grant `authorization_code`: the tokens of a member who has signed in on the [login page](super::login).
pub(super) fn sign_in(state: &mut State, context: &Context, asked: &Asked) -> Done {
    let switches = &context.switches;
    let Some(client_id) = asked.fields.client_id() else {
        return missing("clientId").into();
    };
    if let Err(reply) = check_client(client_id, switches) {
        return reply.into();
    }
    let Some(code) = asked.fields.code() else {
        return missing("code").into();
    };
    let Some(name) = state.redeem_code(code, context.now_ms) else {
        let why = "the code is not known, was used, or is older than a minute";
        return Done {
            reply: Reply::error(switches.refusal, switches.refusal_status, "invalid_grant", why),
            note: Note { outcome: Outcome::Refused, ..Note::default() },
        };
    };
    let identity = state.member(&name, client_id);
    let access = state.new_access(&identity, switches.lifetimes(), context.now_ms);
    let refresh = state.new_refresh(&identity, switches.lifetimes(), context.now_ms);
    Done {
        reply: token_reply(switches, &access, &refresh, RefreshField::Present),
        note: Note {
            outcome: Outcome::SignedIn,
            identity: Some(identity),
            access: Some(fingerprint(&access)),
            refresh: Some(fingerprint(&refresh)),
            twice: false,
        },
    }
}

/// Everything else that can be asked of the token endpoint.
pub(super) fn other_grant(asked: &Asked) -> Reply {
    if asked.method != Method::POST {
        return Reply::application_error(405, "METHOD_NOT_ALLOWED", "the token endpoint takes POST alone")
            .header("allow", "POST");
    }
    if asked.fields.encoding == Some(Encoding::Unreadable) {
        return Reply::validation_error(
            400,
            "the body must be a JSON object of strings or a form, as its content type says",
            "body",
            "FORMAT",
        );
    }
    match asked.fields.grant_type() {
        None => missing("grantType"),
        Some(_) => Reply::error(
            ErrorShape::OAuth,
            400,
            "unsupported_grant_type",
            "the sandbox knows the grants anonymous, refresh_token and authorization_code",
        ),
    }
}

/// `POST /oauth2/token-info`. A token that is not good is not active; why is not told.
pub(super) fn token_info(state: &State, context: &Context, asked: &Asked) -> Done {
    if asked.method != Method::POST {
        return Reply::application_error(405, "METHOD_NOT_ALLOWED", "token-info takes POST alone")
            .header("allow", "POST")
            .into();
    }
    let Some(token) = asked.fields.get("token", "token") else {
        return missing("token").into();
    };
    let live = state.access(token).filter(|access| access.is_live(context.now_ms));
    let Some((access, identity)) = live.and_then(|access| Some((access, state.identity(&access.identity)?))) else {
        return Reply::json(200, &json!({ "active": false })).into();
    };
    Done {
        reply: Reply::json(
            200,
            &json!({
                "active": true,
                "subjectType": match identity.subject {
                    Subject::Visitor => "VISITOR",
                    Subject::Member => "MEMBER",
                },
                "subjectId": access.identity,
                "iat": access.iat,
                "exp": access.exp,
                "clientId": identity.client_id,
                "siteId": state.site(),
            }),
        ),
        note: Note { identity: Some(access.identity.clone()), ..Note::default() },
    }
}

/// `POST /oauth2/revoke`, where the switch says that there is one. A token that is not known is as good as revoked, says RFC 7009.
pub(super) fn revoke(state: &mut State, asked: &Asked) -> Reply {
    let Some(token) = asked.fields.get("token", "token") else {
        return missing("token");
    };
    if !state.revoke_refresh(token) {
        state.revoke_access(token);
    }
    Reply::empty(200)
}

/// Written by hand, since a test may want what is no JSON.
fn token_reply(switches: &Switches, access: &str, refresh: &str, field: RefreshField) -> Reply {
    let mut body = format!(r#"{{"access_token":{},"token_type":"Bearer""#, Value::from(access));
    let seconds = switches.token_lifetime;
    // Writing to a string cannot fail.
    let _ = match &switches.expires_in {
        ExpiresIn::Number => write!(body, r#","expires_in":{seconds}"#),
        ExpiresIn::String => write!(body, r#","expires_in":"{seconds}""#),
        ExpiresIn::Omitted => Ok(()),
        ExpiresIn::Null => write!(body, r#","expires_in":null"#),
        ExpiresIn::Raw(text) => write!(body, r#","expires_in":{text}"#),
    };
    let _ = match field {
        RefreshField::Present => write!(body, r#","refresh_token":{}"#, Value::from(refresh)),
        RefreshField::Omitted => Ok(()),
        RefreshField::Null => write!(body, r#","refresh_token":null"#),
        RefreshField::Empty => write!(body, r#","refresh_token":"""#),
    };
    body.push('}');
    Reply::raw(200, "application/json", body)
}

fn check_client(client_id: &str, switches: &Switches) -> Result<(), Reply> {
    if !is_guid(client_id) {
        return Err(Reply::validation_error(
            400,
            "appRuntimeKeys.appId: appId is not a valid GUID",
            "appRuntimeKeys.appId",
            "FORMAT",
        ));
    }
    if !switches.client_ids.accept(client_id) {
        return Err(Reply::error(
            switches.unknown_client,
            switches.unknown_client_status,
            "invalid_client",
            "no app has this client id",
        ));
    }
    Ok(())
}

fn missing(field: &str) -> Reply {
    Reply::validation_error(400, &format!("{field} must not be empty"), field, "REQUIRED_FIELD")
}

fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    #[test]
    fn a_guid_is_told_from_what_is_none() {
        assert!(is_guid(&random::guid()));
        assert!(is_guid(&random::guid().to_ascii_uppercase()));
        for text in ["", "abc", "g0000000-0000-4000-8000-000000000000"] {
            assert!(!is_guid(text), "{text}");
        }
    }

    fn reply(change: impl FnOnce(&mut Switches), field: RefreshField) -> String {
        let mut switches = Switches::default();
        change(&mut switches);
        let reply = token_reply(&switches, "a", "r", field);
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    #[test]
    fn the_reply_shows_what_the_switches_say() {
        assert_eq!(
            reply(|_| {}, RefreshField::Present),
            r#"{"access_token":"a","token_type":"Bearer","expires_in":14400,"refresh_token":"r"}"#
        );
        assert_eq!(
            reply(|s| s.expires_in = ExpiresIn::String, RefreshField::Empty),
            r#"{"access_token":"a","token_type":"Bearer","expires_in":"14400","refresh_token":""}"#
        );
        assert_eq!(
            reply(|s| s.expires_in = ExpiresIn::Omitted, RefreshField::Omitted),
            r#"{"access_token":"a","token_type":"Bearer"}"#
        );
        assert_eq!(
            reply(|s| s.expires_in = ExpiresIn::Null, RefreshField::Null),
            r#"{"access_token":"a","token_type":"Bearer","expires_in":null,"refresh_token":null}"#
        );
        assert_eq!(
            reply(|s| s.expires_in = ExpiresIn::Raw("-1e400".into()), RefreshField::Omitted),
            r#"{"access_token":"a","token_type":"Bearer","expires_in":-1e400}"#
        );
    }
}
