//! The notation in which a row of the table states its arguments, and its parser.
//!
//! ```text
//! syntax   = [ argument *( " " argument ) ]
//! argument = "[" item "]"                                          ; optional
//!          | item
//! item     = [ token [ "..." ] " " ] value [ "..." ] [ "@" version ]
//!          | [ name "=" ] token [ "..." ] [ "@" version ]          ; pure-token
//! value    = name [ ":" type ] [ "#" index ]
//!          | name "<" argument *( "|" argument ) ">"               ; oneof
//!          | name "(" syntax ")"                                   ; block
//! type     = "key" | "string" | "integer" | "double" | "pattern" | "unix-time"
//! token    = upper *( upper | digit | "-" ) | "'" *any "'"
//! name     = ( lower | digit ) *( lower | digit | "-" | "_" | "/" )
//! version  = 1*digit "." 1*digit "." 1*digit
//! ```
//!
//! - `...` after a value: it may be repeated. After the token before it: the token is repeated too.
//! - Without a type, an argument called like a type has that type; others are strings.
//! - `#` is the index of the key specification that finds the argument; 0 for keys without one.
//! - `@` is the Redis version that introduced the argument, if that is not the command's own.
//! - A pure token is called like its token in lower case unless a name is given. A token before a
//!   name belongs to the value of that name, so a pure token there states its own name.
//!
//! For example `key value [condition<NX|XX>@2.6.12] [GET@6.2.0] [expiration<EX
//! seconds:integer|KEEPTTL>]`.

use std::borrow::Cow;

/// One argument of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: Cow<'static, str>,
    /// What it is.
    pub kind: Kind,
    /// The word before it, or the whole of a pure token.
    pub token: Option<&'static str>,
    /// Which of the command's key specifications finds it.
    pub key_spec_index: Option<u16>,
    /// Whether it may be left out.
    pub is_optional: bool,
    /// Whether it may be repeated.
    pub is_multiple: bool,
    /// Whether its token is repeated with it.
    pub repeats_token: bool,
    /// The Redis version that introduced it, if newer than its command.
    pub since: Option<&'static str>,
}

/// The kind of an [`Argument`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Named as in `COMMAND DOCS`.
pub enum Kind {
    Key,
    String,
    Integer,
    Double,
    Pattern,
    UnixTime,
    PureToken,
    /// Exactly one of these.
    OneOf(Vec<Argument>),
    /// All of these in this order.
    Block(Vec<Argument>),
}

impl Kind {
    /// The name in `COMMAND DOCS`.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Key => "key",
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Double => "double",
            Kind::Pattern => "pattern",
            Kind::UnixTime => "unix-time",
            Kind::PureToken => "pure-token",
            Kind::OneOf(_) => "oneof",
            Kind::Block(_) => "block",
        }
    }

    /// The kind of a single value called `name` in `COMMAND DOCS`.
    fn of_value(name: &str) -> Option<Self> {
        let kinds =
            [Kind::Key, Kind::String, Kind::Integer, Kind::Double, Kind::Pattern, Kind::UnixTime];
        kinds.into_iter().find(|kind| kind.name() == name)
    }
}

impl Argument {
    /// The arguments that it is made of; none for a single value.
    pub fn parts(&self) -> &[Argument] {
        match &self.kind {
            Kind::OneOf(parts) | Kind::Block(parts) => parts,
            _ => &[],
        }
    }
}

/// Why a text is not in the notation. `at` is an offset in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// Something else was expected here.
    #[error("expected {what} at byte {at}")]
    Expected {
        /// What may follow.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// No type has this name.
    #[error("unknown type {name:?} before byte {at}")]
    UnknownType {
        /// The name.
        name: &'static str,
        /// Its end.
        at: usize,
    },
    /// A version is not three numbers.
    #[error("bad version {text:?} before byte {at}")]
    BadVersion {
        /// The text.
        text: &'static str,
        /// Its end.
        at: usize,
    },
}

