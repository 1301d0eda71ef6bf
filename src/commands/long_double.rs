//! The x87's 80-bit floating point numbers, in which Redis computes `INCRBYFLOAT`, and the way in
//! which it reads and prints them.

use rustc_apfloat::ieee::{Double, X87DoubleExtended};
use rustc_apfloat::{Float, FloatConvert, Round, Status, StatusAnd};

/// The longest text that is read as a number.
const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;
/// Decimals that are printed.
const DECIMALS: usize = 17;
/// `10` to the power of [`DECIMALS`].
const DECIMALS_POWER: u128 = 10_u128.pow(DECIMALS as u32);

/// A number of 64 significant bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// Zero.
    pub const ZERO: Self = Self(X87DoubleExtended::ZERO);

    /// Reads what C's `strtold` reads, if it is all of `text`: decimal or hexadecimal, or infinity;
    /// no blanks, no NaN, nothing too large, nothing so small that it becomes zero.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok().filter(|text| text.len() <= TEXT_BYTES_MAX)?;
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let number = if ["inf", "infinity"].iter().any(|i| unsigned.eq_ignore_ascii_case(i)) {
            X87DoubleExtended::INFINITY
        } else {
            read_finite(unsigned)?
        };
        Some(Self(if negative { -number } else { number }))
    }

    /// The sum; `None` if it is not finite.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let sum = (self.0 + other.0).value;
        sum.is_finite().then_some(Self(sum))
    }

    /// The nearest number of 53 significant bits.
    pub fn to_f64(self) -> f64 {
        let double: Double = self.0.convert(&mut false).value;
        f64::from_bits(double.to_bits() as u64)
    }

    /// In decimal notation without an exponent, with at most 17 decimals and no zeros at their end.
    ///
    /// # Panics
    /// If the number is infinite.
    pub fn to_text(self) -> String {
        assert!(self.0.is_finite());
        // Bits of the format: sign, 15 of exponent, 64 of significand with its leading one written.
        let bits = self.0.to_bits();
        let significand = u128::from(bits as u64);
        let exponent = (bits >> 64) as i32 & 0x7fff;
        let negative = bits >> 79 & 1 == 1;
        let exponent = exponent.max(1) - 16383 - 63;
        let mut text = String::new();
        let mut decimals = String::new();
        if exponent >= 0 {
            text = shifted_to_text(significand as u64, exponent as u32);
        } else {
            let scaled = round_shift(significand * DECIMALS_POWER, exponent.unsigned_abs());
            text.push_str(&(scaled / DECIMALS_POWER).to_string());
            decimals = format!("{:0DECIMALS$}", scaled % DECIMALS_POWER);
            decimals.truncate(decimals.trim_end_matches('0').len());
        }
        if !decimals.is_empty() {
            text.push('.');
            text.push_str(&decimals);
        }
        if negative && text != "0" {
            text.insert(0, '-');
        }
        text
    }
}

/// Reads a number without sign.
fn read_finite(text: &str) -> Option<X87DoubleExtended> {
    let hexadecimal = text.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    let (body, is_digit, mark): (&str, fn(&u8) -> bool, u8) = if hexadecimal {
        (&text[2..], u8::is_ascii_hexdigit, b'p')
    } else {
        (text, u8::is_ascii_digit, b'e')
    };
    let mark = body.bytes().position(|byte| byte.eq_ignore_ascii_case(&mark));
    let (significand, exponent) = match mark {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let (whole, fraction) = significand.split_once('.').unwrap_or((significand, ""));
    let all_digits = |text: &str, is_digit: fn(&u8) -> bool| text.as_bytes().iter().all(is_digit);
    if whole.len() + fraction.len() == 0
        || !all_digits(whole, is_digit)
        || !all_digits(fraction, is_digit)
    {
        return None;
    }
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if digits.is_empty() || !all_digits(digits, u8::is_ascii_digit) {
            return None;
        }
        // No significand of so few digits makes up for such an exponent, unless it is zero. The
        // crate's own arithmetic is not made for exponents that nearly overflow.
        if digits.trim_start_matches('0').len() > 6 {
            let is_zero = significand.bytes().all(|byte| byte == b'0' || byte == b'.');
            return is_zero.then_some(X87DoubleExtended::ZERO);
        }
    }
    let rounding = Round::NearestTiesToEven;
    let read = if hexadecimal && exponent.is_none() {
        // C lets the exponent of a hexadecimal number be left out.
        X87DoubleExtended::from_str_r(&format!("{text}p0"), rounding)
    } else {
        X87DoubleExtended::from_str_r(text, rounding)
    };
    let StatusAnd { status, value } = read.ok()?;
    let lost = status.contains(Status::UNDERFLOW) && value.is_zero();
    (value.is_finite() && !lost).then_some(value)
}

