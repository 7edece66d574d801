//! The committed generated code is what proto/ says. `FARROW_REGEN=1` writes it anew (cargo xtask regen).

use std::path::{Path, PathBuf};

#[test]
fn generated_code_matches_proto() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let proto = root.join("proto");
    let files = ["descriptor", "actions", "session", "map_socket"]
        .map(|name| proto.join(format!("farrow/v1/{name}.proto")));
    let descriptors = protox::compile(&files, [&proto]).expect("proto/ compiles");

    let out = tempfile::tempdir().unwrap();
    prost_build::Config::new()
        .bytes(["."])
        .out_dir(out.path())
        .compile_fds(descriptors)
        .expect("prost generates code");

    let generated = std::fs::read_to_string(out.path().join("farrow.v1.rs")).unwrap();
    let committed_at: PathBuf = [env!("CARGO_MANIFEST_DIR"), "src", "gen", "farrow.v1.rs"].iter().collect();
    if std::env::var_os("FARROW_REGEN").is_some() {
        std::fs::write(&committed_at, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&committed_at).unwrap_or_default();
    assert!(
        committed == generated,
        "src/gen/farrow.v1.rs is not what proto/ generates: run cargo xtask regen"
    );
}
