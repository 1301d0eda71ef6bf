//! Reading a new base back before it takes the place of what lies before.
//!
//! It is read as a start would read it, but nothing is kept. So a mistake of whoever wrote it, or of the memory it
//! came through, costs a base that is thrown away, and not the data: the files that it would replace are still there.

use super::load;
use super::replay::units_within;
use crate::data::Limits;
use crate::disk::File;
use crate::log::frame::FrameHeader;
use crate::log::segment::Preamble;
use crate::log::{Lsn, PreambleDamage, Replay, Unreplayable};
use std::sync::Arc;

/// What a base is read back with.
pub(super) struct ReadBack<'a> {
    limits: Limits,
    /// Whether to go on; asked now and then.
    go_on: &'a mut dyn FnMut() -> bool,
    buffer: Vec<u8>,
    ranges: Vec<(usize, usize)>,
    db: u32,
}

impl<'a> ReadBack<'a> {
    pub(super) fn new(limits: Limits, go_on: &'a mut dyn FnMut() -> bool) -> Self {
        Self { limits, go_on, buffer: Vec::new(), ranges: Vec::new(), db: 0 }
    }
}

impl Replay for ReadBack<'_> {
    fn preamble(
        &mut self,
        file: &Arc<dyn File>,
        preamble: &Preamble,
        _lsn: Lsn,
    ) -> Result<(), PreambleDamage> {
        load::check(&**file, preamble, self.limits.clone(), self.go_on)
    }

    fn commands(&mut self, header: &FrameHeader, payload: &[u8]) -> Result<(), Unreplayable> {
        let unit = header.lsn..header.end_lsn();
        self.look(header, payload).map_err(|reason| Unreplayable { unit, reason })
    }

    fn selected_db(&self) -> u32 {
        self.db
    }
}

impl ReadBack<'_> {
    /// Commands were executed before they were logged, so here it is enough that they are whole.
    fn look(&mut self, header: &FrameHeader, payload: &[u8]) -> Result<(), String> {
        if !(self.go_on)() {
            return Err("nobody wants to know any more".to_owned());
        }
        self.db = header.db;
        self.buffer.clear();
        self.buffer.extend_from_slice(payload);
        let whole_bytes = units_within(&mut self.buffer, usize::MAX, &mut self.ranges)?;
        match whole_bytes == payload.len() {
            true => Ok(()),
            false => Err("a transaction without its end".to_owned()),
        }
    }
}
