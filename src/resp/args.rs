//! The arguments of one request.

use std::ops::Index;

/// A range of bytes in the buffer a request was parsed from: start and end.
pub type ArgRange = (usize, usize);

/// The arguments of one request as slices of the buffer that it arrived in; the first is the
/// command's name. A copy copies two references and no bytes.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    buffer: &'a [u8],
    ranges: &'a [ArgRange],
}

impl<'a> Args<'a> {
    /// Arguments that lie at `ranges` of `buffer`.
    ///
    /// # Panics
    /// Indexing panics later if a range lies outside the buffer.
    pub fn new(buffer: &'a [u8], ranges: &'a [ArgRange]) -> Self {
        Self { buffer, ranges }
    }

    /// How many arguments there are, the command's name included.
    #[allow(clippy::len_without_is_empty)] // A request without a name does not exist.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The argument at `index`, or `None` past the end.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.ranges.get(index).map(|&(start, end)| &self.buffer[start..end])
    }

    /// The argument at `index`, with the lifetime of the buffer.
    ///
    /// # Panics
    /// Past the end; a command's arity is checked before it runs.
    pub fn at(&self, index: usize) -> &'a [u8] {
        let (start, end) = self.ranges[index];
        &self.buffer[start..end]
    }

    /// The arguments from `start` on.
    pub fn from(&self, start: usize) -> Args<'a> {
        Args { buffer: self.buffer, ranges: &self.ranges[start.min(self.ranges.len())..] }
    }

    /// All arguments in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + use<'a> {
        let buffer = self.buffer;
        self.ranges.iter().map(move |&(start, end)| &buffer[start..end])
    }

    /// A copy that owns its bytes, to queue in a transaction.
    pub fn to_owned(&self) -> OwnedArgs {
        let mut buffer = Vec::with_capacity(self.iter().map(<[u8]>::len).sum());
        let mut ranges = Vec::with_capacity(self.len());
        for arg in self.iter() {
            ranges.push((buffer.len(), buffer.len() + arg.len()));
            buffer.extend_from_slice(arg);
        }
        OwnedArgs { buffer: buffer.into(), ranges: ranges.into() }
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    fn index(&self, index: usize) -> &[u8] {
        self.at(index)
    }
}

/// Arguments with their own copy of the bytes.
#[derive(Clone, Debug)]
pub struct OwnedArgs {
    buffer: Box<[u8]>,
    ranges: Box<[ArgRange]>,
}

impl OwnedArgs {
    /// Copies `args` into one buffer.
    pub fn from_slices(args: &[&[u8]]) -> Self {
        let mut buffer = Vec::with_capacity(args.iter().map(|arg| arg.len()).sum());
        let mut ranges = Vec::with_capacity(args.len());
        for arg in args {
            ranges.push((buffer.len(), buffer.len() + arg.len()));
            buffer.extend_from_slice(arg);
        }
        Self { buffer: buffer.into(), ranges: ranges.into() }
    }

    /// A borrowed view.
    pub fn as_args(&self) -> Args<'_> {
        Args { buffer: &self.buffer, ranges: &self.ranges }
    }

    /// Bytes of memory this holds.
    pub fn memory_bytes(&self) -> usize {
        self.buffer.len() + std::mem::size_of_val(&*self.ranges)
    }
}
