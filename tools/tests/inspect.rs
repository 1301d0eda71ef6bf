//! `mainstay-tool inspect`.

mod support;

use mainstay::env::seeded_random;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use support::*;

/// A far future, as Unix time in ms.
const LATER_MS: i64 = 4_102_444_800_000;

/// Keys of all types and encodings: key, type, encoding, elements, expiry time.
type Expected = (&'static str, &'static str, &'static str, Option<u64>, Option<i64>);

const KEYS: [Expected; 14] = [
    ("n:1", "string", "int", None, None),
    ("n:2", "string", "embstr", None, Some(LATER_MS)),
    ("n:long", "string", "raw", None, None),
    ("l:small", "list", "listpack", Some(3), None),
    ("l:big", "list", "quicklist", Some(2000), None),
    ("s:numbers", "set", "intset", Some(3), None),
    ("s:small", "set", "listpack", Some(2), None),
    ("s:big", "set", "hashtable", Some(600), None),
    ("z:small", "zset", "listpack", Some(2), None),
    ("z:big", "zset", "skiplist", Some(600), None),
    ("h:small", "hash", "listpack", Some(2), None),
    ("h:expiring", "hash", "listpackex", Some(2), None),
    ("h:big", "hash", "hashtable", Some(600), None),
    ("x", "stream", "stream", Some(2), None),
];

fn write_all(set: &mut DataSet) {
    let many = |command: &str, element: fn(usize) -> String, count: usize| {
        let elements: Vec<String> = (0..count).map(element).collect();
        format!("{command} {}", elements.join(" "))
    };
    let lines = [
        "SET n:1 12345".to_owned(),
        format!("SET n:2 text PXAT {LATER_MS}"),
        format!("SET n:long {}", "x".repeat(5000)),
        "RPUSH l:small a b c".to_owned(),
        many("RPUSH l:big", |n| format!("element:{n}"), 2000),
        "SADD s:numbers 1 2 3".to_owned(),
        "SADD s:small a b".to_owned(),
        many("SADD s:big", |n| format!("member:{n}"), 600),
        "ZADD z:small 1 a 2 b".to_owned(),
        many("ZADD z:big", |n| format!("{n} member:{n}"), 600),
        "HSET h:small a 1 b 2".to_owned(),
        "HSET h:expiring a 1 b 2".to_owned(),
        format!("HPEXPIREAT h:expiring {LATER_MS} FIELDS 1 a"),
        many("HSET h:big", |n| format!("field:{n} value:{n}"), 600),
        "XADD x 1-1 a 1".to_owned(),
        "XADD x 2-1 a 1".to_owned(),
    ];
    for line in lines {
        set.line(&line);
        set.clock.advance_us(1_000_000);
        set.sync();
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

fn sum(list: &Json, of: &str) -> u64 {
    list.as_array().unwrap().iter().map(|item| item[of].as_u64().unwrap()).sum()
}

#[test]
fn what_was_written_is_what_is_said() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mainstay");
    let mut set = DataSet::create(&dir, START_MS);
    write_all(&mut set);
    set.line("SELECT 3");
    set.line("SET other:1 x");
    set.close();
    let before = files(&dir);

    // The directory that it lies in leads there as well.
    let report = tool_json(0, &["inspect", path(home.path())]);
    assert_eq!(report["is_live"], false);
    let contents = &report["contents"];
    assert_eq!(contents["keys"], KEYS.len() + 1);
    assert_eq!(contents["expiring"], 1);
    assert_eq!(sum(&contents["databases"], "keys"), KEYS.len() as u64 + 1);
    assert_eq!(contents["databases"][1]["db"], 3);
    let bytes = contents["bytes"].as_u64().unwrap();
    for list in ["databases", "encodings", "lives", "sizes"] {
        assert_eq!(sum(&contents[list], "bytes"), bytes, "{list}");
    }
    assert_eq!(contents["prefixes"]["bytes"], bytes);
    assert_eq!(contents["field_expiry"]["hashes"], 1);
    assert_eq!(contents["field_expiry"]["fields"], 1);
    let mut groups = BTreeMap::new();
    for group in contents["encodings"].as_array().unwrap() {
        let name = (group["type"].as_str().unwrap(), group["encoding"].as_str().unwrap());
        groups.insert(name, (group["keys"].as_u64().unwrap(), group["elements"].as_u64()));
    }
    for (_, kind, encoding, elements, _) in KEYS {
        let keys = if encoding == "embstr" { 2 } else { 1 };
        assert_eq!(groups[&(kind, encoding)], (keys, elements), "{kind} {encoding}");
    }
    assert_eq!(contents["biggest"][0]["key"], "l:big");
    assert_eq!(contents["biggest"].as_array().unwrap().len(), KEYS.len() + 1);

    let log = &report["log"];
    assert_eq!(log["damaged"], 0);
    // One was written with `SELECT`, and so was the very first.
    assert_eq!(log["commands"], 16 + 1 + 2);
    assert_eq!(contents["lsn"], log["bytes"]);
    assert_eq!(log["first_time_ms"], START_MS + 1000);
    assert_eq!(sum(&log["rate"]["buckets"], "bytes"), log["bytes"].as_u64().unwrap());
    assert_eq!(log["rate"]["begin_ms"].as_i64().unwrap(), START_MS + 1000);
    assert_eq!(report["files"].as_array().unwrap().len(), 1);
    assert_eq!(report["files"][0]["state"], "sealed");
    assert_eq!(report["files"][0]["frames"]["end_lsn"], contents["lsn"]);

    // The same for people, and with less of it.
    let text = tool_says(0, &["inspect", path(&dir)]);
    assert!(text.contains("15 keys") && text.contains("Memory by prefix"), "{text}");
    let filtered = |options: &[&str]| {
        let args = [&["inspect", path(&dir)], options].concat();
        tool_json(0, &args)["contents"]["keys"].as_u64().unwrap()
    };
    assert_eq!(filtered(&["--db", "3"]), 1);
    assert_eq!(filtered(&["--match", "*:small"]), 4);
    assert_eq!(filtered(&["--type", "hash", "--type", "zset"]), 5);
    assert_eq!(filtered(&["--type", "hash", "--match", "*:big", "--db", "0"]), 1);
    let top = tool_json(0, &["inspect", path(&dir), "--top", "2"]);
    assert_eq!(top["contents"]["biggest"].as_array().unwrap().len(), 2);
    assert_eq!(files(&dir), before, "inputs are left alone");
}

#[test]
fn keys_come_one_a_line() {
    let home = tempfile::tempdir().unwrap();
    let mut set = DataSet::create(home.path(), START_MS);
    write_all(&mut set);
    set.run(&[b"SET", b"line\nbreak \xff", b"x"]);
    set.close();
    let lines = tool_says(0, &["inspect", path(home.path()), "--keys"]);
    assert_eq!(lines.lines().count(), KEYS.len() + 1);
    let line = lines.lines().find(|line| line.ends_with("\\nbreak \\xff")).expect("it is escaped");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..3], ["0", "string", "embstr"]);
    assert_eq!(words[4..6], ["-", "-"]);

    let lines = tool_says(0, &["inspect", path(home.path()), "--keys", "--json"]);
    let keys: BTreeMap<String, Json> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is an object"))
        .map(|key: Json| (key["key"].as_str().unwrap_or("no text").to_owned(), key))
        .collect();
    assert_eq!(keys["no text"]["key"]["base64"], "bGluZQpicmVhayD/");
    for (name, kind, encoding, elements, expiry_ms) in KEYS {
        let key = &keys[name];
        assert_eq!((&key["type"], &key["encoding"]), (&kind.into(), &encoding.into()), "{name}");
        assert_eq!((key["elements"].as_u64(), key["expiry_ms"].as_i64()), (elements, expiry_ms));
    }
    assert_eq!(
        tool_says(0, &["inspect", path(home.path()), "--keys", "--match", "n:*"]).lines().count(),
        3
    );
}

