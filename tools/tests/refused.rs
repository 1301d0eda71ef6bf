//! Logs whose bytes are sound, with a command that cannot be carried out: no start gets past it.

mod support;

use mainstay::disk::RealDisk;
use mainstay::env::seeded_random;
use mainstay::log::frame::{Codec, FrameHeader, FrameKind};
use mainstay::log::segment::Identity;
use mainstay::log::{SalvageWriter, Timeline, TimelineId};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use support::{Client, Server, info, tool_json, tool_says};

/// A frame: the database selected where it begins, and its commands.
type Frame = (u32, &'static [&'static str]);

/// Writes a data set of these frames to `home`, and gives the LSNs at which the commands of each
/// begin, and its end.
fn write(home: &Path, frames: &[Frame]) -> Vec<Vec<u64>> {
    let dir = home.join("mainstay");
    fs::create_dir_all(&dir).unwrap();
    let mut random = seeded_random(1);
    let dataset = Identity::random(&mut *random);
    let timeline = Timeline { id: TimelineId::random(&mut *random), begin_lsn: 0 };
    let identity = (dataset, &[timeline][..]);
    let mut writer = SalvageWriter::new(Arc::new(RealDisk), &dir, identity, random, 1);
    let mut places = Vec::new();
    for (db, lines) in frames {
        let (mut payload, mut lsns) = (Vec::new(), Vec::new());
        let lsn = writer.lsn();
        for line in *lines {
            lsns.push(lsn + payload.len() as u64);
            let words: Vec<&str> = line.split(' ').collect();
            Client::encode(&mut payload, &words);
        }
        lsns.push(lsn + payload.len() as u64);
        places.push(lsns);
        let bytes = payload.len() as u64;
        let header = FrameHeader {
            stored_bytes: bytes,
            raw_bytes: bytes,
            lsn,
            time_ms: 1_700_000_000_000,
            durable_lsn: 0,
            payload_checksum: 0,
            db: *db,
            kind: FrameKind::Commands,
            codec: Codec::None,
        };
        writer.frame(&header, &payload).unwrap();
    }
    writer.finish().unwrap();
    places
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn value(client: &mut Client, db: u32, key: &str) -> String {
    client.call(&format!("SELECT {db}"));
    client.call(&format!("GET {key}")).text()
}

const FRAMES: &[Frame] =
    &[(0, &["SET before 1"]), (2, &["SET a 1", "LPUSH a x", "SET b 2"]), (0, &["SET after 1"])];

#[test]
fn verify_deep_finds_the_command_and_without_it_verify_says_what_it_did_not_do() {
    let home = tempfile::tempdir().unwrap();
    let lsns = write(home.path(), FRAMES);
    let shallow = tool_json(0, &["verify", text(home.path())]);
    assert_eq!((&shallow["sound"], &shallow["executed"]), (&true.into(), &false.into()));
    let remarks = shallow["remarks"].to_string();
    assert!(remarks.contains("its commands were not executed: --deep does that"), "{remarks}");

    let deep = tool_json(1, &["verify", "--deep", text(home.path())]);
    assert_eq!((&deep["sound"], &deep["executed"]), (&false.into(), &true.into()));
    let finding = &deep["findings"][0];
    assert_eq!(finding["lsn"], serde_json::json!([lsns[1][1], lsns[1][2]]));
    assert!(finding["damage"].to_string().contains("'LPUSH' was answered with: WRONGTYPE"));
}

#[test]
fn verify_deep_executes_what_is_sound() {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), &[(0, &["SET a 1"]), (3, &["MULTI", "SET b 1", "EXEC"])]);
    let deep = tool_json(0, &["verify", "--deep", text(home.path())]);
    assert_eq!((&deep["sound"], &deep["executed"]), (&true.into(), &true.into()));
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/v1/closed");
    assert_eq!(tool_json(0, &["verify", "--deep", golden])["executed"], true);
}

#[test]
fn repair_passes_over_a_command_that_no_start_can_carry_out() {
    let home = tempfile::tempdir().unwrap();
    let lsns = write(home.path(), FRAMES);
    let out = home.path().join("out");
    let report = tool_json(1, &["repair", text(home.path()), "--out", text(&out)]);
    let lost = report["lost"].as_array().unwrap();
    assert_eq!(lost.len(), 1, "{report}");
    assert_eq!((&lost[0]["lsn"], &lost[0]["end_lsn"]), (&lsns[1][1].into(), &lsns[1][2].into()));
    assert!(lost[0]["place"].to_string().contains("WRONGTYPE"), "{report}");
    assert_eq!(report["end_lsn"], lsns[2][1]);

    let server = Server::start(&out, &[]);
    let mut client = server.client();
    assert_eq!(info(&mut client, "log_lost_bytes"), (lsns[1][2] - lsns[1][1]).to_string());
    for (db, key, expected) in [(0, "before", "1"), (2, "a", "1"), (2, "b", "2"), (0, "after", "1")]
    {
        assert_eq!(value(&mut client, db, key), expected, "{key}");
    }
    server.stop();
    tool_says(0, &["verify", "--deep", text(&out)]);
}

#[test]
fn a_transaction_with_such_a_command_is_lost_whole_and_the_database_it_selects_stays_selected() {
    let home = tempfile::tempdir().unwrap();
    let frames: &[Frame] = &[
        (0, &["SET a 1", "MULTI", "SET b 1", "SELECT 5", "NOCOMMAND x", "EXEC", "SET c 1"]),
        (5, &["NOCOMMAND y", "SET d 1"]),
    ];
    let lsns = write(home.path(), frames);
    let out = home.path().join("out");
    let report = tool_json(1, &["repair", text(home.path()), "--out", text(&out)]);
    let lost: Vec<_> =
        report["lost"].as_array().unwrap().iter().map(|l| (&l["lsn"], &l["end_lsn"])).collect();
    let expected = [(lsns[0][1].into(), lsns[0][6].into()), (lsns[1][0].into(), lsns[1][1].into())];
    assert_eq!(
        lost,
        expected.iter().map(|(a, b)| (a, b)).collect::<Vec<(&serde_json::Value, _)>>()
    );
    let server = Server::start(&out, &[]);
    let mut client = server.client();
    assert_eq!(value(&mut client, 0, "a"), "1");
    assert_eq!(value(&mut client, 5, "c"), "1");
    assert_eq!(value(&mut client, 5, "d"), "1");
    client.call("SELECT 0");
    assert_eq!(client.call("EXISTS b").int(), 0);
    server.stop();
}

#[test]
fn a_prefix_ends_before_such_a_command() {
    let home = tempfile::tempdir().unwrap();
    let lsns = write(home.path(), FRAMES);
    let out = home.path().join("out");
    let report = tool_json(1, &["repair", "--prefix", text(home.path()), "--out", text(&out)]);
    assert_eq!(report["end_lsn"], lsns[1][1]);
    let server = Server::start(&out, &[]);
    let mut client = server.client();
    assert_eq!(value(&mut client, 2, "a"), "1");
    assert_eq!(client.call("EXISTS b").int(), 0);
    server.stop();
}
