//! The pages: whether what they show is what happens, and their links lead somewhere.

use crate::tally::Tally;
use crate::tree::Tree;

/// Runs the blocks of README and guide against an agent, and follows every page's links.
pub(crate) fn tests(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    let cache = format!("cache_dir={}", tree.target.join("pytest").display());
    let pytest = tree.python().args(["-m", "pytest", "-rs", "--strict-markers", "-o", &cache]);
    tally.tests(pytest.arg("integration-tests/pages"), Tally::read_pytest)
}
