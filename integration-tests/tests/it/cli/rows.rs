//! put, append, get, head, schema, stat: rows into frames and out of them.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{Array, ArrayRef, DictionaryArray, Float32Array, Int8Array, ListArray, RecordBatch};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use farrow_integration_tests::{
    Agent, Region, arrow_file, batch, farrow, mebibytes, program, pyarrow, skipped,
};
use rustix::process::{Pid, Signal, kill_process};

use super::{stderr, stdout};

fn run(agent: &Agent, args: &[&str]) -> Output {
    farrow(&[args, &["--address", agent.socket()]].concat())
}

/// The same with something on stdin.
pub(super) fn piped(agent: &Agent, args: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(program("farrow"));
    command.args(args).args(["--address", agent.socket()]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    // It may end before it has read all.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// As a file keeps them: in one batch.
async fn all(agent: &Agent, name: &str) -> RecordBatch {
    let frame = agent.client().await.get(name).await.unwrap();
    let batches: Vec<RecordBatch> = frame.batches().map(Result::unwrap).collect();
    arrow_select::concat::concat_batches(&frame.schema(), &batches).unwrap()
}

#[tokio::test]
async fn every_format_goes_out_and_comes_back() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let rows = batch(0, 5000);
    agent.client().await.put("source", rows.schema(), vec![rows.clone()]).await.unwrap();
    for extension in ["arrow", "feather", "arrows", "parquet", "csv", "tsv"] {
        let file = region.beside(&format!("rows.{extension}"));
        let file = file.to_str().unwrap();
        let got = run(&agent, &["get", "source", "-o", file]);
        assert_eq!(stdout(&got), "");
        assert!(stderr(&got).contains("source@1: 5000 rows to "), "{}", stderr(&got));
        let put = run(&agent, &["put", extension, file]);
        assert!(stderr(&put).contains(&format!("{extension}@1: 5000 rows, ")), "{}", stderr(&put));
        // CSV does not say what cannot be null.
        let back = all(&agent, extension).await;
        assert_eq!(back.columns(), rows.columns(), "{extension}");
        assert!(extension.ends_with("sv") || back.schema() == rows.schema(), "{extension}");
    }
    // JSON is written alone; head and get write the same.
    for (args, expected) in [
        (
            &["--format", "json", "--rows", "0..2"][..],
            "{\"number\":0,\"text\":\"row 0\"}\n{\"number\":1,\"text\":\"row 1\"}\n",
        ),
        (&["--format", "tsv", "--rows", "1..2"], "number\ttext\n1\trow 1\n"),
        (
            &["--format", "csv", "--rows", "1..2", "--columns", "text", "--columns", "number"],
            "text,number\nrow 1,1\n",
        ),
    ] {
        assert_eq!(stdout(&run(&agent, &[&["get", "source"], args].concat())), expected);
    }
    for (format, flag) in [("csv", Some("--csv")), ("json", Some("--json")), ("tsv", None)] {
        let head = stdout(&run(&agent, &["head", "source", "-n", "3", "--format", format]));
        assert_eq!(
            head,
            stdout(&run(&agent, &["get", "source", "--format", format, "--rows", "0..3"])),
            "{format}"
        );
        if let Some(flag) = flag {
            assert_eq!(head, stdout(&run(&agent, &["head", "source", "-n", "3", flag])));
        }
    }
    let lines = region.beside("rows.jsonl");
    stdout(&run(&agent, &["get", "source", "-o", lines.to_str().unwrap()]));
    let lines = std::fs::read_to_string(&lines).unwrap();
    assert_eq!(
        (lines.lines().count(), lines.lines().last()),
        (5000, Some("{\"number\":4999,\"text\":\"row 4999\"}"))
    );
    assert_eq!(run(&agent, &["put", "x", "-", "--format", "json"]).status.code(), Some(2));
    // What a name says, --format overrules; and it says what it can for others.
    let file = region.beside("rows.bin");
    let file = file.to_str().unwrap();
    assert_eq!(run(&agent, &["get", "source", "-o", file]).status.code(), Some(2));
    stdout(&run(&agent, &["get", "source", "-o", file, "--format", "parquet"]));
    stdout(&run(&agent, &["put", "detected", file]));
    assert_eq!(all(&agent, "detected").await, rows);
    assert_eq!(run(&agent, &["put", "x", file, "--format", "csv"]).status.code(), Some(8));
}

#[tokio::test]
async fn every_format_goes_through_pipes() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let rows = batch(0, 5000);
    agent.client().await.put("source", rows.schema(), vec![rows.clone()]).await.unwrap();
    for (format, detected) in [("ipc", true), ("stream", true), ("parquet", true), ("csv", false)] {
        let bytes = run(&agent, &["get", "source", "--format", format]).stdout;
        assert!(bytes.len() > 10_000, "{format}: {} bytes", bytes.len());
        stdout(&piped(&agent, &["put", "named", "-", "--format", format], &bytes));
        assert_eq!(all(&agent, "named").await.columns(), rows.columns(), "{format}");
        let found = piped(&agent, &["put", "detected", "-"], &bytes);
        assert_eq!(found.status.code(), Some(if detected { 0 } else { 8 }), "{}", stderr(&found));
    }
    let file = run(&agent, &["get", "source", "-o", "/dev/stdout", "--format", "ipc"]).stdout;
    assert!(file.starts_with(b"ARROW1") && file.ends_with(b"ARROW1"));
    stdout(&piped(&agent, &["put", "from-file", "-"], &file));
    assert_eq!(all(&agent, "from-file").await, rows);
}

