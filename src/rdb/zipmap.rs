//! Zipmaps: the encoding of small hashes before Redis 2.6. They are only read, and become
//! listpacks.
//!
//! ```text
//! offset  bytes
//!      0  count    u8  fields; 254 if there are that many or more
//!      1  fields
//!         end      u8  0xFF
//!
//! field   name_len, name, value_len, unused u8, value, unused bytes
//! ```
//!
//! Lengths are a u8 below 254, or 254 and a little-endian u32. The format is that of Redis's `zipmap.c`.

use super::ziplist::push;
use crate::data::Malformed;
use crate::data::listpack::{Element, Listpack};

const END: u8 = 0xff;
const COUNT_UNKNOWN: u8 = 254;
/// Marks a length that follows in four bytes.
const LONG: u8 = 254;

/// The fields as alternating names and values, and the length of the longest of all.
///
/// # Errors
/// If the bytes are not a valid zipmap, or it has no fields. Every byte is checked.
pub fn to_listpack(bytes: &[u8]) -> Result<(Listpack, usize), Malformed> {
    let ([stated, fields @ ..], Some(&END)) = (bytes, bytes.last()) else {
        return Err(Malformed::new("a zipmap does not end with its end mark", bytes.len()));
    };
    let Some((_, mut rest)) = fields.split_last() else {
        return Err(Malformed::new("a zipmap without an end mark", 1));
    };
    let (mut listpack, mut longest, mut count) = (Listpack::new(), 0, 0);
    while !rest.is_empty() {
        let at = bytes.len() - 1 - rest.len();
        let field = field(rest).ok_or(Malformed::new("a field of a zipmap is cut", at))?;
        push(&mut listpack, Element::Bytes(field.name))?;
        push(&mut listpack, Element::Bytes(field.value))?;
        longest = longest.max(field.name.len()).max(field.value.len());
        rest = field.rest;
        count += 1;
    }
    if count == 0 {
        return Err(Malformed::new("a zipmap without fields", 1));
    }
    if *stated != COUNT_UNKNOWN && usize::from(*stated) != count {
        return Err(Malformed::new("the count of a zipmap's fields is wrong", 0));
    }
    Ok((listpack, longest))
}

struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
    rest: &'a [u8],
}

fn field(bytes: &[u8]) -> Option<Field<'_>> {
    let (name_len, rest) = length(bytes)?;
    let (name, rest) = rest.split_at_checked(name_len)?;
    let (value_len, rest) = length(rest)?;
    let (&unused, rest) = rest.split_first()?;
    let (value, rest) = rest.split_at_checked(value_len)?;
    Some(Field { name, value, rest: rest.get(usize::from(unused)..)? })
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes.split_first()? {
        (&LONG, rest) => {
            let (len, rest) = rest.split_first_chunk()?;
            Some((u32::from_le_bytes(*len) as usize, rest))
        }
        (&END, _) => None,
        (&len, rest) => Some((len.into(), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        to_listpack(bytes).ok().map(|(pairs, _)| pairs.iter().map(Element::to_vec).collect())
    }

    #[test]
    fn fields_become_names_and_values() {
        let bytes = b"\x02\x01a\x02\x0012\x03key\x01\x02v..\xff";
        let all = [&b"a"[..], b"12", b"key", b"v"].map(<[u8]>::to_vec);
        assert_eq!(texts(bytes).as_deref(), Some(&all[..]));
        let mut long = vec![COUNT_UNKNOWN, 1, b'a', LONG, 0x2c, 1, 0, 0, 0];
        long.extend([b'x'; 300]);
        long.push(END);
        assert_eq!(to_listpack(&long).unwrap().1, 300);
    }

    #[test]
    fn truncated_or_miscounted_zipmaps_are_refused() {
        let sound = b"\x02\x01a\x02\x0012\x03key\x01\x02v..\xff";
        for len in 0..sound.len() - 1 {
            assert_eq!(texts(&sound[..len]), None, "{len} bytes");
            let mut cut = sound[..len].to_vec();
            cut.push(END);
            assert_eq!(texts(&cut), None, "{len} bytes and an end mark");
        }
        for count in [0, 1, 3, 255] {
            let mut bytes = sound.to_vec();
            bytes[0] = count;
            assert_eq!(texts(&bytes), None, "a count of {count}");
        }
        for at in 0..sound.len() {
            for mask in 1..=255 {
                let mut bytes = sound.to_vec();
                bytes[at] ^= mask;
                let _ = texts(&bytes);
            }
        }
        assert_eq!(texts(b"\x00\xff"), None, "no fields");
    }
}
