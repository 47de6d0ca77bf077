//! What may be typed, and what `--help` says about it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};
use wix_visitor::Secret;
use wix_visitor_testkit::sandbox::Fault;

const EXAMPLES: &str = "\
Try it without a site of your own; the sandbox is a small Wix on this machine:
  wix-visitor --sandbox call POST /stores/v3/products/query -d '{}'
  wix-visitor --sandbox call GET /ecom/v1/carts/current

With your site (its client id stands in the site's dashboard: Settings, Headless Settings, the OAuth app's page):
  export WIX_CLIENT_ID=00000000-0000-0000-0000-000000000000
  wix-visitor doctor
  wix-visitor call POST /stores/v3/products/query -d '{\"query\": {\"cursorPaging\": {\"limit\": 3}}}'
  wix-visitor token --header | curl -H @- https://www.wixapis.com/ecom/v1/carts/current

Exit codes:
  0  done
  1  anything not named below
  2  usage: an option, a file or a body that cannot be used; nothing was sent
  3  misconfigured: Wix does not accept the client id, or the like
  4  the endpoint is unavailable; nothing was lost, try again later
  5  the store is unavailable, or what it holds is damaged
  6  the member's session has ended: sign in again, or forget
  7  the API answered 400 or above; its body is printed all the same
  8  migrate: all was brought over, and instances still write to the old store; run it once more
129, 130, 143  ended by hanging up, Ctrl-C, SIGTERM; what was under way has been finished and kept

This command is for self-managed Wix Headless projects and is not a product of Wix.";

const TOKEN_EXAMPLES: &str = "\
Examples; the second shows no token in the list of processes:
  TOKEN=$(wix-visitor token)
  wix-visitor token --header | curl -H @- https://www.wixapis.com/ecom/v1/carts/current";

const CALL_EXAMPLES: &str = "\
Examples:
  wix-visitor call GET /ecom/v1/carts/current
  wix-visitor call POST /stores/v3/products/query -d '{\"query\": {\"cursorPaging\": {\"limit\": 3}}}'
  wix-visitor call POST /graphql/alpha -d @query.json";

const KEYS_EXAMPLES: &str = "\
To begin:
  wix-visitor --keys keys.txt keys generate
To change the key, each step on all machines before the next:
  wix-visitor --keys keys.txt keys generate
  wix-visitor --keys keys.txt keys promote NAME
  wix-visitor --keys keys.txt --store URL reseal
  wix-visitor --keys keys.txt --store URL keys remove NAME";

const MIGRATE_EXAMPLES: &str = "\
Examples:
  wix-visitor migrate --from sqlite:visitors.db --to redis://127.0.0.1
  wix-visitor --keys keys.txt --plain-records read migrate --from file:visitors --to sqlite:visitors.db
A URL with a password belongs into the variable, since command lines can be read by others. Of all sites, whatever --client-id says.
Run it while the instances still use the old store; stop them, run it once more, which is quick; start them on the new one.";

/// Gets, keeps, renews and uses the tokens of Wix Headless visitors.
///
/// A visitor is made when a token is first needed, kept in a store, and renewed as needed: the same visitor, with the same cart,
/// in every later run. An error never makes it a new one.
#[derive(Parser)]
#[command(name = "wix-visitor", version, after_long_help = EXAMPLES, max_term_width = 120, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Whose tokens, from where, kept where.
#[derive(ClapArgs)]
#[command(next_help_heading = "Site and visitor")]
pub(crate) struct SiteArgs {
    /// The client id of your site's OAuth app.
    ///
    /// It stands in the site's dashboard: Settings, Headless Settings, the OAuth app's page. It is no secret. With --sandbox a
    /// made-up one is used where none is given.
    #[arg(long, global = true, value_name = "ID", env = "WIX_CLIENT_ID", hide_env_values = true)]
    pub(crate) client_id: Option<String>,

    /// The API to talk to [default: https://www.wixapis.com].
    ///
    /// https, or http on this machine (127.0.0.1, [::1], localhost), as for `wix-visitor sandbox`.
    #[arg(long, global = true, value_name = "URL", env = "WIX_API_URL", hide_env_values = true, value_parser = secret)]
    pub(crate) api_url: Option<Secret>,

