//! Searching an area.

use super::{position, reply_distance, reply_position, unit_m};
use crate::commands::numbers::integer;
use crate::commands::sorted_sets::store;
use crate::commands::{CommandError, CommandResult, Context, Key};
use crate::data::SortedSet;
use crate::data::geohash::{Position, Search, Shape};
use crate::data::partial_sort::partial_sort;
use crate::data::sorted_set::{Builder, ScoreRange};
use crate::resp::{Args, DoubleText, parse_double};

const NO_POSITION: CommandError = CommandError::fixed("ERR could not decode requested zset member");

/// Which command it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `GEORADIUS`, which may store, or `GEORADIUS_RO`.
    Radius { may_store: bool },
    /// `GEORADIUSBYMEMBER`, which may store, or `GEORADIUSBYMEMBER_RO`.
    RadiusByMember { may_store: bool },
    /// `GEOSEARCH`.
    Search,
    /// `GEOSEARCHSTORE`.
    SearchStore,
}

impl Form {
    fn is_search(self) -> bool {
        matches!(self, Form::Search | Form::SearchStore)
    }

    /// Whether the options tell where to store.
    fn may_store(self) -> bool {
        matches!(self, Form::Radius { may_store: true } | Form::RadiusByMember { may_store: true })
    }
}

/// What to do with what is found.
#[derive(Default)]
struct Options<'a> {
    with_distance: bool,
    with_hash: bool,
    with_position: bool,
    order: Option<Order>,
    /// How many members at most; 0 means all.
    count: usize,
    /// Whether any `count` members will do, and not only the nearest.
    any: bool,
    store: Option<&'a [u8]>,
    /// Whether distances become the scores of what is stored.
    store_distance: bool,
    /// `FROMMEMBER` or `FROMLONLAT` was given. Of a member of no sorted set there is no position.
    center: Option<Center>,
    shape: Option<(Shape, f64)>,
}

#[derive(Clone, Copy)]
enum Order {
    Nearest,
    Farthest,
}

/// Where a search begins.
#[derive(Clone, Copy)]
enum Center {
    Member(Option<Position>),
    Given(Position),
}

/// A member that was found.
struct Found {
    member: Vec<u8>,
    position: Position,
    score: f64,
    distance_m: f64,
}

/// `GEORADIUS key longitude latitude radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH]
/// [COUNT count [ANY]] [ASC|DESC] [STORE key|STOREDIST key]`
pub(super) fn georadius(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    search(ctx, args, Form::Radius { may_store: true })
}

/// `GEORADIUS_RO`: the same without `STORE` and `STOREDIST`.
pub(super) fn georadius_ro(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    search(ctx, args, Form::Radius { may_store: false })
}

/// `GEORADIUSBYMEMBER key member radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH]
/// [COUNT count [ANY]] [ASC|DESC] [STORE key|STOREDIST key]`
pub(super) fn georadiusbymember(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    search(ctx, args, Form::RadiusByMember { may_store: true })
}

/// `GEORADIUSBYMEMBER_RO`: the same without `STORE` and `STOREDIST`.
pub(super) fn georadiusbymember_ro(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    search(ctx, args, Form::RadiusByMember { may_store: false })
}

/// `GEOSEARCH key FROMMEMBER member|FROMLONLAT longitude latitude
/// BYRADIUS radius M|KM|FT|MI|BYBOX width height M|KM|FT|MI
/// [ASC|DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]`
pub(super) fn geosearch(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    search(ctx, args, Form::Search)
}

/// `GEOSEARCHSTORE destination source …`, as `GEOSEARCH`, with `[STOREDIST]`.
pub(super) fn geosearchstore(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    search(ctx, args, Form::SearchStore)
}

/// A score without its fraction; one that is too large becomes what C makes of it on x86-64.
fn whole(score: f64) -> i64 {
    if score < i64::MAX as f64 { score as i64 } else { i64::MIN }
}

/// A radius and its unit.
fn circle(args: Args<'_>) -> Result<(Shape, f64), CommandError> {
    let radius = parse_double(&args[0]).ok_or(CommandError::fixed("ERR need numeric radius"))?;
    if radius < 0.0 {
        return Err(CommandError::fixed("ERR radius cannot be negative"));
    }
    Ok((Shape::Circle { radius }, unit_m(&args[1])?))
}

