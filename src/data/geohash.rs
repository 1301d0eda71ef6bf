//! Positions on the earth as numbers: 26 bits each of longitude and latitude, interleaved, so that what
//! is near is mostly near in the order of numbers, too.
//!
//! Longitudes go from -180 to 180 degrees, latitudes as far as the square map of the Web Mercator projection
//! does (EPSG:3857). A *cell* of fewer bits is the area of all positions whose numbers begin with
//! them. A search covers its area with a cell and those around it, and then measures every element
//! in them. The arithmetic, to the order of its operations, is that of Redis (`geohash.c` and
//! `geohash_helper.c`), so that positions, distances and what is found are the same to the bit.

/// The longitudes that can be stored, in degrees.
pub const LONGITUDES: (f64, f64) = (-180.0, 180.0);
/// The latitudes that can be stored, in degrees.
pub const LATITUDES: (f64, f64) = (-85.051_128_78, 85.051_128_78);

/// Bits of each coordinate in a position's number.
const STEPS_MAX: u32 = 26;
/// The earth's radius in meters: the quadratic mean of the WGS 84 ellipsoid.
const EARTH_RADIUS_M: f64 = 6_372_797.560_856;
/// Half the width of the map in meters.
const MERCATOR_MAX_M: f64 = 20_037_726.37;
const DEGREE: f64 = std::f64::consts::PI / 180.0;

/// The bits of longitudes in an interleaved number; latitudes have the others.
const LONGITUDE_BITS: u64 = 0xaaaa_aaaa_aaaa_aaaa;
const LATITUDE_BITS: u64 = 0x5555_5555_5555_5555;

/// A position in degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Position {
    /// Degrees east of Greenwich.
    pub longitude: f64,
    /// Degrees north of the equator.
    pub latitude: f64,
}

impl Position {
    /// Whether it can be stored.
    pub fn is_valid(&self) -> bool {
        (LONGITUDES.0..=LONGITUDES.1).contains(&self.longitude)
            && (LATITUDES.0..=LATITUDES.1).contains(&self.latitude)
    }

    /// The number of a valid position: the score of a sorted set's element.
    pub fn to_bits(self) -> u64 {
        Cell::around(self, STEPS_MAX, LONGITUDES, LATITUDES).bits
    }

    /// The middle of the cell that a score means, whatever it is.
    pub fn of_score(score: f64) -> Self {
        let area = Cell { bits: score_bits(score), steps: STEPS_MAX }.area();
        let middle = |(min, max): (f64, f64), (lowest, highest): (f64, f64)| {
            ((min + max) / 2.0).min(highest).max(lowest)
        };
        Self {
            longitude: middle(area.longitudes, LONGITUDES),
            latitude: middle(area.latitudes, LATITUDES),
        }
    }

    /// The first 11 letters of the standard geohash, of which the last one is always `0`: the numbers
    /// here have no more bits.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        // The standard's latitudes go to the poles.
        let bits = Cell::around(self, STEPS_MAX, (-180.0, 180.0), (-90.0, 90.0)).bits;
        let mut text = [ALPHABET[0]; 11];
        for (at, letter) in text.iter_mut().take(10).enumerate() {
            *letter = ALPHABET[(bits >> (52 - (at + 1) * 5)) as usize & 31];
        }
        text
    }

    /// The distance in meters, along a great circle of a sphere.
    pub fn distance_m(self, other: Self) -> f64 {
        let (here, there) = (self.longitude * DEGREE, other.longitude * DEGREE);
        let v = ((there - here) / 2.0).sin();
        if v == 0.0 {
            return self.latitude_distance_m(other);
        }
        let (here, there) = (self.latitude * DEGREE, other.latitude * DEGREE);
        let u = ((there - here) / 2.0).sin();
        let a = u * u + here.cos() * there.cos() * v * v;
        2.0 * EARTH_RADIUS_M * a.sqrt().asin()
    }

    fn latitude_distance_m(self, other: Self) -> f64 {
        EARTH_RADIUS_M * (other.latitude * DEGREE - self.latitude * DEGREE).abs()
    }
}