#[tokio::test]
async fn compressed_files_are_told_how_they_are_unpacked() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    for (name, magic, advice) in [
        (
            "a.csv.gz",
            &b"\x1f\x8b\x08"[..],
            "gzip, and read only when it is unpacked. Try: `zcat PATH | farrow put NAME - --format csv`",
        ),
        ("a.tsv.zst", b"\x28\xb5\x2f\xfd", "Try: `zstdcat PATH | farrow put NAME - --format tsv`"),
        ("a.bz2", b"BZh9", "Try: `bzcat PATH | farrow put NAME - --format csv`"),
        ("a.parquet.xz", b"\xfd7zXZ\0", "Try: `xzcat PATH | farrow put NAME - --format parquet`"),
    ] {
        let file = region.beside(name);
        std::fs::write(&file, [magic, &[0; 100]].concat()).unwrap();
        let path = file.to_str().unwrap();
        // Also where the format is said.
        for more in [&[][..], &["--format", "csv"]] {
            let refused = run(&agent, &[&["put", "a", path], more].concat());
            assert_eq!(refused.status.code(), Some(8), "{name}");
            assert!(
                stderr(&refused).ends_with(&format!("{}\n", advice.replace("PATH", path))),
                "{}",
                stderr(&refused)
            );
        }
        let piped = piped(&agent, &["put", "a", "-"], &std::fs::read(&file).unwrap());
        assert_eq!(piped.status.code(), Some(8), "{name}");
        assert!(stderr(&piped).starts_with("farrow: stdin: is compressed by "), "{}", stderr(&piped));
    }
}

/// Each append has a dictionary of its own; an Arrow IPC file has one.
#[tokio::test]
async fn dictionaries_that_differ_become_one_in_a_file() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    for values in [["a", "b"], ["c", "a"]] {
        let keys: DictionaryArray<Int32Type> = values.into_iter().collect();
        let rows = RecordBatch::try_from_iter([("key", Arc::new(keys) as ArrayRef)]).unwrap();
        client.append("keys", rows.schema(), vec![rows]).await.unwrap();
    }
    for extension in ["arrow", "arrows", "parquet"] {
        let file = region.beside(&format!("keys.{extension}"));
        let file = file.to_str().unwrap();
        stdout(&run(&agent, &["get", "keys", "-o", file]));
        stdout(&run(&agent, &["put", "copy", file]));
        assert_eq!(stdout(&run(&agent, &["head", "--csv", "copy"])), "key\na\nb\nc\na\n", "{extension}");
        assert_eq!(client.get("copy").await.unwrap().schema(), client.get("keys").await.unwrap().schema());
    }
}

