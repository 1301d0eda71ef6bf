//! Points in time as people write them.

/// A number of this many seconds lies in the year 5138, so many milliseconds in 1973: smaller numbers are seconds, others
/// milliseconds.
const SECONDS_MAX: u64 = 100_000_000_000;

/// Units of spans of time, in ms.
const UNITS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

/// What is understood, for people whose words are not.
const FORMS: &str = "a time is 2026-01-31T12:00:00Z, '2026-01-31 12:00:00.123+01:00' (UTC if there is no offset), Unix time \
                     in seconds or, from 100000000000 on, in milliseconds, '10m ago', -10m or now";

/// A point in time as Unix time in ms; `now_ms` is what relative ones count from.
///
/// # Errors
/// What would be understood.
pub fn parse(text: &str, now_ms: i64) -> Result<u64, String> {
    let text = text.trim();
    let found = match span(text) {
        Some(span) => span.and_then(|ms| now_ms.checked_sub_unsigned(ms)),
        None if text == "now" => Some(now_ms),
        None => unix(text).or_else(|| calendar(text)),
    };
    let Some(ms) = found else { return Err(FORMS.to_owned()) };
    u64::try_from(ms).map_err(|_| "a time before 1970".to_owned())
}

/// How many ms ago: `10m ago`, `-1h30m`. `None` if it is something else; nothing inside if it is none that counts.
fn span(text: &str) -> Option<Option<u64>> {
    let mut rest = match (text.strip_suffix("ago"), text.strip_prefix('-')) {
        (Some(span), _) => span.trim_end(),
        (None, Some(span)) => span,
        (None, None) => return None,
    };
    let mut ms = None;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, behind) = behind.split_at(letters);
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|&(_, factor)| factor);
        let part = number.parse::<u64>().ok().zip(factor);
        let part = part.and_then(|(number, factor)| number.checked_mul(factor));
        ms = part.and_then(|part| part.checked_add(ms.unwrap_or(0)));
        if ms.is_none() {
            return Some(None);
        }
        rest = behind.trim_start();
    }
    Some(ms)
}

/// Seconds, perhaps with a fraction, or milliseconds.
fn unix(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let number: u64 = whole.parse().ok()?;
    let has_fraction = text.contains('.');
    if number >= SECONDS_MAX && !has_fraction {
        return i64::try_from(number).ok();
    }
    i64::try_from(number).ok()?.checked_mul(1000)?.checked_add(thousandths(fraction))
}

/// The first three digits behind a point.
fn thousandths(fraction: &str) -> i64 {
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    digits.fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0'))
}

/// A date, perhaps with a time of day and an offset.
fn calendar(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let [year, month, day] = numbers(date, '-', &[4, 2, 2])?;
    let leaps = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leaps),
        _ => return None,
    };
    if !(1..=days).contains(&day) {
        return None;
    }
    // The year begins in March here, so that the day that leap years put in is its last one. Counted from 0000-03-01.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day = year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 1;
    let date_ms = (day - 719_468) * 86_400_000;
    if rest.is_empty() {
        return Some(date_ms);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, offset_ms) = match rest.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => match rest.rfind(['+', '-']) {
            Some(at) => (&rest[..at], offset(&rest[at..])?),
            None => (rest, 0),
        },
    };
    Some(date_ms + time_of_day(clock.trim_end())? - offset_ms)
}

/// `12:00`, `12:00:00`, `12:00:00.123`, in ms.
fn time_of_day(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let [hour, minute, s] = match numbers(whole, ':', &[2, 2]) {
        Some([hour, minute]) if whole == text => [hour, minute, 0],
        _ => numbers(whole, ':', &[2, 2, 2])?,
    };
    let is_number = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let is_time = hour < 24 && minute < 60 && s < 60 && is_number;
    is_time.then(|| ((hour * 60 + minute) * 60 + s) * 1000 + thousandths(fraction))
}

/// `+01:00`, `-0330`, `+02`, in ms.
fn offset(text: &str) -> Option<i64> {
    let (sign, text) = text.split_at_checked(1)?;
    let [hour, minute] = match text.len() {
        2 => [numbers::<1>(text, ':', &[2])?[0], 0],
        4 => [numbers::<1>(&text[..2], ':', &[2])?[0], numbers::<1>(&text[2..], ':', &[2])?[0]],
        _ => numbers(text, ':', &[2, 2])?,
    };
    let ms = (hour * 60 + minute) * 60_000;
    (hour < 24 && minute < 60).then_some(if sign == "-" { -ms } else { ms })
}

/// Numbers of so many digits each.
fn numbers<const N: usize>(text: &str, separator: char, digits: &[usize; N]) -> Option<[i64; N]> {
    let (mut parts, mut found) = (text.split(separator), [0; N]);
    for (number, digits) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != *digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::time_ms;
    use proptest::prelude::*;

    const NOW_MS: i64 = 1_700_000_000_250;

    #[test]
    fn all_forms_are_understood() {
        let cases = [
            ("0", 0),
            ("1700000000", 1_700_000_000_000),
            ("1700000000.5", 1_700_000_000_500),
            ("1700000000.1239", 1_700_000_000_123),
            ("99999999999", 99_999_999_999_000),
            ("100000000000", 100_000_000_000),
            ("1700000000250", 1_700_000_000_250),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
            ("2023-11-14 22:13:20", 1_700_000_000_000),
            ("2023-11-14 22:13:20.25Z", 1_700_000_000_250),
            ("2023-11-14 23:13:20.250+01:00", 1_700_000_000_250),
            ("2023-11-14T18:43:20-0330", 1_700_000_000_000),
            ("2023-11-15T00:13:20 +02", 1_700_000_000_000),
            ("2023-11-14 22:13", 1_699_999_980_000),
            ("2023-11-14", 1_699_920_000_000),
            ("2000-02-29", 951_782_400_000),
            ("now", NOW_MS as u64),
            ("-10m", NOW_MS as u64 - 600_000),
            ("10m ago", NOW_MS as u64 - 600_000),
            ("1h30m ago", NOW_MS as u64 - 5_400_000),
            ("1d 2h ago", NOW_MS as u64 - 93_600_000),
            ("-250ms", NOW_MS as u64 - 250),
        ];
        for (text, ms) in cases {
            assert_eq!(parse(text, NOW_MS), Ok(ms), "{text}");
        }
    }

    #[test]
    fn whatever_is_no_time_is_refused() {
        let cases = [
            "",
            "-",
            "ago",
            "10 ago",
            "-10",
            "10x ago",
            "yesterday",
            "1.5.2",
            "2023-13-01",
            "2023-02-29",
            "2023-11-14T24:00:00Z",
            "2023-11-14T22:60",
            "2023-11-14T22:13:20+1:00",
            "23-11-14",
            "2023-11-14X",
            "2023-11-14T22",
            "2023-11-14T22:13.5",
            "99999999999999999999",
            "-99999999999999999w",
            "1960-01-01",
            "2023-11-1ü",
            "-600000000w",
        ];
        for text in cases {
            assert!(parse(text, NOW_MS).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_understood(ms in 0..253_402_300_800_000i64) {
            prop_assert_eq!(parse(&time_ms(ms), NOW_MS), Ok(ms as u64));
        }

        #[test]
        fn nothing_makes_it_panic(text in "[0-9TZ:. +a-zü-]{0,30}") {
            let _ = parse(&text, NOW_MS);
        }
    }
}
