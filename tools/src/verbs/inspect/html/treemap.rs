//! Rectangles whose areas are in proportion to given numbers, close to squares: the squarified treemap of Bruls,
//! Huizing and van Wijk (2000).

/// A rectangle; y grows downwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl Rect {
    /// The same without a strip at its top and one of another width along the other edges. Nothing is less than empty.
    pub fn inside(self, top: f64, edge: f64) -> Self {
        Self {
            x: self.x + edge,
            y: self.y + top,
            width: (self.width - 2.0 * edge).max(0.0),
            height: (self.height - top - edge).max(0.0),
        }
    }

    fn area(self) -> f64 {
        self.width * self.height
    }
}

/// Divides `within` among `weights`, the biggest first: one rectangle each, in their order.
pub fn squarify(weights: &[u64], within: Rect) -> Vec<Rect> {
    let total: f64 = weights.iter().map(|weight| *weight as f64).sum();
    let scale = if total > 0.0 { within.area() / total } else { 0.0 };
    let areas: Vec<f64> = weights.iter().map(|weight| *weight as f64 * scale).collect();
    let (mut rects, mut rest, mut at) = (Vec::with_capacity(areas.len()), within, 0);
    while at < areas.len() {
        // A row takes one more as long as that makes its worst rectangle no worse.
        let side = rest.width.min(rest.height);
        let mut end = at + 1;
        while end < areas.len() && worst(&areas[at..=end], side) <= worst(&areas[at..end], side) {
            end += 1;
        }
        rest = lay(&areas[at..end], rest, &mut rects);
        at = end;
    }
    rects
}

/// The worst ratio of the sides of rectangles that fill a row along `side`.
fn worst(areas: &[f64], side: f64) -> f64 {
    let sum: f64 = areas.iter().sum();
    let thickness = sum / side;
    let ratio = |area: &f64| {
        let length = area / thickness;
        (length / thickness).max(thickness / length)
    };
    areas.iter().map(ratio).fold(0.0, f64::max)
}

/// Lays a row along the shorter side of `rest`, and gives what remains.
fn lay(areas: &[f64], rest: Rect, rects: &mut Vec<Rect>) -> Rect {
    let sum: f64 = areas.iter().sum();
    let upright = rest.width >= rest.height;
    let side = if upright { rest.height } else { rest.width };
    let thickness = if side > 0.0 { sum / side } else { 0.0 };
    let mut along = 0.0;
    for area in areas {
        let length = if thickness > 0.0 { area / thickness } else { 0.0 };
        rects.push(if upright {
            Rect { x: rest.x, y: rest.y + along, width: thickness, height: length }
        } else {
            Rect { x: rest.x + along, y: rest.y, width: length, height: thickness }
        });
        along += length;
    }
    if upright {
        Rect { x: rest.x + thickness, width: (rest.width - thickness).max(0.0), ..rest }
    } else {
        Rect { y: rest.y + thickness, height: (rest.height - thickness).max(0.0), ..rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WITHIN: Rect = Rect { x: 10.0, y: 20.0, width: 600.0, height: 400.0 };

    #[test]
    fn the_example_of_the_paper() {
        let within = Rect { x: 0.0, y: 0.0, width: 6.0, height: 4.0 };
        let rects = squarify(&[6, 6, 4, 3, 2, 2, 1], within);
        let first = Rect { x: 0.0, y: 0.0, width: 3.0, height: 2.0 };
        assert_eq!(rects[0], first);
        assert_eq!(rects[1], Rect { y: 2.0, ..first });
        let ratio = |rect: &Rect| rect.width.max(rect.height) / rect.width.min(rect.height);
        assert!(rects.iter().all(|rect| ratio(rect) < 2.8), "{rects:?}");
    }

    #[test]
    fn nothing_is_divided_into_nothing() {
        assert_eq!(squarify(&[], WITHIN), []);
        for weights in [&[0, 0][..], &[5, 0]] {
            let rects = squarify(weights, WITHIN);
            assert_eq!(rects.len(), 2);
            assert!(rects[1].area() == 0.0 && rects[1].x.is_finite() && rects[1].y.is_finite());
        }
        let empty = Rect { width: 0.0, ..WITHIN };
        assert!(squarify(&[3, 2], empty).iter().all(|rect| rect.area() == 0.0));
    }

    proptest! {
        #[test]
        fn areas_are_in_proportion_and_do_not_overlap(
            mut weights in prop::collection::vec(1..1_000_000_u64, 1..60),
        ) {
            weights.sort_unstable_by(|a, b| b.cmp(a));
            let total: u64 = weights.iter().sum();
            let rects = squarify(&weights, WITHIN);
            prop_assert_eq!(rects.len(), weights.len());
            const SLACK: f64 = 1e-6;
            for (index, (rect, weight)) in rects.iter().zip(&weights).enumerate() {
                let share = *weight as f64 / total as f64;
                prop_assert!((rect.area() - share * WITHIN.area()).abs() < SLACK * WITHIN.area());
                prop_assert!(rect.x >= WITHIN.x - SLACK && rect.y >= WITHIN.y - SLACK);
                prop_assert!(rect.x + rect.width <= WITHIN.x + WITHIN.width + SLACK);
                prop_assert!(rect.y + rect.height <= WITHIN.y + WITHIN.height + SLACK);
                for other in &rects[..index] {
                    let apart = rect.x + rect.width <= other.x + SLACK
                        || other.x + other.width <= rect.x + SLACK
                        || rect.y + rect.height <= other.y + SLACK
                        || other.y + other.height <= rect.y + SLACK;
                    prop_assert!(apart, "{:?} {:?}", rect, other);
                }
            }
        }
    }
}
