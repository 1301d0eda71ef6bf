//! LZF, the compression of strings in RDB: runs of literal bytes, and copies of earlier bytes.
//!
//! The format is that of LibLZF. A control byte below 32 is followed by that many literals plus
//! one. Otherwise its upper three bits are the length of a copy minus 2 (7: the next byte is
//! added), and its lower five bits with the next byte are the distance minus 1.

const LITERALS_MAX: usize = 32;
const DISTANCE_MAX: usize = 1 << 13;
const COPY_MAX: usize = 2 + 7 + 255;
/// A copy of up to 264 bytes takes three.
const RATIO_MAX: usize = 88;
const TABLE_LOG2: u32 = 13;

/// Compresses strings one after another and reuses its memory.
#[derive(Default)]
pub struct Packer {
    /// Where three bytes with this hash were last seen, counted from the first string on.
    seen: Vec<u32>,
    /// Where the current string begins in that count; lower positions belong to earlier ones.
    base: u32,
}

impl Packer {
    /// Compresses, if that saves at least four bytes.
    pub fn compress(&mut self, input: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(input.len());
        self.pack(input, &mut out).then_some(out)
    }

    /// Appends `input` compressed and returns true, if that saves at least four bytes.
    /// Otherwise returns false; the bytes appended are then meaningless.
    pub(super) fn pack(&mut self, input: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(len_max) = input.len().checked_sub(4) else { return false };
        let Ok(len) = u32::try_from(input.len()) else { return false };
        if self.seen.is_empty() || self.base.checked_add(len + 1).is_none() {
            self.seen = vec![0; 1 << TABLE_LOG2];
            self.base = 1;
        }
        let (base, start) = (self.base, out.len());
        self.base += len;
        let (mut at, mut literals) = (0, 0);
        while at + 2 < input.len() {
            let three = u32::from_le_bytes([input[at], input[at + 1], input[at + 2], 0]);
            let slot = (three.wrapping_mul(0x9e37_79b1) >> (32 - TABLE_LOG2)) as usize;
            let before = std::mem::replace(&mut self.seen[slot], base + at as u32);
            let from = before.wrapping_sub(base) as usize;
            if before < base
                || at - from > DISTANCE_MAX
                || input[from..from + 3] != input[at..at + 3]
            {
                at += 1;
                continue;
            }
            put_literals(out, &input[literals..at]);
            let len_max_here = COPY_MAX.min(input.len() - at);
            let same = |len: &usize| input[from + len] == input[at + len];
            let len = (3..len_max_here).take_while(same).count() + 3;
            let distance = at - from - 1;
            let high = (distance >> 8) as u8;
            match len - 2 {
                code @ ..7 => out.push((code as u8) << 5 | high),
                code => out.extend([7 << 5 | high, (code - 7) as u8]),
            }
            out.push(distance as u8);
            at += len;
            literals = at;
            if out.len() - start > len_max {
                return false;
            }
        }
        put_literals(out, &input[literals..]);
        out.len() - start <= len_max
    }
}

fn put_literals(out: &mut Vec<u8>, literals: &[u8]) {
    for run in literals.chunks(LITERALS_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

/// Decompresses to exactly `len` bytes. `None` if the input is invalid or has another length.
pub fn decompress(input: &[u8], len: usize) -> Option<Vec<u8>> {
    if len > input.len().saturating_mul(RATIO_MAX) {
        return None;
    }
    let mut out = Vec::with_capacity(len);
    let mut rest = input;
    while let Some((&control, after)) = rest.split_first() {
        rest = after;
        if usize::from(control) < LITERALS_MAX {
            let (run, after) = rest.split_at_checked(usize::from(control) + 1)?;
            out.extend_from_slice(run);
            rest = after;
        } else {
            let mut copy = usize::from(control >> 5) + 2;
            if control >> 5 == 7 {
                let (&more, after) = rest.split_first()?;
                copy += usize::from(more);
                rest = after;
            }
            let (&low, after) = rest.split_first()?;
            rest = after;
            let distance = (usize::from(control & 31) << 8 | usize::from(low)) + 1;
            let from = out.len().checked_sub(distance)?;
            if out.len() + copy > len {
                return None;
            }
            if copy <= distance {
                out.extend_from_within(from..from + copy);
            } else {
                // The copy overlaps its own output, which it repeats.
                for index in from..from + copy {
                    out.push(out[index]);
                }
            }
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_bytes() {
        // "aaaaaaaaaa…" of 100 bytes as Redis compresses it.
        let packed = [1, b'a', b'a', 0xe0, 88, 0, 1, b'a', b'a'];
        assert_eq!(decompress(&packed, 2 + 97 + 2), Some(vec![b'a'; 101]));
        assert_eq!(decompress(&packed, 100), None);
        assert_eq!(decompress(&[0x20, 5], 3), None, "a copy from before the start");
        assert_eq!(decompress(&[0], 1), None, "a missing literal");
        assert_eq!(decompress(&[0, 1], 1 << 40), None, "an impossible length");
    }

    proptest! {
        #[test]
        fn compressed_bytes_round_trip(
            bytes in prop::collection::vec(prop_oneof![Just(0u8), 0..3u8, any::<u8>()], 0..3000),
        ) {
            if let Some(packed) = Packer::default().compress(&bytes) {
                prop_assert!(packed.len() + 4 <= bytes.len());
                prop_assert_eq!(decompress(&packed, bytes.len()), Some(bytes));
            }
        }

        #[test]
        fn any_input_is_decompressed_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            len in 0..2000usize,
        ) {
            let out = decompress(&bytes, len);
            prop_assert!(out.is_none_or(|out| out.len() == len));
        }
    }
}
