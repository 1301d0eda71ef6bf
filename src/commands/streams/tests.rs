//! What stream commands reply, and which effects they have.

use crate::commands::testing::{Bench, show_effects};
use crate::resp::Protocol;
use proptest::prelude::*;

/// A random command of the family, on few keys, groups and consumers.
pub(in crate::commands) fn command() -> impl Strategy<Value = String> {
    const LINES: [&str; 39] = [
        "XADD $ * f 1",
        "XADD $ * g x f y",
        "XADD $ 5-* f v",
        "XADD $ NOMKSTREAM * f v",
        "XADD $ MAXLEN ~ 3 * f v",
        "XADD $ MAXLEN 4 * f v",
        "XADD $ MINID ~ 1700000000100 * f v",
        "XTRIM $ MAXLEN 2",
        "XADD $ DELREF MAXLEN 3 * f v",
        "XADD $ MAXLEN ~ 2 ACKED * f v",
        "XTRIM $ MINID 1700000000050 ACKED",
        "XTRIM $ MAXLEN 1 DELREF",
        "XTRIM $ MAXLEN ~ 1 DELREF",
        "XTRIM $ MAXLEN ~ 1",
        "XTRIM $ MINID 1700000000050",
        "XDEL $ 1700000000000-0",
        "XDEL $ 5-1 5-0",
        "XSETID $ 9999999999999-1 ENTRIESADDED 90",
        "XGROUP CREATE $ g 0",
        "XGROUP CREATE $ h $$ MKSTREAM",
        "XGROUP SETID $ g 5",
        "XGROUP DESTROY $ h",
        "XGROUP CREATECONSUMER $ g c",
        "XGROUP DELCONSUMER $ g a",
        "XREADGROUP GROUP g a COUNT 2 STREAMS $ >",
        "XREADGROUP GROUP g b NOACK STREAMS $ >",
        "XREADGROUP GROUP g b COUNT 1 STREAMS $ >",
        "XREADGROUP GROUP h a STREAMS $ >",
        "XREADGROUP GROUP g a STREAMS $ 0",
        "XACK $ g 1700000000000-0 5-0 5-1",
        "XCLAIM $ g b 0 5-0 5-1 1700000000000-0",
        "XCLAIM $ g a 0 5-0 FORCE IDLE 5000",
        "XCLAIM $ g a 10 5-1 RETRYCOUNT 7 JUSTID LASTID 6-0",
        "XAUTOCLAIM $ g b 0 - COUNT 2",
        "XAUTOCLAIM $ g a 20 - JUSTID",
        "XDELEX $ ACKED IDS 2 5-0 5-1",
        "XDELEX $ DELREF IDS 1 5-0",
        "XACKDEL $ g IDS 2 5-0 5-1",
        "XREAD BLOCK 0 STREAMS $ $$",
    ];
    ("[a-e]", prop::sample::select(&LINES[..])).prop_map(|(key, line)| {
        line.replace("$$", "\u{0}").replace('$', &key).replace('\u{0}', "$")
    })
}

#[test]
fn entries_are_appended_read_and_deleted() {
    let mut bench = Bench::new();
    bench.effects("XADD s 1-1 f v", "XADD s 1-1 f v");
    bench.replies("XADD s 1-* f v g w", "$3 1-2");
    bench.effects("XADD s * f v", "XADD s 1700000000000-0 f v");
    bench.effects("XADD s * f v", "XADD s 1700000000000-1 f v");
    bench.replies("XLEN s", ":4");
    bench.replies(
        "XADD s 5 f v",
        "-ERR The ID specified in XADD is equal or smaller than the target stream top item",
    );
    bench.replies("XADD s 0-0 f v", "-ERR The ID specified in XADD must be greater than 0-0");
    bench.replies("XADD s * f", "-ERR wrong number of arguments for 'xadd' command");
    bench.replies("XADD new NOMKSTREAM * f v", "$-1");
    bench.replies("EXISTS new", ":0");
    bench.replies("XRANGE s - + COUNT 1", "*1 *2 $3 1-1 *2 $1 f $1 v");
    bench.replies("XREVRANGE s (1-2 -", "*1 *2 $3 1-1 *2 $1 f $1 v");
    bench.replies("XRANGE s (1-1 1", "*1 *2 $3 1-2 *4 $1 f $1 v $1 g $1 w");
    bench.replies("XRANGE s - + COUNT 0", "*-1");
    bench.replies("XRANGE s x +", "-ERR Invalid stream ID specified as stream command argument");
    bench.effects("XDEL s 1-1 9-9", "XDEL s 1-1 9-9");
    bench.effects("XDEL s 1-1", "");
    bench.replies(
        "XADD last 18446744073709551615-18446744073709551615 f v",
        "$41 18446744073709551615-18446744073709551615",
    );
    bench.replies(
        "XADD last * f v",
        "-ERR The stream has exhausted the last possible ID, unable to add more items",
    );
    bench.line("SET string x");
    bench.replies(
        "XADD string * f v",
        "-WRONGTYPE Operation against a key holding the wrong kind of value",
    );
}

