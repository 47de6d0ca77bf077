//! Where this command keeps its own files.

use std::path::PathBuf;

use etcetera::{BaseStrategy as _, choose_base_strategy};

use crate::exit::{Exit, Failure};

/// `wix-visitor` in the user's data directory: `$XDG_DATA_HOME`, or else `~/.local/share`. Not created here: whoever puts
/// something in makes it private.
pub(crate) fn data_dir() -> Result<PathBuf, Failure> {
    let strategy = choose_base_strategy().map_err(|error| {
        Failure::new(Exit::Misconfigured, "misconfigured", "there is no telling where your data belongs")
            .because(&error)
            .advise("set HOME or XDG_DATA_HOME, or name a store with --store")
    })?;
    Ok(strategy.data_dir().join("wix-visitor"))
}
