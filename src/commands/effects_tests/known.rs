//! What Redis 7.0 knows: a replica skips a command that it does not know, and diverges.

use crate::rdb::{Target, payload};
use crate::resp::Args;

/// The commands of Redis 7.0 that write, as `COMMAND LIST FILTERBY ACLCAT write` of 7.0.15 has them,
/// without those that block and `RESTORE-ASKING`; `SELECT` goes with them.
const NAMES: &str = "append bitfield bitop copy decr decrby del expire expireat flushall flushdb \
    geoadd georadius georadiusbymember geosearchstore getdel getex getset hdel hincrby \
    hincrbyfloat hmset hset hsetnx incr incrby incrbyfloat linsert lmove lmpop lpop lpush lpushx \
    lrem lset ltrim move mset msetnx persist pexpire pexpireat pfadd pfdebug pfmerge psetex \
    rename renamenx restore rpop rpoplpush rpush rpushx sadd sdiffstore select set setbit setex \
    setnx setrange sinterstore smove sort spop srem sunionstore swapdb unlink xack xadd \
    xautoclaim xclaim xdel xgroup xreadgroup xsetid xtrim zadd zdiffstore zincrby zinterstore \
    zmpop zpopmax zpopmin zrangestore zrem zremrangebylex zremrangebyrank zremrangebyscore \
    zunionstore";

/// Whether Redis 7.0 knows an effect, or 7.4 one of the two for fields that expire. The commands
/// with options of later versions may have only those listed here.
pub fn is_known(effect: Args<'_>) -> bool {
    let words: Vec<&[u8]> = effect.iter().collect();
    let is = |at: usize, word: &str| words[at].eq_ignore_ascii_case(word.as_bytes());
    let name = String::from_utf8_lossy(words[0]).to_ascii_lowercase();
    match name.as_str() {
        "set" => match words.len() {
            3 => true,
            4 => is(3, "KEEPTTL"),
            5 => is(3, "PXAT"),
            _ => false,
        },
        "bitop" => ["AND", "OR", "XOR", "NOT"].iter().any(|operation| is(1, operation)),
        "restore" => {
            payload::version(words[3]).is_some_and(|version| version <= Target::V10.version())
        }
        "xadd" if is(2, "MAXLEN") || is(2, "MINID") => is(3, "=") && words[5].contains(&b'-'),
        "xadd" => words[2].contains(&b'-'),
        "xtrim" => words.len() == 5 && (is(2, "MAXLEN") || is(2, "MINID")) && is(3, "="),
        "hpexpireat" => is(3, "FIELDS"),
        "hpersist" => is(2, "FIELDS"),
        name => NAMES.split_whitespace().any(|known| known == name),
    }
}

#[test]
fn later_commands_and_options_are_not_known() {
    use crate::commands::testing::words;
    for line in [
        "HSETEX h KEEPTTL FIELDS 1 a b",
        "HPEXPIREAT h 5 NX FIELDS 1 a",
        "XDELEX s ACKED IDS 1 1-1",
        "XACKDEL s g IDS 1 1-1",
        "XTRIM s MAXLEN = 1 ACKED",
        "XADD s KEEPREF 1-1 a b",
        "SET k v IFEQ w",
        "BITOP ONE a b c",
        "DELIFEQ k v",
        "BLPOP l 0",
    ] {
        assert!(!is_known(words(line).as_args()), "{line}");
    }
    for line in ["SET k v PXAT 5", "XADD s MINID = 1-0 2-0 a b", "HPERSIST h FIELDS 1 a"] {
        assert!(is_known(words(line).as_args()), "{line}");
    }
}