/// Width, height and their unit.
fn rectangle(args: Args<'_>) -> Result<(Shape, f64), CommandError> {
    let width = parse_double(&args[0]).ok_or(CommandError::fixed("ERR need numeric width"))?;
    let height = parse_double(&args[1]).ok_or(CommandError::fixed("ERR need numeric height"))?;
    if width < 0.0 || height < 0.0 {
        return Err(CommandError::fixed("ERR height or width cannot be negative"));
    }
    Ok((Shape::Box { width, height }, unit_m(&args[2])?))
}

impl<'a> Options<'a> {
    /// Reads options. `set` is what they are about.
    fn parse(
        &mut self,
        args: Args<'a>,
        form: Form,
        set: Option<&SortedSet>,
    ) -> Result<(), CommandError> {
        let mut rest = args;
        while let Some(option) = rest.get(0) {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            let values = rest.from(1);
            let mut taken = 0;
            if is(b"WITHDIST") {
                self.with_distance = true;
            } else if is(b"WITHHASH") {
                self.with_hash = true;
            } else if is(b"WITHCOORD") {
                self.with_position = true;
            } else if is(b"ANY") {
                self.any = true;
            } else if is(b"ASC") {
                self.order = Some(Order::Nearest);
            } else if is(b"DESC") {
                self.order = Some(Order::Farthest);
            } else if is(b"COUNT") && values.len() > 0 {
                let count = usize::try_from(integer(&values[0])?).ok().filter(|&count| count > 0);
                self.count = count.ok_or(CommandError::fixed("ERR COUNT must be > 0"))?;
                taken = 1;
            } else if (is(b"STORE") || is(b"STOREDIST")) && values.len() > 0 && form.may_store() {
                self.store = Some(values.at(0));
                self.store_distance = is(b"STOREDIST");
                taken = 1;
            } else if is(b"STOREDIST") && form == Form::SearchStore {
                self.store_distance = true;
            } else if is(b"FROMMEMBER")
                && values.len() > 0
                && form.is_search()
                && !matches!(self.center, Some(Center::Given(_)))
            {
                let place = |set: &SortedSet| {
                    set.score(&values[0]).map(Position::of_score).ok_or(NO_POSITION)
                };
                self.center = Some(Center::Member(set.map(place).transpose()?));
                taken = 1;
            } else if is(b"FROMLONLAT")
                && values.len() > 1
                && form.is_search()
                && !matches!(self.center, Some(Center::Member(_)))
            {
                self.center = Some(Center::Given(position(values)?));
                taken = 2;
            } else if is(b"BYRADIUS")
                && values.len() > 1
                && form.is_search()
                && !matches!(self.shape, Some((Shape::Box { .. }, _)))
            {
                self.shape = Some(circle(values)?);
                taken = 2;
            } else if is(b"BYBOX")
                && values.len() > 2
                && form.is_search()
                && !matches!(self.shape, Some((Shape::Circle { .. }, _)))
            {
                self.shape = Some(rectangle(values)?);
                taken = 3;
            } else {
                return Err(CommandError::SYNTAX);
            }
            rest = values.from(taken);
        }
        Ok(())
    }

