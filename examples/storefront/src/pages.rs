//! The pages, as HTML. Whatever is put into one is escaped, but for our own pictures.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use wix_visitor::web::SessionError;

use crate::cart::{self, Cart};
use crate::catalogue::Product;
use crate::error::{self, ShopError};
use crate::journal::{Mood, Note};
use crate::life;
use crate::panel::PanelState;
use crate::shopper::Shopper;
use crate::vendor;

pub(crate) async fn home(shopper: &Shopper, products: &[Product], count: Option<u64>) -> Markup {
    let content = html! {
        section.hero {
            h1 { "Things that stay." }
            p { "Six quiet objects for a kitchen table, and a cart that is still there when you come back." }
        }
        section.products aria-label="Products" {
            @for product in products {
                article.product {
                    div.picture { (PreEscaped(product.picture)) }
                    div.text {
                        h2 { (product.name) }
                        p.words { (product.words) }
                        p.facts {
                            span.price { (product.price) }
                            img.stock src={ "/stock/" (product.id) ".svg" } alt="Stock" width="76" height="22";
                        }
                        form.add method="post" action="/cart/add" {
                            input type="hidden" name="product" value=(product.id);
                            button.primary { "Add to cart" }
                        }
                    }
                }
            }
        }
    };
    frame(shopper, "Things that stay", count, content).await
}

pub(crate) async fn cart(shopper: &Shopper, cart: &Cart) -> Markup {
    let products = shopper.shop.catalogue.products().await.ok();
    let picture =
        |id: &str| products.as_deref()?.iter().find(|product| product.id == id).map(|product| product.picture);
    let content = html! {
        section.hero.small { h1 { "Your cart" } }
        @if cart.lines.is_empty() {
            div.card.empty {
                p { "There is nothing in it yet." }
                a.button href="/" { "Have a look around" }
            }
        } @else {
            div.card.lines {
                @for line in &cart.lines {
                    div.line {
                        div.picture { @if let Some(picture) = picture(&line.product) { (PreEscaped(picture)) } }
                        span.name { (line.name) }
                        span.quantity { (line.quantity) }
                        span.price { (line.price) }
                        form.remove method="post" action="/cart/remove" {
                            input type="hidden" name="line" value=(line.id);
                            button.quiet aria-label={ "Remove " (line.name) } { "Remove" }
                        }
                    }
                }
                div.total { span { "Total" } span.price { (cart.total) } }
            }
            p.aside {
                "Now expire the token, break the endpoint or restart the server, and look again. "
                a href="/" { "Back to the shop" }
            }
        }
    };
    frame(shopper, "Your cart", Some(cart.count()), content).await
}

/// What went wrong, and what can be done about it.
pub(crate) async fn trouble(shopper: &Shopper, error: &ShopError) -> Markup {
    let status = error.status();
    let (title, again) = match status.as_u16() {
        404 => ("Nothing here", false),
        503 => ("Just a moment", true),
        401 => ("Signed out", false),
        _ => ("That did not work", true),
    };
    let soon = again && status.is_server_error();
    let content = html! {
        @if soon { meta http-equiv="refresh" content="3;url=/cart"; }
        section.card.trouble {
            p.status { (status.as_u16()) }
            h1 { (title) }
            p { (error.for_shoppers()) }
            @if soon { p.words { "This page tries again by itself." } }
            div.buttons {
                @if error::is_signed_out(error) {
                    a.button.primary href="/sign-in" { "Sign in again" }
                } @else if matches!(error, ShopError::Session(SessionError::Damaged)) {
                    form #start-over method="post" action="/start-over" { button.primary { "Start over" } }
                } @else if again {
                    a.button.primary href="/cart" { "Try again" }
                }
                a.button href="/" { "To the shop" }
            }
        }
    };
    // What the cart holds cannot be asked for now.
    frame(shopper, title, None, content).await
}

