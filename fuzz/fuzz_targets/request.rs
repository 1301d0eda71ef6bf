//! Any bytes from a client, cut anywhere, are the same requests as in one piece.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay::resp::request::Parsed;
use mainstay::resp::{Args, ProtocolError, RequestLimits, RequestParser};

type Requests = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

fuzz_target!(|data: &[u8]| {
    let Some((&flags, data)) = data.split_first() else { return };
    let count = usize::from(flags >> 1) % 8;
    if data.len() < count {
        return;
    }
    let (cuts, data) = data.split_at(count);
    let limits = RequestLimits {
        bulk_bytes_max: 1 << 20,
        unauthenticated: flags & 1 == 1,
        ..RequestLimits::default()
    };
    let mut pieces = Vec::new();
    let mut rest = data;
    for cut in cuts {
        let (piece, after) = rest.split_at(usize::from(*cut).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    let whole = parse(&[data], &limits);
    assert_eq!(parse(&pieces, &limits), whole);
    let single: Vec<&[u8]> = data.chunks(1).collect();
    assert_eq!(parse(&single, &limits), whole);
});

fn parse(pieces: &[&[u8]], limits: &RequestLimits) -> Requests {
    let mut parser = RequestParser::default();
    let (mut buffer, mut requests) = (Vec::new(), Vec::new());
    // A request is not complete before the buffer is this long.
    let mut complete_from = 0;
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut consumed_all = 0;
        while consumed_all < buffer.len() {
            let rest = &mut buffer[consumed_all..];
            let (len, mut ranges) = (rest.len(), Vec::new());
            match parser.parse(rest, 0, limits, &mut ranges) {
                Ok(Parsed::Request { consumed }) => {
                    assert!(consumed > 0 && consumed <= len && len >= complete_from);
                    complete_from = 0;
                    let args = Args::new(rest, &ranges);
                    requests.push(args.iter().map(<[u8]>::to_vec).collect());
                    consumed_all += consumed;
                }
                Ok(Parsed::Incomplete { needed }) => {
                    assert!(needed > 0);
                    complete_from = len + needed;
                    break;
                }
                Err(error) => return (requests, Some(error)),
            }
        }
        buffer.drain(..consumed_all);
    }
    (requests, None)
}