    fn check(&self, form: Form, name: &[u8]) -> CommandResult {
        let has_reply_options = self.with_distance || self.with_hash || self.with_position;
        if self.store.is_some() && has_reply_options {
            let what = match form {
                Form::SearchStore => "GEOSEARCHSTORE",
                _ => "STORE option in GEORADIUS",
            };
            return Err(CommandError::new(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let needs = |what: &str| {
            let before = format!("ERR exactly one of {what} can be specified for ");
            CommandError::quoting(&before, name, "")
        };
        if form.is_search() && self.center.is_none() {
            return Err(needs("FROMMEMBER or FROMLONLAT"));
        }
        if form.is_search() && self.shape.is_none() {
            return Err(needs("BYRADIUS and BYBOX"));
        }
        if self.any && self.count == 0 {
            return Err(CommandError::fixed("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// The members to return, in the order asked for.
    fn find(&self, set: &SortedSet, area: &Search) -> Vec<Found> {
        let limit = if self.any { self.count } else { usize::MAX };
        let mut found = Vec::new();
        for cell in area.cells() {
            if found.len() >= limit {
                break;
            }
            let (start, end) = cell.scores();
            let (min, max) = (start as f64, end as f64);
            let range = ScoreRange { min, excludes_min: false, max, excludes_max: true };
            let ranks = set.ranks_by_score(&range);
            for entry in set.iter(ranks.start, ranks.len(), false) {
                let position = Position::of_score(entry.score);
                if let Some(distance_m) = area.distance_m(position) {
                    let (member, score) = (entry.member.to_vec(), entry.score);
                    found.push(Found { member, position, score, distance_m });
                    if found.len() >= limit {
                        break;
                    }
                }
            }
        }
        // The first few make sense only in order, unless any will do.
        let nearest = (self.count > 0 && !self.any).then_some(Order::Nearest);
        // The distance of opposite positions may be no number, so that only this is a total order.
        let nearest_first = |a: &Found, b: &Found| a.distance_m.total_cmp(&b.distance_m);
        let farthest_first = |a: &Found, b: &Found| nearest_first(b, a);
        let is_cut = self.count > 0 && self.count < found.len();
        let wanted = 0..self.count;
        match self.order.or(nearest) {
            Some(Order::Nearest) if is_cut => partial_sort(&mut found, wanted, nearest_first),
            Some(Order::Farthest) if is_cut => partial_sort(&mut found, wanted, farthest_first),
            Some(Order::Nearest) => found.sort_by(nearest_first),
            Some(Order::Farthest) => found.sort_by(farthest_first),
            None => {}
        }
        if is_cut {
            found.truncate(self.count);
        }
        found
    }
}

fn search(ctx: &mut Context<'_>, args: Args<'_>, form: Form) -> CommandResult {
    let is_store = form == Form::SearchStore;
    let key = ctx.store.key(args.at(if is_store { 2 } else { 1 }));
    let set = ctx.store.read_as::<SortedSet>(&key)?;
    let mut options = Options::default();
    let rest = match form {
        Form::Radius { .. } => {
            options.center = Some(Center::Given(position(args.from(2))?));
            options.shape = Some(circle(args.from(4))?);
            args.from(6)
        }
        Form::RadiusByMember { .. } => {
            if let Some(set) = set {
                let score = set.score(&args[2]).ok_or(NO_POSITION)?;
                options.center = Some(Center::Given(Position::of_score(score)));
                options.shape = Some(circle(args.from(3))?);
            }
            args.from(5)
        }
        Form::Search => args.from(2),
        Form::SearchStore => {
            options.store = Some(args.at(1));
            args.from(3)
        }
    };
    options.parse(rest, form, set)?;
    options.check(form, &args[0])?;

    let area = match (options.center, options.shape) {
        (Some(Center::Given(center) | Center::Member(Some(center))), Some((shape, unit_m))) => {
            Some(Search { center, shape, unit_m })
        }
        _ => None,
    };
    let (found, unit_m) = match set.zip(area) {
        Some((set, area)) => (options.find(set, &area), area.unit_m),
        None => (Vec::new(), 1.0),
    };
    if let Some(name) = options.store {
        let destination = ctx.store.key(name);
        store_found(ctx, &destination, &found, options.store_distance.then_some(unit_m));
        return Ok(());
    }
    let parts = [options.with_distance, options.with_hash, options.with_position].into_iter();
    let parts = parts.filter(|&has| has).count();
    ctx.reply.array(found.len());
    for found in &found {
        if parts > 0 {
            ctx.reply.array(1 + parts);
        }
        ctx.reply.bulk(&found.member);
        if options.with_distance {
            reply_distance(&mut ctx.reply, found.distance_m / unit_m);
        }
        if options.with_hash {
            ctx.reply.integer(whole(found.score));
        }
        if options.with_position {
            reply_position(&mut ctx.reply, found.position);
        }
    }
    Ok(())
}

/// Stores what was found, with distances as scores if their unit is given.
///
/// The effect says what was stored: the sines of another machine might round differently.
fn store_found(ctx: &mut Context<'_>, destination: &Key<'_>, found: &[Found], unit_m: Option<f64>) {
    let mut result = Builder::new(&ctx.settings.limits);
    for found in found {
        let score = unit_m.map_or(found.score, |unit_m| found.distance_m / unit_m);
        result.merge(&found.member, score, |_| score);
    }
    let result = result.finish();
    if ctx.store.exists(destination) {
        ctx.store.effect(&[b"DEL", destination.bytes]);
    }
    if !result.is_empty() {
        let mut texts = Vec::with_capacity(result.len());
        for entry in result.iter(0, usize::MAX, false) {
            texts.push((DoubleText::new(entry.score), entry.member.to_vec()));
        }
        let mut zadd: Vec<&[u8]> = vec![b"ZADD", destination.bytes];
        for (score, member) in &texts {
            zadd.extend([score.as_bytes(), member.as_slice()]);
        }
        ctx.store.effect(&zadd);
    }
    store(ctx, destination, result);
}
