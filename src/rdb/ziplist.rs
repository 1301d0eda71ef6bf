//! Ziplists: the encoding of small collections before Redis 7.0. They are only read, and become
//! listpacks.
//!
//! ```text
//! offset  bytes
//!      0  total     u32  bytes of all this
//!      4  tail      u32  offset of the last entry
//!      8  count     u16  entries; 65535 if there are that many or more
//!     10  entries
//!         end       u8   0xFF
//!
//! entry   previous       length of the entry before: u8 below 254, or 254 and a u32
//!         00xxxxxx                      string of up to 63 bytes
//!         01xxxxxx xxxxxxxx             string of up to 16383 bytes, big-endian
//!         10xxxxxx + 4 bytes            string; its length is big-endian
//!         11000000 + 2 bytes            16-bit integer
//!         11010000 + 4 bytes            32-bit integer
//!         11100000 + 8 bytes            64-bit integer
//!         11110000 + 3 bytes            24-bit integer
//!         11111110 + 1 byte             8-bit integer
//!         1111xxxx                      integer 0 to 12, and 1 more
//! ```
//!
//! Numbers are little-endian unless noted. The format is that of Redis's `ziplist.c`.

use crate::data::Malformed;
use crate::data::listpack::{Element, Listpack};

const HEADER_BYTES: usize = 10;
const END: u8 = 0xff;
const COUNT_UNKNOWN: u16 = u16::MAX;
/// In place of a length: it follows in four bytes.
const LONG_PREVIOUS: u8 = 254;

/// Visits the entries of a ziplist, and checks every byte. An error may be found only
/// after some of them were visited.
///
/// # Errors
/// If the bytes are no ziplist, and those of `visit`.
pub fn for_each<'a>(
    bytes: &'a [u8],
    mut visit: impl FnMut(Element<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(Malformed::new("the header of a ziplist is cut", bytes.len()));
    };
    let [t0, t1, t2, t3, l0, l1, l2, l3, c0, c1] = *header;
    if u32::from_le_bytes([t0, t1, t2, t3]) as usize != bytes.len() {
        return Err(Malformed::new("a ziplist's length is wrong", 0));
    }
    let Some((&END, entries)) = rest.split_last() else {
        return Err(Malformed::new("a ziplist does not end with its end mark", bytes.len() - 1));
    };
    let (mut at, mut last, mut count) = (0, None, 0);
    let mut previous_len = 0;
    while at < entries.len() {
        let wrong = |what| Malformed::new(what, HEADER_BYTES + at);
        let (previous, after) =
            previous_length(&entries[at..]).ok_or(wrong("an entry of a ziplist is cut"))?;
        if previous != previous_len {
            return Err(wrong("an entry of a ziplist gives another length for the one before"));
        }
        let (element, after) =
            element(after).ok_or(wrong("an entry of a ziplist is cut or of no known encoding"))?;
        visit(element)?;
        last = Some(HEADER_BYTES + at);
        previous_len = entries.len() - at - after.len();
        at += previous_len;
        count += 1;
    }
    if last.is_some_and(|last| u32::from_le_bytes([l0, l1, l2, l3]) as usize != last) {
        return Err(Malformed::new("a ziplist's last entry is not at its offset", 4));
    }
    let stated = u16::from_le_bytes([c0, c1]);
    if stated != COUNT_UNKNOWN && usize::from(stated) != count {
        return Err(Malformed::new("the count of a ziplist's entries is wrong", 8));
    }
    Ok(())
}

/// The same entries as a listpack.
///
/// # Errors
/// If the bytes are no ziplist, or more than a listpack holds.
pub fn to_listpack(bytes: &[u8]) -> Result<Listpack, Malformed> {
    let mut listpack = Listpack::new();
    for_each(bytes, |element| push(&mut listpack, element))?;
    Ok(listpack)
}

/// Adds an element to a listpack that is made of something else.
pub(super) fn push(listpack: &mut Listpack, element: Element<'_>) -> Result<(), Malformed> {
    /// More than an element takes beside its bytes.
    const OVERHEAD_BYTES: usize = 11;
    let bytes = match element {
        Element::Integer(_) => 0,
        Element::Bytes(bytes) => bytes.len(),
    };
    if !listpack.has_room_for(bytes.saturating_add(OVERHEAD_BYTES)) {
        return Err(Malformed::new("more elements than a listpack holds", 0));
    }
    match element {
        Element::Integer(number) => listpack.push_back_integer(number),
        Element::Bytes(bytes) => listpack.push_back(bytes),
    }
    Ok(())
}

/// The length of the entry before, and the bytes after it.
fn previous_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes.split_first()? {
        (&LONG_PREVIOUS, rest) => {
            let (len, rest) = rest.split_first_chunk()?;
            Some((u32::from_le_bytes(*len) as usize, rest))
        }
        (&END, _) => None,
        (&len, rest) => Some((len.into(), rest)),
    }
}

/// The element at the start of `bytes`, and the bytes after it.
fn element(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (len, rest) = match first >> 6 {
        0 => (usize::from(first), rest),
        1 => {
            let (&low, rest) = rest.split_first()?;
            (usize::from(first & 0x3f) << 8 | usize::from(low), rest)
        }
        2 => {
            let (len, rest) = rest.split_first_chunk()?;
            (u32::from_be_bytes(*len) as usize, rest)
        }
        _ => return integer(first, rest),
    };
    let (bytes, rest) = rest.split_at_checked(len)?;
    Some((Element::Bytes(bytes), rest))
}

