//! Whole servers crash at every call to their disk that small scripts make, and once more while they recover.
//!
//! `simulator --crash-points` tries more of what the power may leave, and every second crash.

use simulator::crash_points::{Choice, try_all};
use simulator::script::{play, scripts};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A script that makes fewer calls does not do what it is there for.
const LEAST_POINTS: u64 = 12;

#[test]
fn a_server_that_crashes_at_any_disk_call_keeps_every_promise() {
    let (mut points, mut crashes, mut failures) = (0, 0, Vec::new());
    for script in scripts() {
        let tried = try_all(&script, Choice { powers: 2, seconds: 1, jobs: 2 });
        println!("{tried}");
        assert!(tried.points >= LEAST_POINTS, "{tried}");
        points += tried.points;
        crashes += tried.crashes;
        failures.extend(tried.failures);
    }
    println!("{points} points, {crashes} runs with a crash");
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_script_is_played_the_same_way_every_time() {
    for script in scripts() {
        let (first, second) = (play(&script, None, false), play(&script, None, false));
        assert_eq!(first.outcome.hash, second.outcome.hash, "{}", script.name);
        assert!(first.outcome.work.acknowledged > 0, "{}: {first:?}", script.name);
    }
}
