use super::*;
use proptest::prelude::*;

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn packed<T: AsRef<[u8]>>(elements: &[T]) -> Listpack {
    let mut listpack = Listpack::new();
    elements.iter().for_each(|element| listpack.push_back(element.as_ref()));
    listpack
}

fn unpacked(listpack: &Listpack) -> Vec<Vec<u8>> {
    let elements: Vec<_> = listpack.iter().map(Element::to_vec).collect();
    assert_eq!(listpack.len(), elements.len());
    assert_eq!(listpack.is_empty(), elements.is_empty());
    let mut backwards: Vec<_> = listpack.iter().rev().map(Element::to_vec).collect();
    backwards.reverse();
    assert_eq!(elements, backwards);
    check(listpack.as_bytes()).unwrap();
    elements
}

/// What `RPUSH` of these elements and `DUMP` gave on Redis 7.4.1, without the envelope.
#[test]
fn bytes_are_those_of_redis() {
    let texts = [
        "0",
        "127",
        "128",
        "-1",
        "4095",
        "-4096",
        "4096",
        "-4097",
        "32767",
        "-32768",
        "32768",
        "8388607",
        "-8388608",
        "8388608",
        "2147483647",
        "-2147483648",
        "2147483648",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "",
        "a",
        "-0",
        "01",
        "+1",
        " 1",
        "-",
    ];
    let (x, y) = ("x".repeat(63), "y".repeat(64));
    let elements: Vec<&str> = texts.into_iter().chain([&*x, &*y]).collect();
    let dumped = "17 01 00 00 1d 00
        00 01 7f 01 c080 02 dfff 02 cfff 02 d000 02 f10010 03 f1ffef 03 f1ff7f 03 f10080 03
        f2008000 04 f2ffff7f 04 f2000080 04 f300008000 05 f3ffffff7f 05 f300000080 05
        f40000008000000000 09 f4ffffffffffffff7f 09 f40000000000000080 09
        9339323233333732303336383534373735383038 14 80 01 8161 02 822d30 03 823031 03 822b31 03
        822031 03 812d 02";
    let mut expected = bytes_of(dumped);
    expected.extend(
        [&[0xbf][..], x.as_bytes(), &[0x40, 0xe0, 0x40], y.as_bytes(), &[0x42, 0xff]].concat(),
    );
    let listpack = packed(&elements);
    assert_eq!(listpack.as_bytes(), expected);
    assert_eq!(unpacked(&listpack), elements.iter().map(|e| e.as_bytes()).collect::<Vec<_>>());
    let read = Listpack::from_bytes(&expected).unwrap();
    assert_eq!(read.as_bytes(), expected);
    assert_eq!(read.clone().as_bytes(), expected);

    let long = [vec![b'z'; 4095], vec![b'w'; 4096], vec![b'v'; 130]];
    let expected = [
        &bytes_of("97 20 00 00 03 00 ef ff"),
        &long[0][..],
        &bytes_of("20 81 f0 00 10 00 00"),
        &long[1],
        &bytes_of("20 85 e0 82"),
        &long[2],
        &bytes_of("01 84 ff"),
    ];
    assert_eq!(packed(&long).as_bytes(), expected.concat());
}

#[test]
fn back_lengths_change_where_they_do_in_redis() {
    // One below the powers of 128 that two and more groups of 7 bits could hold.
    let cases = [(127, 1), (128, 2), (16_382, 2), (16_383, 3), (2_097_150, 3), (2_097_151, 4)];
    for (encoded_len, bytes) in cases {
        assert_eq!(back_length_bytes(encoded_len), bytes);
        let head_len = if encoded_len < 4098 { 2 } else { 5 };
        let listpack = packed(&[vec![b'x'; encoded_len - head_len]]);
        assert_eq!(listpack.byte_len(), 7 + encoded_len + bytes);
        assert_eq!(unpacked(&listpack)[0].len(), encoded_len - head_len);
    }
    assert_eq!(back_length_bytes(268_435_454), 4);
    assert_eq!(back_length_bytes(268_435_455), 5);
}

#[cfg_attr(miri, ignore = "takes hours under Miri")]
#[test]
fn a_count_beyond_16_bits_is_not_stored() {
    let mut listpack = Listpack::new();
    for number in 0..65_534 {
        listpack.push_back_integer(number % 100);
    }
    assert_eq!(listpack.as_bytes()[4..6], [0xfe, 0xff]);
    for expected in 65_535..65_540 {
        listpack.push_front(b"first");
        assert_eq!(listpack.as_bytes()[4..6], [0xff, 0xff]);
        assert_eq!(listpack.len(), expected);
    }
    assert_eq!(listpack.get(listpack.seek(4).unwrap()), Element::Bytes(b"first"));
    assert_eq!(listpack.get(listpack.seek(-65_535).unwrap()), Element::Bytes(b"first"));
    assert_eq!(listpack.get(listpack.seek(-65_534).unwrap()), Element::Integer(0));
    assert_eq!(listpack.seek(65_539), None);
    assert_eq!(listpack.seek(-65_540), None);
    listpack.remove_range(0, 65_538);
    assert_eq!(unpacked(&listpack), [b"33"]);
    listpack.remove_range(0, 1);
    assert_eq!(listpack.as_bytes(), EMPTY);
}

