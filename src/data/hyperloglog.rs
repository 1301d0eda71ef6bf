//! HyperLogLog: about how many different elements were added, in at most 12 KiB.
//!
//! An element's hash picks one of 16384 registers, and its *rank*, one more than the number of zeros
//! that the rest of the hash begins with (counted from the low end), is what the register is raised to.
//! The number of elements is estimated from how many registers have which value, by the method of Otmar
//! Ertl, *New cardinality estimation algorithms for HyperLogLog sketches*, arXiv:1702.01284.
//!
//! A HyperLogLog is a string, in exactly the bytes that Redis uses, for clients read and copy it:
//!
//! ```text
//! offset  bytes
//!      0  "HYLL"
//!      4  encoding    u8   0 dense, 1 sparse
//!      5  unused      3 bytes, zero
//!      8  cached      u64  little-endian: the last estimate; the highest bit says that it is outdated
//!     16  registers
//! ```
//!
//! *Dense*: 6 bits a register, the first one in the lowest bits of the first byte. *Sparse*: runs of
//! registers with the same value, `00xxxxxx` for x + 1 zeros, `01xxxxxx xxxxxxxx` for x + 1 zeros and
//! `1vvvvvxx` for x + 1 registers of value v + 1. Which runs a sparse one has depends on how it came
//! about, so [`raise`] splits and merges them just as Redis does.

/// How many registers there are.
pub const REGISTERS: usize = 16384;

const HEADER_BYTES: usize = 16;
const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS * 6 / 8;
const REGISTER_MASK: u16 = 63;
/// Bits of the hash that choose the register.
const INDEX_BITS: u32 = 14;
/// Bits of the hash that make the rank.
const RANK_BITS: u32 = 64 - INDEX_BITS;
/// Says that the cached estimate is outdated; in the last byte of the cache.
const OUTDATED: u8 = 0x80;
/// The highest value of a sparse register.
const SPARSE_VALUE_MAX: u8 = 32;
/// The longest run that a sparse value has.
const VALUE_RUN_MAX: usize = 4;
/// The longest run of zeros in one byte.
const SHORT_ZEROS_MAX: usize = 64;

/// How the registers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// 6 bits each.
    Dense,
    /// Runs.
    Sparse,
}

/// The runs of a sparse HyperLogLog do not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupted;

/// What became of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    /// It was as high before.
    No,
    /// It is higher now.
    Yes,
    /// It is higher now, and as there were too many bytes of runs, the encoding is dense.
    Densely,
}

/// The encoding, if these bytes look like a HyperLogLog. Whether the runs of a sparse one add up shows
/// when they are used.
pub fn encoding(bytes: &[u8]) -> Option<Encoding> {
    if bytes.len() < HEADER_BYTES || !bytes.starts_with(b"HYLL") {
        return None;
    }
    match bytes[4] {
        0 if bytes.len() == DENSE_BYTES => Some(Encoding::Dense),
        1 => Some(Encoding::Sparse),
        _ => None,
    }
}

/// One without elements.
pub fn empty() -> Vec<u8> {
    let mut bytes = header(Encoding::Sparse);
    push_zeros(&mut bytes, REGISTERS);
    bytes
}

fn header(encoding: Encoding) -> Vec<u8> {
    let mut bytes = b"HYLL".to_vec();
    bytes.resize(HEADER_BYTES, 0);
    bytes[4] = u8::from(encoding == Encoding::Sparse);
    bytes
}

/// Where the cached estimate is, in little-endian order.
pub const CACHE_OFFSET: usize = 8;

/// The cached estimate, unless it is outdated.
pub fn cached(bytes: &[u8]) -> Option<u64> {
    let cache = bytes[CACHE_OFFSET..].first_chunk().map(|cache| u64::from_le_bytes(*cache));
    cache.filter(|cache| cache >> 63 == 0)
}

/// Notes that the cached estimate is outdated.
pub fn outdate(bytes: &mut [u8]) {
    bytes[HEADER_BYTES - 1] |= OUTDATED;
}

/// The register of an element, and its rank.
pub fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element, 0xadc8_3b19);
    let rest = hash >> INDEX_BITS | 1 << RANK_BITS;
    ((hash as usize) & (REGISTERS - 1), rest.trailing_zeros() as u8 + 1)
}

