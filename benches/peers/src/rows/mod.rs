//! All rows, in the order of the table.

mod build;
mod bytes;
mod deps;
mod herd;
mod hit;
mod hit_2t;
mod key_1m;
mod start;
mod trips;

use crate::row::Row;

pub(crate) fn all() -> Vec<Row> {
    vec![
        hit::row(),
        hit_2t::row(),
        key_1m::row(),
        herd::row(),
        herd::failing(),
        bytes::row(),
        trips::row(),
        start::row(),
        deps::row(),
        build::row(),
    ]
}
