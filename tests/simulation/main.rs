//! The data set on a simulated disk: crashed at every operation, damaged bit by bit, failing call by
//! call. `tests/README.md` says how to run it and how to replay a seed.

mod compaction;
mod crash;
mod damage;
mod failures;
mod retention;
mod room;
mod starts;
mod world;

/// Whether the full counts are asked for.
fn is_full() -> bool {
    std::env::var("MAINSTAY_TEST_SCALE").is_ok_and(|scale| scale == "full")
}

/// `full` at full scale, `quick` otherwise.
fn scaled<T>(quick: T, full: T) -> T {
    if is_full() { full } else { quick }
}

/// The seeds to run with: the one that is asked for, or else as many of `usual` as the scale allows.
fn seeds(usual: std::ops::Range<u64>) -> Vec<u64> {
    match std::env::var("MAINSTAY_TEST_SEED") {
        Ok(seed) => vec![seed.parse().expect("MAINSTAY_TEST_SEED is a number")],
        Err(_) => usual.collect(),
    }
}

/// Calls `check` with every item, on all cores.
fn in_parallel<T: Sync>(items: &[T], check: impl Fn(&T) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) =
                    items.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    check(item);
                }
            });
        }
    });
}