#[test]
fn the_page_is_one_file_and_names_stay_text() {
    let home = tempfile::tempdir().unwrap();
    let (dir, page) = (home.path().join("<b>&data"), home.path().join("page.html"));
    let mut set = DataSet::create(&dir, START_MS);
    write_all(&mut set);
    set.run(&[b"SET", b"<script>alert(1)</script>:\"'&amp;", b"x"]);
    set.run(&[b"SET", b"</title></svg></table><img src=x onerror=alert(1)>", &b"x".repeat(9000)]);
    set.close();
    assert_eq!(tool_says(0, &["inspect", path(&dir), "--html", path(&page)]), "");
    let text = fs::read_to_string(&page).unwrap();
    for hostile in
        ["<script", "<img", "<b>", "onerror=alert(1)>", "http:", "https:", "url(", "@import"]
    {
        assert!(!text.contains(hostile), "{hostile}");
    }
    assert!(text.contains("&lt;img src=x onerror=alert(1)&gt;"));
    for section in ["Memory by prefix", "Write rate", "Biggest keys", "Files", "<svg", "l:big"] {
        assert!(text.contains(section), "{section}");
    }
    // Every element that is opened is closed, in order, so that no text was taken for one.
    let (mut open, mut rest) = (Vec::new(), text.as_str());
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, behind) = after.split_once('>').expect("tags end");
        rest = behind;
        let name = tag.split([' ', '/']).find(|name| !name.is_empty()).unwrap();
        match tag {
            _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name)),
            _ if tag.starts_with('!') || tag.ends_with('/') || name == "meta" => {}
            _ => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());

    let page = tool_says(0, &["inspect", path(&dir), "--html", "-"]);
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    let names: Vec<_> = files(&dir).into_keys().collect();
    assert!(names.iter().all(|name| !path(name).ends_with("html")), "{names:?}");
}