/// Together they have more values than a key of 8 bits tells apart.
#[tokio::test]
async fn keys_of_many_dictionaries_are_wide_enough_in_parquet() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let mut expected = "few,key\n".to_owned();
    for part in 0..3 {
        let values: Vec<String> = (0..100).map(|number| format!("{part}-{number}")).collect();
        values.iter().for_each(|value| expected += &format!("x,{value}\n"));
        let keys: DictionaryArray<Int8Type> = values.iter().map(String::as_str).collect();
        let few: DictionaryArray<Int8Type> = values.iter().map(|_| "x").collect();
        let item = Field::new_list_field(keys.data_type().clone(), true);
        let list = ListArray::new(
            Arc::new(item),
            OffsetBuffer::from_repeated_length(1, 100),
            Arc::new(keys.clone()),
            None,
        );
        let columns: [(&str, ArrayRef); 3] =
            [("few", Arc::new(few)), ("key", Arc::new(keys)), ("list", Arc::new(list))];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        client.append("keys", rows.schema(), vec![rows]).await.unwrap();
    }
    let file = region.beside("keys.parquet");
    let file = file.to_str().unwrap();
    stdout(&run(&agent, &["get", "keys", "-o", file]));
    stdout(&run(&agent, &["put", "copy", file]));
    assert_eq!(
        stdout(&run(&agent, &["head", "--csv", "-n", "300", "--columns", "few,key", "copy"])),
        expected
    );
    // The column whose keys are wide enough has them still.
    let schema = client.get("copy").await.unwrap().schema().clone();
    let keys = |at: usize| schema.field(at).data_type().clone();
    let of = |keys| DataType::Dictionary(Box::new(keys), Box::new(DataType::Utf8));
    assert_eq!((keys(0), keys(1)), (of(DataType::Int8), of(DataType::Int32)));
    let script = "import pyarrow.parquet as pq, sys; t = pq.read_table(sys.argv[1]); print(t.num_rows, len(set(t['key'].to_pylist())), len({k for l in t['list'].to_pylist() for k in l}))";
    match pyarrow(script, &[file]) {
        Some(told) => assert_eq!(stdout(&told).trim(), "300 300 300"),
        None => skipped("a Parquet file for pyarrow: no Python with pyarrow"),
    }
}

#[tokio::test]
async fn append_takes_the_frames_types_for_csv() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    stdout(&piped(&agent, &["append", "a", "-", "--format", "csv"], b"id,amount\n1,2.5\n"));
    // By themselves these would be whole numbers.
    stdout(&piped(&agent, &["append", "a", "-", "--format", "csv"], b"id,amount\n2,3\n"));
    assert_eq!(stdout(&run(&agent, &["get", "a", "--format", "csv"])), "id,amount\n1,2.5\n2,3.0\n");
    let other = piped(&agent, &["append", "a", "-", "--format", "csv"], b"id,sum\n2,3\n");
    assert_eq!(other.status.code(), Some(8));
    assert!(stderr(&other).contains("sum"), "{}", stderr(&other));
    assert_eq!(agent.client().await.stat("a").await.unwrap().version, 2);
}

#[tokio::test]
async fn append_by_name_takes_columns_in_any_order() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let csv = |more: &[&str], rows: &[u8]| {
        piped(&agent, &[&["append", "a", "-", "--format", "csv"], more].concat(), rows)
    };
    stdout(&csv(&[], b"id,amount\n1,2.5\n"));
    let swapped = b"amount,id\n3,2\n";
    let refused = csv(&[], swapped);
    assert_eq!(refused.status.code(), Some(8));
    assert!(
        stderr(&refused).contains("in this order. Try: `farrow append --by-name NAME FILE`"),
        "{}",
        stderr(&refused)
    );
    stdout(&csv(&["--by-name"], swapped));
    // Of an Arrow file the names, and types that are no smaller.
    let small = RecordBatch::try_from_iter_with_nullable([
        ("amount", Arc::new(Float32Array::from(vec![0.5])) as ArrayRef, false),
        ("id", Arc::new(Int8Array::from(vec![3])) as ArrayRef, false),
    ]);
    let file = region.beside("small.arrow");
    std::fs::write(&file, arrow_file(&[small.unwrap()])).unwrap();
    let file = file.to_str().unwrap();
    let refused = run(&agent, &["append", "a", file]);
    assert_eq!(refused.status.code(), Some(8));
    let told = stderr(&refused);
    assert!(told.ends_with("It fits by name: `farrow append --by-name NAME FILE`\n"), "{told}");
    stdout(&run(&agent, &["append", "--by-name", "a", file]));
    assert_eq!(stdout(&run(&agent, &["get", "a", "--format", "csv"])), "id,amount\n1,2.5\n2,3.0\n3,0.5\n");
    let other = csv(&["--by-name"], b"id,sum\n2,3\n");
    assert_eq!(other.status.code(), Some(8));
    assert!(stderr(&other).contains("they must be the same"), "{}", stderr(&other));
}

