#![doc = include_str!("../README.md")]

mod backend;
mod checksum;
mod fate;
mod noise;
mod pause;
mod place;
mod private;
mod url;

pub use backend::Backend;
pub use checksum::checksum;
pub use fate::Fate;
pub use noise::fill;
pub use pause::Pause;
pub use place::FileId;
pub use private::{
    create_directory, create_file, has_one_name, may_write, open_to_change, open_to_read, open_to_write, sync_directory,
};
pub use url::LocalUrl;
