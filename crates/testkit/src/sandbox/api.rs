//! The API calls: who may call, and what each answers.

use hyper::Method;
use serde_json::{Value, json};

use super::{
    DeadToken,
    act::{Context, Done},
    asked::Asked,
    cart::Cart,
    catalog,
    log::{Note, Outcome},
    reply::Reply,
    state::{State, Subject},
    token,
};
use crate::random;

#[derive(Clone, Copy)]
enum Call {
    Cart,
    AddToCart,
    UpdateQuantity,
    RemoveItems,
    DeleteCart,
    CreateCheckout,
    RedirectSession,
    Products,
    MyMember,
    Graphql,
}

impl Call {
    fn find(method: &Method, path: &str) -> Option<Self> {
        Some(match (method.as_str(), path) {
            ("GET", "/ecom/v1/carts/current") => Self::Cart,
            ("DELETE", "/ecom/v1/carts/current") => Self::DeleteCart,
            ("POST", "/ecom/v1/carts/current/add-to-cart") => Self::AddToCart,
            ("POST", "/ecom/v1/carts/current/update-line-items-quantity") => Self::UpdateQuantity,
            ("POST", "/ecom/v1/carts/current/remove-line-items") => Self::RemoveItems,
            ("POST", "/ecom/v1/carts/current/create-checkout") => Self::CreateCheckout,
            ("POST", "/headless/v1/redirect-session") => Self::RedirectSession,
            ("POST", "/stores/v3/products/query") => Self::Products,
            ("GET", "/members/v1/members/my") => Self::MyMember,
            ("POST", "/graphql/alpha") => Self::Graphql,
            _ => return None,
        })
    }

    /// Whether later reads should see it: it answers with `X-Wix-Consistent`.
    fn is_write(self) -> bool {
        matches!(
            self,
            Self::AddToCart | Self::UpdateQuantity | Self::RemoveItems | Self::DeleteCart | Self::CreateCheckout
        )
    }
}

/// Answers an API call, known or not. An unknown path is unknown to everybody, so it asks for no token.
pub(super) fn call(state: &mut State, context: &Context, asked: &Asked) -> Done {
    let Some(call) = Call::find(&asked.method, &asked.path) else {
        return Reply::application_error(404, "NOT_FOUND", "the sandbox knows no such call").into();
    };
    let identity = match caller(state, context, asked) {
        Ok(identity) => identity,
        Err(done) => return *done,
    };
    let mut reply = match body(asked) {
        Ok(body) => answer(call, state, context, &identity, &body).unwrap_or_else(|reply| reply),
        Err(reply) => reply,
    };
    if call.is_write() && reply.status == 200 {
        reply = reply.header("x-wix-consistent", random::hex_digits::<12>());
    }
    Done { reply, note: Note { identity: Some(identity), ..Note::default() } }
}

/// The identity whose live token the request carries.
fn caller(state: &State, context: &Context, asked: &Asked) -> Result<String, Box<Done>> {
    let turned_away = |identity, reply| {
        Box::new(Done { reply, note: Note { outcome: Outcome::Unauthorized, identity, ..Note::default() } })
    };
    let unauthorized = |why| Reply::application_error(401, "UNAUTHENTICATED", why);
    let Some(presented) = asked.access.as_deref().filter(|token| !token.is_empty()) else {
        return Err(turned_away(None, unauthorized("the request carries no access token")));
    };
    let known = state.access(presented);
    match known {
        Some(access) if access.is_live(context.now_ms) => Ok(access.identity.clone()),
        // What has the form of a token may be one that expired long ago and was cleared away.
        None if !token::looks_like_access(presented) => {
            Err(turned_away(None, unauthorized("this is no access token of the sandbox")))
        }
        _ => Err(turned_away(
            known.map(|access| access.identity.clone()),
            match &context.switches.dead_token {
                DeadToken::Unauthorized => unauthorized("the access token has expired"),
                DeadToken::MetaSiteNotFound => Reply::application_error(400, "WDE0117", "WDE0117: MetaSite not found"),
                DeadToken::Other { status, body } => Reply::raw(*status, "application/json", body.clone()),
            },
        )),
    }
}

/// The body as JSON; nothing at all counts as `{}`.
fn body(asked: &Asked) -> Result<Value, Reply> {
    if asked.body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(&asked.body)
        .map_err(|error| Reply::application_error(400, "INVALID_JSON", &format!("the body is not JSON: {error}")))
}

