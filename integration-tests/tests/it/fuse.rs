//! A famfs that a daemon serves over FUSE, which answers statfs of no file, fallocates nothing, and keeps locks loosely.

use std::process::Command;

use farrow_integration_tests::{FuseMount, Region, arrow_file, batch, famfs, farrow, skipped};

use crate::mount::a_life_of_frames;

#[tokio::test]
async fn a_famfs_over_fuse_is_served_as_any_other() {
    let below = Region::mounted_empty(24);
    assert!(below.mkfs(&["--reserve", "4M"]).status.success());
    // Over FUSE a page that was read once stays in the kernel's cache: what is made below is made before that.
    let (rows, name) = (batch(5, 1000), "foreign.arrow");
    let bytes = arrow_file(std::slice::from_ref(&rows));
    let (len, place) = (bytes.len().to_string(), below.path.join(name));
    let creat = ["creat", "-C", "0", "-N", "0", "-B", "0", "-m", "0600", "-s", &len];
    assert!(Command::new(famfs()).args(creat).arg(&place).status().unwrap().success());
    std::fs::write(place, &bytes).unwrap();

    let fuse = match FuseMount::of(&below.path, &below.beside("fuse")) {
        Ok(fuse) => fuse,
        Err(error) => {
            return skipped(&format!("a famfs over FUSE: this process may not mount one ({error})"));
        }
    };
    let pool = fuse.root().join("farrow/pool/0000");
    assert_eq!(rustix::fs::statfs(&pool).unwrap_err(), rustix::io::Errno::BADF);
    rustix::fs::statfs(fuse.root()).unwrap();

    let region = Region::at(fuse.root().to_owned());
    a_life_of_frames(&region, "").await;
    {
        let agent = region.agent();
        let client = agent.client().await;
        let frame = client.get(name).await.unwrap();
        assert!(frame.zero_copy() && frame.batch(0).unwrap() == rows, "{:?}", frame.why());
        client.put("own", rows.schema(), vec![rows]).await.unwrap();
        let found = farrow(&["doctor", "--address", agent.socket()]);
        let told = String::from_utf8_lossy(&found.stdout).into_owned();
        assert!(found.status.success() && told.contains("a mounted famfs"), "{told}");
    }
    let log = below.path.join(".meta/.log");
    assert!(!fuse.locked().contains(&log), "a lock there would be taken from famfs's tools");
    drop(region);
}