/// MurmurHash64A by Austin Appleby.
fn murmur64a(bytes: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> 47;
        hash = (hash ^ word.wrapping_mul(M)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 47).wrapping_mul(M);
    hash ^ hash >> 47
}

/// Some registers in a row with the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// What all of them hold.
    pub value: u8,
    /// How many there are.
    pub len: usize,
    /// Bytes that the run takes.
    pub width: usize,
}

/// The run that begins at `at`.
fn run_at(bytes: &[u8], at: usize) -> Option<Run> {
    let first = *bytes.get(at)?;
    let low = usize::from(first & 63);
    Some(match first >> 6 {
        0 => Run { value: 0, len: low + 1, width: 1 },
        // Redis reads the zero behind the end of a string where the second byte is missing.
        1 => {
            let second = bytes.get(at + 1).copied().unwrap_or(0);
            Run { value: 0, len: (low << 8 | usize::from(second)) + 1, width: 2 }
        }
        _ => Run { value: (first >> 2 & 31) + 1, len: usize::from(first & 3) + 1, width: 1 },
    })
}

/// The runs of a sparse HyperLogLog; they may not add up.
pub fn runs(bytes: &[u8]) -> impl Iterator<Item = Run> {
    let mut at = HEADER_BYTES;
    std::iter::from_fn(move || {
        let run = run_at(bytes, at)?;
        at += run.width;
        Some(run)
    })
}

/// Calls `visit` with the first register and the length of each run of a sparse HyperLogLog that is not
/// of zeros.
fn for_each_value(bytes: &[u8], mut visit: impl FnMut(usize, Run)) -> Result<(), Corrupted> {
    let mut index = 0;
    for run in runs(bytes) {
        if index + run.len > REGISTERS {
            return Err(Corrupted);
        }
        if run.value > 0 {
            visit(index, run);
        }
        index += run.len;
    }
    if index == REGISTERS { Ok(()) } else { Err(Corrupted) }
}

fn push_value(bytes: &mut Vec<u8>, value: u8, len: usize) {
    debug_assert!((1..=SPARSE_VALUE_MAX).contains(&value) && (1..=VALUE_RUN_MAX).contains(&len));
    bytes.push(0x80 | (value - 1) << 2 | (len - 1) as u8);
}

fn push_zeros(bytes: &mut Vec<u8>, len: usize) {
    debug_assert!((1..=REGISTERS).contains(&len));
    if len > SHORT_ZEROS_MAX {
        bytes.extend(((len - 1) as u16 | 0x4000).to_be_bytes());
    } else {
        bytes.push((len - 1) as u8);
    }
}

/// Where a dense register is: its first byte, and by how many bits it is shifted there.
fn dense_place(index: usize) -> (usize, u32) {
    (HEADER_BYTES + index * 6 / 8, (index * 6 % 8) as u32)
}

fn dense_register(bytes: &[u8], index: usize) -> u8 {
    let (at, shift) = dense_place(index);
    // The last register does not reach into a second byte.
    let word = u16::from_le_bytes([bytes[at], bytes.get(at + 1).copied().unwrap_or(0)]);
    (word >> shift & REGISTER_MASK) as u8
}

fn set_dense_register(bytes: &mut [u8], index: usize, value: u8) {
    let (at, shift) = dense_place(index);
    let word = u16::from_le_bytes([bytes[at], bytes.get(at + 1).copied().unwrap_or(0)]);
    let word = word & !(REGISTER_MASK << shift) | u16::from(value) << shift;
    let [low, high] = word.to_le_bytes();
    bytes[at] = low;
    if let Some(byte) = bytes.get_mut(at + 1) {
        *byte = high;
    }
}

/// Whether a register of a dense HyperLogLog is below `rank`.
pub fn dense_is_below(bytes: &[u8], index: usize, rank: u8) -> bool {
    dense_register(bytes, index) < rank
}

