//! Doubles as text: printed as Redis prints scores, and parsed as C's `strtod` parses them.
//!
//! Redis prints the digits of Grisu2 (Florian Loitsch, "Printing Floating-Point Numbers Quickly and
//! Accurately with Integers", 2010). They always parse back to the same number, but in about one of
//! a thousand cases they are not the fewest possible, so no other algorithm gives the same text.

use crate::resp::request::parse_i64;

/// The most bytes that a printed double takes.
const TEXT_BYTES_MAX: usize = 32;

/// A buffer with the text of a double.
pub struct DoubleText {
    bytes: [u8; TEXT_BYTES_MAX],
    len: usize,
}

impl DoubleText {
    /// The text of `number`: an integer if it is one below 2^62, otherwise the digits of Grisu2.
    pub fn new(number: f64) -> Self {
        let mut text = Self { bytes: [0; TEXT_BYTES_MAX], len: 0 };
        if let Some(integer) = as_integer(number) {
            if integer == 0 && number.is_sign_negative() {
                text.push(b"-0");
            } else {
                text.push(itoa::Buffer::new().format(integer).as_bytes());
            }
        } else if number.is_nan() {
            text.push(b"nan");
        } else {
            if number < 0.0 {
                text.push(b"-");
            }
            if number.is_infinite() {
                text.push(b"inf");
            } else {
                Digits::of(number.abs()).write(&mut text);
            }
        }
        text
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn push_zeros(&mut self, count: usize) {
        self.bytes[self.len..self.len + count].fill(b'0');
        self.len += count;
    }
}

/// The text of `number` as C's `%.17g` prints it; Redis uses it in `ZSCAN`.
pub fn general_text(number: f64) -> String {
    const DIGITS: i32 = 17;
    if !number.is_finite() || number == 0.0 {
        return String::from_utf8_lossy(DoubleText::new(number).as_bytes()).into_owned();
    }
    let scientific = format!("{:.*e}", DIGITS as usize - 1, number);
    let (digits, exponent) = scientific.split_once('e').expect("there is an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    let without_zeros = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    if (-4..DIGITS).contains(&exponent) {
        let decimals = (DIGITS - 1 - exponent) as usize;
        let text = format!("{number:.decimals$}");
        if decimals > 0 { without_zeros(&text) } else { text }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", without_zeros(digits), exponent.unsigned_abs())
    }
}

/// `number` as an integer, if it is one of at most 2^62 in absolute value: those Redis keeps and
/// prints as integers.
pub fn as_integer(number: f64) -> Option<i64> {
    const MAX: f64 = (1_u64 << 62) as f64;
    let is_small = (-MAX..=MAX).contains(&number);
    (is_small && number.trunc() == number).then_some(number as i64)
}

/// Decimal digits and the power of ten of the last one.
struct Digits {
    digits: [u8; 18],
    len: usize,
    exponent: i32,
}

/// A number of 64 significant bits: `fraction * 2^exponent`.
#[derive(Clone, Copy)]
struct Wide {
    fraction: u64,
    exponent: i32,
}

impl Wide {
    fn normalized(self) -> Self {
        let shift = self.fraction.leading_zeros();
        Self { fraction: self.fraction << shift, exponent: self.exponent - shift as i32 }
    }

    /// The product, rounded.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.fraction) * u128::from(other.fraction);
        Self {
            fraction: ((product + (1 << 63)) >> 64) as u64,
            exponent: self.exponent + other.exponent + 64,
        }
    }
}

const POWER_MIN: i32 = -348;
const POWER_STEP: i32 = 8;

