//! Numbers in arguments and values.

use super::CommandError;
use super::long_double::LongDouble;
use crate::resp::request::parse_i64;

/// An argument as an integer.
///
/// # Errors
/// If it is anything but a canonical 64-bit decimal number.
pub fn integer(arg: &[u8]) -> Result<i64, CommandError> {
    parse_i64(arg).ok_or(CommandError::NOT_INTEGER)
}

/// An argument as a 32-bit integer.
///
/// # Errors
/// If it is not an integer, or does not fit.
pub fn int32(arg: &[u8]) -> Result<i32, CommandError> {
    const OUT_OF_RANGE: CommandError = CommandError::fixed(
        "ERR value is out of range, value must between -2147483648 and 2147483647",
    );
    i32::try_from(integer(arg)?).map_err(|_| OUT_OF_RANGE)
}

/// An argument as an integer that is neither negative nor, with `min` 1, zero.
///
/// # Errors
/// `error` if it is not.
pub fn at_least(min: i64, arg: &[u8], error: CommandError) -> Result<usize, CommandError> {
    let number = parse_i64(arg).filter(|&number| number >= min.max(0));
    number.and_then(|number| usize::try_from(number).ok()).ok_or(error)
}

/// An argument as an integer whose absolute value is one too.
///
/// # Errors
/// If it is not.
pub fn symmetric_integer(arg: &[u8]) -> Result<i64, CommandError> {
    const OUT_OF_RANGE: CommandError = CommandError::fixed(
        "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    );
    Some(integer(arg)?).filter(|&number| number != i64::MIN).ok_or(OUT_OF_RANGE)
}

/// A timeout in ms; 0 means for ever. `now_ms` is Unix time: the end of the wait must be a time.
///
/// # Errors
/// If it is no integer, negative, or too large.
pub fn timeout_ms(arg: &[u8], now_ms: i64) -> Result<u64, CommandError> {
    const NOT_INTEGER: CommandError =
        CommandError::fixed("ERR timeout is not an integer or out of range");
    checked_timeout(parse_i64(arg).ok_or(NOT_INTEGER)?, now_ms)
}

/// A timeout in seconds, with fractions, as ms; otherwise as [`timeout_ms`].
///
/// # Errors
/// If it is no number, negative, or too large.
pub fn timeout_seconds(arg: &[u8], now_ms: i64) -> Result<u64, CommandError> {
    const NOT_FLOAT: CommandError =
        CommandError::fixed("ERR timeout is not a float or out of range");
    let ms = (LongDouble::parse(arg).ok_or(NOT_FLOAT)?.to_f64() * 1000.0).ceil();
    if ms >= i64::MAX as f64 {
        return Err(CommandError::TIMEOUT_OUT_OF_RANGE);
    }
    checked_timeout(ms as i64, now_ms)
}

fn checked_timeout(ms: i64, now_ms: i64) -> Result<u64, CommandError> {
    match u64::try_from(ms) {
        Err(_) => Err(CommandError::fixed("ERR timeout is negative")),
        Ok(_) if now_ms.checked_add(ms).is_none() => Err(CommandError::TIMEOUT_OUT_OF_RANGE),
        Ok(ms) => Ok(ms),
    }
}

/// An unsigned integer as C's `strtoull` reads it, which is how `SCAN` takes its cursor: leading
/// blanks, a sign and zeros are fine, and a minus wraps around.
pub fn unsigned(arg: &[u8]) -> Option<u64> {
    let text = arg.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    // Redis first tries its strict integers, of which negative ones are refused.
    if digits.is_empty() || parse_i64(arg).is_some_and(|number| number < 0) {
        return None;
    }
    let mut value: u64 = 0;
    for &digit in digits {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors() {
        let cases: [(&str, Option<u64>); 11] = [
            ("0", Some(0)),
            ("42", Some(42)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            (" 7", Some(7)),
            ("+007", Some(7)),
            ("-1", None),
            ("-01", Some(u64::MAX)),
            ("", None),
            ("7 ", None),
            ("x", None),
        ];
        for (text, value) in cases {
            assert_eq!(unsigned(text.as_bytes()), value, "{text}");
        }
    }
}