fn integer(first: u8, rest: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let len = match first {
        0xc0 => 2,
        0xd0 => 4,
        0xe0 => 8,
        0xf0 => 3,
        0xfe => 1,
        0xf1..=0xfd => return Some((Element::Integer(i64::from(first & 0x0f) - 1), rest)),
        _ => return None,
    };
    let (digits, rest) = rest.split_at_checked(len)?;
    let mut value = [0; 8];
    value[8 - len..].copy_from_slice(digits);
    // The value is moved down from the top, so that its sign is carried along.
    Some((Element::Integer(i64::from_le_bytes(value) >> (64 - 8 * len)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A ziplist of these elements, as a server of old would write it.
    fn ziplist(elements: &[Element<'_>]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        let (mut last, mut previous) = (HEADER_BYTES, 0);
        for element in elements {
            last = bytes.len();
            match u8::try_from(previous) {
                Ok(len @ ..LONG_PREVIOUS) => bytes.push(len),
                _ => {
                    bytes.push(LONG_PREVIOUS);
                    bytes.extend((previous as u32).to_le_bytes());
                }
            }
            match *element {
                Element::Bytes(text) => {
                    match text.len() {
                        len @ 0..64 => bytes.push(len as u8),
                        len @ 64..16_384 => bytes.extend((0x4000 | len as u16).to_be_bytes()),
                        len => {
                            bytes.push(0x80);
                            bytes.extend((len as u32).to_be_bytes());
                        }
                    }
                    bytes.extend(text);
                }
                Element::Integer(number @ 0..=12) => bytes.push(0xf1 + number as u8),
                Element::Integer(number) => {
                    let width = [(0xfe, 1), (0xc0, 2), (0xf0, 3), (0xd0, 4), (0xe0, 8)];
                    let fits = |(_, len): &(u8, usize)| {
                        number << (64 - 8 * len) >> (64 - 8 * len) == number
                    };
                    let (first, len) = width.into_iter().find(fits).unwrap();
                    bytes.push(first);
                    bytes.extend(&number.to_le_bytes()[..len]);
                }
            }
            previous = bytes.len() - last;
        }
        bytes.push(END);
        let total = bytes.len() as u32;
        bytes[..4].copy_from_slice(&total.to_le_bytes());
        bytes[4..8].copy_from_slice(&(last as u32).to_le_bytes());
        let count = u16::try_from(elements.len()).unwrap_or(COUNT_UNKNOWN);
        bytes[8..10].copy_from_slice(&count.to_le_bytes());
        bytes
    }

    #[derive(Clone, Debug)]
    enum Owned {
        Integer(i64),
        Bytes(Vec<u8>),
    }

    fn owned() -> impl Strategy<Value = Owned> {
        prop_oneof![
            (any::<i64>(), 0..64u32).prop_map(|(number, shift)| Owned::Integer(number >> shift)),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(Owned::Bytes),
            (16_000..17_000usize).prop_map(|len| Owned::Bytes(vec![b'x'; len])),
        ]
    }

    fn borrowed(all: &[Owned]) -> Vec<Element<'_>> {
        let element = |one| match one {
            &Owned::Integer(number) => Element::Integer(number),
            Owned::Bytes(bytes) => Element::Bytes(bytes),
        };
        all.iter().map(element).collect()
    }

    proptest! {
        #[test]
        fn entries_become_elements(all in prop::collection::vec(owned(), 0..20)) {
            let elements = borrowed(&all);
            let listpack = to_listpack(&ziplist(&elements)).unwrap();
            let texts = |elements: &[Element<'_>]| -> Vec<_> {
                elements.iter().map(|element| element.to_vec()).collect()
            };
            prop_assert_eq!(texts(&listpack.iter().collect::<Vec<_>>()), texts(&elements));
        }

        #[test]
        fn truncated_ziplists_are_refused_and_damaged_ones_never_panic(
            all in prop::collection::vec(owned(), 1..4),
            at in any::<prop::sample::Index>(),
            mask in 1..=255u8,
        ) {
            let mut bytes = ziplist(&borrowed(&all));
            let at = at.index(bytes.len());
            prop_assert!(to_listpack(&bytes[..at]).is_err());
            bytes[at] ^= mask;
            let _ = to_listpack(&bytes);
        }
    }

    #[test]
    fn lengths_counts_and_offsets_must_agree() {
        let sound = ziplist(&[Element::Bytes(b"ab"), Element::Integer(-5), Element::Integer(12)]);
        assert_eq!(sound.len(), HEADER_BYTES + 4 + 3 + 2 + 1);
        assert!(to_listpack(&sound).is_ok());
        let damage = [
            (0, "its length"),
            (4, "the place of the last entry"),
            (8, "the count"),
            (HEADER_BYTES, "the first entry's length of the one before"),
            (HEADER_BYTES + 4, "the second entry's length of the one before"),
            (HEADER_BYTES + 5, "an encoding"),
            (sound.len() - 1, "the end mark"),
        ];
        for (at, what) in damage {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            assert!(to_listpack(&bytes).is_err(), "{what}");
        }
        let mut unknown = sound.clone();
        unknown[8..10].fill(0xff);
        assert_eq!(to_listpack(&unknown).unwrap().len(), 3, "so many that they were not counted");
    }
}
