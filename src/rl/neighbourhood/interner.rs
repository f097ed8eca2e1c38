//! Numbers for things, from 0 in the order in which they are first met. What the things are is kept by the caller: the
//! table holds of each its number and half of its hash, in one word.

/// The table.
#[derive(Clone, Debug)]
pub(super) struct Interner {
    /// 0, or half a hash above a number plus 1. Linear probing; at most half full.
    slots: Vec<u64>,
    len: usize,
}

impl Default for Interner {
    fn default() -> Interner {
        Interner { slots: vec![0; 16], len: 0 }
    }
}

/// Mixes a word into a hash.
#[inline]
pub(super) fn mix(hash: u64, word: u64) -> u64 {
    // A wide product, folded: each bit of the word reaches both halves.
    let product = u128::from(hash ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93_u128;
    (product >> 64) as u64 ^ product as u64
}

impl Interner {
    /// Bytes that the table takes.
    pub fn bytes(&self) -> usize {
        self.slots.len() * size_of::<u64>()
    }

    /// The number of the thing of this hash that `is` accepts.
    #[inline]
    pub fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let half = hash >> 32;
        let mask = self.slots.len() - 1;
        let mut at = half as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let number = slot as u32 - 1;
            if slot >> 32 == half && is(number) {
                return Some(number);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a thing that is not there; its number.
    pub fn insert(&mut self, hash: u64) -> u32 {
        if 2 * (self.len + 1) > self.slots.len() {
            let old = std::mem::take(&mut self.slots);
            self.slots = vec![0; 2 * old.len()];
            old.into_iter().filter(|slot| *slot != 0).for_each(|slot| self.place(slot));
        }
        let number = self.len as u32;
        self.len += 1;
        self.place((hash >> 32) << 32 | u64::from(number + 1));
        number
    }

    fn place(&mut self, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut at = (slot >> 32) as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_found_again_whatever_the_hashes() {
        // Many hashes are equal, all of them for a part of the things.
        for hash in [|n: u64| mix(1, n), |n: u64| mix(1, n % 7), |_: u64| 0, |n: u64| n << 32] {
            let mut table = Interner::default();
            for n in 0..500u64 {
                assert_eq!(table.find(hash(n), |number| u64::from(number) == n), None);
                assert_eq!(u64::from(table.insert(hash(n))), n);
                assert_eq!(table.find(hash(n / 2), |number| u64::from(number) == n / 2), Some(n as u32 / 2));
            }
        }
    }
}
