//! What replies are written to: pieces of bounded size, and long strings by reference.
//!
//! A reply of gigabytes is a sequence of pieces, none of which is moved when it grows. Positions
//! count from the first byte that was ever written, so that they stay what they are while bytes are
//! taken off the front.

use bytes::Bytes;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;

/// Pieces that are written to have room for this many bytes, or for the one string in them.
const PIECE_BYTES: usize = 64 * 1024;
/// The room that writing begins with.
const FIRST_BYTES: usize = 1024;
/// An empty output keeps no more room than this.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// Bytes on their way to a client: written at the end, taken off at the front.
#[derive(Default)]
pub struct Output {
    /// What comes before the tail.
    pieces: VecDeque<Piece>,
    /// What is written to.
    tail: Vec<u8>,
    /// Where the tail begins.
    tail_start: usize,
    /// Bytes that were taken off.
    taken: usize,
    /// How many of those the first piece still holds, or the tail if there is none.
    taken_of_first: usize,
}

enum Piece {
    Own(Vec<u8>),
    Shared(Bytes),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Own(bytes) => bytes,
            Piece::Shared(bytes) => bytes,
        }
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }
}

impl Output {
    /// The position behind the last byte.
    pub fn end(&self) -> usize {
        self.tail_start + self.tail.len()
    }

