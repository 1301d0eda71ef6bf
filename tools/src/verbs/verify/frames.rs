//! The frames of segments and bases.

use super::finding::Finding;
use crate::frames::Frames;
use crate::payload;
use mainstay::commands::DATA;
use mainstay::log::frame::{Codec, FrameDamage, FrameHeader, FrameKind, HEADER_BYTES};
use mainstay::log::scan::{Found, Gap, Scan};
use mainstay::resp::Args;
use std::io;

/// So much of a gap is searched for keys.
const SEARCHED_BYTES_MAX: usize = 4 << 20;

/// What a check of frames has counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Sound frames.
    pub frames: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A command that a start would not replay.
struct Unknown(usize, String);

impl From<(usize, String)> for Unknown {
    fn from((at, text): (usize, String)) -> Self {
        Self(at, text)
    }
}

/// Checks frames; calls `progress` with the bytes checked.
pub fn check(
    frames: &Frames,
    findings: &mut Vec<Finding>,
    progress: &dyn Fn(u64),
) -> io::Result<Counts> {
    let name = &frames.name;
    let mut scan = frames.scan()?;
    let (mut counts, mut time_ms, mut attested_lsn) = (Counts::default(), 0, None);
    while let Some(found) = scan.next() {
        match found {
            Found::Frame { offset, header, padding_damaged } => {
                counts.frames += 1;
                counts.bytes += header.frame_bytes();
                progress(header.frame_bytes());
                let mut wrong = |damage: String| {
                    let mut finding = Finding::at(name, offset, damage);
                    finding.bytes = header.frame_bytes();
                    finding.lsn = Some((header.lsn, header.end_lsn()));
                    finding.time_ms = Some((Some(header.time_ms), Some(header.time_ms)));
                    finding.db = Some(header.db);
                    findings.push(finding);
                };
                if padding_damaged {
                    wrong(FrameDamage::Padding.to_string());
                }
                if header.time_ms < time_ms {
                    wrong(format!("a frame that is older than the one before ({time_ms} ms)"));
                }
                time_ms = time_ms.max(header.time_ms);
                if header.kind == FrameKind::Marker && attested_lsn >= Some(header.durable_lsn) {
                    wrong(
                        "a marker that says nothing new, so it is not where it was written"
                            .to_owned(),
                    );
                }
                attested_lsn = attested_lsn.max(Some(header.durable_lsn));
                if header.kind == FrameKind::Commands {
                    let checked =
                        payload::each(scan.payload_mut(), |at, args: Args<'_>| {
                            match DATA.resolve(args) {
                                Ok(_) => Ok(()),
                                Err(_) if is_known(args.at(0)) => Ok(()),
                                Err(error) => Err(Unknown(at, error.to_string())),
                            }
                        });
                    if let Err(Unknown(at, text)) = checked {
                        wrong(format!(
                            "sound bytes with a command that cannot be replayed, before LSN {}: {text}",
                            header.lsn + at as u64
                        ));
                    }
                }
            }
            Found::Gap(gap) => {
                progress(gap.end_offset.saturating_sub(gap.offset));
                findings.push(describe(name, &gap, &mut scan));
            }
        }
    }
    if frames.is_cut(scan.offset()) {
        let text = "the file was cut: behind the last frame of an open segment are zeros";
        findings.push(Finding::at(name, scan.offset(), text));
    }
    Ok(counts)
}

fn describe(name: &str, gap: &Gap, scan: &mut Scan) -> Finding {
    let mut finding = Finding::at(name, gap.offset, gap.damage);
    finding.bytes = gap.end_offset.saturating_sub(gap.offset);
    finding.lsn = Some((gap.lsn, gap.end_lsn));
    finding.unknown_end = gap.is_unknown();
    let (from, to) = match gap.header {
        // Its own header is sound.
        Some(header) if header.end_lsn() == gap.end_lsn => (header.time_ms, header.time_ms),
        _ => (gap.from_ms, gap.to_ms),
    };
    finding.time_ms = Some(((from > 0).then_some(from), (to < u64::MAX).then_some(to)));
    finding.db = gap.header.map(|header| header.db);
    finding.unfinished_write = gap.is_tail;
    let mut bytes = scan.gap_bytes(gap, SEARCHED_BYTES_MAX);
    finding.name_keys(&payload::keys_in_damaged(&mut readable(gap.header, &mut bytes)));
    finding
}

/// What can be read of a damaged payload.
fn readable(header: Option<FrameHeader>, bytes: &mut Vec<u8>) -> Vec<u8> {
    if let Some(header) = header
        && header.codec == Codec::Lz4
        && bytes.len() > HEADER_BYTES
    {
        return mainstay::log::frame::decompress_damaged(&bytes[HEADER_BYTES..], header.raw_bytes);
    }
    std::mem::take(bytes)
}

/// Whether a log may hold this command though it is none on data.
fn is_known(name: &[u8]) -> bool {
    ["MULTI", "EXEC", "FUNCTION"].iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}
