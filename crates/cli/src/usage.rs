//! Reading the command line, and what is wrong with it, without repeating what may be a secret.

use std::ffi::OsString;
use std::io::{self, Write as _};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args as _, Command, CommandFactory as _, FromArgMatches as _, Subcommand as _};
use serde_json::json;

use crate::args::{self, Args, OutputArgs, SiteArgs};
use crate::exit::Exit;

/// Shown in place of a word that may be a secret.
const HIDDEN: &str = "(not shown)";

/// The arguments; or else prints help, version or what is wrong, and says how to end.
pub(crate) fn parse() -> Result<Args, Exit> {
    let words: Vec<_> = std::env::args_os().collect();
    read(narrow(&words), &words).or_else(|_| read(whole(), &words)).map_err(|error| tell(without_secrets(error)))
}

fn read(command: Command, words: &[OsString]) -> Result<Args, clap::Error> {
    let mut command = without_empty_variables(command);
    let matches = command.try_get_matches_from_mut(words);
    // Taken apart piece by piece it would cost more than many a command.
    std::mem::forget(command);
    matches.and_then(|matches| Args::from_arg_matches(&matches))
}

/// All there is, which alone says what is wrong, and helps.
fn whole() -> Command {
    Args::command()
}

/// Of the subcommands, those that are named. What it can read, the whole reads in the same way; but that takes as long as anything else that
/// is done for a token, since each subcommand gets each global option.
fn narrow(words: &[OsString]) -> Command {
    let subcommands = args::Command::augment_subcommands(Command::default());
    let named = subcommands.get_subcommands().filter(|command| words.iter().any(|word| word == command.get_name()));
    let options = OutputArgs::augment_args(SiteArgs::augment_args(Command::default()));
    named.cloned().fold(options, Command::subcommand)
}

/// A variable that is set to nothing counts as one that is not set.
fn without_empty_variables(command: Command) -> Command {
    command.mut_args(|arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        if value.is_some_and(|value| value.is_empty()) { arg.env(None::<&str>) } else { arg }
    })
}

fn tell(error: clap::Error) -> Exit {
    if !error.use_stderr() {
        // Help and version were asked for; who has read enough of them is no failure.
        return match error.print().and_then(|()| io::stdout().flush()) {
            Err(failed) if failed.kind() != io::ErrorKind::BrokenPipe => {
                let _ = writeln!(io::stderr(), "error: cannot write to standard output: {failed}");
                Exit::Other
            }
            _ => Exit::Done,
        };
    }
    // The arguments could not be read, so this one neither.
    if std::env::args_os().any(|word| word == "--json") {
        let text = error.render().to_string();
        let lines: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
        let message = lines.join(" ");
        let message = message.trim_start_matches("error: ");
        let object = json!({ "error": { "kind": "usage", "message": message, "exit": Exit::Usage.code() } });
        let _ = writeln!(io::stderr(), "{object}");
    } else {
        let _ = error.print();
    }
    Exit::Usage
}

/// What was typed in a wrong place may be a token, a visitor key, or a store's URL with its password.
fn without_secrets(mut error: clap::Error) -> clap::Error {
    let typed = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::TooManyValues | ErrorKind::NoEquals => {
            ContextKind::InvalidValue
        }
        _ => return error,
    };
    // The value that a flag without one was given stands here, whatever the kind.
    for kind in [typed, ContextKind::InvalidValue, ContextKind::TrailingArg] {
        let Some(ContextValue::String(word)) = error.get(kind) else { continue };
        if !is_plain(word) {
            error.insert(kind, ContextValue::String(HIDDEN.to_owned()));
            // Advice of the kind "to pass … as a value" repeats the word.
            error.remove(ContextKind::Suggested);
        }
    }
    error
}

/// A short word or the name of an option; a secret is longer or holds other characters.
fn is_plain(word: &str) -> bool {
    let bare = word.trim_start_matches('-');
    bare.len() < 16 && bare.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &[&str]) -> String {
        let words = ["wix-visitor"].iter().chain(words);
        without_secrets(without_empty_variables(whole()).try_get_matches_from(words).err().unwrap())
            .render()
            .to_string()
    }

    #[test]
    fn a_word_in_a_wrong_place_is_not_repeated_if_it_may_be_a_secret() {
        const SECRET: &str = "redis://user:hunter2@host/";
        const KEY: &str = "shopper-0123456789abcdef";
        for secret in [SECRET, KEY, "OauthNG.JWS.abc", r#"{"accessToken":1}"#] {
            for words in [
                vec![secret],
                vec!["token", secret],
                vec!["token", "--header", secret],
                vec!["status", "--", secret],
                vec!["import", "a", secret],
                vec!["sandbox", "--listen", secret],
                vec!["sandbox", "--token-ttl", secret],
                vec!["sandbox", "--rotation", secret],
                vec!["sandbox", "--fault", secret],
                vec!["call", "GET", "/", secret],
            ] {
                let shown = shown(&words);
                assert!(!shown.contains(secret), "{words:?}: {shown}");
            }
            for flag in [format!("--{secret}"), format!("--sandbox={secret}"), format!("-x{secret}")] {
                let shown = shown(&["token", &flag]);
                assert!(!shown.contains(&secret[1..]), "{flag}: {shown}");
            }
        }
    }

    #[test]
    fn what_is_read_without_the_subcommands_that_are_not_named_is_read_with_them_in_the_same_way() {
        fn values(matches: &clap::ArgMatches) -> Vec<(String, Vec<OsString>)> {
            let raw = |id: &str| matches.get_raw(id).into_iter().flatten().map(OsString::from).collect();
            let own = matches.ids().map(|id| (id.to_string(), raw(id.as_str())));
            let below = matches.subcommand().map(|(name, below)| (name.to_owned(), values(below)));
            let below = below.map(|(name, values)| [(name, Vec::new())].into_iter().chain(values).collect::<Vec<_>>());
            own.chain(below.unwrap_or_default()).collect()
        }
        for (line, is_read) in [
            ("token", true),
            ("--json token --header -vv", true),
            ("token --header --visitor anna --sandbox", true),
            ("--visitor token status", true),
            ("status --visitor token", true),
            ("keys list", true),
            ("--keys keys list --limit 3", true),
            ("call GET /token -d list", true),
            ("import status", true),
            ("", false),
            ("--version", false),
            ("--json", false),
            ("token --help", false),
            ("help token", false),
            ("tokn --visitor status", false),
            ("status token", false),
            ("token --sandbx", false),
        ] {
            let words: Vec<_> =
                ["wix-visitor"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect();
            let [narrow, whole] = [narrow(&words), whole()].map(|command| command.try_get_matches_from(&words));
            assert_eq!(whole.is_ok(), is_read, "{line}");
            match (narrow, whole) {
                (Ok(narrow), Ok(whole)) => assert_eq!(values(&narrow), values(&whole), "{line}"),
                (Ok(narrow), Err(_)) => assert!(Args::from_arg_matches(&narrow).is_err(), "{line}"),
                (Err(error), Ok(_)) => panic!("{line}: {error}"),
                (Err(_), Err(_)) => {}
            }
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_repeated() {
        assert!(shown(&["tokn"]).contains("'tokn'"));
        assert!(shown(&["token", "--heade"]).contains("--heade"));
        assert!(shown(&["sandbox", "--rotation", "fast"]).contains("fast"));
    }
}
