//! One target, for a while.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use farrow_fuzz::Target;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::guard::{Guard, last_panic, say};
use crate::mutation::{Input, inputs};

/// All targets together then take about a minute of one core.
const DEFAULT_SECONDS: u64 = 6;

/// Cases between two looks at the clock.
const ROUND: u32 = 64;

/// Runs the seeds, then mutated ones until the time is over; or the one input that `FARROW_FUZZ_INPUT` names.
pub(crate) fn run(target: &Target) {
    if let Some(path) = env::var_os("FARROW_FUZZ_INPUT") {
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", Path::new(&path).display()));
        (target.run)(&bytes);
        return;
    }
    let seconds = number("FARROW_FUZZ_SECONDS", DEFAULT_SECONDS);
    let seed = number("FARROW_FUZZ_SEED", 0);
    let guard = Guard::new(&file(target, "running"));
    let seeds = Arc::new((target.seeds)());
    for bytes in seeds.iter() {
        (target.run)(bytes);
    }
    let begin = Instant::now();
    let mut round = 0;
    while begin.elapsed() < Duration::from_secs(seconds) {
        if let Err(failure) = run_round(target, &guard, &seeds, seed, round) {
            panic!("{failure}");
        }
        round += 1;
    }
    let cases = round * u64::from(ROUND);
    say(&format!("fuzz {}: {cases} cases in {seconds} s, FARROW_FUZZ_SEED={seed}", target.name));
}

fn run_round(
    target: &Target,
    guard: &Guard,
    seeds: &Arc<Vec<Vec<u8>>>,
    seed: u64,
    round: u64,
) -> Result<(), String> {
    let config =
        Config { cases: ROUND, max_shrink_iters: 4096, failure_persistence: None, ..Config::default() };
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&round.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &key));
    let outcome = runner.run(&inputs(seeds), |input| {
        guard.case(&input.0, target.run);
        Ok(())
    });
    let input = match outcome {
        Ok(()) => return Ok(()),
        Err(TestError::Fail(_, input)) => input,
        Err(TestError::Abort(reason)) => return Err(format!("no inputs: {reason}")),
    };
    Err(describe(target, &input, seed))
}

/// Returns what somebody needs to see the failure again.
fn describe(target: &Target, input: &Input, seed: u64) -> String {
    let name = target.name;
    let path = file(target, "crash");
    fs::write(&path, &input.0).expect("the target directory can be written");
    // Once more, for the panic that belongs to the shrunk input.
    let again = std::panic::catch_unwind(|| {
        let guard = Guard::new(&file(target, "crash-running"));
        guard.case(&input.0, target.run);
    });
    let panic = if again.is_err() { last_panic() } else { "it did not fail when run again".to_owned() };
    format!(
        "fuzz {name}: {panic}\n\
         FARROW_FUZZ_SEED={seed}, input of {} bytes:\n{input:?}\n\
         It is in {path}, too. To run it again:\n\
         FARROW_FUZZ_INPUT={path} cargo test --package farrow-fuzz -- --exact {name}",
        input.0.len(),
        path = path.display(),
    )
}

fn file(target: &Target, ending: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.{ending}", target.name))
}

fn number(variable: &str, default: u64) -> u64 {
    match env::var(variable) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{variable}={value}: a number is wanted")),
        Err(_) => default,
    }
}

#[test]
fn a_failure_is_found_and_kept() {
    /// Breaks where the third byte is 7 and there are no less than five.
    fn broken(bytes: &[u8]) {
        assert!(bytes.len() < 5 || bytes[2] != 7, "seven");
    }
    let target = Target { name: "broken", run: broken, seeds: Vec::new };
    let guard = Guard::new(&file(&target, "running"));
    let seeds = Arc::new(vec![(100..108).collect()]);
    let mut rounds = (0..10_000).map(|round| run_round(&target, &guard, &seeds, 0, round));
    let failure = rounds.find_map(Result::err).expect("it is found");
    assert!(failure.contains("campaign.rs") && failure.contains("seven"), "{failure}");

    let kept = fs::read(file(&target, "crash")).unwrap();
    assert!(failure.contains(&format!("{:?}", Input(kept.clone()))), "{failure}");
    assert_eq!(kept[2], 7);
    assert!(kept.len() >= 5);
    fs::remove_file(file(&target, "crash")).unwrap();
}
