//! Chance that is the same again from the same seed.

/// A number that belongs to these, as good as random: what is drawn for one thing does not change with what is drawn for another.
pub fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |sum, part| scramble(sum.rotate_left(23) ^ scramble(*part)))
}

/// A number from 0 up to, but not, 1, likewise.
pub fn share(parts: &[u64]) -> f64 {
    // As many bits as fit.
    (mix(parts) >> 11) as f64 / (1u64 << 53) as f64
}

/// One round of splitmix64.
fn scramble(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_spread_evenly_and_the_same_again() {
        let mut tenths = [0u32; 10];
        for n in 0..100_000 {
            assert_eq!(share(&[7, n]).to_bits(), share(&[7, n]).to_bits());
            tenths[(share(&[7, n]) * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|tenth| (9_700..10_300).contains(tenth)), "{tenths:?}");
    }
}