    /// Where visitors are kept: `memory:`, `file:DIR`, `sqlite:PATH` or `redis://HOST` [default: sqlite, in your data directory]
    /// [env: WIX_VISITOR_STORE, or WIX_VISITOR_STORE_FILE, the name of a file that holds the URL].
    ///
    /// `memory:` forgets all when the command ends. `file:DIR` and `sqlite:PATH` may be shared by several processes of this
    /// machine, Redis by several machines: `redis://`, `rediss://`, `redis+unix://`, `redis+sentinel://` or `redis+cluster://`.
    /// Where the URL holds a password, put it into a file, or a variable, instead of this option; the option wins over both.
    // Its variables are read elsewhere: clap would not say which of option and variable it was.
    #[arg(long, global = true, value_name = "URL", value_parser = secret)]
    pub(crate) store: Option<Secret>,

    /// The ring of keys by which the store's records are sealed, a file that `wix-visitor keys generate` made
    /// [env: WIX_VISITOR_KEYS_FILE, or WIX_VISITOR_KEYS, the ring itself].
    ///
    /// Without one, records are plain. The option wins over both variables.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,

    /// With a ring of keys: what is done about records that are not sealed [default: refuse].
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHAT",
        env = "WIX_VISITOR_PLAIN_RECORDS",
        hide_env_values = true
    )]
    pub(crate) plain_records: Option<PlainRecordsArg>,

    /// Your own name for the visitor, where there is more than one.
    ///
    /// Where it is a session's id it is a secret: then set the variable, as command lines can be read by others.
    #[arg(
        long, global = true, value_name = "KEY", env = "WIX_VISITOR", hide_env_values = true, value_parser = secret,
        default_value = "default"
    )]
    pub(crate) visitor: Secret,

    /// Use an embedded sandbox instead of Wix; not together with --api-url.
    ///
    /// The sandbox is a small Wix on this machine, for trying things out. It has a store of its own, and keeps its state beside
    /// it, so that carts outlive a run.
    #[arg(long, global = true)]
    pub(crate) sandbox: bool,
}

/// How results and the log are shown.
#[derive(ClapArgs)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Machine-readable output; errors and notices too, as one JSON object a line on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// More log on standard error: -v what happens, -vv how, -vvv each step. `RUST_LOG` wins where it is set.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Print a valid access token, and nothing else.
    ///
    /// Mints a visitor where there is none. A token that still works is printed at once, and renewed then if that is due.
    #[command(after_help = TOKEN_EXAMPLES)]
    Token {
        /// Print the whole header line, `Authorization: TOKEN`.
        #[arg(long)]
        header: bool,
    },
    /// Show what is known of the visitor; never a secret.
    ///
    /// Nothing is sent to Wix, nothing is changed.
    Status,
    /// Renew the access token, without checking whether that is needed.
    Renew,
    /// Call a Wix API as the visitor; the answer's body is printed.
    ///
    /// Mints and renews as needed; after a 401 the token is renewed once and the call made once more. The token goes to the API's
    /// own host alone. An answer of 400 and above is printed too, and the exit code is 7.
    #[command(after_help = CALL_EXAMPLES)]
    Call(CallArgs),
    /// Print the visitor's tokens in the JSON of the Wix JavaScript SDK. Whoever has them is the visitor.
    ///
    /// Nothing is minted or renewed.
    Export,
    /// Take over tokens in the JSON of the Wix JavaScript SDK, in place of the present ones.
    ///
    /// A visitor that is replaced is gone from the store: export it first if its cart matters.
    Import {
        /// The file to read; `-` for standard input.
        #[arg(value_name = "FILE", default_value = "-")]
        file: String,
    },
    /// Forget the visitor: its tokens are gone at once, and no late renewal brings them back.
    ///
    /// The next need for a token mints a new visitor, with an empty cart.
    Forget,
    /// Check configuration, store and endpoint, and say what to do.
    ///
    /// Mints nothing and renews nothing, except with --probe: that asks the API itself, with visitors of its own.
    Doctor(DoctorArgs),
    /// Make, promote and remove the keys by which records are sealed.
    ///
    /// The file is named by --keys, or by WIX_VISITOR_KEYS_FILE.
    #[command(after_help = KEYS_EXAMPLES)]
    Keys {
        #[command(subcommand)]
        what: KeysCommand,
    },
    /// Seal every record by the ring's primary key.
    ///
    /// May be ended at any time and begun again, and run while instances use the store.
    Reseal,
    /// List the visitors in the store, by the first digits of their hashes.
    ///
    /// Of all sites, or with --client-id of that one.
    List {
        /// How many to print; about so many are looked up at once.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,

        /// Go on where an earlier list ended, by the cursor that it printed.
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,

        /// Print all there are.
        #[arg(long, conflicts_with_all = ["limit", "after"])]
        all: bool,
    },
    /// Show all of a record but its secrets.
    Inspect {
        /// The first digits of the visitor's hash, as `list` prints them; without it, the visitor of --visitor.
        #[arg(value_name = "HASH")]
        hash: Option<String>,
    },
    /// Drop the records that are over: those of visitors who have not come for a year.
    ///
    /// Goes by the time of the purge before, and refuses after an implausible jump of the clock. Redis drops them by itself.
    Purge {
        /// Go by the clock as it is now.
        #[arg(long)]
        trust_clock: bool,
    },
    /// Bring all visitors from one store to another.
    ///
    /// May be ended at any time and begun again, and run while instances use either store: what the other store has newer stays.
    #[command(after_help = MIGRATE_EXAMPLES)]
    Migrate(MigrateArgs),
    /// Run a sandbox Wix until Ctrl-C, for programs under development.
    ///
    /// A small Wix on this machine alone: the token endpoint, products, carts and more, without an account. What is not known
    /// about Wix can be switched, and failures can be planned.
    Sandbox(SandboxArgs),
}

