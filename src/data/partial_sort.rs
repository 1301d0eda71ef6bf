//! Putting only the first few of many elements in order.

use std::cmp::Ordering::{self, Equal, Greater, Less};
use std::ops::Range;

/// Sorts elements so far that those at the indexes `wanted` are where a full sort would put them.
///
/// This is the quicksort of Bentley and McIlroy ("Engineering a Sort Function", 1993), which leaves out
/// what does not overlap `wanted`. As in Redis, whose choices it makes at every step, elements that
/// compare as equal end up in the same order as there. It takes quadratic time at worst.
pub fn partial_sort<T>(
    elements: &mut [T],
    wanted: Range<usize>,
    compare: impl Fn(&T, &T) -> Ordering,
) {
    let everything = 0..elements.len();
    let mut open = Vec::from([everything]);
    while let Some(part) = open.pop() {
        let slice = &mut elements[part.clone()];
        if slice.len() < 7 {
            sort_by_insertion(slice, &compare);
            continue;
        }
        let (below, above) = partition(slice, &compare);
        for range in [below, part.len() - above..part.len()] {
            let range = part.start + range.start..part.start + range.end;
            let overlaps = range.start < wanted.end && wanted.start < range.end;
            if range.len() > 1 && overlaps {
                open.push(range);
            }
        }
    }
}

fn sort_by_insertion<T>(slice: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) {
    for end in 1..slice.len() {
        let mut at = end;
        while at > 0 && compare(&slice[at - 1], &slice[at]) == Greater {
            slice.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// Which of three elements is neither the lowest nor the highest.
fn median<T>(slice: &[T], [a, b, c]: [usize; 3], compare: &impl Fn(&T, &T) -> Ordering) -> usize {
    let is = |x: usize, y: usize, order| compare(&slice[x], &slice[y]) == order;
    if is(a, b, Less) {
        if is(b, c, Less) {
            b
        } else if is(a, c, Less) {
            c
        } else {
            a
        }
    } else if is(b, c, Greater) {
        b
    } else if is(a, c, Less) {
        a
    } else {
        c
    }
}

/// Puts what is lower than one of the elements in front, what is higher at the end, and what is equal
/// between them; gives the range of the lower ones, and the number of the higher ones.
fn partition<T>(slice: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) -> (Range<usize>, usize) {
    let len = slice.len();
    let (mut first, mut middle, mut last) = (0, len / 2, len - 1);
    if len > 7 {
        if len > 40 {
            let step = len / 8;
            first = median(slice, [0, step, 2 * step], compare);
            middle = median(slice, [middle - step, middle, middle + step], compare);
            last = median(slice, [last - 2 * step, last - step, last], compare);
        }
        middle = median(slice, [first, middle, last], compare);
    }
    slice.swap(0, middle);

    // Equal ones gather before `equal_low` and behind `equal_high` at first; between them and `low` or
    // `high` lie those that are lower or higher.
    let (mut equal_low, mut low) = (1, 1);
    let (mut equal_high, mut high) = (len - 1, len - 1);
    loop {
        while low <= high {
            match compare(&slice[low], &slice[0]) {
                Greater => break,
                Equal => {
                    slice.swap(equal_low, low);
                    equal_low += 1;
                }
                Less => {}
            }
            low += 1;
        }
        while low <= high {
            match compare(&slice[high], &slice[0]) {
                Less => break,
                Equal => {
                    slice.swap(high, equal_high);
                    equal_high -= 1;
                }
                Greater => {}
            }
            high -= 1;
        }
        if low > high {
            break;
        }
        slice.swap(low, high);
        low += 1;
        high -= 1;
    }
    let (lower, higher) = (low - equal_low, equal_high - high);
    swap_runs(slice, 0, low - equal_low.min(lower), equal_low.min(lower));
    let outside = higher.min(len - 1 - equal_high);
    swap_runs(slice, low, len - outside, outside);
    (0..lower, higher)
}

/// Exchanges two runs of elements.
fn swap_runs<T>(slice: &mut [T], a: usize, b: usize, len: usize) {
    (0..len).for_each(|at| slice.swap(a + at, b + at));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_few_are_those_of_a_full_sort(
            numbers in prop::collection::vec(0..60u32, 0..300),
            wanted in 0..300usize,
        ) {
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            let wanted = wanted.min(numbers.len());
            let mut partly = numbers;
            partial_sort(&mut partly, 0..wanted, Ord::cmp);
            prop_assert_eq!(&partly[..wanted], &sorted[..wanted]);
            partly.sort_unstable();
            prop_assert_eq!(partly, sorted);
        }
    }
}