/// `10^-348`, `10^-340`, …, `10^340`: the 64 significant bits of each, rounded.
#[rustfmt::skip]
const POWERS: [u64; 87] = [
    0xfa8fd5a0081c0288, 0xbaaee17fa23ebf76, 0x8b16fb203055ac76, 0xcf42894a5dce35ea,
    0x9a6bb0aa55653b2d, 0xe61acf033d1a45df, 0xab70fe17c79ac6ca, 0xff77b1fcbebcdc4f,
    0xbe5691ef416bd60c, 0x8dd01fad907ffc3c, 0xd3515c2831559a83, 0x9d71ac8fada6c9b5,
    0xea9c227723ee8bcb, 0xaecc49914078536d, 0x823c12795db6ce57, 0xc21094364dfb5637,
    0x9096ea6f3848984f, 0xd77485cb25823ac7, 0xa086cfcd97bf97f4, 0xef340a98172aace5,
    0xb23867fb2a35b28e, 0x84c8d4dfd2c63f3b, 0xc5dd44271ad3cdba, 0x936b9fcebb25c996,
    0xdbac6c247d62a584, 0xa3ab66580d5fdaf6, 0xf3e2f893dec3f126, 0xb5b5ada8aaff80b8,
    0x87625f056c7c4a8b, 0xc9bcff6034c13053, 0x964e858c91ba2655, 0xdff9772470297ebd,
    0xa6dfbd9fb8e5b88f, 0xf8a95fcf88747d94, 0xb94470938fa89bcf, 0x8a08f0f8bf0f156b,
    0xcdb02555653131b6, 0x993fe2c6d07b7fac, 0xe45c10c42a2b3b06, 0xaa242499697392d3,
    0xfd87b5f28300ca0e, 0xbce5086492111aeb, 0x8cbccc096f5088cc, 0xd1b71758e219652c,
    0x9c40000000000000, 0xe8d4a51000000000, 0xad78ebc5ac620000, 0x813f3978f8940984,
    0xc097ce7bc90715b3, 0x8f7e32ce7bea5c70, 0xd5d238a4abe98068, 0x9f4f2726179a2245,
    0xed63a231d4c4fb27, 0xb0de65388cc8ada8, 0x83c7088e1aab65db, 0xc45d1df942711d9a,
    0x924d692ca61be758, 0xda01ee641a708dea, 0xa26da3999aef774a, 0xf209787bb47d6b85,
    0xb454e4a179dd1877, 0x865b86925b9bc5c2, 0xc83553c5c8965d3d, 0x952ab45cfa97a0b3,
    0xde469fbd99a05fe3, 0xa59bc234db398c25, 0xf6c69a72a3989f5c, 0xb7dcbf5354e9bece,
    0x88fcf317f22241e2, 0xcc20ce9bd35c78a5, 0x98165af37b2153df, 0xe2a0b5dc971f303a,
    0xa8d9d1535ce3b396, 0xfb9b7cd9a4a7443c, 0xbb764c4ca7a44410, 0x8bab8eefb6409c1a,
    0xd01fef10a657842c, 0x9b10a4e5e9913129, 0xe7109bfba19c0c9d, 0xac2820d9623bf429,
    0x80444b5e7aa7cf85, 0xbf21e44003acdd2d, 0x8e679c2f5e44ff8f, 0xd433179d9c8cb841,
    0x9e19db92b4e31ba9, 0xeb96bf6ebadf77d9, 0xaf87023b9bf0ee6b,
];

/// The cached power of ten for a binary exponent, which brings the product into the range of 32-bit
/// arithmetic, and its decimal exponent.
fn power_for(exponent: i32) -> (Wide, i32) {
    const LOG10_2: f64 = 0.301_029_995_663_981_14;
    let guess = (f64::from(-(exponent + POWERS.len() as i32)) * LOG10_2) as i32;
    // Mostly two powers would do; which one is used affects the digits.
    let mut index = (guess - POWER_MIN) / POWER_STEP;
    loop {
        let decimal = POWER_MIN + index * POWER_STEP;
        // The binary exponent, by an approximation of log2(10) that is exact in this range.
        let binary = ((decimal * 217_706) >> 16) - 63;
        match exponent + binary + 64 {
            ..-60 => index += 1,
            -60..=-32 => {
                return (Wide { fraction: POWERS[index as usize], exponent: binary }, decimal);
            }
            _ => index -= 1,
        }
    }
}