/// Raises a register to `rank`, if it is lower. A sparse HyperLogLog becomes dense rather than longer
/// than `sparse_bytes_max`, and for a rank that runs cannot express. The cached estimate is outdated
/// then.
///
/// # Errors
/// If the runs do not add up; it may have become dense, and is not changed otherwise.
pub fn raise(
    bytes: &mut Vec<u8>,
    index: usize,
    rank: u8,
    sparse_bytes_max: usize,
) -> Result<Raised, Corrupted> {
    if encoding(bytes) == Some(Encoding::Dense) {
        if !dense_is_below(bytes, index, rank) {
            return Ok(Raised::No);
        }
        set_dense_register(bytes, index, rank);
        outdate(bytes);
        return Ok(Raised::Yes);
    }
    if rank > SPARSE_VALUE_MAX {
        make_dense(bytes)?;
        return raise(bytes, index, rank, sparse_bytes_max);
    }
    let (mut at, mut first) = (HEADER_BYTES, 0);
    let mut previous = HEADER_BYTES;
    let run = loop {
        let run = run_at(bytes, at).ok_or(Corrupted)?;
        if index < first + run.len {
            break run;
        }
        previous = at;
        at += run.width;
        first += run.len;
    };
    if at + run.width > bytes.len() {
        return Err(Corrupted);
    }
    if run.value >= rank {
        return Ok(Raised::No);
    }
    // What takes the run's place: what is left of it before and behind, and the register between.
    let mut pieces = Vec::with_capacity(5);
    let push_rest = |pieces: &mut Vec<u8>, len| match (len, run.value) {
        (0, _) => {}
        (len, 0) => push_zeros(pieces, len),
        (len, value) => push_value(pieces, value, len),
    };
    push_rest(&mut pieces, index - first);
    push_value(&mut pieces, rank, 1);
    push_rest(&mut pieces, first + run.len - 1 - index);
    if pieces.len() > run.width && bytes.len() + pieces.len() - run.width > sparse_bytes_max {
        make_dense(bytes)?;
        raise(bytes, index, rank, sparse_bytes_max)?;
        return Ok(Raised::Densely);
    }
    bytes.splice(at..at + run.width, pieces);
    merge_values(bytes, previous);
    outdate(bytes);
    Ok(Raised::Yes)
}

/// Makes one run of neighbours with the same value, among the five runs from `at` on.
fn merge_values(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..5 {
        let Some(run) = run_at(bytes, at) else { break };
        if run.value > 0
            && let Some(next) = run_at(bytes, at + 1)
            && next.value == run.value
            && run.len + next.len <= VALUE_RUN_MAX
        {
            bytes.remove(at);
            bytes[at] = 0x80 | (run.value - 1) << 2 | (run.len + next.len - 1) as u8;
        } else {
            at += run.width;
        }
    }
}

/// Makes a sparse HyperLogLog dense.
///
/// # Errors
/// If its runs do not add up; it is not changed then.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<(), Corrupted> {
    let mut dense = bytes[..HEADER_BYTES].to_vec();
    dense[4] = 0;
    dense.resize(DENSE_BYTES, 0);
    for_each_value(bytes, |first, run| {
        (first..first + run.len).for_each(|index| set_dense_register(&mut dense, index, run.value));
    })?;
    *bytes = dense;
    Ok(())
}

/// Calls `visit` with the index and the value of each register of a dense HyperLogLog.
fn for_each_dense(bytes: &[u8], mut visit: impl FnMut(usize, u8)) {
    let (triples, _) = bytes[HEADER_BYTES..].as_chunks::<3>();
    for (index, &[a, b, c]) in triples.iter().enumerate() {
        let word = u32::from_le_bytes([a, b, c, 0]);
        for part in 0..4 {
            visit(index * 4 + part, (word >> (6 * part) & 63) as u8);
        }
    }
}

/// How many registers have each value.
type Histogram = [u32; 64];

/// About how many different elements were added to a HyperLogLog.
///
/// # Errors
/// If its runs do not add up.
pub fn count(bytes: &[u8]) -> Result<u64, Corrupted> {
    let mut histogram: Histogram = [0; 64];
    if encoding(bytes) == Some(Encoding::Dense) {
        for_each_dense(bytes, |_, value| histogram[usize::from(value)] += 1);
    } else {
        let mut zeros = REGISTERS as u32;
        for_each_value(bytes, |_, run| {
            histogram[usize::from(run.value)] += run.len as u32;
            zeros -= run.len as u32;
        })?;
        histogram[0] = zeros;
    }
    Ok(estimate(&histogram))
}

