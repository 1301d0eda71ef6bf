//! Commands made up after templates, with words from the edges of what is allowed and from beyond.
//!
//! A template is a command's full name and its arguments: `$name` is a word that [`Words::word`]
//! makes up, `[ … ]` is there or not, `( … | … )` is one of the alternatives, `{ … }` is repeated
//! one to three times, `#{ … }` is that with the count before it, and everything else is itself.

use crate::env::Random;

/// Integers at both ends of what has room, and just beyond.
const INTEGERS: [&str; 20] = [
    "0",
    "1",
    "-1",
    "2",
    "-2",
    "9223372036854775807",
    "9223372036854775806",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775807",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551614",
    "18446744073709551616",
    "-18446744073709551615",
    "4294967295",
    "4294967296",
    "-4294967296",
    "9223372036854775",
    "9223372036854776",
];

const FLOATS: [&str; 20] = [
    "nan",
    "-nan",
    "inf",
    "-inf",
    "+inf",
    "infinity",
    "0",
    "-0",
    "-0.0",
    "1e308",
    "-1.7976931348623157e308",
    "1e400",
    "-1e400",
    "4.9e-324",
    "1e-400",
    "0.1",
    "3.0e3",
    "9007199254740993",
    "9223372036854775807",
    "1.7976931348623157e4932",
];

const IDS: [&str; 18] = [
    "0-0",
    "0-1",
    "1-0",
    "1-1",
    "5",
    "9-9",
    "9223372036854775807-0",
    "9223372036854775807-9223372036854775807",
    "9223372036854775808-0",
    "18446744073709551614-18446744073709551615",
    "18446744073709551615-0",
    "18446744073709551615-18446744073709551614",
    "18446744073709551615-18446744073709551615",
    "18446744073709551616-0",
    "1-18446744073709551615",
    "-",
    "+",
    "$",
];

/// Times to go by and moments, as they come to clocks before 1970, now, and in the year 9999.
const MOMENTS: [i64; 12] = [
    0,
    1,
    -1,
    -5_000,
    -62_135_596_800_000,
    1_700_000_000_000,
    1_700_000_000,
    70_368_744_177_663,
    70_368_744_177_664,
    253_402_300_799_000,
    253_402_300_799_999,
    i64::MAX,
];

/// Makes up commands.
pub struct Words {
    random: Random,
    /// What `RESTORE` takes.
    pub payloads: Vec<Vec<u8>>,
    /// Some of what was used as an id before.
    ids: Vec<Vec<u8>>,
}

impl Words {
    pub fn new(random: Random) -> Self {
        Self { random, payloads: Vec::new(), ids: Vec::new() }
    }

    pub fn below(&mut self, bound: usize) -> usize {
        ((self.random)() % bound as u64) as usize
    }

    fn one_of(&mut self, words: &[&str]) -> Vec<u8> {
        words[self.below(words.len())].into()
    }

    /// A command after a template.
    pub fn command(&mut self, name: &str, template: &str) -> Vec<Vec<u8>> {
        let mut words: Vec<Vec<u8>> =
            name.split('|').map(|part| part.as_bytes().to_vec()).collect();
        let tokens: Vec<&str> = template.split_ascii_whitespace().collect();
        self.fill(&tokens, &mut words);
        // Now and then something is missing, or in the wrong place.
        if words.len() > 1 && self.below(40) == 0 {
            let at = 1 + self.below(words.len() - 1);
            match self.below(3) {
                0 => drop(words.remove(at)),
                1 => words[at] = self.word("value"),
                _ => words[at] = self.word("integer"),
            }
        }
        words
    }

    fn fill(&mut self, tokens: &[&str], words: &mut Vec<Vec<u8>>) {
        let mut at = 0;
        while let Some(&token) = tokens.get(at) {
            let end = match token {
                "[" | "(" | "{" | "#{" => matching(tokens, at),
                _ => at,
            };
            let inside = tokens.get(at + 1..end).unwrap_or_default();
            match token {
                "[" if self.below(2) == 0 => self.fill(inside, words),
                "[" => {}
                "(" => {
                    let choices = choices(inside);
                    let choice = choices[self.below(choices.len())];
                    self.fill(choice, words);
                }
                "{" | "#{" => {
                    let times = 1 + self.below(3);
                    if token == "#{" {
                        words.push(times.to_string().into_bytes());
                    }
                    (0..times).for_each(|_| self.fill(inside, words));
                }
                _ => words.push(match token.strip_prefix('$') {
                    Some(name) if !name.is_empty() => self.word(name),
                    _ => token.into(),
                }),
            }
            at = end + 1;
        }
    }