#[test]
fn text_that_is_not_csv_as_it_is_expected_is_told_what_helps() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let put = |more: &[&str], text: &[u8]| piped(&agent, &[&["put", "a", "-"], more].concat(), text);
    let csv = ["--format", "csv"];
    for (text, other) in [(&b"id;name\n1;x\n"[..], ";"), (b"id\tname\n", "\\t"), (b"id|name\n", "|")] {
        let told = stderr(&put(&csv, text));
        let hint = format!("the first line is one column: if it is several, --delimiter '{other}'\n");
        assert!(told.starts_with(&hint), "{told}");
        assert!(
            !stderr(&put(&[&csv[..], &["--delimiter", other]].concat(), text)).contains("if it is several")
        );
    }
    // Numbers with a decimal comma have more fields than the one column of the first line.
    let refused = put(&csv, b"id;price\n1;1,5\n");
    assert_eq!(refused.status.code(), Some(8));
    assert!(stderr(&refused).starts_with("the first line is one column"), "{}", stderr(&refused));
    assert!(!stderr(&put(&csv, b"a;b,c\n1,2\n")).contains("if it is several"));
    let refused = put(&csv, b"a,b\n1,f\xfcr\n");
    assert_eq!(refused.status.code(), Some(8));
    let told = stderr(&refused);
    assert!(
        told.contains("is no text in UTF-8 (the byte at 7). Try: `iconv -f ENCODING -t utf-8 "),
        "{told}"
    );
    for text in [&b"{\"a\": 1}\n"[..], b"[{\"a\": 1}]"] {
        let told = stderr(&put(&[], text));
        assert!(told.contains("JSON is written, and not read: use Arrow IPC, Parquet or CSV"), "{told}");
    }
}

/// A shell expands patterns, and not the command: as with ripgrep and uv.
#[test]
fn a_pattern_in_quotes_is_told_to_be_none() {
    let region = Region::new("24MiB");
    let agent = region.agent();
    let told = stderr(&run(&agent, &["put", "data/", "nowhere/*.csv"]));
    let expected = "nowhere/*.csv: No such file or directory (os error 2): patterns are the shell's, which expands none in \
                    quotes. Try: the same without quotes";
    assert!(told.contains(expected), "{told}");
    let told = stderr(&run(&agent, &["put", "data/", "nowhere.csv"]));
    assert!(told.ends_with("nowhere.csv: No such file or directory (os error 2)\n"), "{told}");
}

#[tokio::test]
async fn a_file_is_there_complete_or_not_at_all() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let rows = batch(0, 1000);
    agent.client().await.put("source", rows.schema(), vec![rows]).await.unwrap();
    let directory = region.beside("out");
    std::fs::create_dir(&directory).unwrap();
    let file = directory.join("rows.csv");
    std::fs::write(&file, "what was there").unwrap();
    // Columns of lists are nothing for CSV: found after the file was begun.
    let script = "import pyarrow as pa, sys; w = pa.ipc.new_file(sys.argv[1], s := pa.schema([('l', pa.list_(pa.int32()))])); w.write(pa.table({'l': [[1]]}, s)); w.close()";
    let lists = region.beside("lists.arrow");
    if pyarrow(script, &[lists.to_str().unwrap()]).is_some() {
        stdout(&run(&agent, &["put", "lists", lists.to_str().unwrap()]));
        let refused = run(&agent, &["get", "lists", "-o", file.to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "what was there");
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
    } else {
        skipped("a file that cannot be written: no Python with pyarrow");
    }
    // The error names the path that was asked for, and no file of ours.
    let nowhere = directory.join("none/x.csv");
    let refused = stderr(&run(&agent, &["get", "source", "-o", nowhere.to_str().unwrap()]));
    let (nowhere, none) = (nowhere.display(), directory.join("none"));
    assert_eq!(refused, format!("farrow: {nowhere}: there is no directory {}\n", none.display()));
    for nowhere in ["none/", "none/.", "rows.csv/"] {
        let nowhere = directory.join(nowhere);
        let refused = run(&agent, &["get", "source", "-o", nowhere.to_str().unwrap()]);
        assert_eq!((refused.status.code(), directory.join("none").exists()), (Some(2), false), "{nowhere:?}");
        assert!(stderr(&refused).contains("no such directory"), "{}", stderr(&refused));
    }
    let here = stdout(&run(&agent, &["get", "source", "-o", "/dev/stdout", "--format", "csv"]));
    assert!(here.starts_with("number,text\n0,row 0\n"), "{here}");
    // A link stays one.
    let link = directory.join("link.csv");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    stdout(&run(&agent, &["get", "source", "-o", link.to_str().unwrap()]));
    assert!(
        link.is_symlink() && std::fs::read_to_string(&file).unwrap().starts_with("number,text\n0,row 0\n")
    );
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 2);
    assert_eq!(run(&agent, &["get", "source", "-o", directory.to_str().unwrap()]).status.code(), Some(2));
}

