//! The page's pictures. Colours come from the page's style sheet, by class.

use super::super::log::Rate;
use super::super::prefixes::Prefix;
use super::treemap::{Rect, squarify};
use super::{Escaped, short, short_bytes};
use crate::output::{bytes, count, time_ms};
use std::fmt::Write;

/// Width of pictures as wide as the page.
const WIDE: f64 = 1120.0;
const TREEMAP_HEIGHT: f64 = 500.0;
/// Height of the strip with a group's name.
const STRIP: f64 = 21.0;
/// Width of a letter of the names: they are monospaced, 12 units high.
const LETTER: f64 = 7.25;
/// How many colours the style sheet has for groups.
const COLOURS: usize = 8;
/// So many groups, and parts of each, are shown at most; the rest is one rectangle.
const GROUPS_MAX: usize = 20;
const PARTS_MAX: usize = 40;
/// Smaller shares of the whole go to the rest.
const SHARE_MIN: f64 = 0.002;

/// What a rectangle stands for.
struct Tile<'a> {
    name: String,
    keys: u64,
    bytes: u64,
    /// `None` for the rest.
    prefix: Option<&'a Prefix>,
}

/// The parts of a prefix that can be seen, and the rest, sorted by size.
fn tiles(of: &Prefix, total: u64, max: usize) -> Vec<Tile<'_>> {
    let is_seen = |part: &&Prefix| part.bytes as f64 >= SHARE_MIN * total as f64;
    let seen = of.parts.iter().filter(is_seen).take(max);
    let mut tiles: Vec<Tile<'_>> = seen
        .map(|part| {
            let name = part.prefix.strip_prefix(&of.prefix).unwrap_or(&part.prefix).to_owned();
            Tile { name, keys: part.keys, bytes: part.bytes, prefix: Some(part) }
        })
        .collect();
    let sum = |of: fn(&Tile<'_>) -> u64| tiles.iter().map(of).sum::<u64>();
    let (keys, size) = (of.keys - sum(|tile| tile.keys), of.bytes - sum(|tile| tile.bytes));
    if size > 0 {
        tiles.push(Tile { name: "(other)".into(), keys, bytes: size, prefix: None });
        tiles.sort_by_key(|tile| std::cmp::Reverse(tile.bytes));
    }
    tiles
}

/// As much of `text` as is `width` wide; nothing if that says nothing.
fn fitting(text: &str, width: f64) -> String {
    let letters = (width / LETTER) as usize;
    if text.chars().count() <= letters {
        text.to_owned()
    } else if letters < 3 {
        String::new()
    } else {
        text.chars().take(letters - 1).chain(['…']).collect()
    }
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}

/// Memory by prefix, two levels.
pub fn treemap(root: &Prefix) -> String {
    let mut svg = format!(
        "<svg class=\"treemap\" viewBox=\"0 0 {WIDE} {TREEMAP_HEIGHT}\" role=\"img\" \
         aria-label=\"Memory by prefix\">"
    );
    let within = Rect { x: 0.0, y: 0.0, width: WIDE, height: TREEMAP_HEIGHT };
    let groups = tiles(root, root.bytes, GROUPS_MAX);
    let weights: Vec<u64> = groups.iter().map(|tile| tile.bytes).collect();
    let mut colours = (0..COLOURS).cycle();
    for (tile, rect) in groups.iter().zip(squarify(&weights, within)) {
        let class = match tile.prefix {
            Some(_) => format!("c{}", colours.next().unwrap_or(0)),
            None => "rest".into(),
        };
        let _ = write!(svg, "<g class=\"{class}\">");
        let name = format!("{}{}", root.prefix, tile.name);
        let parts = match tile.prefix {
            Some(prefix) if !prefix.parts.is_empty() => tiles(prefix, root.bytes, PARTS_MAX),
            _ => Vec::new(),
        };
        let rect = rect.inside(1.0, 1.0);
        let has_room = rect.height > 2.5 * STRIP && rect.width > 60.0;
        if parts.len() < 2 || !has_room {
            put_tile(&mut svg, tile, &name, true, rect, root.bytes);
        } else {
            put_strip(&mut svg, tile, &name, rect, root.bytes);
            let weights: Vec<u64> = parts.iter().map(|part| part.bytes).collect();
            for (part, rect) in parts.iter().zip(squarify(&weights, rect.inside(STRIP, 2.0))) {
                let full = format!("{name}{}", part.name);
                put_tile(&mut svg, part, &full, false, rect.inside(1.0, 1.0), root.bytes);
            }
        }
        svg.push_str("</g>");
    }
    svg.push_str("</svg>");
    svg
}

fn put_rect(svg: &mut String, class: &str, rect: Rect) {
    let Rect { x, y, width, height } = rect;
    let _ = write!(
        svg,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\"/>"
    );
}

fn put_title(svg: &mut String, tile: &Tile<'_>, full: &str, total: u64) {
    let (keys, size) = (count(tile.keys), bytes(tile.bytes));
    let share = percent(tile.bytes, total);
    let _ = write!(svg, "<title>{}\n{size} ({share}), {keys} keys</title>", Escaped(full));
}