    /// The position of the first byte that was not taken off.
    pub fn start(&self) -> usize {
        self.taken
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.end() - self.taken
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).extend_from_slice(bytes);
    }

    /// Appends a byte.
    pub fn push(&mut self, byte: u8) {
        self.room(1).push(byte);
    }

    /// What to append to, with room for `bytes` bytes.
    pub fn room(&mut self, bytes: usize) -> &mut Vec<u8> {
        if self.tail.capacity() - self.tail.len() < bytes {
            self.make_room(bytes);
        }
        &mut self.tail
    }

    #[cold]
    fn make_room(&mut self, bytes: usize) {
        if self.tail.len() + bytes <= PIECE_BYTES {
            let room = (2 * self.tail.capacity()).clamp(FIRST_BYTES, PIECE_BYTES);
            self.tail.reserve_exact(room.max(self.tail.len() + bytes) - self.tail.len());
        } else {
            self.seal();
            self.tail = Vec::with_capacity(bytes.max(PIECE_BYTES));
        }
    }

    /// Makes a piece of the tail.
    fn seal(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        self.tail_start = self.end();
        // A few bytes between long strings do not hold on to a whole piece's room.
        let bytes = if self.tail.len() < self.tail.capacity() / 2 {
            let bytes = self.tail.as_slice().to_vec();
            self.tail.clear();
            bytes
        } else {
            std::mem::take(&mut self.tail)
        };
        self.pieces.push_back(Piece::Own(bytes));
    }

    /// Appends bytes by reference.
    pub fn share(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.seal();
            self.tail_start += bytes.len();
            self.pieces.push_back(Piece::Shared(bytes));
        }
    }

    /// Appends what another output holds.
    pub fn append(&mut self, mut other: Output) {
        other.drop_taken();
        for piece in other.pieces {
            match piece {
                Piece::Own(bytes) if bytes.len() < PIECE_BYTES / 4 => self.write(&bytes),
                Piece::Own(bytes) => {
                    self.seal();
                    self.tail_start += bytes.len();
                    self.pieces.push_back(Piece::Own(bytes));
                }
                Piece::Shared(bytes) => self.share(bytes),
            }
        }
        self.write(&other.tail);
    }

    /// Removes everything from `position` on, none of which was taken off.
    pub fn truncate(&mut self, position: usize) {
        debug_assert!((self.taken..=self.end()).contains(&position));
        while position < self.tail_start {
            let Some(piece) = self.pieces.pop_back() else { break };
            self.tail_start -= piece.len();
            self.tail = match piece {
                Piece::Own(bytes) => bytes,
                Piece::Shared(bytes) if position > self.tail_start => bytes.to_vec(),
                Piece::Shared(_) => Vec::new(),
            };
        }
        self.tail.truncate(position - self.tail_start);
    }

    /// Inserts bytes at a position, none behind which was taken off. Costs a move of what follows
    /// it in its piece.
    pub fn insert(&mut self, position: usize, bytes: &[u8]) {
        if position >= self.tail_start {
            let at = position - self.tail_start;
            self.tail.splice(at..at, bytes.iter().copied());
            return;
        }
        self.tail_start += bytes.len();
        let (index, at) = self.locate(position + bytes.len());
        match &mut self.pieces[index] {
            Piece::Own(piece) => drop(piece.splice(at..at, bytes.iter().copied())),
            Piece::Shared(_) => {
                assert_eq!(at, 0, "nothing is inserted into a shared string");
                self.pieces.insert(index, Piece::Own(bytes.to_vec()));
            }
        }
    }

    /// The piece that a position before the tail lies in, and where in it.
    fn locate(&self, position: usize) -> (usize, usize) {
        let mut start = self.tail_start;
        for (index, piece) in self.pieces.iter().enumerate().rev() {
            start -= piece.len();
            if start <= position {
                return (index, position - start);
            }
        }
        unreachable!("position {position} was taken off")
    }

    /// Takes everything from `position` on, none of which was taken off.
    pub fn split_off(&mut self, position: usize) -> Output {
        let mut rest = Output::default();
        if position >= self.tail_start {
            rest.tail = self.tail.split_off(position - self.tail_start);
            return rest;
        }
        let (index, at) = self.locate(position);
        let mut pieces = self.pieces.split_off(index);
        let first = pieces.front_mut().expect("it was found");
        let before = match first {
            Piece::Own(bytes) => {
                let after = bytes.split_off(at);
                std::mem::replace(bytes, after)
            }
            Piece::Shared(bytes) => bytes.split_to(at).to_vec(),
        };
        rest.tail_start = self.tail_start - position;
        rest.tail = std::mem::replace(&mut self.tail, before);
        rest.pieces = pieces;
        self.tail_start = position - at;
        rest
    }

    /// Puts another output in the place of a range, none of which was taken off.
    pub fn replace(&mut self, range: Range<usize>, other: Output) {
        let mut rest = self.split_off(range.start);
        let after = rest.split_off(range.len());
        self.append(other);
        self.append(after);
    }

    /// The bytes before `end` that were not taken off, as far as `slices` reaches. Gives how many
    /// slices there are.
    pub fn slices<'a>(&'a self, end: usize, slices: &mut [IoSlice<'a>]) -> usize {
        let mut left = end.saturating_sub(self.taken);
        let pieces = self.pieces.iter().map(Piece::bytes).chain([&self.tail[..]]);
        let mut count = 0;
        for (index, bytes) in pieces.enumerate() {
            let bytes = if index == 0 { &bytes[self.taken_of_first..] } else { bytes };
            let bytes = &bytes[..bytes.len().min(left)];
            if left == 0 || count == slices.len() {
                break;
            }
            left -= bytes.len();
            if !bytes.is_empty() {
                slices[count] = IoSlice::new(bytes);
                count += 1;
            }
        }
        count
    }

    /// Takes bytes off the front.
    pub fn take(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.len());
        self.taken += bytes;
        self.taken_of_first += bytes;
        while let Some(first) = self.pieces.front()
            && self.taken_of_first >= first.len()
        {
            self.taken_of_first -= first.len();
            self.pieces.pop_front();
        }
        if self.is_empty() {
            self.tail.clear();
            (self.tail_start, self.taken_of_first) = (self.taken, 0);
            if self.tail.capacity() > KEPT_BYTES_MAX {
                self.tail = Vec::new();
            }
        }
    }

    /// Drops the bytes that were taken off of the first piece.
    fn drop_taken(&mut self) {
        let taken = std::mem::take(&mut self.taken_of_first);
        match self.pieces.front_mut() {
            Some(Piece::Own(bytes)) => drop(bytes.drain(..taken)),
            Some(Piece::Shared(bytes)) => drop(bytes.split_to(taken)),
            None => {
                self.tail.drain(..taken);
                self.tail_start += taken;
            }
        }
    }

    /// Everything, copied.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        let pieces = self.pieces.iter().map(Piece::bytes).chain([&self.tail[..]]);
        for (index, bytes) in pieces.enumerate() {
            all.extend_from_slice(if index == 0 { &bytes[self.taken_of_first..] } else { bytes });
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(usize, u8),
        Share(usize, u8),
        Insert(usize, u8),
        Truncate(usize),
        Replace(usize, usize, u8),
        Split(usize),
        Take(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let len = || prop_oneof![3 => 0..40usize, 2 => 10_000..90_000usize];
        let back = || prop_oneof![3 => 0..100usize, 1 => 0..300_000usize];
        let byte = any::<u8>;
        prop_oneof![
            6 => (len(), byte()).prop_map(|(len, byte)| Step::Write(len, byte)),
            2 => (len(), byte()).prop_map(|(len, byte)| Step::Share(len, byte)),
            1 => (back(), byte()).prop_map(|(back, byte)| Step::Insert(back, byte)),
            1 => back().prop_map(Step::Truncate),
            1 => (back(), back(), byte()).prop_map(|(a, b, byte)| Step::Replace(a, b, byte)),
            1 => back().prop_map(Step::Split),
            3 => back().prop_map(Step::Take),
        ]
    }

    fn sliced(output: &Output, end: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let count = output.slices(end, &mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn an_output_behaves_as_a_string_of_bytes(steps in prop::collection::vec(step(), 1..40)) {
            let (mut output, mut model, mut taken) = (Output::default(), Vec::new(), 0);
            // Where shared strings lie, into which nothing is inserted.
            let mut shared: Vec<Range<usize>> = Vec::new();
            for step in steps {
                let at = |back: usize, model: &Vec<u8>| taken + model.len().saturating_sub(back);
                match step {
                    Step::Write(len, byte) => {
                        output.write(&vec![byte; len]);
                        model.extend(vec![byte; len]);
                    }
                    Step::Share(len, byte) => {
                        shared.push(output.end()..output.end() + len);
                        output.share(vec![byte; len].into());
                        model.extend(vec![byte; len]);
                    }
                    Step::Insert(back, byte) => {
                        let position = at(back, &model);
                        let within = |it: &Range<usize>| it.start < position && position < it.end;
                        if shared.iter().any(within) {
                            continue;
                        }
                        output.insert(position, &[byte; 3]);
                        model.splice(position - taken..position - taken, [byte; 3]);
                        for it in shared.iter_mut().filter(|it| it.start >= position) {
                            *it = it.start + 3..it.end + 3;
                        }
                    }
                    Step::Truncate(back) => {
                        let position = at(back, &model);
                        output.truncate(position);
                        model.truncate(position - taken);
                    }
                    Step::Replace(a, b, byte) => {
                        let (a, b) = (at(a, &model), at(b, &model));
                        let range = a.min(b)..a.max(b);
                        let mut other = Output::default();
                        other.write(&[byte; 5]);
                        output.replace(range.clone(), other);
                        model.splice(range.start - taken..range.end - taken, [byte; 5]);
                        shared.push(range.start..usize::MAX / 2);
                    }
                    Step::Split(back) => {
                        let position = at(back, &model);
                        let rest = output.split_off(position);
                        prop_assert_eq!(output.end(), position);
                        prop_assert!(rest.to_vec() == model[position - taken..]);
                        output.append(rest);
                        shared.push(position..usize::MAX / 2);
                    }
                    Step::Take(bytes) => {
                        let bytes = bytes.min(model.len());
                        output.take(bytes);
                        model.drain(..bytes);
                        taken += bytes;
                    }
                }
                prop_assert_eq!((output.start(), output.end()), (taken, taken + model.len()));
                prop_assert!(output.to_vec() == model);
                let end = taken + model.len() / 2;
                prop_assert!(sliced(&output, end) == model[..model.len() / 2]);
                prop_assert!(sliced(&output, output.end()) == model);
            }
        }
    }

    #[test]
    fn pieces_are_bounded_and_strings_are_shared() {
        let mut output = Output::default();
        for _ in 0..100_000 {
            output.write(b"0123456789");
        }
        assert!(output.pieces.iter().all(|piece| piece.len() <= PIECE_BYTES));
        let string = Bytes::from(vec![7; 1 << 20]);
        output.share(string.clone());
        output.write(b"\r\n");
        let is_shared =
            |piece: &Piece| matches!(piece, Piece::Shared(it) if it.as_ptr() == string.as_ptr());
        assert!(output.pieces.iter().any(is_shared));
    }

    #[test]
    fn an_empty_output_keeps_little_room() {
        let mut output = Output::default();
        output.write(&[1; 60_000]);
        output.take(60_000);
        assert_eq!(output.tail.capacity(), 0);
        output.write(&[1; 100]);
        output.take(100);
        assert_eq!((output.tail.capacity(), output.end()), (FIRST_BYTES, 60_100));
    }
}
