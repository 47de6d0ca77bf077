//! All rows, in the order of the table.

mod hit;

use crate::row::Row;

pub(crate) fn all() -> Vec<Row> {
    vec![hit::row()]
}