impl Digits {
    /// Digits of a number that is positive and finite, by Grisu2.
    fn of(number: f64) -> Self {
        const HIDDEN: u64 = 1 << 52;
        let bits = number.to_bits();
        let (fraction, biased) = (bits & (HIDDEN - 1), (bits >> 52) as i32);
        let exact = match biased {
            0 => Wide { fraction, exponent: 1 - 1075 },
            _ => Wide { fraction: fraction | HIDDEN, exponent: biased - 1075 },
        };

        // Everything between these two midpoints parses as this number.
        let upper = Wide { fraction: (exact.fraction << 1) + 1, exponent: exact.exponent - 1 };
        let upper = upper.normalized();
        // Below a power of two the neighbour is nearer.
        let shift = if exact.fraction == HIDDEN { 2 } else { 1 };
        let lower = (exact.fraction << shift) - 1;
        let lower_shift = exact.exponent - shift - upper.exponent;
        let lower = Wide { fraction: lower << lower_shift, exponent: upper.exponent };

        let (power, decimal) = power_for(upper.exponent);
        let upper = upper.times(power);
        let mut digits = Self { digits: [0; 18], len: 0, exponent: -decimal };
        digits.generate(
            exact.normalized().times(power).fraction,
            // Both may have been rounded outwards.
            upper.fraction - 1,
            lower.times(power).fraction + 1,
            -upper.exponent as u32,
        );
        digits
    }

    /// Generates the digits of a number between `lower` and `upper` and near `exact`, all with
    /// `point` fractional bits.
    fn generate(&mut self, exact: u64, upper: u64, lower: u64, point: u32) {
        let (above, mut room) = (upper - exact, upper - lower);
        let one = 1_u64 << point;
        let (mut whole, mut rest) = (upper >> point, upper & (one - 1));
        let mut unit = 1_000_000_000_u64;
        for left in (0..10).rev() {
            self.push((whole / unit) as u8);
            whole %= unit;
            let remaining = (whole << point) + rest;
            if remaining <= room {
                self.exponent += left;
                self.approach(room, remaining, unit << point, above);
                return;
            }
            unit /= 10;
        }
        let mut above = above;
        for left in (i32::MIN..0).rev() {
            (rest, room) = (rest * 10, room * 10);
            above = above.wrapping_mul(10);
            self.push((rest >> point) as u8);
            rest &= one - 1;
            if rest < room {
                self.exponent += left;
                self.approach(room, rest, one, above);
                return;
            }
        }
    }

    /// Adds a digit, unless it is a zero at the front.
    fn push(&mut self, digit: u8) {
        if digit > 0 || self.len > 0 {
            self.digits[self.len] = b'0' + digit;
            self.len += 1;
        }
    }

    /// Lowers the last digit while that brings the number nearer to the exact one.
    fn approach(&mut self, room: u64, mut rest: u64, unit: u64, above: u64) {
        while rest < above
            && room - rest >= unit
            && (rest + unit < above || above - rest > rest + unit - above)
        {
            self.digits[self.len - 1] -= 1;
            rest += unit;
        }
    }

    /// Writes the number: plain if that is short, otherwise with an exponent.
    fn write(&self, text: &mut DoubleText) {
        let (digits, len) = (&self.digits[..self.len], self.len as i32);
        // The power of ten of the first digit.
        let first = self.exponent + len - 1;
        if self.exponent >= 0 && first.abs() < len + 7 {
            text.push(digits);
            text.push_zeros(self.exponent as usize);
        } else if self.exponent < 0 && (self.exponent > -7 || first.abs() < 4) {
            match len + self.exponent {
                whole @ 1.. => {
                    let (whole, decimals) = digits.split_at(whole as usize);
                    text.push(whole);
                    text.push(b".");
                    text.push(decimals);
                }
                zeros => {
                    text.push(b"0.");
                    text.push_zeros(zeros.unsigned_abs() as usize);
                    text.push(digits);
                }
            }
        } else {
            text.push(&digits[..1]);
            if len > 1 {
                text.push(b".");
                text.push(&digits[1..]);
            }
            text.push(if first < 0 { b"e-" } else { b"e+" });
            text.push(itoa::Buffer::new().format(first.unsigned_abs()).as_bytes());
        }
    }
}

