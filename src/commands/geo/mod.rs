//! Positions on the earth: sorted sets whose scores are positions.

mod search;
#[cfg(test)]
pub(super) mod tests;

use super::spec::{Begin, Categories, Find, Flags, KeyFlags, KeySpec, Spec};
use super::{CommandError, CommandResult, Context, sorted_sets};
use crate::data::SortedSet;
use crate::data::geohash::Position;
use crate::resp::{Args, OwnedArgs, Reply, parse_double};

const READ: Flags = Flags::READONLY;
const GROW: Flags = Flags::WRITE.with(Flags::DENYOOM);

const READ_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RO_ACCESS)];
const SEARCH_COST: &str =
    "O(N+log(M)) in the elements of the cells around the area, and all elements";

/// This family's part of the table.
pub static COMMANDS: [Spec; 10] = [
    row("geoadd", -5, geoadd, GROW, &[KeySpec::at(1, KeyFlags::RW_UPDATE)])
        .syntax(
            "key [condition<NX|XX>@6.2.0] [change=CH@6.2.0] \
             longitude_latitude_member(longitude:double latitude:double member)...",
        )
        .doc(
            "geo",
            "3.2.0",
            "O(log(N)) for each member, in the elements",
            "Adds members with positions, or changes their positions.",
        ),
    row("geodist", -4, geodist, READ, READ_KEY)
        .syntax("key member1 member2 [unit<M|KM|FT|MI>]")
        .doc("geo", "3.2.0", "O(1)", "The distance between two members."),
    row("geohash", -2, geohash, READ, READ_KEY).syntax("key member...").doc(
        "geo",
        "3.2.0",
        "O(1) for each member",
        "The geohashes of members.",
    ),
    row("geopos", -2, geopos, READ, READ_KEY).syntax("key member...").doc(
        "geo",
        "3.2.0",
        "O(1) for each member",
        "The positions of members.",
    ),
    row("georadius", -6, search::georadius, GROW, RADIUS_KEYS)
        .syntax(
            "key longitude:double latitude:double radius:double unit<M|KM|FT|MI> [WITHCOORD] \
             [WITHDIST] [WITHHASH] [count(COUNT count:integer [ANY@6.2.0])] [order<ASC|DESC>] \
             [STORE key#1] [STOREDIST key#2]",
        )
        .changes(&[("7.0.0", "Units may be in upper case.")])
        .doc("geo", "3.2.0", SEARCH_COST, "The members near a position, to return or to store.")
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"),
    row("georadius_ro", -6, search::georadius_ro, READ, READ_KEY)
        .syntax(
            "key longitude:double latitude:double radius:double unit<M|KM|FT|MI> [WITHCOORD] \
             [WITHDIST] [WITHHASH] [count(COUNT count:integer [ANY@6.2.0])] [order<ASC|DESC>]",
        )
        .doc("geo", "3.2.10", SEARCH_COST, "The members near a position.")
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument"),
    row("georadiusbymember", -5, search::georadiusbymember, GROW, RADIUS_BY_MEMBER_KEYS)
        .syntax(
            "key member radius:double unit<M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [count(COUNT count:integer [ANY@6.2.0])] [order<ASC|DESC>] [STORE key#1] \
             [STOREDIST key#2]",
        )
        .changes(&[("7.0.0", "Units may be in upper case.")])
        .doc("geo", "3.2.0", SEARCH_COST, "The members near another one, to return or to store.")
        .deprecated(
            "6.2.0",
            "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
        ),
    row("georadiusbymember_ro", -5, search::georadiusbymember_ro, READ, READ_KEY)
        .syntax(
            "key member radius:double unit<M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [count(COUNT count:integer [ANY@6.2.0])] [order<ASC|DESC>]",
        )
        .doc("geo", "3.2.10", SEARCH_COST, "The members near another one.")
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments"),
    row("geosearch", -7, search::geosearch, READ, READ_KEY)
        .syntax(
            "key from<FROMMEMBER member|FROMLONLAT longitude_latitude(longitude:double \
             latitude:double)> by<circle(BYRADIUS radius:double unit<M|KM|FT|MI>)|box(BYBOX \
             width:double height:double unit<M|KM|FT|MI>)> [order<ASC|DESC>] [count(COUNT \
             count:integer [ANY])] [WITHCOORD] [WITHDIST] [WITHHASH]",
        )
        .changes(&[("7.0.0", "Units may be in upper case.")])
        .doc("geo", "6.2.0", SEARCH_COST, "The members in a circle or a box."),
    row(
        "geosearchstore",
        -8,
        search::geosearchstore,
        GROW,
        &[KeySpec::at(1, KeyFlags::OW_UPDATE), KeySpec::at(2, KeyFlags::RO_ACCESS)],
    )
    .syntax(
        "destination:key source:key#1 from<FROMMEMBER member|FROMLONLAT \
         longitude_latitude(longitude:double latitude:double)> by<circle(BYRADIUS \
         radius:double unit<M|KM|FT|MI>)|box(BYBOX width:double height:double \
         unit<M|KM|FT|MI>)> [order<ASC|DESC>] [count(COUNT count:integer [ANY])] \
         [STOREDIST]",
    )
    .changes(&[("7.0.0", "Units may be in upper case.")])
    .doc("geo", "6.2.0", SEARCH_COST, "Stores the members in a circle or a box."),
];

