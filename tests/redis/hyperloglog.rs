//! HyperLogLogs.

/// The forms of the commands; the grammar module says how to read them.
pub const LINES: &[&str] = &[
    "PFADD $hll",
    "PFADD $hll { $number }",
    "PFADD $hll many{ $number }",
    "PFCOUNT $hll",
    "PFCOUNT { $hll }",
    "PFMERGE $hll",
    "PFMERGE $hll { $hll }",
    "PFDEBUG ENCODING $hll",
    "PFDEBUG DECODE $hll",
    "PFDEBUG TODENSE $hll",
    "GET $hll",
    "DEL $hll",
    "OBJECT ENCODING $hll",
];