#[test]
fn single_files_and_damaged_ones() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let mut set = DataSet::create(&dir, START_MS);
    write_all(&mut set);
    set.close();
    let name = "segment-0000000000000001.log";
    let segment = tool_json(0, &["inspect", path(&dir.join(name))]);
    assert_eq!(segment["kind"], "Mainstay segment");
    assert_eq!(segment["contents"], Json::Null);
    assert_eq!(segment["log"]["commands"], 17);
    assert_eq!(segment["files"][0]["bytes"], fs::metadata(dir.join(name)).unwrap().len());

    // A bit in a payload: the log is shown, and said to be damaged.
    let mut bytes = fs::read(dir.join(name)).unwrap();
    bytes[4096 + 64 + 3] ^= 1;
    fs::write(dir.join(name), &bytes).unwrap();
    let damaged = tool_json(1, &["inspect", path(&dir)]);
    assert_eq!(damaged["log"]["damaged"], 1);
    assert_eq!(damaged["log"]["commands"], 15);
    assert!(!damaged["errors"].as_array().unwrap().is_empty());
    assert_eq!(damaged["contents"], Json::Null);
    fs::remove_file(dir.join(name)).unwrap();
    tool_says(2, &["inspect", path(&dir)]);
    tool_says(2, &["inspect", path(&home.path().join("nothing"))]);
}

#[test]
fn a_data_set_that_a_server_has_open() {
    let home = tempfile::tempdir().unwrap();
    let mut set = DataSet::create(home.path(), START_MS);
    write_all(&mut set);
    let before = files(home.path());
    let report = tool_json(0, &["inspect", path(home.path())]);
    assert_eq!(report["is_live"], true);
    assert_eq!(report["contents"]["keys"], KEYS.len());
    assert_eq!(report["files"][0]["state"], "open");
    assert_eq!(report["log"]["damaged"], 0);
    assert!(report["remarks"][0].as_str().unwrap().contains("read up to LSN"));
    assert_eq!(files(home.path()), before, "inputs are left alone");
    // What it goes on to write is seen by the next one.
    set.line("SET more 1");
    set.sync();
    let report = tool_json(0, &["inspect", path(home.path())]);
    assert_eq!(report["contents"]["keys"], KEYS.len() + 1);
    set.close();
}

#[test]
fn a_directory_with_a_base() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/v1/closed");
    let before = files(&golden);
    let report = tool_json(0, &["inspect", path(&golden)]);
    assert_eq!((&report["rdb_version"], &report["contents"]["keys"]), (&"12".into(), &121.into()));
    assert_eq!(report["files"].as_array().unwrap().len(), 2);
    assert!(report["contents"]["aux"].as_array().unwrap().iter().any(|field| field[0] == "ctime"));
    let base = tool_json(0, &["inspect", path(&golden.join("base-0000000000000001.log"))]);
    assert_eq!(base["kind"], "Mainstay base");
    assert_eq!(base["contents"]["lsn"], 0);
    let keys = base["contents"]["keys"].as_u64().unwrap();
    assert!(keys > 0 && keys < 121, "{keys}");
    assert_eq!(files(&golden), before, "inputs are left alone");
}

