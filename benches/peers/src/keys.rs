//! The keys of many visitors.

use crate::random::Random;

/// So many, each of 32 hexadecimal digits as a session's id has, in no order. The same in every run.
pub(crate) fn keys(count: usize) -> Vec<String> {
    let mut random = Random(1);
    (0..count).map(|_| format!("{:016x}{:016x}", random.next(), random.next())).collect()
}

/// The same in another order, and so in memory: a key that is looked up comes fresh out of a request, and is near.
pub(crate) fn shuffled(keys: &[String]) -> Vec<String> {
    let mut random = Random(2);
    let mut order: Vec<_> = (0..keys.len()).map(|index| (random.next(), index)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, index)| keys[index].clone()).collect()
}