/// A number at the start of a text, as `strtod` finds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prefix {
    /// The number; infinite if it is too large, zero if it is too small.
    pub number: f64,
    /// How many bytes of the text it takes, blanks in front included.
    pub len: usize,
    /// Whether it has digits and is too large, or so small that it becomes zero.
    pub is_out_of_range: bool,
}

/// Parses a double as Redis does in arguments: decimal, hexadecimal or infinite; without blanks or
/// other bytes around it; not NaN, not too large, and not so small that it becomes zero.
pub fn parse_double(text: &[u8]) -> Option<f64> {
    // Most are short integers.
    if text.len() < 16
        && let Some(integer) = parse_i64(text)
    {
        return Some(integer as f64);
    }
    let begins = text.first().is_some_and(|&byte| !is_blank(byte));
    let prefix = parse_double_prefix(text);
    let is_all = begins && prefix.len == text.len();
    (is_all && !prefix.is_out_of_range && !prefix.number.is_nan()).then_some(prefix.number)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Parses the longest prefix of a text that is a number, with leading blanks. Without a number the
/// result is zero, of no bytes.
pub fn parse_double_prefix(text: &[u8]) -> Prefix {
    let blanks = text.iter().take_while(|&&byte| is_blank(byte)).count();
    let (negative, sign) = match text.get(blanks) {
        Some(b'-') => (true, 1),
        Some(b'+') => (false, 1),
        _ => (false, 0),
    };
    let start = blanks + sign;
    let rest = &text[start..];
    let begins_with =
        |word: &[u8]| rest.len() >= word.len() && rest[..word.len()].eq_ignore_ascii_case(word);
    let (number, len, is_out_of_range) = if begins_with(b"infinity") {
        (f64::INFINITY, 8, false)
    } else if begins_with(b"inf") {
        (f64::INFINITY, 3, false)
    } else if begins_with(b"nan") {
        (f64::NAN, 3 + nan_payload_len(&rest[3..]), false)
    } else if begins_with(b"0x")
        && let Some((number, len)) = parse_hexadecimal(&rest[2..])
    {
        (number.0, 2 + len, number.1)
    } else {
        match parse_decimal(rest) {
            Some((number, len)) => (number.0, len, number.1),
            None => return Prefix { number: 0.0, len: 0, is_out_of_range: false },
        }
    };
    let number = if negative { -number } else { number };
    Prefix { number, len: start + len, is_out_of_range }
}

/// Letters, digits and underscores in parentheses, which may follow NaN.
fn nan_payload_len(text: &[u8]) -> usize {
    let inner = |&&byte: &&u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match text {
        [b'(', rest @ ..] => {
            let len = rest.iter().take_while(inner).count();
            if rest.get(len) == Some(&b')') { len + 2 } else { 0 }
        }
        _ => 0,
    }
}

/// The length of a number in digits: digits with a point, and an exponent after `mark`; where the
/// exponent begins; and whether there are digits before it.
fn number_len(text: &[u8], is_digit: fn(&u8) -> bool, mark: u8) -> (usize, usize, bool) {
    let digits = |from: usize| text[from..].iter().take_while(|&byte| is_digit(byte)).count();
    let whole = digits(0);
    let (mut end, mut count) = (whole, whole);
    if text.get(end) == Some(&b'.') {
        let decimals = digits(end + 1);
        count += decimals;
        if count > 0 {
            end += 1 + decimals;
        }
    }
    let significand = end;
    if text.get(end).is_some_and(|byte| byte.to_ascii_lowercase() == mark) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let from = end + 1 + sign;
        let exponent = text.get(from..).unwrap_or_default();
        let exponent = exponent.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if exponent > 0 {
            end = from + exponent;
        }
    }
    (end, significand, count > 0)
}

