//! All rows, in the order of the table.

mod build;
mod bytes;
mod deps;
mod file_swap;
mod grow;
mod herd;
mod hit;
mod hit_2t;
mod key_1m;
mod layer;
mod mem_load;
mod mem_swap;
mod redis_load;
mod redis_swap;
mod seal;
mod sqlite_load;
mod sqlite_swap;
mod start;
mod trips;

use crate::row::Row;

pub(crate) fn all() -> Vec<Row> {
    let mut rows = vec![hit::row(), hit_2t::row(), key_1m::row(), herd::row(), herd::failing()];
    rows.extend([mem_load::row(), mem_swap::row()]);
    rows.extend(redis_load::rows());
    rows.extend(redis_swap::rows());
    rows.extend(sqlite_load::rows());
    rows.extend([sqlite_swap::row(), file_swap::row(), seal::row(), layer::row(), grow::row()]);
    rows.extend([bytes::row(), trips::row(), start::row(), deps::row(), build::row()]);
    rows
}