    /// A word of a kind; see below.
    fn word(&mut self, name: &str) -> Vec<u8> {
        match name {
            "string" | "list" | "hash" | "set" | "zset" | "geo" | "stream" | "hll" => {
                self.key(name)
            }
            "key" => {
                let kinds = ["string", "list", "hash", "set", "zset", "geo", "stream", "hll"];
                let kind = kinds[self.below(kinds.len())];
                self.key(kind)
            }
            // Few of them, so that commands meet.
            "name" => self.one_of(&["", "a", "b", "c", "7", "-3", "\u{e9}"]),
            "value" => match self.below(12) {
                0 => Vec::new(),
                1 => self.one_of(&INTEGERS),
                2 => self.one_of(&FLOATS),
                3 => vec![b'x'; 70],
                4 if self.below(50) == 0 => self.noise(70_000),
                5 => self.noise(9),
                _ => self.word("name"),
            },
            "integer" => self.one_of(&INTEGERS),
            "small" => (self.below(7) as i64 - 2).to_string().into_bytes(),
            "count" => match self.below(3) {
                0 => self.word("integer"),
                _ => self.below(5).to_string().into_bytes(),
            },
            "float" => match self.below(4) {
                0 => self.word("integer"),
                1 => self.word("small"),
                _ => self.one_of(&FLOATS),
            },
            "degrees" => self.one_of(&["0", "-180", "180", "85", "-85", "13.36", "1e-300", "nan"]),
            "bound" => self.one_of(&["-inf", "+inf", "0", "(1", "nan", "(inf", "1e308", "-0"]),
            "lex" => self.one_of(&["-", "+", "[", "(", "[a", "(b", "[\u{e9}", "x"]),
            // From now on, and absolute.
            "time" => match self.below(4) {
                0 => self.word("integer"),
                1 => MOMENTS[self.below(MOMENTS.len())].to_string().into_bytes(),
                _ => self.below(3000).to_string().into_bytes(),
            },
            "moment" => {
                let moment = MOMENTS[self.below(MOMENTS.len())];
                let near = moment.saturating_add(self.below(2000) as i64 - 500);
                let second = if self.below(3) == 0 { 1000 } else { 1 };
                (near / second).to_string().into_bytes()
            }
            "id" => self.id(),
            "newid" if self.below(2) == 0 => self.one_of(&["*", "0-*", "1-*", "99-*"]),
            "newid" => {
                let id = self.id();
                self.remember(id)
            }
            "db" => self.one_of(&["0", "1", "2", "15", "16", "-1", "4294967296"]),
            "offset" => match self.below(3) {
                0 => self.word("integer"),
                1 => self.below(300).to_string().into_bytes(),
                _ => self.below(20_000).to_string().into_bytes(),
            },
            "bitoffset" => {
                let offset = self.word("offset");
                if self.below(3) == 0 { [&b"#"[..], &offset].concat() } else { offset }
            }
            "bittype" => self.one_of(&["u1", "u63", "u64", "i1", "i64", "i65", "u8", "i16", "x8"]),
            "timeout" => {
                self.one_of(&["0", "0.1", "-1", "nan", "inf", "1e400", "9223372036854775807"])
            }
            "payload" if !self.payloads.is_empty() => {
                let at = self.below(self.payloads.len());
                self.payloads[at].clone()
            }
            "payload" => Vec::new(),
            _ => panic!("no word is called {name}"),
        }
    }

    fn key(&mut self, kind: &str) -> Vec<u8> {
        match self.below(30) {
            0 => self.word("key"),
            1 => Vec::new(),
            _ => format!("{kind}:{}", self.below(2)).into_bytes(),
        }
    }

    fn id(&mut self) -> Vec<u8> {
        match self.below(6) {
            0 => self.one_of(&IDS),
            1 | 2 if !self.ids.is_empty() => {
                let at = self.below(self.ids.len());
                self.ids[at].clone()
            }
            3 => self.below(30).to_string().into_bytes(),
            // Those that payloads have, among them.
            _ => format!("{}-{}", 1 + self.below(4), self.below(2)).into_bytes(),
        }
    }

    fn remember(&mut self, id: Vec<u8>) -> Vec<u8> {
        if self.ids.len() == 8 {
            let at = self.below(8);
            self.ids.swap_remove(at);
        }
        self.ids.push(id.clone());
        id
    }

    fn noise(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.random)() as u8).collect()
    }
}

/// Where what opens at `at` is closed.
fn matching(tokens: &[&str], at: usize) -> usize {
    let mut depth = 0;
    for (place, token) in tokens.iter().enumerate().skip(at) {
        match *token {
            "[" | "(" | "{" | "#{" => depth += 1,
            "]" | ")" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return place;
        }
    }
    panic!("{} is not closed", tokens[at]);
}

/// The parts between bars that are not inside something.
fn choices<'t, 's>(tokens: &'t [&'s str]) -> Vec<&'t [&'s str]> {
    let (mut parts, mut start, mut at) = (Vec::new(), 0, 0);
    while let Some(&token) = tokens.get(at) {
        match token {
            "|" => {
                parts.push(&tokens[start..at]);
                start = at + 1;
            }
            "[" | "(" | "{" | "#{" => at = matching(tokens, at),
            _ => {}
        }
        at += 1;
    }
    parts.push(&tokens[start..]);
    parts
}