#[test]
fn a_repaired_directory_has_no_unknown_times() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/v1/closed");
    let home = tempfile::tempdir().unwrap();
    let (damaged, repaired) = (home.path().join("damaged"), home.path().join("repaired"));
    fs::create_dir(&damaged).unwrap();
    for (file, mut bytes) in files(&golden) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if name.starts_with("base-") {
            // Among the keys, behind the RDB's head.
            bytes[400] ^= 4;
        }
        fs::write(damaged.join(name), bytes).unwrap();
    }
    tool_says(1, &["repair", path(&damaged), "--out", path(&repaired)]);
    let (before, after) =
        (tool_json(0, &["inspect", path(&golden)]), tool_json(0, &["inspect", path(&repaired)]));
    assert_eq!(after["log"]["lost"], 1, "{after}");
    assert_eq!(after["log"]["first_time_ms"], before["log"]["first_time_ms"]);
}

#[test]
fn files_of_other_servers() {
    let Some(corpus) = corpus() else { return };
    let (mut count, mut refused) = (0, Vec::new());
    for folder in ["rdb/rdb-go", "rdb/valkey-assets"] {
        let folder = corpus.join(folder);
        let before = files(&folder);
        let is_input = |file: &&std::path::PathBuf| {
            file.extension().is_some_and(|extension| extension == "rdb" || extension == "aof")
        };
        for file in before.keys().filter(is_input) {
            let name = file.file_name().unwrap().to_str().unwrap();
            let output = tool(&["inspect", path(file), "--json"]);
            let report: Json = serde_json::from_slice(&output.stdout).expect("JSON");
            count += 1;
            if output.status.code() == Some(0) {
                let contents = &report["contents"];
                let bytes = contents["bytes"].as_u64().unwrap();
                assert_eq!(sum(&contents["encodings"], "bytes"), bytes, "{name}");
                let lines = tool_says(0, &["inspect", path(file), "--keys"]);
                assert_eq!(lines.lines().count() as u64, contents["keys"].as_u64().unwrap());
                tool_says(0, &["inspect", path(file), "--html", "-"]);
            } else {
                refused.push(name.to_owned());
            }
        }
        assert_eq!(files(&folder), before, "inputs are left alone");
    }
    assert!(count > 30, "{count}");
    // Redis and Valkey refuse them, too.
    assert_eq!(refused, ["zipmap_big_len.rdb", "corrupt_ziplist.rdb"]);
}