/// Ertl's estimate (algorithm 6 of the article).
fn estimate(histogram: &Histogram) -> u64 {
    const ALPHA_INFINITY: f64 = 0.721_347_520_444_481_7;
    let m = REGISTERS as f64;
    let rank_max = RANK_BITS as usize;
    let mut z = m * tau((m - f64::from(histogram[rank_max + 1])) / m);
    for &count in histogram[1..=rank_max].iter().rev() {
        z = (z + f64::from(count)) * 0.5;
    }
    z += m * sigma(f64::from(histogram[0]) / m);
    let estimate = (ALPHA_INFINITY * m * m / z).round();
    // Registers that no element has set can make it larger than any number, for which Redis on x86
    // has the lowest one.
    if estimate < i64::MAX as f64 { estimate as u64 } else { 1 << 63 }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// All registers in a byte each: the union of HyperLogLogs.
pub struct Union(Box<[u8; REGISTERS]>);

impl Default for Union {
    fn default() -> Self {
        Self(Box::new([0; REGISTERS]))
    }
}

impl Union {
    /// Raises every register to that of another HyperLogLog.
    ///
    /// # Errors
    /// If its runs do not add up; some registers may have been raised.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), Corrupted> {
        let registers = &mut self.0;
        if encoding(bytes) == Some(Encoding::Dense) {
            for_each_dense(bytes, |index, value| registers[index] = registers[index].max(value));
            return Ok(());
        }
        for_each_value(bytes, |first, run| {
            registers[first..first + run.len].iter_mut().for_each(|own| *own = run.value.max(*own));
        })
    }

    /// About how many different elements were added to at least one of them.
    pub fn count(&self) -> u64 {
        let mut histogram: Histogram = [0; 64];
        self.0.iter().for_each(|&value| histogram[usize::from(value)] += 1);
        estimate(&histogram)
    }

    /// The registers that are not zero, in order.
    pub fn raised(&self) -> impl Iterator<Item = (usize, u8)> {
        self.registers().enumerate().filter(|&(_, value)| value > 0)
    }

    /// All registers.
    pub fn registers(&self) -> impl Iterator<Item = u8> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NO_LIMIT: usize = usize::MAX;

    fn add(bytes: &mut Vec<u8>, element: &[u8], sparse_bytes_max: usize) -> Raised {
        let (index, rank) = place(element);
        raise(bytes, index, rank, sparse_bytes_max).expect("it is sound")
    }

    fn with_numbers(count: usize, sparse_bytes_max: usize) -> Vec<u8> {
        let mut bytes = empty();
        for number in 0..count {
            add(&mut bytes, format!("e{number}").as_bytes(), sparse_bytes_max);
        }
        bytes
    }

    fn registers(bytes: &[u8]) -> Vec<u8> {
        let mut union = Union::default();
        union.add(bytes).expect("it is sound");
        union.registers().collect()
    }

    #[test]
    fn bytes_are_those_of_redis() {
        // As Redis 7.4.1 has them after PFADD of e0, e1 and so on; with its default limit the last one
        // is dense.
        let registers =
            b"E%\x80G.\x84O\xc9\x80D\x12\x84JQ\x84C\r\x84A\x03\x84N\xb9\x84@\x88\x80@j\x84A\xb1";
        let ten = [&b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80"[..], registers].concat();
        assert_eq!(with_numbers(10, 3000), ten);
        let cases = [(1000, 1906, 0x977b_9321, 1008), (10_000, 12304, 0xc45e_3725, 9973)];
        for (numbers, len, checksum, estimate) in cases {
            let bytes = with_numbers(numbers, 3000);
            assert_eq!(bytes.len(), len);
            assert_eq!(crc32fast::hash(&bytes), checksum);
            assert_eq!(count(&bytes), Ok(estimate));
        }
        assert_eq!(place(b""), (5938, 2));
    }

    #[test]
    fn an_empty_one_counts_nothing() {
        let bytes = empty();
        assert_eq!(bytes, b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
        assert_eq!(encoding(&bytes), Some(Encoding::Sparse));
        assert_eq!(cached(&bytes), Some(0));
        assert_eq!(count(&bytes), Ok(0));
        assert_eq!(Union::default().count(), 0);
    }

    #[test]
    fn both_encodings_count_the_same() {
        for n in [1, 2, 10, 100, 1000, 5000] {
            let (sparse, dense) = (with_numbers(n, NO_LIMIT), with_numbers(n, 0));
            assert_eq!(encoding(&sparse), Some(Encoding::Sparse));
            assert_eq!(encoding(&dense), Some(Encoding::Dense));
            assert_eq!(registers(&sparse), registers(&dense));
            assert_eq!(count(&sparse), count(&dense));
            let estimate = count(&sparse).expect("it is sound") as f64;
            assert!((estimate - n as f64).abs() <= 0.05 * n as f64, "{estimate} of {n}");
            assert_eq!(cached(&sparse), None);
            let mut converted = sparse.clone();
            make_dense(&mut converted).expect("it is sound");
            assert_eq!(converted, dense);
        }
    }

    #[test]
    fn a_high_rank_needs_the_dense_encoding() {
        let mut bytes = empty();
        assert_eq!(raise(&mut bytes, 5, 32, NO_LIMIT), Ok(Raised::Yes));
        assert_eq!(encoding(&bytes), Some(Encoding::Sparse));
        assert_eq!(raise(&mut bytes, 5, 33, NO_LIMIT), Ok(Raised::Yes));
        assert_eq!(encoding(&bytes), Some(Encoding::Dense));
        assert_eq!(raise(&mut bytes, 5, 33, NO_LIMIT), Ok(Raised::No));
        assert_eq!(raise(&mut bytes, REGISTERS - 1, 63, NO_LIMIT), Ok(Raised::Yes));
        assert_eq!(registers(&bytes)[REGISTERS - 2..], [0, 63]);
    }

    #[test]
    fn what_does_not_add_up_is_noticed() {
        let with_runs = |runs: &[u8]| [&empty()[..HEADER_BYTES], runs].concat();
        let bad: [&[u8]; 7] = [
            b"",
            b"\x7f",
            b"\x7f\xfe",
            b"\x7f\xff\x00",
            b"\x7f\xff\x7f\xff",
            b"\x7f\xff\x80",
            b"\x7f\xfd\x83",
        ];
        for runs in bad {
            let mut bytes = with_runs(runs);
            assert_eq!(encoding(&bytes), Some(Encoding::Sparse));
            assert_eq!(count(&bytes), Err(Corrupted), "{runs:?}");
            assert_eq!(Union::default().add(&bytes), Err(Corrupted));
            assert_eq!(make_dense(&mut bytes), Err(Corrupted));
            assert_eq!(raise(&mut bytes, 0, 60, NO_LIMIT), Err(Corrupted));
            assert_eq!(bytes, with_runs(runs));
        }
        assert_eq!(raise(&mut with_runs(b"\x3f"), 64, 1, NO_LIMIT), Err(Corrupted));
        assert_eq!(raise(&mut with_runs(b"\x7f"), 64, 1, NO_LIMIT), Err(Corrupted));
        assert_eq!(encoding(b"HYLL\x01\0\0\0\0\0\0\0\0\0\0"), None);
        assert_eq!(encoding(&with_runs(b"")), Some(Encoding::Sparse));
        let mut dense = with_numbers(1, 0);
        dense.push(0);
        assert_eq!(encoding(&dense), None);
    }

    #[test]
    fn registers_without_sense_do_not_overflow() {
        let mut bytes = with_numbers(1, 0);
        bytes[HEADER_BYTES..].fill(0xff);
        assert_eq!(count(&bytes), Ok(1 << 63));
    }

    proptest! {
        #[test]
        fn runs_are_the_registers(
            steps in prop::collection::vec((prop_oneof![0..40usize, 0..REGISTERS], 1..7u8), 0..300),
        ) {
            let mut bytes = empty();
            let mut model = vec![0u8; REGISTERS];
            for (index, rank) in steps {
                let raised = raise(&mut bytes, index, rank, NO_LIMIT);
                let expected = if model[index] < rank { Raised::Yes } else { Raised::No };
                prop_assert_eq!(raised, Ok(expected));
                model[index] = model[index].max(rank);
            }
            prop_assert_eq!(&registers(&bytes), &model);
            prop_assert_eq!(runs(&bytes).map(|run| run.len).sum::<usize>(), REGISTERS);
        }

        #[test]
        fn garbage_makes_nothing_panic(
            tail in prop::collection::vec(any::<u8>(), 0..200),
            index in 0..REGISTERS,
            rank in 1..=51u8,
        ) {
            let mut bytes = [&empty()[..HEADER_BYTES], &tail[..]].concat();
            let _ = (count(&bytes), Union::default().add(&bytes));
            let _ = raise(&mut bytes, index, rank, 100);
            let _ = make_dense(&mut bytes);
        }
    }
}