#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum KeysCommand {
    /// Make a new key: the first of a new ring, or one more that opens and does not seal yet.
    Generate,
    /// Print what the keys are called, the primary one first.
    List,
    /// Make a key the primary one, which seals. Do so once every instance has it on its ring.
    Promote {
        /// What the key is called.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Take a key off the ring. Refused while the store still holds records that it sealed.
    Remove {
        /// What the key is called.
        #[arg(value_name = "NAME")]
        name: String,

        /// Do not look into the store. What the key has sealed can be read by nobody then.
        #[arg(long)]
        unchecked: bool,
    },
}

#[derive(ClapArgs)]
pub(crate) struct MigrateArgs {
    /// The store to bring visitors from: a URL as for --store.
    #[arg(long, value_name = "URL", value_parser = secret, env = "WIX_VISITOR_FROM", hide_env_values = true)]
    pub(crate) from: Secret,

    /// The store to bring them to; it is made if it is not there. Its records are sealed by --keys, if that is given.
    #[arg(long, value_name = "URL", value_parser = secret, env = "WIX_VISITOR_TO", hide_env_values = true)]
    pub(crate) to: Secret,

    /// The ring by which records are sealed in the store they come from, where it is not that of --keys.
    #[arg(long, value_name = "FILE")]
    pub(crate) from_keys: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum PlainRecordsArg {
    /// They are errors; all that is written is sealed.
    Refuse,
    /// They are read; all that is written is sealed.
    Read,
    /// They are read and written, until every instance has the ring.
    Write,
}

#[derive(ClapArgs)]
pub(crate) struct CallArgs {
    /// GET, POST, PUT, PATCH, DELETE.
    #[arg(value_name = "METHOD")]
    pub(crate) method: String,

    /// A path that begins with `/`, or a whole URL of the API's own host.
    #[arg(value_name = "PATH")]
    pub(crate) path: String,

    /// The body: as it stands, `@FILE` from a file, `-` from standard input.
    ///
    /// It must be JSON, unless a content-type header says that it is something else.
    #[arg(short, long, value_name = "DATA", allow_hyphen_values = true)]
    pub(crate) data: Option<String>,

    /// A header more, `Name: value`; may be given more than once. Not `Authorization`.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = secret)]
    pub(crate) headers: Vec<Secret>,

    /// Print status and headers before the body.
    #[arg(short, long)]
    pub(crate) include: bool,
}

#[derive(ClapArgs)]
pub(crate) struct DoctorArgs {
    /// Ask the API what nobody has documented about its tokens, and print a report for an issue; check nothing else.
    ///
    /// Each request is told before any is sent, and you are asked. At most two throw-away visitors are made; your own visitor and
    /// the store are not touched. The report is Markdown, or JSON with --json, and holds no token and nobody's id.
    #[arg(long)]
    pub(crate) probe: bool,