#[test]
fn trims_are_stated_exactly() {
    let mut bench = Bench::new();
    bench.settings.limits.stream_node_entries = 10;
    for n in 1..=35 {
        bench.line(&format!("XADD s {n} f v"));
    }
    bench.effects("XTRIM s MAXLEN ~ 20", "XTRIM s MAXLEN = 25");
    bench.effects("XTRIM s MAXLEN ~ 20", "");
    bench.effects("XTRIM s MAXLEN 20", "XTRIM s MAXLEN = 20");
    bench.effects("XTRIM s MINID ~ 25 LIMIT 5", "XTRIM s MINID = 21-0");
    bench.effects("XADD s MAXLEN ~ 3 36 f v", "XADD s MAXLEN = 6 36-0 f v");
    bench.effects("XADD s MINID 36 37 f v", "XADD s MINID = 36-0 37-0 f v");
    bench.replies("XLEN s", ":2");
    bench.replies(
        "XTRIM s MAXLEN 1 LIMIT 3",
        "-ERR syntax error, LIMIT cannot be used without the special ~ option",
    );
    bench.replies(
        "XTRIM s LIMIT 3",
        "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
    );
    bench.replies("XTRIM s MAXLEN -1", "-ERR The MAXLEN argument must be >= 0.");
}

#[test]
fn groups_deliver_once_and_remember_what_is_pending() {
    let mut bench = Bench::new();
    bench.replies("XGROUP CREATE s g $ MKSTREAM", "+OK");
    bench.replies("XGROUP CREATE s g $", "-BUSYGROUP Consumer Group name already exists");
    bench.line("XADD s 1 f v");
    bench.line("XADD s 2 f v");
    bench.effects(
        "XREADGROUP GROUP g a COUNT 1 STREAMS s >",
        "XGROUP CREATECONSUMER s g a; XCLAIM s g a 0 1-0 TIME 1700000000000 RETRYCOUNT 1 FORCE \
         JUSTID LASTID 1-0; XGROUP SETID s g 1-0 ENTRIESREAD 1",
    );
    bench.replies("XREADGROUP GROUP g b NOACK STREAMS s >", "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 f $1 v");
    bench.replies("XREADGROUP GROUP g b STREAMS s >", "*-1");
    bench.now_ms += 50;
    bench.replies("XPENDING s g", "*4 :1 $3 1-0 $3 1-0 *1 *2 $1 a $1 1");
    bench.replies("XPENDING s g - + 10", "*1 *4 $3 1-0 $1 a :50 :1");
    bench.replies("XPENDING s g IDLE 51 - + 10", "*0");
    bench.replies("XREADGROUP GROUP g a STREAMS s 0", "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 f $1 v");
    bench.replies("XPENDING s g - + 10 a", "*1 *4 $3 1-0 $1 a :0 :2");
    bench.effects(
        "XCLAIM s g b 0 1 JUSTID",
        "XCLAIM s g b 0 1-0 TIME 1700000000050 RETRYCOUNT 2 FORCE JUSTID LASTID 2-0",
    );
    bench.line("XDEL s 1");
    bench.replies("XREADGROUP GROUP g b STREAMS s 0", "*1 *2 $1 s *1 *2 $3 1-0 *-1");
    bench.replies("XAUTOCLAIM s g a 0 0", "*3 $3 0-0 *0 *1 $3 1-0");
    bench.replies("XACK s g 1", ":0");
    bench.replies("XGROUP DELCONSUMER s g a", ":0");
    bench.replies("XGROUP DESTROY s g", ":1");
    bench.replies("XGROUP DESTROY s g", ":0");
    bench.replies(
        "XREADGROUP GROUP g a STREAMS s >",
        "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option",
    );
    bench.replies("XGROUP SETID s g 0", "-NOGROUP No such consumer group 'g' for key name 's'");
}