/// A version's three numbers, if it has three.
pub fn version(text: &str) -> Option<[u16; 3]> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// The arguments that `text` states.
///
/// # Errors
/// If it is not in the notation.
pub fn parse(text: &'static str) -> Result<Vec<Argument>, SyntaxError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut parser = Parser { text, at: 0 };
    let arguments = parser.list(' ')?;
    match parser.rest() {
        "" => Ok(arguments),
        _ => Err(parser.expected("a space or the end")),
    }
}

struct Parser {
    text: &'static str,
    at: usize,
}

impl Parser {
    fn rest(&self) -> &'static str {
        &self.text[self.at..]
    }

    fn expected(&self, what: &'static str) -> SyntaxError {
        SyntaxError::Expected { what, at: self.at }
    }

    /// Passes over `word` if it is next.
    fn take(&mut self, word: &str) -> bool {
        let is_next = self.rest().starts_with(word);
        if is_next {
            self.at += word.len();
        }
        is_next
    }

    fn expect(&mut self, word: &'static str) -> Result<(), SyntaxError> {
        if self.take(word) { Ok(()) } else { Err(self.expected(word)) }
    }

    /// The characters that come next and are `allowed`; maybe none.
    fn run(&mut self, allowed: impl Fn(char) -> bool) -> &'static str {
        let rest = self.rest();
        let len = rest.find(|char| !allowed(char)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn name(&mut self) -> Option<&'static str> {
        let starts = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
        self.rest()
            .starts_with(starts)
            .then(|| self.run(|char| starts(char) || "-_/".contains(char)))
    }

    fn token(&mut self) -> Result<Option<&'static str>, SyntaxError> {
        if self.take("'") {
            let token = self.run(|char| char != '\'');
            self.expect("'")?;
            return Ok(Some(token));
        }
        let starts = |char: char| char.is_ascii_uppercase();
        let word = |char: char| starts(char) || char.is_ascii_digit() || char == '-';
        Ok(self.rest().starts_with(starts).then(|| self.run(word)))
    }

    /// Arguments with `separator` between them.
    fn list(&mut self, separator: char) -> Result<Vec<Argument>, SyntaxError> {
        let mut arguments = vec![self.argument()?];
        while self.take(separator.encode_utf8(&mut [0])) {
            arguments.push(self.argument()?);
        }
        Ok(arguments)
    }

    fn argument(&mut self) -> Result<Argument, SyntaxError> {
        if !self.take("[") {
            return self.item();
        }
        let argument = self.item()?;
        self.expect("]")?;
        Ok(Argument { is_optional: true, ..argument })
    }

    fn item(&mut self) -> Result<Argument, SyntaxError> {
        let mut argument = self.unmarked_item()?;
        if self.take("@") {
            let text = self.run(|char| char.is_ascii_digit() || char == '.');
            if version(text).is_none() {
                return Err(SyntaxError::BadVersion { text, at: self.at });
            }
            argument.since = Some(text);
        }
        Ok(argument)
    }

    /// An item up to its version.
    fn unmarked_item(&mut self) -> Result<Argument, SyntaxError> {
        let Some(token) = self.token()? else {
            let name = self.name().ok_or(self.expected("a name or a token"))?;
            if self.take("=") {
                let token = self.token()?.ok_or(self.expected("a token"))?;
                let is_multiple = self.take("...");
                return Ok(pure_token(name.into(), token, is_multiple));
            }
            return self.value(name);
        };
        let is_repeated = self.take("...");
        let after_token = self.at;
        if self.take(" ")
            && let Some(name) = self.name()
            && !self.rest().starts_with('=')
        {
            let mut argument = self.value(name)?;
            argument.token = Some(token);
            argument.is_multiple |= is_repeated;
            argument.repeats_token = is_repeated;
            return Ok(argument);
        }
        self.at = after_token;
        Ok(pure_token(token.to_ascii_lowercase().into(), token, is_repeated))
    }

    /// What follows the `name` of a value, up to `...`.
    fn value(&mut self, name: &'static str) -> Result<Argument, SyntaxError> {
        let mut key_spec_index = None;
        let kind = if self.take("<") {
            let parts = self.list('|')?;
            self.expect(">")?;
            Kind::OneOf(parts)
        } else if self.take("(") {
            let parts = self.list(' ')?;
            self.expect(")")?;
            Kind::Block(parts)
        } else {
            let kind = if self.take(":") {
                let name = self.run(|char| char.is_ascii_lowercase() || char == '-');
                Kind::of_value(name).ok_or(SyntaxError::UnknownType { name, at: self.at })?
            } else {
                Kind::of_value(name).unwrap_or(Kind::String)
            };
            if self.take("#") {
                let index = self.run(|char| char.is_ascii_digit()).parse();
                key_spec_index = Some(index.map_err(|_| self.expected("an index"))?);
            } else if kind == Kind::Key {
                key_spec_index = Some(0);
            }
            kind
        };
        let is_multiple = self.take("...");
        let (name, repeats_token) = (name.into(), false);
        let (token, since, is_optional) = (None, None, false);
        Ok(Argument {
            name,
            kind,
            token,
            key_spec_index,
            is_optional,
            is_multiple,
            repeats_token,
            since,
        })
    }
}

