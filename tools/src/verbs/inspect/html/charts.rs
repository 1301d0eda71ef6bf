//! Histograms, and the log's write rate. Colours come from the page's style sheet, by class.

use super::super::log::Rate;
use super::{Escaped, WIDTH, short, short_bytes};
use crate::output::{bytes, count, counted, time_ms};
use std::fmt::Write;

/// One bar of a histogram: what it stands for, how many keys and how many bytes.
pub struct Bar {
    /// Below the bar.
    pub label: String,
    /// How many keys.
    pub keys: u64,
    /// Bytes of memory.
    pub bytes: u64,
}

/// Keys and memory by class, above each other.
pub fn histogram(what: &str, bars: &[Bar]) -> String {
    const HALF: f64 = 544.0;
    const PLOT: f64 = 84.0;
    const TOP: f64 = 44.0;
    const PANEL: f64 = PLOT + TOP;
    let step = HALF / bars.len().max(1) as f64;
    // Classes that are too narrow for their labels: every other one, or fewer, have one.
    let longest = bars.iter().map(|bar| bar.label.chars().count()).max().unwrap_or(1);
    let every = (longest as f64 * 6.4 / step).ceil().max(1.0) as usize;
    let number_every = (38.0 / step).ceil().max(1.0) as usize;
    let mut svg = format!(
        "<svg class=\"histogram\" viewBox=\"0 0 {HALF} {}\" role=\"img\" aria-label=\"{}\">",
        2.0 * PANEL + 18.0,
        Escaped(what)
    );
    type Panel = (&'static str, fn(&Bar) -> u64, fn(u64) -> String);
    let panels: [Panel; 2] =
        [("keys", |bar| bar.keys, short), ("memory", |bar| bar.bytes, short_bytes)];
    for (panel, (class, of, shown)) in panels.into_iter().enumerate() {
        let top = panel as f64 * PANEL;
        let base = top + PANEL;
        let most = bars.iter().map(of).max().unwrap_or(0).max(1) as f64;
        let _ = write!(svg, "<text class=\"axis\" x=\"0\" y=\"{:.1}\">{class}</text>", top + 18.0);
        for (index, bar) in bars.iter().enumerate() {
            let value = of(bar);
            let x = index as f64 * step;
            let height = if value > 0 { (value as f64 / most * PLOT).max(1.0) } else { 0.0 };
            let (gap, y) = ((step * 0.12).clamp(1.0, 8.0), base - height);
            let _ = write!(
                svg,
                "<g><title>{}: {}, {}</title><rect class=\"bar {class}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
                Escaped(&bar.label),
                counted(bar.keys, "key", "keys"),
                bytes(bar.bytes),
                x + gap,
                step - 2.0 * gap,
            );
            if value > 0 && (number_every == 1 || value as f64 == most) {
                let (x, y) = (x + step / 2.0, y - 4.0);
                let text = shown(value);
                let _ =
                    write!(svg, "<text class=\"number\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
            }
            svg.push_str("</g>");
        }
        let _ = write!(svg, "<path class=\"line\" d=\"M0 {base:.1}H{HALF}\"/>");
    }
    for (index, bar) in bars.iter().enumerate().step_by(every) {
        let (x, y) = ((index as f64 + 0.5) * step, 2.0 * PANEL + 14.0);
        let label = Escaped(&bar.label);
        let _ = write!(svg, "<text class=\"label\" x=\"{x:.1}\" y=\"{y:.1}\">{label}</text>");
    }
    svg.push_str("</svg>");
    svg
}

/// The next round number: 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-9).log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0].into_iter().find(|times| times * power >= value * 0.999_999);
    times.unwrap_or(10.0) * power
}

/// How far apart times on an axis are, in ms, so that there are at most `ticks_max` of them.
fn time_step_ms(span_ms: u64, ticks_max: u64) -> u64 {
    const S: u64 = 1000;
    const STEPS: [u64; 22] = [
        S,
        2 * S,
        5 * S,
        10 * S,
        15 * S,
        30 * S,
        60 * S,
        120 * S,
        300 * S,
        600 * S,
        900 * S,
        1800 * S,
        3600 * S,
        7200 * S,
        10_800 * S,
        21_600 * S,
        43_200 * S,
        86_400 * S,
        172_800 * S,
        604_800 * S,
        2_592_000 * S,
        31_536_000 * S,
    ];
    let fits = |step: &u64| span_ms / step <= ticks_max;
    STEPS.into_iter().find(fits).unwrap_or(span_ms.max(1))
}

/// A moment on an axis with such steps.
fn tick(at_ms: u64, step_ms: u64) -> String {
    let text = time_ms(i64::try_from(at_ms).unwrap_or(i64::MAX));
    // `2026-01-31 23:59:59.123Z`
    let (from, to) = match step_ms {
        0..60_000 => (11, 19),
        60_000..86_400_000 => (11, 16),
        _ => (0, 10),
    };
    text.get(from..to).unwrap_or(&text).to_owned()
}

/// What was written when: bytes and commands a second, above each other.
pub fn rate(rate: &Rate) -> String {
    const LEFT: f64 = 74.0;
    const RIGHT: f64 = 14.0;
    const TOP: f64 = 30.0;
    const PLOT: f64 = 120.0;
    const PANEL: f64 = TOP + PLOT;
    const HEIGHT: f64 = 2.0 * PANEL + 26.0;
    let seconds = rate.bucket_ms as f64 / 1000.0;
    let plot = WIDTH - LEFT - RIGHT;
    let step = plot / rate.buckets.len().max(1) as f64;
    let span_ms = rate.bucket_ms.saturating_mul(rate.buckets.len() as u64);
    let mut svg = format!(
        "<svg class=\"rate\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Write rate of the log over time\">"
    );
    let per_second = |of: &dyn Fn(usize) -> u64| -> Vec<f64> {
        (0..rate.buckets.len()).map(|index| of(index) as f64 / seconds).collect()
    };
    let written = per_second(&|index| rate.buckets[index].bytes);
    let commands = per_second(&|index| rate.buckets[index].commands);
    let most_written = written.iter().copied().fold(0.0, f64::max);
    let power = ((most_written.max(1.0).log2() / 10.0) as usize).min(4);
    let (unit, divisor) =
        (["B/s", "KiB/s", "MiB/s", "GiB/s", "TiB/s"][power], 1024_f64.powi(power as i32));
    let written = written.iter().map(|value| value / divisor).collect();
    let panels = [(unit, written, "memory"), ("commands/s", commands, "keys")];

    let time_step = time_step_ms(span_ms, 9);
    let first = rate.begin_ms.next_multiple_of(time_step);
    let ticks: Vec<(f64, String)> = (0..12)
        .map(|index| first + index * time_step)
        .take_while(|at_ms| *at_ms <= rate.begin_ms + span_ms)
        .map(|at_ms| {
            let x = LEFT + (at_ms - rate.begin_ms) as f64 / span_ms.max(1) as f64 * plot;
            (x, tick(at_ms, time_step))
        })
        .collect();
    for (panel, (unit, values, class)) in panels.into_iter().enumerate() {
        let values: Vec<f64> = values;
        let (base, most) =
            ((panel + 1) as f64 * PANEL, values.iter().copied().fold(0.0, f64::max).max(1e-9));
        let grid = round_up(most / 3.0);
        let top = (most / grid).ceil() * grid;
        let y = |value: f64| base - value / top * PLOT;
        let name_y = base - PLOT - 12.0;
        let _ = write!(svg, "<text class=\"axis\" x=\"0\" y=\"{name_y:.1}\">{unit}</text>");
        for (x, _) in &ticks {
            let (from, to) = (base - PLOT, base);
            let _ = write!(svg, "<path class=\"grid\" d=\"M{x:.1} {from:.1}V{to:.1}\"/>");
        }
        for line in 0..=(top / grid).round() as usize {
            let (value, at) = (line as f64 * grid, y(line as f64 * grid));
            let class = if line == 0 { "line" } else { "grid" };
            let end = WIDTH - RIGHT;
            let _ = write!(svg, "<path class=\"{class}\" d=\"M{LEFT} {at:.1}H{end}\"/>");
            let (x, at, text) = (LEFT - 8.0, at + 4.0, axis_number(value));
            let _ = write!(svg, "<text class=\"tick\" x=\"{x}\" y=\"{at:.1}\">{text}</text>");
        }
        // A step for each bucket: nothing is known of what lies within.
        let mut line = String::new();
        for (index, value) in values.iter().enumerate() {
            let (from, to, at) = (index as f64 * step, (index + 1) as f64 * step, y(*value));
            let begin = if index == 0 { 'M' } else { 'L' };
            let _ = write!(line, "{begin}{:.1} {at:.1}H{:.1}", LEFT + from, LEFT + to);
        }
        let end = LEFT + plot;
        let _ = write!(
            svg,
            "<path class=\"area {class}\" d=\"{line}V{base:.1}H{LEFT}Z\"><title>{unit}</title></path>"
        );
        let _ = write!(svg, "<path class=\"stroke {class}\" d=\"{line}\"/>");
        if let Some((index, value)) =
            values.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))
        {
            let x = LEFT + (index as f64 + 0.5) * step;
            let at = y(*value);
            let anchor = if x > end - 120.0 { "end" } else { "start" };
            let text = format!("peak {} {unit}", axis_number(*value));
            let _ = write!(svg, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{at:.1}\" r=\"3\"/>");
            let dx = if anchor == "end" { -7.0 } else { 7.0 };
            let at = at - 6.0;
            let _ = write!(
                svg,
                "<text class=\"peak\" text-anchor=\"{anchor}\" x=\"{:.1}\" y=\"{at:.1}\">{text}</text>",
                x + dx
            );
        }
    }
    for (x, text) in &ticks {
        let y = 2.0 * PANEL + 17.0;
        let _ = write!(svg, "<text class=\"label\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
    }
    svg.push_str("</svg>");
    svg
}

/// A number on an axis: with thousands apart, or with as many decimals as it needs.
fn axis_number(value: f64) -> String {
    if value >= 100.0 {
        return count(value.round() as u64);
    }
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        for (value, round) in [(0.03, 0.05), (1.0, 1.0), (1.1, 2.0), (30.0, 50.0), (77.0, 100.0)] {
            assert!((round_up(value) - round).abs() < 1e-9, "{value}");
        }
        assert_eq!(time_step_ms(60_000, 9), 10_000);
        assert_eq!(time_step_ms(3_600_000, 9), 600_000);
        assert_eq!(tick(1_700_000_000_000, 10_000), "22:13:20");
        assert_eq!(tick(1_700_000_000_000, 60_000), "22:13");
        assert_eq!(tick(1_700_000_000_000, 86_400_000), "2023-11-14");
        let numbers = [(0.0, "0"), (0.25, "0.25"), (2.5, "2.5"), (20.0, "20"), (1200.0, "1,200")];
        for (value, text) in numbers {
            assert_eq!(axis_number(value), text);
        }
    }
}
