//! The words that commands are made of. There are few keys, members and ids, so that commands meet each
//! other's values.

use super::support::{Random, noise};

/// Makes up words.
pub struct Words {
    pub random: Random,
    /// The greatest time of an id so far.
    ids: u64,
    /// Payloads of `DUMP`, of both servers.
    payloads: Vec<Vec<u8>>,
}

/// Words that belong nowhere, or only to the edges of what is allowed. No number is among them that is
/// allowed somewhere and would take gigabytes there.
pub const HOSTILE: &[&[u8]] = &[
    b"",
    b"0",
    b"1",
    b"-1",
    b"-2",
    b"2",
    b"3",
    b"17",
    b"-0",
    b"+1",
    b"01",
    b" 1",
    b"1 ",
    b"1.5",
    b"-1.5",
    b"0x10",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"9223372036854775806",
    b"18446744073709551615",
    b"18446744073709551616",
    b"99999999999999999999999999999999",
    b"4294967296",
    b"-4294967296",
    b"nan",
    b"-nan",
    b"NaN",
    b"inf",
    b"-inf",
    b"+inf",
    b"INFINITY",
    b"1e400",
    b"-1e400",
    b"1e-400",
    b"1e17",
    b"3.0e3",
    b"(1",
    b"[a",
    b"(",
    b"[",
    b"(inf",
    b"-",
    b"+",
    b"$",
    b"*",
    b">",
    b"=",
    b"~",
    b"#",
    b"#0",
    b"\0",
    b"\xff\xfe",
    b"\r\n",
    b"x",
    b"0-0",
    b"0-1",
    b"1-1",
    b"1-",
    b"-1-1",
    b"1-1-1",
    b"1-*",
    b"18446744073709551615-18446744073709551615",
    b"18446744073709551615-0",
    b"(5-1",
    b"NX",
    b"XX",
    b"GT",
    b"COUNT",
    b"LIMIT",
    b"GET",
    b"STORE",
    b"FIELDS",
    b"KEYS",
    b"WITHSCORES",
    b"MATCH",
    b"BLOCK",
    b"s1",
    b"l1",
    b"e1",
    b"h1",
    b"z1",
    b"x1",
    b"nokey",
    b"a text of more than sixty-four bytes, which no listpack takes by default, it must be long",
];