#[test]
fn reading_several_streams() {
    let mut bench = Bench::new();
    for line in ["XADD a 1 f v", "XADD a 2 f v", "XADD b 5 f v"] {
        bench.line(line);
    }
    bench.replies(
        "XREAD COUNT 1 STREAMS a b c 0 4 0",
        "*2 *2 $1 a *1 *2 $3 1-0 *2 $1 f $1 v *2 $1 b *1 *2 $3 5-0 *2 $1 f $1 v",
    );
    bench.replies("XREAD STREAMS a b $ $", "*-1");
    bench.replies("XREAD BLOCK 0 STREAMS a b $ $", "*-1");
    bench.replies("XREAD STREAMS a +", "*1 *2 $1 a *1 *2 $3 2-0 *2 $1 f $1 v");
    bench.replies(
        "XREAD STREAMS a b 0",
        "-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.",
    );
    bench.protocol = Protocol::Resp3;
    bench.replies("XREAD STREAMS b c 0 0", "%1 $1 b *1 *2 $3 5-0 *2 $1 f $1 v");
    bench.replies("XREAD STREAMS b $", "_");
}

#[test]
fn deleting_with_a_say_in_references() {
    let mut bench = Bench::new();
    for line in [
        "XADD s 1 f v",
        "XADD s 2 f v",
        "XADD s 3 f v",
        "XGROUP CREATE s g 0",
        "XGROUP CREATE s h 0",
        "XREADGROUP GROUP g c STREAMS s >",
        "XREADGROUP GROUP h c COUNT 2 STREAMS s >",
        "XACK s h 1",
        "XACK s g 1",
    ] {
        bench.line(line);
    }
    for (line, reply, effects) in [
        ("XDELEX s ACKED IDS 4 1 2 3 9", "*4 :1 :2 :2 :-1", "XDEL s 1-0"),
        ("XACKDEL s g ACKED IDS 2 2 9", "*2 :2 :-1", "XACK s g 2-0"),
        ("XACKDEL s h ACKED IDS 1 2", "*1 :1", "XDEL s 2-0; XACK s h 2-0"),
        ("XDELEX s DELREF IDS 1 3", "*1 :1", "XDEL s 3-0; XACK s g 3-0"),
    ] {
        let outcome = bench.line(line);
        let shown = String::from_utf8_lossy(&outcome.reply).replace("\r\n", " ");
        assert_eq!(shown.trim_end(), reply, "{line}");
        assert_eq!(show_effects(&outcome.effects), effects, "{line}");
    }
    bench.replies("XPENDING s g", "*4 :0 $-1 $-1 *-1");
    bench.replies("XDELEX none IDS 2 1 2", "*2 :-1 :-1");
    bench.replies(
        "XDELEX s IDS 2 1",
        "-ERR The `numids` parameter must match the number of arguments",
    );
    bench.replies("XDELEX s KEEPREF ACKED IDS 1 1", "-ERR syntax error");
    bench.replies("XDELEX s IDS 0 1", "-ERR Number of IDs must be a positive integer");
}

#[test]
fn information() {
    let mut bench = Bench::new();
    for line in [
        "XADD s 1 f v",
        "XADD s 2 f v",
        "XGROUP CREATE s g 0",
        "XREADGROUP GROUP g c COUNT 1 STREAMS s >",
    ] {
        bench.line(line);
    }
    bench.now_ms += 7;
    bench.replies(
        "XINFO GROUPS s",
        "*1 *12 $4 name $1 g $9 consumers :1 $7 pending :1 $17 last-delivered-id $3 1-0 \
         $12 entries-read :1 $3 lag :1",
    );
    bench.replies(
        "XINFO CONSUMERS s g",
        "*1 *8 $4 name $1 c $7 pending :1 $4 idle :7 $8 inactive :7",
    );
    bench.replies(
        "XINFO STREAM s FULL COUNT 1",
        "*18 $6 length :2 $15 radix-tree-keys :1 $16 radix-tree-nodes :2 $17 last-generated-id \
         $3 2-0 $20 max-deleted-entry-id $3 0-0 $13 entries-added :2 $23 recorded-first-entry-id \
         $3 1-0 $7 entries *1 *2 $3 1-0 *2 $1 f $1 v $6 groups *1 *14 $4 name $1 g \
         $17 last-delivered-id $3 1-0 $12 entries-read :1 $3 lag :1 $9 pel-count :1 $7 pending *1 \
         *4 $3 1-0 $1 c :1700000000000 :1 $9 consumers *1 *10 $4 name $1 c $9 seen-time \
         :1700000000000 $11 active-time :1700000000000 $9 pel-count :1 $7 pending *1 *3 $3 1-0 \
         :1700000000000 :1",
    );
    bench.replies("XINFO STREAM none", "-ERR no such key");
    bench.replies(
        "XINFO CONSUMERS s none",
        "-NOGROUP No such consumer group 'none' for key name 's'",
    );
    bench.replies(
        "XSETID s 1",
        "-ERR The ID specified in XSETID is smaller than the target stream top item",
    );
    bench.effects(
        "XSETID s 9 ENTRIESADDED 100 MAXDELETEDID 3",
        "XSETID s 9 ENTRIESADDED 100 MAXDELETEDID 3",
    );
}

