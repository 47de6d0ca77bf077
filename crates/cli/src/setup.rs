//! From arguments to a site: the one way in for every command that has a visitor.

use wix_visitor::{Builder, ClientId, EventKind, Events, HttpOptions, Site, SiteVisitor, WixEndpoint};
use wix_visitor_testkit::sandbox::{Sandbox, SandboxOptions};

use crate::args::SiteArgs;
use crate::exit::{Exit, Failure};
use crate::output::Console;
use crate::store_choice::{StoreChoice, StoreLabel};

/// The made-up client id of an embedded sandbox.
const SANDBOX_CLIENT_ID: &str = "5a9db0c5-77e0-4a1e-9d5b-57a9d0b0c0de";

/// Who issues an embedded sandbox's tokens: its port is another in each run, and its visitors are not Wix's.
const SANDBOX_ISSUER: &str = "wix-visitor-sandbox";

/// What is kept in memory: a command works with one visitor, whose record is smaller than this.
const SNAPSHOT_BYTES: usize = 120 * 1024;

/// What a command works with. End it by [`close`](Self::close).
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) visitor: SiteVisitor,
    pub(crate) store: StoreLabel,
    site: Site,
    events: Events,
    target: Target,
    console: Console,
}

impl Session {
    /// Where the command only `looks`, a store that is not there is not made.
    pub(crate) async fn open(args: &SiteArgs, looks: bool, console: Console) -> Result<Self, Failure> {
        let client_id = client_id(args)?;
        refuse_two_targets(args)?;
        let store = StoreChoice::of(args).await?;
        let used = if looks { store.to_look_at()? } else { store.clone() };
        let mut target = Target::of(args, &used, console).await?;
        // Where nothing can be asked, no store is made either. Where there is one, a token in it may be all that is wanted, and then
        // the system's certificates, hundreds of files, are not read.
        if used.label().exists {
            target.http = target.http.lazy();
        }
        WixEndpoint::builder().options(target.http.clone()).build()?;
        let opened = used.open_in_place(console).await?;
        for warning in opened.warnings() {
            console.warning("store", &warning);
        }
        let site = target.builder(&client_id).store(opened).connect().await?;
        let visitor = site.visitor(args.visitor.expose());
        let events = site.events();
        Ok(Self { visitor, store: store.label(), site, events, target, console })
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// Waits for what is under way and for tokens that are not in the store yet; then tells what happened on the side.
    pub(crate) async fn close(mut self) -> Result<(), Failure> {
        let closed = self.site.shutdown().await;
        let mut pending = None;
        while let Some(event) = self.events.try_recv() {
            match event.kind {
                EventKind::VisitorLost(lost) => {
                    self.console.warning("visitor_lost", &format!("the visitor was lost: {lost}"));
                }
                EventKind::AlternateDropped => {
                    self.console.warning("alternate_dropped", "a refresh token that was kept aside had to go");
                }
                EventKind::SavePending(error) => pending = Some(error),
                EventKind::Saved => pending = None,
                _ => {}
            }
        }
        self.target.close().await;
        closed.map_err(|error| {
            let Some(pending) = &pending else { return error.into() };
            let told = "new tokens could not be saved, however often it was tried, and end with this command; the store still \
                        has those from before";
            Failure::new(Exit::Store, "unsaved", told)
                .because(pending)
                .advise("free the store (`wix-visitor doctor` shows it), then run `wix-visitor renew`")
        })
    }
}

/// What to talk to: Wix, another API, or a sandbox of our own.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) http: HttpOptions,
    /// As it was given; to be shown only once it is known to be one.
    pub(crate) url: String,
    sandbox: Option<Sandbox>,
}

impl Target {
    pub(crate) async fn of(args: &SiteArgs, store: &StoreChoice, console: Console) -> Result<Self, Failure> {
        if !args.sandbox {
            let url = args.api_url.as_ref().map_or("https://www.wixapis.com", |url| url.expose().trim());
            return Ok(Self { http: HttpOptions::new().base_url(url), url: url.to_owned(), sandbox: None });
        }
        let mut options = SandboxOptions::new();
        let state = store.sandbox_state()?;
        if let Some(state) = &state {
            options = options.state_file(state);
        }
        let sandbox = Sandbox::start(options).await?;
        let url = sandbox.url();
        let kept = match &state {
            Some(state) => format!("its state is kept in {}", state.display()),
            None => "nothing is kept".to_owned(),
        };
        console.notice("sandbox", &format!("an embedded sandbox answers at {url}, not Wix; {kept}"));
        Ok(Self { http: HttpOptions::new().base_url(&url), url, sandbox: Some(sandbox) })
    }

    pub(crate) fn builder(&self, client_id: &ClientId) -> Builder {
        let builder = wix_visitor::builder(client_id.as_str()).http(self.http.clone()).snapshot_bytes(SNAPSHOT_BYTES);
        if self.sandbox.is_some() { builder.issuer(SANDBOX_ISSUER) } else { builder }
    }

    /// Whose tokens they are.
    pub(crate) fn issuer(&self) -> &str {
        if self.sandbox.is_some() { SANDBOX_ISSUER } else { &self.url }
    }

    pub(crate) fn is_sandbox(&self) -> bool {
        self.sandbox.is_some()
    }

    pub(crate) async fn close(self) {
        if let Some(sandbox) = self.sandbox {
            sandbox.shutdown().await;
        }
    }
}

pub(crate) fn client_id(args: &SiteArgs) -> Result<ClientId, Failure> {
    let text = match (&args.client_id, args.sandbox) {
        (Some(text), _) => text,
        (None, true) => SANDBOX_CLIENT_ID,
        (None, false) => {
            return Err(Failure::usage("there is no client id: give --client-id, or set WIX_CLIENT_ID").advise(
                "copy it from your site's dashboard (Settings, Headless Settings, the OAuth app's page); \
                 or add --sandbox to try things out without a site",
            ));
        }
    };
    Ok(ClientId::new(text)?)
}

pub(crate) fn refuse_two_targets(args: &SiteArgs) -> Result<(), Failure> {
    if args.sandbox && args.api_url.is_some() {
        return Err(Failure::usage("--sandbox and --api-url (or WIX_API_URL) cannot be used together")
            .advise("leave one of them out, and unset WIX_API_URL where that is the one"));
    }
    Ok(())
}