/// A score as the bits of a position. Scores that are none, negative or too large, become what C makes of
/// them on x86-64.
fn score_bits(score: f64) -> u64 {
    const TOP: f64 = 9_223_372_036_854_775_808.0;
    match score {
        _ if score < TOP => score as i64 as u64,
        _ if score < 2.0 * TOP => score as u64,
        _ => 0,
    }
}

/// All positions whose numbers begin with some bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    bits: u64,
    /// Bits of each coordinate.
    steps: u32,
}

/// What a cell covers: the lowest and the highest coordinates in degrees.
struct Area {
    longitudes: (f64, f64),
    latitudes: (f64, f64),
}

impl Cell {
    /// The cell that a position is in.
    fn around(
        position: Position,
        steps: u32,
        longitudes: (f64, f64),
        latitudes: (f64, f64),
    ) -> Self {
        let offset = |value: f64, (min, max): (f64, f64)| {
            ((value - min) / (max - min) * (1_u64 << steps) as f64) as u32
        };
        let latitude = offset(position.latitude, latitudes);
        let longitude = offset(position.longitude, longitudes);
        Self { bits: spread(latitude) | spread(longitude) << 1, steps }
    }

    fn area(self) -> Area {
        let coordinates = |number: u32, (min, max): (f64, f64)| {
            let at =
                |number: u32| min + f64::from(number) / (1_u64 << self.steps) as f64 * (max - min);
            (at(number), at(number.wrapping_add(1)))
        };
        Area {
            longitudes: coordinates(gather(self.bits >> 1), LONGITUDES),
            latitudes: coordinates(gather(self.bits), LATITUDES),
        }
    }

    /// The cell some cells to the east and to the north, around the map's edges.
    fn moved(self, east: i32, north: i32) -> Self {
        let unused = 64 - self.steps * 2;
        // Adding to every other bit carries over the bits between if those are all set.
        let step = |bits: u64, by: i32, own: u64, between: u64| {
            let (own, between) = (own >> unused, between >> unused);
            let moved = match by {
                0 => return bits,
                1.. => bits.wrapping_add(between + 1),
                _ => (bits | between).wrapping_sub(between + 1),
            };
            moved & own
        };
        let longitude = step(self.bits & LONGITUDE_BITS, east, LONGITUDE_BITS, LATITUDE_BITS);
        let latitude = step(self.bits & LATITUDE_BITS, north, LATITUDE_BITS, LONGITUDE_BITS);
        Self { bits: longitude | latitude, steps: self.steps }
    }

    /// The numbers of the positions in it: the first one, and the first one behind them.
    pub fn scores(self) -> (u64, u64) {
        let shift = 52 - self.steps * 2;
        (self.bits << shift, (self.bits + 1) << shift)
    }
}

/// The bits of a number, each followed by a zero on its left.
fn spread(number: u32) -> u64 {
    let mut bits = u64::from(number);
    bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits << 2) & 0x3333_3333_3333_3333;
    (bits | bits << 1) & LATITUDE_BITS
}

/// Every other bit of a number, from the lowest on.
fn gather(bits: u64) -> u32 {
    let mut bits = bits & LATITUDE_BITS;
    bits = (bits | bits >> 1) & 0x3333_3333_3333_3333;
    bits = (bits | bits >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits >> 4) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits >> 8) & 0x0000_ffff_0000_ffff;
    (bits | bits >> 16) as u32
}

/// The form of an area to search, with lengths in the unit that was given.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A circle.
    Circle {
        /// Its radius.
        radius: f64,
    },
    /// A box along parallels and meridians.
    Box {
        /// From west to east.
        width: f64,
        /// From south to north.
        height: f64,
    },
}

/// An area to search.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Its middle.
    pub center: Position,
    /// Its form.
    pub shape: Shape,
    /// How long the unit of its lengths is.
    pub unit_m: f64,
}