/// `number / 2^shift`, rounded to the nearest integer, to the even one if two are as near.
fn round_shift(number: u128, shift: u32) -> u128 {
    // Every number here is below 2^121, so from 122 on it is less than a half.
    if shift > 121 {
        return 0;
    }
    let (quotient, rest) = (number >> shift, number & ((1 << shift) - 1));
    let half = 1 << (shift - 1);
    quotient + u128::from(rest > half || rest == half && quotient & 1 == 1)
}

/// `number * 2^shift` in decimal digits.
fn shifted_to_text(number: u64, shift: u32) -> String {
    const CHUNK: u64 = 1_000_000_000;
    // Nine digits at a time, the lowest first; doubled 29 bits at a time, which fits 64 bits.
    let mut chunks = vec![number % CHUNK, number / CHUNK % CHUNK, number / CHUNK / CHUNK];
    let mut left = shift;
    while left > 0 {
        let step = left.min(29);
        left -= step;
        let mut carry = 0;
        for chunk in &mut chunks {
            let value = (*chunk << step) + carry;
            *chunk = value % CHUNK;
            carry = value / CHUNK;
        }
        if carry > 0 {
            chunks.push(carry);
        }
    }
    let mut text: String = chunks.iter().rev().map(|chunk| format!("{chunk:09}")).collect();
    let zeros = text.len() - text.trim_start_matches('0').len();
    text.drain(..zeros.min(text.len() - 1));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> Option<String> {
        let (a, b) = (LongDouble::parse(a.as_bytes())?, LongDouble::parse(b.as_bytes())?);
        a.checked_add(b).map(LongDouble::to_text)
    }

    #[test]
    fn sums_are_what_redis_says() {
        // Left and right as given to SET and INCRBYFLOAT of Redis 7.0.15 on x86-64.
        let cases = [
            ("0.1", "0.2", "0.3"),
            ("3.0e3", "200", "3200"),
            ("1.5", "1.15", "2.65"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("1", "-1", "0"),
            ("-0.1", "0.1", "0"),
            ("-0", "-0", "0"),
            ("0", "1e-17", "0.00000000000000001"),
            ("0", "-1e-18", "0"),
            ("17179869184", "1.5", "17179869185.5"),
            ("1e20", "1", "100000000000000000000"),
            ("0x10", "0x.8p1", "17"),
            ("0e2147483647", "1", "1"),
            ("1e30", "0", "1000000000000000000024696061952"),
        ];
        for (a, b, expected) in cases {
            assert_eq!(sum(a, b).as_deref(), Some(expected), "{a} + {b}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
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
            "1e5000",
            "1e-5000",
            "1e2147483647",
            "1e-99999999999999999999",
            "0x1p9999999",
            "--1",
            "0x1p",
            "1_0",
            "１",
            "infinit",
        ];
        for text in bad {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(LongDouble::parse("1".repeat(6000).as_bytes()), None);
        for text in ["inf", "-Infinity", "+INF"] {
            let infinite = LongDouble::parse(text.as_bytes()).expect(text);
            assert_eq!(infinite.checked_add(LongDouble::ZERO), None);
        }
        for text in ["1.", ".5", "1E5", "+1", "-.5e-3", "0x1", "0X1.8P3"] {
            assert!(LongDouble::parse(text.as_bytes()).is_some(), "{text}");
        }
    }
}
