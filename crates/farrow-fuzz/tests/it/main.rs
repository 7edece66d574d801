//! Each fuzz target for a few seconds, on inputs mutated from its seeds (README.md).

mod campaign;
mod guard;
mod mutation;

use farrow_fuzz::TARGETS;

fn fuzz(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    campaign::run(target);
}

#[test]
fn superblock() {
    fuzz("superblock");
}

#[test]
fn log_header() {
    fuzz("log_header");
}

#[test]
fn entry() {
    fuzz("entry");
}

#[test]
fn replay() {
    fuzz("replay");
}

#[test]
fn region() {
    fuzz("region");
}

#[test]
fn catalog() {
    fuzz("catalog");
}

#[test]
fn published() {
    fuzz("published");
}

#[test]
fn segment() {
    fuzz("segment");
}

#[test]
fn stream() {
    fuzz("stream");
}

#[test]
fn by_name() {
    fuzz("by_name");
}

#[test]
fn selection() {
    fuzz("selection");
}