fn answer(call: Call, state: &mut State, context: &Context, caller: &str, body: &Value) -> Result<Reply, Reply> {
    let gone = || Reply::application_error(401, "UNAUTHENTICATED", "the visitor is not known");
    match call {
        Call::Products => return Ok(catalog::query(body)),
        Call::Graphql => return Ok(graphql(body)),
        _ => {}
    }
    let identity = if call.is_write() {
        state.identity_mut(caller).ok_or_else(gone)?
    } else {
        let identity = state.identity(caller).ok_or_else(gone)?;
        return match call {
            Call::Cart => {
                let cart = identity.cart.as_ref().ok_or_else(no_cart)?;
                Ok(Reply::json(200, &cart.show(&owner(identity.subject, caller))))
            }
            Call::RedirectSession => redirect_session(&identity.checkouts, context, body),
            _ => member(identity.subject, caller),
        };
    };
    let owner = owner(identity.subject, caller);
    match call {
        Call::DeleteCart => {
            identity.cart.take().ok_or_else(no_cart)?;
            return Ok(Reply::json(200, &json!({})));
        }
        Call::CreateCheckout => {
            if identity.cart.as_ref().ok_or_else(no_cart)?.is_empty() {
                return Err(Reply::application_error(
                    400,
                    "CART_IS_EMPTY",
                    "a cart without line items has nothing to check out",
                ));
            }
            let checkout = random::guid();
            identity.checkouts.push(checkout.clone());
            return Ok(Reply::json(200, &json!({ "checkoutId": checkout })));
        }
        Call::AddToCart => {
            // A call that is refused must not leave an empty cart behind.
            let mut cart = identity.cart.clone().unwrap_or_else(Cart::new);
            cart.add(body)?;
            identity.cart = Some(cart);
        }
        Call::UpdateQuantity => identity.cart.as_mut().ok_or_else(no_cart)?.update(body)?,
        _ => identity.cart.as_mut().ok_or_else(no_cart)?.remove(body)?,
    }
    let cart = identity.cart.as_ref().ok_or_else(no_cart)?;
    Ok(Reply::json(200, &cart.show(&owner)))
}

fn owner(subject: Subject, id: &str) -> Value {
    match subject {
        Subject::Visitor => json!({ "visitorId": id }),
        Subject::Member => json!({ "memberId": id }),
    }
}

fn no_cart() -> Reply {
    Reply::application_error(404, "OWNED_CART_NOT_FOUND", "this visitor has no cart yet")
}

fn member(subject: Subject, id: &str) -> Result<Reply, Reply> {
    match subject {
        Subject::Member => Ok(Reply::json(
            200,
            &json!({ "member": {
                "id": id,
                "loginEmail": "member@example.com",
                "status": "APPROVED",
                "profile": { "nickname": "Member" },
            } }),
        )),
        Subject::Visitor => {
            Err(Reply::application_error(403, "PERMISSION_DENIED", "a visitor is not a member; sign in first"))
        }
    }
}

fn redirect_session(checkouts: &[String], context: &Context, body: &Value) -> Result<Reply, Reply> {
    let checkout = body["ecomCheckout"]["checkoutId"].as_str().ok_or_else(|| {
        Reply::validation_error(
            400,
            "ecomCheckout.checkoutId must not be empty",
            "ecomCheckout.checkoutId",
            "REQUIRED_FIELD",
        )
    })?;
    if !checkouts.iter().any(|known| known == checkout) {
        return Err(Reply::application_error(404, "CHECKOUT_NOT_FOUND", "this visitor has no such checkout"));
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("checkoutId", checkout);
    if let Some(back) = body["callbacks"]["postFlowUrl"].as_str() {
        query.append_pair("postFlowUrl", back);
    }
    let full = format!("{}/_sandbox/checkout?{}", context.url, query.finish());
    Ok(Reply::json(200, &json!({ "redirectSession": { "id": random::guid(), "fullUrl": full } })))
}

/// Answers the question with itself; one that asks for `sandboxError` gets errors, with the status 200 that GraphQL gives them.
fn graphql(body: &Value) -> Reply {
    let Some(query) = body["query"].as_str() else {
        return Reply::json(400, &json!({ "errors": [{ "message": "query must be a string" }] }));
    };
    if query.contains("sandboxError") {
        return Reply::json(200, &json!({ "data": null, "errors": [{ "message": "sandboxError was asked for" }] }));
    }
    Reply::json(
        200,
        &json!({
            "data": { "echo": { "query": query, "variables": body["variables"] } },
            "errors": [],
        }),
    )
}