#[test]
fn odd_arguments_mean_what_they_mean_in_redis() {
    let mut bench = Bench::new();
    bench.line("XGROUP CREATE s g 0 MKSTREAM");
    bench.replies("XREAD STREAMS s +", "-ERR the stream last element ID is 0-0");
    bench.line("XADD s 1-1 f v");
    // What was never delivered counts as delivered once before it is claimed.
    bench.line("XCLAIM s g c 0 1-1 FORCE TIME 5");
    bench.replies(
        "XREADGROUP GROUP g c STREAMS s 18446744073709551615-18446744073709551615",
        "*1 *2 $1 s *1 *2 $3 1-1 *2 $1 f $1 v",
    );
}

#[test]
fn trimming_has_a_say_in_what_groups_refer_to() {
    let mut bench = Bench::new();
    let fill = |bench: &mut Bench| {
        bench.line("DEL s");
        (1..=6).for_each(|id| drop(bench.line(&format!("XADD s {id} f v"))));
        bench.line("XGROUP CREATE s g 0");
        bench.line("XREADGROUP GROUP g c COUNT 4 STREAMS s >");
        bench.line("XACK s g 1 3");
    };
    // 2 and 4 are pending, 5 and 6 were not delivered.
    fill(&mut bench);
    bench.effects("XTRIM s MAXLEN 3 KEEPREF", "XTRIM s MAXLEN = 3");
    bench.replies("XPENDING s g - + 9 c", "*2 *4 $3 2-0 $1 c :0 :1 *4 $3 4-0 $1 c :0 :1");
    fill(&mut bench);
    bench.effects("XTRIM s DELREF MINID 4", "XTRIM s MINID = 4-0; XACK s g 2-0");
    bench.replies("XPENDING s g - + 9 c", "*1 *4 $3 4-0 $1 c :0 :1");
    fill(&mut bench);
    bench.replies("XTRIM s MAXLEN 1 ACKED", ":2");
    bench.replies("XRANGE s - + COUNT 1", "*1 *2 $3 2-0 *2 $1 f $1 v");
    bench.replies("XLEN s", ":4");
    bench.replies("XTRIM s MAXLEN 1 ACKED", ":0");
    bench.line("XACK s g 2 4");
    bench.effects("XTRIM s MINID 4 ACKED", "XDEL s 2-0");
    bench.effects("XTRIM s MAXLEN 2 ACKED", "XDEL s 4-0");

    fill(&mut bench);
    bench.effects("XADD s ACKED MAXLEN 5 7 f v", "XADD s 7-0 f v; XDEL s 1-0 3-0");
    bench.effects("XADD s MAXLEN = 4 DELREF 8 f v", "XADD s MAXLEN = 4 8-0 f v; XACK s g 2-0 4-0");
    bench.effects("XADD s KEEPREF 9 f v", "XADD s 9-0 f v");
    bench.replies("XTRIM s MAXLEN 1 ACKED DELREF", "-ERR syntax error");
    bench.replies("XADD s DELREF DELREF 10 f v", "-ERR syntax error");
    bench.replies(
        "XTRIM s ACKED LIMIT 3",
        "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
    );
}

#[test]
fn without_a_group_nothing_is_referred_to() {
    let mut bench = Bench::new();
    (1..=6).for_each(|id| drop(bench.line(&format!("XADD s {id} f v"))));
    bench.replies("XTRIM s MAXLEN 2 ACKED", ":4");
    bench.replies("XTRIM s MAXLEN 1 DELREF", ":1");
    bench.replies("XLEN s", ":1");
}
