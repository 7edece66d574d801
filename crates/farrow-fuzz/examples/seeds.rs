//! Writes the valid inputs of every target into DIRECTORY/TARGET, where libFuzzer begins with them.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;

use farrow_fuzz::TARGETS;

fn main() -> io::Result<()> {
    let Some(directory) = env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: seeds DIRECTORY"));
    };
    for target in TARGETS {
        let corpus = directory.join(target.name);
        fs::create_dir_all(&corpus)?;
        for (index, bytes) in (target.seeds)().iter().enumerate() {
            fs::write(corpus.join(format!("seed-{index:02}")), bytes)?;
        }
    }
    Ok(())
}
