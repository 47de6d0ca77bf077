//! `keys`: the ring by which records are sealed, in a file that nobody else may read.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use wix_visitor::{KeyName, KeyRing, SealingKey, read_key_ring};

use crate::args::{KeysCommand, SiteArgs};
use crate::exit::{Exit, Failure};
use crate::output::{Console, Out};
use crate::progress::{Bar, of_store};
use crate::store_choice::StoreChoice;

pub(super) async fn run(what: &KeysCommand, args: &SiteArgs, console: Console) -> Result<Exit, Failure> {
    let path = path(args)?;
    let mut out = Out::new();
    match what {
        KeysCommand::Generate => {
            let held = hold(&path);
            let key = SealingKey::generate()?;
            let name = key.name();
            let is_new = !path.try_exists().map_err(|error| cannot("read", &path, &error))?;
            let ring = if is_new { KeyRing::new(key) } else { read_key_ring(&path)?.also(key) };
            write(&path, &ring)?;
            drop(held);
            if console.is_json() {
                out.json(&json!({ "name": name.to_string(), "primary": is_new, "file": path })).await?;
            } else {
                out.line(&name.to_string()).await?;
            }
            console.notice("keys", &if is_new {
                format!("{} is the ring, and its one key seals; keep it as you keep passwords: without it, what it sealed is lost", path.display())
            } else {
                format!("the key opens, and does not seal yet: once every instance has this ring, `wix-visitor keys promote {name}`")
            });
        }
        KeysCommand::List => {
            let names: Vec<_> = read_key_ring(&path)?.names().map(|name| name.to_string()).collect();
            if console.is_json() {
                out.json(&json!({ "primary": names.first(), "others": names.get(1..) })).await?;
            } else {
                for (at, name) in names.iter().enumerate() {
                    out.line(&format!("{name}{}", if at == 0 { "  primary: it seals" } else { "" })).await?;
                }
            }
        }
        KeysCommand::Promote { name } => {
            let name = KeyName::parse(name)?;
            let _held = hold(&path);
            let mut ring = read_key_ring(&path)?;
            ring.promote(name)?;
            write(&path, &ring)?;
            if console.is_json() {
                out.json(&json!({ "primary": name.to_string() })).await?;
            }
            console.notice("keys", &format!("{name} seals; once every instance has this ring, `wix-visitor reseal`"));
        }
        KeysCommand::Remove { name, unchecked } => {
            let name = KeyName::parse(name)?;
            let _held = hold(&path);
            let mut ring = read_key_ring(&path)?;
            ring.remove(name)?;
            if !unchecked {
                check_unused(name, args, console).await?;
            }
            write(&path, &ring)?;
            console.notice("keys", &format!("{name} is removed; what it sealed can be read by nobody"));
        }
    }
    Ok(Exit::Done)
}

/// Refuses where the store still holds what this key has sealed.
async fn check_unused(name: KeyName, args: &SiteArgs, console: Console) -> Result<(), Failure> {
    let advice = "name the store whose records it may have sealed, with --store, so that it can be looked through; or say --unchecked";
    if !StoreChoice::is_named(args) {
        return Err(Failure::usage("no store was named in which to see that the key is not in use").advise(advice));
    }
    let choice = StoreChoice::of(args).await?;
    if choice.label().kind == "memory" {
        return Err(Failure::usage("a memory: store holds nothing that could be looked through").advise(advice));
    }
    let bar = Bar::new("looking", console);
    let housekeeper = bar.follow(choice.housekeeper().await.map_err(|failure| failure.advise(advice))?);
    let seals = housekeeper.seals().await.map_err(of_store)?;
    if seals.is_empty() {
        // A volume that is not mounted, another database: that nothing is there says nothing of the key.
        let message = format!("{} is empty, so it does not show that nothing is sealed by {name}", choice.label());
        return Err(Failure::usage(message).advise(advice));
    }
    match seals.get(&Some(name)) {
        None => {
            console.notice("keys", &format!("nothing in {} is sealed by {name}", choice.label()));
            Ok(())
        }
        Some(count) => Err(Failure::new(
            Exit::Store,
            "key_in_use",
            format!(
                "the key {name} has sealed {count} records in {}, which nobody could read without it",
                choice.label()
            ),
        )
        .advise("run `wix-visitor reseal` first; nothing was changed")),
    }
}

fn path(args: &SiteArgs) -> Result<PathBuf, Failure> {
    let variable = || std::env::var_os("WIX_VISITOR_KEYS_FILE").filter(|value: &OsString| !value.is_empty());
    let path = args.keys.clone().or_else(|| variable().map(PathBuf::from));
    if path.as_ref().is_some_and(|path| KeyRing::from_text(&path.to_string_lossy()).is_ok()) {
        return Err(Failure::usage("what was given as the file of the ring is a key itself, so it is not shown")
            .advise(
                "give the name of a file; a key that stood in a command line may have been seen, so make another",
            ));
    }
    // What a link leads to is replaced, and not the link.
    let path = path.map(|path| std::fs::canonicalize(&path).unwrap_or(path));
    path.ok_or_else(|| {
        Failure::usage("no file was named for the ring of keys").advise(
            "give --keys FILE, or set WIX_VISITOR_KEYS_FILE; a ring in WIX_VISITOR_KEYS is changed where that is set",
        )
    })
}

/// One change at a time: a key that another command has just added must not go with an older ring. Where directories cannot be
/// locked, nobody is held up.
fn hold(path: &Path) -> Option<File> {
    let directory = File::open(parent(path)).ok()?;
    directory.lock().ok().map(|()| directory)
}

/// Replaces the file as a whole; private from the beginning.
fn write(path: &Path, ring: &KeyRing) -> Result<(), Failure> {
    let text = ring.to_text();
    // Nothing that could not be read again.
    KeyRing::from_text(text.expose())
        .map_err(|error| Failure::from(error).advise("nothing was changed: `wix-visitor keys remove`"))?;
    let written = || -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".wix-visitor-keys").tempfile_in(parent(path))?;
        file.write_all(text.expose().as_bytes())?;
        file.as_file().sync_all()?;
        check_owner(path, file.as_file())?;
        file.persist(path)?;
        #[cfg(unix)]
        File::open(parent(path))?.sync_all()?;
        Ok(())
    };
    written().map_err(|error| cannot("write", path, &error))
}

/// A service could no longer read a ring that became somebody else's.
#[cfg(unix)]
fn check_owner(path: &Path, ours: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    match std::fs::symlink_metadata(path) {
        Ok(standing) if standing.is_symlink() => Err(io::Error::other("it is a link that leads to nothing: remove it")),
        Ok(standing) if standing.uid() != ours.metadata()?.uid() => {
            Err(io::Error::other("it belongs to another user: run this as that user"))
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn check_owner(_: &Path, _: &File) -> io::Result<()> {
    Ok(())
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn cannot(doing: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot {doing} {}: {error}", path.display()))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_another_user_or_is_a_link_to_nothing_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (theirs, ours) = (directory.path().join("theirs"), tempfile::tempfile().unwrap());
        check_owner(&theirs, &ours).unwrap();
        File::create(&theirs).unwrap();
        check_owner(&theirs, &ours).unwrap();
        // Only root may give a file away; for others there is a directory of root's.
        let given = std::os::unix::fs::chown(&theirs, Some(12345), None).is_ok();
        let error = check_owner(if given { &theirs } else { Path::new("/usr") }, &ours).unwrap_err();
        assert!(error.to_string().contains("another user"), "{error}");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert!(check_owner(&link, &ours).unwrap_err().to_string().contains("remove it"));
    }
}