pub(crate) async fn no_login(shopper: &Shopper) -> Markup {
    let content = html! {
        section.card.trouble {
            h1 { "Signing in" }
            p {
                "How members sign in is your site's own business: by Wix's managed login, by your own form, by an identity provider. "
                "Whatever it is ends with a member's tokens, and those go to "
                code { "Session::sign_in" } ", as the sandbox's login page shows."
            }
            div.buttons { a.button.primary href="/" { "To the shop" } }
        }
    };
    frame(shopper, "Signing in", None, content).await
}

/// Shown while another process takes the place of this one.
pub(crate) async fn restarting(shopper: &Shopper, back: &str) -> Markup {
    let count = async { Ok::<_, ShopError>(cart::peek(&shopper.visitor().await?).await?.count()) }.await.ok();
    let content = html! {
        noscript { meta http-equiv="refresh" content={ "3;url=" (back) }; }
        section.card.trouble #restarting data-back=(back) {
            div.spinner aria-hidden="true" {}
            h1 { "Restarting…" }
            p {
                "This server process finishes what it has begun, saves what is not saved, and is replaced by another one. "
                "This page goes back to where you were as soon as that one answers."
            }
            div.buttons { a.button href=(back) { "Go back now" } }
        }
    };
    frame(shopper, "Restarting", count, content).await
}

/// The badge beside a product.
pub(crate) fn badge(there: bool) -> String {
    let (dot, text) = if there { ("#3f8f5b", "In stock") } else { ("#b4532f", "Sold out") };
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="76" height="22" viewBox="0 0 76 22" role="img"><style>text{{fill:#5b554b;font:500 12px system-ui,sans-serif}}@media(prefers-color-scheme:dark){{text{{fill:#b9b2a6}}}}</style><circle cx="10" cy="11" r="4" fill="{dot}"/><text x="20" y="15">{text}</text></svg>"##
    )
}

/// The page around the content: who you are, the cart, and the panel.
async fn frame(shopper: &Shopper, title: &str, count: Option<u64>, content: Markup) -> Markup {
    let shop = &shopper.shop;
    let visitor = shopper.visitor().await.ok();
    let state = match &visitor {
        Some(visitor) => PanelState::of(shop, visitor).await.ok(),
        None => None,
    };
    let state = state.unwrap_or_else(|| PanelState::unknown(shop));
    let notes = visitor.map(|visitor| shop.journal.of_visitor(visitor.id())).unwrap_or_default();
    let member = state.role == "member";
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Still Life" }
                link rel="icon" href=(vendor::url("mark.svg")) type="image/svg+xml";
                link rel="stylesheet" href=(vendor::url("shop.css"));
                script src=(vendor::url("panel.js")) defer {}
            }
            body {
                @if shop.sandbox.is_some() {
                    p #sandbox { strong { "Sandbox." } " This shop talks to a small Wix on this machine. Nothing here is for sale." }
                }
                header {
                    a.brand href="/" { img src=(vendor::url("mark.svg")) alt="" width="28" height="28"; "Still Life" }
                    nav {
                        span.who { span.dot aria-hidden="true" {} span #who { (if member { "member" } else { "guest" }) } }
                        @if member {
                            form #sign-out method="post" action="/sign-out" { button.quiet { "Sign out" } }
                        } @else {
                            a #sign-in.quiet href="/sign-in" { "Sign in" }
                        }
                        a #cart-link href="/cart" {
                            "Cart " span #cart-count { @match count { Some(count) => (count), None => "–" } }
                        }
                    }
                }
                div.columns {
                    main { (content) }
                    (panel(shopper, &state, &notes))
                }
                footer {
                    "An example of " strong { "wix-visitor" } ". Not a product of Wix, not endorsed by Wix."
                }
            }
        }
    }
}