fn pure_token(name: Cow<'static, str>, token: &'static str, is_multiple: bool) -> Argument {
    Argument {
        name,
        kind: Kind::PureToken,
        token: Some(token),
        key_spec_index: None,
        is_optional: false,
        is_multiple,
        repeats_token: false,
        since: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{Arity, Handler, Spec};

    fn parse_one(text: &'static str) -> Argument {
        let mut arguments = parse(text).expect("the notation");
        assert_eq!(arguments.len(), 1, "{text}");
        arguments.remove(0)
    }

    #[test]
    fn values_have_types_tokens_and_marks() {
        let plain = parse_one("field");
        assert_eq!((plain.kind, plain.token, plain.key_spec_index), (Kind::String, None, None));
        let key = parse_one("key");
        assert_eq!((key.kind, key.key_spec_index), (Kind::Key, Some(0)));
        let pattern = parse_one("[GET... pattern#1@7.0.0]");
        assert_eq!((pattern.kind, pattern.token), (Kind::Pattern, Some("GET")));
        assert_eq!((pattern.key_spec_index, pattern.since), (Some(1), Some("7.0.0")));
        assert!(pattern.is_optional && pattern.is_multiple && pattern.repeats_token);
        let time = parse_one("EXAT unix-time-seconds:unix-time...");
        assert_eq!((time.name.as_ref(), time.kind), ("unix-time-seconds", Kind::UnixTime));
        assert!(time.is_multiple && !time.repeats_token && !time.is_optional);
    }

    #[test]
    fn pure_tokens_are_told_from_tokens_of_values() {
        let parsed = parse("NO ONE change=CH '*' id KEEP other=O 'x' [y]").expect("the notation");
        let shown: Vec<_> = parsed.iter().map(|it| (it.name.as_ref(), it.token)).collect();
        let expected = [
            ("no", Some("NO")),
            ("one", Some("ONE")),
            ("change", Some("CH")),
            ("id", Some("*")),
            ("keep", Some("KEEP")),
            ("other", Some("O")),
            ("x", Some("x")),
            ("y", None),
        ];
        assert_eq!(shown, expected);
        let pure: Vec<_> = parsed.iter().map(|it| it.kind == Kind::PureToken).collect();
        assert_eq!(pure, [true, true, true, false, true, true, true, false]);
    }

    #[test]
    fn groups_nest() {
        let by = parse_one("[BY by<circle(RADIUS radius:double unit<M|KM>)|ALL>...]");
        assert_eq!((by.name.as_ref(), by.token), ("by", Some("BY")));
        assert!(by.is_optional && by.is_multiple && !by.repeats_token);
        let [circle, everything] = by.parts() else { panic!("two parts: {by:?}") };
        assert_eq!(everything.kind, Kind::PureToken);
        let [radius, unit] = circle.parts() else { panic!("two parts: {circle:?}") };
        assert_eq!((circle.kind.name(), unit.kind.name()), ("block", "oneof"));
        assert_eq!((radius.token, radius.name.as_ref()), (Some("RADIUS"), "radius"));
        assert_eq!(
            unit.parts().iter().map(|it| it.token).collect::<Vec<_>>(),
            [Some("M"), Some("KM")]
        );
    }

    #[test]
    fn texts_that_are_not_in_the_notation_are_refused() {
        let at = |text| match parse(text) {
            Err(SyntaxError::Expected { at, .. }) => at,
            other => panic!("{text:?}: {other:?}"),
        };
        for (text, offset) in [
            (" ", 0),
            ("a ", 2),
            ("a  b", 2),
            ("[a", 2),
            ("a]", 1),
            ("a<b", 3),
            ("a<>", 2),
            ("a(b|c)", 3),
            ("a=b", 2),
            ("'x", 2),
            ("a#", 2),
            ("a#70000", 7),
            ("é", 0),
        ] {
            assert_eq!(at(text), offset, "{text:?}");
        }
        assert_eq!(parse("a:b c"), Err(SyntaxError::UnknownType { name: "b", at: 3 }));
        assert_eq!(parse("a@7.0"), Err(SyntaxError::BadVersion { text: "7.0", at: 5 }));
    }

    /// The fewest words of a request that an argument stands for, and whether there may be more.
    fn words(argument: &Argument) -> (usize, bool) {
        let token = usize::from(argument.token.is_some_and(|token| !token.is_empty()));
        let parts = argument.parts().iter().map(words);
        let (least, varies) = match &argument.kind {
            Kind::PureToken => (0, false),
            Kind::OneOf(_) => {
                let counts: Vec<_> = parts.collect();
                let least = counts.iter().map(|(least, _)| *least).min().unwrap_or(0);
                (least, counts.iter().any(|&(count, varies)| varies || count != least))
            }
            Kind::Block(_) => parts.fold((0, false), |sum, it| (sum.0 + it.0, sum.1 || it.1)),
            _ => (1, false),
        };
        match argument.is_optional {
            true => (0, true),
            false => (token + least, varies || argument.is_multiple),
        }
    }

    /// Commands whose arity, as in Redis, allows fewer or more words than their syntax.
    const OTHER_ARITY: [&str; 10] = [
        // Its filters are optional one by one, but one is needed.
        "client|kill",
        // Arguments that are documented nowhere: a subcommand's, a request's, ignored ones.
        "command",
        "command|getkeys",
        "command|getkeysandflags",
        "debug",
        "quit",
        // Without members they reply with an empty array.
        "geohash",
        "geopos",
        // One of the ways to authenticate is optional, but not the choice of one.
        "migrate",
        // Without sources it makes an empty HyperLogLog.
        "pfmerge",
    ];

    #[test]
    fn every_row_is_in_the_notation_and_agrees_with_its_arity() {
        let rows: Vec<&Spec> = super::super::DATA
            .all()
            .flat_map(|spec| std::iter::once(spec).chain(spec.subcommands))
            .collect();
        let mut wrong = Vec::new();
        for spec in rows {
            let arguments =
                parse(spec.syntax).unwrap_or_else(|error| panic!("{}: {error}", spec.full_name));
            let counts = arguments.iter().map(words);
            let (least, varies) = counts.fold((0, false), |sum, it| (sum.0 + it.0, sum.1 || it.1));
            let least = (least + spec.full_name.split('|').count()) as u16;
            let arity = if varies { Arity::AtLeast(least) } else { Arity::Exactly(least) };
            let is_command = !matches!(spec.handler, Handler::Container);
            if is_command && (arity != spec.arity) != OTHER_ARITY.contains(&spec.full_name) {
                wrong.push((spec.full_name, arity, spec.arity));
            }
            for (version, text) in spec.changes {
                assert!(self::version(version).is_some(), "{}: {version}", spec.full_name);
                assert!(text.ends_with('.'), "{}: {text}", spec.full_name);
            }
            let keys = spec.key_specs.len();
            let finds = |it: &Argument| it.key_spec_index.is_none_or(|at| usize::from(at) < keys);
            assert!(arguments.iter().all(|it| all(it, &finds)), "{}: no such key", spec.full_name);
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// Whether `holds` for an argument and all its parts.
    fn all(argument: &Argument, holds: &impl Fn(&Argument) -> bool) -> bool {
        holds(argument) && argument.parts().iter().all(|part| all(part, holds))
    }
}