#[tokio::test]
async fn memory_does_not_grow_with_what_is_put() {
    let region = Region::new("512MiB");
    let agent = region.agent();
    let file = region.beside("rows.csv");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&file).unwrap());
    for row in 0..6_000_000 {
        writeln!(out, "{row},{row}.5,a text that is as long as this one").unwrap();
    }
    out.flush().unwrap();
    drop(out);
    let rows = std::fs::metadata(&file).unwrap().len();
    assert!(rows > 300 << 20, "{rows} bytes");
    // Memory of its own, not the region's that it maps: RLIMIT_DATA counts private writable memory.
    let mut command = Command::new("prlimit");
    command.arg(format!("--data={}", 350 << 20)).arg(program("farrow"));
    command.args(["put", "rows", file.to_str().unwrap(), "--no-header", "--address", agent.socket()]);
    let Ok(output) = command.output() else { return skipped("bounded memory: no prlimit") };
    assert!(stderr(&output).contains("rows@1: 6000000 rows"), "{}", stderr(&output));
    // As much is read as is written, and no more: the same holds for the other direction.
    let mut command = Command::new("prlimit");
    command.arg(format!("--data={}", 350 << 20)).arg(program("farrow"));
    let copy = region.beside("rows.parquet");
    command.args(["get", "rows", "-o", copy.to_str().unwrap(), "--address", agent.socket()]);
    let output = command.output().unwrap();
    assert!(stderr(&output).contains("rows@1: 6000000 rows to"), "{}", stderr(&output));
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let rows = batch(0, 500_000);
    agent.client().await.put("a", rows.schema(), vec![rows]).await.unwrap();
    for verb in [
        &["get", "a"][..],
        &["get", "a", "--format", "csv"],
        &["get", "a", "--format", "parquet"],
        &["head", "-n", "400000", "a"],
        &["head", "-n", "400000", "--csv", "a"],
    ] {
        let mut command = Command::new(program("farrow"));
        command.args(verb).args(["--address", agent.socket()]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 100];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut first).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{verb:?}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{verb:?}");
    }
}