/// The data set that is seen in the README's picture: an hour of a shop, ending now.
///
/// `cargo test -p mainstay-tool --test inspect -- --ignored`, with the directory in `PICTURE_DIR`; then
/// `mainstay-tool inspect DIR --html -`.
#[test]
#[ignore = "makes what the README's picture shows"]
fn the_data_set_of_the_picture() {
    let dir = std::env::var("PICTURE_DIR").expect("PICTURE_DIR says where");
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970");
    const MINUTES: u64 = 60;
    const MINUTE_MS: i64 = 60_000;
    let start_ms = since.as_millis() as i64 - MINUTES as i64 * MINUTE_MS;
    let mut set = DataSet::create(Path::new(&dir), start_ms);
    let mut random = seeded_random(7);
    let mut below = move |end: u64| random() % end;
    let words = ["red", "cotton", "soft", "light", "classic", "slim", "summer", "warm", "blue"];
    let mut text = {
        let mut random = seeded_random(8);
        move |count: usize| -> String {
            let word = |_| words[(random() % words.len() as u64) as usize];
            (0..count).map(word).collect::<Vec<_>>().join("-")
        }
    };
    let mut user = 0;
    for second in 0..MINUTES * 60 {
        set.clock.advance_us(1_000_000);
        // The catalogue is loaded while the shop opens.
        for product in (second * 5..second * 5 + 5).take_while(|product| *product < 6000) {
            let (name, about, price) = (text(3), text(12), below(20_000));
            set.line(&format!(
                "HSET catalogue:product:{product} name {name} about {about} price {price}"
            ));
            if product % 4 == 0 {
                let page = text(30);
                set.line(&format!("SET catalogue:text:{product}:en {page}"));
                set.line(&format!("SET catalogue:text:{product}:de {page}"));
            }
            set.line(&format!("SET catalogue:stock:{product} {}", below(500)));
        }
        // Calm, with an evening in the middle and a campaign behind it.
        let at = second as f64 / 3600.0;
        let load = 5.0
            + 14.0 * (at * 3.1).sin().powi(2)
            + if (0.7..0.76).contains(&at) { 30.0 } else { 0.0 };
        for _ in 0..load as u64 {
            match below(100) {
                0..25 => {
                    let (id, low) = (below(u64::MAX), below(1 << 48));
                    let ttl_s = [1800, 86_400, 86_400, 604_800][below(4) as usize];
                    let value = text(6);
                    set.line(&format!(
                        "SET session:{:08x}-{:04x}-4{:03x}-a{:03x}-{low:012x} {value} EX {ttl_s}",
                        id >> 32,
                        id >> 16 & 0xffff,
                        id >> 8 & 0xfff,
                        id & 0xfff
                    ));
                }
                25..45 => {
                    user += 1;
                    let (name, age, prefs) = (text(2), below(80), text(8));
                    set.line(&format!(
                        "HSET user:{user}:profile name {name} age {age} prefs {prefs}"
                    ));
                    if below(3) == 0 {
                        let visit = below(6000);
                        set.line(&format!(
                            "LPUSH user:{user}:history {visit} {} {}",
                            visit / 2,
                            visit / 3
                        ));
                    }
                    if below(4) == 0 {
                        set.line(&format!(
                            "SADD user:{user}:follows {} {} {}",
                            below(user),
                            below(user),
                            below(user)
                        ));
                    }
                }
                45..60 => {
                    let (cart, product, count) = (below(user + 1), below(6000), below(5) + 1);
                    set.line(&format!("HSET cart:{cart} product:{product} {count}"));
                    set.line(&format!("EXPIRE cart:{cart} {}", 3 * 86_400));
                }
                60..75 => {
                    let (board, score) =
                        (["daily", "weekly", "eu", "us"][below(4) as usize], below(100_000));
                    set.line(&format!("ZADD leaderboard:{board} {score} user:{}", below(user + 1)));
                }
                75..88 => {
                    let (id, product, total) = (below(user + 1), below(6000), below(50_000));
                    set.line(&format!(
                        "XADD orders:{} * user {id} product {product} total {total}",
                        ["eu", "us", "asia"][below(3) as usize]
                    ));
                }
                88..94 => {
                    let page = text(1 + below(3) as usize);
                    let html = text(60 + below(400) as usize);
                    set.line(&format!("SET cache/html/{page} {html} EX {}", 60 + below(3600)));
                }
                94..97 => set.line(&format!("INCR stats:views:2026-11-{:02}", 1 + below(28))),
                _ => {
                    let terms: Vec<String> =
                        (0..20).map(|_| format!("user:{}", below(user + 1))).collect();
                    set.line(&format!("SADD index:tag:{} {}", text(1), terms.join(" ")));
                }
            }
        }
        set.sync();
    }
    set.close();
}

#[test]
fn of_a_base_with_nothing_behind_it_the_keys_are_counted() {
    for (number, keys) in [(1, "1 key"), (3, "3 keys")] {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("mainstay");
        let mut set = DataSet::create(&dir, START_MS);
        (0..number).for_each(|number| set.line(&format!("SET key:{number} value")));
        set.sync();
        set.close();
        drop(set);
        let said = tool_says(0, &["rewrite", path(&dir), "--drop-retired"]);
        assert!(said.contains(&format!("with {keys}, in")), "{said}");
        let said = tool_says(0, &["verify", path(&dir)]);
        assert!(said.contains(&format!("2 blocks with {keys} are sound")), "{said}");
        assert_eq!(tool_json(0, &["verify", path(&dir)])["base_keys"], number);
        let said = tool_says(0, &["inspect", path(&dir)]);
        assert!(said.contains(&format!("  {keys}, ")), "{said}");
        let log = home.path().join("server.log");
        Server::start(home.path(), &["--logfile", path(&log)]).stop();
        let said = fs::read_to_string(&log).unwrap();
        let line = said.lines().find(|line| line.contains("DB loaded from the log")).unwrap();
        assert!(line.contains(&format!("a base with {keys}, and behind it ")), "{said}");
        assert!(!line.contains(" 1 frames") && !line.contains(" 1 bytes"), "{said}");
    }
}
