//! The keys of many visitors.

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

/// Splitmix64: well spread, and the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}