impl Words {
    /// Words that a seed determines.
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed), ids: 0, payloads: Vec::new() }
    }

    /// Keeps what `DUMP` replied, for `RESTORE`.
    pub fn add_payload(&mut self, payload: &[u8]) {
        const KEPT: usize = 64;
        if self.payloads.len() == KEPT {
            let at = self.random.below(KEPT as u64) as usize;
            self.payloads.swap_remove(at);
        }
        self.payloads.push(payload.to_vec());
    }

    fn number(&mut self, end: u64) -> Vec<u8> {
        self.random.below(end).to_string().into_bytes()
    }

    fn between(&mut self, from: i64, to: i64) -> Vec<u8> {
        (from + self.random.below((to - from + 1) as u64) as i64).to_string().into_bytes()
    }

    fn one(&mut self, of: &[&str]) -> Vec<u8> {
        self.random.pick(of).as_bytes().to_vec()
    }

    /// One of the keys that usually have a type; sometimes another.
    fn key(&mut self, of: &[&str]) -> Vec<u8> {
        if self.random.below(40) == 0 { self.word("any") } else { self.one(of) }
    }

    /// A word that belongs nowhere.
    pub fn hostile(&mut self) -> Vec<u8> {
        HOSTILE[self.random.below(HOSTILE.len() as u64) as usize].to_vec()
    }

    /// A word of this kind.
    pub fn word(&mut self, kind: &str) -> Vec<u8> {
        match kind {
            "any" => self.one(&[
                "s1", "s2", "s3", "l1", "l2", "l3", "e1", "e2", "e3", "h1", "h2", "z1", "z2", "z3",
                "g1", "x1", "x2", "nokey",
            ]),
            "string" => self.key(&["s1", "s2", "s3"]),
            "list" => self.key(&["l1", "l2", "l3", "i1"]),
            // These are the ones that LSET and LINSERT edit.
            "edited" => self.one(&["i1", "i2"]),
            // Lists, sets or sorted sets, which nothing but SORT reads.
            "sortable" => self.one(&["w1", "w2", "w3"]),
            "set" => self.key(&["e1", "e2", "e3"]),
            "hash" => self.key(&["h1", "h2"]),
            "zset" => self.key(&["z1", "z2", "z3"]),
            // All members have the same score here: the order of ranges by members is undefined otherwise.
            "lex" => self.one(&["y1", "y2"]),
            // Sorted sets may be made of sets, too.
            "setlike" => self.key(&["z1", "z2", "z3", "e1"]),
            "geo" => self.key(&["g1", "g2"]),
            "stream" => self.key(&["x1", "x2"]),
            "bits" => self.one(&["b1", "b2", "b3"]),
            "hll" => self.one(&["p1", "p2", "p3"]),
            "value" => match self.random.below(8) {
                0 => self.word("int"),
                1 => {
                    self.one(&["", "text", "007", "1.5", "-0", " 1", "\r\n", "3.0e3", "inf", "+1"])
                }
                2 => noise(self.random.below(60) as usize, self.random.next()),
                3 => vec![b'x'; 40 + self.random.below(30) as usize],
                4 => self.word("float"),
                _ => self.number(100),
            },
            "member" | "field" => match self.random.below(16) {
                0 => self.number(1000),
                1 => self.one(&[
                    "",
                    "a longer name of a member",
                    "007",
                    "-7",
                    "70000",
                    "5000000000",
                    "\u{fffd}",
                ]),
                2 => noise(1 + self.random.below(3) as usize, self.random.below(30)),
                3 if self.random.below(4) == 0 => vec![b'm'; 60 + self.random.below(10) as usize],
                4..=8 => self.number(16),
                _ => self.one(&["a", "b", "c", "d", "e", "f", "aa", "ab", "b1", "Z"]),
            },
            "number" => self.number(1000),
            "int" => match self.random.below(8) {
                0 => self.one(&[
                    "9223372036854775807",
                    "-9223372036854775808",
                    "0",
                    "-1",
                    "1",
                    "127",
                    "128",
                    "-128",
                    "32767",
                    "-32769",
                    "4095",
                    "-4097",
                    "8388607",
                    "2147483648",
                    "9223372036854775800",
                ]),
                1 => self.between(-100_000, -1),
                2 => self.number(1 << 40),
                _ => self.between(-20, 200),
            },
            "float" => match self.random.below(4) {
                0 => self.one(&[
                    "1.5",
                    "-0.1",
                    "1e3",
                    "0",
                    "3.0",
                    "1e17",
                    "-1e-5",
                    "123456789.123456789",
                    "5e-324",
                    "0.1",
                    "17179869184.5",
                ]),
                1 => self.between(-50, 50),
                _ => format!("{}.{}", self.random.below(200) as i64 - 100, self.random.below(1000))
                    .into_bytes(),
            },
            "oddfloat" => self.one(&["nan", "inf", "-inf", "1e400", "x", "", "1e308", "-1e308"]),
            "score" => match self.random.below(16) {
                0 => self.one(&[
                    "inf",
                    "-inf",
                    "+inf",
                    "1e17",
                    "-0",
                    "1e-7",
                    "1.7976931348623157e308",
                ]),
                1..=3 => self.word("float"),
                _ => self.between(-5, 30),
            },
            "scorebound" => match self.random.below(8) {
                0 => self.one(&["inf", "-inf", "+inf", "(inf", "(-inf", "(1.5"]),
                1..=2 => [b"(".to_vec(), self.between(-5, 30)].concat(),
                _ => self.between(-5, 30),
            },
            "lexbound" => match self.random.below(6) {
                0 => b"-".to_vec(),
                1 => b"+".to_vec(),
                _ => [self.one(&["(", "["]), self.word("member")].concat(),
            },
            "index" => match self.random.below(12) {
                0 => self.between(-1000, 1000),
                _ => self.between(-12, 20),
            },
            "count" => match self.random.below(12) {
                0 => self.one(&["0", "1000", "4294967296"]),
                _ => self.between(1, 8),
            },
            "sample" => match self.random.below(12) {
                0 => self.one(&["0", "1000", "-300", "4294967296"]),
                _ => self.between(-8, 12),
            },
            // Times that are far away, so that it does not matter when exactly a command ran, and so many
            // that two of them are not near each other.
            "ttl" => (100_000 + self.random.below(10_000_000_000)).to_string().into_bytes(),
            "ttlms" => {
                (100_000_000 + self.random.below(10_000_000_000_000)).to_string().into_bytes()
            }
            "at" => match self.random.below(8) {
                0 => self.one(&["1000000000", "0", "1"]),
                _ => (4_000_000_000 + self.random.below(1000) * 100).to_string().into_bytes(),
            },
            "atms" => match self.random.below(8) {
                0 => self.one(&["1000000000000", "0", "1"]),
                _ => (4_000_000_000_000 + self.random.below(1_000_000) * 100)
                    .to_string()
                    .into_bytes(),
            },
            "oddttl" => self.one(&[
                "0",
                "-1",
                "-5",
                "x",
                "9223372036854775807",
                "9223372036854775",
                "-9223372036854775808",
                "1.5",
            ]),
            "db" => match self.random.below(30) {
                0 => self.one(&["16", "-1", "x", "15"]),
                _ => self.number(3),
            },
            "pattern" => self.one(&[
                "*", "[ab]*", "[^a]*", "?", "??", "x*", "\\a", "[a-c]*", "[", "*1", "s[1-2]", "",
                "h?", "[^", "a\\", "**b*",
            ]),
            "bit" => match self.random.below(12) {
                0 => self.one(&["-1", "x", "4294967296", "4294967295000"]),
                1 => self.number(20_000),
                _ => self.number(300),
            },
            "fieldtype" => match self.random.below(20) {
                0 => self.one(&["u64", "i65", "u0", "i0", "x", "u", "8"]),
                _ => [self.one(&["u", "i"]), (1 + self.number_below(63)).to_string().into_bytes()]
                    .concat(),
            },
            "fieldoffset" => match self.random.below(20) {
                0 => self.one(&["-1", "#-1", "x", "#x", "#4294967296", "4294967296", "#"]),
                1..=8 => [b"#".to_vec(), self.number(10)].concat(),
                _ => self.number(200),
            },
            "offset" => match self.random.below(30) {
                0 => self.one(&["-1", "x", "4294967296", "9223372036854775807"]),
                _ => self.number(90),
            },
            "longitude" => self.coordinate(180),
            "latitude" => self.coordinate(90),
            "radius" => match self.random.below(10) {
                0 => self.one(&["0", "-1", "x", "nan", "1e400"]),
                _ => self.one(&["100", "500.5", "2000", "10000", "1", "300000"]),
            },
            "unit" => match self.random.below(30) {
                0 => b"yd".to_vec(),
                _ => self.one(&["m", "km", "ft", "mi", "KM"]),
            },
            "id" => match self.random.below(30) {
                0 => self.one(&[
                    "0-0",
                    "0-1",
                    "18446744073709551615-18446744073709551615",
                    "5-*",
                    "x",
                    "1-x",
                    "-",
                    "6-18446744073709551615",
                ]),
                1..=6 => self.number(60),
                _ => format!("{}-{}", self.random.below(60), self.random.below(5)).into_bytes(),
            },
            // Ids that grow, so that most are greater than what a stream has.
            "nextid" => match self.random.below(12) {
                0 => self.word("id"),
                1 => [self.growing(), b"-*".to_vec()].concat(),
                2 => self.growing(),
                _ => [self.growing(), b"-".to_vec(), self.number(5)].concat(),
            },
            "idbound" => match self.random.below(6) {
                0 => b"-".to_vec(),
                1 => b"+".to_vec(),
                2 => [b"(".to_vec(), self.word("oldid")].concat(),
                _ => self.word("oldid"),
            },
            "oldid" => match self.random.below(3) {
                0 => self.word("id"),
                _ => self.past(),
            },
            "group" => match self.random.below(40) {
                0 => self.one(&["nogroup", "", "$"]),
                _ => self.one(&["g", "q"]),
            },
            "consumer" => self.one(&["alice", "bob", "carol", "dave"]),
            "idle" => self.one(&["0", "0", "0", "1000000000", "-1", "3600000000000000"]),
            // All of these soon are over.
            "payload" => match self.random.below(30) {
                0 => self.hostile(),
                _ if self.payloads.is_empty() => Vec::new(),
                choice => {
                    let at = self.random.below(self.payloads.len() as u64) as usize;
                    let mut payload = self.payloads[at].clone();
                    if choice == 1 {
                        let at = self.random.below(payload.len() as u64) as usize;
                        payload[at] ^= 1 << self.random.below(8);
                    }
                    payload
                }
            },
            "by" => self.one(&["s*", "h1->*", "h2->a", "nosort", "h*->b", "none*", "s*->"]),
            "get" => self.one(&["#", "s*", "h1->*", "h*->b", "none*", "h2->a"]),
            "timeout" => match self.random.below(30) {
                0 => self.one(&["-1", "x", "nan", "inf", "1e400", "", "9223372036854775807"]),
                _ => self.one(&["0.001", "0.0001", "1e-3"]),
            },
            "blockms" => match self.random.below(30) {
                0 => self.one(&["-1", "x", "1.5", "9223372036854775808"]),
                _ => b"1".to_vec(),
            },
            _ => panic!("no such kind of word: {kind}"),
        }
    }

    fn number_below(&mut self, end: u64) -> u64 {
        self.random.below(end)
    }

    fn coordinate(&mut self, end: u64) -> Vec<u8> {
        match self.random.below(30) {
            0 => self.one(&["x", "nan", "inf", "181", "-86", "1e400", "90", "-180", "85.05112878"]),
            _ => {
                let whole = self.random.below(end / 2) as i64 - (end / 4) as i64;
                format!("{whole}.{}", self.random.below(100_000)).into_bytes()
            }
        }
    }

    /// A time of an id that grows with the numbers that were taken.
    fn growing(&mut self) -> Vec<u8> {
        self.ids += 1 + self.random.below(3);
        self.ids.to_string().into_bytes()
    }

    /// An id that may have been given lately.
    fn past(&mut self) -> Vec<u8> {
        let time = self.ids.saturating_sub(self.random.below(60));
        match self.random.below(4) {
            0 => time.to_string().into_bytes(),
            _ => format!("{time}-{}", self.random.below(5)).into_bytes(),
        }
    }
}