/// A group's background and the strip with its name.
fn put_strip(svg: &mut String, tile: &Tile<'_>, full: &str, rect: Rect, total: u64) {
    svg.push_str("<g>");
    put_title(svg, tile, full, total);
    put_rect(svg, "group", rect);
    let room = rect.width - 12.0;
    let size = format!("{} · {}", bytes(tile.bytes), percent(tile.bytes, total));
    let width = |text: &str| text.chars().count() as f64 * LETTER;
    let has_size = width(&tile.name) + width(&size) + 2.0 * LETTER <= room;
    let (x, y) = (rect.x + 6.0, rect.y + 15.0);
    let name = fitting(&tile.name, room);
    let _ = write!(svg, "<text class=\"name\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", Escaped(&name));
    if has_size {
        let x = rect.x + rect.width - 6.0;
        let _ = write!(svg, "<text class=\"end\" x=\"{x:.1}\" y=\"{y:.1}\">{size}</text>");
    }
    svg.push_str("</g>");
}

/// A rectangle with what it stands for, as far as there is room.
fn put_tile(svg: &mut String, tile: &Tile<'_>, full: &str, is_group: bool, rect: Rect, total: u64) {
    svg.push_str("<g>");
    put_title(svg, tile, full, total);
    put_rect(svg, "tile", rect);
    let room = rect.width - 9.0;
    let label = fitting(&tile.name, room);
    if rect.height >= 17.0 && !label.is_empty() {
        let (x, y) = (rect.x + 5.0, rect.y + 14.0);
        let class = if is_group { "name" } else { "part" };
        let label = Escaped(&label);
        let _ = write!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{label}</text>");
        let fits = |text: &String| text.chars().count() as f64 * LETTER <= room;
        let long = Some(format!("{} · {}", bytes(tile.bytes), percent(tile.bytes, total)));
        let size = long.filter(|text| is_group && fits(text)).unwrap_or_else(|| bytes(tile.bytes));
        if rect.height >= 33.0 && fits(&size) {
            let y = y + 15.0;
            let _ = write!(svg, "<text class=\"size\" x=\"{x:.1}\" y=\"{y:.1}\">{size}</text>");
        }
    }
    svg.push_str("</g>");
}

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
    const WIDTH: f64 = 544.0;
    const PLOT: f64 = 84.0;
    const TOP: f64 = 44.0;
    const PANEL: f64 = PLOT + TOP;
    let step = WIDTH / bars.len().max(1) as f64;
    // Classes that are too narrow for their labels: every other one, or fewer, have one.
    let longest = bars.iter().map(|bar| bar.label.chars().count()).max().unwrap_or(1);
    let every = (longest as f64 * 6.4 / step).ceil().max(1.0) as usize;
    let number_every = (38.0 / step).ceil().max(1.0) as usize;
    let mut svg = format!(
        "<svg class=\"histogram\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{}\">",
        2.0 * PANEL + 18.0,
        Escaped(what)
    );
    type Of = fn(&Bar) -> u64;
    let panels: [(&str, Of, fn(u64) -> String, &str); 2] = [
        ("keys", |bar| bar.keys, short, "keys"),
        ("memory", |bar| bar.bytes, short_bytes, "memory"),
    ];
    for (panel, (name, of, shown, class)) in panels.into_iter().enumerate() {
        let top = panel as f64 * PANEL;
        let base = top + PANEL;
        let most = bars.iter().map(of).max().unwrap_or(0).max(1) as f64;
        let _ = write!(svg, "<text class=\"axis\" x=\"0\" y=\"{:.1}\">{name}</text>", top + 18.0);
        for (index, bar) in bars.iter().enumerate() {
            let value = of(bar);
            let x = index as f64 * step;
            let height = if value > 0 { (value as f64 / most * PLOT).max(1.0) } else { 0.0 };
            let (gap, y) = ((step * 0.12).clamp(1.0, 8.0), base - height);
            let _ = write!(
                svg,
                "<g><title>{}: {} keys, {}</title><rect class=\"bar {class}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
                Escaped(&bar.label),
                count(bar.keys),
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
        let _ = write!(svg, "<path class=\"line\" d=\"M0 {base:.1}H{WIDTH}\"/>");
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
    let plot = WIDE - LEFT - RIGHT;
    let step = plot / rate.buckets.len().max(1) as f64;
    let span_ms = rate.bucket_ms.saturating_mul(rate.buckets.len() as u64);
    let mut svg = format!(
        "<svg class=\"rate\" viewBox=\"0 0 {WIDE} {HEIGHT}\" role=\"img\" \
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
            let end = WIDE - RIGHT;
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

    #[test]
    fn labels_fit_or_are_left_out() {
        assert_eq!(fitting("user:", 100.0), "user:");
        assert_eq!(fitting("user:name", 5.5 * LETTER), "user…");
        assert_eq!(fitting("user:name", 2.5 * LETTER), "");
    }

    #[test]
    fn what_is_too_small_is_one_rectangle() {
        let part = |name: String, bytes| Prefix { prefix: name, keys: 1, bytes, parts: Vec::new() };
        let mut parts = vec![part("a:big:".into(), 10_000)];
        parts.extend((0..100).map(|n| part(format!("a:small{n}:"), 1)));
        let root = Prefix { prefix: "a:".into(), keys: 101, bytes: 10_100, parts };
        let tiles = tiles(&root, root.bytes, GROUPS_MAX);
        let shown: Vec<_> = tiles.iter().map(|tile| (tile.name.as_str(), tile.bytes)).collect();
        assert_eq!(shown, [("big:", 10_000), ("(other)", 100)]);
    }
}