/// A number and whether it is out of range; how many bytes it takes. None without digits.
type Parsed = Option<((f64, bool), usize)>;

fn parse_decimal(text: &[u8]) -> Parsed {
    let (len, significand, has_digits) = number_len(text, u8::is_ascii_digit, b'e');
    if !has_digits {
        return None;
    }
    let number: f64 = str::from_utf8(&text[..len]).ok()?.parse().ok()?;
    let is_zero = text[..significand].iter().all(|&byte| matches!(byte, b'0' | b'.'));
    let out_of_range = number.is_infinite() || number == 0.0 && !is_zero;
    Some(((number, out_of_range), len))
}

fn parse_hexadecimal(text: &[u8]) -> Parsed {
    let (len, significand, has_digits) = number_len(text, u8::is_ascii_hexdigit, b'p');
    if !has_digits {
        return None;
    }
    // Keeps the first 60 bits, and whether any later bit is set.
    let (mut bits, mut exponent, mut behind_point) = (0_u64, 0_i64, false);
    for &byte in &text[..significand] {
        let Some(digit) = char::from(byte).to_digit(16) else {
            behind_point = true;
            continue;
        };
        exponent -= if behind_point { 4 } else { 0 };
        if bits >> 60 == 0 {
            bits = bits << 4 | u64::from(digit);
        } else {
            bits |= u64::from(digit > 0);
            exponent += 4;
        }
    }
    if bits == 0 {
        return Some(((0.0, false), len));
    }
    if len > significand {
        let text = &text[significand + 1..len];
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] => (false, digits),
            digits => (false, digits),
        };
        // Far beyond all doubles the exact exponent is irrelevant.
        let written = digits.iter().fold(0_i64, |value, digit| {
            value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
        });
        exponent = exponent.saturating_add(if negative { -written } else { written });
    }
    let number = scaled(bits, exponent);
    Some(((number, number.is_infinite() || number == 0.0), len))
}

