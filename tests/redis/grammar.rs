//! The language in which the families describe their commands, one line a form of a command:
//!
//! - `$name` is a word that [`Words`] makes up;
//! - `[ … ]` is there or not, `( … | … )` is one of the alternatives;
//! - `<< … >>` are the things in it in any order;
//! - `{ … }` is repeated one to four times, `many{ … }` sometimes hundreds of times;
//! - `#{ … }` is a repetition with the count of times before it;
//! - everything else is itself. What does not begin with a digit or a small letter is an option, and counted.
//!
//! A line that begins with `@7.2` or the like is for servers of that version and later.

use super::support::Random;
use super::words::Words;
use std::collections::HashMap;

enum Node {
    Literal(&'static str),
    /// A literal that is counted: its number.
    Option(&'static str, usize),
    Word(&'static str),
    Maybe(Vec<Node>),
    Choice(Vec<Vec<Node>>),
    Shuffled(Vec<Node>),
    Repeated(Vec<Node>),
    Many(Vec<Node>),
    Counted(Vec<Node>),
}

/// One form of a command.
pub struct Line {
    /// The family that it is of.
    pub family: &'static str,
    /// The number under which its command's successes are counted.
    pub command: usize,
    /// All that may be counted when a command after this line succeeds.
    pub counts: Vec<usize>,
    nodes: Vec<Node>,
}

/// A command made up after a line.
#[derive(Clone)]
pub struct Made {
    /// Its words.
    pub args: Vec<Vec<u8>>,
    /// What succeeds if it does: numbers of its name and its options.
    pub counted: Vec<usize>,
}

/// All lines, and the names of what is counted.
#[derive(Default)]
pub struct Grammar {
    pub lines: Vec<Line>,
    /// Commands, and commands with an option.
    pub names: Vec<String>,
    numbers: HashMap<String, usize>,
}

/// Commands whose first argument belongs to the name.
const CONTAINERS: [&str; 5] = ["OBJECT", "XGROUP", "XINFO", "PFDEBUG", "COMMAND"];

impl Grammar {
    fn number(&mut self, name: String) -> usize {
        let next = self.names.len();
        *self.numbers.entry(name.clone()).or_insert_with(|| {
            self.names.push(name);
            next
        })
    }

    /// Adds a family's lines, leaving out those for versions after the oracle's.
    pub fn add(&mut self, family: &'static str, lines: &[&'static str], version: (u32, u32)) {
        for line in lines {
            let mut tokens = line.split_ascii_whitespace().peekable();
            if let Some(since) = tokens.next_if(|token| token.starts_with('@')) {
                let (major, minor) = since[1..].split_once('.').expect("a version");
                if (major.parse().unwrap(), minor.parse().unwrap()) > version {
                    continue;
                }
            }
            let name = *tokens.peek().expect("a command");
            let mut full_name = name.to_owned();
            if CONTAINERS.contains(&name) {
                let second = tokens.clone().nth(1).expect("a subcommand");
                full_name = format!("{name} {second}");
            }
            let command = self.number(full_name.clone());
            let mut nodes = Vec::new();
            for part in full_name.split(' ') {
                assert_eq!(tokens.next(), Some(part));
                let mut words = line.split_ascii_whitespace();
                nodes.push(Node::Literal(words.find(|word| *word == part).expect("it is there")));
            }
            let mut parser =
                Parser { grammar: self, name: &full_name, tokens, counts: vec![command] };
            let (rest, end) = parser.sequence();
            assert_eq!(end, None, "{line}");
            let counts = parser.counts;
            nodes.extend(rest);
            self.lines.push(Line { family, command, counts, nodes });
        }
    }

    /// Makes up a command after a line.
    pub fn make(&self, line: usize, words: &mut Words) -> Made {
        let line = &self.lines[line];
        let mut made = Made { args: Vec::new(), counted: vec![line.command] };
        line.nodes.iter().for_each(|node| node.make(words, &mut made));
        made.counted.sort_unstable();
        made.counted.dedup();
        made
    }
}

struct Parser<'a, I> {
    grammar: &'a mut Grammar,
    name: &'a str,
    tokens: I,
    counts: Vec<usize>,
}

impl<I: Iterator<Item = &'static str>> Parser<'_, I> {
    /// Nodes up to the end of the line or of what they are in, which is given too.
    fn sequence(&mut self) -> (Vec<Node>, Option<&'static str>) {
        let mut nodes = Vec::new();
        while let Some(token) = self.tokens.next() {
            let node = match token {
                "]" | ")" | "|" | "}" | ">>" => return (nodes, Some(token)),
                "[" => Node::Maybe(self.until("]")),
                "<<" => Node::Shuffled(self.until(">>")),
                "{" => Node::Repeated(self.until("}")),
                "many{" => Node::Many(self.until("}")),
                "#{" => Node::Counted(self.until("}")),
                "(" => {
                    let mut choices = Vec::new();
                    loop {
                        let (choice, end) = self.sequence();
                        choices.push(choice);
                        match end {
                            Some("|") => {}
                            Some(")") => break Node::Choice(choices),
                            _ => panic!("{}: '(' is not closed", self.name),
                        }
                    }
                }
                _ if token.len() > 1 && token.starts_with('$') => Node::Word(&token[1..]),
                _ if token.starts_with(|first: char| {
                    first.is_ascii_digit() || first.is_ascii_lowercase()
                }) =>
                {
                    Node::Literal(token)
                }
                _ => {
                    let number = self.grammar.number(format!("{} {token}", self.name));
                    self.counts.push(number);
                    Node::Option(token, number)
                }
            };
            nodes.push(node);
        }
        (nodes, None)
    }

    fn until(&mut self, expected: &str) -> Vec<Node> {
        let (nodes, end) = self.sequence();
        assert_eq!(end, Some(expected), "{}", self.name);
        nodes
    }
}

impl Node {
    fn make(&self, words: &mut Words, made: &mut Made) {
        let all = |nodes: &[Self], words: &mut Words, made: &mut Made| {
            nodes.iter().for_each(|node| node.make(words, made));
        };
        let random: &mut Random = &mut words.random;
        match self {
            Self::Literal(text) => made.args.push(text.as_bytes().to_vec()),
            Self::Option(text, number) => {
                let lower = random.below(20) == 0;
                let text = if lower { text.to_ascii_lowercase() } else { (*text).to_owned() };
                made.args.push(text.into_bytes());
                made.counted.push(*number);
            }
            Self::Word(name) => made.args.push(words.word(name)),
            Self::Maybe(nodes) => {
                if random.below(2) == 0 {
                    all(nodes, words, made);
                }
            }
            Self::Choice(choices) => {
                let choice = random.below(choices.len() as u64) as usize;
                all(&choices[choice], words, made);
            }
            Self::Shuffled(nodes) => {
                let mut order: Vec<usize> = (0..nodes.len()).collect();
                for at in (1..order.len()).rev() {
                    order.swap(at, random.below(at as u64 + 1) as usize);
                }
                order.into_iter().for_each(|at| nodes[at].make(words, made));
            }
            Self::Repeated(nodes) => {
                (0..1 + random.below(4)).for_each(|_| all(nodes, words, made));
            }
            Self::Many(nodes) => {
                let times = if random.below(20) == 0 { 700 } else { 10 };
                (0..1 + random.below(times)).for_each(|_| all(nodes, words, made));
            }
            Self::Counted(nodes) => {
                let times = 1 + random.below(4);
                made.args.push(times.to_string().into_bytes());
                (0..times).for_each(|_| all(nodes, words, made));
            }
        }
    }
}