const RADIUS_KEYS: &[KeySpec] =
    &[KeySpec::at(1, KeyFlags::RO_ACCESS), after("STORE", 6), after("STOREDIST", 6)];
const RADIUS_BY_MEMBER_KEYS: &[KeySpec] =
    &[KeySpec::at(1, KeyFlags::RO_ACCESS), after("STORE", 5), after("STOREDIST", 5)];

/// The key behind a keyword.
const fn after(keyword: &'static str, from: i16) -> KeySpec {
    KeySpec {
        begin: Begin::Keyword { keyword, from },
        find: Find::Range { last: 0, step: 1, limit: 0 },
        flags: KeyFlags::OW_UPDATE,
    }
}

const fn row(
    name: &'static str,
    arity: i16,
    run: fn(&mut Context<'_>, Args<'_>) -> CommandResult,
    flags: Flags,
    keys: &'static [KeySpec],
) -> Spec {
    Spec::data(name, arity, run).flags(flags, Categories::GEO).keys(keys)
}

/// Longitude and latitude, in this order, at the start of some arguments.
fn position(args: Args<'_>) -> Result<Position, CommandError> {
    let coordinate = |at: usize| parse_double(&args[at]).ok_or(CommandError::NOT_FLOAT);
    let position = Position { longitude: coordinate(0)?, latitude: coordinate(1)? };
    if position.is_valid() {
        return Ok(position);
    }
    let Position { longitude, latitude } = position;
    Err(CommandError::new(format!(
        "ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
    )))
}

/// How many meters a unit has.
fn unit_m(arg: &[u8]) -> Result<f64, CommandError> {
    const UNSUPPORTED: CommandError =
        CommandError::fixed("ERR unsupported unit provided. please use M, KM, FT, MI");
    const UNITS: [(&[u8], f64); 4] =
        [(b"m", 1.0), (b"km", 1000.0), (b"ft", 0.3048), (b"mi", 1609.34)];
    let unit = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(arg));
    unit.map(|&(_, meters)| meters).ok_or(UNSUPPORTED)
}

/// Replies with a distance: a string with four decimals, in RESP3 as well.
fn reply_distance(reply: &mut Reply<'_>, distance: f64) {
    let scaled = (distance * 10_000.0).round_ties_even() as i64;
    reply.bulk(format!("{}.{:04}", scaled / 10_000, scaled % 10_000).as_bytes());
}

/// Replies with longitude and latitude: up to 17 decimals.
fn reply_position(reply: &mut Reply<'_>, position: Position) {
    reply.array(2);
    for coordinate in [position.longitude, position.latitude] {
        let text = format!("{coordinate:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        reply.double_text(if text == "-0" { b"0" } else { text.as_bytes() });
    }
}

/// `GEOADD key [NX|XX] [CH] longitude latitude member [longitude latitude member …]`
///
/// It is a `ZADD` with scores made of positions.
fn geoadd(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let is_option =
        |arg: &&[u8]| [&b"NX"[..], b"XX", b"CH"].iter().any(|name| arg.eq_ignore_ascii_case(name));
    let options = args.from(2).iter().take_while(is_option).count();
    let has = |name: &[u8]| {
        args.from(2).iter().take(options).any(|option| option.eq_ignore_ascii_case(name))
    };
    let members = args.from(2 + options);
    if !members.len().is_multiple_of(3) || has(b"NX") && has(b"XX") {
        return Err(CommandError::SYNTAX);
    }
    let mut scores = Vec::with_capacity(members.len() / 3);
    for at in (0..members.len()).step_by(3) {
        let mut digits = itoa::Buffer::new();
        scores.push(digits.format(position(members.from(at))?.to_bits()).to_owned());
    }
    let mut zadd: Vec<&[u8]> = vec![b"ZADD"];
    zadd.extend(args.iter().take(2 + options).skip(1));
    for (at, score) in scores.iter().enumerate() {
        zadd.extend([score.as_bytes(), members.at(at * 3 + 2)]);
    }
    sorted_sets::zadd(ctx, OwnedArgs::from_slices(&zadd).as_args())
}

/// `GEODIST key member1 member2 [M|KM|FT|MI]`
fn geodist(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let unit = match args.get(4) {
        _ if args.len() > 5 => return Err(CommandError::SYNTAX),
        Some(unit) => unit_m(unit)?,
        None => 1.0,
    };
    let key = ctx.store.key(&args[1]);
    let set = ctx.store.read_as::<SortedSet>(&key)?;
    let place = |member| set.and_then(|set| set.score(member)).map(Position::of_score);
    match place(&args[2]).zip(place(&args[3])) {
        Some((a, b)) => reply_distance(&mut ctx.reply, a.distance_m(b) / unit),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// `GEOHASH key [member …]`
fn geohash(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let set = ctx.store.read_as::<SortedSet>(&key)?;
    ctx.reply.array(args.len() - 2);
    for member in args.from(2).iter() {
        match set.and_then(|set| set.score(member)) {
            Some(score) => ctx.reply.bulk(&Position::of_score(score).geohash()),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

/// `GEOPOS key [member …]`
fn geopos(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let set = ctx.store.read_as::<SortedSet>(&key)?;
    ctx.reply.array(args.len() - 2);
    for member in args.from(2).iter() {
        match set.and_then(|set| set.score(member)) {
            Some(score) => reply_position(&mut ctx.reply, Position::of_score(score)),
            None => ctx.reply.null_array(),
        }
    }
    Ok(())
}