#[test]
fn damaged_bytes_are_refused() {
    let good = packed(&["a", "1000", "300000"]).as_bytes().to_vec();
    let refuse = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        Listpack::from_bytes(&bytes).unwrap_err()
    };
    let total = "a listpack's length is not what it says";
    assert_eq!(refuse(&|b| b.truncate(5)), Malformed::new("the header of a listpack is cut", 5));
    assert_eq!(refuse(&|b| b.push(0)), Malformed::new(total, 0));
    assert_eq!(refuse(&|b| b[0] -= 1), Malformed::new(total, 0));
    let no_end = Malformed::new("a listpack does not end with its end mark", good.len() - 1);
    assert_eq!(refuse(&|b| *b.last_mut().unwrap() = 0), no_end);
    let count = Malformed::new("the count of a listpack's elements is wrong", 4);
    assert_eq!(refuse(&|b| b[4] = 4), count);
    assert_eq!(refuse(&|b| b[6] = 0xf5), Malformed::new("no encoding of an element", 6));
    assert_eq!(refuse(&|b| b[6] = 0xff), Malformed::new("no encoding of an element", 6));
    let long = Malformed::new("an element passes the end of its listpack", 6);
    assert_eq!(refuse(&|b| b[6] = 0xbf), long);
    assert_eq!(refuse(&|b| b[6] = 0xf0), long);
    let back = Malformed::new("the back-length of an element is wrong", 6);
    assert_eq!(refuse(&|b| b[8] = 3), back);
    // A count that says nothing is fine.
    let mut unknown = good.clone();
    unknown[4..6].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(Listpack::from_bytes(&unknown).unwrap().len(), 3);
    assert_eq!(Listpack::from_bytes(&EMPTY).unwrap().len(), 0);
}

#[test]
fn numbers_that_others_encode_wider_are_read() {
    // 5 in 16 bits, and as a string.
    let listpack = Listpack::from_bytes(&bytes_of("0e000000 0200 f1050003 813502 ff")).unwrap();
    assert_eq!(listpack.iter().collect::<Vec<_>>(), [Element::Integer(5), Element::Bytes(b"5")]);
    assert!(listpack.iter().all(|element| element.eq_bytes(b"5")));
    let first = listpack.first().unwrap();
    assert_eq!(listpack.find(first, b"5", 0), Some(first));
    let second = listpack.next(first).unwrap();
    assert_eq!(listpack.find(second, b"5", 0), Some(second));
}

#[test]
fn one_word() {
    assert_eq!(size_of::<Listpack>(), 8);
    assert_eq!(size_of::<Option<Listpack>>(), 8);
    assert_eq!(Listpack::new().memory_bytes(), 8);
    assert!(Listpack::new().has_room_for(Listpack::BYTES_MAX - 7));
    assert!(!Listpack::new().has_room_for(Listpack::BYTES_MAX - 6));
    assert!(!Listpack::new().has_room_for(usize::MAX));
}

/// A listpack's element: numbers of all widths, strings of all lengths.
fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (any::<i64>(), 0..64u32).prop_map(|(n, shift)| (n >> shift).to_string().into_bytes()),
        4 => prop::collection::vec(prop_oneof![Just(b'a'), Just(b'1'), any::<u8>()], 0..24),
        1 => (0..5000usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ]
}