    /// With --probe: send without asking first, as where there is no terminal.
    #[arg(long, requires = "probe")]
    pub(crate) yes: bool,

    /// With --probe: try a refresh token that was replaced once more, so long after.
    #[arg(
        long, value_name = "SECONDS", default_value_t = 0, requires = "probe",
        value_parser = clap::value_parser!(u64).range(..=86_400)
    )]
    pub(crate) probe_wait: u64,

    /// With --probe: how long an answer may take.
    #[arg(
        long, value_name = "SECONDS", default_value_t = 10, requires = "probe",
        value_parser = clap::value_parser!(u64).range(1..=120)
    )]
    pub(crate) probe_timeout: u64,
}

#[derive(ClapArgs)]
#[command(after_long_help = sandbox_help())]
pub(crate) struct SandboxArgs {
    /// The address to listen on, on loopback; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4747")]
    pub(crate) listen: SocketAddr,

    /// Keep visitors and carts in this file, so that they outlive the sandbox; without it they are forgotten.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,

    /// How long an access token lives, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 14_400)]
    pub(crate) token_ttl: u64,

    /// What a renewal does to the refresh token. What Wix does is not documented.
    #[arg(long, value_enum, default_value_t = RotationArg::Same)]
    pub(crate) rotation: RotationArg,

    /// With `--rotation grace`: how long the old refresh token stays good after it was used, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) grace: u64,

    /// What an API call with an expired token is answered.
    #[arg(long, value_enum, default_value_t = DeadTokenArg::Unauthorized)]
    pub(crate) dead_token: DeadTokenArg,

    /// How a token reply tells the access token's lifetime.
    #[arg(long, value_enum, default_value_t = ExpiresInArg::Number)]
    pub(crate) expires_in: ExpiresInArg,

    /// Answer renewals without a refresh token: the client keeps the one it has.
    #[arg(long)]
    pub(crate) omit_refresh: bool,

    /// Added to the time each answer takes, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    pub(crate) latency: u64,

    /// A failure to plan, such as 'renew: status=503, times=2'; may be given more than once.
    ///
    /// What can be planned stands at the end of `sandbox --help`.
    #[arg(long = "fault", value_name = "SPEC")]
    pub(crate) faults: Vec<Fault>,
}

fn sandbox_help() -> String {
    format!(
        "\
Planned failures, from the start or while it runs:
  wix-visitor sandbox --fault 'renew: status=503, retry-after=5, times=2' --fault '/ecom/: reset'
  curl http://127.0.0.1:4747/_sandbox/faults -d 'mint: reset, after-acting'

{}
Paths of its own:
  /_sandbox/faults             POST plans faults, one a line; GET shows them; DELETE clears them
  /_sandbox/echo               answers what it received, without credentials
  /_sandbox/redirect?to=URL    redirects there, with 302 or what &status=NNN says
  /_sandbox/login?redirect_uri=URL&state=TEXT
                               signs a member in, and leads back to a page on this machine with a code
  /_sandbox/status/NNN         answers this status, 200 to 599",
        Fault::grammar()
    )
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum RotationArg {
    /// The same refresh token again.
    Same,
    /// A new one; the old one stays good.
    New,
    /// A new one; the old one stays good for a while (--grace).
    Grace,
    /// A new one; who uses the old one again loses both.
    Strict,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum DeadTokenArg {
    /// 401.
    Unauthorized,
    /// 400 with the code WDE0117, "MetaSite not found".
    Wde0117,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ExpiresInArg {
    /// `14400`
    Number,
    /// `"14400"`
    String,
    /// Not at all.
    Omitted,
}

// What clap needs of a parser of values.
#[allow(clippy::unnecessary_wraps)]
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn options_stand_before_or_after_the_command() {
        for words in
            [["wix-visitor", "--sandbox", "--json", "status"], ["wix-visitor", "status", "--json", "--sandbox"]]
        {
            let args = Args::try_parse_from(words).ok().unwrap();
            assert!(args.site.sandbox && args.output.json);
        }
    }
}
