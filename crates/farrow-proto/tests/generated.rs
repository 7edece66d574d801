//! What is committed beside proto/ is what it says. `FARROW_REGEN=1` writes it anew (cargo xtask regen).

use std::path::{Path, PathBuf};

use protox::Compiler;

#[test]
fn generated_files_match_proto() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let proto = root.join("proto");
    let files = ["descriptor", "actions", "session", "map_socket"]
        .map(|name| proto.join(format!("farrow/v1/{name}.proto")));
    let mut compiler = Compiler::new([&proto]).expect("proto/ is there");
    compiler.include_imports(true).include_source_info(true).open_files(&files).expect("proto/ compiles");

    let out = tempfile::tempdir().unwrap();
    prost_build::Config::new()
        .bytes(["."])
        .out_dir(out.path())
        .compile_fds(compiler.file_descriptor_set())
        .expect("prost generates code");
    let code = std::fs::read(out.path().join("farrow.v1.rs")).unwrap();
    matches([env!("CARGO_MANIFEST_DIR"), "src", "gen", "farrow.v1.rs"].iter().collect(), &code);

    // For clients in other languages that have a protobuf library and no compiler.
    let descriptors = compiler.include_source_info(false).encode_file_descriptor_set();
    matches(proto.join("farrow.v1.binpb"), &descriptors);
}

fn matches(committed_at: PathBuf, generated: &[u8]) {
    if std::env::var_os("FARROW_REGEN").is_some() {
        std::fs::write(&committed_at, generated).expect("the tree can be written");
    }
    let committed = std::fs::read(&committed_at).unwrap_or_default();
    assert!(
        committed == generated,
        "{} is not what proto/ generates: run cargo xtask regen",
        committed_at.display()
    );
}