fn panel(shopper: &Shopper, state: &PanelState, notes: &[Note]) -> Markup {
    let shop = &shopper.shop;
    let sandbox = shop.sandbox.as_ref();
    let lifetime = sandbox.map_or(14_400, |sandbox| sandbox.switches().token_lifetime);
    let json = serde_json::to_string(state).unwrap_or_default();
    let last = notes.last().map_or(0, |note| note.id);
    let back = if matches!(shopper.here.as_str(), "/" | "/cart") { shopper.here.as_str() } else { "/cart" };
    let left = state.expires_in.unwrap_or(0);
    html! {
        aside #panel data-state=(json) data-lifetime=(lifetime) data-last=(last) aria-label="Your session" {
            div.title {
                h2 { "Your session" }
                span.live data-part="live" { "as of this page" }
            }
            dl {
                dt { "You are" }
                dd data-part="role" { (words(state.role)) }
                dt { "Access token" }
                dd data-part="expiry" {
                    @match state.expires_in {
                        None => "none yet",
                        Some(_) if !state.usable => "has ended; renewed at the next call",
                        Some(left) => { "ends in " (clock(left)) }
                    }
                }
                dd.bar { span data-part="bar" style={ "width:" (100 * left.min(lifetime) / lifetime.max(1)) "%" } {} }
                dt { "Renewals" }
                dd data-part="generation" { (state.generation) }
                dt { "In the store" }
                dd data-part="saved" { (if state.role == "none" { "nothing yet" } else if state.saved { "yes" } else { "not yet; memory serves" }) }
                dt { "Answered by" }
                dd { code #instance { (state.instance) } }
            }
            div.controls {
                @if sandbox.is_some() {
                    form #expire method="post" action="/panel/expire" {
                        (back_to(back))
                        button { "Expire the token" }
                    }
                    div.switch role="group" aria-label="The token endpoint" {
                        form #break method="post" action="/panel/break" {
                            (back_to(back))
                            button aria-pressed=(state.broken) { "Break the endpoint" }
                        }
                        form #mend method="post" action="/panel/mend" {
                            (back_to(back))
                            button aria-pressed=(!state.broken) { "Mend it" }
                        }
                    }
                }
                @if shop.may_restart() {
                    form #restart method="post" action="/panel/restart" {
                        (back_to(back))
                        button { "Restart the server" }
                    }
                } @else if !life::CAN_RESTART {
                    p.words { "A restart by button is not available on this system." }
                }
            }
            @if state.broken {
                p.broken { "The token endpoint answers 503. A token in hand goes on serving; an expired one has to wait until you mend it." }
            }
            @if sandbox.is_some() {
                details.hint open[state.generation == 0] {
                    summary { "What to try" }
                    ol {
                        li { "Put a mug into your cart." }
                        li { b { "Expire the token." } " The next call is answered 401, renewed, and sent again. Same cart." }
                        li { b { "Break the endpoint" } " and go on shopping. Expire the token too, and the shop has to ask you for patience. " b { "Mend it" } ": same cart." }
                        li { b { "Restart the server." } " Another process reads the store. Same cart." }
                    }
                }
            }
            h3 { "What happened" }
            ol #events data-part="events" {
                @for note in notes.iter().rev() {
                    li.(mood(note.mood)) data-id=(note.id) { time data-at=(note.at) { (utc(note.at)) } span { (note.text) } }
                }
            }
        }
    }
}

fn back_to(page: &str) -> Markup {
    html! { input type="hidden" name="back" value=(page); }
}

fn words(role: &str) -> &'static str {
    match role {
        "member" => "a member",
        "visitor" => "an anonymous visitor",
        _ => "nobody yet",
    }
}

fn mood(mood: Mood) -> &'static str {
    match mood {
        Mood::Good => "good",
        Mood::Plain => "plain",
        Mood::Bad => "bad",
    }
}

fn clock(seconds: u64) -> String {
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

/// The time of day. Where scripts run, it becomes the local one.
fn utc(millis: i64) -> String {
    let seconds = millis.div_euclid(1000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_on_a_clock() {
        assert_eq!((clock(65).as_str(), clock(14_399).as_str(), clock(0).as_str()), ("1:05", "3:59:59", "0:00"));
        assert_eq!(utc(1_767_225_661_999), "00:01:01");
    }

    #[test]
    fn a_badge_is_a_picture_of_its_own() {
        assert!(badge(true).starts_with("<svg") && badge(true).contains("In stock"));
        assert!(badge(false).contains("Sold out"));
    }
}
