//! The login page: a member signs in and goes back to the site with a code. Tokens are never in a URL: the code is good once, for a
//! minute, and the site's server redeems it at the token endpoint.

use std::net::IpAddr;

use hyper::Method;
use url::Url;

use super::{act::Context, asked::Asked, reply::Reply, state::State};

pub(super) const PATH: &str = "/_sandbox/login";

/// Who signs in, where no name is given.
const ANYBODY: &str = "Ada";

/// GET shows the page, POST signs in.
pub(super) fn answer(state: &mut State, context: &Context, asked: &Asked) -> Reply {
    let given = match asked.method {
        Method::GET => Given::read(asked.query.as_deref().unwrap_or_default().as_bytes()),
        Method::POST => Given::read(&asked.body),
        _ => return Reply::html(405, &page("<p>This page takes GET and POST.</p>")).header("allow", "GET, POST"),
    };
    let Some(mut back) = given.back() else {
        let why = "<p>There is no telling where to go from here: <code>redirect_uri</code> has to be the <code>http</code> or \
                   <code>https</code> address of a page on this machine.</p>";
        return Reply::html(400, &page(why));
    };
    if asked.method == Method::GET {
        return Reply::html(200, &page(&given.form(&back)));
    }
    let name = given.name.trim();
    let code = state.new_code(if name.is_empty() { ANYBODY } else { name }, context.now_ms);
    back.query_pairs_mut().append_pair("code", &code).append_pair("state", &given.state);
    Reply::empty(303).header("location", back.as_str())
}

/// What the page is asked with: the same in its address and in its form.
#[derive(Default)]
struct Given {
    redirect_uri: String,
    state: String,
    name: String,
}

impl Given {
    fn read(pairs: &[u8]) -> Self {
        let mut given = Self::default();
        for (name, value) in url::form_urlencoded::parse(pairs) {
            match &*name {
                "redirect_uri" => given.redirect_uri = value.into_owned(),
                "state" => given.state = value.into_owned(),
                "name" => given.name = value.chars().take(40).collect(),
                _ => {}
            }
        }
        given
    }

    /// Where the code goes: to this machine alone.
    fn back(&self) -> Option<Url> {
        let url = Url::parse(&self.redirect_uri).ok()?;
        let host = url.host_str()?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let loopback = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        (loopback && plain && url.fragment().is_none()).then_some(url)
    }

    fn form(&self, back: &Url) -> String {
        format!(
            r#"<p>You come from <b>{host}</b>. Anybody may be anybody here: whoever signs in under the same name again is the same member, with
the same cart.</p>
<form method="post" action="{PATH}">
<input type="hidden" name="redirect_uri" value="{back}">
<input type="hidden" name="state" value="{state}">
<label>Name <input name="name" value="{ANYBODY}" maxlength="40" autocomplete="off"></label>
<button id="sign-in">Sign in</button>
</form>"#,
            host = escaped(back.host_str().unwrap_or_default()),
            back = escaped(back.as_str()),
            state = escaped(&self.state),
        )
    }
}

fn page(content: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in to the sandbox</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; display: grid; min-height: 100vh; margin: 0; place-items: center;
  background: light-dark(#f4f2ee, #17181a); color: light-dark(#222, #eee) }}
main {{ width: min(22rem, 85vw); padding: 2rem; border-radius: 1rem; background: light-dark(#fff, #222427);
  box-shadow: 0 1px 3px #0003, 0 12px 40px #0002 }}
h1 {{ font-size: 1.4rem; margin: 0 }}
input, button {{ font: inherit; width: 100%; box-sizing: border-box; padding: .6rem .8rem; border-radius: .5rem;
  border: 1px solid light-dark(#bbb, #555) }}
button {{ margin-top: 1rem; border: 0; background: light-dark(#222, #eee); color: light-dark(#fff, #111); cursor: pointer }}
</style>
</head>
<body>
<main>
<h1>Sign in</h1>
<p><small>The sandbox's login page. This is not Wix.</small></p>
{content}
</main>
</body>
</html>
"#
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(to: &str) -> Option<Url> {
        Given { redirect_uri: to.to_owned(), ..Given::default() }.back()
    }

    #[test]
    fn a_code_goes_to_this_machine_alone() {
        for to in ["http://127.0.0.1:8080/in", "http://localhost/in?a=b", "https://[::1]:1/", "http://127.9.9.9/"] {
            assert!(back(to).is_some(), "{to}");
        }
        for to in [
            "",
            "/in",
            "https://shop.example/in",
            "http://127.0.0.1@shop.example/",
            "http://user@127.0.0.1/",
            "http://localhost.shop.example/",
            "javascript:alert(1)//127.0.0.1",
            "ftp://127.0.0.1/",
            "http://127.0.0.1/#in",
        ] {
            assert!(back(to).is_none(), "{to}");
        }
    }

    #[test]
    fn what_the_page_shows_is_escaped() {
        let given = Given {
            redirect_uri: "http://127.0.0.1/?a=\"><script>".into(),
            state: "\"><script>'&".into(),
            ..Given::default()
        };
        let form = given.form(&given.back().unwrap());
        assert!(!form.contains("<script"), "{form}");
        assert!(form.contains("&quot;&gt;&lt;script&gt;&#39;&amp;"), "{form}");
    }
}