#[tokio::test]
async fn a_get_that_is_told_to_end_leaves_nothing() {
    let region = Region::new("128MiB");
    let agent = region.agent();
    // As text, seconds.
    let rows = mebibytes(0, 64);
    agent.client().await.put("a", rows.schema(), vec![rows]).await.unwrap();
    let directory = region.beside("out");
    std::fs::create_dir(&directory).unwrap();
    let files = || -> Vec<_> {
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    // The tests themselves may have been started by nohup.
    let told = |env: &str, signals: &[Signal]| {
        let mut command = Command::new("env");
        command.arg("--default-signal").arg(env).arg(program("farrow"));
        command.args(["get", "a", "--address", agent.socket(), "-o"]).arg(directory.join("a.csv"));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        // Told at once: there must be no moment at which the file is there and nobody would remove it.
        while files().is_empty() {
            assert!(child.try_wait().unwrap().is_none(), "it ended without a file");
        }
        assert!(files()[0].to_string_lossy().ends_with(".part"), "{:?}", files());
        for signal in signals {
            kill_process(Pid::from_child(&child), *signal).unwrap();
        }
        let status = child.wait().unwrap();
        assert!(files().is_empty(), "{:?}", files());
        status.signal().unwrap_or_else(|| panic!("{status}"))
    };
    for signal in [Signal::INT, Signal::TERM, Signal::HUP].into_iter().cycle().take(30) {
        assert_eq!(told("--default-signal", &[signal]), signal.as_raw());
    }
    // What was ignored before stays ignored.
    assert_eq!(told("--ignore-signal=HUP", &[Signal::HUP, Signal::TERM]), Signal::TERM.as_raw());
}

#[tokio::test]
async fn head_schema_and_stat_tell_of_a_frame() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let text = "id,day,text\n1,2020-01-31,short\n2,,\"a\u{1b}[2Jb\"\n3,2020-02-01,0123456789012345678901234567890123456789x\n";
    stdout(&piped(&agent, &["put", "a", "-", "--format", "csv"], text.as_bytes()));
    let head = run(&agent, &["head", "-n", "2", "a"]);
    assert_eq!(stdout(&head), "id  day         text\n 1  2020-01-31  short\n 2              a\\u{1b}[2Jb\n");
    assert_eq!(stderr(&head), "2 of 3 rows\n");
    let all = run(&agent, &["head", "--columns", "text,id", "a@1"]);
    let long = "0123456789012345678901234567890123456789".split_at(39).0;
    assert!(stdout(&all).ends_with(&format!("{long}…   3\n")), "{}", stdout(&all));
    assert_eq!(stderr(&all), "");
    assert_eq!(stdout(&run(&agent, &["head", "--csv", "--columns", "id", "-n", "1", "a"])), "id\n1\n");
    assert_eq!(
        stdout(&run(&agent, &["head", "--json", "-n", "2", "a"])),
        "{\"id\":1,\"day\":\"2020-01-31\",\"text\":\"short\"}\n\
         {\"id\":2,\"day\":null,\"text\":\"a\\u001b[2Jb\"}\n"
    );
    assert_eq!(run(&agent, &["head", "--columns", "none", "a"]).status.code(), Some(2));
    stdout(&piped(&agent, &["put", "odd", "-", "--format", "csv"], b"\"a,b\",c,\"d\"\"e\"\n1,2,3\n"));
    for args in [
        &["--columns", "c,\"a,b\",d\"e"][..],
        &["--columns", "c", "--columns", "\"a,b\"", "--columns", "d\"e"],
    ] {
        assert_eq!(
            stdout(&run(&agent, &[&["head", "odd", "--json"], args].concat())),
            "{\"c\":2,\"a,b\":1,\"d\\\"e\":3}\n"
        );
    }
    for names in ["", "a\nb"] {
        let refused = run(&agent, &["head", "odd", "--columns", names]);
        assert!(
            stderr(&refused).contains("expected names of columns with commas between them"),
            "{}",
            stderr(&refused)
        );
    }

    assert_eq!(
        stdout(&run(&agent, &["schema", "a"])),
        "column  type\nid      Int64\nday     Date32\ntext    Utf8\n"
    );
    let json = stdout(&run(&agent, &["schema", "--json", "a"]));
    let columns: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&columns[1]["name"], &columns[1]["type"]), (&"day".into(), &"Date32".into()));

    let stat = stdout(&run(&agent, &["stat", "a"]));
    assert!(stat.starts_with("frame      a@1\nrows       3\n"), "{stat}");
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&run(&agent, &["stat", "--json", "a@1"]))).unwrap();
    assert_eq!(
        (&json["rows"], &json["validation"], &json["foreign"]),
        (&3.into(), &"values".into(), &false.into())
    );
}

/// Files as other programs write them.
#[tokio::test]
async fn files_of_pyarrow_are_understood() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let directory = region.beside("py");
    std::fs::create_dir(&directory).unwrap();
    let script = r"
import sys, pyarrow as pa, pyarrow.csv, pyarrow.feather, pyarrow.parquet as pq
t = pa.table({'id': range(1000), 'text': [f'row {i}' for i in range(1000)],
              'key': pa.array(['a', 'b'] * 500).dictionary_encode(), 'list': [[i, None] for i in range(1000)]})
d = sys.argv[1]
pyarrow.feather.write_feather(t, d + '/lz4.feather')
pyarrow.feather.write_feather(t, d + '/zstd.feather', compression='zstd', chunksize=100)
for codec in ['none', 'snappy', 'gzip', 'zstd', 'lz4']:
    pq.write_table(t, f'{d}/{codec}.parquet', compression=codec, row_group_size=300)
pyarrow.csv.write_csv(t.select(['id', 'text']), d + '/plain.csv')
with pa.ipc.new_stream(d + '/stream.arrows', t.schema) as w:
    w.write_table(t, max_chunksize=70)
";
    let Some(written) = pyarrow(script, &[directory.to_str().unwrap()]) else {
        return skipped("files of pyarrow: no Python with pyarrow");
    };
    stdout(&written);
    let mut files = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let put = run(&agent, &["put", "a", path.to_str().unwrap()]);
        assert!(stderr(&put).contains(": 1000 rows, "), "{}", stderr(&put));
        let rows = all(&agent, "a").await;
        assert_eq!(
            stdout(&run(&agent, &["head", "-n", "1", "--csv", "--columns", "id,text", "a"])),
            "id,text\n0,row 0\n"
        );
        assert_eq!(rows.num_columns(), if path.extension().unwrap() == "csv" { 2 } else { 4 }, "{path:?}");
        files += 1;
    }
    assert_eq!(files, 9);
}
