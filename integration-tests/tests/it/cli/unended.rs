//! Rows that end where perhaps more were to come.

use arrow_ipc::writer::StreamWriter;
use farrow_integration_tests::{Region, batch};

use super::rows::piped;
use super::stderr;

const END_MARK: usize = 8;

#[tokio::test]
async fn a_stream_without_its_end_mark_is_put_with_a_warning() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    for batches in 0..3 {
        let rows = batch(0, 10);
        let mut stream = StreamWriter::try_new(Vec::new(), &rows.schema()).unwrap();
        (0..batches).for_each(|_| stream.write(&rows).unwrap());
        let stream = stream.into_inner().unwrap();
        for (bytes, warned) in [(&stream[..], false), (&stream[..stream.len() - END_MARK], true)] {
            let put = piped(&agent, &["put", "a", "-", "--quiet"], bytes);
            assert!(put.status.success(), "{}", stderr(&put));
            let told = stderr(&put);
            assert_eq!(
                told.contains("farrow: warning: stdin: the stream ends without its end mark"),
                warned,
                "{told}"
            );
            assert_eq!(told.lines().count(), usize::from(warned), "{told}");
            assert_eq!(agent.client().await.get("a").await.unwrap().rows(), 10 * batches);
        }
        // Within the mark it is cut off for certain.
        let put = piped(&agent, &["put", "a", "-"], &stream[..stream.len() - 1]);
        assert_eq!(put.status.code(), Some(8), "{}", stderr(&put));
    }
}

#[test]
fn csv_that_ends_within_quotes_is_refused() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let put = piped(&agent, &["put", "a", "-", "--format", "csv"], b"a,b\n1,\"x\n2,y\n");
    assert_eq!(put.status.code(), Some(8));
    assert!(
        stderr(&put).contains("stdin: Csv error: line 2, character 3: a quote is opened here"),
        "{}",
        stderr(&put)
    );
}