/// `bits * 2^exponent`, rounded to the nearest double, ties to even.
fn scaled(bits: u64, exponent: i64) -> f64 {
    let shift = bits.leading_zeros();
    let bits = bits << shift;
    // The power of two of the highest bit.
    let top = exponent.saturating_sub(i64::from(shift)).saturating_add(63);
    if top > 1023 {
        return f64::INFINITY;
    }
    // A double below 2^-1022 has fewer significant bits.
    let dropped = 11 + (-1022 - top).max(0);
    if dropped > 64 {
        return 0.0;
    }
    let (kept, rest) = match dropped {
        64 => (0, bits),
        _ => (bits >> dropped, bits << (64 - dropped)),
    };
    let half = 1_u64 << 63;
    let kept = kept + u64::from(rest > half || rest == half && kept & 1 == 1);
    // Exact: at most 53 bits are left, and numbers below 2^-1022 lie on the grid of doubles.
    let power = |exponent: i64| f64::from_bits(((exponent + 1023) as u64) << 52);
    match top - 63 + dropped {
        lowest @ -1022.. if lowest <= 1023 => kept as f64 * power(lowest),
        lowest => kept as f64 * power(-1000) * power(lowest + 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(number: f64) -> String {
        String::from_utf8(DoubleText::new(number).as_bytes().to_vec()).expect("it is ASCII")
    }

    #[test]
    fn doubles_are_printed_as_by_redis() {
        // As returned by `ZSCORE` of Redis 7.4.1.
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e-5, "0.00001"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.25e-7, "1.25e-7"),
            (123456.789, "123456.789"),
            (4611686018427387904.0, "4611686018427387904"),
            (4611686018427388928.0, "4611686018427389000"),
            (1e20, "1e+20"),
            (123456789012345680000.0, "123456789012345680000"),
            (0.000012345678, "1.2345678e-5"),
            (1e19, "1e+19"),
            (1e21, "1e+21"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ];
        for (number, expected) in cases {
            assert_eq!(text(number), expected);
        }
    }

    #[test]
    fn general_format_is_that_of_c() {
        let cases = [
            (0.1, "0.10000000000000001"),
            (-1.5, "-1.5"),
            (100.0, "100"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123456789012345678.0, "1.2345678901234568e+17"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (1e100, "1e+100"),
            (-0.0, "-0"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (number, expected) in cases {
            assert_eq!(general_text(number), expected);
        }
    }

    #[test]
    fn invalid_doubles_are_refused() {
        let bad = [
            "",
            " 1",
            "1 ",
            "abc",
            "1e",
            "1e+",
            ".",
            "-",
            "+",
            "0x",
            "1.2.3",
            "nan",
            "-NAN",
            "nan(1)",
            "1e400",
            "-1e400",
            "1e-400",
            "0x1p99999",
            "0x1p-99999",
            "--1",
            "0x1p",
            "1_0",
            "infinit",
            "1\0",
            "0x.p1",
            "1e-99999999999999999999",
        ];
        for text in bad {
            assert_eq!(parse_double(text.as_bytes()), None, "{text}");
        }
        let good = [
            ("1", 1.0),
            ("007", 7.0),
            ("-0", -0.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("1E5", 1e5),
            ("+1", 1.0),
            ("0x10", 16.0),
            ("-0X.8P1", -1.0),
            ("0x1.8p-1074", 1e-323),
            ("0x1p-1074", 5e-324),
            ("0x.fffffffffffff8p1024", f64::MAX),
            ("0x10000000000000081", 18446744073709551744.0),
            ("0x1.00000000000008", 1.0),
            ("0x1.000000000000080000000000000000001", 1.0 + f64::EPSILON),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("4e-324", 5e-324),
            ("0e999999999999999999999", 0.0),
        ];
        for (text, number) in good {
            let parsed = parse_double(text.as_bytes()).map(f64::to_bits);
            assert_eq!(parsed, Some(number.to_bits()), "{text}");
        }
    }

    #[test]
    fn the_longest_prefix_is_parsed() {
        let cases = [
            ("", 0.0, 0),
            ("x", 0.0, 0),
            (" \t1x", 1.0, 3),
            ("  ", 0.0, 0),
            ("1e+x", 1.0, 1),
            ("0x", 0.0, 1),
            ("0x.", 0.0, 1),
            ("0x1p", 1.0, 3),
            ("infinite", f64::INFINITY, 3),
            ("-1e999", f64::NEG_INFINITY, 6),
        ];
        for (text, number, len) in cases {
            let prefix = parse_double_prefix(text.as_bytes());
            assert_eq!((prefix.number, prefix.len), (number, len), "{text}");
        }
        assert_eq!(parse_double_prefix(b"nan(12)3").len, 7);
        assert_eq!(parse_double_prefix(b"nan(12").len, 3);
    }

    proptest! {
        #[test]
        fn a_text_reads_back_as_the_number(number in prop_oneof![
            any::<f64>(), -1e6..1e6f64, any::<i64>().prop_map(|n| n as f64),
            (any::<i32>(), -12..12i32).prop_map(|(n, e)| f64::from(n) * 10f64.powi(e)),
        ]) {
            prop_assume!(!number.is_nan());
            let text = DoubleText::new(number);
            let parsed = parse_double(text.as_bytes()).map(f64::to_bits);
            prop_assert_eq!(parsed, Some(number.to_bits()));
        }

        #[test]
        fn hexadecimal_numbers_are_read_exactly(number in any::<f64>()) {
            prop_assume!(number.is_finite());
            let bits = number.to_bits();
            let (fraction, exponent) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7ff) as i32);
            let (lead, exponent) = if exponent == 0 { (0, -1022) } else { (1, exponent - 1023) };
            let sign = if number.is_sign_negative() { "-" } else { "" };
            let text = format!("{sign}0x{lead}.{fraction:013x}p{exponent}");
            let parsed = parse_double(text.as_bytes()).map(f64::to_bits);
            prop_assert_eq!(parsed, Some(bits), "{}", text);
        }
    }
}
