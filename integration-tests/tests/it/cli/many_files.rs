//! Several files in one put or append.

use farrow_integration_tests::{Region, farrow};

use super::{stderr, stdout};

#[tokio::test]
async fn each_file_is_a_frame_and_what_fails_is_named() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let run = |args: &[&str]| farrow(&[args, &["--address", agent.socket()]].concat());
    let file = |name: &str, text: &str| {
        let path = region.beside(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let (one, two) = (file("one.csv", "n\n1\n"), file("two.v2.csv", "n\n2\n3\n"));

    let put = run(&["put", "sales/2024/", &one, &two]);
    assert_eq!((put.status.code(), stdout(&put).as_str()), (Some(0), ""));
    let told = stderr(&put);
    assert!(
        told.starts_with("sales/2024/one@1: 1 row, ") && told.contains("\nsales/2024/two.v2@1: 2 rows, "),
        "{told}"
    );
    // One file below a prefix, and one at the top.
    stdout(&run(&["put", "sales/", &one]));
    stdout(&run(&["put", "/", &one]));
    assert_eq!(stdout(&run(&["ls"])), "one\nsales/2024/one\nsales/2024/two.v2\nsales/one\n");

    // What fails does not keep the others, and its code is the whole's where all that failed have it.
    let (bad, gone) = (file("bad.csv", "a,b\n1,2\n3\n"), region.beside("gone.csv"));
    let gone = gone.to_str().unwrap();
    let mixed = run(&["put", "mixed/", &bad, &one, gone]);
    assert_eq!(mixed.status.code(), Some(8));
    let told = stderr(&mixed);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 4, "{told}");
    assert!(lines[0].starts_with(&format!("farrow: {bad}: ")) && lines[0].contains("line 3"), "{told}");
    assert!(
        lines[1].starts_with("mixed/one@1: 1 row, ") && lines[2].contains("gone.csv: No such file"),
        "{told}"
    );
    assert_eq!(lines[3], "farrow: 2 of 3 files not published, for the reasons above");
    let odd = file("at@home.csv", "n\n1\n");
    let odd = run(&["put", "mixed/", &odd, gone]);
    assert_eq!(odd.status.code(), Some(1), "an impossible name, and a file that is not there");
    let named = format!("farrow: {}: ", region.beside("at@home.csv").to_str().unwrap());
    assert!(stderr(&odd).starts_with(&named), "{}", stderr(&odd));
    assert_eq!(stdout(&run(&["ls", "mixed"])), "mixed/one\n");

    // What cannot be meant is refused before anything is published.
    let other = file("other/one.csv", "n\n1\n");
    for (args, told) in [
        (&["put", "x/", &one, &other][..], "would both be the frame \"x/one\""),
        (&["put", "x", &one, &two], "`farrow put x/ FILE...`"),
        (&["put", "x/", "-"], "- has no name for a frame"),
    ] {
        let refused = run(args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}");
        assert!(stderr(&refused).contains(told), "{args:?}: {}", stderr(&refused));
    }
    assert_eq!(stdout(&run(&["ls", "x*"])), "");

    // Appended in their order, each a version.
    let appended = run(&["append", "all", &one, gone, &two]);
    assert_eq!(appended.status.code(), Some(8));
    assert!(stderr(&appended).ends_with("farrow: 1 of 3 files not published, for the reasons above\n"));
    let all = client.stat("all").await.unwrap();
    assert_eq!((all.version, all.rows), (2, Some(3)));
    assert_eq!(stdout(&run(&["head", "--csv", "all"])), "n\n1\n2\n3\n");
}
