//! The state hash: equal for graphs that differ only in node order and names.
//!
//! Each node has a 128-bit Merkle hash (its operator and the hashes of its operands); the hash of the graph is their
//! wrapping *sum* over the live nodes (an exclusive or would cancel twins), combined with the outputs in order.

use std::hash::{Hash, Hasher};

use super::{Graph, Op};

/// Two independent 64-bit lanes of multiply-and-rotate mixing.
#[derive(Clone, Copy)]
struct Mixer {
    a: u64,
    b: u64,
}

impl Mixer {
    fn new(seed: u64) -> Mixer {
        Mixer { a: seed ^ 0x9e37_79b9_7f4a_7c15, b: seed.rotate_left(32) ^ 0xc2b2_ae3d_27d4_eb4f }
    }

    #[inline]
    fn word(&mut self, word: u64) {
        self.a = (self.a ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
        self.b = (self.b.rotate_left(17) ^ word).wrapping_mul(0xc4ce_b9fe_1a85_ec53) ^ (self.b >> 31);
    }

    #[inline]
    fn wide(&mut self, value: u128) {
        self.word(value as u64);
        self.word((value >> 64) as u64);
    }

    #[inline]
    fn done(mut self) -> u128 {
        self.word(self.b);
        self.word(self.a >> 32);
        let fin = |mut x: u64| {
            x ^= x >> 33;
            x = x.wrapping_mul(0x62a9_d9ed_7997_05f5);
            x ^ (x >> 29)
        };
        (u128::from(fin(self.a)) << 64) | u128::from(fin(self.b))
    }
}

/// Feeds `Hash` implementations (attributes) to both lanes.
struct Lanes(Mixer);

impl Hasher for Lanes {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0.word(u64::from_le_bytes(word));
        }
        self.0.word(bytes.len() as u64);
    }

    fn finish(&self) -> u64 {
        self.0.done() as u64
    }
}

/// Digest of an operator with its attributes and its number of outputs.
pub(super) fn op_digest(op: &Op, outputs: usize) -> u128 {
    let mut lanes = Lanes(Mixer::new(outputs as u64));
    match op {
        Op::Input => lanes.0.word(1),
        Op::Weight(tensor) => lanes.0.wide(tensor.digest()),
        Op::Apply(kind, attrs) => {
            lanes.0.word(3);
            kind.hash(&mut lanes);
            attrs.hash(&mut lanes);
        }
        Op::Opaque(opaque) => {
            lanes.0.word(4);
            lanes.0.word(opaque.origin as u64);
            opaque.op_type.hash(&mut lanes);
        }
    }
    lanes.0.done()
}

impl Graph {
    /// Hash of the graph's live nodes (those that an output needs), recomputed whole. Independent of node ids, of their
    /// order and of all names; inputs are told apart by their position.
    pub fn state_hash(&self) -> u128 {
        let mut hashes = vec![0u128; self.id_bound()];
        let mut sum = 0u128;
        for (position, &id) in self.inputs().iter().enumerate() {
            let mut mixer = Mixer::new(position as u64);
            mixer.word(1);
            hashes[id.index()] = mixer.done();
        }
        for &id in &self.topological() {
            let node = self.node(id);
            if !matches!(node.op, Op::Input) {
                let mut mixer = Mixer::new(0x51ed);
                mixer.wide(node.op_digest);
                for input in &node.inputs {
                    match input {
                        Some(v) => {
                            mixer.wide(hashes[v.node.index()]);
                            mixer.word(u64::from(v.slot));
                        }
                        None => mixer.word(0x6e6f_6e65),
                    }
                }
                hashes[id.index()] = mixer.done();
            }
            sum = sum.wrapping_add(hashes[id.index()]);
        }
        let mut total = Mixer::new(0x6f75_7470_7574);
        total.wide(sum);
        for output in self.outputs() {
            total.wide(hashes[output.value.node.index()]);
            total.word(u64::from(output.value.slot));
        }
        total.done()
    }
}
