//! All rows, in the order of the table.

mod file_swap;
mod grow;
mod hit;
mod layer;
mod mem_load;
mod mem_swap;
mod redis_load;
mod redis_swap;
mod seal;
mod sqlite_load;
mod sqlite_swap;

use crate::row::Row;

pub(crate) fn all() -> Vec<Row> {
    let mut rows = vec![hit::row(), mem_load::row(), mem_swap::row()];
    rows.extend(redis_load::rows());
    rows.extend(redis_swap::rows());
    rows.extend(sqlite_load::rows());
    rows.extend([sqlite_swap::row(), file_swap::row(), seal::row(), layer::row(), grow::row()]);
    rows
}