impl Search {
    /// The distance of a position from the center in meters, if it is inside.
    pub fn distance_m(&self, position: Position) -> Option<f64> {
        match self.shape {
            Shape::Circle { radius } => {
                let distance = self.center.distance_m(position);
                // Rounding can make the distance of opposite positions no number: that counts.
                let is_outside = distance > radius * self.unit_m;
                (!is_outside).then_some(distance)
            }
            Shape::Box { width, height } => {
                let (width_m, height_m) = (width * self.unit_m, height * self.unit_m);
                if position.latitude_distance_m(self.center) > height_m / 2.0 {
                    return None;
                }
                let beside = Position { longitude: self.center.longitude, ..position };
                if position.distance_m(beside) > width_m / 2.0 {
                    return None;
                }
                Some(self.center.distance_m(position))
            }
        }
    }

    /// The cells that cover the area: the one of the center, and of those around it all that are needed.
    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        let bounds = self.bounds();
        let mut steps = self.steps();
        let mut center = Cell::around(self.center, steps, LONGITUDES, LATITUDES);
        // Near the edges of a cell its neighbours may not reach far enough.
        let is_short = center.moved(0, 1).area().latitudes.1 < bounds.latitudes.1
            || center.moved(0, -1).area().latitudes.0 > bounds.latitudes.0
            || center.moved(1, 0).area().longitudes.1 < bounds.longitudes.1
            || center.moved(-1, 0).area().longitudes.0 > bounds.longitudes.0;
        if steps > 1 && is_short {
            steps -= 1;
            center = Cell::around(self.center, steps, LONGITUDES, LATITUDES);
        }
        let area = center.area();
        let is_needed = move |east: i32, north: i32| {
            steps < 2
                || !(north < 0 && area.latitudes.0 < bounds.latitudes.0
                    || north > 0 && area.latitudes.1 > bounds.latitudes.1
                    || east < 0 && area.longitudes.0 < bounds.longitudes.0
                    || east > 0 && area.longitudes.1 > bounds.longitudes.1)
        };
        // In the order in which they are searched, which a limited search shows.
        let around =
            [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)].into_iter();
        let mut last = None;
        let around = around.filter(move |&(east, north)| is_needed(east, north)).filter_map(
            move |(east, north)| {
                let cell = center.moved(east, north);
                // Around the whole map, a cell is its own neighbour's neighbour.
                (last.replace(cell) != Some(cell)).then_some(cell)
            },
        );
        std::iter::once(center).chain(around)
    }

    /// How many bits of each coordinate a cell should have to be about as large as the area.
    fn steps(&self) -> u32 {
        let radius = match self.shape {
            Shape::Circle { radius } => radius,
            Shape::Box { width, height } => {
                (width / 2.0 * (width / 2.0) + height / 2.0 * (height / 2.0)).sqrt()
            }
        };
        let mut radius_m = radius * self.unit_m;
        if radius_m == 0.0 {
            return STEPS_MAX;
        }
        let mut steps = -1_i32;
        while radius_m < MERCATOR_MAX_M {
            radius_m *= 2.0;
            steps += 1;
        }
        // Towards the poles cells are narrower.
        let latitude = self.center.latitude.abs();
        steps -= i32::from(latitude > 66.0) + i32::from(latitude > 80.0);
        steps.clamp(1, STEPS_MAX as i32) as u32
    }

    fn bounds(&self) -> Area {
        let (width, height) = match self.shape {
            Shape::Circle { radius } => (radius, radius),
            Shape::Box { width, height } => (width / 2.0, height / 2.0),
        };
        let (width_m, height_m) = (self.unit_m * width, self.unit_m * height);
        let Position { longitude, latitude } = self.center;
        let by_latitude = height_m / EARTH_RADIUS_M / DEGREE;
        // The area is widest where parallels are shortest: on the side of the pole.
        let widest = if latitude < 0.0 { latitude - by_latitude } else { latitude + by_latitude };
        let by_longitude = width_m / EARTH_RADIUS_M / (widest * DEGREE).cos() / DEGREE;
        Area {
            longitudes: (longitude - by_longitude, longitude + by_longitude),
            latitudes: (latitude - by_latitude, latitude + by_latitude),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PALERMO: Position = Position { longitude: 13.361389, latitude: 38.115556 };
    const CATANIA: Position = Position { longitude: 15.087269, latitude: 37.502669 };

    #[test]
    fn positions_are_those_of_redis() {
        assert_eq!(PALERMO.to_bits(), 3479099956230698);
        assert_eq!(CATANIA.to_bits(), 3479447370796909);
        let [palermo, catania] =
            [PALERMO, CATANIA].map(|place| Position::of_score(place.to_bits() as f64));
        assert_eq!(&palermo.geohash(), b"sqc8b49rny0");
        assert_eq!(&catania.geohash(), b"sqdtr74hyu0");
        assert_eq!(palermo.longitude, 13.361_389_338_970_184);
        assert_eq!(palermo.latitude, 38.115_556_395_496_3);
        assert_eq!(format!("{:.4}", palermo.distance_m(catania)), "166274.1516");
    }

    #[test]
    fn scores_that_are_no_positions_are_read_as_c_reads_them() {
        assert_eq!(score_bits(-1.0), u64::MAX);
        assert_eq!(score_bits(f64::NEG_INFINITY), 1 << 63);
        assert_eq!(score_bits(f64::INFINITY), 0);
        assert_eq!(score_bits(1e19), 10_000_000_000_000_000_000);
        for score in [-1.0, f64::NEG_INFINITY, f64::INFINITY, 1e19, 1e300, -1e300] {
            assert!(Position::of_score(score).is_valid());
        }
    }

    fn position() -> impl Strategy<Value = Position> {
        (LONGITUDES.0..LONGITUDES.1, LATITUDES.0..LATITUDES.1)
            .prop_map(|(longitude, latitude)| Position { longitude, latitude })
    }

    proptest! {
        #[test]
        fn a_position_is_near_what_its_number_means(position in position()) {
            let back = Position::of_score(position.to_bits() as f64);
            prop_assert!(position.distance_m(back) < 0.6);
            prop_assert_eq!(gather(spread(0xdead_beef)), 0xdead_beef);
        }

        #[test]
        fn cells_move_and_come_back(position in position(), steps in 1..27u32) {
            let cell = Cell::around(position, steps, LONGITUDES, LATITUDES);
            for (east, north) in [(0, 1), (1, 0), (1, 1), (1, -1), (0, 0)] {
                prop_assert_eq!(cell.moved(east, north).moved(-east, -north), cell);
            }
            let (start, end) = cell.scores();
            prop_assert!((start..end).contains(&position.to_bits()));
        }

        #[test]
        fn what_is_inside_is_in_a_cell(
            center in position(),
            radius in 1.0..2e6f64,
            turn in 0.0..std::f64::consts::TAU,
            share in 0.0..1.0f64,
            is_box in any::<bool>(),
        ) {
            // Beyond, the cells' shapes promise less.
            prop_assume!(center.latitude.abs() < 60.0 && center.longitude.abs() < 120.0);
            let shape = if is_box {
                Shape::Box { width: radius * 2.0, height: radius }
            } else {
                Shape::Circle { radius }
            };
            let search = Search { center, shape, unit_m: 1.0 };
            let by = radius * share / EARTH_RADIUS_M / DEGREE;
            let position = Position {
                longitude: center.longitude + by * turn.cos(),
                latitude: center.latitude + by * turn.sin(),
            };
            prop_assume!(position.is_valid() && search.distance_m(position).is_some());
            let bits = position.to_bits();
            let is_found = search.cells().any(|cell| {
                let (start, end) = cell.scores();
                (start..end).contains(&bits)
            });
            prop_assert!(is_found);
        }
    }
}