#[derive(Clone, Debug)]
enum Change {
    PushBack(Vec<u8>),
    PushFront(Vec<u8>),
    PushInteger(i64),
    InsertBefore(usize, Vec<u8>),
    InsertAfter(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    ReplaceInteger(usize, i64),
    Remove(usize),
    RemoveRun(usize, usize),
    RemoveRange(usize, usize),
    SplitAndAppend(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = || 0..40usize;
    prop_oneof![
        element().prop_map(Change::PushBack),
        element().prop_map(Change::PushFront),
        any::<i64>().prop_map(Change::PushInteger),
        (at(), element()).prop_map(|(at, e)| Change::InsertBefore(at, e)),
        (at(), element()).prop_map(|(at, e)| Change::InsertAfter(at, e)),
        (at(), element()).prop_map(|(at, e)| Change::Replace(at, e)),
        (at(), any::<i64>()).prop_map(|(at, n)| Change::ReplaceInteger(at, n)),
        at().prop_map(Change::Remove),
        (at(), 0..9usize).prop_map(|(at, count)| Change::RemoveRun(at, count)),
        (at(), 0..9usize).prop_map(|(at, count)| Change::RemoveRange(at, count)),
        at().prop_map(Change::SplitAndAppend),
    ]
}

fn digits(number: i64) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn apply(listpack: &mut Listpack, model: &mut Vec<Vec<u8>>, change: Change) {
    let at = |listpack: &Listpack, at: usize| listpack.seek(at as isize);
    match change {
        Change::PushBack(element) => {
            listpack.push_back(&element);
            model.push(element);
        }
        Change::PushFront(element) => {
            listpack.push_front(&element);
            model.insert(0, element);
        }
        Change::PushInteger(number) => {
            listpack.push_back_integer(number);
            model.push(digits(number));
        }
        Change::InsertBefore(index, element) => {
            if let Some(position) = at(listpack, index) {
                let inserted = listpack.insert_before(position, &element);
                assert!(listpack.get(inserted).eq_bytes(&element));
                model.insert(index, element);
            }
        }
        Change::InsertAfter(index, element) => {
            if let Some(position) = at(listpack, index) {
                let inserted = listpack.insert_after(position, &element);
                assert!(listpack.get(inserted).eq_bytes(&element));
                model.insert(index + 1, element);
            }
        }
        Change::Replace(index, element) => {
            if let Some(position) = at(listpack, index) {
                assert_eq!(listpack.replace(position, &element), position);
                model[index] = element;
            }
        }
        Change::ReplaceInteger(index, number) => {
            if let Some(position) = at(listpack, index) {
                listpack.replace_integer(position, number);
                model[index] = digits(number);
            }
        }
        Change::Remove(index) => {
            if let Some(position) = at(listpack, index) {
                let next = listpack.remove(position);
                assert_eq!(next, at(listpack, index));
                model.remove(index);
            }
        }
        Change::RemoveRun(index, count) => {
            if let Some(position) = at(listpack, index) {
                let next = listpack.remove_run(position, count);
                assert_eq!(next, at(listpack, index));
                model.drain(index..(index + count).min(model.len()));
            }
        }
        Change::RemoveRange(index, count) => {
            listpack.remove_range(index, count);
            model.drain(index.min(model.len())..(index + count).min(model.len()));
        }
        Change::SplitAndAppend(index) => {
            if let Some(position) = at(listpack, index) {
                let mut tail = listpack.split_off(position);
                assert_eq!(unpacked(listpack), model[..index]);
                assert_eq!(unpacked(&tail), model[index..]);
                tail.append(listpack);
                *listpack = tail;
                model.rotate_left(index);
            }
        }
    }
}

proptest! {
    #[test]
    fn behaves_like_a_vector(changes in prop::collection::vec(change(), 1..60)) {
        let (mut listpack, mut model) = (Listpack::new(), Vec::new());
        for change in changes {
            apply(&mut listpack, &mut model, change);
            prop_assert_eq!(&unpacked(&listpack), &model);
        }
        let len = model.len() as isize;
        let mut walked = (listpack.first(), None);
        for index in 0..len {
            let position = listpack.seek(index);
            prop_assert_eq!(position, walked.0);
            prop_assert_eq!(position, listpack.seek(index - len));
            let position = position.unwrap();
            prop_assert_eq!(listpack.previous(position), walked.1);
            let element = listpack.get(position);
            prop_assert!(element.eq_bytes(&model[index as usize]));
            prop_assert_eq!(element.len(), model[index as usize].len());
            prop_assert_eq!(listpack.iter_from(position).count() as isize, len - index);
            prop_assert_eq!(listpack.iter_before(position).count() as isize, index);
            walked = (listpack.next(position), Some(position));
        }
        prop_assert_eq!(walked, (None, listpack.last()));
        prop_assert_eq!((listpack.seek(len), listpack.seek(-len - 1)), (None, None));
    }

    #[test]
    fn finds_what_a_vector_finds(
        elements in prop::collection::vec("[a-c]|[0-9]|-1[0-9]{0,7}", 1..30),
        needle in "[a-d]|[0-9]|-1[0-9]{0,2}",
        from in 0..30usize,
        skip in 0..3usize,
    ) {
        let listpack = packed(&elements);
        let from = from.min(elements.len() - 1);
        let found = listpack.find(listpack.seek(from as isize).unwrap(), needle.as_bytes(), skip);
        let expected = (from..elements.len()).step_by(skip + 1).find(|&at| elements[at] == needle);
        prop_assert_eq!(found, expected.and_then(|at| listpack.seek(at as isize)));
    }

    #[test]
    fn foreign_bytes_are_refused_or_safe(
        elements in prop::collection::vec(element(), 0..12),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = packed(&elements).as_bytes().to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(mut listpack) = Listpack::from_bytes(&bytes) {
            let elements = unpacked(&listpack);
            listpack.push_back(b"more");
            prop_assert_eq!(listpack.len(), elements.len() + 1);
        }
    }
}
