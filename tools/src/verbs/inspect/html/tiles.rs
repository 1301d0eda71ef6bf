//! The treemap of memory by prefix. Colours come from the page's style sheet, by class.

use super::super::prefixes::Prefix;
use super::treemap::{Rect, squarify};
use super::{Escaped, WIDTH, percent};
use crate::output::{bytes, counted};
use std::fmt::Write;

const HEIGHT: f64 = 500.0;
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

/// Memory by prefix, two levels.
pub fn treemap(root: &Prefix) -> String {
    let mut svg = format!(
        "<svg class=\"treemap\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Memory by prefix\">"
    );
    let within = Rect { x: 0.0, y: 0.0, width: WIDTH, height: HEIGHT };
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
    let (keys, size) = (counted(tile.keys, "key", "keys"), bytes(tile.bytes));
    let share = percent(tile.bytes, total);
    let _ = write!(svg, "<title>{}\n{size} ({share}), {keys}</title>", Escaped(full));
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

#[cfg(test)]
mod tests {
    use super::*;

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
